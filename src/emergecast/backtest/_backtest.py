"""Run a backtest: plan every setting first, then forecast and score one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from emergecast.backtest._ablations import ablations
from emergecast.backtest._baselines import Baseline, Guess, baselines
from emergecast.backtest._ladder import Compute, horizon, limits
from emergecast.backtest._rows import FORECAST, Backtest, BacktestRow, Outcome, Part
from emergecast.backtest._truth import GroundTruth, ground_truth
from emergecast.errors import FitError, OptionError, SelectionError
from emergecast.fit import SEED, fit
from emergecast.forecast import Verdict, crps, log_score
from emergecast.measurements import Measurements, SelectOptions, read_table, select

if TYPE_CHECKING:
    from emergecast.fit import Fit
    from emergecast.forecast import LossDistribution, Thresholds
    from emergecast.measurements import Selection

PLAIN = "log-power"
COMPARED = ("log-power", "power")
"""Laws of the part `laws` where none are named."""
AMOUNTS = (1.0, 2.0, 5.0, 10.0)
"""Values of D0."""
MULTIPLES = (2.0, 10.0)
"""Further values of D0, in units of the D0 of the other parts."""
CONTINUOUS = ("logprob", "log_prob", "loglikelihood", "log_likelihood", "brier_score")
"""Metrics that two-step takes, the first that the table has."""
FAILURES = (FitError, SelectionError, ArithmeticError, np.linalg.LinAlgError)

OnRow = Callable[[int, int, BacktestRow], None]
"""Called after each row with the settings done, the settings in all, and the row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestOptions:
    """What to try, and with which priors and rules."""

    parts: tuple[Part, ...] = tuple(Part)
    rungs: int = 8
    """At most this many rungs of the ladder."""
    horizons: tuple[float, ...] = ()
    """Hide checkpoints at or below each of these losses (nats) instead of a ladder."""
    baselines: tuple[Baseline, ...] = tuple(Baseline)
    """Rivals on the ladder."""
    few_shot_examples: float | None = None
    """D0; None: as `fit` chooses at the horizon."""
    priors: Mapping[str, float] = field(default_factory=dict)
    """Prior scales to override, by name."""
    thresholds: Thresholds | None = None
    seed: int = SEED
    """Of the baselines' resampling."""

    def __post_init__(self) -> None:
        if self.rungs < 1:
            raise OptionError(f"a ladder needs at least one rung, not {self.rungs}.")
        for loss in self.horizons:
            if not (np.isfinite(loss) and loss > 0):
                raise OptionError(f"a horizon is a loss above 0, not {loss:g}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    """One forecast to make, and the baselines to hold it against."""

    part: Part
    name: str
    law: str | None
    few_shot_examples: float
    table: Measurements | None
    """Rows to forecast from; None where the setting is not possible."""
    reason: str = ""
    rivals: tuple[Baseline, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Ground:
    """What all settings share."""

    table: Measurements
    options: BacktestOptions
    select_options: SelectOptions
    selection: Selection
    """Of all rows."""
    truth: GroundTruth
    horizon: float
    at_chance: Measurements
    """Rows of the checkpoints weaker than the horizon."""
    few_shot_examples: float
    laws: tuple[str | None, ...]
    """The first is that of all parts but `laws`; None: the default of `fit`."""
    compute: Compute | None
    known: dict[tuple[int, str | None, float], BacktestRow] = field(default_factory=dict)
    """Forecasts made already, by table, law and D0: the full design comes in every part."""

    def fit(self, table: Measurements, law: str | None, few_shot_examples: float | None) -> Fit:
        """The fit of some of the rows."""
        named: dict[str, Any] = {} if law is None else {"law": law}
        return fit(
            table,
            few_shot_examples=few_shot_examples,
            priors=self.options.priors,
            select_options=self.select_options,
            **named,
        )


def backtest(
    table: Any,  # noqa: ANN401  whatever read_table takes
    *,
    task: str | None = None,
    select_options: SelectOptions | None = None,
    law: str | Sequence[str] | None = None,
    options: BacktestOptions | None = None,
    on_row: OnRow | None = None,
) -> Backtest:
    """Forecasts from the weaker checkpoints of a table, held against what the stronger ones show.

    Args:
        table: whatever `read_table` takes.
        task: name of the task; may be left out where the table holds one.
        select_options: which rows to use; `at_chance_only` is ignored, since hiding is done here.
        law: law of the forecasts, the default of `fit` if none; of several the first, and all of
            them in the part `laws`.
        options: what to try.
        on_row: told of every row as it is done.

    Raises:
        TableError, SelectionError, OptionError: as `fit`.
        FitError: there is nothing to hide, or the whole table shows no few-shot elbow.
    """
    ground = _ground(read_table(table), task, select_options, law, options or BacktestOptions())
    settings = tuple(_settings(ground))
    rows: list[BacktestRow] = []
    for done, setting in enumerate(settings, 1):
        for row in _run(ground, setting):
            rows.append(row)
            if on_row is not None:
                on_row(done, len(settings), row)
    return Backtest(
        task=ground.selection.task,
        metric=ground.selection.metric,
        series=ground.selection.series,
        truth=ground.truth,
        horizon=ground.horizon,
        law=_name(ground.laws[0]),
        few_shot_examples=ground.few_shot_examples,
        rows=tuple(rows),
        warnings=ground.selection.warnings,
        table_hash=ground.selection.table_hash,
    )


def _name(law: str | None) -> str:
    return "default" if law is None else law


# ---------------------------------------------------------------------------------- planning


def _ground(
    table: Measurements,
    task: str | None,
    select_options: SelectOptions | None,
    law: str | Sequence[str] | None,
    options: BacktestOptions,
) -> _Ground:
    """The truth, the horizon, and the rows at chance; every option is checked here."""
    chosen = replace(select_options or SelectOptions(), at_chance_only=False)
    chosen = chosen if task is None else replace(chosen, task=task)
    selection = select(table, chosen)
    if selection.all_few_shot.is_empty():
        raise FitError(
            f"task {selection.task!r} has no few-shot rows, so nothing shows when it emerged: a "
            "backtest needs few-shot scores of checkpoints at chance and above it."
        )
    limit, truth = horizon(selection), ground_truth(selection)
    if limit is None:
        raise FitError(
            f"no checkpoint of task {selection.task!r} is above chance few-shot, so there is "
            "nothing to hide and no truth to hold a forecast against: add few-shot scores of "
            "stronger checkpoints, or use `emergecast fit`."
        )
    if truth is None:
        raise FitError(
            f"the few-shot scores of task {selection.task!r} do not show where it emerged: a "
            "ground truth needs few-shot scores at five losses or more, three above chance, that "
            "rise as the loss falls."
        )
    table = _chosen(table, selection)
    chosen = replace(chosen, series=None, exclude=(), min_loss=None, max_loss=None)
    kept = _hidden(table, limit)
    if kept is None:
        raise FitError(
            f"every checkpoint of task {selection.task!r} has a loss of at most {limit:.4g} nats, "
            "that of the weakest one above chance few-shot, so none is left to forecast from: add "
            "weaker checkpoints."
        )
    laws: tuple[str | None, ...] = (law,) if law is None or isinstance(law, str) else tuple(law)
    ground = _Ground(
        table=table,
        options=options,
        select_options=chosen,
        selection=selection,
        truth=truth,
        horizon=limit,
        at_chance=kept,
        few_shot_examples=0.0,
        laws=laws or (None,),
        compute=Compute.of(selection.rows),
    )
    for each in (*ground.laws, *COMPARED):  # so that an unknown law stops here, not half-way
        first = ground.fit(kept, each, options.few_shot_examples)
    return replace(ground, few_shot_examples=first.data.few_shot_examples)


def _chosen(table: Measurements, selection: Selection) -> Measurements:
    """The table without checkpoints that were not selected, so that no option must find them."""
    key = ["series", "checkpoint"]
    frame = table.frame.join(selection.rows.select(key).unique(), on=key, how="semi")
    return replace(table, frame=frame)


def _hidden(table: Measurements, limit: float) -> Measurements | None:
    """The table without checkpoints at or below a loss; None where none is left."""
    frame = table.frame.filter(pl.col("loss") > limit)
    return None if frame.is_empty() else replace(table, frame=frame)


def _settings(ground: _Ground) -> Iterator[_Setting]:
    parts = {
        Part.LADDER: _ladder,
        Part.ABLATIONS: _ablations,
        Part.LAWS: _laws,
        Part.D0: _amounts,
    }
    for part in Part:
        if part in ground.options.parts:
            yield from parts[part](ground)


def _ladder(ground: _Ground) -> Iterator[_Setting]:
    options = ground.options
    asked = tuple(sorted(set(options.horizons)))
    steps = asked or limits(ground.selection, ground.horizon, options.rungs)
    for limit in steps:
        kept = ground.at_chance if limit == ground.horizon else _hidden(ground.table, limit)
        yield _Setting(
            part=Part.LADDER,
            name=f"loss above {limit:.4f}",
            law=ground.laws[0],
            few_shot_examples=ground.few_shot_examples,
            table=kept,
            reason="" if kept else "Not possible: no checkpoint has a higher loss.",
            rivals=options.baselines,
        )


def _ablations(ground: _Ground) -> Iterator[_Setting]:
    whole = select(ground.at_chance, ground.select_options)
    for design in ablations(whole):
        kept: Measurements | None = ground.at_chance
        if design.reason is not None:
            kept = None
        elif design.keep is not None:
            kept = replace(ground.at_chance, frame=ground.at_chance.frame.filter(design.keep))
        yield _Setting(
            part=Part.ABLATIONS,
            name=design.name,
            law=ground.laws[0],
            few_shot_examples=ground.few_shot_examples,
            table=kept,
            reason=design.reason or "",
        )


def _laws(ground: _Ground) -> Iterator[_Setting]:
    laws = ground.laws if len(ground.laws) > 1 else (*ground.laws, *COMPARED)
    for law in dict.fromkeys(laws):
        yield _Setting(
            part=Part.LAWS,
            name=_name(law),
            law=law,
            few_shot_examples=ground.few_shot_examples,
            table=ground.at_chance,
        )


def _amounts(ground: _Ground) -> Iterator[_Setting]:
    base = ground.few_shot_examples
    rows = select(ground.at_chance, ground.select_options).rows
    smallest = float(rows["examples"].drop_nulls().min())  # type: ignore[arg-type]
    names = {value: f"D0 = {value:g}" for value in sorted({*AMOUNTS, base})}
    names |= {
        factor * base: f"D0 = {factor * base:g} ({factor:g} x {base:g})" for factor in MULTIPLES
    }
    for value, name in sorted(names.items()):
        possible = value < smallest
        yield _Setting(
            part=Part.D0,
            name=name,
            law=ground.laws[0],
            few_shot_examples=value,
            table=ground.at_chance if possible else None,
            reason=f"Not possible: the smallest finetuning amount is {smallest:g}.",
        )


# ---------------------------------------------------------------------------------- running


def _run(ground: _Ground, setting: _Setting) -> Iterator[BacktestRow]:
    """The forecast of a setting, then its baselines."""
    row = BacktestRow(
        part=setting.part,
        setting=setting.name,
        forecaster=FORECAST,
        law=_name(setting.law),
        few_shot_examples=setting.few_shot_examples,
        outcome=Outcome.NOT_POSSIBLE,
        reasons=(setting.reason,),
    )
    table = setting.table
    if table is None:
        yield row
        return
    key = (id(table), setting.law, setting.few_shot_examples)
    if key not in ground.known:
        ground.known[key] = _forecast(ground, table, row)
    made = replace(ground.known[key], part=row.part, setting=row.setting)
    yield made
    if not setting.rivals:
        return
    started = time.perf_counter()
    try:
        plain = ground.fit(table, PLAIN, setting.few_shot_examples)
        continuous = _continuous(ground, table) if Baseline.TWO_STEP in setting.rivals else None
    except FAILURES:
        return  # the forecast's own row holds the error
    for name in setting.rivals:
        found = baselines(plain, continuous=continuous, which=[name], seed=ground.options.seed)
        yield _rival(ground, made, name, found[name], time.perf_counter() - started)
        started = time.perf_counter()


def _forecast(ground: _Ground, table: Measurements, row: BacktestRow) -> BacktestRow:
    """The row of a forecast, with its error where there is no estimate."""
    started = time.perf_counter()
    try:
        law = None if row.law == "default" else row.law
        fitted = ground.fit(table, law, row.few_shot_examples)
        row = _sized(ground, row, fitted)
        made = fitted.forecast(bootstraps=0, thresholds=ground.options.thresholds)
    except FAILURES as error:
        return replace(
            row,
            outcome=Outcome.FAILED,
            reasons=(str(error),),
            seconds=time.perf_counter() - started,
        )
    row = replace(row, verdict=str(made.verdict), reasons=made.reasons)
    if made.verdict is Verdict.REFUSED:
        row = replace(row, outcome=Outcome.REFUSED)
    else:
        row = _scored(ground, row, made)
    return replace(row, seconds=time.perf_counter() - started)


def _sized(ground: _Ground, row: BacktestRow, fitted: Fit) -> BacktestRow:
    """The row with what it rests on and how far ahead the truth lies."""
    data, truth = fitted.data, ground.truth.elbow
    ratio = ground.compute.ratio(data.strongest_loss, truth) if ground.compute else None
    return replace(
        row,
        n_rows=int(data.loss.size),
        n_checkpoints=data.n_checkpoints,
        n_amounts=int(data.amounts.size),
        strongest_loss=data.strongest_loss,
        ahead_nats=data.strongest_loss - truth,
        ahead_flops=ratio,
    )


def _scored(ground: _Ground, row: BacktestRow, distribution: LossDistribution) -> BacktestRow:
    """The row with its quantiles and scores."""
    truth = ground.truth.elbow
    p05, p50, p95 = (float(value) for value in distribution.quantile([0.05, 0.5, 0.95]))
    return replace(
        row,
        outcome=Outcome.SCORED,
        p05=p05,
        p50=p50,
        p95=p95,
        error=p50 - truth,
        covered=p05 <= truth <= p95,
        crps=crps(distribution, truth),
        log_score=log_score(distribution, truth),
    )


def _rival(
    ground: _Ground, made: BacktestRow, name: Baseline, guess: Guess, seconds: float
) -> BacktestRow:
    """The row of a baseline beside the row of a forecast."""
    bare = BacktestRow(
        part=made.part,
        setting=made.setting,
        forecaster=str(name),
        law=None,
        few_shot_examples=made.few_shot_examples,
        outcome=Outcome.NOT_DEFINED,
        reasons=(guess.reason,),
        n_rows=made.n_rows,
        n_checkpoints=made.n_checkpoints,
        n_amounts=made.n_amounts,
        strongest_loss=made.strongest_loss,
        ahead_nats=made.ahead_nats,
        ahead_flops=made.ahead_flops,
    )
    row = bare if guess.distribution is None else _scored(ground, bare, guess.distribution)
    return replace(row, seconds=seconds)


def _continuous(ground: _Ground, table: Measurements) -> pl.DataFrame | None:
    """Scores of the first continuous metric there is, beside those of the fit; higher is better."""
    own = ground.selection.metric
    there = set(table.frame.filter(pl.col("task") == ground.selection.task)["metric"].to_list())
    name = next((each for each in CONTINUOUS if each in there and each != own), None)
    if name is None:
        return None
    key = ["series", "checkpoint", "loss", "few_shot", "examples", "subset", "seed", "snapshot"]
    try:
        other = select(table, replace(ground.select_options, metric=name, lower_is_better=None))
    except SelectionError:
        return None
    means = [
        chosen.rows.group_by(key).agg(pl.col("score").mean().alias(column))
        for chosen, column in (
            (select(table, replace(ground.select_options, metric=own)), "score"),
            (other, "continuous"),
        )
    ]
    joined = means[0].join(means[1], on=key, nulls_equal=True)
    return joined.sort(key).select("loss", "few_shot", "continuous", "score")
