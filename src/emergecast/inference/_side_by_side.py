"""Independent computations on several threads: compiled code and numpy let each other run."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")
R = TypeVar("R")

MOST_THREADS = 8
"""More would wait for each other: between two calls of compiled code one thread runs at a time."""

_lock = threading.Lock()
_busy = 0
"""Threads that compute beside the first, less those that only wait for others."""


def side_by_side(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """The function's results in the order of the items; the first error stops what has not begun.

    The caller's thread takes items, and so do other threads as long as there are cores that are not
    yet busy: an item may call this too. Every item must bring its own random numbers: then results
    do not depend on the number of threads.
    """
    waiting = list(items)
    found: dict[int, R] = {}
    errors: list[BaseException] = []
    numbers = iter(range(len(waiting)))

    def work() -> None:
        while not errors and (number := _next(numbers)) is not None:
            try:
                found[number] = function(waiting[number])
            except BaseException as error:  # noqa: BLE001  raised again in the caller's thread
                errors.append(error)

    helpers: list[threading.Thread] = []
    while len(helpers) < len(waiting) - 1 and _take_core():
        helpers.append(threading.Thread(target=_help, args=(work,), daemon=True))
        helpers[-1].start()
    work()
    if helpers:
        _add_busy(-1)
        for helper in helpers:
            helper.join()
        _add_busy(1)
    if errors:
        raise errors[0]
    return [found[number] for number in range(len(waiting))]


def both(one: Callable[[], T], other: Callable[[], R]) -> tuple[T, R]:
    """The results of two computations of different kinds, side by side."""
    works: list[Callable[[], T | R]] = [one, other]
    found = side_by_side(lambda work: work(), works)
    return cast("T", found[0]), cast("R", found[1])


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _next(numbers: Iterator[int]) -> int | None:
    with _lock:
        return next(numbers, None)


def _take_core() -> bool:
    """Count one thread more, if there is a core for it."""
    global _busy  # noqa: PLW0603  the cores of a process are one number
    with _lock:
        free = _busy < min(cores(), MOST_THREADS) - 1
        _busy += free
    return free


def _add_busy(more: int) -> None:
    global _busy  # noqa: PLW0603
    with _lock:
        _busy += more


def _help(work: Callable[[], None]) -> None:
    try:
        work()
    finally:
        _add_busy(-1)
