"""Importing folders of lm-evaluation-harness result files into one measurement table."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from emergecast.errors import OptionError, Problem
from emergecast.measurements._axis import Axis, Shift
from emergecast.measurements._table import Measurements, examine_raw
from emergecast.measurements.importing._chance_levels import ChanceLevels
from emergecast.measurements.importing._file_rows import FileContext, rows_of
from emergecast.measurements.importing._import_options import (
    Gathered,
    Imported,
    ImportOptions,
    Measured,
)
from emergecast.measurements.importing._kept import Kept, kept_of
from emergecast.measurements.importing._metadata import read_metadata
from emergecast.measurements.importing._remarks import notes_of, warnings_of
from emergecast.measurements.importing._result_files import patterns_of, sources_of
from emergecast.measurements.reading import RawTable, describe, table_error


def import_lm_eval(
    paths: Sequence[str | os.PathLike[str]],
    options: ImportOptions,
    *,
    on_file: Callable[[int, int], None] | None = None,
) -> Imported:
    """The measurement table of all result files under `paths`.

    Args:
        paths: folders (or single files) to read.
        options: how to read them.
        on_file: called with the number of files read and the number of all after each file.

    Raises:
        TableError: files are broken (unless `keep_going`), or the rows do not make a table.
        OptionError: an option is impossible, or nothing matches.
    """
    names = Axis.parse(options.axis).name, Shift.parse(options.shift).name
    patterns = patterns_of(options)
    metadata = read_metadata(options.checkpoints, tokens_per_step=options.tokens_per_step)
    sources, unmatched = sources_of(paths, patterns, options)
    gathered, levels = Gathered(), ChanceLevels(options.chance)
    context = FileContext(options=options, metadata=metadata, levels=levels)
    measured: list[Measured] = []
    for count, source in enumerate(sources, start=1):
        measured += rows_of(source, context, gathered)
        if on_file is not None:
            on_file(count, len(sources))
    if gathered.problems and not options.keep_going:
        raise table_error([*gathered.problems, *gathered.left_out])
    levels.refuse_unmet()
    kept = kept_of(measured)
    warnings = warnings_of(gathered, kept, unmatched, options, levels)
    if not measured:
        lost = [*gathered.problems, *gathered.left_out]
        raise OptionError(
            " ".join(("nothing is left to import.", *warnings))
            + (f"\nLeft out: {describe(lost)}" if lost else "")
        )
    title = ", ".join(str(Path(path)) for path in paths)
    table, late = _table(kept, options, title, names)
    return Imported(
        table=table,
        files_read=len(sources) - len({p.file for p in gathered.problems}),
        files_unmatched=len(unmatched),
        unmatched=tuple(unmatched[:5]),
        without_metadata=tuple(sorted(gathered.without_metadata)),
        problems=(*gathered.problems, *gathered.left_out, *late),
        warnings=warnings + table.warnings,
        notes=notes_of(gathered, kept),
    )


def _table(
    kept: Kept, options: ImportOptions, title: str, names: tuple[str, str]
) -> tuple[Measurements, tuple[Problem, ...]]:
    rows = [each.row for each in kept.measured]
    titles = {title: None for row in rows for title in row}
    columns = {title: [row.get(title) for row in rows] for title in titles}
    if options.loss_corpus is not None:
        given = columns.get("loss_corpus", [None] * len(rows))
        columns["loss_corpus"] = [cell or options.loss_corpus for cell in given]
    raw = RawTable(name=title, columns=columns, height=len(rows), text_only=True)
    examined = examine_raw(
        raw,
        loss_from=options.loss_from,
        origins=[row["source_file"] for row in rows],
        names=names,
    )
    if examined.table is None or (examined.problems and not options.keep_going):
        raise table_error(examined.problems)
    return examined.table, examined.problems
