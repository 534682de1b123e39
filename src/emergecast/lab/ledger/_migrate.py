"""A ledger of version 0.1.0 in the form of today, in the same file and in one transaction."""

from __future__ import annotations

import sqlite3
import uuid

from emergecast.errors import LedgerError
from emergecast.lab.ledger._damage import LedgerCheck
from emergecast.lab.ledger._log import LogEntry, add_entry
from emergecast.lab.ledger._owner import is_alive
from emergecast.lab.ledger._put import keep, put_fact, put_failure, put_result
from emergecast.lab.ledger._tables import FAILURE, RESULT, make_tables

_OLD_TABLES = ("results", "failures", "facts")


def migrate(connection: sqlite3.Connection, examination: LedgerCheck) -> None:
    """Give every intact row its digest and its entry; damaged ones are put aside.

    Args:
        connection: within a transaction that is going on.
        examination: which rows are damaged.
    """
    claims = connection.execute("SELECT title, host, pid, born, beat FROM claims").fetchall()
    if running := [title for title, *who in claims if is_alive(*who)]:
        raise LedgerError(
            f'the ledger "{examination.path}" is in use by a session of version 0.1.0, which is'
            f' doing "{running[0]}". Wait until it has ended, or stop it.'
        )
    connection.execute("DROP INDEX failures_by_key")
    connection.execute("DROP TABLE claims")  # those of sessions that have ended
    for name in _OLD_TABLES:
        connection.execute(f"ALTER TABLE {name} RENAME TO old_{name}")
    make_tables(connection)
    add_entry(connection, LogEntry.MADE, key=uuid.uuid4().hex, title="from version 0.1.0")
    copy_rows(connection, connection, examination, prefix="old_")
    for name in _OLD_TABLES:
        connection.execute(f"DROP TABLE old_{name}")


def copy_rows(
    source: sqlite3.Connection,
    target: sqlite3.Connection,
    examination: LedgerCheck,
    *,
    prefix: str = "",
) -> None:
    """Copy the intact rows of a ledger of version 0.1.0, and keep the damaged ones for people."""
    bad = {table: examination.bad_rows(table) for table in ("results", "facts")}
    names = {(damage.table, damage.row): damage for damage in examination.damaged}
    query = f"SELECT rowid, {', '.join(RESULT)} FROM {prefix}results ORDER BY rowid"  # noqa: S608
    for number, *values in source.execute(query):
        row = tuple(values)
        if number not in bad["results"]:
            put_result(target, row)
        else:
            damage = names["results", number]
            keep(target, damage, row)
            add_entry(target, LogEntry.DAMAGED, key=damage.key or "", title=damage.title)
    query = f"SELECT {', '.join(FAILURE)}, cleared FROM {prefix}failures ORDER BY number"  # noqa: S608
    for *values, cleared in source.execute(query):
        put_failure(target, tuple(values))
        if cleared is not None:
            add_entry(target, LogEntry.CLEARED, key=values[0], title=values[1])
    query = f"SELECT rowid, fingerprint, facts FROM {prefix}facts"  # noqa: S608
    for number, *fact in source.execute(query):
        if number not in bad["facts"]:
            put_fact(target, *fact)
