"""Opening the SQLite file, and what SQLite says in words that help."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from emergecast.errors import LedgerError

_LOCK_SECONDS: Final = 60.0
"""Seconds to wait for another writer."""
_SAFE: Final = "Nothing that was recorded is lost."


def connect(path: Path) -> sqlite3.Connection:
    """Open a file to write; it is made where there is none."""
    return _readable(sqlite3.connect(path, timeout=_LOCK_SECONDS, isolation_level=None))


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open a file without changing anything."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, timeout=_LOCK_SECONDS, isolation_level=None)
    try:
        connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        # Where not even the index of the log can be made beside it, as on a read-only medium: safe
        # as long as there is no log.
        if log_of(path).exists():
            raise
        connection = sqlite3.connect(uri + "&immutable=1", uri=True, isolation_level=None)
    except BaseException:
        connection.close()
        raise
    return _readable(connection)


def stated_format(path: Path) -> int:
    """The format that the header of a file states; 0 where it cannot be read."""
    try:
        with contextlib.closing(connect_to_read(path)) as connection:
            found: int = connection.execute("PRAGMA user_version").fetchone()[0]
            return found
    except (sqlite3.Error, UnicodeDecodeError):
        return 0


def log_of(path: Path) -> Path:
    """SQLite's write-ahead log of a file."""
    return path.with_name(path.name + "-wal")


def remove_traces(path: Path) -> None:
    """Remove SQLite's files beside one that was only read, and that nobody else has open."""
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _readable(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Text that is not UTF-8 is damaged, and must not keep anybody from reading the rest."""
    connection.text_factory = lambda content: content.decode("utf-8", "backslashreplace")
    return connection


def is_damage(error: sqlite3.Error | UnicodeDecodeError) -> bool:
    """Whether what SQLite says is about the content of the file, not about reaching it."""
    text = str(error)
    return not any(
        words in text for words in ("unable to open", "readonly", "read-only", "locked", "full")
    )


@contextlib.contextmanager
def clear_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system raise into a message with a remedy."""
    try:
        yield
    except OSError as error:
        raise LedgerError(
            f'the ledger "{path}" cannot be used: {error.strerror or error}. {_SAFE} Free some'
            " space, or make the folder writable, and run again."
        ) from error
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter in a damaged message
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
        else:
            what = f"it is damaged ({said}). See: emergecast ledger check {path}"
        raise LedgerError(f'the ledger "{path}" cannot be used: {what}') from error
