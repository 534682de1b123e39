"""A table of the largest run possible at each of some dates, and when a run becomes possible."""

from __future__ import annotations

import csv
import math
import os
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emergecast.errors import Problem, TableError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_COLUMNS = ("date", "flops")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ComputeDates:
    """The largest training run, in FLOPs, that is possible at each of some dates."""

    name: str
    """The file as the user named it."""
    days: NDArray[np.float64]
    """Proleptic Gregorian ordinals, ascending, shape (n,)."""
    flops: NDArray[np.float64]
    """FLOPs, never falling, shape (n,)."""

    @property
    def first(self) -> date:
        """The first date of the table."""
        return date.fromordinal(int(self.days[0]))

    @property
    def last(self) -> date:
        """The last date of the table."""
        return date.fromordinal(int(self.days[-1]))

    def days_of(self, flops: ArrayLike) -> NDArray[np.float64]:
        """The earliest day on which each run is possible, as an ordinal, shape of `flops`.

        ln FLOPs is linear between dates. A run smaller than the table's first is possible on the
        first date at the latest, which is what it gets; one larger than the last gets infinity:
        nothing is extrapolated.

        Args:
            flops: FLOPs of runs, any shape; may be infinite.
        """
        wanted = np.asarray(flops, dtype=np.float64)
        with np.errstate(divide="ignore"):  # a run of 0 FLOPs is possible at once
            ln_wanted = np.log(wanted)
        days = np.interp(ln_wanted, np.log(self.flops), self.days)
        days = np.where(wanted <= self.flops[0], self.days[0], days)
        return np.asarray(np.where(wanted > self.flops[-1], np.inf, days))


def read_compute_dates(path: str | os.PathLike[str]) -> ComputeDates:
    """The table in a CSV file with columns date (ISO, as 2027-01-31) and flops, in any row order.

    Raises:
        TableError: a column is missing, a cell is not a date or not a number above 0, a date
            occurs twice, compute falls with time, or there are fewer than two rows; every problem
            is listed with file, row, column and value.
        OSError: the file cannot be read.
    """
    name = os.fspath(path)
    try:
        text = Path(path).read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise _error(name, "the file is not UTF-8 text.", "Save it as CSV in UTF-8.") from None
    reader = csv.DictReader(text.splitlines())
    titles = [title.strip() for title in reader.fieldnames or ()]
    reader.fieldnames = titles
    missing = [column for column in _COLUMNS if column not in titles]
    if missing:
        seen = ", ".join(titles) or "none"
        raise _error(
            name,
            f"there is no column {' and no column '.join(missing)} (columns: {seen}).",
            "Give the columns date and flops, the largest run possible at that date.",
        )
    problems: list[Problem] = []
    rows: list[tuple[int, float, int]] = []
    for row, cells in enumerate(reader, start=1):
        day, flops = _day(cells["date"]), _amount(cells["flops"])
        if day is None:
            problems.append(
                _problem(
                    name, row, "date", cells["date"], "this is not a date.", "Write 2027-01-31."
                )
            )
        if flops is None:
            problems.append(
                _problem(
                    name,
                    row,
                    "flops",
                    cells["flops"],
                    "this is not a number of FLOPs.",
                    "Write a number above 0, such as 5e26.",
                )
            )
        if day is not None and flops is not None:
            rows.append((day, flops, row))
    rows.sort()
    problems += _order(name, rows)
    if problems:
        raise TableError(problems)
    if len(rows) < 2:
        raise _error(
            name, f"the table has {len(rows)} rows.", "Give at least two dates, to read between."
        )
    days, amounts, _ = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    return ComputeDates(name=name, days=days, flops=amounts)


def _order(name: str, rows: list[tuple[int, float, int]]) -> list[Problem]:
    """What is wrong between rows that are sorted by date."""
    found = []
    for (day, flops, _), (next_day, next_flops, row) in pairwise(rows):
        if day == next_day:
            text = date.fromordinal(day).isoformat()
            found.append(_problem(name, row, "date", text, "the date occurs twice.", "Keep one."))
        elif next_flops < flops:
            found.append(
                _problem(
                    name,
                    row,
                    "flops",
                    f"{next_flops:g}",
                    f"the largest run possible falls from {flops:g}.",
                    "Give the largest run possible by each date, which never falls.",
                )
            )
    return found


def _day(cell: str | None) -> int | None:
    try:
        return date.fromisoformat((cell or "").strip()).toordinal()
    except ValueError:
        return None


def _amount(cell: str | None) -> float | None:
    try:
        value = float(cell or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def _problem(
    name: str, row: int, column: str, value: str | None, what: str, remedy: str
) -> Problem:
    shown = repr(value) if value else "empty"
    return Problem(file=name, row=row, column=column, value=shown, what=what, remedy=remedy)


def _error(name: str, what: str, remedy: str) -> TableError:
    problem = Problem(file=name, row=None, column=None, value=None, what=what, remedy=remedy)
    return TableError([problem])
