"""Run a backtest: forecast in every setting of its plan, and score that against the truth."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from emergecast.backtests._rows import FORECAST, Backtest, BacktestOutcome, BacktestRow
from emergecast.backtests._settings import (
    BacktestOptions,
    BacktestSetting,
    Ground,
    ground_of,
    settings_of,
)
from emergecast.baselines import Baseline, Guess, baselines, continuous_metrics
from emergecast.errors import FitError, SelectionError, given
from emergecast.forecasts import ForecastOptions, NoDistribution, Verdict, forecast, to_score
from emergecast.inference import FitOptions
from emergecast.measurements import Measurements, SelectOptions, read_table
from emergecast.track_record import crps, log_score

if TYPE_CHECKING:
    from emergecast.forecasts import Forecast
    from emergecast.inference import Fit, LossDistribution

PLAIN = "log-power"
"""Law whose prior the baselines take."""
FAILURES = (FitError, SelectionError, ArithmeticError, np.linalg.LinAlgError)

OnRow = Callable[[int, int, BacktestRow], None]
"""Called after each row with the number of settings done, their total, and the row."""


def backtest(
    table: object,
    rows: SelectOptions | None = None,
    fitting: FitOptions | None = None,
    options: BacktestOptions | None = None,
    *,
    on_row: OnRow | None = None,
) -> Backtest:
    """Forecasts from the weaker checkpoints of a table, scored against what the stronger ones show.

    Args:
        table: what `read_table` takes.
        rows: which rows to use; `at_chance_only` is ignored, since hiding is done here.
        fitting: how every forecast is fitted; D0 is what `fit` chooses at the horizon if none.
        options: what to try.
        on_row: called with every row as it is done.

    Raises:
        TableError, SelectionError, OptionError: as `fit`.
        FitError: there is nothing to hide, or the whole table shows no few-shot elbow.
    """
    ground = ground_of(
        read_table(table),
        given(rows, SelectOptions, "rows"),
        given(fitting, FitOptions, "fitting"),
        given(options, BacktestOptions, "options"),
    )
    settings = tuple(settings_of(ground))
    found: list[BacktestRow] = []
    for done, setting in enumerate(settings, 1):
        for row in _run(ground, setting):
            found.append(row)
            if on_row is not None:
                on_row(done, len(settings), row)
    return Backtest(
        task=ground.selection.task,
        metric=ground.selection.metric,
        series=ground.selection.series,
        truth=ground.truth,
        other_truth=ground.other_truth,
        horizon=ground.horizon,
        law=ground.law,
        few_shot_examples=ground.few_shot_examples,
        overridden=ground.overridden,
        rows=tuple(found),
        warnings=ground.selection.warnings,
        invented=ground.selection.invented,
        table_hash=ground.selection.table_hash,
    )


def _run(ground: Ground, setting: BacktestSetting) -> Iterator[BacktestRow]:
    """The forecast of a setting, then its baselines."""
    row = BacktestRow(
        part=setting.part,
        setting=setting.name,
        forecaster=FORECAST,
        law=setting.law,
        few_shot_examples=setting.few_shot_examples,
        outcome=BacktestOutcome.NOT_POSSIBLE,
        target=ground.truth.target,
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
        continuous = continuous_metrics(table, ground.rows, plain.selection)
    except FAILURES:
        return  # the forecast's own row holds the error
    for name in setting.rivals:
        found = baselines(plain, continuous=continuous, which=[name], seed=ground.options.seed)
        yield _rival(ground, made, name, found[name], time.perf_counter() - started)
        started = time.perf_counter()


def _forecast(ground: Ground, table: Measurements, row: BacktestRow) -> BacktestRow:
    """The row of a forecast, with its error where there is no estimate."""
    started = time.perf_counter()
    try:
        fitted = ground.fit(table, str(row.law), row.few_shot_examples)
        row = _sized(ground, row, fitted)
        made = forecast(fitted, options=ForecastOptions(bootstraps=0, rules=ground.options.rules))
    except FAILURES as error:
        return replace(
            row,
            outcome=BacktestOutcome.FAILED,
            reasons=(str(error),),
            seconds=time.perf_counter() - started,
        )
    row = replace(row, verdict=str(made.verdict), reasons=made.reasons)
    if made.verdict is Verdict.REFUSED:
        row = replace(row, outcome=BacktestOutcome.REFUSED)
    else:
        row = _by_target(ground, row, made)
        if made.compute is not None and made.compute.flops is not None:
            flops = made.compute.flops
            row = replace(row, flops_p05=flops.p05, flops_p50=flops.p50, flops_p95=flops.p95)
    return replace(row, seconds=time.perf_counter() - started)


def _sized(ground: Ground, row: BacktestRow, fitted: Fit) -> BacktestRow:
    """The row with what it rests on and how far ahead the truth lies."""
    data, truth = fitted.data, ground.truth.loss
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


def _by_target(ground: Ground, row: BacktestRow, made: Forecast) -> BacktestRow:
    """The row scored by its distribution of the target, or by that of the elbow where asked to."""
    target, stand_in = ground.truth.target, ground.options.stand_in
    found = to_score(made, target, stand_in=stand_in)
    if isinstance(found, NoDistribution):
        return replace(row, outcome=BacktestOutcome.NOT_DEFINED, reasons=(found.reason,))
    own = not isinstance(made.distribution_of(target), NoDistribution)
    return replace(_scored(ground, row, found), stands_in=not own)


def _scored(ground: Ground, row: BacktestRow, distribution: LossDistribution) -> BacktestRow:
    """The row with its quantiles and scores."""
    truth = ground.truth.loss
    p05, p50, p95 = (float(value) for value in distribution.quantile([0.05, 0.5, 0.95]))
    return replace(
        row,
        outcome=BacktestOutcome.SCORED,
        p05=p05,
        p50=p50,
        p95=p95,
        error=p50 - truth,
        covered=p05 <= truth <= p95,
        crps=crps(distribution, truth),
        log_score=log_score(distribution, truth),
    )


def _rival(
    ground: Ground, made: BacktestRow, name: Baseline, guess: Guess, seconds: float
) -> BacktestRow:
    """The row of a baseline beside the row of a forecast."""
    bare = BacktestRow(
        part=made.part,
        setting=made.setting,
        forecaster=str(name),
        law=None,
        few_shot_examples=made.few_shot_examples,
        outcome=BacktestOutcome.NOT_DEFINED,
        target=ground.truth.target,
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
