"""Refits to resampled points, all of them at once."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from emergecast.scaling.fitting._newton import Box, Descended, descend
from emergecast.scaling.fitting._starts import best_start, exponents

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from emergecast.scaling.fitting._objective import Points

    Floats = NDArray[np.float64]

FEWEST_RUNS: Final = 5
"""Runs (or points) below which resampling them says nothing."""
_CHUNK: Final = 250
"""Refits between two reports of progress; so many weights are in memory at a time."""
_GRID: Final = 49
"""Exponents of the grid of each refit: 7 by 7 for a law of two resources."""
_SAME: Final = 1e-9
"""Relative difference of two objectives of one optimum: far above rounding, which is 1e-13."""
_SAME_OF_NOTHING: Final = 1e-12
"""The same as a share of what the objective is where every residual is delta."""


class Resampled(StrEnum):
    """What is drawn with replacement."""

    RUN = "run"
    """Training runs, each with all of its points."""
    POINT = "point"
    """Single points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refits:
    """The refits of a bootstrap."""

    by: Resampled
    theta: Floats
    """Coordinates of the refits that ended well, shape (good, coordinates)."""
    asked: int
    """Refits that were asked for."""
    degenerate: int
    """Refits that did not converge, lost a term or left the exponents looked at; not in `theta`."""
    floor_at_zero: int
    """Refits in `theta` whose floor is 0."""
    moved: int
    """Refits whose own grid led to a better optimum than the optimum of the whole table did."""
    unequal: int
    """Refits where it led to a worse one: their objective has several optima."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResamplePlan:
    """What to resample, and how to refit."""

    by: Resampled
    cluster: NDArray[np.intp]
    """Which points are drawn together, 0-based, shape (points,)."""
    count: int
    """Refits."""
    delta: float
    """As in the objective."""
    floor: float | None
    """A fixed floor; None to fit it."""


def refit(
    points: Points,
    theta: Floats,
    plan: ResamplePlan,
    *,
    rng: np.random.Generator,
    progress: Callable[[int], None] | None = None,
) -> Refits:
    """Refits to resamples of the clusters of points, as many in each as there are.

    Each is begun twice: from the optimum of the whole table, whose neighbourhood it does not leave,
    and from the best of a grid for its own weights, by the whole path of `descend`. The better end
    is kept, and how often the two differ is counted.

    Args:
        points: The table.
        theta: Optimum of the whole table, shape (coordinates,).
        plan: What to resample, and how to refit.
        rng: Where the resamples come from.
        progress: Called with the number of refits done so far.
    """
    # A third of this function is its docstring; the rest is one loop.
    count, delta, floor = plan.count, plan.delta, plan.floor
    box = Box.of(points.terms, floor)
    powers = exponents(points.terms, _GRID)
    clusters = int(plan.cluster.max()) + 1
    kept: list[Floats] = []
    moved = unequal = done = 0
    while done < count:
        size = min(_CHUNK, count - done)
        drawn = rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=size)
        weights = drawn[:, plan.cluster].astype(np.float64)
        first = np.broadcast_to(theta, (size, len(theta)))
        one = descend(points, first, weights, delta=delta, box=box, near=True)
        own = best_start(points, weights, powers, floor)
        two = descend(points, own, weights, delta=delta, box=box)
        better = ~same_optimum(one.value, two.value, points.n, delta)
        worse = ~same_optimum(two.value, one.value, points.n, delta)
        moved, unequal = moved + int(better.sum()), unequal + int(worse.sum())
        best = np.where(better[:, None], two.theta, one.theta)
        fine = np.where(better, good(two, box), good(one, box))
        kept.append(best[fine])
        done += size
        if progress is not None:
            progress(done)
    found = np.concatenate(kept) if kept else np.empty((0, len(theta)))
    return Refits(
        by=plan.by,
        theta=found,
        asked=count,
        degenerate=count - len(found),
        floor_at_zero=int(np.sum(found[:, 0] <= 0)) if floor is None else 0,
        moved=moved,
        unequal=unequal,
    )


def good(ended: Descended, box: Box) -> NDArray[np.bool_]:
    """Searches that converged with every term above 0 and every exponent within its bounds."""
    inside = (ended.theta > box.low) & (ended.theta < box.high)
    found: NDArray[np.bool_] = ended.converged & np.all(inside[:, 1:], axis=1)
    return found


def same_optimum(value: Floats, best: Floats | float, n: int, delta: float) -> NDArray[np.bool_]:
    """Whether an objective is as low as `best`: to 1e-9 of it, and to rounding where it is nothing.

    A table without noise has an objective of rounding errors; it is compared with n delta^2, what
    the objective is of when every residual is about delta.
    """
    found: NDArray[np.bool_] = np.asarray(
        value <= np.asarray(best) * (1 + _SAME) + _SAME_OF_NOTHING * n * delta**2
    )
    return found
