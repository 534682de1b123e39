"""Guesses that need no emergence law, such as "no change": what a forecast must beat.

Each is a distribution of the few-shot elbow, made from the same rows as the forecast. A baseline
that these rows do not allow says why, and is never replaced by another.
"""

from __future__ import annotations

from emergecast.baselines._baselines import (
    FREEDOM,
    NEAREST,
    REFERENCES,
    SHARE,
    Baseline,
    baselines,
)
from emergecast.baselines._continuous import continuous_metrics
from emergecast.baselines._guess import Guess, StudentT

__all__ = [
    "FREEDOM",
    "NEAREST",
    "REFERENCES",
    "SHARE",
    "Baseline",
    "Guess",
    "StudentT",
    "baselines",
    "continuous_metrics",
]
