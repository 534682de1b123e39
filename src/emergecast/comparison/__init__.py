"""Which of two pretraining series emerges first, at equal loss and at equal compute.

It refuses to compare series whose losses are not of one kind.
"""

from __future__ import annotations

from emergecast.comparison._compare import Comparison, compare
from emergecast.comparison._first import Difference, ElbowCompute, First
from emergecast.comparison._ranking import Ranking

__all__ = [
    "Comparison",
    "Difference",
    "ElbowCompute",
    "First",
    "Ranking",
    "compare",
]
