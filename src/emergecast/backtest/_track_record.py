"""Frozen forecasts held against what came later, and the tally over many of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from scipy.stats import beta

from emergecast.backtest._baselines import FREEDOM, NEAREST, SHARE, StudentT
from emergecast.backtest._truth import ground_truth
from emergecast.errors import FrozenError, OptionError, SelectionError
from emergecast.forecast import ROW_KEY, Verdict, crps, log_score, pit, printed_rows
from emergecast.measurements import read_table, select

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emergecast.forecast import FrozenForecast
    from emergecast.measurements import Selection

PIT_BINS = 10


class ScoreStatus(StrEnum):
    """Whether a frozen forecast could be scored."""

    SCORED = "scored"
    PENDING = "pending"
    """The truth is not visible yet."""
    REFUSED = "refused"
    """The forecast was refused when it was frozen, so there is nothing to score; it counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenScore:
    """How one frozen forecast fared; losses in nats, or all in the unit of its axis."""

    name: str
    """Task and series."""
    verdict: Verdict
    status: ScoreStatus
    reason: str
    """What the status rests on, in one sentence."""
    frozen_at: str
    sha256: str
    """Of the frozen forecast."""
    unit: str = "nats"
    """Of every loss and of the CRPS; the log score is per this unit."""
    truth: float | None = None
    """The few-shot elbow that came true; None while it is not visible, or was refused."""
    truth_p05: float | None = None
    truth_p95: float | None = None
    """90% interval of the truth itself; None where the truth was given by hand."""
    p05: float | None = None
    p50: float | None = None
    p95: float | None = None
    hit: bool | None = None
    """Whether the 90% interval holds the truth."""
    crps: float | None = None
    """Nats; lower is better."""
    log_score: float | None = None
    """Ln of the density per nat at the truth; higher is better; may be minus infinity."""
    pit: float | None = None
    no_change: float | None = None
    """CRPS of the no-change baseline: the elbow is at the strongest checkpoint seen, roughly."""
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The score as plain values; a log score of minus infinity is the text "-Infinity"."""
        record = asdict(self)
        record["warnings"] = list(self.warnings)
        if self.log_score == -math.inf:
            record["log_score"] = "-Infinity"
        return record

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> FrozenScore:
        """The score that `to_dict` wrote.

        Raises:
            FrozenError: a key is missing or unknown, or a value is not one of its set.
        """
        try:
            kept = {
                **record,
                "verdict": Verdict(record["verdict"]),
                "status": ScoreStatus(record["status"]),
                "warnings": tuple(record.get("warnings", ())),
            }
            if record.get("log_score") == "-Infinity":
                kept["log_score"] = -math.inf
            return cls(**kept)
        except (KeyError, TypeError, ValueError) as error:
            raise FrozenError(
                f"a line of the tally is not a score ({error}). Lines come from "
                "`emergecast score --tally FILE`; start a new file."
            ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackRecord:
    """The track record of many frozen forecasts. Means are over the scored ones.

    CRPS and log scores of several units have no mean: there those figures are None.
    """

    n: int
    """Scored."""
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

    def to_dict(self) -> dict[str, Any]:
        """The tally as plain values; minus infinity is the text "-Infinity"."""
        record: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        record["pit_counts"] = list(self.pit_counts)
        record["by_verdict"] = {str(k): each.to_dict() for k, each in self.by_verdict.items()}
        for name in ("mean_log_score", "median_log_score"):
            if record[name] == -math.inf:
                record[name] = "-Infinity"
        return record


def score_frozen(
    frozen: FrozenForecast,
    table: object = None,
    *,
    truth: float | None = None,
    chance: float | None = None,
) -> FrozenScore:
    """How a frozen forecast fares against later measurements, or against a given truth.

    The truth is `ground_truth` of the rows that the forecast was made from and all later few-shot
    rows of the same series: what hid strong checkpoints (`at_chance_only`, `min_loss`) is dropped.

    Args:
        frozen: the forecast.
        table: what `read_table` takes, with the later checkpoints in it.
        truth: the few-shot elbow in nats, where it is known from elsewhere.
        chance: chance level of the rows that state none.

    Raises:
        SelectionError: the table has no rows of the frozen task and series.
        OptionError: neither a table nor a truth, or a truth that is not a loss.
    """
    if table is None and truth is None:
        raise OptionError("scoring needs a later table, or --truth with the elbow in nats.")
    if truth is not None and not (math.isfinite(truth) and (truth > 0 or frozen.unit != "nats")):
        raise OptionError(f"--truth takes an elbow in {frozen.unit}, not {truth!r}.")
    later = None if table is None else _later(frozen, table, chance)
    warnings = () if later is None else _warnings(frozen, later)
    low = high = None
    if truth is None and later is not None:
        found = ground_truth(later)
        if found is not None:
            truth = later.axis.to_axis(found.elbow)
            low, high = sorted(map(later.axis.to_axis, (found.p05, found.p95)))
    if truth is None or frozen.elbow is None:
        return _unscored(frozen, later, truth, warnings)
    return FrozenScore(
        **_identity(frozen),
        status=ScoreStatus.SCORED,
        reason=_came_true(frozen.unit, truth, low, high),
        truth=truth,
        truth_p05=low,
        truth_p95=high,
        hit=_quantile(frozen, "p05") <= truth <= _quantile(frozen, "p95"),
        crps=crps(frozen, truth),
        log_score=log_score(frozen, truth),
        pit=pit(frozen, truth),
        no_change=crps(_no_change(frozen), truth),
        warnings=warnings,
    )


def track_record(scores: Sequence[FrozenScore]) -> TrackRecord:
    """The track record over many forecasts; the last score of each frozen forecast counts."""
    last = {score.sha256: score for score in scores}
    return _tally(list(last.values()), split=True)


# --------------------------------------------------------------------------------------- one score


def _later(frozen: FrozenForecast, table: object, chance: float | None) -> Selection:
    options = replace(frozen.options, at_chance_only=False)
    if frozen.higher_is_stronger:
        options = replace(options, max_loss=None)
    else:
        options = replace(options, min_loss=None)
    try:
        rows = read_table(table, chance=chance, axis=options.axis, shift=options.shift)
        return select(rows, options)
    except SelectionError as error:
        raise SelectionError(
            f"the later table does not hold what {frozen.name} was frozen for: {error}"
        ) from None


def _identity(frozen: FrozenForecast) -> dict[str, Any]:
    elbow = frozen.elbow or {}
    return {
        "name": frozen.name,
        "verdict": frozen.verdict,
        "frozen_at": frozen.frozen_at.isoformat(),
        "sha256": frozen.sha256,
        "unit": frozen.unit,
        **{name: elbow.get(name) for name in ("p05", "p50", "p95")},
    }


def _unscored(
    frozen: FrozenForecast, later: Selection | None, truth: float | None, warnings: tuple[str, ...]
) -> FrozenScore:
    refused = frozen.elbow is None
    return FrozenScore(
        **_identity(frozen),
        status=ScoreStatus.REFUSED if refused else ScoreStatus.PENDING,
        reason=f"It was refused: {frozen.forecast['reasons'][0]}"
        if refused
        else _not_yet(frozen, later),
        truth=truth,
        warnings=warnings,
    )


def _came_true(unit: str, truth: float, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return f"The few-shot elbow is {truth:.3f} {unit}, as given."
    return f"The few-shot elbow came at {truth:.3f} {unit} ({low:.3f} to {high:.3f})."


def _not_yet(frozen: FrozenForecast, later: Selection | None) -> str:
    """Why the truth is not visible, and what the forecast said of the models there are."""
    few_shot = None if later is None else later.all_few_shot
    if later is None or few_shot is None or few_shot.is_empty():
        return "The later table has no few-shot scores; the truth is read off those."
    strongest = later.axis.to_axis(min(few_shot["loss"].to_list()))
    below = float(frozen.cumulative(strongest))
    said = below if frozen.higher_is_stronger else 1 - below
    return (
        "The few-shot scores do not show an elbow yet: it takes five, and three above chance. The "
        f"strongest stands at {strongest:.3f} {frozen.unit}, and the forecast gave a model there a "
        f"probability of {said:.0%} to have emerged."
    )


def _no_change(frozen: FrozenForecast) -> StudentT:
    """The baseline of `baselines`, from what was frozen."""
    losses = np.unique([row["loss"] for row in frozen.content["rows"]])
    losses = -losses[::-1] if frozen.higher_is_stronger else losses
    gap = float(np.mean(np.diff(losses[:NEAREST])))
    scale = math.hypot(SHARE * float(frozen.forecast["loss_spread"]), gap)
    return StudentT(centre=_strongest(frozen), scale=scale, freedom=FREEDOM)


def _strongest(frozen: FrozenForecast) -> float:
    return float(frozen.forecast["strongest_loss"])


def _quantile(frozen: FrozenForecast, name: str) -> float:
    value = (frozen.elbow or {}).get(name)
    assert value is not None  # noqa: S101  a forecast with an elbow has its quantiles
    return value


def _warnings(frozen: FrozenForecast, later: Selection) -> tuple[str, ...]:
    """What makes this less than a fair test: rows that changed or went, no new checkpoint."""
    found = _changed_rows(frozen, printed_rows(later))
    hidden = frozen.forecast.get("hidden") or ()
    limit = later.axis.from_axis(_strongest(frozen))
    stronger = later.all_few_shot.filter(pl.col("loss") < limit)
    if later.table_hash == frozen.table_hash:
        found.append("This is the table the forecast was made from: a backtest, not a forecast.")
    elif hidden:
        found.append(
            f"The table frozen upon already held {len(hidden)} later checkpoints, which the "
            "forecast did not use: in part a backtest."
        )
    if stronger.is_empty():
        found.append(
            "No few-shot score in the later table is of a stronger checkpoint than the forecast "
            f"saw ({_strongest(frozen):.3f} {frozen.unit})."
        )
    return tuple(found)


def _changed_rows(frozen: FrozenForecast, rows: list[dict[str, Any]]) -> list[str]:
    """Sentences on rows that the forecast used and that differ, or are gone, in the later table."""
    later = {_entry(row) for row in rows}
    present = {entry[0] for entry in later}
    changed: list[str] = []
    gone: list[str] = []
    for row in frozen.content["rows"]:
        entry = _entry(row)
        if entry not in later:
            (changed if entry[0] in present else gone).append(str(row["checkpoint"]))
    total = len(frozen.content["rows"])
    what = {
        "have another loss or score in the later table": changed,
        "are not in the later table": gone,
    }
    return [
        f"{len(names)} of the {total} rows the forecast used {sentence} "
        f"({', '.join(sorted(set(names))[:4])}{' ...' if len(set(names)) > 4 else ''})."
        for sentence, names in what.items()
        if names
    ]


def _entry(row: dict[str, Any]) -> tuple[tuple[object, ...], float, float]:
    """Which measurement a row is, its loss and its score."""
    key = tuple(_rounded(v) if isinstance(v, float) else v for v in (row[name] for name in ROW_KEY))
    return key, _rounded(row["loss"]), _rounded(row["score"])


def _rounded(value: float) -> float:
    """Nine significant digits, so that a table rewritten by another program is the same table."""
    return float(f"{value:.9g}")


# --------------------------------------------------------------------------------------- the tally


def _tally(scores: list[FrozenScore], *, split: bool) -> TrackRecord:
    done = [score for score in scores if score.status is ScoreStatus.SCORED]
    alike = done if len({score.unit for score in done}) == 1 else []
    losses, guesses, logs = (_column(alike, n) for n in ("crps", "no_change", "log_score"))
    hits = sum(bool(score.hit) for score in done)
    low, high = _binomial(hits, len(done))
    mean, guess = _mean(losses), _mean(guesses)
    bins = np.minimum((_column(done, "pit") * PIT_BINS).astype(int), PIT_BINS - 1)
    several = sorted({score.verdict for score in scores}) if split else []
    return TrackRecord(
        n=len(done),
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
            verdict: _tally([s for s in scores if s.verdict is verdict], split=False)
            for verdict in several
        },
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
