"""FLOPs and parameters counted from an architecture, in several conventions.

It refuses an architecture that it cannot count rather than assume one.
"""

from __future__ import annotations

from emergecast.scaling.counting._architecture import Architecture, ParamCount
from emergecast.scaling.counting._flops import (
    Counting,
    FlopCount,
    architecture_flops,
    training_flops,
)
from emergecast.scaling.counting._model_config import read_architecture

__all__ = [
    "Architecture",
    "Counting",
    "FlopCount",
    "ParamCount",
    "architecture_flops",
    "read_architecture",
    "training_flops",
]
