"""The file of a tally: a score a line, each with a digest; added to by one process at a time."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from emergecast.errors import FrozenError
from emergecast.files import memory_limit, refuse_special, too_large
from emergecast.track_record._check_score import contradictions
from emergecast.track_record._frozen import digest
from emergecast.track_record._score import FrozenScore

DIGEST: Final = "line_sha256"
"""Key of a line: SHA-256 over the rest of it, as of a frozen forecast; lines of 0.1.0 have none."""
PATIENCE: Final = 30.0
"""Seconds to wait for another process that is writing."""
_GROWS: Final = 16
_START: Final = re.compile(r'(?=\{"name": )')
"""Where a score begins. Within a score the quotation marks would be escaped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TallyFile:
    """What a tally holds."""

    scores: tuple[FrozenScore, ...]
    """In the order in which they were added."""
    torn: tuple[str, ...] = ()
    """Of lines that end in the middle, as after a crash: which, in a sentence each."""


def add_to_tally(path: str | os.PathLike[str], scores: Sequence[FrozenScore]) -> TallyFile:
    """The tally in a file after these scores were added; one that is there already is not again.

    The file is locked meanwhile. All new lines are written or none, each with its line break; what
    is in the file already stays, byte for byte.

    Raises:
        FrozenError: the file is no tally, or was edited, or another process keeps it locked.
        OSError: it cannot be read or written.
    """
    with _locked(path) as descriptor:
        before = _content(descriptor, path)
        known = _read(before, os.fspath(path))
        latest = {each.sha256: each for each in known.scores}
        new = [each for each in scores if latest.get(each.sha256) != each]
        lines = "".join(_line(each) for each in new)
        if lines and before and not before.endswith(b"\n"):
            lines = "\n" + lines
        _append(descriptor, lines.encode(), len(before))
    return TallyFile(scores=(*known.scores, *new), torn=known.torn)


def _line(score: FrozenScore) -> str:
    record = score.to_dict()
    return json.dumps({**record, DIGEST: digest(record)}, allow_nan=False) + "\n"


def _append(descriptor: int, content: bytes, size: int) -> None:
    """Add to the end of a file, all of it or nothing."""
    try:
        written = 0
        while written < len(content):
            written += os.write(descriptor, content[written:])
        if content:
            os.fsync(descriptor)
    except BaseException:
        os.ftruncate(descriptor, size)
        raise


# ----------------------------------------------------------------------------------------- reading


def _content(descriptor: int, path: str | os.PathLike[str]) -> bytes:
    size = os.fstat(descriptor).st_size
    if size * _GROWS > memory_limit():
        raise too_large(size * _GROWS, path)
    os.lseek(descriptor, 0, os.SEEK_SET)
    with os.fdopen(os.dup(descriptor), "rb") as stream:
        return stream.read(size)


def _read(content: bytes, name: str) -> TallyFile:
    """The scores in the bytes of a tally."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FrozenError(f'"{name}" is not a tally: it is not UTF-8 text ({error}).') from None
    scores: list[FrozenScore] = []
    torn: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        # Several scores share a line where a line break was lost.
        for part in filter(str.strip, _START.split(line)):
            found = _score(part.strip(), f'"{name}", line {number}')
            if found is not None:
                scores.append(found)
                continue
            torn.append(
                f'"{name}", line {number} ends in the middle of a score, as after a crash: it is '
                "left out. Score that forecast again."
            )
    return TallyFile(scores=tuple(scores), torn=tuple(torn))


def _score(text: str, place: str) -> FrozenScore | None:
    """One score; None where the text ends in the middle of one."""
    try:
        found = json.loads(text)
        if isinstance(found, dict):
            return _checked(found, place)
    except RecursionError:
        raise FrozenError(f"{place} is not a score: it is nested too deeply.") from None
    except ValueError as error:
        if text.startswith("{") and not text.endswith("}"):
            return None
        raise FrozenError(
            f"{place} is not a tally: a line is not JSON ({error}). Take the file as it was "
            "written, or start a new file."
        ) from None
    raise FrozenError(f"{place} is not a tally: a line is not an object. Start a new file.")


def _checked(found: dict[str, Any], place: str) -> FrozenScore:
    """The score in an object of JSON."""
    stated = found.pop(DIGEST, None)
    try:
        score = FrozenScore.from_dict(found)
    except FrozenError as error:
        raise FrozenError(f"{place}: {error}") from None
    if problems := contradictions(asdict(score)):
        raise FrozenError(
            f"{place} contradicts itself: {'; '.join(problems[:3])}. Take the file as it was "
            "written, or delete the line and score that forecast again."
        )
    if stated is not None and stated != digest(found):
        raise FrozenError(
            f"{place} was edited after it was written: its digest is of another score. Take the "
            "file as it was written, or delete the line and score that forecast again."
        )
    return score


# ------------------------------------------------------------------------------------------ locking


@contextmanager
def _locked(path: str | os.PathLike[str]) -> Iterator[int]:
    """The file, made where it is not there, open to read and append for this process alone."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
    flags |= getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, 0o666)
    try:
        refuse_special(descriptor, path)
        began = time.monotonic()
        while not _lock(descriptor):
            if time.monotonic() - began > PATIENCE:
                raise FrozenError(
                    f'"{Path(path)}" is being written by another process. Try again later.'
                )
            time.sleep(0.02)
        yield descriptor
    finally:
        os.close(descriptor)  # which gives the lock back


def _lock(descriptor: int) -> bool:
    """Take the lock of an open file if it is free."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, 2**40, os.SEEK_SET)  # past all content, so that it can be read
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
