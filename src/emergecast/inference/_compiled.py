"""Machine code from a function: compiled by numba once per machine, and kept in a folder.

numba is imported by the first call, so that nobody waits for it who only imports this package.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER_VARIABLE = "EMERGECAST_CACHE"
"""Environment variable that says where machine code is kept."""

F = TypeVar("F", bound="Callable[..., object]")


def cache_folder() -> Path:
    """Where machine code is kept: EMERGECAST_CACHE, NUMBA_CACHE_DIR, or the user's cache folder."""
    for name in (FOLDER_VARIABLE, "NUMBA_CACHE_DIR"):
        if folder := os.environ.get(name):
            return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "emergecast"


def _edition() -> str:
    """A name for the code that is compiled: other code is never read from the cache."""
    room = Path(__file__).parent
    source = b"".join(path.read_bytes() for path in sorted(room.glob("*.py")))
    return hashlib.sha256(source).hexdigest()[:16]


def part(function: F) -> F:
    """The function as a part of others that are compiled.

    Other threads run meanwhile. Sums are taken in the order in which they are written; otherwise
    the last digit would depend on where in memory an array lies.
    """
    return _compiled(function, cache=False)


def compiled(function: F) -> F:
    """The function as machine code, made when it is first called; as `part` in all else.

    The code is kept in `cache_folder`; where that cannot be written, numba looks for another place,
    and where there is none, every process compiles for itself (some seconds).
    """
    import numba

    # numba reads the folder when it wraps a function; others who use numba keep their own
    config: Any = numba.config
    before, config.CACHE_DIR = config.CACHE_DIR, str(cache_folder() / _edition())
    try:
        return _compiled(function, cache=True)
    except RuntimeError:  # there is no folder to write to
        return _compiled(function, cache=False)
    finally:
        config.CACHE_DIR = before


def _compiled(function: F, *, cache: bool) -> F:
    import numba

    return cast("F", numba.njit(cache=cache, nogil=True, error_model="numpy")(function))
