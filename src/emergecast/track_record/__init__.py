"""Forecasts frozen before the answer is known, and scored when it is (CRPS, log score).

Proper scores, frozen forecasts, later tables, and the tally over many. It refuses a frozen file
that was edited, and scores nothing whose truth is not visible yet.
"""

from __future__ import annotations

from emergecast.track_record._freeze import (
    ROW_KEY,
    FrozenDistribution,
    FrozenForecast,
    freeze,
    printed_rows,
    read_frozen,
)
from emergecast.track_record._proper_scores import crps, log_score, pit
from emergecast.track_record._score import FrozenScore, ScoreStatus, score_frozen
from emergecast.track_record._tally import TrackRecord, track_record

__all__ = [
    "ROW_KEY",
    "FrozenDistribution",
    "FrozenForecast",
    "FrozenScore",
    "ScoreStatus",
    "TrackRecord",
    "crps",
    "freeze",
    "log_score",
    "pit",
    "printed_rows",
    "read_frozen",
    "score_frozen",
    "track_record",
]
