"""Small tables from the user that are not measurements: what could be measured, and the like."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

from emergecast.errors import nearest
from emergecast.measurements._schema import Column
from emergecast.measurements.reading._coerce import coerce_column
from emergecast.measurements.reading._headings import with_known_names
from emergecast.measurements.reading._problems import MISSPELT, Findings, table_error
from emergecast.measurements.reading._read import read_raw


def read_records(source: object, columns: Sequence[Column]) -> tuple[dict[str, Any], ...]:
    """The rows of a small table, typed as `columns` say; a cell that is missing is None.

    Args:
        source: a path (CSV, Parquet, JSON Lines), a polars or pandas frame, or records.
        columns: what the table may hold. Other columns are left alone, unless one of them looks
            like a misspelt one of these.

    Raises:
        TableError: the table cannot be read, is empty, lacks a required column or cell, or holds a
            cell that is not what its column holds; every problem is listed.
    """
    asked = [column.name for column in columns if column.required]
    raw = read_raw(source, if_empty=f"Give a header with {' and '.join(asked)}, and rows below it.")
    raw = with_known_names(raw, [column.name for column in columns])
    findings = Findings(raw.name, lines=raw.lines)
    if raw.height == 0:
        findings.add("the table has no rows.", "Add one row for each, below the header.")
    known = {column.name: column for column in columns}
    _check_header(list(raw.columns), known, findings)
    cells = {
        name: coerce_column(raw.columns[name], column, findings)
        if name in raw.columns
        else [None] * raw.height
        for name, column in known.items()
    }
    present = [name for name in asked if name in raw.columns]
    for name, row in product(present, range(raw.height)):
        if cells[name][row] is None and (row, name) not in findings.bad_cells:
            findings.add(
                f"the {name} is missing.",
                f"Fill in the {name}, or delete the row.",
                row=row,
                column=name,
            )
    if findings.problems:
        raise table_error(findings.problems)
    return tuple({name: column[row] for name, column in cells.items()} for row in range(raw.height))


def _check_header(written: list[str], known: dict[str, Column], findings: Findings) -> None:
    """Report misspelt columns, and required ones that are absent."""
    absent = [name for name in known if name not in written]
    for name in (name for name in written if name not in known):
        near = nearest(name.lower(), absent, least=MISSPELT)
        if near:
            findings.add(
                f'the column "{name}" is not known.',
                f"Rename it to {near} if that is what it holds, or to something else.",
                column=name,
            )
    for name in absent:
        if known[name].required:
            doc = known[name].doc
            remedy = f"Add a column {name}: {doc[:1].lower()}{doc[1:]}"
            findings.add("the column is missing.", remedy, column=name)
