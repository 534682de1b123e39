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

OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "nsz"},
}
"""Other threads run meanwhile; and sums may be taken in another order than written, which moves a
result by rounding."""

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


def compiled(function: F) -> F:
    """The function as machine code, made when it is first called.

    The code is kept in `cache_folder`; where that cannot be written, numba looks for another place,
    and where there is none, every process compiles for itself (a second or two).
    """
    import numba

    config: Any = numba.config
    before, config.CACHE_DIR = config.CACHE_DIR, str(cache_folder() / _edition())
    try:
        return cast("F", numba.njit(cache=True, **OPTIONS)(function))
    except RuntimeError:  # there is no folder to write to
        return cast("F", numba.njit(**OPTIONS)(function))
    finally:
        config.CACHE_DIR = before
