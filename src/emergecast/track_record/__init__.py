"""Forecasts frozen before the answer is known, and scored when it is (CRPS, log score).

Proper scores, frozen forecasts, later tables, and the tally over many. It refuses a frozen file
that was edited, and scores nothing whose truth is not visible yet.
"""

from __future__ import annotations

from emergecast.track_record._check_score import ScoreStatus
from emergecast.track_record._freeze import freeze, printed_rows
from emergecast.track_record._frozen import ROW_KEY, FrozenDistribution, FrozenForecast
from emergecast.track_record._proper_scores import crps, interval_score, log_score, pit
from emergecast.track_record._read_frozen import read_frozen
from emergecast.track_record._score import Against, FrozenScore, score_frozen
from emergecast.track_record._signature import signature_of
from emergecast.track_record._skill_score import LARGEST_FACTOR, SkillScore, skill_over
from emergecast.track_record._tally import TrackRecord, track_record
from emergecast.track_record._tally_file import TallyFile, add_to_tally
from emergecast.track_record._update import Change, OldForecast, read_old, what_changed

__all__ = [
    "LARGEST_FACTOR",
    "ROW_KEY",
    "Against",
    "Change",
    "FrozenDistribution",
    "FrozenForecast",
    "FrozenScore",
    "OldForecast",
    "ScoreStatus",
    "SkillScore",
    "TallyFile",
    "TrackRecord",
    "add_to_tally",
    "crps",
    "freeze",
    "interval_score",
    "log_score",
    "pit",
    "printed_rows",
    "read_frozen",
    "read_old",
    "score_frozen",
    "signature_of",
    "skill_over",
    "track_record",
    "what_changed",
]
