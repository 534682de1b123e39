"""What few-shot scores show by themselves: the elbow and the crossing, with their intervals.

And the compute at which the checkpoints show it, and how far annealing shifts their losses. It
knows no law and no finetuned row, and refuses
to name a point that too few scores show.
"""

from __future__ import annotations

from emergecast.observed._annealing import AnnealingOffset, annealing_offset
from emergecast.observed._ground_truth import (
    IT_TAKES,
    Estimand,
    GroundTruth,
    GroundTruths,
    ground_truths,
)
from emergecast.observed._observed_compute import ObservedCompute
from emergecast.observed._relu import best_relu

__all__ = [
    "IT_TAKES",
    "AnnealingOffset",
    "Estimand",
    "GroundTruth",
    "GroundTruths",
    "ObservedCompute",
    "annealing_offset",
    "best_relu",
    "ground_truths",
]
