"""What a score must hold: numbers that follow from others are computed again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Final

from emergecast.forecasts import Verdict
from emergecast.track_record._check_frozen import HASH, date_problem


class ScoreStatus(StrEnum):
    """Whether a frozen forecast could be scored."""

    SCORED = "scored"
    PENDING = "pending"
    """The truth is not visible yet."""
    REFUSED = "refused"
    """The forecast was refused when it was frozen, so there is nothing to score; it counts."""


ENDS: Final = (0.05, 0.95)
"""Levels of the interval that hits or misses."""
ROUNDED: Final = 1e-6
"""How near a level the PIT of a truth at the very end of the interval may lie on either side."""
SURELY: Final = 0.9
"""Of the way from the interval to a truth outside it, the share that a CRPS is at least: 0.95^2."""
WIDTHS: Final = 10.0
"""Widths of the interval by which a CRPS may exceed the distance of truth and median; 1 is much."""
PEAK: Final = 14.0
"""Ln of the highest density that is believed, in units of one over the interval's width."""
_OF_SCORED: Final = ("truth", "hit", "crps", "log_score", "pit", "no_change", "p05", "p50", "p95")
_ALLOWED: Final = {"crps": math.inf, "no_change": math.inf, "pit": 1.0}
"""Largest value; the smallest is 0."""


def contradictions(record: Mapping[str, Any]) -> list[str]:
    """What in a score contradicts the rest of it, a phrase each; its types are right."""
    return [*_status_problems(record), *_number_problems(record)] or list(_hit_problems(record))


def _status_problems(record: Mapping[str, Any]) -> Iterator[str]:
    status = record["status"]
    absent = [name for name in _OF_SCORED if record.get(name) is None]
    if status == ScoreStatus.SCORED and absent:
        yield f"it is scored, and has no {absent[0]}"
    if status != ScoreStatus.SCORED and record.get("crps") is not None:
        yield f"it is {status}, and has a CRPS"
    if (status == ScoreStatus.REFUSED) != (record["verdict"] == Verdict.REFUSED):
        yield f"its verdict is {record['verdict']}, and its status {status}"
    if (problem := date_problem(record["frozen_at"])) is not None:
        yield problem.rstrip(".")
    for name in ("sha256", "table_hash"):
        if record.get(name) is not None and not HASH.fullmatch(record[name]):
            yield f"its {name} is not one of 64 hexadecimal digits"


def _number_problems(record: Mapping[str, Any]) -> Iterator[str]:
    for names in (("p05", "p50", "p95"), ("truth_p05", "truth", "truth_p95")):
        values = [float(record[name]) for name in names if record.get(name) is not None]
        if values != sorted(values):
            yield f"{', '.join(names)} are out of order"
    for name, most in _ALLOWED.items():
        value = record.get(name)
        if value is not None and not 0 <= value <= most:
            yield f"its {name} is {value:g}"


def _hit_problems(record: Mapping[str, Any]) -> Iterator[str]:
    """Interval, truth, hit and PIT say one thing in three ways."""
    if record["status"] != ScoreStatus.SCORED:
        return
    inside = record["p05"] <= record["truth"] <= record["p95"]
    if record["hit"] is not inside:
        yield "whether it hit is not what its interval and the truth say"
    low, high = ENDS
    unclear = min(abs(record["pit"] - low), abs(record["pit"] - high)) <= ROUNDED
    width = record["p95"] - record["p05"]
    outside = max(record["p05"] - record["truth"], record["truth"] - record["p95"], 0.0)
    most = abs(record["truth"] - record["p50"]) + WIDTHS * width
    if not SURELY * outside <= record["crps"] <= most:
        yield f"its CRPS of {record['crps']:g} is not that of its interval and the truth"
    if width > 0 and record["log_score"] > PEAK - math.log(width):
        yield f"its log score of {record['log_score']:g} is beyond any density over its interval"
    if not unclear and inside is not (low < record["pit"] < high):
        yield "its PIT is not what its interval and the truth say"
