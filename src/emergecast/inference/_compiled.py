"""Machine code from a function: compiled by numba once per machine, and kept in a folder.

numba is imported by the first call, so that nobody waits for it who only imports this package.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

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
    before = numba.config.CACHE_DIR  # type: ignore[attr-defined]
    numba.config.CACHE_DIR = str(cache_folder())  # type: ignore[attr-defined]
    try:
        return _compiled(function, cache=True)
    except RuntimeError:  # there is no folder to write to
        return _compiled(function, cache=False)
    finally:
        numba.config.CACHE_DIR = before  # type: ignore[attr-defined]


def _compiled(function: F, *, cache: bool) -> F:
    import numba

    return cast("F", numba.njit(cache=cache, nogil=True, error_model="numpy")(function))
