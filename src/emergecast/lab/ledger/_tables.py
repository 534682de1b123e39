"""The tables of a ledger: those of today, and those of version 0.1.0."""

from __future__ import annotations

import sqlite3
from typing import Final

FORMAT: Final = 2
"""Of the file, as its header states it."""
OLD_FORMAT: Final = 1
"""That of version 0.1.0: no digests and no log."""

RESULT: Final = (
    *("key", "kind", "title", "identity", "outcome", "items"),
    *("started", "seconds", "timings", "versions", "machine"),
)
"""Columns of a result, without its digest; so with the others."""
FAILURE: Final = (
    *("key", "title", "error", "traceback", "failed"),
    *("seconds", "versions", "machine"),
)
"""Its number is that of the entry in the log, and not part of its digest."""
CLAIM: Final = ("key", "title", "owner", "host", "pid", "born", "since")
"""A claim's `beat` moves, and is not part of its digest."""

_TABLES: Final = (
    """\
CREATE TABLE results (
    key TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    title TEXT NOT NULL,
    identity TEXT NOT NULL,
    outcome TEXT NOT NULL,
    items BLOB,
    started REAL NOT NULL,
    seconds REAL NOT NULL,
    timings TEXT NOT NULL,
    versions TEXT NOT NULL,
    machine TEXT NOT NULL,
    digest TEXT NOT NULL
) STRICT""",
    """\
CREATE TABLE failures (
    number INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    title TEXT NOT NULL,
    error TEXT NOT NULL,
    traceback TEXT NOT NULL,
    failed REAL NOT NULL,
    seconds REAL NOT NULL,
    versions TEXT NOT NULL,
    machine TEXT NOT NULL,
    digest TEXT NOT NULL
) STRICT""",
    "CREATE INDEX failures_by_key ON failures (key)",
    """\
CREATE TABLE claims (
    key TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    owner TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    born TEXT NOT NULL,
    since REAL NOT NULL,
    beat REAL NOT NULL,
    digest TEXT NOT NULL
) STRICT""",
    """\
CREATE TABLE facts (
    fingerprint TEXT PRIMARY KEY,
    facts TEXT NOT NULL,
    digest TEXT NOT NULL
) STRICT""",
    """\
CREATE TABLE log (
    number INTEGER PRIMARY KEY,
    what TEXT NOT NULL,
    key TEXT NOT NULL,
    title TEXT NOT NULL,
    digest TEXT NOT NULL,
    chain TEXT NOT NULL
) STRICT""",
    "CREATE INDEX log_by_key ON log (key)",
    """\
CREATE TABLE damaged (
    number INTEGER PRIMARY KEY,
    table_name TEXT NOT NULL,
    title TEXT NOT NULL,
    what TEXT NOT NULL,
    found REAL NOT NULL,
    content TEXT NOT NULL
) STRICT""",
)


def make_tables(connection: sqlite3.Connection) -> None:
    """Make all tables, and state the format, within a transaction that is going on."""
    for statement in _TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {FORMAT}")


def has_tables(connection: sqlite3.Connection) -> bool:
    """Whether all tables are there and declared as they should be; other ones may be too."""
    found = {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_schema")}
    return found >= set(_TABLES)


def is_empty(connection: sqlite3.Connection) -> bool:
    """Whether nobody has made a table in the file yet."""
    return not connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()


def format_of(connection: sqlite3.Connection) -> int:
    """The format that the header states; 0 in a new file."""
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return found
