"""The ledger: every result the moment it exists, exactly once.

Results are keyed by the run; a second one with the same key is refused by the database itself. A
claim says who does a run right now; it dies with its process.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from emergecast.lab.evaluate import Loss, Score
from emergecast.lab.experiment import canonical
from emergecast.lab.ledger._database import Database
from emergecast.lab.ledger._outcome import Attempt, Failure, Outcome, Result, State
from emergecast.lab.ledger._owner import Owner, is_alive


class Ledger:
    """An open ledger; a context manager that closes it.

    Every method raises LedgerError where the file cannot be read or written.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the ledger at `path` to write, and make it where there is none."""
        return cls(Database.open(path))

    @classmethod
    def open_to_read(cls, path: Path) -> Self:
        """Open the ledger at `path` without changing anything.

        Raises:
            LedgerError: there is none, or it cannot be read.
        """
        return cls(Database.open_to_read(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    # --------------------------------------------------------------------------------- results

    def results(self) -> dict[str, Result]:
        """All results by key."""
        columns = (
            "key, kind, title, identity, outcome, started, seconds, timings, versions, machine"
        )
        rows = self._database.rows(f"SELECT {columns} FROM results ORDER BY rowid")  # noqa: S608  our columns
        return {row[0]: _result(row) for row in rows}

    def items(self, key: str) -> list[dict[str, Any]]:
        """Outcomes of the single test items of one result; empty where it has none."""
        rows = self._database.rows("SELECT items FROM results WHERE key = ?", key)
        if not rows or rows[0][0] is None:
            return []
        found: list[dict[str, Any]] = json.loads(zlib.decompress(rows[0][0]))
        return found

    def failures(self) -> dict[str, Failure]:
        """Failed runs that were not cleared, by key; the latest failure of each."""
        rows = self._database.rows(
            "SELECT key, title, error, traceback, failed FROM failures WHERE cleared IS NULL"
            " AND key NOT IN (SELECT key FROM results) ORDER BY number"
        )
        names = ("key", "title", "error", "traceback", "failed")
        return {row[0]: Failure(**dict(zip(names, row, strict=True))) for row in rows}

    def running(self) -> dict[str, str]:
        """Titles of the runs that a live process has claimed, by key."""
        rows = self._database.rows("SELECT key, title, host, pid, born, beat FROM claims")
        return {key: title for key, title, *who in rows if is_alive(*who)}

    def states(self) -> dict[str, State]:
        """Where each run that the ledger knows stands; the others are missing."""
        states = dict.fromkeys(self.failures(), State.FAILED)
        states |= dict.fromkeys(self.running(), State.RUNNING)
        done = self._database.rows("SELECT key FROM results")
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
        with self._database.writing() as connection:
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
        with self._database.writing() as connection:
            connection.execute(
                "INSERT INTO failures (key, title, error, traceback, failed, seconds, versions,"
                " machine) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            connection.execute("DELETE FROM claims WHERE key = ?", (attempt.key,))

    def clear(self, keys: Sequence[str]) -> int:
        """Make failed runs missing again, so that they are tried again; returns how many."""
        cleared = 0
        with self._database.writing() as connection:
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
        with self._database.writing() as connection:
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

    def hand_over(self, key: str, *, giver: Owner, taker: Owner) -> bool:
        """Turn the claim of `giver` on a run into one that lives as long as `taker`.

        False where `giver` has none: it was silent for so long that somebody else took it over.
        """
        new = (taker.name, taker.host, taker.pid, taker.born, time.time())
        with self._database.writing() as connection:
            cursor = connection.execute(
                "UPDATE claims SET owner = ?, host = ?, pid = ?, born = ?, beat = ?"
                " WHERE key = ? AND owner = ?",
                (*new, key, giver.name),
            )
            return cursor.rowcount == 1

    def beat(self, owner: Owner) -> None:
        """Record that `owner` is still alive."""
        with self._database.writing() as connection:
            values = (time.time(), owner.name)
            connection.execute("UPDATE claims SET beat = ? WHERE owner = ?", values)

    def release(self, owner: Owner, key: str | None = None) -> None:
        """Give back the claim of `owner` on a run, or all of its claims."""
        with self._database.writing() as connection:
            connection.execute(
                "DELETE FROM claims WHERE owner = ? AND key = ifnull(?, key)", (owner.name, key)
            )

    # ----------------------------------------------------------------------------------- facts

    def known_facts(self, fingerprint: str) -> dict[str, Any] | None:
        """Facts that were found before under `fingerprint`."""
        rows = self._database.rows("SELECT facts FROM facts WHERE fingerprint = ?", fingerprint)
        return json.loads(rows[0][0]) if rows else None

    def keep_facts(self, fingerprint: str, facts: Mapping[str, Any]) -> None:
        """Remember facts, so that weights are hashed once."""
        with self._database.writing() as connection:
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
