"""The elbow that few-shot scores show by themselves: a ReLU fitted to them.

And the compute at which the checkpoints show it. It knows no law and no finetuned row, and refuses
to name an elbow that too few scores show.
"""

from __future__ import annotations

from emergecast.observed._ground_truth import GroundTruth, ground_truth
from emergecast.observed._observed_compute import ObservedCompute
from emergecast.observed._relu import best_relu

__all__ = [
    "GroundTruth",
    "ObservedCompute",
    "best_relu",
    "ground_truth",
]
