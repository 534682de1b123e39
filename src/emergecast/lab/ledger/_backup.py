"""A consistent copy of a ledger, also while sessions write to it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from emergecast.errors import LedgerError
from emergecast.files import sync_folder
from emergecast.lab.ledger._connect import clear_errors, connect_to_read, remove_traces
from emergecast.lab.ledger._count_file import Committed, count_file, write_count
from emergecast.lab.ledger._damage import LedgerCheck
from emergecast.lab.ledger._examine import OnRows, examine
from emergecast.lab.ledger._log import last_entry
from emergecast.lab.ledger._tables import FORMAT, format_of

_PAGES: int = 1000
"""Copied between two words on how far it is."""


def back_up(path: Path, out: Path, on_pages: OnRows = lambda _done, _total: None) -> LedgerCheck:
    """Copy the ledger at `path` to `out`, with the file that counts its results; what is in it.

    Damaged rows are copied as they are.

    Raises:
        LedgerError: the ledger as a whole cannot be relied on, `out` is there already, or it cannot
            be written. Then there is no `out`.
    """
    found = examine(path)
    found.refuse()
    if not path.is_file():
        raise LedgerError(f'there is no ledger "{path}", so nothing can be backed up.')
    for each in (out, count_file(out)):
        if each.exists():
            raise LedgerError(f'"{each}" is there already. Choose another name for the backup.')
    unfinished = out.with_name(f".{out.name}.unfinished")

    def progress(_status: int, remaining: int, total: int) -> None:
        on_pages(total - remaining, total)

    with clear_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        unfinished.unlink(missing_ok=True)
        try:
            with (
                contextlib.closing(connect_to_read(path)) as source,
                contextlib.closing(sqlite3.connect(unfinished)) as copy,
            ):
                source.execute("BEGIN")  # one moment of the ledger, whoever writes meanwhile
                source.execute("SELECT 1 FROM sqlite_schema").fetchone()
                source.backup(copy, pages=_PAGES, progress=progress)
                if format_of(copy) == FORMAT:
                    commits, last = last_entry(copy)
                    results = copy.execute("SELECT count(*) FROM results").fetchone()[0]
                    write_count(out, Committed(results=results, commits=commits, last=last))
            with unfinished.open("rb+") as stream:
                os.fsync(stream.fileno())
            unfinished.replace(out)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            count_file(out).unlink(missing_ok=True)
            raise
        sync_folder(out.parent)
    found = examine(out)
    remove_traces(out)
    return found
