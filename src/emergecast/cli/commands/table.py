"""Commands about tables: template, check, join, import."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from emergecast.cli._failures import BAD_INPUT, problems_as_json
from emergecast.cli._from_records import Only
from emergecast.cli._options import (
    ChanceOption,
    DigestOption,
    JsonOption,
    LossFromOption,
    RawOption,
    TableArgument,
    out_file,
)
from emergecast.cli._output import progress, say
from emergecast.cli._wrap import wrapped
from emergecast.measurements import METHOD_FORMS, SelectOptions

if TYPE_CHECKING:
    from emergecast.measurements import Grid, GridRow, Imported, Measurements

_SHOWN: Final = 8
"""Warnings of an import, and names, that are printed."""


def template(
    out: Annotated[
        Path | None,
        out_file("File to write; standard output if not given."),
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
    *,
    rows: Annotated[SelectOptions, Only("axis", "shift")],
) -> None:
    """Say what a table holds and everything that is wrong with it.

    Example: `emergecast check measurements.csv --chance 0.25`
    """
    from emergecast.errors import TableError
    from emergecast.measurements import chance_doubts, describe, examine, grid

    examined = examine(table, chance=chance, loss_from=loss_from, axis=rows.axis, shift=rows.shift)
    grids: tuple[Grid, ...] = ()
    if examined.table is not None:
        grids = grid(examined.table, axis=rows.axis, shift=rows.shift)
    warnings: tuple[str, ...] = ()
    if examined.table is not None:
        warnings = (*examined.table.warnings, *chance_doubts(examined.table))
    if as_json:
        error = TableError(examined.problems)
        print(json.dumps(_check_as_json(examined.table, grids, warnings, error)))
    else:
        if examined.table is not None:
            print(examined.table)
        for each in grids:
            print("\n" + "\n".join(_grid_lines(each)))
        for warning in warnings:
            print("\n" + "\n".join(wrapped(f"Warning: {warning}")))
        if examined.problems:
            say(f"\n{describe(examined.problems)}")
        elif warnings:
            print("\nThe table obeys every rule; the warnings say what looks odd all the same.")
        else:
            print("\nNothing is wrong with this table.")
    if examined.problems:
        raise typer.Exit(BAD_INPUT)


def _check_as_json(
    table: Measurements | None,
    grids: tuple[Grid, ...],
    warnings: tuple[str, ...],
    error: Exception,
) -> dict[str, Any]:
    import dataclasses

    return {
        "rows": 0 if table is None else len(table),
        "table_hash": None if table is None else table.hash,
        "grids": [dataclasses.asdict(each) for each in grids],
        "warnings": list(warnings),
        "problems": problems_as_json(error),
    }


def _grid_lines(grid: Grid) -> Iterator[str]:
    corpus = f", loss on {grid.loss_corpus}" if grid.loss_corpus is not None else ""
    yield f"{grid.task}, {grid.metric}, series {grid.series}{corpus}"
    lines = [["checkpoint", grid.axis, *grid.settings]]
    for row in grid.rows:
        cells = [
            "."
            if cell is None
            else f"{cell.mean:.3f}" + (f" ({cell.count})" if cell.count > 1 else "")
            for cell in row.cells
        ]
        lines.append([row.checkpoint, _place(grid, row), *cells])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        first = line[0].ljust(widths[0])
        yield "  ".join([first, *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
    notes = []
    if grid.axis == "loss" and any(row.estimated for row in grid.rows):
        notes.append("~ estimated loss")
    if any(cell is not None and cell.count > 1 for row in grid.rows for cell in row.cells):
        notes.append("(n) mean of n rows")
    if notes:
        yield "; ".join(notes)


def _place(grid: Grid, row: GridRow) -> str:
    """Where a checkpoint stands on the axis."""
    if row.value is None:
        return "."
    if grid.axis == "loss":
        return f"{'~' if row.estimated else ''}{row.value:.3f}"
    return f"{row.value:.4g}"


def join(
    first: TableArgument,
    second: Annotated[
        Path, typer.Argument(help="A table with more rows of scores, or of facts about the first.")
    ],
    out: Annotated[Path, out_file("Table to write.")],
    as_json: JsonOption = False,
) -> None:
    """Make one table of two: scores below scores, or losses and facts beside scores.

    Rows are matched by the columns that both tables have and that say what a row is about
    (checkpoint, series, loss_corpus, task, ...).

    Example: `emergecast join scores.csv losses.csv -o measurements.csv`
    """
    from emergecast.errors import OptionError
    from emergecast.measurements import check_suffix, join_tables, write_frame

    check_suffix(out)
    if out.exists():
        raise OptionError(f'"{out}" is there already. Choose another name, or delete it first.')
    joined = join_tables(first, second)
    write_frame(joined.frame, out)
    if as_json:
        report = {
            "out": str(out),
            "rows": joined.frame.height,
            "by": list(joined.by),
            "filled": joined.filled,
            "without": list(joined.lonely),
            "unused": joined.unused,
        }
        print(json.dumps(report))
        return
    print(f"Wrote {joined.frame.height:,} rows to {out}. Next: emergecast check {out}")
    if not joined.by:
        print(f"Both have scores: the rows of {joined.facts} follow those of {joined.onto}.")
        return
    print(
        f"Matched by {', '.join(joined.by)}: {joined.filled:,} rows of {joined.onto} found theirs,"
        f" and {joined.unused:,} rows of {joined.facts} were not asked for."
    )
    if joined.lonely:
        names = "; ".join(joined.lonely[:_SHOWN]) + ("; ..." if len(joined.lonely) > _SHOWN else "")
        print("\n".join(wrapped(f"Warning: nothing is known of {names}.", "  ")), file=sys.stderr)


def lm_eval(
    paths: Annotated[
        list[Path], typer.Argument(help="Folders of result files.", show_default=False)
    ],
    out: Annotated[Path | None, out_file("Table to write.")] = None,
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
    tokens_per_step: Annotated[
        int | None,
        typer.Option(
            help="Tokens of one pretraining step, for {pretrain_step} and revisions like step8;"
            " a column tokens_per_step of the metadata goes before it."
        ),
    ] = None,
    tasks: Annotated[
        list[str] | None, typer.Option(help="Task or group to import; repeat for several.")
    ] = None,
    loss_from: LossFromOption = None,
    loss_corpus: Annotated[
        str | None, typer.Option(help="Corpus of the losses, where the metadata do not say.")
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(help=f"Finetuning method: {', '.join(METHOD_FORMS)}."),
    ] = None,
    chance: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]NUMBER",
            help="Chance level of TASK/METRIC or TASK; or, where the file says none, of METRIC, or"
            " of accuracies without a NAME. Repeatable.",
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
    *,
    rows: Annotated[SelectOptions, Only("axis", "shift")],
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
        tokens_per_step=tokens_per_step,
        tasks=tuple(name for text in tasks or () for name in text.split(",") if name),
        loss_from=loss_from,
        method=method,
        loss_corpus=loss_corpus,
        chance=tuple(_chance(text) for text in chance or ()),
        axis=rows.axis,
        shift=rows.shift,
        keep_going=keep_going,
    )
    with progress("Reading results") as on_file:
        imported = import_lm_eval(paths, options, on_file=on_file)
    written = out if out is not None and not dry_run else None
    if written is not None:
        imported.table.write(written, raw=raw, digest=digest)
    _summarise(imported, written, as_json=as_json)


def _chance(text: str) -> tuple[str | None, float]:
    from emergecast.errors import OptionError

    name, equals, number = text.rpartition("=")
    try:
        level = float(number)
    except ValueError:
        level = math.nan
    if not math.isfinite(level):
        raise OptionError(
            f'--chance "{text}" is not a number, TASK/METRIC=NUMBER, TASK=NUMBER or METRIC=NUMBER.'
        )
    return (name.strip() if equals else None), level


def _summarise(imported: Imported, written: Path | None, *, as_json: bool) -> None:
    from emergecast.errors import TableError
    from emergecast.measurements import chance_doubts, describe

    table = imported.table
    warnings = (*imported.warnings, *chance_doubts(table))
    if as_json:
        report = {
            "out": None if written is None else str(written),
            "rows": len(table),
            "table_hash": table.hash,
            "files_read": imported.files_read,
            "files_unmatched": imported.files_unmatched,
            "without_metadata": list(imported.without_metadata),
            "warnings": list(warnings),
            "notes": list(imported.notes),
            "problems": problems_as_json(TableError(imported.problems)),
        }
        print(json.dumps(report))
        return
    print(table)
    print(f"  {'files':<12}{imported.files_read:,} read, {imported.files_unmatched:,} not matched")
    for note in imported.notes:
        print("\n".join(wrapped(note, "  ")))
    for warning in warnings[:_SHOWN]:
        print("\n".join(wrapped(f"Warning: {warning}", "  ")), file=sys.stderr)
    if len(warnings) > _SHOWN:
        rest = len(warnings) - _SHOWN
        print(f"... and {rest} more warnings, which --json lists.", file=sys.stderr)
    if imported.problems:
        say(f"Left out: {describe(imported.problems)}")
    print(f"Wrote {written}." if written is not None else "Wrote nothing (dry run).")
