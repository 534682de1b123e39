"""Guesses that need no emergence law, such as "no change": what a forecast must beat.

Each is a distribution of the few-shot elbow, made from the same rows as the forecast. A baseline
that these rows do not allow says why, and is never replaced by another.
"""

from __future__ import annotations

from emergecast.baselines._baselines import (
    FREEDOM,
    NEAREST,
    SHARE,
    Baseline,
    Guess,
    StudentT,
    baselines,
)

__all__ = [
    "FREEDOM",
    "NEAREST",
    "SHARE",
    "Baseline",
    "Guess",
    "StudentT",
    "baselines",
]
