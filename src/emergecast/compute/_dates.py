"""A table of the largest run possible at each of some dates, and when a run becomes possible."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from emergecast.errors import Problem, TableError
from emergecast.measurements import COLUMNS, Kind, read_records

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_DATE: Final = replace(
    COLUMNS["checkpoint"], name="date", kind=Kind.DATE, doc="A day, such as 2027-01-31."
)
_FLOPS: Final = replace(
    COLUMNS["flops"], required=True, doc="The largest training run possible at that date, FLOPs."
)


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
    """The table in a file with columns date (ISO, as 2027-01-31) and flops, in any row order.

    Raises:
        TableError: the table cannot be read, a column is missing, a cell is not a date or not a
            number above 0, a date occurs twice, compute falls with time, or there are fewer than
            two rows; problems are listed with file, row, column and value.
    """
    cells = read_records(os.fspath(path), (_DATE, _FLOPS))
    rows = sorted(
        (date.fromisoformat(each["date"]).toordinal(), each["flops"], row)
        for row, each in enumerate(cells, start=1)
    )
    name = os.fspath(path)
    problems = [_broken(name, earlier, later) for earlier, later in pairwise(rows)]
    if len(rows) < 2:
        what = f"the table has {len(rows)} rows."
        problems = [_problem(name, what, "Give at least two dates, to read between.")]
    if found := [each for each in problems if each is not None]:
        raise TableError(found)
    days, amounts, _ = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    return ComputeDates(name=name, days=days, flops=amounts)


def _broken(
    name: str, earlier: tuple[int, float, int], later: tuple[int, float, int]
) -> Problem | None:
    """What is wrong between two rows (day, FLOPs, row) that follow each other in time."""
    day, flops, row = later
    if day == earlier[0]:
        text = date.fromordinal(day).isoformat()
        return _problem(name, "the date occurs twice.", "Keep one.", at=(row, "date", text))
    if flops < earlier[1]:
        return _problem(
            name,
            f"the largest run possible falls from {earlier[1]:g}.",
            "Give the largest run possible by each date, which never falls.",
            at=(row, "flops", f"{flops:g}"),
        )
    return None


def _problem(
    name: str, what: str, remedy: str, at: tuple[int, str, str] | tuple[None, ...] = (None,) * 3
) -> Problem:
    row, column, value = at
    return Problem(file=name, row=row, column=column, value=value, what=what, remedy=remedy)
