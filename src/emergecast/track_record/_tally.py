"""The tally over many scored forecasts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

import numpy as np
from scipy.stats import beta

from emergecast.forecasts import Verdict
from emergecast.observed import Estimand
from emergecast.track_record._check_score import ScoreStatus
from emergecast.track_record._score import FrozenScore

PIT_BINS = 10
KNOWN, NOT_KNOWN = "known already", "not known"
"""The two parts of a tally that holds backtests beside forecasts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackRecord:
    """The track record of many frozen forecasts. Means are over the scored ones.

    CRPS and log scores of several units have no mean: there those figures are None.
    """

    n: int
    """Scored."""
    target: Estimand = Estimand.ELBOW
    """Which point of the few-shot curve the truths are; scores against another do not count."""
    pending: int
    refused: int
    hits: int
    coverage: float | None
    """Share of 90% intervals that held the truth; None while nothing is scored."""
    coverage_low: float | None
    coverage_high: float | None
    """Exact 90% binomial interval of that share, as if forecasts were independent."""
    mean_crps: float | None
    crps_stderr: float | None
    """Standard error of the mean; None with fewer than two."""
    mean_no_change: float | None
    skill: float | None
    """1 - mean CRPS / mean CRPS of no change; above 0 is better than no change."""
    mean_log_score: float | None
    """Minus infinity where a single score is."""
    median_log_score: float | None
    infinite: int
    """Log scores of minus infinity."""
    pit_counts: tuple[int, ...]
    """Forecasts by tenth of the probability integral transform; even where calibrated."""
    by_verdict: dict[Verdict, TrackRecord]
    """The same for each verdict; empty within one."""
    known: int = 0
    """Of the scored, those whose answer was known already when they were frozen: backtests."""
    by_known: dict[str, TrackRecord] = field(default_factory=dict)
    """The same for those known already and for the others; empty where none was known."""
    repeated: tuple[str, ...] = ()
    """Forecasts that do not count, a sentence each: of one table, the first answer to a question
    counts; of invented scores, none."""

    def to_dict(self) -> dict[str, Any]:
        """The tally as plain values; minus infinity is the text "-Infinity"."""
        names = [each.name for each in fields(self)]
        record: dict[str, Any] = {name: getattr(self, name) for name in names}
        for name in ("pit_counts", "repeated"):
            record[name] = list(record[name])
        for parts in ("by_verdict", "by_known"):
            record[parts] = {str(k): each.to_dict() for k, each in record[parts].items()}
        for name in ("mean_log_score", "median_log_score"):
            if record[name] == -math.inf:
                record[name] = "-Infinity"
        return record


def track_record(
    scores: Sequence[FrozenScore], *, target: Estimand = Estimand.ELBOW
) -> TrackRecord:
    """The track record over many forecasts; the last score of each frozen forecast counts.

    Of scores against another target none does.

    Of the forecasts that one table was given to one question, the one that was frozen first counts:
    who freezes many and shows the best has no track record.
    """
    others = sum(score.target is not target for score in scores)
    apart = f"Scores against another target do not count here: {others} of {len(scores)}."
    last = {score.sha256: score for score in scores if score.target is target}
    made_up = tuple(
        f"{_shown(score)} was made from invented scores: it does not count."
        for score in last.values()
        if score.invented
    )
    last = {key: score for key, score in last.items() if not score.invented}
    first: dict[tuple[str, ...], FrozenScore] = {}
    for score in sorted(last.values(), key=lambda each: datetime.fromisoformat(each.frozen_at)):
        first.setdefault(_asked(score), score)
    counted = [score for score in last.values() if first[_asked(score)] is score]
    repeated = (
        (apart,) * bool(others)
        + made_up
        + tuple(
            f"{_shown(score)} was made from the same table as {_shown(first[_asked(score)])} and "
            "answers the same question: the first counts, and this one does not."
            for score in last.values()
            if first[_asked(score)] is not score
        )
    )
    return replace(_tally(counted, target, split=True), repeated=repeated)


def _asked(score: FrozenScore) -> tuple[str, ...]:
    """The same for two forecasts that answer one question from one table."""
    if score.table_hash is None or score.question is None:
        return (score.sha256,)
    return (score.table_hash, score.question)


def _shown(score: FrozenScore) -> str:
    return f"{score.name} (frozen {score.frozen_at[:19]}, {score.sha256[:12]})"


def _tally(scores: list[FrozenScore], target: Estimand, *, split: bool) -> TrackRecord:
    done = [score for score in scores if score.status is ScoreStatus.SCORED]
    alike = done if len({score.unit for score in done}) == 1 else []
    losses, guesses, logs = (_column(alike, n) for n in ("crps", "no_change", "log_score"))
    hits = sum(bool(score.hit) for score in done)
    low, high = _binomial(hits, len(done))
    mean, guess = _mean(losses), _mean(guesses)
    bins = np.minimum((_column(done, "pit") * PIT_BINS).astype(int), PIT_BINS - 1)
    several = sorted({score.verdict for score in scores}) if split else []
    known = {KNOWN: [s for s in scores if s.known], NOT_KNOWN: [s for s in scores if not s.known]}
    return TrackRecord(
        n=len(done),
        target=target,
        pending=sum(score.status is ScoreStatus.PENDING for score in scores),
        refused=sum(score.status is ScoreStatus.REFUSED for score in scores),
        hits=hits,
        coverage=hits / len(done) if done else None,
        coverage_low=low,
        coverage_high=high,
        mean_crps=mean,
        crps_stderr=float(np.std(losses, ddof=1) / math.sqrt(losses.size))
        if losses.size > 1
        else None,
        mean_no_change=guess,
        skill=1 - mean / guess if mean is not None and guess else None,
        mean_log_score=_mean(logs),
        median_log_score=float(np.median(logs)) if logs.size else None,
        infinite=int(np.count_nonzero(np.isneginf(_column(done, "log_score")))),
        pit_counts=tuple(int(count) for count in np.bincount(bins, minlength=PIT_BINS)),
        by_verdict={
            verdict: _tally([s for s in scores if s.verdict is verdict], target, split=False)
            for verdict in several
        },
        known=sum(score.known for score in done),
        by_known={name: _tally(part, target, split=False) for name, part in known.items()}
        if split and known[KNOWN]
        else {},
    )


def _column(scores: list[FrozenScore], name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([getattr(score, name) for score in scores], dtype=np.float64)


def _mean(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float | None:
    return float(values.mean()) if values.size else None


def _binomial(hits: int, n: int) -> tuple[float | None, float | None]:
    """Exact (Clopper-Pearson) 90% interval of a share."""
    if n == 0:
        return None, None
    low = 0.0 if hits == 0 else float(beta.ppf(0.05, hits, n - hits + 1))
    high = 1.0 if hits == n else float(beta.ppf(0.95, hits + 1, n - hits))
    return low, high
