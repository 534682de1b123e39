"""Two tables as one: rows of scores below each other, or facts beside the scores they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from emergecast.errors import SelectionError
from emergecast.measurements._schema import COLUMNS, KEY
from emergecast.measurements.reading import (
    Findings,
    RawTable,
    as_text,
    quoted,
    read_raw,
    settle,
    table_error,
    with_known_names,
)

_SCORE: Final = "score"
_SIZES: Final = ("params", "tokens", "flops")
"""What tells checkpoints apart that have no name."""
_FEW: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """Two tables as one, not checked yet."""

    frame: pl.DataFrame
    onto: str
    """Name of the table whose rows were kept, or came first."""
    facts: str
    """Name of the other one."""
    by: tuple[str, ...]
    """Columns that rows were matched by; empty where rows were put below each other."""
    filled: int
    """Rows of the table of scores that found a row of the other."""
    lonely: tuple[str, ...]
    """What rows of it that found none are called."""
    unused: int
    """Rows of the other table that none asked for."""


def join_tables(left: object, right: object) -> Joined:
    """The rows of `left` with what `right` knows about them, or with its rows below.

    Where both tables have scores, the rows of `right` follow those of `left`. Else the rows are
    matched by the columns that both have and that say what a row is about (checkpoint, series,
    loss_corpus, task, revision and other columns of names): each row of the table with scores (of
    `left` where none has any) takes the other columns of the one row of the other table
    that agrees with it, where its own cell is empty.

    Raises:
        TableError: a table cannot be read; two rows of the other table agree in what is matched; or
            a cell is not empty in either table and differs.
        SelectionError: the tables have nothing in common, or no row finds another.
    """
    one, other = (with_known_names(read_raw(each), COLUMNS) for each in (left, right))
    if _SCORE in one.columns and _SCORE in other.columns:
        titles = dict.fromkeys([*one.columns, *other.columns])
        columns = {title: [*_cells(one, title), *_cells(other, title)] for title in titles}
        return Joined(
            frame=_frame(columns),
            onto=one.name,
            facts=other.name,
            by=(),
            filled=0,
            lonely=(),
            unused=0,
        )
    if _SCORE in other.columns:
        one, other = other, one
    return _beside(one, other)


def _beside(one: RawTable, other: RawTable) -> Joined:
    """The rows of `one` with the columns of `other`."""
    by = _matched_by(one, other)
    rows = _by_key(other, by)
    findings = Findings(other.name, lines=other.lines)
    columns = {title: list(cells) for title, cells in one.columns.items()}
    added = [title for title in other.columns if title not in by]
    columns |= {title: [None] * one.height for title in added if title not in columns}
    filled, used = 0, set[int]()
    lonely: dict[str, None] = {}
    for row in range(one.height):
        key = _key(one, by, row)
        found = rows.get(key)
        if found is None:
            lonely[_spelt(key)] = None
            continue
        filled += 1
        used.add(found)
        for title in added:
            mine, theirs = columns[title][row], other.columns[title][found]
            columns[title][row] = theirs if mine is None else mine
            if None not in (mine, theirs) and as_text(mine) != as_text(theirs):
                findings.add(
                    f"the {title} is another one in {one.name} ({quoted(mine)}).",
                    "Delete the column in one of the tables.",
                    row=found,
                    column=title,
                    value=theirs,
                )
    if findings.problems:
        raise table_error(findings.problems)
    if not used:
        theirs = [_spelt(key) for key in rows]
        raise SelectionError(
            f"no row of {one.name} has its {' and '.join(by)} in {other.name}. The first has"
            f" {'; '.join(list(lonely)[:_FEW])}; the second {'; '.join(theirs[:_FEW])}."
        )
    return Joined(
        frame=_frame(columns),
        onto=one.name,
        facts=other.name,
        by=by,
        filled=filled,
        lonely=tuple(lonely),
        unused=other.height - len(used),
    )


def _cells(raw: RawTable, title: str) -> Sequence[Any]:
    return raw.columns.get(title, [None] * raw.height)


def _matched_by(one: RawTable, other: RawTable) -> tuple[str, ...]:
    """Shared columns that say what a row is about: those of the key, and other names."""
    shared = [title for title in one.columns if title in other.columns]
    of_key = {*KEY, *(() if "checkpoint" in shared else _SIZES)}
    naming = tuple(
        title
        for title in shared
        if title in of_key or (title not in COLUMNS and _names(one, title))
    )
    if not naming:
        raise SelectionError(
            f"{one.name} and {other.name} share no column that says what a row is about, such as"
            f" checkpoint. The first has {', '.join(one.columns)}; the second"
            f" {', '.join(other.columns)}."
        )
    return naming


def _names(raw: RawTable, title: str) -> bool:
    """Whether a column that is not of the schema holds names or whole numbers."""
    present = [cell for cell in raw.columns[title] if cell is not None]
    return bool(present) and all("." not in as_text(cell) for cell in present)


def _key(raw: RawTable, by: Sequence[str], row: int) -> tuple[str | None, ...]:
    cells = (raw.columns[title][row] for title in by)
    return tuple(None if cell is None else as_text(cell).strip() for cell in cells)


def _spelt(key: Sequence[str | None]) -> str:
    return ", ".join("(empty)" if part is None else part for part in key)


def _by_key(raw: RawTable, by: Sequence[str]) -> dict[tuple[str | None, ...], int]:
    findings = Findings(raw.name, lines=raw.lines)
    rows: dict[tuple[str | None, ...], int] = {}
    for row in range(raw.height):
        key = _key(raw, by, row)
        first = rows.setdefault(key, row)
        if first != row:
            findings.add(
                f"the row is about the same as {findings.name_of(first)}.",
                f"Keep one row for each {', '.join(by)}, or add a column to both tables that tells"
                " the rows apart.",
                row=row,
                value=_spelt(key),
            )
    if findings.problems:
        raise table_error(findings.problems)
    return rows


def _frame(columns: dict[str, list[Any]]) -> pl.DataFrame:
    findings = Findings("the joined table")
    settled = {
        title: settle(cells, title, findings, text_only=True) for title, cells in columns.items()
    }
    if findings.problems:
        raise table_error(findings.problems)
    return pl.DataFrame(
        [
            pl.Series(title, cells, dtype=pl.String() if _empty(cells) else None)
            for title, cells in settled.items()
        ]
    )


def _empty(cells: Sequence[Any]) -> bool:
    return all(cell is None for cell in cells)
