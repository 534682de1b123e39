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

from emergecast.files import memory_limit, too_large
from emergecast.measurements.reading import _decode_parquet as decoding
from emergecast.measurements.reading._problems import Findings, table_error

_MARK: Final = b"PAR1"
_WHOLE: Final = "emergecast.whole"
"""Key in the metadata: the SHA-256 of the file with zeros in place of it."""
_ZEROS: Final = "0" * 64
_PLACE: Final = re.compile(re.escape(_WHOLE.encode()) + rb"\x18@([0-9a-f]{64})")
"""Where it stands: Thrift writes the type and the length of a text before it."""
_SECONDS: Final = 600
"""After this a file is taken for damaged."""
_NO_MEMORY: Final = (b"memory allocation", b"out of memory", b"MemoryError", b"Cannot allocate")


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
    return _with_seal(content, hashlib.sha256(content).hexdigest())


def read_parquet(content: bytes, name: str) -> pl.DataFrame:
    """The frame in the bytes of a Parquet file.

    A file that is, byte for byte, as emergecast wrote it is decoded here; any other one in a child
    process, since it can end the process that decodes it.

    Raises:
        TableError: it is damaged, or its cells are not those that its digest is of.
        OSError: it takes more memory than the limit.
    """
    if not (content.startswith(_MARK) and content.endswith(_MARK)):
        raise _damaged(name)
    if _is_as_written(content) or not sys.executable:
        try:
            stated, frame = decoding.decode(content, memory_limit())
        except decoding.TooMuchError as error:
            raise too_large(error.needed, name) from None
        except decoding.POLARS_ERRORS:
            raise _damaged(name) from None
    else:
        stated, frame = _in_child(content, name)
    if stated is not None and content_digest(frame) != stated:
        findings = Findings(name)
        findings.add(
            "the cells are not those that were written: the digest in the file is of others.",
            "Copy or make it again; if it was changed on purpose, save it without the metadata "
            f"{decoding.CONTENT}, or as CSV.",
        )
        raise table_error(findings.problems)
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
        raise too_large(float(done.stderr.split()[-1]), name)
    if any(words in done.stderr for words in _NO_MEMORY):
        raise too_large(memory_limit(), name)
    if done.returncode:
        raise _damaged(name)
    stated, _, table = done.stdout.partition(b"\n")
    return json.loads(stated), pl.read_ipc(io.BytesIO(table))


def _is_as_written(content: bytes) -> bool:
    places = [*_PLACE.finditer(content)]
    if not places:
        return False
    stated = places[-1][1].decode()
    return hashlib.sha256(_with_seal(content, _ZEROS)).hexdigest() == stated


def _with_seal(content: bytes, seal: str) -> bytes:
    """The file with this in the place of its own digest, which is in its metadata, at the end."""
    places = [*_PLACE.finditer(content)]
    if not places:
        return content
    start, end = places[-1].span(1)
    return content[:start] + seal.encode() + content[end:]


def _damaged(name: str) -> Exception:
    findings = Findings(name)
    findings.add("the file is not a whole Parquet file.", "Write or download it again.")
    return table_error(findings.problems)
