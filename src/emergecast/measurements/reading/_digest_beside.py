"""The digest of a table in a file beside it, in the form of `sha256sum`."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final

from emergecast.files import read_whole, write_whole
from emergecast.measurements.reading._problems import Findings, table_error

_HASH: Final = re.compile(rb"\\?([0-9a-fA-F]{64})\b")


def digest_file(path: Path) -> Path:
    """Where the digest of a table lies: beside it."""
    return path.with_name(f"{path.name}.sha256")


def write_digest(path: Path, content: bytes, *, asked: bool) -> None:
    """Write the digest of `content` where it is asked for, or where the old content had one."""
    beside = digest_file(path)
    if asked or beside.is_file():
        write_whole(beside, f"{hashlib.sha256(content).hexdigest()}  {path.name}\n")


def check_digest(path: Path, content: bytes) -> None:
    """Make sure that a file is what the digest beside it is of, where there is one.

    Raises:
        TableError: it is not, or the digest cannot be read.
        OSError: the file of the digest cannot be read.
    """
    beside = digest_file(path)
    if not beside.exists():
        return
    stated = _HASH.match(read_whole(beside))
    if stated is not None and stated[1].decode().lower() == hashlib.sha256(content).hexdigest():
        return
    findings = Findings(str(path))
    what = "is of another content" if stated else "is no SHA-256"
    findings.add(
        f'this is not the file that was written: the digest in "{beside.name}" {what}.',
        f'Copy or make it again; if it was changed on purpose, delete "{beside.name}".',
    )
    raise table_error(findings.problems)
