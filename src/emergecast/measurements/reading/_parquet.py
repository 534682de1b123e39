"""Parquet files: written with a digest of what they hold, read only where it is still that."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import sys
from typing import Final

import polars as pl

from emergecast.errors import TableError
from emergecast.files import memory_limit, too_large
from emergecast.measurements.reading import _decode_parquet as decoding
from emergecast.measurements.reading._problems import Findings, table_error

_MARK: Final = b"PAR1"
_WHOLE: Final = "emergecast.whole"
"""Key in the metadata: the SHA-256 of the file with zeros instead of this value; its length."""
_ZEROS: Final = "0" * 80
_PLACE: Final = re.compile(re.escape(_WHOLE.encode()) + rb"\x18\x50([0-9a-f]{64})([0-9a-f]{16})")
"""Where it stands: Thrift writes the type and the length of a text before it."""
_SECONDS: Final = 600
"""After this a file is taken for damaged."""
_NO_MEMORY: Final = (
    b"memory allocation",
    b"out of memory",
    b"MemoryError",
    b"Cannot allocate",
    b"unavailable",
)


def content_digest(frame: pl.DataFrame) -> str:
    """SHA-256 of the names of columns and of all cells, in their order, in hexadecimal.

    Over values: the same whatever wrote or compressed the file.
    """
    found = hashlib.sha256(json.dumps(frame.columns).encode())
    for row in frame.iter_rows():
        found.update(b"\n" + json.dumps(row, default=str).encode())
    return found.hexdigest()


def parquet_bytes(frame: pl.DataFrame) -> bytes:
    """A Parquet file of the frame, with the digest of its content and one of the file."""
    buffer = io.BytesIO()
    metadata = {decoding.CONTENT: content_digest(frame), _WHOLE: _ZEROS}
    frame.write_parquet(buffer, metadata=metadata)
    content = buffer.getvalue()
    place = _place(content)
    if place is None:
        return content  # read in a child process, then
    seal = f"{hashlib.sha256(content).hexdigest()}{len(content):016x}"
    return content[: place.start(1)] + seal.encode() + content[place.end(2) :]


def read_parquet(content: bytes, name: str) -> pl.DataFrame:
    """The frame in the bytes of a Parquet file.

    A file that is, byte for byte, as emergecast wrote it is decoded here. One of the same length
    that is not was damaged. Any other one was written by another program; it is decoded in a child
    process, since a file can end the process that decodes it.

    Raises:
        TableError: it is damaged, or its cells are not those that its digest is of.
        OSError: it takes more memory than the limit.
    """
    if not (content.startswith(_MARK) and content.endswith(_MARK)):
        raise _damaged(name)
    place = _place(content)
    mine = place is not None and int(place[2], 16) == len(content)
    if place is not None and mine and not _is_as_written(content, place):
        raise _changed(name, "its bytes are")
    if mine or not sys.executable:
        try:
            stated, frame = decoding.decode(content, memory_limit())
        except decoding.TooMuchError as error:
            raise too_large(error.needed, name) from None
        except decoding.POLARS_ERRORS:
            raise _damaged(name) from None
    else:
        stated, frame = _in_child(content, name)
    if stated is not None and content_digest(frame) != stated:
        raise _changed(name, "its cells are")
    return frame


def _in_child(content: bytes, name: str) -> tuple[str | None, pl.DataFrame]:
    command = [sys.executable, "-P", decoding.__file__, str(memory_limit())]
    threads = {"POLARS_MAX_THREADS": "1"}  # each takes address space, which is limited
    try:
        done = subprocess.run(  # noqa: S603  this very Python
            command,
            input=content,
            capture_output=True,
            check=False,
            timeout=_SECONDS,
            env={**os.environ, **threads},
        )
    except subprocess.TimeoutExpired:
        raise _damaged(name) from None
    if done.returncode == decoding.TOO_LARGE:
        raise too_large(float(done.stdout), name)
    if any(words in done.stderr for words in _NO_MEMORY):
        raise too_large(memory_limit(), name)
    if done.returncode:
        raise _damaged(name)
    stated, _, table = done.stdout.partition(b"\n")
    return json.loads(stated), pl.read_ipc(io.BytesIO(table))


def _place(content: bytes) -> re.Match[bytes] | None:
    """Where the digest of the file stands in it: in its metadata, which are at the end."""
    found = [*_PLACE.finditer(content)]
    return found[-1] if found else None


def _is_as_written(content: bytes, place: re.Match[bytes]) -> bool:
    digest = hashlib.sha256(content[: place.start(1)])
    digest.update(_ZEROS.encode() + content[place.end(2) :])
    return digest.hexdigest() == place[1].decode()


def _changed(name: str, what: str) -> TableError:
    findings = Findings(name)
    findings.add(
        f"{what} not those that were written: the digest in the file is of others.",
        "Copy or make it again; if it was changed on purpose, save it without the metadata "
        f"{decoding.CONTENT}, or as CSV.",
    )
    return table_error(findings.problems)


def _damaged(name: str) -> TableError:
    findings = Findings(name)
    findings.add("the file is not a whole Parquet file.", "Write or download it again.")
    return table_error(findings.problems)
