"""Writing a table whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path

import polars as pl

from emergecast.errors import OptionError
from emergecast.files import write_whole
from emergecast.measurements.reading import SUFFIXES, guarded, parquet_bytes, write_digest


def check_suffix(path: str | os.PathLike[str]) -> str:
    """The extension of `path`, lower case.

    Raises:
        OptionError: it is not the extension of a table.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise OptionError(
            f'cannot write "{os.fspath(path)}": the extension {suffix or "(none)"} is not one'
            f" of a table. Use one of {', '.join(SUFFIXES)}."
        )
    return suffix


def write_frame(
    frame: pl.DataFrame, path: str | os.PathLike[str], *, raw: bool = False, digest: bool = False
) -> None:
    """Write `frame` beside `path`, then rename: a reader sees the old file or the new one.

    Args:
        frame: the table.
        path: where; its extension says in which format.
        raw: leave text in a CSV as it is where a spreadsheet would run it as a formula.
        digest: write the SHA-256 of the file beside it; Parquet holds one in itself.
    """
    suffix = check_suffix(path)
    if suffix == ".parquet":
        content = parquet_bytes(frame)
    elif suffix == ".csv":
        content = _csv_text(guarded(frame, raw=raw)).encode()
    else:
        content = _lines_text(frame).encode()
    write_whole(Path(path), content)
    write_digest(Path(path), content, asked=digest)


def _csv_text(frame: pl.DataFrame) -> str:
    lines = [frame.columns, *frame.iter_rows()]
    return "".join(",".join(map(_cell, line)) + "\n" for line in lines)


def _cell(value: object) -> str:
    """One CSV cell; Python's writer does not quote a bare carriage return, its reader needs it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\r\n') else text


def _lines_text(frame: pl.DataFrame) -> str:
    rows = frame.iter_rows(named=True)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
