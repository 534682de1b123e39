"""Text in a CSV that a spreadsheet would run as a formula: guarded on writing, bare on reading.

A cell of text that begins with =, +, -, @, a tab or a carriage return, and is no number, gets a
single quotation mark before it, which spreadsheets take for text. Reading takes it away again, so a
cell that begins so by itself gets one more: no text is changed by being written and read.
"""

from __future__ import annotations

import re
from typing import Final

import polars as pl

_FORMULA: Final = re.compile(r"[=+\-@\t\r]")
_GUARDED: Final = re.compile(r"'+[=+\-@\t\r]")
_NUMBER: Final = re.compile(r"[+-](\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)", re.IGNORECASE)


def guard(text: str, *, raw: bool = False) -> str:
    """The text as a cell of CSV; `raw`: formulas as they are."""
    formula = _FORMULA.match(text) is not None and _NUMBER.fullmatch(text) is None
    return f"'{text}" if _GUARDED.match(text) or (formula and not raw) else text


def unguard(cell: str) -> str:
    """The text that `guard` made a cell of."""
    return cell[1:] if cell[:1] == "'" and _GUARDED.match(cell) else cell


def guarded(frame: pl.DataFrame, *, raw: bool = False) -> pl.DataFrame:
    """A frame to be written as CSV: its text, and the names of its columns, guarded."""
    columns = [
        pl.Series(
            guard(column.name, raw=raw),
            [None if cell is None else guard(cell, raw=raw) for cell in column]
            if column.dtype == pl.String
            else column,
            dtype=column.dtype,
        )
        for column in frame
    ]
    return pl.DataFrame(columns)
