"""The posterior of a law whose data amounts are levels: each with an elbow and a slope of its own.

The elbows scatter around the law, the slopes around a trend, and the curve is rounded at both ends.
Given those two, levels are independent, so the likelihood of each is a table over elbow and slope,
made once; what is left of a law is sampled at a microsecond a vector. Refuses rows of which none is
finetuned.
"""

from __future__ import annotations

from emergecast.inference.levels._level_posterior import (
    LevelPosterior,
    level_posterior,
    prior_level_elbows,
)
from emergecast.inference.levels._level_priors import LevelPriors
from emergecast.inference.levels._level_tables import LevelTables, SharedTables

__all__ = [
    "LevelPosterior",
    "LevelPriors",
    "LevelTables",
    "SharedTables",
    "level_posterior",
    "prior_level_elbows",
]
