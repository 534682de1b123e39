"""Everything that can be wrong with a ledger, found without changing anything.

SQLite's own check says whether the file is whole; the file beside it, whether it is the one that
was written last; the log, whether every row is there; the digests, whether a row is as recorded.
"""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

from emergecast.errors import LedgerError
from emergecast.lab.ledger._connect import clear_errors, connect_to_read, is_damage, log_of
from emergecast.lab.ledger._count_file import Committed, count_file, read_count
from emergecast.lab.ledger._damage import Damage, LedgerCheck
from emergecast.lab.ledger._digests import digest_of
from emergecast.lab.ledger._log import Log, read_log
from emergecast.lab.ledger._stored import (
    Row,
    UnreadableRowError,
    key_of,
    result_of,
)
from emergecast.lab.ledger._tables import (
    FAILURE,
    FORMAT,
    OLD_FORMAT,
    RESULT,
    format_of,
    has_tables,
    is_empty,
)
from emergecast.lab.ledger._without_digest import check_without_digest

OnRows = Callable[[int, int], None]
"""Called with how many rows are done, of how many."""
_FACTS: Final = "what is known of a checkpoint, task or corpus"
_CHANGED: Final = "its content is not what was recorded: the digest differs"
_OF_AN_INDEX: Final = re.compile(
    "missing from index|wrong # of entries in index|non-unique entry in index|unique constraint"
)
_MAGIC: Final = b"SQLite format 3\0"


def examine(path: Path, on_rows: OnRows = lambda _done, _total: None) -> LedgerCheck:
    """What is wrong with the ledger at `path`; nothing is where there is none.

    Raises:
        LedgerError: the file cannot be reached, whatever is in it.
    """
    problems: list[str] = []
    committed = None
    try:
        with clear_errors(path):
            committed = read_count(path)  # before the ledger: it never leads
            if not path.is_file():
                return _absent(path, committed)
            is_ledger = count_file(path).exists() or _begins_like_one(path)
    except LedgerError as error:
        if error.__cause__ is not None:
            raise
        problems.append(str(error))
        is_ledger = True
    try:
        with contextlib.closing(connect_to_read(path)) as connection:
            connection.execute("BEGIN")
            return _Examiner(path, connection, problems, on_rows).examine(committed)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        if not is_damage(error):
            with clear_errors(path):
                raise
        problems.append(f"it is damaged, or not a ledger ({error})")
    return LedgerCheck(path=path, problems=tuple(problems), is_ledger=is_ledger)


def examine_rows(path: Path, connection: sqlite3.Connection) -> LedgerCheck:
    """Which rows of an open ledger are damaged, as seen by the transaction that is going on."""
    log = None if format_of(connection) == OLD_FORMAT else read_log(connection)
    return _Examiner(path, connection, [], lambda _done, _total: None).rows(log)


def _absent(path: Path, committed: Committed | None) -> LedgerCheck:
    if path.exists():
        return LedgerCheck(path=path, problems=("it is not a file",), is_ledger=False)
    if committed is None or not committed.results:
        return LedgerCheck(path=path)
    beside = count_file(path)
    what = (
        f'it is missing, and "{beside}" says that it held {committed.results:,} results (to begin'
        " again without them, delete that file too)"
    )
    return LedgerCheck(path=path, problems=(what,))


def _begins_like_one(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(_MAGIC)) in {_MAGIC, b""}


class _Examiner:
    """One look at an open ledger."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, problems: list[str], on_rows: OnRows
    ) -> None:
        self._path = path
        self._connection = connection
        self._problems = problems
        self._on_rows = on_rows
        self._damaged: list[Damage] = []
        self._stale_index = False

    def examine(self, committed: Committed | None) -> LedgerCheck:
        """All there is to say."""
        path, found = self._path, format_of(self._connection)
        if is_empty(self._connection):
            if committed is not None and (committed.results or committed.commits > 1):
                self._problems.append(self._behind(committed, 0))
            return LedgerCheck(path=path, problems=tuple(self._problems))
        lines = [line for (line,) in self._connection.execute("PRAGMA integrity_check")]
        if lines != ["ok"]:
            self._sort_out(lines)
        if found == OLD_FORMAT:
            if committed is not None and committed.commits:
                self._problems.append(self._behind(committed, 0))
            return self.rows(None)
        if not has_tables(self._connection):
            known = committed is not None or found == FORMAT
            what = "the tables of a ledger are damaged" if known else "it is not a ledger"
            problems = (*self._problems, f"{what} (format {found}, expected {FORMAT})")
            return LedgerCheck(path=path, format=found, problems=problems, is_ledger=known)
        if found != FORMAT:
            self._problems.append(
                f"it is not a ledger of this version (format {found}, expected {FORMAT}), or its"
                " header is damaged"
            )
        log = read_log(self._connection)
        if log.broken is not None:
            self._problems.append(f"entry {log.broken} of its log is damaged or missing")
        if not self._problems:  # else it follows from them
            self._compare(committed, log)
        return self.rows(log)

    def rows(self, log: Log | None) -> LedgerCheck:
        """Which rows are damaged; without a log, of a ledger of version 0.1.0."""
        if log is None:
            return self._old()
        results = self._results(log)
        failures = self._failures(log)
        self._facts()
        return self._found(FORMAT, results, failures)

    def _sort_out(self, lines: list[str]) -> None:
        """An index can be built again from its table; all else is damage."""
        serious = [line for line in lines if not _OF_AN_INDEX.search(line)]
        self._problems += [f"SQLite finds it damaged ({line})" for line in serious]
        self._stale_index = not serious
        if self._stale_index:
            what = f"SQLite says: {lines[0]}; it is built again when somebody writes"
            self._add("index", None, None, "the index", what)

    def _compare(self, committed: Committed | None, log: Log) -> None:
        """Whether this is the ledger that was written last."""
        beside = count_file(self._path)
        if committed is None:
            self._problems.append(
                f'the file "{beside.name}" beside it is missing, so nobody can tell whether it is'
                " whole: copy both, or use emergecast ledger backup"
            )
        elif committed.commits > log.commits:
            self._problems.append(self._behind(committed, len(log.results)))
        elif committed.last != log.chains[committed.commits]:
            self._problems.append(
                f'"{beside.name}" counts the results of another ledger ({committed.results}), or of'
                " this one before it was replaced by a copy that went on without them"
            )

    def _behind(self, committed: Committed, results: int) -> str:
        log = log_of(self._path)
        gone = "was cut or damaged" if log.exists() and log.stat().st_size else "is missing"
        return (
            f"it holds {results:,} of the {committed.results:,} results that were recorded, as"
            f' "{count_file(self._path).name}" says: its write-ahead log "{log.name}" {gone}, or an'
            " older copy was put in its place"
        )

    def _results(self, log: Log) -> int:
        """Check every result; the number of intact ones."""
        lost = dict(log.results)
        total = self._connection.execute("SELECT count(*) FROM results").fetchone()[0]
        query = f"SELECT rowid, {', '.join(RESULT)}, digest FROM results NOT INDEXED ORDER BY rowid"  # noqa: S608
        intact = 0
        for done, (number, *values, digest) in enumerate(self._connection.execute(query)):
            self._on_rows(done, total)
            row = tuple(values)
            key = self._key(row, lost)
            expected = lost.pop(key, None) if key is not None else None
            what = _reason(row, digest)
            if what is not None:
                pass
            elif log.broken is None and expected is None:
                what = "it was not recorded by emergecast"
            elif log.broken is None and expected is not None and expected[0] != digest:
                what = "it was changed together with its digest after it was recorded"
            if what is None:
                intact += 1
            else:
                title = str(row[2]) if expected is None else expected[1]
                self._add("results", number, key, title, what)
        if log.broken is None:
            for key, (_, title) in lost.items():
                self._add("results", None, key, title, "it was recorded, and is gone")
            for key, title in log.put_aside.items():
                what = "it was damaged, was put aside, and is not measured again yet"
                self._damaged.append(
                    Damage(
                        table="results", row=None, key=key, title=title, what=what, put_aside=True
                    )
                )
        return intact

    @staticmethod
    def _key(row: Row, lost: dict[str, tuple[str, str]]) -> str | None:
        """The run that a row belongs to; by what it measured where its key is damaged."""
        return next((key for key in (row[0], key_of(row)) if key in lost), None)

    def _failures(self, log: Log) -> int:
        lost = dict(log.failures)
        query = f"SELECT number, {', '.join(FAILURE)}, digest FROM failures ORDER BY number"  # noqa: S608
        intact = 0
        for number, *values, digest in self._connection.execute(query):
            recorded, key, title = lost.pop(number, ("", None, str(values[1])))
            if digest_of(*values) == digest and (recorded == digest or log.broken is not None):
                intact += 1
            else:
                what = f"of its failure, {_CHANGED.removeprefix('its ')}"
                self._add("failures", number, key, title, what)
        if log.broken is None:
            for _, key, title in lost.values():
                self._add("failures", None, key, title, "its failure was recorded, and is gone")
        return intact

    def _facts(self) -> None:
        query = "SELECT rowid, fingerprint, facts, digest FROM facts"
        for number, *values, digest in self._connection.execute(query):
            if digest_of(*values) != digest:
                self._add("facts", number, None, _FACTS, "it is damaged, and is found again")

    def _old(self) -> LedgerCheck:
        """A ledger of version 0.1.0, as far as it proves what it holds."""
        results = failures = 0
        query = f"SELECT rowid, {', '.join(RESULT)} FROM results NOT INDEXED ORDER BY rowid"  # noqa: S608
        for number, *values in self._connection.execute(query):
            row = tuple(values)
            try:
                check_without_digest(row)
                results += 1
            except UnreadableRowError as error:
                key = row[0] if key_of(row) == row[0] else None
                self._add("results", number, key, str(row[2]), str(error))
        query = f"SELECT number, {', '.join(FAILURE)}, cleared FROM failures"  # noqa: S608
        failures = len(self._connection.execute(query).fetchall())
        for number, facts in self._connection.execute("SELECT rowid, facts FROM facts"):
            try:
                readable = isinstance(json.loads(facts), dict)
            except (ValueError, TypeError, RecursionError):
                readable = False
            if not readable:
                self._add("facts", number, None, _FACTS, "it is damaged, and is found again")
        self._connection.execute(
            "SELECT key, title, owner, host, pid, born, since, beat FROM claims"
        )
        return self._found(OLD_FORMAT, results, failures)

    def _add(self, table: str, row: int | None, key: str | None, title: str, what: str) -> None:
        self._damaged.append(Damage(table=table, row=row, key=key, title=title, what=what))

    def _found(self, form: int, results: int, failures: int) -> LedgerCheck:
        return LedgerCheck(
            path=self._path,
            format=form,
            results=results,
            failures=failures,
            problems=tuple(self._problems),
            damaged=tuple(self._damaged),
            stale_index=self._stale_index,
        )


def _reason(row: Row, digest: str) -> str | None:
    """Why a row is not the result that was recorded, as far as it shows; None where it is."""
    fits = digest_of(*row) == digest
    try:
        if fits:
            result_of(row)
            return None
        check_without_digest(row)
    except UnreadableRowError as error:
        return str(error)
    return _CHANGED
