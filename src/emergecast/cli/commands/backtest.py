"""The command that scores forecasts against what came later: backtest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emergecast.backtests import Backtest, BacktestOptions, BacktestRow, Part
from emergecast.backtests import backtest as run
from emergecast.cli._failures import BAD_INPUT
from emergecast.cli._from_records import Without
from emergecast.cli._options import (
    ChanceOption,
    JsonOption,
    LossFromOption,
    TableArgument,
    TasksOption,
    out_folder,
)
from emergecast.cli._output import as_text, deliver, folder_names, progress
from emergecast.errors import FitError, OptionError, SelectionError
from emergecast.forecasts import name_of
from emergecast.inference import FitOptions
from emergecast.measurements import SelectOptions, fits_of, guarded, read_table

if TYPE_CHECKING:
    from emergecast.errors import EmergecastError
    from emergecast.measurements import Measurements


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """One task and series: a backtest, or the error that prevented it."""

    name: str
    backtest: Backtest | None
    error: EmergecastError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """Parts of the backtest; all of them if none is named."""

    ladder: bool = False
    """Hide the strongest checkpoints step by step."""
    ablations: bool = False
    """Try nineteen reduced designs."""
    laws: bool = False
    """Compare the laws."""
    d0: bool = False
    """Read the elbow off at other D0."""


def backtest(
    table: TableArgument,
    tasks: TasksOption = None,
    *,
    parts: _Parts,
    options: Annotated[BacktestOptions, Without("parts", "baselines", "laws", "seed")],
    rows: Annotated[SelectOptions, Without("task", "at_chance_only", "axis", "shift")],
    fitting: Annotated[FitOptions, Without("weights", "planned_amounts", "law")],
    law: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LAW",
            help="Law of every forecast; of several the first, and all of them with --laws. "
            "Default: that of fit.",
        ),
    ] = None,
    chance: ChanceOption = None,
    loss_from: LossFromOption = None,
    out: Annotated[
        Path | None,
        out_folder("Folder for backtest.json, .csv and pictures (SVG, PNG)."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Forecast from the weaker checkpoints of a table, and score against the stronger ones.

    Does all of --ladder, --ablations, --laws and --d0 unless some are named. Exit status 0 with a
    backtest, 2 on bad input, and where the table has nothing to hide.

    Example: `emergecast backtest table.parquet --task mmlu --ladder -o backtest`
    """
    chosen = tuple(part for part in Part if getattr(parts, part.value))
    options = replace(options, parts=chosen or tuple(Part))
    if law:
        fitting = replace(fitting, law=law[0])
        options = replace(options, laws=tuple(law[1:] and law))
    wanted = [replace(rows, task=name) for name in tasks or (None,)]
    results = _run(read_table(table, chance=chance, loss_from=loss_from), wanted, fitting, options)
    _show(results, out, as_json=as_json)
    if all(result.backtest is None for result in results):
        raise typer.Exit(BAD_INPUT)


def _run(
    table: Measurements,
    rows: Sequence[SelectOptions],
    fitting: FitOptions,
    options: BacktestOptions,
) -> list[_Result]:
    """Every backtest that the rows ask for; an error of one does not stop the others."""
    wanted = [each for one in rows for each in fits_of(table, one)]
    results = []
    for each in wanted:
        name = name_of(each)
        try:
            with progress(name) as move:

                def on_row(done: int, total: int, row: BacktestRow) -> None:
                    found = row.outcome if row.p50 is None else f"{row.p50:.3f}"
                    move(done, total, f"{name}: {row.setting}, {row.forecaster}: {found}")  # noqa: B023  called within this turn

                done = run(table, each, fitting, options, on_row=on_row)
        except (SelectionError, FitError, OptionError) as error:
            if len(wanted) == 1:
                raise
            results.append(_Result(name=name, backtest=None, error=error))
        else:
            results.append(_Result(name=name, backtest=done, error=None))
    errors = [result.error for result in results]
    if errors and isinstance(errors[0], OptionError) and all(errors):
        raise errors[0]  # an option that serves none of them
    return results


def _show(results: list[_Result], out: Path | None, *, as_json: bool) -> None:
    records: list[dict[str, Any]] = [
        {"name": result.name, "error": str(result.error)}
        if result.backtest is None
        else result.backtest.to_dict()
        for result in results
    ]
    deliver(
        records[0] if len(records) == 1 else {"backtests": records},
        lambda: "\n\n\n".join(map(_text, results)),
        None if out is None else lambda: _write(results, records, out),
        as_json=as_json,
    )


def _text(result: _Result) -> str:
    from emergecast.cli.texts.backtests import backtest_text

    if result.backtest is None:
        return f"{result.name}: no backtest. {result.error}"
    return backtest_text(result.backtest)


def _write(results: list[_Result], records: list[dict[str, Any]], out: Path) -> list[Path]:
    """The records and the pictures, in one folder a backtest where there are several."""
    from emergecast.files import save_text
    from emergecast.report import ablations, ladder, save

    written: list[Path] = []
    folders = folder_names([result.name for result in results])
    for result, record, name in zip(results, records, folders, strict=True):
        done = result.backtest
        if done is None:
            continue
        folder = out if len(results) == 1 else out / name
        written.append(save_text(as_text(record), folder, "backtest.json"))
        written.append(save_text(guarded(done.to_frame()).write_csv(), folder, "backtest.csv"))
        parts = {row.part for row in done.rows}
        if Part.LADDER in parts:
            written += save(ladder(done), folder, "ladder")
        if parts - {Part.LADDER}:
            written += save(ablations(done), folder, "ablations")
    return written
