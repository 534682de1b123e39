"""The SQLite file of a ledger: its tables, opening it, and what can go wrong.

WAL mode, full synchronisation: a reader never waits for a writer, and what was committed survives a
kill and a power cut.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Self

from emergecast.errors import LedgerError

_FORMAT: Final = 1
_LOCK_SECONDS: Final = 60.0
"""Seconds to wait for another writer."""

_TABLES: Final = """
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
    machine TEXT NOT NULL
) STRICT;
CREATE TABLE failures (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL,
    title TEXT NOT NULL,
    error TEXT NOT NULL,
    traceback TEXT NOT NULL,
    failed REAL NOT NULL,
    seconds REAL NOT NULL,
    versions TEXT NOT NULL,
    machine TEXT NOT NULL,
    cleared REAL
) STRICT;
CREATE INDEX failures_by_key ON failures (key);
CREATE TABLE claims (
    key TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    owner TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    born TEXT NOT NULL,
    since REAL NOT NULL,
    beat REAL NOT NULL
) STRICT;
CREATE TABLE facts (fingerprint TEXT PRIMARY KEY, facts TEXT NOT NULL) STRICT;
"""


class Database:
    """An open file; every method raises LedgerError where it cannot be read or written."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file at `path` to write, and make it where there is none."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerError(
                f'the folder "{path.parent}" cannot be made: {error.strerror or error}.'
                " Choose another output, or fix its permissions."
            ) from None
        with _clear_errors(path):
            connection = sqlite3.connect(path, timeout=_LOCK_SECONDS, isolation_level=None)
            database = cls(path, connection)
            try:
                database._prepare()
            except BaseException:
                connection.close()
                raise
        return database

    @classmethod
    def open_to_read(cls, path: Path) -> Self:
        """Open the file at `path` without changing anything.

        Raises:
            LedgerError: there is none, or it cannot be read.
        """
        if not path.is_file():
            raise LedgerError(
                f'there is no ledger "{path}": nothing was run yet. Run the experiment first.'
            )
        with _clear_errors(path):
            uri = f"{path.absolute().as_uri()}?mode=ro"
            connection = sqlite3.connect(uri, uri=True, timeout=_LOCK_SECONDS, isolation_level=None)
            try:
                _check_format(path, connection)
            except sqlite3.OperationalError:
                connection.close()
                # Where not even the index of the log can be made beside it, as on a read-only
                # medium: safe as long as there is no log.
                if path.with_name(path.name + "-wal").exists():
                    raise
                connection = sqlite3.connect(uri + "&immutable=1", uri=True, isolation_level=None)
                _check_format(path, connection)
        return cls(path, connection)

    def _prepare(self) -> None:
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        if self._connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            with self.writing() as connection:
                if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                    for statement in _TABLES.split(";"):
                        connection.execute(statement)
                    connection.execute(f"PRAGMA user_version = {_FORMAT}")
        _check_format(self._path, self._connection)
        with self.writing() as connection:  # so that a read-only file is known at once
            connection.execute("DELETE FROM claims WHERE key = ''")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or nothing."""
        with _clear_errors(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """What a query finds."""
        with _clear_errors(self._path):
            return self._connection.execute(query, values).fetchall()


def _check_format(path: Path, connection: sqlite3.Connection) -> None:
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found != _FORMAT:
        raise LedgerError(
            f'"{path}" is not a ledger of this version (format {found}, expected {_FORMAT}).'
            " Use the version of emergecast that made it, or another output."
        )


_SAFE: Final = "Nothing that was recorded is lost."


@contextlib.contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into a message with a remedy."""
    try:
        yield
    except sqlite3.Error as error:
        said = str(error)
        if "readonly" in said or "read-only" in said:
            what = f"it is read-only. {_SAFE} Make the file and its folder writable, and run again."
        elif "full" in said or "I/O" in said:
            what = f"the disk is full or failing ({said}). {_SAFE} Free some space, and run again."
        elif "unable to open" in said:
            what = f"it cannot be opened ({said}). Check the path and its permissions."
        elif "locked" in said:
            what = (
                f"another program has locked it for {_LOCK_SECONDS:g} seconds. {_SAFE} Run again."
            )
        elif "not a database" in said or "malformed" in said:
            what = (
                f"it is damaged, or not a ledger ({said}). Move it away, or choose another output."
            )
        else:
            what = f"SQLite says: {said}."
        raise LedgerError(f'the ledger "{path}" cannot be used: {what}') from error
