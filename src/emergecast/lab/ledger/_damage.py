"""What is wrong with one row, or with a whole ledger."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from emergecast.errors import LedgerError


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One row that is not what was recorded, or that is gone."""

    table: str
    """Which table it belongs to: "results", "failures" or "facts"; or "index"."""
    row: int | None
    """Its number there; None where it is gone."""
    key: str | None
    """Key of the run; None where nobody can tell."""
    title: str
    """The run in words, as far as they can be read."""
    what: str
    """What is wrong with it, without a full stop."""
    put_aside: bool = False
    """Whether that was dealt with before, and only the run is not done again yet."""

    def __str__(self) -> str:
        where = "" if self.row is None else f" (row {self.row} of {self.table})"
        return f"{printable(self.title)}{where}: {printable(self.what)}."


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerCheck:
    """All that is known of a ledger's soundness."""

    path: Path
    """The ledger."""
    format: int = 0
    """Of the file; 0 where there is nothing in it, or it cannot be read."""
    results: int = 0
    """Results that are intact."""
    failures: int = 0
    """Records of failed runs that are intact."""
    problems: tuple[str, ...] = ()
    """What is wrong with the file as a whole: then nothing in it can be relied on."""
    damaged: tuple[Damage, ...] = ()
    """Rows that are damaged or gone, while the others can be relied on."""
    is_ledger: bool = True
    """Whether there is any sign that it is, or was, a ledger."""
    stale_index: bool = False
    """Whether an index does not fit its table, so that looking up by key finds the wrong rows."""

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems and not self.damaged

    def bad_rows(self, table: str) -> frozenset[int]:
        """Numbers of the damaged rows of a table."""
        return frozenset(
            each.row
            for each in self.damaged
            if each.table == table and each.row is not None and not each.put_aside
        )

    def refuse(self) -> None:
        """Stop here if the file as a whole cannot be relied on.

        Raises:
            LedgerError: with all that is wrong and the remedy.
        """
        if not self.problems:
            return
        found = "; ".join(self.problems[:_SHOWN])
        if len(self.problems) > _SHOWN:
            found += f"; and {len(self.problems) - _SHOWN:,} more problems"
        raise LedgerError(
            f'the ledger "{self.path}" cannot be used: {printable(found)}. {self.remedy}'
        )

    @property
    def remedy(self) -> str:
        """What to do about a file that as a whole cannot be relied on."""
        if not self.is_ledger:
            return "Move it away, or choose another output."
        return (
            "Put the missing file or a backup back. If there is none, save what is intact, with"
            f" the old files kept beside it: emergecast ledger repair {self.path}"
        )


_SHOWN = 3
"""Problems that a message lists."""


def printable(text: str) -> str:
    """Text of a damaged file without what a terminal would act on."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
