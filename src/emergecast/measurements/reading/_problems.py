"""Gathering problems, and printing thousands of the same kind in a few lines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from emergecast.errors import Problem, TableError

_SHOWN: Final = 3
"""Rows printed per kind of problem before the rest is counted, where the kinds are few."""
_LINES: Final = 18
"""Lines that problems take at most, beside the first and the last."""
MISSPELT = 0.75
"""How alike an unknown column and an absent one are where one was probably meant."""
_WIDTH: Final = 60
"""Longest value that is quoted whole."""


def quoted(value: object) -> str:
    """`value` as one short line for an error message."""
    try:
        text = value if isinstance(value, str) else repr(value)
    except ValueError:  # Python does not print integers of thousands of digits
        text = "a very long number"
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[: _WIDTH + 1])
    return text if len(text) <= _WIDTH else text[:_WIDTH] + "..."


def describe(problems: Sequence[Problem], *, shown: int = _SHOWN) -> str:
    """All problems in about twenty lines; of one kind the first few, or one, and a count.

    Problems are of one kind where they have the same cause: column and remedy; where the column is
    a place in a file (TASK/METRIC), the same words.
    """
    kinds: defaultdict[tuple[str | None, str], list[Problem]] = defaultdict(list)
    for problem in problems:
        kinds[_place(problem), problem.remedy].append(problem)
    count = len(problems)
    lines = ["1 problem:" if count == 1 else f"{count:,} problems:"]
    ordered = list(kinds.values())
    if sum(min(len(kind), shown + 1) for kind in ordered) > _LINES:
        shown = 1
        ordered.sort(key=len, reverse=True)  # the frequent causes are worth the lines
    for i, kind in enumerate(ordered):
        if len(lines) > _LINES - shown and i < len(ordered) - 1:
            rest = ordered[i:]
            lines.append(
                f"  ... and {sum(map(len, rest)):,} more problems of {len(rest)} other kinds"
            )
            break
        files = len({problem.file for problem in kind})
        examples = shown if files == 1 else 1
        lines += [f"  {problem}" for problem in kind[:examples]]
        more = len(kind) - examples
        if more > 0:
            noun = "row" if files == 1 else "place"
            where = "" if files == 1 else f", in {files:,} files in all"
            lines.append(f"    ... and {more:,} more {noun}{'s' * (more > 1)} like this{where}")
    return "\n".join(lines)


def _place(problem: Problem) -> str | None:
    """The column; what is wrong where the column is one task of a file."""
    column = problem.column
    return problem.what if column is not None and "/" in column else column


def table_error(problems: Iterable[Problem]) -> TableError:
    """A TableError that holds all problems and prints repeated ones once."""
    error = TableError(tuple(problems))
    error.args = (describe(error.problems),)
    return error


@dataclass(slots=True)
class Findings:
    """Problems found so far in one input."""

    file: str
    origins: Sequence[str] | None = None
    """File of each row, where the rows were gathered from several files."""
    lines: Sequence[int] | None = None
    """Line of the file on which each row starts; None for what has no lines."""
    problems: list[Problem] = field(default_factory=list)
    bad_rows: set[int] = field(default_factory=set)
    """0-based rows that have a problem."""
    bad_cells: set[tuple[int, str]] = field(default_factory=set)
    """0-based row and column of cells that were reported already, so not again as missing."""

    def add(
        self,
        what: str,
        remedy: str,
        *,
        row: int | None = None,
        column: str | None = None,
        value: object = None,
    ) -> None:
        """Record one problem; `row` is 0-based here and 1-based in the message."""
        file, shown_row = self.file, None if row is None else row + 1
        if row is not None:
            self.bad_rows.add(row)
            if column is not None:
                self.bad_cells.add((row, column))
            if self.origins is not None:
                file, shown_row = self.origins[row], None
        self.problems.append(
            Problem(
                file=file,
                row=shown_row,
                line=None if shown_row is None or self.lines is None else self.lines[shown_row - 1],
                column=column,
                value=None if value is None else quoted(value),
                what=what,
                remedy=remedy,
            )
        )

    def name_of(self, row: int) -> str:
        """How a message calls the 0-based `row`."""
        if self.origins is not None:
            return self.origins[row]
        return f"row {row + 1}" if self.lines is None else f"line {self.lines[row]} (row {row + 1})"
