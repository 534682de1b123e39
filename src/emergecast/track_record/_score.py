"""Frozen forecasts scored against what came later."""

from __future__ import annotations

import math
import sys
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from emergecast.baselines import FREEDOM, NEAREST, SHARE, StudentT
from emergecast.errors import FrozenError, OptionError
from emergecast.forecasts import NoDistribution, Verdict, to_score
from emergecast.observed import Estimand, ground_truths
from emergecast.records import misfits
from emergecast.track_record._check_score import ScoreStatus
from emergecast.track_record._later import (
    BACKTEST,
    PARTLY,
    known_already,
    later_rows,
    strongest_of,
    warnings_of,
)
from emergecast.track_record._proper_scores import crps, log_score, pit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emergecast.measurements import Selection
    from emergecast.observed import GroundTruth, GroundTruths
    from emergecast.track_record._frozen import FrozenForecast


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenScore:
    """How one frozen forecast did; losses in nats, or all in the unit of its axis."""

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
    target: Estimand = Estimand.ELBOW
    """Which point of the few-shot curve the truth is; lines without it are of the elbow."""
    stands_in: bool = False
    """Whether a distribution of the elbow was scored against another target, as asked for."""
    truth: float | None = None
    """The point that came true; None while it is not visible, or was refused."""
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
    known: bool = False
    """Whether the table it was frozen on held later checkpoints already, as in a backtest."""
    warnings: tuple[str, ...] = ()
    table_hash: str | None = None
    """Of the table that the forecast was made from; None in a line of version 0.1.0."""
    question: str | None = None
    """What was asked, whatever it was answered from; None as above."""
    signed_by: str | None = None
    """Who signed the frozen file, where that was checked."""
    invented: bool = False
    """Whether the scores behind it were made up: no tally counts it."""

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
            FrozenError: a key is missing or unknown, or a value is not what it must be.
        """
        plain: dict[str, Any] = dict(record)
        if plain.get("log_score") == "-Infinity":
            plain["log_score"] = -MAX
        unknown = plain.keys() - {each.name for each in fields(cls)}
        problems = [f"it has a key {name!r}, which is not one of a score" for name in unknown]
        problems += misfits(cls, plain, needed=lambda _: True)
        if problems:
            raise FrozenError(
                f"a line of the tally is not a score ({'; '.join(problems[:3])}). Lines come from "
                "`emergecast score --tally FILE`; take the file as it was written, or start a new "
                "one."
            )
        kept = {
            **plain,
            "verdict": Verdict(plain["verdict"]),
            "status": ScoreStatus(plain["status"]),
            "target": Estimand(plain.get("target", Estimand.ELBOW)),
            "warnings": tuple(plain.get("warnings", ())),
            "known": plain["known"] if "known" in plain else _warned_of_known(plain),
        }
        if plain.get("log_score") == -MAX:
            kept["log_score"] = -math.inf
        return cls(**kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """What a frozen forecast is scored against."""

    target: Estimand = Estimand.ELBOW
    """Which point of the few-shot curve."""
    stand_in: bool = False
    """Score the distribution of the elbow where there is none of the target; the score says so."""


ELBOW = Against()
MAX = sys.float_info.max
"""Stands for infinity while a record is checked as JSON, which has none."""


def score_frozen(
    frozen: FrozenForecast,
    table: object = None,
    *,
    truth: float | None = None,
    chance: float | None = None,
    ignore_filters: bool = False,
    against: Against = ELBOW,
) -> FrozenScore:
    """How a frozen forecast did against later measurements, or against a given truth.

    The truth is `ground_truths` of the rows that the forecast was made from and all later few-shot
    rows of the same series: what hid strong checkpoints (`at_chance_only`, `min_loss`) is dropped.
    `where` and `exclude` are kept unless asked otherwise, since they may choose the kind of model.

    Args:
        frozen: the forecast.
        table: what `read_table` takes, with the later checkpoints in it.
        truth: the target in the unit of the forecast (nats on the axis of loss), where it is known
            from elsewhere; it goes before that of the table.
        chance: chance level of the rows that state none.
        ignore_filters: drop the `where` and `exclude` that the forecast was frozen with.
        against: which point of the few-shot curve came true, and whether the forecast's elbow may
            stand in for it.

    Raises:
        SelectionError: the table has no rows of the frozen task and series.
        OptionError: neither a table nor a truth, a truth that is not a value of the axis, or a
            forecast that has no distribution of the target.
    """
    _refuse_no_truth(table, truth, frozen.unit)
    scored = to_score(frozen, against.target, stand_in=against.stand_in)
    own = frozen.distribution_of(against.target)
    if isinstance(scored, NoDistribution) and frozen.interval is not None:
        raise OptionError(f"{frozen.name}: {scored.reason}")
    interval, later, shown, found = frozen.interval, None, None, None
    if table is None:
        warnings = warnings_of(frozen, None)
    else:
        later, filtered = later_rows(frozen, table, chance, ignore_filters=ignore_filters)
        if later.chance_doubt is None:
            shown = ground_truths(later).on(later.axis)
            found = shown.of(against.target)
        warnings = (*warnings_of(frozen, later), *filtered)
    low = high = None
    if truth is None and found is not None:
        truth, low, high = found.loss, found.p05, found.p95
    elif truth is not None and found is not None:
        warnings += _differ(truth, found, frozen.unit)
    if interval is not None and isinstance(own, NoDistribution):
        warnings += (_STANDS_IN.format(against.target),)
    known = truth is not None and known_already(frozen, later, found)
    if truth is None or interval is None or isinstance(scored, NoDistribution):
        bare = _unscored(frozen, later, shown, against.target)
        return replace(bare, truth=truth, known=known, warnings=warnings)
    return FrozenScore(
        **_identity(frozen),
        status=ScoreStatus.SCORED,
        reason=_came_true(against.target, frozen.unit, truth, low, high),
        target=against.target,
        stands_in=isinstance(own, NoDistribution),
        truth=truth,
        truth_p05=low,
        truth_p95=high,
        hit=interval[0] <= truth <= interval[1],
        crps=crps(scored, truth),
        log_score=log_score(scored, truth),
        pit=pit(scored, truth),
        no_change=crps(_no_change(frozen), truth),
        known=known,
        warnings=warnings,
    )


# --------------------------------------------------------------------------------------- one score


def _refuse_no_truth(table: object, truth: float | None, unit: str) -> None:
    if table is None and truth is None:
        raise OptionError(f"scoring needs a later table, or --truth with the elbow in {unit}.")
    if truth is not None and not (math.isfinite(truth) and (truth > 0 or unit != "nats")):
        raise OptionError(f"--truth takes an elbow in {unit}, not {truth!r}.")


def _identity(frozen: FrozenForecast) -> dict[str, Any]:
    elbow = frozen.elbow or {}
    return {
        "name": frozen.name,
        "verdict": frozen.verdict,
        "frozen_at": frozen.frozen_at.isoformat(),
        "sha256": frozen.sha256,
        "unit": frozen.unit,
        "table_hash": frozen.table_hash,
        "question": frozen.question,
        "signed_by": frozen.signed_by,
        "invented": frozen.invented,
        **{name: elbow.get(name) for name in ("p05", "p50", "p95")},
    }


def _unscored(
    frozen: FrozenForecast,
    later: Selection | None,
    shown: GroundTruths | None,
    target: Estimand,
) -> FrozenScore:
    refused = frozen.elbow is None
    return FrozenScore(
        **_identity(frozen),
        status=ScoreStatus.REFUSED if refused else ScoreStatus.PENDING,
        reason=f"It was refused: {frozen.forecast['reasons'][0]}"
        if refused
        else _not_yet(frozen, later, shown, target),
        target=target,
    )


def _warned_of_known(record: Mapping[str, Any]) -> bool:
    """Whether a line written before there was a field for it warns that the answer was known."""
    texts = [str(text) for text in record.get("warnings", ())]
    known = any(words in text for text in texts for words in (BACKTEST, PARTLY))
    return record.get("truth") is not None and known


_STANDS_IN = (
    "The forecast is of the elbow, and it is scored against the {}, as --stand-in asks for: the "
    "two are different points of one curve."
)


def _differ(truth: float, found: GroundTruth, unit: str) -> tuple[str, ...]:
    """A warning where the truth given by hand is not the one that the table shows."""
    if f"{truth:.3f}" == f"{found.loss:.3f}":
        return ()
    text = (
        f"The later table shows a few-shot {found.target} of its own at {found.loss:.3f} {unit} "
        f"(90% {found.p05:.3f} to {found.p95:.3f}), and --truth says {truth:.3f}: the score is "
        "against --truth. Leave it out to score against the table."
    )
    return (text,)


def _came_true(
    target: Estimand, unit: str, truth: float, low: float | None, high: float | None
) -> str:
    if low is None or high is None:
        return f"The few-shot {target} is {truth:.3f} {unit}, as given."
    return f"The few-shot {target} came at {truth:.3f} {unit} ({low:.3f} to {high:.3f})."


def _not_yet(
    frozen: FrozenForecast, later: Selection | None, shown: GroundTruths | None, target: Estimand
) -> str:
    """Why the truth is not visible, and what the forecast said of the models there are."""
    few_shot = None if later is None else later.all_few_shot
    if later is None or few_shot is None or few_shot.is_empty():
        return "The later table has no few-shot scores; the truth is read off those."
    if later.chance_doubt is not None:
        return f"Nobody can say when these scores left chance. {later.chance_doubt.sentence}"
    strongest = later.axis.to_axis(min(few_shot["loss"].to_list()))
    below = float(frozen.cumulative(strongest))
    said = below if frozen.higher_is_stronger else 1 - below
    why = None if shown is None else shown.why_not(target)
    return (
        f"{why or ''} The strongest stands at {strongest:.3f} {frozen.unit}, and the forecast gave "
        f"a model there a probability of {said:.0%} to have emerged."
    )


def _no_change(frozen: FrozenForecast) -> StudentT:
    """The baseline of `baselines`, from what was frozen."""
    losses = np.unique([row["loss"] for row in frozen.content["rows"]])
    losses = -losses[::-1] if frozen.higher_is_stronger else losses
    gap = float(np.mean(np.diff(losses[:NEAREST])))
    scale = math.hypot(SHARE * float(frozen.forecast["loss_spread"]), gap)
    return StudentT(centre=strongest_of(frozen), scale=scale, freedom=FREEDOM)
