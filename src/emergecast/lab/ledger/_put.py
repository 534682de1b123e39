"""Putting rows in, each with its digest and its entry in the log."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from typing import Final

from emergecast.lab.experiment import canonical
from emergecast.lab.ledger._damage import Damage
from emergecast.lab.ledger._digests import digest_of
from emergecast.lab.ledger._log import LogEntry, add_entry
from emergecast.lab.ledger._stored import Row

_BY_ROW: Final = {
    "results": "SELECT * FROM results WHERE rowid = ?",
    "failures": "SELECT * FROM failures WHERE rowid = ?",
    "facts": "SELECT * FROM facts WHERE rowid = ?",
}
_DELETE_ROW: Final = {
    "results": "DELETE FROM results WHERE rowid = ?",
    "failures": "DELETE FROM failures WHERE rowid = ?",
    "facts": "DELETE FROM facts WHERE rowid = ?",
}


def put_result(connection: sqlite3.Connection, row: Row) -> bool:
    """Put a result in, within a transaction; False where the run has one already."""
    values = (*row, digest := digest_of(*row))
    marks = ", ".join("?" * len(values))
    cursor = connection.execute(f"INSERT OR IGNORE INTO results VALUES ({marks})", values)  # noqa: S608
    if cursor.rowcount != 1:
        return False
    add_entry(connection, LogEntry.RESULT, key=row[0], title=row[2], digest=digest)
    return True


def put_failure(connection: sqlite3.Connection, row: Row) -> None:
    """Put the record of a failed run in, within a transaction."""
    digest = digest_of(*row)
    number = add_entry(connection, LogEntry.FAILURE, key=row[0], title=row[1], digest=digest)
    values = (number, *row, digest)
    connection.execute(f"INSERT INTO failures VALUES ({', '.join('?' * len(values))})", values)  # noqa: S608


def put_fact(connection: sqlite3.Connection, fingerprint: str, facts: str) -> None:
    """Put facts in, in place of older ones under the same fingerprint."""
    values = (fingerprint, facts, digest_of(fingerprint, facts))
    connection.execute("REPLACE INTO facts VALUES (?, ?, ?)", values)


def put_aside(connection: sqlite3.Connection, damaged: Iterable[Damage]) -> None:
    """Move damaged rows to a table of their own, so that their runs are missing again.

    With a result goes a damaged failure of its run, and the reverse.
    """
    done: set[str] = set()
    for each in damaged:
        if each.put_aside:
            continue
        if each.row is not None:
            row = connection.execute(_BY_ROW[each.table], (each.row,)).fetchone()
            keep(connection, each, row or ())
            connection.execute(_DELETE_ROW[each.table], (each.row,))
        if each.table == "facts" or each.key in done:
            continue
        add_entry(connection, LogEntry.DAMAGED, key=each.key or "", title=each.title)
        if each.key is not None:
            done.add(each.key)
            connection.execute("DELETE FROM failures WHERE key = ?", (each.key,))


def keep(connection: sqlite3.Connection, damage: Damage, row: Row) -> None:
    """Keep what is left of a damaged row, for people to look at."""
    values = [each.hex() if isinstance(each, bytes) else str(each) for each in row]
    connection.execute(
        "INSERT INTO damaged (table_name, title, what, found, content) VALUES (?, ?, ?, ?, ?)",
        (damage.table, damage.title, damage.what, time.time(), canonical(values)),
    )
