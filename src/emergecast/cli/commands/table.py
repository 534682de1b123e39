"""Commands about tables: template, check, import."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emergecast.cli._failures import BAD_INPUT, problems_as_json
from emergecast.cli._options import (
    ChanceOption,
    DigestOption,
    JsonOption,
    LossFromOption,
    RawOption,
    TableArgument,
)
from emergecast.cli._output import progress

if TYPE_CHECKING:
    from emergecast.measurements import Grid, Imported, ImportOptions, Measurements


def template(
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="File to write; standard output if not given."),
    ] = None,
) -> None:
    """Write an example table of measurements to fill in.

    Example: `emergecast template -o measurements.csv`
    """
    from emergecast.errors import OptionError
    from emergecast.measurements import read_table
    from emergecast.measurements import template as example

    frame = example()
    if out is None:
        print(frame.write_csv(), end="")
        return
    if out.exists():
        raise OptionError(f'"{out}" is there already. Choose another name, or delete it first.')
    read_table(frame).write(out)
    print(f"Wrote {frame.height} example rows to {out}. Next: emergecast check {out}")


def check(
    table: TableArgument,
    chance: ChanceOption = None,
    loss_from: LossFromOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a table holds and everything that is wrong with it.

    Example: `emergecast check measurements.csv --chance 0.25`
    """
    from emergecast.errors import TableError
    from emergecast.measurements import describe, examine, grid

    examined = examine(table, chance=chance, loss_from=loss_from)
    grids = grid(examined.table) if examined.table is not None else ()
    if as_json:
        print(json.dumps(_check_as_json(examined.table, grids, TableError(examined.problems))))
    else:
        if examined.table is not None:
            print(examined.table)
        for each in grids:
            print("\n" + "\n".join(_grid_lines(each)))
        for warning in examined.table.warnings if examined.table is not None else ():
            print(f"\nWarning: {warning}")
        if examined.problems:
            print(f"\n{describe(examined.problems)}", file=sys.stderr)
        else:
            print("\nNothing is wrong with this table.")
    if examined.problems:
        raise typer.Exit(BAD_INPUT)


def _check_as_json(
    table: Measurements | None, grids: tuple[Grid, ...], error: Exception
) -> dict[str, Any]:
    import dataclasses

    return {
        "rows": 0 if table is None else len(table),
        "table_hash": None if table is None else table.hash,
        "grids": [dataclasses.asdict(each) for each in grids],
        "warnings": [] if table is None else list(table.warnings),
        "problems": problems_as_json(error),
    }


def _grid_lines(grid: Grid) -> Iterator[str]:
    corpus = f", loss on {grid.loss_corpus}" if grid.loss_corpus is not None else ""
    yield f"{grid.task}, {grid.metric}, series {grid.series}{corpus}"
    lines = [["checkpoint", "loss", *grid.settings]]
    for row in grid.rows:
        cells = [
            "."
            if cell is None
            else f"{cell.mean:.3f}" + (f" ({cell.count})" if cell.count > 1 else "")
            for cell in row.cells
        ]
        lines.append([row.checkpoint, f"{'~' if row.estimated else ''}{row.loss:.3f}", *cells])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        first = line[0].ljust(widths[0])
        yield "  ".join([first, *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
    notes = []
    if any(row.estimated for row in grid.rows):
        notes.append("~ estimated loss")
    if any(cell is not None and cell.count > 1 for row in grid.rows for cell in row.cells):
        notes.append("(n) mean of n rows")
    if notes:
        yield "; ".join(notes)


def lm_eval(
    paths: Annotated[
        list[Path], typer.Argument(help="Folders of result files.", show_default=False)
    ],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Table to write.")] = None,
    pattern: Annotated[
        list[str] | None,
        typer.Option(
            help="Path below PATH with named fields, e.g."
            " 'finetuned/{checkpoint}/step_{step}/{task}.json'. Repeat for several; without one,"
            " the harness's own folders are read."
        ),
    ] = None,
    checkpoints: Annotated[
        Path | None, typer.Option(help="Table of params, tokens, loss, ... by checkpoint.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Finetuning examples per step.")] = None,
    train_size: Annotated[int | None, typer.Option(help="Size of the finetuning set.")] = None,
    tasks: Annotated[
        list[str] | None, typer.Option(help="Task or group to import; repeat for several.")
    ] = None,
    loss_from: LossFromOption = None,
    loss_corpus: Annotated[
        str | None, typer.Option(help="Corpus of the losses, where the metadata do not say.")
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(help="Finetuning method: full, prefix, or lora- and the rank, e.g. lora-8."),
    ] = None,
    chance: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[METRIC=]NUMBER",
            help="Chance level: a number for accuracies, or METRIC=NUMBER. Repeatable.",
        ),
    ] = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Import the good files where others are broken.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and report, but write nothing.")
    ] = False,
    raw: RawOption = False,
    digest: DigestOption = False,
    as_json: JsonOption = False,
) -> None:
    """Import result files of lm-evaluation-harness.

    Example: `emergecast import lm-eval results --pattern 'few_shot/{checkpoint}/{task}.json'
    --pattern 'finetuned/{checkpoint}/step_{step}/{task}.json' --checkpoints checkpoints.csv
    --batch-size 64 --train-size 100000 -o table.parquet`
    """
    from emergecast.errors import OptionError
    from emergecast.measurements import ImportOptions, check_suffix, import_lm_eval

    if out is None and not dry_run:
        raise OptionError("nothing says where to write the table. Give -o TABLE, or --dry-run.")
    if out is not None:
        check_suffix(out)
    options = ImportOptions(
        patterns=tuple(pattern or ()),
        checkpoints=checkpoints,
        batch_size=batch_size,
        train_size=train_size,
        tasks=tuple(name for text in tasks or () for name in text.split(",") if name),
        loss_from=loss_from,
        method=method,
        loss_corpus=loss_corpus,
        chance=tuple(_chance(text) for text in chance or ()),
        keep_going=keep_going,
    )
    with progress("Reading results") as on_file:
        imported = import_lm_eval(paths, options, on_file=on_file)
    written = out if out is not None and not dry_run else None
    if written is not None:
        imported.table.write(written, raw=raw, digest=digest)
    _summarise(imported, written, options, as_json=as_json)


def _chance(text: str) -> tuple[str | None, float]:
    from emergecast.errors import OptionError

    name, equals, number = text.rpartition("=")
    try:
        return (name if equals else None), float(number)
    except ValueError:
        raise OptionError(f'--chance "{text}" is not a number or METRIC=NUMBER.') from None


def _summarise(
    imported: Imported, written: Path | None, options: ImportOptions, *, as_json: bool
) -> None:
    from emergecast.errors import TableError
    from emergecast.measurements import describe

    table = imported.table
    if as_json:
        report = {
            "out": None if written is None else str(written),
            "rows": len(table),
            "table_hash": table.hash,
            "files_read": imported.files_read,
            "files_unmatched": imported.files_unmatched,
            "without_metadata": list(imported.without_metadata),
            "warnings": list(imported.warnings),
            "problems": problems_as_json(TableError(imported.problems)),
        }
        print(json.dumps(report))
        return
    print(table)
    print(f"  {'files':<12}{imported.files_read:,} read, {imported.files_unmatched:,} not matched")
    for warning in imported.warnings:
        print(f"Warning: {warning}", file=sys.stderr)
    if options.keep_going and imported.problems:
        print(f"Left out: {describe(imported.problems)}", file=sys.stderr)
    print(f"Wrote {written}." if written is not None else "Wrote nothing (dry run).")
