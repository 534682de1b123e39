"""The ledger: every result the moment it exists, exactly once.

Results are keyed by the run; a second one with the same key is refused by the database itself. A
claim says who does a run right now; it dies with its process.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from emergecast.errors import LedgerError
from emergecast.lab.experiment import canonical
from emergecast.lab.ledger._connect import clear_errors, connect, stated_format
from emergecast.lab.ledger._count_file import count_file
from emergecast.lab.ledger._damage import Damage
from emergecast.lab.ledger._database import Database
from emergecast.lab.ledger._digests import digest_of
from emergecast.lab.ledger._examine import examine_rows
from emergecast.lab.ledger._log import LogEntry, add_entry
from emergecast.lab.ledger._outcome import Attempt, Failure, Outcome, Result, State
from emergecast.lab.ledger._owner import Owner, is_alive
from emergecast.lab.ledger._put import put_aside, put_fact, put_failure, put_result
from emergecast.lab.ledger._stored import Row, items_of, result_of, row_of
from emergecast.lab.ledger._tables import CLAIM, FAILURE, OLD_FORMAT, RESULT


class Ledger:
    """An open ledger; a context manager that closes it.

    Every method raises LedgerError where the file cannot be read or written.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        """The open file."""

    @classmethod
    def open(cls, path: Path, *, tell: Callable[[str], None] = lambda _sentence: None) -> Self:
        """Open the ledger at `path` to write, and make it where there is none.

        One of version 0.1.0 is brought into the form of today, and `tell` is called with that.
        """
        ledger = cls(Database.open(path))
        if ledger.database.migrated:
            count = ledger.database.examination.results
            tell(
                f'The ledger "{path}" was written by version 0.1.0. It is now in the form of this'
                f" version, with a digest for each of its {count:,} results; version 0.1.0 cannot"
                " read it any more."
            )
        return ledger

    @classmethod
    def open_to_read(cls, path: Path) -> Self:
        """Open the ledger at `path` without changing anything.

        Raises:
            LedgerError: there is none, or it cannot be read.
        """
        return cls(Database.open_to_read(path))

    @classmethod
    def open_to_look(cls, path: Path) -> Self:
        """Open the ledger at `path` to keep facts in it, or just to read it where that must do.

        It is made where there is none and where it can be; one of version 0.1.0 stays in its form.

        Raises:
            LedgerError: it cannot be made, or it is there and cannot be read.
        """
        if stated_format(path) != OLD_FORMAT:
            try:
                return cls.open(path)
            except LedgerError:
                if not path.is_file():
                    raise
        return cls.open_to_read(path)

    @staticmethod
    def is_there(path: Path) -> bool:
        """Whether there is a ledger at `path`, or a sign that there should be one."""
        return path.exists() or count_file(path).exists()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.database.close()

    # ---------------------------------------------------------------------------------- damage

    @property
    def damaged(self) -> tuple[Damage, ...]:
        """Rows that were damaged or gone when the ledger was opened; they count as missing."""
        return self.database.examination.damaged

    def put_aside_damaged(self) -> tuple[Damage, ...]:
        """Move damaged rows to a table of their own, so that their runs are done again.

        Returns:
            What was damaged when the ledger was opened.
        """
        found = self.damaged
        if not all(each.put_aside for each in found):
            with self.database.recording() as connection:
                # What it was like on opening may have been dealt with by another session.
                put_aside(connection, examine_rows(self.database.path, connection).damaged)
            self.database.forget_damage()
        return found

    # --------------------------------------------------------------------------------- results

    def results(self) -> dict[str, Result]:
        """All results by key, but for damaged ones.

        Raises:
            LedgerError: one was damaged after the ledger was opened, among other reasons.
        """
        return {row[0]: result_of(row) for row in self.rows()}

    def items(self, key: str) -> list[dict[str, Any]]:
        """Outcomes of the single test items of one result; empty where it has none."""
        for row in self.rows("WHERE key = ?", key):
            return items_of(row)
        return []

    def rows(self, which: str = "", *values: object) -> Iterator[Row]:
        """Rows of results that are what was recorded."""
        has_digests = self.database.has_digests
        columns = f"rowid, {', '.join(RESULT)}, {'digest' if has_digests else 'NULL'}"
        bad = self.database.examination.bad_rows("results")
        query = f"SELECT {columns} FROM results NOT INDEXED {which} ORDER BY rowid"  # noqa: S608  our columns
        for number, *content, digest in self.database.rows(query, *values):
            row = tuple(content)
            if number in bad:
                continue
            if has_digests and digest_of(*row) != digest:
                raise LedgerError(
                    f'the ledger "{self.database.path}" was damaged while it was open: {row[2]}'
                    " is not what was recorded. Stop, and run again."
                )
            yield row

    def failures(self) -> dict[str, Failure]:
        """Failed runs that were not cleared, by key; the latest failure of each."""
        names = ("key", "title", "error", "traceback", "failed")
        return {
            row[0]: Failure(**dict(zip(names, row, strict=False))) for row in self.failure_rows()
        }

    def failure_rows(self) -> Iterator[Row]:
        """Rows of failed runs that were not cleared, and that nobody has done since."""
        standing = _STANDING if self.database.has_digests else "cleared IS NULL"
        columns = f"number, {', '.join(FAILURE)}"
        query = f"SELECT {columns} FROM failures NOT INDEXED WHERE {standing} ORDER BY number"  # noqa: S608
        bad = self.database.examination.bad_rows("failures")
        done = self._done()
        for number, *row in self.database.rows(query):
            if number not in bad and row[0] not in done:
                yield tuple(row)

    def running(self) -> dict[str, str]:
        """Titles of the runs that a live process has claimed, by key."""
        digest = "digest" if self.database.has_digests else "NULL"
        query = f"SELECT {', '.join(CLAIM)}, beat, {digest} FROM claims"  # noqa: S608
        return {row[0]: row[1] for row in self.database.rows(query) if _is_held(row)}

    def states(self) -> dict[str, State]:
        """Where each run that the ledger knows stands; the others are missing."""
        states = dict.fromkeys(self.failures(), State.FAILED)
        states |= dict.fromkeys(self.running(), State.RUNNING)
        return states | dict.fromkeys(self._done(), State.DONE)

    def _done(self) -> set[str]:
        """Keys of the runs that have a result; their index may not be relied on."""
        bad = self.database.examination.bad_rows("results")
        rows = self.database.rows("SELECT rowid, key FROM results NOT INDEXED")
        return {key for number, key in rows if number not in bad}

    def record(self, attempt: Attempt, outcome: Outcome) -> bool:
        """Put a result in and free its claim; False where the run has a result already."""
        row = row_of(attempt, outcome)
        with self.database.recording() as connection:
            is_new = put_result(connection, row)
            connection.execute("DELETE FROM claims WHERE key = ?", (attempt.key,))
        return is_new

    def fail(self, attempt: Attempt, error: str, traceback: str) -> None:
        """Put a failure in and free its claim."""
        row = (
            attempt.key,
            attempt.title,
            _writable(error),
            _writable(traceback),
            float(attempt.started + attempt.seconds),
            float(attempt.seconds),
            canonical(dict(attempt.versions)),
            canonical(dict(attempt.machine)),
        )
        with self.database.recording() as connection:
            put_failure(connection, row)
            connection.execute("DELETE FROM claims WHERE key = ?", (attempt.key,))

    def clear(self, keys: Sequence[str]) -> int:
        """Make failed runs missing again, so that they are tried again; returns how many."""
        cleared = 0
        with self.database.recording() as connection:
            for key in keys:
                failed = f"SELECT title FROM failures WHERE key = ? AND {_STANDING}"  # noqa: S608
                row = connection.execute(failed, (key,)).fetchone()
                if row is not None:
                    add_entry(connection, LogEntry.CLEARED, key=key, title=row[0])
                    cleared += 1
        return cleared

    # ---------------------------------------------------------------------------------- claims

    def claim(self, key: str, title: str, owner: Owner) -> bool:
        """Claim a run; False where it is done, failed, or claimed by a live process."""
        with self.database.writing() as connection:
            if connection.execute("SELECT 1 FROM results WHERE key = ?", (key,)).fetchone():
                return False
            failed = f"SELECT 1 FROM failures WHERE key = ? AND {_STANDING}"  # noqa: S608
            if connection.execute(failed, (key,)).fetchone():
                return False
            row = connection.execute("SELECT * FROM claims WHERE key = ?", (key,)).fetchone()
            if row is not None and _is_held(row):
                return False
            _put_claim(connection, key, title, owner)
            return True

    def hand_over(self, key: str, *, giver: Owner, taker: Owner) -> bool:
        """Turn the claim of `giver` on a run into one that lives as long as `taker`.

        False where `giver` has none: it was silent for so long that somebody else took it over.
        """
        with self.database.writing() as connection:
            mine = "SELECT title FROM claims WHERE key = ? AND owner = ?"
            row = connection.execute(mine, (key, giver.name)).fetchone()
            if row is not None:
                _put_claim(connection, key, row[0], taker)
            return row is not None

    def beat(self, owner: Owner) -> None:
        """Record that `owner` is still alive."""
        with self.database.writing() as connection:
            values = (time.time(), owner.name)
            connection.execute("UPDATE claims SET beat = ? WHERE owner = ?", values)

    def release(self, owner: Owner, key: str | None = None) -> None:
        """Give back the claim of `owner` on a run, or all of its claims."""
        with self.database.writing() as connection:
            connection.execute(
                "DELETE FROM claims WHERE owner = ? AND key = ifnull(?, key)", (owner.name, key)
            )

    # ----------------------------------------------------------------------------------- facts

    def known_facts(self, fingerprint: str) -> dict[str, Any] | None:
        """Facts that were found before under `fingerprint`."""
        digest = "digest" if self.database.has_digests else "NULL"
        query = f"SELECT facts, {digest} FROM facts WHERE fingerprint = ?"  # noqa: S608
        for facts, recorded in self.database.rows(query, fingerprint):
            if recorded is None or recorded == digest_of(fingerprint, facts):
                with contextlib.suppress(ValueError, TypeError, RecursionError):
                    found = json.loads(facts)
                    return found if isinstance(found, dict) else None
        return None

    def keep_facts(self, fingerprint: str, facts: Mapping[str, Any]) -> None:
        """Remember facts, so that weights are hashed once; in a ledger of version 0.1.0 too."""
        if not self.database.has_digests:
            path = self.database.path
            with clear_errors(path), contextlib.closing(connect(path)) as connection:
                values = (fingerprint, canonical(dict(facts)))
                connection.execute("REPLACE INTO facts VALUES (?, ?)", values)
            return
        with self.database.writing() as connection:
            put_fact(connection, fingerprint, canonical(dict(facts)))


_STANDING: Final = (
    "number > ifnull((SELECT max(number) FROM log WHERE log.key = failures.key"
    " AND what = 'cleared'), 0)"
)
"""Of a failure that was not cleared since."""


def _put_claim(connection: sqlite3.Connection, key: str, title: str, owner: Owner) -> None:
    now = time.time()
    values = (key, title, owner.name, owner.host, owner.pid, owner.born, now)
    connection.execute(
        "REPLACE INTO claims VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*values, now, digest_of(*values))
    )


def _is_held(row: Row) -> bool:
    """Whether a claim is that of a live process, and not damaged."""
    *values, beat, digest = row
    if digest is not None and digest != digest_of(*values):
        return False
    _, _, _, host, pid, born, _ = values
    return is_alive(host, pid, born, beat)


def _writable(text: str) -> str:
    """Text as UTF-8 can hold it."""
    return text.encode("utf-8", "backslashreplace").decode()
