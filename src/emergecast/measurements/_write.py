"""Writing a table whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from pathlib import Path

import polars as pl

from emergecast.errors import OptionError
from emergecast.measurements._read import SUFFIXES


def check_suffix(path: str | os.PathLike[str]) -> str:
    """The extension of `path`, lower case.

    Raises:
        OptionError: it is not the extension of a table.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise OptionError(
            f'cannot write "{os.fspath(path)}": the extension {suffix or "(none)"} is not one of a table.'
            f" Use one of {', '.join(SUFFIXES)}."
        )
    return suffix


def write_frame(frame: pl.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write `frame` beside `path` under another name, then rename: a reader sees the old file or the new one."""
    suffix = check_suffix(path)
    target = Path(path)
    if suffix == ".parquet":
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        content = buffer.getvalue()
    elif suffix == ".csv":
        content = _csv_text(frame).encode()
    else:
        content = _lines_text(frame).encode()
    write_whole(content, target)


def write_whole(content: bytes, target: Path) -> None:
    """Put `content` into the file `target` in one step, with the permissions a new file would get."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _csv_text(frame: pl.DataFrame) -> str:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(frame.columns)
    for row in frame.iter_rows():
        writer.writerow([_cell(value) for value in row])
    return stream.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else value


def _lines_text(frame: pl.DataFrame) -> str:
    return "".join(
        json.dumps({k: v for k, v in row.items() if v is not None}, ensure_ascii=False) + "\n"
        for row in frame.iter_rows(named=True)
    )
