"""The command that compares pretraining series: compare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emergecast.cli._failures import REFUSED
from emergecast.cli._from_records import Without, numbers
from emergecast.cli._options import (
    ChanceOption,
    JsonOption,
    LossFromOption,
    TableArgument,
    out_folder,
)
from emergecast.cli._output import as_text, deliver, progress
from emergecast.comparison import (
    ComparedAt,
    comparison_of,
    forecast_series,
    refuse_unknown,
    series_to_compare,
)
from emergecast.forecasts import ForecastOptions
from emergecast.inference import FitOptions
from emergecast.measurements import SelectOptions, read_table

if TYPE_CHECKING:
    from emergecast.comparison import Comparison

FANS = 6
"""Series up to which the fan of each is drawn."""


def compare(
    table: TableArgument,
    more: Annotated[
        list[str] | None,
        typer.Argument(metavar="[B ...]", help="Further series, after --series A.", hidden=True),
    ] = None,
    *,
    series: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A B ...",
            help="The series, two or more, in order; or --series A --series B. Default: all.",
        ),
    ] = None,
    per_byte: Annotated[
        bool,
        typer.Option(
            "--per-byte",
            help="The losses are nats per byte of the same text: compare across tokenizers.",
        ),
    ] = False,
    truth: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SERIES=LOSS",
            help="The few-shot elbow of a series where it is known, to judge by. Repeatable.",
        ),
    ] = None,
    rows: Annotated[SelectOptions, Without("series", "pool")],
    fitting: Annotated[FitOptions, Without("planned_amounts", "weights")],
    options: Annotated[ForecastOptions, Without("bootstraps", "diagnostics", "compute")],
    chance: ChanceOption = None,
    loss_from: LossFromOption = None,
    out: Annotated[
        Path | None,
        out_folder("Folder for comparison.json and the pictures (SVG, PNG)."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say which of several pretraining series emerges first, at equal loss and at equal compute.

    Each series is fitted on its own. Of more than two the answer is an order, with the probability
    of every place. Beside the answer stands the baseline that needs no forecast: which series
    scores higher at one size now. Exit status 3 when fewer than two have a forecast.

    Example: `emergecast compare table.csv --task mmlu --series v1 v2 --at-chance-only -o compare`
    """
    from emergecast.cli.texts.comparisons import comparison_text

    measured = read_table(
        table, chance=chance, loss_from=loss_from, axis=rows.axis, shift=rows.shift
    )
    names = series_to_compare(measured, (*(series or ()), *(more or ())) or None, rows.task)
    known = numbers(truth or [], "--truth")
    refuse_unknown(known, names)
    found = []
    with progress("Forecasting", len(names)) as move:
        for each in forecast_series(
            measured, names, rows=rows, fitting=fitting, rules=options.rules
        ):
            found.append(each)
            move(len(found), len(names), f"Forecast {each.series}")
    comparison = comparison_of(found, per_byte=per_byte)
    gone = {each.series for each in comparison.left_out}
    comparison = comparison.with_truths({a: at for a, at in known.items() if a not in gone})
    record = comparison.to_dict()
    deliver(
        record,
        lambda: comparison_text(comparison),
        None if out is None else lambda: _write(comparison, record, out),
        as_json=as_json,
    )
    if sum(forecast.verdict != "refused" for forecast in comparison.forecasts) < 2:
        raise typer.Exit(REFUSED)


def _write(comparison: Comparison, record: dict[str, Any], out: Path) -> list[Path]:
    from emergecast.files import save_text
    from emergecast.report import comparison_distribution, comparison_fan, comparison_order, save

    written = [save_text(as_text(record), out, "comparison.json")]
    if len(comparison.series) <= FANS:
        written += save(comparison_fan(comparison), out, "comparison-fan")
    if len(comparison.series) == 2:
        written += save(comparison_distribution(comparison), out, "comparison-distribution")
        return written
    for at in ComparedAt:
        if comparison.order(at).placed:
            written += save(comparison_order(comparison, at), out, f"comparison-order-{at}")
    return written
