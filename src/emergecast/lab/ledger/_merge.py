"""Taking the results of other ledgers of the same experiment: of shards on several machines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emergecast.errors import LedgerError
from emergecast.lab.ledger._examine import OnRows
from emergecast.lab.ledger._ledger import Ledger
from emergecast.lab.ledger._put import put_fact, put_failure, put_result
from emergecast.lab.ledger._stored import Row, said, same_outcome

_SHOWN: Final = 20
"""Conflicts that a message lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What was taken from other ledgers."""

    taken: int
    """Results that were not here."""
    known: int
    """Results that were here already, the same ones."""
    failures: int
    """Failed runs that nobody has done."""


def merge(
    path: Path,
    others: Sequence[Path],
    *,
    on_rows: OnRows = lambda _done, _total: None,
    tell: Callable[[str], None] = lambda _sentence: None,
) -> Merged:
    """Take the results of `others` into the ledger at `path`, which is made where there is none.

    Raises:
        LedgerError: a ledger is damaged, or two of them found something else for the same run; all
            such runs are named. Then nothing was taken.
    """
    for each in others:
        if each.resolve() == path.resolve():
            raise LedgerError(f'"{each}" cannot be merged into itself. Name other ledgers.')
    with Ledger.open(path, tell=tell) as ledger:
        _check(ledger, path)
        taken = known = failures = 0
        conflicts: list[str] = []
        with ledger.database.recording() as connection:
            for each in others:
                with Ledger.open_to_read(each) as other:
                    _check(other, each)
                    total = other.database.examination.results
                    for done, row in enumerate(other.rows()):
                        on_rows(done, total)
                        if put_result(connection, row):
                            taken += 1
                            continue
                        mine = next(ledger.rows("WHERE key = ?", row[0]), None)
                        if mine is not None and same_outcome(mine, row):
                            known += 1
                        else:
                            conflicts.append(_conflict(mine, row, path, each))
                    failures += _take_failures(ledger, other)
                    for fact in other.database.rows("SELECT fingerprint, facts FROM facts"):
                        if ledger.known_facts(fact[0]) is None:
                            put_fact(connection, *fact)
            if conflicts:
                raise LedgerError(_all_conflicts(conflicts))
    return Merged(taken=taken, known=known, failures=failures)


def _check(ledger: Ledger, path: Path) -> None:
    """Nothing in it is damaged."""
    damaged = [each for each in ledger.damaged if each.table == "results" and not each.put_aside]
    if damaged:
        raise LedgerError(
            f'the ledger "{path}" is damaged: {damaged[0]} ({len(damaged):,} rows in all). Nothing'
            f" was merged. See: emergecast ledger check {path}; and repair it first."
        )


def _take_failures(ledger: Ledger, other: Ledger) -> int:
    """Take failed runs that are unknown here."""
    known = {*ledger.states()}
    taken = 0
    for row in other.failure_rows():
        if row[0] not in known:
            put_failure(ledger.database.connection, row)
            taken += 1
    return taken


def _conflict(mine: Row | None, theirs: Row, path: Path, other: Path) -> str:
    here = "nothing that can be read" if mine is None else said(mine)
    there = said(theirs)
    if here == there:
        here, there = "the same scores", "the same ones, of other items or another training"
    return f'{theirs[2]}: {here} in "{path}", {there} in "{other}"'


def _all_conflicts(conflicts: Sequence[str]) -> str:
    listed = "".join(f"\n  {each}" for each in conflicts[:_SHOWN])
    rest = len(conflicts) - _SHOWN
    return (
        f"the ledgers differ in {len(conflicts):,} runs that both have:{listed}"
        + (f"\n  and {rest:,} more" if rest > 0 else "")
        + "\nNothing was merged. Find out which is right, as by the machine and the versions that"
        " are recorded with each, and merge without the other."
    )
