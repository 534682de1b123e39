"""The command that forecasts: fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from emergecast.cli._compute_options import AllocationAsked, LawAsked, LossesAsked, RunsAsked
from emergecast.cli._forecasts import Asked, exit_by, run_forecasts, show_forecasts
from emergecast.cli._from_records import Without
from emergecast.cli._options import (
    ChanceOption,
    JsonOption,
    LossFromOption,
    OutOption,
    TableArgument,
    TasksOption,
)
from emergecast.forecasts import ForecastOptions
from emergecast.inference import FitOptions
from emergecast.measurements import Axis, SelectOptions, read_table
from emergecast.track_record import read_old


def fit(
    table: TableArgument,
    tasks: TasksOption = None,
    *,
    rows: Annotated[SelectOptions, Without("task")],
    fitting: Annotated[FitOptions, Without("planned_amounts")],
    options: Annotated[ForecastOptions, Without("compute")],
    law: LawAsked,
    allocation: AllocationAsked,
    losses: LossesAsked,
    runs: RunsAsked,
    update: Annotated[
        Path | None,
        typer.Option(
            metavar="OLD.json",
            help="Say what changed since this forecast: a forecast.json, or a frozen one.",
        ),
    ] = None,
    chance: ChanceOption = None,
    loss_from: LossFromOption = None,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forecast the loss at which few-shot emergence happens.

    Prints the verdict first, then the distribution of that loss, what it means in training compute,
    and what it rests on. Exit status 0 with a forecast, 3 when it is refused, 2 on bad input.

    Example: `emergecast fit table.parquet --task mmlu --at-chance-only -o forecast`
    """
    losses.check(positive=Axis.parse(rows.axis).is_loss)
    old = None if update is None else read_old(update)
    asked = Asked(losses=losses, runs=runs.runs(), old=old)
    options = replace(options, compute=law.options(allocation))
    measured = read_table(
        table, chance=chance, loss_from=loss_from, axis=rows.axis, shift=rows.shift
    )
    wanted = [replace(rows, task=name) for name in tasks or (None,)]
    results = run_forecasts(measured, wanted, fitting, options, quiet=as_json)
    show_forecasts(results, asked, out, as_json=as_json)
    exit_by(results)
