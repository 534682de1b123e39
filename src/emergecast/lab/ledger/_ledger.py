"""The ledger: every result the moment it exists, exactly once, in one SQLite file.

WAL mode, full synchronisation: a reader never waits for a writer, and what was committed survives a
kill and a power cut. Results are keyed by the run; a second one with the same key is refused by the
database itself. A claim says who does a run right now; it dies with its process.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

from emergecast.errors import LedgerError
from emergecast.lab.experiment import canonical
from emergecast.lab.ledger._outcome import Loss, Outcome, Score
from emergecast.lab.ledger._owner import Owner, is_alive

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


class State(StrEnum):
    """Where a run stands."""

    DONE = "done"
    FAILED = "failed"
    RUNNING = "running"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A result as the ledger has it, without the outcomes of single items."""

    key: str
    kind: str
    title: str
    identity: Mapping[str, Any]
    loss: Loss | None
    scores: tuple[Score, ...]
    training: Mapping[str, Any] | None
    started: float
    """Seconds since 1970, UTC."""
    seconds: float
    timings: Mapping[str, float]
    versions: Mapping[str, str]
    machine: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A run that failed and was not cleared for another try."""

    key: str
    title: str
    error: str
    traceback: str
    failed: float
    """Seconds since 1970, UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Who did a run, when, and with what; goes into the ledger beside its result."""

    key: str
    kind: str
    title: str
    identity: Mapping[str, Any]
    started: float
    seconds: float
    versions: Mapping[str, str]
    machine: Mapping[str, Any]


class Ledger:
    """An open ledger; a context manager that closes it.

    Every method raises LedgerError where the file cannot be read or written.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the ledger at `path` to write, and make it where there is none."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerError(
                f'the folder "{path.parent}" cannot be made: {error.strerror or error}.'
                " Choose another output, or fix its permissions."
            ) from None
        with _clear_errors(path):
            connection = sqlite3.connect(path, timeout=_LOCK_SECONDS, isolation_level=None)
            ledger = cls(path, connection)
            try:
                ledger._prepare()
            except BaseException:
                connection.close()
                raise
        return ledger

    @classmethod
    def open_to_read(cls, path: Path) -> Self:
        """Open the ledger at `path` without changing anything.

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
            with self._writing() as connection:
                if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                    for statement in _TABLES.split(";"):
                        connection.execute(statement)
                    connection.execute(f"PRAGMA user_version = {_FORMAT}")
        _check_format(self.path, self._connection)
        with self._writing() as connection:  # so that a read-only file is known at once
            connection.execute("DELETE FROM claims WHERE key = ''")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or nothing."""
        with _clear_errors(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with _clear_errors(self.path):
            return self._connection.execute(query, values).fetchall()

    # --------------------------------------------------------------------------------- results

    def results(self) -> dict[str, Result]:
        """All results by key."""
        columns = (
            "key, kind, title, identity, outcome, started, seconds, timings, versions, machine"
        )
        rows = self._rows(f"SELECT {columns} FROM results ORDER BY rowid")  # noqa: S608  our columns
        return {row[0]: _result(row) for row in rows}

    def items(self, key: str) -> list[dict[str, Any]]:
        """Outcomes of the single test items of one result; empty where it has none."""
        rows = self._rows("SELECT items FROM results WHERE key = ?", key)
        if not rows or rows[0][0] is None:
            return []
        found: list[dict[str, Any]] = json.loads(zlib.decompress(rows[0][0]))
        return found

    def failures(self) -> dict[str, Failure]:
        """Failed runs that were not cleared, by key; the latest failure of each."""
        rows = self._rows(
            "SELECT key, title, error, traceback, failed FROM failures WHERE cleared IS NULL"
            " AND key NOT IN (SELECT key FROM results) ORDER BY number"
        )
        names = ("key", "title", "error", "traceback", "failed")
        return {row[0]: Failure(**dict(zip(names, row, strict=True))) for row in rows}

    def running(self) -> dict[str, str]:
        """Titles of the runs that a live process has claimed, by key."""
        rows = self._rows("SELECT key, title, host, pid, born, beat FROM claims")
        return {key: title for key, title, *who in rows if is_alive(*who)}

    def states(self) -> dict[str, State]:
        """Where each run that the ledger knows stands; the others are missing."""
        states = dict.fromkeys(self.failures(), State.FAILED)
        states |= dict.fromkeys(self.running(), State.RUNNING)
        done = self._rows("SELECT key FROM results")
        return states | dict.fromkeys((key for (key,) in done), State.DONE)

    def record(self, attempt: Attempt, outcome: Outcome) -> bool:
        """Put a result in and free its claim; False where the run has a result already."""
        content = canonical(
            {
                "loss": None if outcome.loss is None else asdict(outcome.loss),
                "scores": [asdict(score) for score in outcome.scores],
                "training": None if outcome.training is None else dict(outcome.training),
            }
        )
        items = None
        if outcome.items:
            items = zlib.compress(canonical([dict(item) for item in outcome.items]).encode(), 9)
        values = (
            attempt.key,
            attempt.kind,
            attempt.title,
            canonical(dict(attempt.identity)),
            content,
            items,
            attempt.started,
            attempt.seconds,
            canonical(dict(outcome.timings)),
            canonical(dict(attempt.versions)),
            canonical(dict(attempt.machine)),
        )
        with self._writing() as connection:
            marks = ", ".join("?" * len(values))
            cursor = connection.execute(f"INSERT OR IGNORE INTO results VALUES ({marks})", values)  # noqa: S608
            connection.execute("DELETE FROM claims WHERE key = ?", (attempt.key,))
            return cursor.rowcount == 1

    def fail(self, attempt: Attempt, error: str, traceback: str) -> None:
        """Put a failure in and free its claim."""
        values = (
            attempt.key,
            attempt.title,
            error,
            traceback,
            attempt.started + attempt.seconds,
            attempt.seconds,
            canonical(dict(attempt.versions)),
            canonical(dict(attempt.machine)),
        )
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO failures (key, title, error, traceback, failed, seconds, versions,"
                " machine) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            connection.execute("DELETE FROM claims WHERE key = ?", (attempt.key,))

    def clear(self, keys: Sequence[str]) -> int:
        """Make failed runs missing again, so that they are tried again; returns how many."""
        cleared = 0
        with self._writing() as connection:
            for key in keys:
                cursor = connection.execute(
                    "UPDATE failures SET cleared = ? WHERE key = ? AND cleared IS NULL",
                    (time.time(), key),
                )
                cleared += cursor.rowcount > 0
        return cleared

    # ---------------------------------------------------------------------------------- claims

    def claim(self, key: str, title: str, owner: Owner) -> bool:
        """Claim a run; False where it is done, failed, or claimed by a live process."""
        with self._writing() as connection:
            if connection.execute("SELECT 1 FROM results WHERE key = ?", (key,)).fetchone():
                return False
            failed = "SELECT 1 FROM failures WHERE key = ? AND cleared IS NULL"
            if connection.execute(failed, (key,)).fetchone():
                return False
            taken = "SELECT host, pid, born, beat FROM claims WHERE key = ?"
            row = connection.execute(taken, (key,)).fetchone()
            if row is not None and is_alive(*row):
                return False
            now = time.time()
            values = (key, title, owner.name, owner.host, owner.pid, owner.born, now, now)
            connection.execute("REPLACE INTO claims VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
            return True

    def beat(self, owner: Owner) -> None:
        """Record that `owner` is still alive."""
        with self._writing() as connection:
            values = (time.time(), owner.name)
            connection.execute("UPDATE claims SET beat = ? WHERE owner = ?", values)

    def release(self, owner: Owner) -> None:
        """Give back the claims of `owner`."""
        with self._writing() as connection:
            connection.execute("DELETE FROM claims WHERE owner = ?", (owner.name,))

    # ----------------------------------------------------------------------------------- facts

    def known_facts(self, fingerprint: str) -> dict[str, Any] | None:
        """Facts that were found before under `fingerprint`."""
        rows = self._rows("SELECT facts FROM facts WHERE fingerprint = ?", fingerprint)
        return json.loads(rows[0][0]) if rows else None

    def keep_facts(self, fingerprint: str, facts: Mapping[str, Any]) -> None:
        """Remember facts, so that weights are hashed once."""
        with self._writing() as connection:
            values = (fingerprint, canonical(dict(facts)))
            connection.execute("REPLACE INTO facts VALUES (?, ?)", values)


def _result(row: tuple[Any, ...]) -> Result:
    key, kind, title, identity, content, started, seconds, timings, versions, machine = row
    outcome = json.loads(content)
    loss = outcome["loss"]
    return Result(
        key=key,
        kind=kind,
        title=title,
        identity=json.loads(identity),
        loss=None if loss is None else Loss(**loss),
        scores=tuple(Score(**score) for score in outcome["scores"]),
        training=outcome["training"],
        started=started,
        seconds=seconds,
        timings=json.loads(timings),
        versions=json.loads(versions),
        machine=json.loads(machine),
    )


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
