"""The open file of a ledger: its transactions, and what follows a commit.

WAL mode, full synchronisation: a reader never waits for a writer, and what was committed survives a
kill and a power cut.
"""

from __future__ import annotations

import contextlib
import sqlite3
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from emergecast.errors import LedgerError
from emergecast.lab.ledger._connect import clear_errors, connect, connect_to_read
from emergecast.lab.ledger._count_file import Committed, read_count, write_count
from emergecast.lab.ledger._damage import LedgerCheck
from emergecast.lab.ledger._examine import examine, examine_rows
from emergecast.lab.ledger._log import LogEntry, add_entry, last_entry
from emergecast.lab.ledger._migrate import migrate
from emergecast.lab.ledger._tables import FORMAT, OLD_FORMAT, format_of, is_empty, make_tables


class Database:
    """An open file; every method raises LedgerError where it cannot be read or written."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, examination: LedgerCheck
    ) -> None:
        self.path = path
        self.examination = examination
        """What was wrong with it when it was opened."""
        self.migrated = False
        """Whether it was in the form of version 0.1.0 until now."""
        self.has_digests = examination.format != OLD_FORMAT
        """Whether its rows have digests, which those of version 0.1.0 lack."""
        self.connection = connection
        """To it, as SQLite has it."""

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file at `path` to write, and make it where there is none.

        Raises:
            LedgerError: it cannot be written, or as a whole cannot be relied on. Then nothing is
                changed.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerError(
                f'the folder "{path.parent}" cannot be made: {error.strerror or error}.'
                " Choose another output, or fix its permissions."
            ) from None
        examination = examine(path)
        examination.refuse()
        with clear_errors(path):
            connection = connect(path)
            database = cls(path, connection, examination)
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
            LedgerError: there is none, it cannot be read, or as a whole cannot be relied on.
        """
        examination = examine(path)
        examination.refuse()
        if not path.is_file():
            raise LedgerError(
                f'there is no ledger "{path}": nothing was run yet. Run the experiment first.'
            )
        with clear_errors(path):
            return cls(path, connect_to_read(path), examination)

    def _prepare(self) -> None:
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = FULL")
        if format_of(self.connection) != FORMAT:
            with self.writing() as connection:  # so that one of several sessions does it
                if is_empty(connection):
                    self._begin_count()
                    make_tables(connection)
                    add_entry(connection, LogEntry.MADE, key=uuid.uuid4().hex, title="")
                elif format_of(connection) == OLD_FORMAT:
                    self._begin_count()
                    found = examine_rows(self.path, connection)
                    migrate(connection, found)
                    put_aside = tuple(replace(each, put_aside=True) for each in found.damaged)
                    self.examination = replace(found, damaged=put_aside)
                    self.migrated = True
        self.has_digests = True
        with self.writing() as connection:  # so that a read-only file is known at once
            connection.execute("DELETE FROM claims WHERE key = ''")
            if self.examination.stale_index:
                connection.execute("REINDEX")
        self._publish()

    def _begin_count(self) -> None:
        """There is such a file before there is a ledger that needs one."""
        write_count(self.path, Committed(results=0, commits=0, last=""))

    def _publish(self) -> None:
        """Bring the file that counts results up to date.

        Within a transaction, so that of several sessions none puts an older count in place of a
        newer one.
        """
        with self.writing() as connection:
            commits, last = last_entry(connection)
            results = connection.execute("SELECT count(*) FROM results").fetchone()[0]
            committed = Committed(results=results, commits=commits, last=last)
            if committed != read_count(self.path):
                write_count(self.path, committed)

    def forget_damage(self) -> None:
        """All of it was dealt with; a session that begins now finds what is left."""
        self.examination = replace(self.examination, damaged=())

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or nothing."""
        with clear_errors(self.path):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def recording(self) -> Iterator[sqlite3.Connection]:
        """One transaction that the log speaks of, and the file that counts results after it."""
        with self.writing() as connection:
            yield connection
        self._publish()

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """What a query finds."""
        with clear_errors(self.path):
            return self.connection.execute(query, values).fetchall()
