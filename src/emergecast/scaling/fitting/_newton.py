"""Damped Newton with exact derivatives, for many sets of constants at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from emergecast.scaling.fitting._objective import Points, Valued, objective

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

EXPONENTS: Final = (0.002, 4.0)
"""Exponents that are looked at; a fit that would leave them says so in its status."""
_TOLERANCE: Final = 1e-12
"""Slope at which a search ends."""
_CONVERGED: Final = 1e-10
"""Slope at which a search counts as converged; most end a hundred times lower."""
_ROUGH: Final = 1e-3
"""Slope at which a pass that is not the last ends."""
_STEPS: Final = 200
_ROUNDING: Final = 1e-13
"""Relative change of the objective that rounding can make."""
_WIDEST: Final = 0.03
"""delta of the first pass, ln L: wide enough for most residuals to count as quadratic."""
_NARROWING: Final = 0.17
"""Factor from the delta of one pass to that of the next; three passes from 0.03 to 1e-3."""
_DAMPING: Final = 1e-3
"""Where the damping of Levenberg and Marquardt begins, as a share of a scaled eigenvalue. This and
the next four decide how long a search takes; where it ends is for the gradient to say."""
_GOOD: Final = 0.5
"""Share of the promised gain above which the damping falls."""
_POOR: Final = 0.1
"""Share of the promised gain below which it rises."""
_EASED: Final = 0.1
"""Factor by which it falls."""
_STIFFENED: Final = 6.0
"""Factor by which it rises."""
_STUCK: Final = 1e12
"""Damping at which no step moves anything any more."""
_LEAST: Final = 1e-14
"""Least curvature that a step is divided by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Bounds of the coordinates (see `Points`): least and largest, shape (coordinates,)."""

    low: Floats
    high: Floats

    @classmethod
    def of(cls, terms: int, floor: float | None) -> Box:
        """No constant below 0, exponents in EXPONENTS, and a fixed `floor` where one is given."""
        low = np.array([floor or 0.0, *[0.0] * terms, *[EXPONENTS[0]] * terms])
        fixed = np.inf if floor is None else floor
        high = np.array([fixed, *[np.inf] * terms, *[EXPONENTS[1]] * terms])
        return cls(low=low, high=high)


class Descended(NamedTuple):
    """Where the searches ended."""

    theta: Floats
    """Coordinates, shape (searches, coordinates)."""
    value: Floats
    """Objective, shape (searches,)."""
    slope: Floats
    """Largest component of the gradient within the bounds, relative to the largest that a Huber
    loss can have; shape (searches,)."""
    converged: NDArray[np.bool_]
    """Whether `slope` is down to rounding, shape (searches,)."""
    steps: NDArray[np.int64]
    """Evaluations taken, shape (searches,)."""


def descend(
    points: Points,
    start: Floats,
    weights: Floats,
    *,
    delta: float,
    box: Box,
    near: bool = False,
) -> Descended:
    """Local minima of the objective from each row of `start`, shape (searches, coordinates).

    Newton with the exact Hessian, its eigenvalues taken positive and damped as by Levenberg and
    Marquardt; a coordinate at a bound stays there while the gradient points out. The first passes
    take a wider delta, where the objective is close to least squares and has few local minima, and
    hand their result to the next; the last one, at `delta` itself, ends when the gradient is down
    to rounding. With `near` only that last pass is made: from a start close to an optimum it is
    the shorter way, and stays close. `weights` is (searches, points) or (1, points).
    """
    theta = np.clip(start, box.low, box.high)
    width = max(_WIDEST, delta)
    steps = np.zeros(len(theta), dtype=np.int64)
    while width > delta * 1.01 and not near:
        done = _pass(points, theta, weights, delta=width, box=box, tolerance=_ROUGH)
        theta, steps = done.theta, steps + done.steps
        width *= _NARROWING
    done = _pass(points, theta, weights, delta=delta, box=box, tolerance=_TOLERANCE)
    return done._replace(steps=steps + done.steps)


def _pass(
    points: Points,
    theta: Floats,
    weights: Floats,
    *,
    delta: float,
    box: Box,
    tolerance: float,
) -> Descended:
    theta = theta.copy()
    at = objective(points, theta, weights, delta)
    total = np.broadcast_to(weights.sum(axis=1), len(theta))
    damping = np.full(len(theta), _DAMPING)
    steps = np.ones(len(theta), dtype=np.int64)
    slope = _slope(theta, at, total, delta, box)
    going = (slope > tolerance) & np.isfinite(at.value)
    for _ in range(_STEPS):
        rows = np.flatnonzero(going)
        if not rows.size:
            break
        here = Valued(*(each[rows] for each in at))
        step, promised = _step(theta[rows], here, damping[rows], box)
        there = theta[rows] + step
        w = weights if len(weights) == 1 else weights[rows]
        new = objective(points, there, w, delta)
        steps[rows] += 1
        new_slope = _slope(there, new, total[rows], delta, box)
        level = np.abs(new.value - here.value) <= _ROUNDING * here.value
        better = (new.value < here.value) | (level & (new_slope < slope[rows]))
        gain = np.where(promised > 0, (here.value - new.value) / np.maximum(promised, 1e-300), 0.0)
        kept = rows[better]
        theta[kept], slope[kept] = there[better], new_slope[better]
        for whole, part in zip(at, new, strict=True):
            whole[kept] = part[better]
        good = better & ((gain > _GOOD) | level)
        damping[rows] *= np.where(good, _EASED, np.where(gain > _POOR, 1.0, _STIFFENED))
        going[rows] = (slope[rows] > tolerance) & (damping[rows] < _STUCK)
    return Descended(theta, at.value, slope, slope <= max(tolerance, _CONVERGED), steps)


def _bound(theta: Floats, gradient: Floats, box: Box) -> NDArray[np.bool_]:
    """Coordinates that are at a bound and that the gradient would push out."""
    return ((theta <= box.low) & (gradient > 0)) | ((theta >= box.high) & (gradient < 0))


def _slope(theta: Floats, at: Valued, total: Floats, delta: float, box: Box) -> Floats:
    free = ~_bound(theta, at.gradient, box)
    most = delta * np.sqrt(total)[:, None] * at.scale
    share = np.abs(at.gradient) / np.where(most > 0, most, 1.0)
    worst: Floats = np.max(np.where(free & (box.low < box.high), share, 0.0), axis=1)
    return worst


def _step(theta: Floats, at: Valued, damping: Floats, box: Box) -> tuple[Floats, Floats]:
    """The step within the bounds, and by how much the quadratic model promises to fall."""
    scale = np.where(at.scale > 0, at.scale, 1.0)
    held = _bound(theta, at.gradient, box) | (box.low >= box.high)
    gradient = np.where(held, 0.0, at.gradient / scale)
    hessian = at.hessian / (scale[:, :, None] * scale[:, None, :])
    hessian = np.where(held[:, :, None] | held[:, None, :], 0.0, hessian)
    values, vectors = np.linalg.eigh(hessian)
    along = np.einsum("rij,ri->rj", vectors, gradient)
    along = -along / np.maximum(np.abs(values) + damping[:, None], _LEAST)
    step = np.einsum("rij,rj->ri", vectors, along) / scale
    step = np.clip(theta + step, box.low, box.high) - theta
    scaled = step * scale
    promised = -np.einsum("ri,ri->r", scaled, gradient) - 0.5 * np.einsum(
        "ri,rij,rj->r", scaled, hessian, scaled
    )
    return step, promised
