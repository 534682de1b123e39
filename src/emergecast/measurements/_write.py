"""Writing a table whole or not at all."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import polars as pl

from emergecast.errors import OptionError
from emergecast.files import write_whole
from emergecast.measurements.reading import SUFFIXES


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


def write_frame(frame: pl.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write `frame` beside `path`, then rename: a reader sees the old file or the new one."""
    suffix = check_suffix(path)
    if suffix == ".parquet":
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        content = buffer.getvalue()
    elif suffix == ".csv":
        content = _csv_text(frame).encode()
    else:
        content = _lines_text(frame).encode()
    write_whole(Path(path), content)


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
