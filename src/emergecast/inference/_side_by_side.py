"""Independent computations on several threads: compiled code and numpy let each other run."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")
R = TypeVar("R")

MOST_THREADS = 8
"""More would wait for each other: between two calls of compiled code one thread runs at a time."""

_here = threading.local()


def side_by_side(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """The function's results in the order of the items; the first error stops what has not begun.

    As many threads as there are cores for this process. A call from one of these threads takes its
    items one after the other. Every item must bring its own random numbers: then results do not
    depend on the number of threads.
    """
    waiting = list(items)
    threads = min(cores(), MOST_THREADS, len(waiting))
    if threads < 2 or getattr(_here, "busy", False):
        return [function(item) for item in waiting]
    with ThreadPoolExecutor(threads, initializer=_begin) as pool:
        return list(pool.map(function, waiting))


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _begin() -> None:
    _here.busy = True
