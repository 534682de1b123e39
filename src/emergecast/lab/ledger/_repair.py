"""What is intact of a damaged ledger, in a new one in its place, with the old files beside it."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from emergecast.errors import LedgerError
from emergecast.files import sync_folder
from emergecast.lab.ledger._connect import clear_errors, connect_to_read, log_of, remove_traces
from emergecast.lab.ledger._count_file import count_file, read_count
from emergecast.lab.ledger._database import Database
from emergecast.lab.ledger._digests import digest_of
from emergecast.lab.ledger._examine import OnRows, examine
from emergecast.lab.ledger._log import Log, LogEntry, read_log
from emergecast.lab.ledger._owner import is_alive
from emergecast.lab.ledger._put import put_fact, put_failure, put_result
from emergecast.lab.ledger._stored import Row, UnreadableRowError, result_of
from emergecast.lab.ledger._tables import FAILURE, OLD_FORMAT, RESULT, format_of
from emergecast.lab.ledger._without_digest import check_without_digest

_DAMAGED: Final = (sqlite3.Error, UnicodeDecodeError)
_ROWS_BEYOND: Final = 100
"""Rows that are looked for beyond the last one that is known of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """What a repair saved."""

    results: int
    """Results that are in the new ledger."""
    failures: int
    """Records of failed runs that are in it."""
    lost: tuple[str, ...]
    """Titles of results that were recorded and could not be saved."""
    unnamed: int
    """Further ones, of which not even the title can be read."""
    vouched: bool = True
    """Whether the old files bear out that what was saved is what was recorded. Where they do not
    fit each other, a result has nothing but its own digest."""
    kept: tuple[Path, ...]
    """The old files; none where nothing was wrong, and nothing was changed."""


@dataclass(slots=True, kw_only=True)
class _Saved:
    """What can be read of a damaged ledger."""

    results: dict[str, Row] = field(default_factory=dict)
    failures: list[Row] = field(default_factory=list)
    facts: list[Row] = field(default_factory=list)
    log: Log = field(default_factory=Log)
    running: list[str] = field(default_factory=list)
    recorded: int = 0
    """Results that the file beside it counts."""
    vouched: bool = True
    """Whether its log fits that file, as far as both are there."""


def repair(path: Path, on_rows: OnRows = lambda _done, _total: None) -> Repaired:
    """Put what is intact of the ledger at `path` into a new one in its place.

    Raises:
        LedgerError: it was never a ledger, a session is using it, or nothing can be written.
    """
    found = examine(path)
    if found.sound:
        return Repaired(results=found.results, failures=found.failures, lost=(), unnamed=0, kept=())
    if not found.is_ledger:
        found.refuse()
    saved = _read(path, on_rows)
    if saved.running:
        raise LedgerError(
            f'the ledger "{path}" is in use by a session, which is doing "{saved.running[0]}".'
            " Stop it first."
        )
    recorded = max(saved.recorded, found.results + len(found.bad_rows("results")))
    with clear_errors(path):
        kept = _swap(path, saved)
    lost = {key: title for key, (_, title) in saved.log.results.items() if key not in saved.results}
    unnamed = max(0, recorded - len(saved.results) - len(lost))
    return Repaired(
        results=len(saved.results),
        failures=len(saved.failures),
        lost=tuple(lost.values()),
        unnamed=unnamed,
        kept=kept,
        vouched=saved.vouched,
    )


def _read(path: Path, on_rows: OnRows) -> _Saved:
    """Row by row: one that cannot be read does not keep anybody from the next."""
    saved = _Saved()
    committed = None
    with contextlib.suppress(LedgerError, OSError):
        committed = read_count(path)
    saved.recorded = 0 if committed is None else committed.results
    with contextlib.suppress(*_DAMAGED), contextlib.closing(connect_to_read(path)) as connection:
        old = format_of(connection) == OLD_FORMAT
        if not old:
            with contextlib.suppress(*_DAMAGED):
                saved.log = log = read_log(connection)
                saved.vouched = log.broken is None
                if committed is not None and committed.commits <= log.commits:
                    saved.vouched &= log.chains[committed.commits] == committed.last
        most = max(saved.recorded, saved.log.commits) + _ROWS_BEYOND
        digest = "NULL" if old else "digest"
        for done, (*values, recorded) in enumerate(
            _each(connection, "results", f"{', '.join(RESULT)}, {digest}", most)
        ):
            on_rows(done, most)
            row = tuple(values)
            if _is_intact(row, recorded, saved.log, old=old):
                saved.results.setdefault(row[0], row)
        cleared = _cleared(connection, old=old)
        columns = f"number, {', '.join(FAILURE)}, {digest}"
        for number, *values, recorded in _each(connection, "failures", columns, most):
            fits = old or digest_of(*values) == recorded
            if fits and values[0] not in saved.results and number > cleared.get(values[0], 0):
                saved.failures.append(tuple(values))
        for *values, recorded in _each(connection, "facts", f"fingerprint, facts, {digest}", most):
            if old or digest_of(*values) == recorded:
                saved.facts.append(tuple(values))
        with contextlib.suppress(*_DAMAGED):
            claims = connection.execute("SELECT title, host, pid, born, beat FROM claims")
            saved.running = [title for title, *who in claims if is_alive(*who)]
    return saved


def _each(
    connection: sqlite3.Connection, table: str, columns: str, most: int
) -> Iterator[tuple[Any, ...]]:
    """Every row of a table that can be read: in order, in reverse, and by number."""
    numbers: dict[int, None] = {}
    for order in ("ASC", "DESC"):
        with contextlib.suppress(*_DAMAGED):
            query = f"SELECT rowid FROM {table} NOT INDEXED ORDER BY rowid {order}"  # noqa: S608
            for (number,) in connection.execute(query):
                numbers[number] = None
    numbers |= dict.fromkeys(range(1, most + 1))
    for number in sorted(numbers):
        with contextlib.suppress(*_DAMAGED):
            query = f"SELECT {columns} FROM {table} NOT INDEXED WHERE rowid = ?"  # noqa: S608
            yield from connection.execute(query, (number,)).fetchall()


def _is_intact(row: Row, recorded: str | None, log: Log, *, old: bool) -> bool:
    try:
        if old:
            check_without_digest(row)
            return True
        result_of(row)
    except UnreadableRowError:
        return False
    if digest_of(*row) != recorded:
        return False
    known = log.results.get(row[0])
    return known[0] == recorded if known is not None else log.broken is not None


def _cleared(connection: sqlite3.Connection, *, old: bool) -> dict[str, int]:
    """Number of the last failure of each run that was cleared."""
    query = f"SELECT key, max(number) FROM log WHERE what = '{LogEntry.CLEARED}' GROUP BY key"  # noqa: S608
    if old:
        query = "SELECT key, max(number) FROM failures WHERE cleared IS NOT NULL GROUP BY key"
    with contextlib.suppress(*_DAMAGED):
        return dict(connection.execute(query).fetchall())
    return {}


def _swap(path: Path, saved: _Saved) -> tuple[Path, ...]:
    """Write the new ledger, copy the old files, and put the new one in place; the copies."""
    new = path.with_name(f".{path.name}.repaired")
    for each in (new, count_file(new), log_of(new)):
        each.unlink(missing_ok=True)
    database = Database.open(new)
    try:
        with database.recording() as connection:
            for row in saved.results.values():
                put_result(connection, row)
            for row in saved.failures:
                put_failure(connection, row)
            for fingerprint, facts in saved.facts:
                put_fact(connection, fingerprint, facts)
    finally:
        database.close()
    examine(new).refuse()
    kept = []
    stem = _free_name(path)
    for file in (path, log_of(path), count_file(path)):
        if file.is_file() and (file == path or file.stat().st_size):
            copy = stem.with_name(stem.name + file.name.removeprefix(path.name))
            kept.append(Path(shutil.copy2(file, copy)))
    sync_folder(path.parent)
    # SQLite would replay the old log into the new file, so it goes first.
    remove_traces(path)
    new.replace(path)
    count_file(new).replace(count_file(path))
    remove_traces(new)
    sync_folder(path.parent)
    return tuple(kept)


def _free_name(path: Path) -> Path:
    """A name beside the ledger that nothing has yet."""
    number = 1
    while True:
        name = path.with_name(f"{path.stem}.damaged-{number}{path.suffix}")
        if not name.exists() and not count_file(name).exists():
            return name
        number += 1
