"""The log: one entry for everything that was ever committed, each chained to those before it.

It is the witness beside the rows: it names a result that is gone, and one that was changed together
with its digest.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from enum import StrEnum

from emergecast.lab.ledger._digests import chain_of


class LogEntry(StrEnum):
    """What was committed."""

    MADE = "made"
    """The ledger itself; its key is like no other's."""
    RESULT = "result"
    FAILURE = "failure"
    """Its number is that of the row."""
    CLEARED = "cleared"
    """All failures of a run until then."""
    DAMAGED = "damaged"
    """All rows of a run were put aside, so that it is done again."""


@dataclass(slots=True, kw_only=True)
class Log:
    """What the ledger should hold, by its log."""

    results: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Digest and title of each result, by key."""
    failures: dict[int, tuple[str, str, str]] = field(default_factory=dict)
    """Digest, key and title of each failed run, by number; of cleared ones too."""
    put_aside: dict[str, str] = field(default_factory=dict)
    """Titles of damaged runs that have not been done again, by key."""
    chains: list[str] = field(default_factory=lambda: [""])
    """The chained digest after so many entries."""
    broken: int | None = None
    """The first entry that does not continue the chain."""

    @property
    def commits(self) -> int:
        """How many entries there are."""
        return len(self.chains) - 1


def read_log(connection: sqlite3.Connection) -> Log:
    """Replay the log, up to where it is broken."""
    log = Log()
    rows = connection.execute("SELECT number, what, key, title, digest, chain FROM log ORDER BY 1")
    for number, what, key, title, digest, chain in rows:
        values = (number, what, key, title, digest)
        if number != log.commits + 1 or chain != chain_of(log.chains[-1], *values):
            log.broken = log.commits + 1
            return log
        log.chains.append(chain)
        if what == LogEntry.RESULT:
            log.results[key] = (digest, title)
            log.put_aside.pop(key, None)
        elif what == LogEntry.FAILURE:
            log.failures[number] = (digest, key, title)
            log.put_aside.pop(key, None)
        elif what == LogEntry.DAMAGED and key:
            log.results.pop(key, None)
            for each in [n for n, (_, theirs, _) in log.failures.items() if theirs == key]:
                del log.failures[each]
            log.put_aside[key] = title
    return log


def add_entry(
    connection: sqlite3.Connection, what: LogEntry, *, key: str, title: str, digest: str = ""
) -> int:
    """Put an entry at the end of the log, within a transaction that is going on; its number."""
    number, before = last_entry(connection)
    entry = (number + 1, str(what), key, title, digest)
    chain = chain_of(before, *entry)
    connection.execute("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?)", (*entry, chain))
    return number + 1


def last_entry(connection: sqlite3.Connection) -> tuple[int, str]:
    """Number and chained digest of the last entry."""
    query = "SELECT number, chain FROM log ORDER BY number DESC LIMIT 1"
    found: tuple[int, str] = connection.execute(query).fetchone() or (0, "")
    return found
