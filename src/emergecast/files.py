"""Files that are written whole or not at all: the one atomic write."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_whole(path: Path, content: bytes | str, *, lasting: bool = False) -> Path:
    """Put `content` at `path` in one step: a reader sees the old file or the new one.

    Written beside it under another name, then renamed, with the permissions of any new file.

    Args:
        path: where; its folder is there.
        content: bytes, or text that is written as UTF-8.
        lasting: whether it must survive a power cut from now on, which takes a few milliseconds.

    Returns:
        `path`.

    Raises:
        OSError: it cannot be written; `path` is then as it was.
    """
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:  # it names the temporary file, which nobody asked for
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            if lasting:
                stream.flush()
                os.fsync(stream.fileno())
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    if lasting:
        sync_folder(path.parent)
    return path


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut, where the system can do that."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def save_text(text: str, folder: Path, name: str) -> Path:
    """Write a text file to `folder` in one step, making the folder if need be; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    return write_whole(folder / name, text)
