"""Gathering problems, and printing thousands of the same kind in a few lines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from emergecast.errors import Problem, TableError

_SHOWN: Final = 3
"""Rows printed per kind of problem before the rest is counted."""
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
    """All problems in lines; of one kind (file, column, remedy) the first few and a count."""
    kinds: defaultdict[tuple[str, str | None, str], list[Problem]] = defaultdict(list)
    for problem in problems:
        kinds[problem.file, problem.column, problem.remedy].append(problem)
    count = len(problems)
    lines = ["1 problem:" if count == 1 else f"{count:,} problems:"]
    for kind in kinds.values():
        lines += [f"  {problem}" for problem in kind[:shown]]
        rest = len(kind) - shown
        if rest > 0:
            lines.append(f"    ... and {rest:,} more {'row' if rest == 1 else 'rows'} like this")
    return "\n".join(lines)


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
                column=column,
                value=None if value is None else quoted(value),
                what=what,
                remedy=remedy,
            )
        )

    def name_of(self, row: int) -> str:
        """How a message calls the 0-based `row`."""
        return f"row {row + 1}" if self.origins is None else self.origins[row]
