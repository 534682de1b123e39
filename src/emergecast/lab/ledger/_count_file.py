"""The small file beside a ledger that holds how many results were committed.

SQLite cannot know that a log was taken away or cut, or that somebody put an older copy in place:
what is left is sound. This file is replaced in one step after every commit, so it may lag behind
the ledger by what one commit adds, and never leads.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from emergecast.errors import LedgerError
from emergecast.files import write_whole
from emergecast.lab.ledger._digests import digest_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """What a ledger held after a commit."""

    results: int
    """How many results."""
    commits: int
    """Entries of its log."""
    last: str
    """The chained digest of the last one, which no other ledger has."""


def count_file(ledger: Path) -> Path:
    """Where it lies."""
    return ledger.with_name(ledger.name + "-count")


def read_count(ledger: Path) -> Committed | None:
    """What the file beside a ledger says; None where there is none.

    Raises:
        LedgerError: it is damaged.
        OSError: it cannot be read.
    """
    path = count_file(ledger)
    try:
        found = json.loads(path.read_bytes())
        digest = found.pop("digest")
        committed = Committed(**found)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        committed, digest = Committed(results=0, commits=0, last=""), ""
    if digest != _digest(committed):
        raise LedgerError(f'the file "{path}", which counts its results, is damaged')
    return committed


def write_count(ledger: Path, committed: Committed) -> None:
    """Replace the file beside a ledger in one step that survives a power cut.

    Raises:
        OSError: it cannot be written; the old one is still there.
    """
    content = {**asdict(committed), "digest": _digest(committed)}
    write_whole(count_file(ledger), json.dumps(content) + "\n", lasting=True)


def _digest(committed: Committed) -> str:
    return digest_of(*asdict(committed).values())
