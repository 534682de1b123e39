"""Bytes of a Parquet file as a frame, within a limit of memory; also a program of its own.

A file that is damaged, or made to, can end the process that decodes it or take all memory. So it is
decoded by this file run as a child process, which imports nothing else of the package.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Final

import polars as pl

CONTENT: Final = "emergecast.content"
"""Key in the metadata of a Parquet file: the digest of what its cells hold."""
CELL: Final = 64
"""Bytes of memory that a cell takes once it is a Python value; about, text aside."""
_THREADS: Final = 2**28
"""Bytes of address space for the stacks of threads, which are hardly used."""
DAMAGED, TOO_LARGE = 3, 4
"""Exit statuses of the program."""
POLARS_ERRORS: Final = (
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
    OSError,
    ValueError,
    TypeError,
    OverflowError,
)


class TooMuchError(Exception):
    """Decoding would take more memory than is allowed; holds how many bytes."""

    def __init__(self, needed: float) -> None:
        super().__init__(needed)
        self.needed = needed


def decode(content: bytes, most: float) -> tuple[str | None, pl.DataFrame]:
    """The stated digest of a Parquet file, None where it states none, and its frame.

    The number of cells is looked up before anything is decoded.

    Raises:
        TooMuchError: as cells it takes more than `most` bytes of memory.
    """
    lazy = pl.scan_parquet(io.BytesIO(content))
    rows, columns = int(lazy.select(pl.len()).collect().item()), lazy.collect_schema().len()
    cells = rows * columns * CELL
    if cells > most:
        raise TooMuchError(cells)
    stated = pl.read_parquet_metadata(io.BytesIO(content)).get(CONTENT)
    frame = pl.read_parquet(io.BytesIO(content))
    text = sum(
        int(column.str.len_bytes().sum() or 0) for column in frame if column.dtype == pl.String
    )
    needed = max(rows * columns * CELL + text, frame.estimated_size())
    if needed > most:
        raise TooMuchError(needed)
    return stated, frame


def main() -> int:
    """Reads a file on standard input, writes the digest and the frame to standard output.

    Where they would take too much memory it writes how much instead.
    """
    most = float(sys.argv[1])
    _limit(most)
    try:
        stated, frame = decode(sys.stdin.buffer.read(), most)
    except TooMuchError as error:
        sys.stdout.write(f"{error.needed:.0f}")
        return TOO_LARGE
    except MemoryError:
        sys.stdout.write(f"{most:.0f}")
        return TOO_LARGE
    except POLARS_ERRORS:
        return DAMAGED
    sys.stdout.buffer.write(json.dumps(stated).encode() + b"\n")
    frame.write_ipc(sys.stdout.buffer)
    return 0


def _limit(most: float) -> None:
    """Keep this process below what it has now and `most` bytes, where the system can."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        allowed = int(most) + pages * resource.getpagesize() + _THREADS
        resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))


if __name__ == "__main__":
    sys.exit(main())
