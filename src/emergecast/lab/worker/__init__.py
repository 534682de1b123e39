"""How one run is done: with the models themselves, or rehearsed with invented scores.

It refuses an outcome that is not finite, and marks invented scores as invented.
"""

from __future__ import annotations

from emergecast.lab.worker._measurer import CorpusFacts, Measurer, ModelFacts, TaskFacts
from emergecast.lab.worker._measurer_of import measurer_of

__all__ = [
    "CorpusFacts",
    "Measurer",
    "ModelFacts",
    "TaskFacts",
    "measurer_of",
]
