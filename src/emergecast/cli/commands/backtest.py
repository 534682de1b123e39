"""The command that scores forecasts against what came later: backtest."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emergecast.cli._failures import BAD_INPUT
from emergecast.cli._forecasts import folder_names
from emergecast.cli._options import (
    ChanceOption,
    ExcludeOption,
    FewShotExamplesOption,
    JsonOption,
    LossCorpusOption,
    LossFromOption,
    LowerIsBetterOption,
    MaxLossOption,
    MethodOption,
    MetricOption,
    MinLossOption,
    PoolOption,
    PriorOption,
    SeriesOption,
    ShotsOption,
    TableArgument,
    TaskOption,
    ThresholdOption,
    WhereOption,
    numbers,
    rules_of,
    select_options,
)

if TYPE_CHECKING:
    from emergecast.backtests import Backtest, BacktestOptions, BacktestRow
    from emergecast.errors import EmergecastError
    from emergecast.measurements import Measurements, SelectOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """One task and series: a backtest, or the error that prevented it."""

    name: str
    backtest: Backtest | None
    error: EmergecastError | None


def backtest(
    table: TableArgument,
    task: TaskOption = None,
    series: SeriesOption = None,
    pool: PoolOption = False,
    ladder: Annotated[
        bool, typer.Option("--ladder", help="Hide the strongest checkpoints step by step.")
    ] = False,
    ablations: Annotated[
        bool, typer.Option("--ablations", help="Try nineteen reduced designs.")
    ] = False,
    laws: Annotated[bool, typer.Option("--laws", help="Compare the laws.")] = False,
    d0: Annotated[bool, typer.Option("--d0", help="Read the elbow off at other D0.")] = False,
    law: Annotated[
        list[str] | None,
        typer.Option(
            "--law",
            metavar="LAW",
            help="Law of every forecast; of several the first, and all of them with --laws. "
            "Default: that of fit.",
        ),
    ] = None,
    rungs: Annotated[
        int, typer.Option("--rungs", min=1, help="At most this many steps of the ladder.")
    ] = 8,
    horizon: Annotated[
        list[float] | None,
        typer.Option(
            "--horizon",
            metavar="LOSS",
            help="Instead of the ladder: hide checkpoints at or below this loss, which is at "
            "least that of the weakest checkpoint above chance; repeatable.",
        ),
    ] = None,
    min_loss: MinLossOption = None,
    max_loss: MaxLossOption = None,
    exclude: ExcludeOption = None,
    where: WhereOption = None,
    metric: MetricOption = None,
    method: MethodOption = None,
    shots: ShotsOption = None,
    loss_corpus: LossCorpusOption = None,
    few_shot_examples: FewShotExamplesOption = None,
    prior: PriorOption = None,
    threshold: ThresholdOption = None,
    lower_is_better: LowerIsBetterOption = None,
    chance: ChanceOption = None,
    loss_from: LossFromOption = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Folder for backtest.json, .csv and pictures (SVG, PNG)."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Forecast from the weaker checkpoints of a table, and score against the stronger ones.

    Does all of --ladder, --ablations, --laws and --d0 unless some are named. Exit status 0 with a
    backtest, 2 on bad input, and where the table has nothing to hide.

    Example: `emergecast backtest table.parquet --task mmlu --ladder -o backtest`
    """
    from emergecast.backtests import BacktestOptions, Part
    from emergecast.measurements import read_table

    flags = {Part.LADDER: ladder, Part.ABLATIONS: ablations, Part.LAWS: laws, Part.D0: d0}
    chosen = tuple(part for part, wanted in flags.items() if wanted)
    options = BacktestOptions(
        parts=chosen or tuple(Part),
        rungs=rungs,
        horizons=tuple(horizon or ()),
        few_shot_examples=few_shot_examples,
        priors=numbers(prior, "--prior"),
        rules=rules_of(threshold),
    )
    tasks: list[str | None] = [*task] if task else [None]
    picked = [
        select_options(
            task=name,
            series=series,
            pool=pool,
            metric=metric,
            method=method,
            shots=shots,
            loss_corpus=loss_corpus,
            min_loss=min_loss,
            max_loss=max_loss,
            exclude=exclude,
            where=where,
            lower_is_better=lower_is_better,
        )
        for name in tasks
    ]
    rows = read_table(table, chance=chance, loss_from=loss_from)
    results = _run(rows, picked, tuple(law or ()), options)
    _show(results, out, as_json=as_json)
    if all(result.backtest is None for result in results):
        raise typer.Exit(BAD_INPUT)


def _run(
    table: Measurements,
    picked: list[SelectOptions],
    laws: tuple[str, ...],
    options: BacktestOptions,
) -> list[_Result]:
    """Every backtest that the options ask for; an error of one does not stop the others."""
    from emergecast.backtests import backtest as run
    from emergecast.errors import FitError, OptionError, SelectionError
    from emergecast.measurements import fits_of

    wanted = [each for one in picked for each in fits_of(table, one)]
    results = []
    for each in wanted:
        name = " / ".join(str(part) for part in (each.task, each.series) if isinstance(part, str))
        try:
            with _progress(name) as on_row:
                done = run(
                    table, select_options=each, law=laws or None, options=options, on_row=on_row
                )
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


@contextmanager
def _progress(name: str) -> Iterator[Callable[[int, int, BacktestRow], None]]:
    """A progress bar on standard error that names each row as it is done, on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda _done, _total, _row: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(escape(name), total=None)

        def on_row(done: int, total: int, row: BacktestRow) -> None:
            found = row.outcome if row.p50 is None else f"{row.p50:.3f}"
            text = escape(f"{name}: {row.setting}, {row.forecaster}: {found}")
            bar.update(task, completed=done, total=total, description=text)

        yield on_row


def _show(results: list[_Result], out: Path | None, *, as_json: bool) -> None:
    from emergecast.cli.texts.backtests import backtest_text

    records: list[dict[str, Any]] = [
        {"name": result.name, "error": str(result.error)}
        if result.backtest is None
        else result.backtest.to_dict()
        for result in results
    ]
    try:
        written = _write(results, records, out)
    finally:  # a folder that cannot be written must not swallow what was found
        if not as_json:
            for i, result in enumerate(results):
                print("\n" * (2 * (i > 0)), end="")
                if result.backtest is None:
                    print(f"{result.name}: no backtest. {result.error}")
                else:
                    print(backtest_text(result.backtest))
    if as_json:
        print(json.dumps(records[0] if len(records) == 1 else {"backtests": records}, indent=2))
    elif written:
        print(f"\nWrote {', '.join(sorted({path.name for path in written}))} to {out}")


def _write(results: list[_Result], records: list[dict[str, Any]], out: Path | None) -> list[Path]:
    """The records and the pictures, in one folder a backtest where there are several."""
    if out is None:
        return []
    from emergecast.backtests import Part
    from emergecast.files import save_text
    from emergecast.report import ablations, ladder, save

    written: list[Path] = []
    folders = folder_names([result.name for result in results])
    for result, record, name in zip(results, records, folders, strict=True):
        done = result.backtest
        if done is None:
            continue
        folder = out if len(results) == 1 else out / name
        written.append(save_text(json.dumps(record, indent=2) + "\n", folder, "backtest.json"))
        written.append(save_text(done.to_frame().write_csv(), folder, "backtest.csv"))
        parts = {row.part for row in done.rows}
        if Part.LADDER in parts:
            written += save(ladder(done), folder, "ladder")
        if parts - {Part.LADDER}:
            written += save(ablations(done), folder, "ablations")
    return written
