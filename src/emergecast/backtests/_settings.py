"""Plan a backtest: the truth, the horizon, and every setting to forecast in, as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from emergecast.backtests._ablations import ablations
from emergecast.backtests._ladder import horizon, limits
from emergecast.backtests._rows import BacktestRow, Part
from emergecast.baselines import Baseline
from emergecast.errors import FitError, OptionError
from emergecast.forecasts import Thresholds, default_thresholds, overrides
from emergecast.inference import SEED, FitOptions, fit
from emergecast.measurements import Measurements, SelectOptions, select
from emergecast.observed import IT_TAKES, Estimand, GroundTruth, ObservedCompute, ground_truths

if TYPE_CHECKING:
    from emergecast.forecasts import Override
    from emergecast.inference import Fit
    from emergecast.measurements import Selection

COMPARED = ("log-power", "power")
"""Laws of the part `laws` where none are named."""
AMOUNTS = (1.0, 2.0, 5.0, 10.0)
"""Values of D0."""
MULTIPLES = (2.0, 10.0)
"""Further values of D0, in units of the D0 of the other parts."""
PLAIN_OPTIONS = SelectOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestOptions:
    """How the backtest is done."""

    parts: tuple[Part, ...] = tuple(Part)
    rungs: int = 8
    """At most this many steps of the ladder."""
    horizons: tuple[float, ...] = ()
    """Instead of the ladder: hide checkpoints at or below this loss (nats), which is at least that
    of the weakest checkpoint above chance."""
    baselines: tuple[Baseline, ...] = tuple(Baseline)
    """Rivals on the ladder."""
    laws: tuple[str, ...] = ()
    """Laws of the part `laws`; none: that of all forecasts, and `COMPARED`."""
    rules: Mapping[str, float] = field(default_factory=dict)
    """Rule of the verdict to override, by name, in the unit of the axis; the others keep their
    default."""
    seed: int = SEED
    """Of the baselines' resampling."""
    target: Estimand = Estimand.ELBOW
    """What the truth is: the elbow of a ReLU through all few-shot scores, or their crossing of a
    bar a little above chance (docs/truth.md)."""
    stand_in: bool = False
    """Score a forecast's distribution of the elbow where it has none of the target; every row that
    this concerns says so."""

    def __post_init__(self) -> None:
        Thresholds().override(self.rules)  # so that a wrong name stops before anything is fitted
        if self.rungs < 1:
            raise OptionError(f"a ladder needs at least one rung, not {self.rungs}.")
        for loss in self.horizons:
            if not (np.isfinite(loss) and loss > 0):
                raise OptionError(f"a horizon is a loss above 0, not {loss:g}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestSetting:
    """One forecast to make, and the baselines to compare it with."""

    part: Part
    name: str
    law: str
    """Its name; a key of `Ground.laws`."""
    few_shot_examples: float
    table: Measurements | None
    """Rows to forecast from; None where the setting is not possible."""
    reason: str = ""
    rivals: tuple[Baseline, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ground:
    """What all settings share."""

    table: Measurements
    options: BacktestOptions
    rows: SelectOptions
    """Which rows of a part of the table to take."""
    fitting: FitOptions
    """How to fit them; the law is that of all parts but `laws`."""
    selection: Selection
    """Of all rows."""
    truth: GroundTruth
    """Of the target asked for."""
    other_truth: GroundTruth | None
    """Of the other one."""
    horizon: float
    at_chance: Measurements
    """Rows of the checkpoints weaker than the horizon."""
    few_shot_examples: float
    compute: ObservedCompute | None
    overridden: tuple[Override, ...] = ()
    """Rules and priors that were changed by hand."""
    known: dict[tuple[int, str, float], BacktestRow] = field(default_factory=dict)
    """Forecasts made already, by table, law and D0: the full design comes in every part."""

    @property
    def law(self) -> str:
        """Name of the law of all parts but `laws`."""
        return str(self.fitting.chosen_law)

    def fit(self, table: Measurements, law: str, few_shot_examples: float | None) -> Fit:
        """The fit of some of the rows."""
        own = law == self.law
        fitting = self.fitting if own else replace(self.fitting, law=law, weights="fixed")
        options = replace(fitting, few_shot_examples=few_shot_examples)
        return fit(table, self.rows, options, few_shot_only=True)


def ground_of(
    table: Measurements, rows: SelectOptions, fitting: FitOptions, options: BacktestOptions
) -> Ground:
    """The truth, the horizon, and the rows at chance; every option is checked here."""
    chosen = replace(rows, at_chance_only=False)
    if (chosen.axis, chosen.shift) != (PLAIN_OPTIONS.axis, PLAIN_OPTIONS.shift):
        raise OptionError(
            f"a backtest runs on loss and finetuning examples, not on axis {chosen.axis!r} and "
            f"shift {chosen.shift!r}: leave both out."
        )
    selection = select(table, chosen)
    limit, truth, other = _shown(selection, options.target)
    if Part.LADDER in options.parts:
        _refuse_horizons(options.horizons, selection, limit)
    table = _chosen(table, selection)
    chosen = replace(chosen, series=None, exclude=(), min_loss=None, max_loss=None)
    kept = replace(table, frame=table.frame.filter(pl.col("loss") > limit))
    ground = Ground(
        table=table,
        options=options,
        rows=chosen,
        fitting=fitting,
        selection=selection,
        truth=truth,
        other_truth=other,
        horizon=limit,
        at_chance=kept,
        few_shot_examples=0.0,
        compute=ObservedCompute.of(selection.rows),
    )
    first = ground.fit(kept, ground.law, fitting.few_shot_examples)
    for each in options.laws:  # so that an unknown law stops here, not half-way
        ground.fit(kept, each, fitting.few_shot_examples)
    thresholds = default_thresholds(selection.axis).override(options.rules)
    return replace(
        ground,
        few_shot_examples=first.data.few_shot_examples,
        overridden=overrides(selection, thresholds, first.priors),
    )


def _shown(selection: Selection, target: Estimand) -> tuple[float, GroundTruth, GroundTruth | None]:
    """The horizon, the truth and that by the other definition, or an error that says why not."""
    if selection.all_few_shot.is_empty():
        raise FitError(
            f"task {selection.task!r} has no few-shot rows, so nothing shows when it emerged: a "
            "backtest needs few-shot scores of checkpoints at chance and above it."
        )
    limit, truths = horizon(selection), ground_truths(selection)
    truth = truths.of(target)
    if limit is None:
        raise FitError(
            f"no checkpoint of task {selection.task!r} is above chance few-shot, so there is "
            "nothing to hide and no truth to score a forecast against: add few-shot scores of "
            "stronger checkpoints, or use `emergecast fit`."
        )
    if truth is None:
        raise FitError(
            f"the few-shot scores of task {selection.task!r} do not show where it emerged: a "
            f"ground truth takes more ({IT_TAKES}). {truths.why_not(target)}"
        )
    if not (selection.rows["loss"] > limit).any():
        raise FitError(
            f"every checkpoint of task {selection.task!r} has a loss of at most {limit:.4g} nats, "
            "that of the weakest one above chance few-shot, so none is left to forecast from: add "
            "weaker checkpoints."
        )
    other = next(truths.of(each) for each in Estimand if each is not target)
    return limit, truth, other


def _refuse_horizons(asked: Sequence[float], selection: Selection, limit: float) -> None:
    """An error where a horizon lets the answer through, or where none keeps any checkpoint."""
    weakest = float(selection.rows["loss"].max())  # type: ignore[arg-type]
    of = f"task {selection.task!r}, series {', '.join(selection.series)}"
    for loss in sorted(asked):
        if loss < limit:
            raise OptionError(
                f"--horizon {loss:g} keeps checkpoints that are above chance few-shot, so the "
                f"forecast would see what it should predict: the horizon of {of} is "
                f"{_at_least(limit)} nats, the loss of the weakest checkpoint above chance. Give "
                "that or a higher loss, or leave --horizon out."
            )
    if asked and min(asked) >= weakest:
        raise OptionError(
            f"--horizon {min(asked):g} keeps no checkpoint, so there is nothing to forecast from: "
            f"the highest loss of {of} is {weakest:.4g} nats. Give a loss from {_at_least(limit)} "
            "up to below that, or leave --horizon out."
        )


def _at_least(loss: float) -> str:
    """The loss in four decimals, or in all of them where rounding makes it lower."""
    short = f"{loss:.4f}"
    return short if float(short) >= loss else repr(loss)


def _chosen(table: Measurements, selection: Selection) -> Measurements:
    """The table without checkpoints that were not selected, so that no option must find them."""
    key = ["series", "checkpoint"]
    frame = table.frame.join(selection.rows.select(key).unique(), on=key, how="semi")
    return replace(table, frame=frame)


def _hidden(table: Measurements, limit: float) -> Measurements | None:
    """The table without checkpoints at or below a loss; None where none is left."""
    frame = table.frame.filter(pl.col("loss") > limit)
    return None if frame.is_empty() else replace(table, frame=frame)


def settings_of(ground: Ground) -> Iterator[BacktestSetting]:
    """Every setting of the parts asked for, in their order."""
    parts = {
        Part.LADDER: _ladder,
        Part.ABLATIONS: _ablations,
        Part.LAWS: _laws,
        Part.D0: _amounts,
    }
    for part in Part:
        if part in ground.options.parts:
            yield from parts[part](ground)


def _ladder(ground: Ground) -> Iterator[BacktestSetting]:
    options = ground.options
    asked = tuple(sorted(set(options.horizons)))
    steps = asked or limits(ground.selection, ground.horizon, options.rungs)
    for limit in steps:
        kept = ground.at_chance if limit == ground.horizon else _hidden(ground.table, limit)
        yield BacktestSetting(
            part=Part.LADDER,
            name=f"loss above {limit:.4f}",
            law=ground.law,
            few_shot_examples=ground.few_shot_examples,
            table=kept,
            reason="" if kept else "Not possible: no checkpoint has a higher loss.",
            rivals=options.baselines,
        )


def _ablations(ground: Ground) -> Iterator[BacktestSetting]:
    whole = select(ground.at_chance, ground.rows)
    for design in ablations(whole):
        kept: Measurements | None = ground.at_chance
        if design.reason is not None:
            kept = None
        elif design.keep is not None:
            kept = replace(ground.at_chance, frame=ground.at_chance.frame.filter(design.keep))
        yield BacktestSetting(
            part=Part.ABLATIONS,
            name=design.name,
            law=ground.law,
            few_shot_examples=ground.few_shot_examples,
            table=kept,
            reason=design.reason or "",
        )


def _laws(ground: Ground) -> Iterator[BacktestSetting]:
    for law in dict.fromkeys((ground.law, *(ground.options.laws or COMPARED))):
        yield BacktestSetting(
            part=Part.LAWS,
            name=law,
            law=law,
            few_shot_examples=ground.few_shot_examples,
            table=ground.at_chance,
        )


def _amounts(ground: Ground) -> Iterator[BacktestSetting]:
    base = ground.few_shot_examples
    rows = select(ground.at_chance, ground.rows).rows
    amounts = rows["examples"].drop_nulls().cast(pl.Float64).to_numpy()
    smallest = float(amounts.min(initial=np.inf))
    names = {value: f"D0 = {value:g}" for value in sorted({*AMOUNTS, base})}
    names |= {
        factor * base: f"D0 = {factor * base:g} ({factor:g} x {base:g})" for factor in MULTIPLES
    }
    for value, name in sorted(names.items()):
        possible = 1 <= value <= smallest
        yield BacktestSetting(
            part=Part.D0,
            name=name,
            law=ground.law,
            few_shot_examples=value,
            table=ground.at_chance if possible else None,
            reason=f"Not possible: the smallest finetuning amount is {smallest:g}.",
        )
