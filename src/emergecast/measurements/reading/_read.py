"""From a file or an object in memory to raw columns, before their meaning is known."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl

from emergecast.errors import TableError
from emergecast.files import TEXT_GROWS, read_whole
from emergecast.measurements._schema import COLUMNS
from emergecast.measurements.reading._coerce import writable
from emergecast.measurements.reading._decode_parquet import POLARS_ERRORS
from emergecast.measurements.reading._digest_beside import check_digest
from emergecast.measurements.reading._formulas import unguard
from emergecast.measurements.reading._parquet import read_parquet
from emergecast.measurements.reading._problems import Findings, table_error

MEMORY: Final = "<table>"
"""What messages call a table that was never a file."""
SUFFIXES: Final = (".csv", ".parquet", ".jsonl", ".ndjson")
TEMPLATE: Final = "`emergecast template` writes an example table."
"""What to do about an empty file that should hold measurements."""
_TITLES: Final = 10
"""Rows among which the names of the columns are looked for."""
_NAMES: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RawTable:
    """Columns of equal length, cells as the source had them; a missing cell is None."""

    name: str
    """The file as the user named it, or "<table>"."""
    columns: dict[str, list[Any]]
    height: int
    text_only: bool = False
    """True for CSV, where every cell is text and the types of unknown columns are to be guessed."""
    lines: Sequence[int] | None = None
    """Line on which each row starts, as an editor counts; None for what has no lines."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Columns that were read under another name: as written to the name meant."""


def read_raw(source: object, *, if_empty: str = TEMPLATE) -> RawTable:
    """The raw columns of a path, a polars or pandas frame, records or a mapping of columns.

    Column names lose the spaces around them; a column without a name becomes `unnamed_<position>`.
    `if_empty` is the remedy for a file that is empty.

    Raises:
        TableError: the source cannot be read as a table.
    """
    raw = _read_any(source, if_empty)
    findings = Findings(raw.name)
    names = [name.strip() or f"unnamed_{i}" for i, name in enumerate(raw.columns, start=1)]
    _refuse_names(names, findings)
    if findings.problems:
        raise table_error(findings.problems)
    return dataclasses.replace(raw, columns=dict(zip(names, raw.columns.values(), strict=True)))


def _read_any(source: object, if_empty: str) -> RawTable:
    if isinstance(source, (str, os.PathLike)):
        return _read_path(Path(os.fspath(source)), if_empty)
    if isinstance(source, (pl.DataFrame, pl.LazyFrame)):
        return _from_polars(source, MEMORY)
    if type(source).__name__ == "DataFrame" and hasattr(source, "iloc"):
        return _from_pandas(source)
    if isinstance(source, Mapping):
        return _from_mapping(source)
    if isinstance(source, Sequence) and not isinstance(source, (bytes, bytearray)):
        return _from_records(source, MEMORY)
    raise _unreadable(
        MEMORY,
        f"a {type(source).__name__} is not a table.",
        "Give a path, a polars or pandas frame, a list of records or a mapping of columns.",
    )


def _refuse_names(names: Sequence[str], findings: Findings) -> None:
    for name in sorted({name for name in names if names.count(name) > 1}):
        findings.add(
            "the column occurs more than once.", "Rename or delete one of them.", column=name
        )
    for name in names:
        if not writable(name):
            findings.add(
                "the name of a column holds characters that no file can hold.",
                "Rename the column.",
                value=name,
            )


def _unreadable(file: str, what: str, remedy: str, *, value: object = None) -> TableError:
    findings = Findings(file)
    findings.add(what, remedy, value=value)
    return table_error(findings.problems)


def _read_path(path: Path, if_empty: str) -> RawTable:
    name = str(path)
    if path.is_dir():
        raise _unreadable(name, "this is a folder, not a table.", "Name a file in it.")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise _unreadable(
            name,
            f"the extension {suffix or '(none)'} is not one of a table.",
            f"Save the table as one of {', '.join(SUFFIXES)}.",
        )
    grows = 1.0 if suffix == ".parquet" else TEXT_GROWS
    try:
        content = read_whole(path, grows=grows)
        check_digest(path, content)
    except FileNotFoundError:
        raise _unreadable(
            name, "there is no such file.", "Check the path and the working folder."
        ) from None
    except (OSError, ValueError) as error:
        raise _not_read(name, error) from None
    if not content.strip():
        raise _unreadable(name, "the file is empty.", if_empty)
    if suffix == ".parquet":
        return _from_parquet(content, name)
    text = _decode(content, name)
    return _from_csv(text, name, if_empty) if suffix == ".csv" else _from_lines(text, name)


def _not_read(name: str, error: OSError | ValueError) -> TableError:
    reason = getattr(error, "strerror", None) or str(error)
    what, _, remedy = reason.partition("; ")  # errors of `files` bring their own remedy
    remedy = remedy or "check that it is a file you may read"
    return _unreadable(
        name, f"the file cannot be read: {what}.", f"{remedy[0].upper()}{remedy[1:]}."
    )


def _from_parquet(content: bytes, name: str) -> RawTable:
    try:
        return _from_polars(read_parquet(content, name), name)
    except OSError as error:
        raise _not_read(name, error) from None


def _decode(content: bytes, name: str) -> str:
    if b"\0" in content:
        raise _unreadable(
            name,
            "the file is binary, not text.",
            "Save it as UTF-8 text, or give it the extension of what it is.",
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _unreadable(
            name,
            f"line {line} is not UTF-8 text.",
            "Save the file in UTF-8 encoding.",
            value=content[error.start : error.start + 8],
        ) from None


def _from_csv(text: str, name: str, if_empty: str) -> RawTable:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    rows: list[list[str]] = []
    lines: list[int] = []
    findings = Findings(name, lines=lines)
    end = 0
    try:
        for record in reader:
            start, end = end + 1, reader.line_num
            if not any(cell.strip() for cell in record):
                continue
            if header is None:
                header = _header(record, findings)
                continue
            lines.append(start)
            if len(rows) < _TITLES and _is_header(record) and not _is_header(header):
                findings.problems.clear()  # rows of titles that have another number of cells
                findings.add(
                    "the table starts with a title, not with the names of the columns.",
                    f"Delete the lines above the names of the columns (line {start}).",
                    value=header[0],
                )
                break
            record = _as_wide(record, len(header))  # noqa: PLW2901  without the commas at its end
            if len(record) != len(header):
                findings.add(
                    f"the row has {len(record)} cells where the header has {len(header)}.",
                    "Give every row one cell per column, and quote text that holds a comma.",
                    row=len(rows),
                )
                record = [""] * len(header)  # noqa: PLW2901  not read any further
            rows.append(record)
    except csv.Error as error:
        findings.add(
            f"line {reader.line_num} is not CSV: {error}.",
            "Check the quotation marks near that line.",
        )
    if header is None and not findings.problems:
        findings.add("the file is empty.", if_empty)
    if findings.problems or header is None:
        raise table_error(findings.problems)
    columns = {
        title: [unguard(row[i]) if row[i] != "" else None for row in rows]
        for i, title in enumerate(header)
    }
    return RawTable(name=name, columns=columns, height=len(rows), text_only=True, lines=lines)


def _is_header(record: Sequence[str]) -> bool:
    """Whether the cells are names of columns: two at least that every table knows."""
    names = {cell.strip().lower() for cell in record}
    return len(names & COLUMNS.keys()) >= _NAMES


def _as_wide(record: list[str], width: int) -> list[str]:
    """`record` without empty cells beyond `width`, as a spreadsheet writes commas at the end."""
    return record[:width] if not any(cell.strip() for cell in record[width:]) else record


def _header(record: list[str], findings: Findings) -> list[str]:
    if len(record) == 1 and any(mark in record[0] for mark in ";\t|"):
        findings.add(
            "the header is one column, as if something other than commas separated the columns.",
            "Save the table with commas between the columns.",
            value=record[0],
        )
    while len(record) > 1 and not record[-1].strip():  # commas at the end name nothing
        record = record[:-1]
    header = [unguard(title.strip()) or f"unnamed_{i + 1}" for i, title in enumerate(record)]
    _refuse_names(header, findings)
    return header


def _from_lines(text: str, name: str) -> RawTable:
    lines: list[int] = []
    findings = Findings(name, lines=lines)
    records: list[dict[str, Any]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        lines.append(number)
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", None) or "the number or nesting is too large"
            findings.add(
                f"line {number} is not JSON: {reason}.",
                "Write one JSON object per line.",
                row=len(records),
                value=line,
            )
            record = {}
        if not isinstance(record, dict):
            findings.add(
                f"line {number} is not a JSON object.",
                "Write one JSON object per line.",
                row=len(records),
                value=line,
            )
            record = {}
        records.append(record)
    if findings.problems:
        raise table_error(findings.problems)
    return dataclasses.replace(_from_records(records, name), lines=lines)


def _from_records(records: Sequence[Any], name: str) -> RawTable:
    findings = Findings(name)
    titles: dict[str, None] = {}
    for row, record in enumerate(records):
        if isinstance(record, Mapping):
            titles.update(dict.fromkeys(map(str, record)))
        else:
            findings.add(
                f"a {type(record).__name__} is not a record.",
                "Give each row as a mapping from column name to value.",
                row=row,
            )
    if findings.problems:
        raise table_error(findings.problems)
    plain = [{str(key): cell for key, cell in record.items()} for record in records]
    columns = {title: [record.get(title) for record in plain] for title in titles}
    return RawTable(name=name, columns=columns, height=len(plain))


def _from_mapping(source: Mapping[Any, Any]) -> RawTable:
    findings = Findings(MEMORY)
    columns: dict[str, list[Any]] = {}
    for key, cells in source.items():
        if isinstance(cells, (str, bytes, Mapping)) or not _many(cells):
            findings.add(
                "the column is not a list of cells.",
                "Give each column as a list with one cell per row.",
                column=str(key),
                value=cells,
            )
        else:
            columns[str(key)] = list(cells)
    lengths = {title: len(cells) for title, cells in columns.items()}
    if len(set(lengths.values())) > 1:
        findings.add(
            "the columns differ in length: "
            + ", ".join(f"{title} {n}" for title, n in lengths.items())
            + ".",
            "Give every column one cell per row.",
        )
    if findings.problems:
        raise table_error(findings.problems)
    return RawTable(name=MEMORY, columns=columns, height=max(lengths.values(), default=0))


def _many(cells: object) -> bool:
    return hasattr(cells, "__iter__") and getattr(cells, "shape", None) != ()


def _from_polars(source: pl.DataFrame | pl.LazyFrame, name: str) -> RawTable:
    try:
        frame = source.lazy().collect()
        columns = {title: frame.get_column(title).to_list() for title in frame.columns}
    except POLARS_ERRORS as error:
        raise _unreadable(
            name, f"the frame cannot be read: {error}.", "Check how it was made."
        ) from None
    return RawTable(name=name, columns=columns, height=frame.height)


def _from_pandas(frame: Any) -> RawTable:  # noqa: ANN401
    """Pandas has no other mark for a missing number than NaN, so NaN is missing here."""
    named = [level for level in frame.index.names if level is not None]
    if named and not set(named) & set(frame.columns):
        frame = frame.reset_index()
    titles = [str(title) for title in frame.columns]
    findings = Findings(MEMORY)
    _refuse_names(titles, findings)
    if findings.problems:
        raise table_error(findings.problems)
    try:
        columns = {title: _pandas_cells(frame.iloc[:, i]) for i, title in enumerate(titles)}
    except (ArithmeticError, TypeError, ValueError) as error:
        raise _unreadable(
            MEMORY, f"the pandas frame cannot be read: {error}.", "Check how it was made."
        ) from None
    return RawTable(name=MEMORY, columns=columns, height=len(frame))


def _pandas_cells(cells: Any) -> list[Any]:  # noqa: ANN401
    missing = cells.isna().tolist()
    return [None if gone else cell for gone, cell in zip(missing, cells.tolist(), strict=True)]
