"""Files: written whole or not at all, read only where they are files that fit memory."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

from emergecast.errors import OptionError

MEMORY: Final = "EMERGECAST_MEMORY_GB"
"""Environment variable: gigabytes of memory that reading one file may take."""
DEFAULT_GB: Final = 4.0
TEXT_GROWS: Final = 16
"""Bytes of memory per byte of a text file, once it is cells or records; about."""
_NOT_READ: Final = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def memory_limit() -> float:
    """Bytes of memory that reading one file may take.

    Raises:
        OptionError: the environment variable holds something else than a number above 0.
    """
    text = os.environ.get(MEMORY, "")
    try:
        found = float(text) if text.strip() else DEFAULT_GB
    except ValueError:
        found = 0.0
    if not found > 0:
        raise OptionError(f'{MEMORY} is "{text}", not a number of gigabytes above 0, like 8.')
    return found * 1e9


def too_large(needed: float, path: str | os.PathLike[str]) -> OSError:
    """The error of a file of which reading takes `needed` bytes of memory."""
    text = (
        f"reading it takes about {needed / 1e9:,.1f} GB of memory, and the limit is "
        f"{memory_limit() / 1e9:g} GB; if it is what you expect, set the environment variable "
        f"{MEMORY}={max(1, round(needed / 1e9 * 1.25 + 0.5))}"
    )
    return OSError(errno.EFBIG, text, os.fspath(path))


def refuse_special(descriptor: int, path: str | os.PathLike[str]) -> None:
    """Make sure that an open file is a file.

    Raises:
        OSError: it is a folder, a pipe, a device or a socket.
    """
    mode = os.fstat(descriptor).st_mode
    for is_one, name in _NOT_READ:
        if is_one(mode):
            text = f"this is {name}, and only files are read; save its content to a file first"
            raise OSError(errno.EINVAL, text, os.fspath(path))
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))


def read_whole(path: str | os.PathLike[str], *, grows: float = TEXT_GROWS) -> bytes:
    """What a file holds.

    Args:
        path: the file.
        grows: bytes of memory that what is made of it takes, per byte.

    Raises:
        OSError: it cannot be read, is no regular file, or takes more memory than `memory_limit`.
        OptionError: as `memory_limit`.
    """
    most = int(memory_limit() / grows)
    # A pipe without a writer would be waited for; a device could be read for ever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    with os.fdopen(descriptor, "rb") as stream:
        refuse_special(descriptor, path)
        size = os.fstat(descriptor).st_size
        content = stream.read(most + 1) if size <= most else b""
        if size > most or len(content) > most:
            raise too_large(max(size, most + 1) * grows, path)
    return content


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
    temporary = _beside(path, content, flush=lasting)
    try:
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if lasting:
        sync_folder(path.parent)
    return path


def write_new(path: Path, content: bytes | str) -> Path:
    """As `write_whole`, for a file that is not there yet and must outlast a power cut.

    Raises:
        FileExistsError: there is a file of this name; it is left alone.
        OSError: it cannot be written; nothing is then at `path`.
    """
    temporary = _beside(path, content, flush=True)
    try:
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            if path.exists():
                raise FileExistsError(
                    errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(path)
                ) from None
            temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def save_text(text: str, folder: Path, name: str) -> Path:
    """Write a text file to `folder` in one step, making the folder if need be; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    return write_whole(folder / name, text)


def _beside(path: Path, content: bytes | str, *, flush: bool = False) -> Path:
    """A temporary file that holds all of it, in the same folder."""
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:  # it names the temporary file, which nobody asked for
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            if flush:
                stream.flush()
                os.fsync(descriptor)
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return Path(temporary)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut, where the system can do that."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:  # some network file systems cannot; the file itself is safe
        pass
    finally:
        os.close(descriptor)
