"""What few-shot scores show by themselves: the elbow and the crossing, with their intervals.

And the compute at which the checkpoints show it. It knows no law and no finetuned row, and refuses
to name a point that too few scores show.
"""

from __future__ import annotations

from emergecast.observed._ground_truth import (
    IT_TAKES,
    GroundTruth,
    GroundTruths,
    Target,
    ground_truths,
)
from emergecast.observed._observed_compute import ObservedCompute
from emergecast.observed._relu import best_relu

__all__ = [
    "IT_TAKES",
    "GroundTruth",
    "GroundTruths",
    "ObservedCompute",
    "Target",
    "best_relu",
    "ground_truths",
]
