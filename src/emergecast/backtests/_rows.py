"""What a backtest found: one record per forecast or guess, sums over them, and skill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from emergecast.baselines import REFERENCES, Baseline
from emergecast.measurements import marked
from emergecast.observed import Estimand
from emergecast.records import as_json, finite
from emergecast.track_record import skill_over

if TYPE_CHECKING:
    from emergecast.forecasts import Override
    from emergecast.observed import GroundTruth

FORECAST = "forecast"
"""Name of the forecast among the forecasters; the others are baselines."""


RIVALS = (*REFERENCES, Baseline.PRIOR)
"""Baselines that skill is measured over."""


class Part(StrEnum):
    """What a row varies."""

    LADDER = "ladder"
    """How many of the strongest checkpoints are hidden."""
    ABLATIONS = "ablations"
    """The experimental design."""
    LAWS = "laws"
    """The emergence law."""
    D0 = "d0"
    """The amount of data at which the few-shot elbow is read off."""


class BacktestOutcome(StrEnum):
    """How a row ended."""

    SCORED = "scored"
    """There is a distribution, and it was scored against the truth."""
    REFUSED = "refused"
    """The forecast was refused by its verdict, so there is nothing to score."""
    NOT_DEFINED = "not defined"
    """The baseline has nothing to go by, or the forecast has no distribution of the target."""
    NOT_POSSIBLE = "not possible"
    """The table does not allow the setting."""
    FAILED = "failed"
    """No estimate exists; the reasons hold the error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestRow:
    """One forecaster in one setting; losses in nats, None where there is nothing to say."""

    part: Part
    setting: str
    """What was varied, in words."""
    forecaster: str
    """"forecast", or the name of a baseline."""
    law: str | None
    """Law of the forecast; None for a baseline."""
    few_shot_examples: float
    """D0."""
    outcome: BacktestOutcome
    target: Estimand = Estimand.ELBOW
    """What the truth is that it is scored against."""
    stands_in: bool = False
    """Whether a distribution of the elbow was scored against another target, as asked for."""
    verdict: str | None = None
    reasons: tuple[str, ...] = ()
    n_rows: int | None = None
    n_checkpoints: int | None = None
    n_amounts: int | None = None
    strongest_loss: float | None = None
    """Loss of the strongest checkpoint kept."""
    ahead_nats: float | None = None
    """Strongest loss kept minus the truth: how far ahead the truth lies."""
    ahead_flops: float | None = None
    """FLOPs at the truth over FLOPs at the strongest loss kept."""
    p05: float | None = None
    p50: float | None = None
    p95: float | None = None
    flops_p05: float | None = None
    """Training FLOPs of the elbow by the forecast's own conversion; None where it has none, or no
    run reaches the elbow, and for baselines."""
    flops_p50: float | None = None
    flops_p95: float | None = None
    error: float | None = None
    """Median minus truth."""
    covered: bool | None = None
    """Whether p05 <= truth <= p95."""
    crps: float | None = None
    """Continuous ranked probability score, nats; lower is better."""
    log_score: float | None = None
    """Natural log of the density per nat at the truth; minus infinity where that is 0."""
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Sums over the rows of one forecaster in one part."""

    part: Part
    forecaster: str
    rows: int
    scored: int
    refused: int
    """Refused forecasts, or baselines that are not defined."""
    not_possible: int
    failed: int
    covered: int
    identified: int
    identified_off_by_tenth: int
    """Identified forecasts with |error| > 0.1 nats."""
    off_by_tenth: int
    """Scored rows with |error| > 0.1 nats."""
    off_by_half: int
    """Scored rows with |error| > 0.5 nats."""
    mean_crps: float | None
    median_absolute_error: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Skill:
    """How much better than a rival, over the rungs of the ladder where both are scored.

    Without a standard error: all rungs share one truth, so one table is one example.
    """

    forecaster: str
    against: str
    rungs: int
    value: float
    """1 - mean CRPS / mean CRPS of the rival: 1 is perfect, 0 as good as the rival, below 0
    worse."""
    per_rung: float
    """Mean of ln(CRPS of the rival / CRPS), each capped: above 0 better, 0.69 is half the
    rival's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """Forecasts from part of a table, scored against what all of it shows."""

    task: str
    metric: str
    series: tuple[str, ...]
    truth: GroundTruth
    """What all few-shot scores show, by the definition that forecasts are scored against."""
    other_truth: GroundTruth | None = None
    """What they show by the other definition; None where they do not."""
    horizon: float
    """Loss of the weakest checkpoint above chance few-shot, nats."""
    law: str
    """Law of the ladder, the ablations and the D0 rows."""
    few_shot_examples: float
    """D0 of all parts but D0."""
    overridden: tuple[Override, ...]
    """Rules of the verdict and priors that were changed by hand."""
    rows: tuple[BacktestRow, ...]
    warnings: tuple[str, ...]
    invented: bool
    """Whether any score was made up, by a rehearsal or a simulation."""
    table_hash: str

    @property
    def title(self) -> str:
        """Task and series."""
        series = ", ".join(self.series)
        name = f"{self.task} ({series})" if len(series) <= 40 else self.task
        return marked(name, invented=self.invented)

    @property
    def subtitle(self) -> str:
        """Truth, law and D0 in a few words."""
        truth = self.truth
        return (
            f"few-shot {truth.target} measured at {truth.loss:.3f} nats (90% {truth.p05:.3f} to "
            f"{truth.p95:.3f}); {self.law} law, D0 = {self.few_shot_examples:g}"
            + "".join(f"; changed: {each.kind} {each.name}" for each in self.overridden)
        )

    @property
    def tallies(self) -> tuple[Tally, ...]:
        """Sums by part and forecaster, in the order of the rows."""
        keys = dict.fromkeys((row.part, row.forecaster) for row in self.rows)
        return tuple(_tally(part, name, self._of(part, name)) for part, name in keys)

    @property
    def skill(self) -> tuple[Skill, ...]:
        """Skill on the ladder of the forecast and of each baseline, over each of `RIVALS`.

        Empty where no rung has both sides scored.
        """
        names = dict.fromkeys(row.forecaster for row in self.rows if row.part is Part.LADDER)
        found = [
            _skill(name, str(rival), self._of(Part.LADDER, name), self._of(Part.LADDER, rival))
            for name in names
            for rival in RIVALS
            if name != rival
        ]
        return tuple(each for each in found if each is not None)

    def _of(self, part: Part, forecaster: str) -> list[BacktestRow]:
        return [row for row in self.rows if row.part is part and row.forecaster == forecaster]

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold; a log score of minus infinity is None."""
        from importlib.metadata import version

        rows = tuple(replace(row, log_score=finite(row.log_score)) for row in self.rows)
        return {
            **as_json(replace(self, rows=rows)),
            "tallies": as_json(self.tallies),
            "skill": as_json(self.skill),
            "version": version("emergecast"),
        }

    def to_frame(self) -> pl.DataFrame:
        """One row per record, in the fields of `BacktestRow`; reasons joined into one text."""
        texts = {"part", "setting", "forecaster", "law", "outcome", "target", "verdict", "reasons"}
        counts = {"n_rows", "n_checkpoints", "n_amounts"}
        schema: dict[str, pl.DataType] = {
            name: pl.String()
            if name in texts
            else pl.Int64()
            if name in counts
            else pl.Boolean()
            if name in {"covered", "stands_in"}
            else pl.Float64()
            for name in BacktestRow.__slots__
        }
        records = [{**asdict(row), "reasons": " ".join(row.reasons)} for row in self.rows]
        return pl.DataFrame(records, schema=schema)

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{each.forecaster} {each.value:+.2f}"
            for each in self.skill
            if each.against == Baseline.CUT_PRIOR and each.forecaster == FORECAST
        )
        return (
            f"Backtest({self.title}: {self.truth.target} {self.truth.loss:.3f} nats, "
            f"{len(self.rows)} rows" + (f", skill over the cut prior: {shown})" if shown else ")")
        )


def _tally(part: Part, forecaster: str, rows: Sequence[BacktestRow]) -> Tally:
    scored = [row for row in rows if row.outcome is BacktestOutcome.SCORED]
    errors = np.abs([row.error for row in scored if row.error is not None])
    scores = [row.crps for row in scored if row.crps is not None]

    def count(*outcomes: BacktestOutcome) -> int:
        return sum(row.outcome in outcomes for row in rows)

    return Tally(
        part=part,
        forecaster=forecaster,
        rows=len(rows),
        scored=len(scored),
        refused=count(BacktestOutcome.REFUSED, BacktestOutcome.NOT_DEFINED),
        not_possible=count(BacktestOutcome.NOT_POSSIBLE),
        failed=count(BacktestOutcome.FAILED),
        covered=sum(row.covered is True for row in scored),
        identified=sum(row.verdict == "identified" for row in scored),
        identified_off_by_tenth=sum(
            row.verdict == "identified" and abs(row.error or 0.0) > 0.1 for row in scored
        ),
        off_by_tenth=int(np.sum(errors > 0.1)),
        off_by_half=int(np.sum(errors > 0.5)),
        mean_crps=float(np.mean(scores)) if scores else None,
        median_absolute_error=float(np.median(errors)) if errors.size else None,
    )


def _skill(
    name: str, rival: str, rows: Sequence[BacktestRow], rivals: Sequence[BacktestRow]
) -> Skill | None:
    theirs = {row.setting: row.crps for row in rivals if row.crps is not None}
    pairs = [
        (row.crps, theirs[row.setting])
        for row in rows
        if row.crps is not None and row.setting in theirs
    ]
    found = skill_over({"": pairs})
    if found is None:
        return None
    return Skill(
        forecaster=name,
        against=rival,
        rungs=found.rungs,
        value=found.value,
        per_rung=found.per_rung,
    )
