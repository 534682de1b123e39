"""Where a search begins: the linear constants solved for on a grid of exponents."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emergecast.scaling.fitting._objective import Points

    Floats = NDArray[np.float64]

_GRID: Final = (0.02, 2.0)
"""Least and largest exponent of the grid."""
_RIDGE: Final = 1e-12
"""Keeps two columns that are one from being a singular system."""
_TERM: Final = 1e-3
"""Least start of a term, as a share of the loss: at 0 its exponent would have no say."""


def exponents(terms: int, count: int) -> Floats:
    """At most `count` exponents of each of `terms` terms, shape (starts, terms), evenly in ln."""
    each = max(2, int(count ** (1 / terms) + 1e-9))
    line = np.geomspace(*_GRID, each)
    return np.array(list(itertools.product(line, repeat=terms)))


def starts(points: Points, weights: Floats, powers: Floats, floor: float | None) -> Floats:
    """Coordinates at each of `powers`, shape (refits, starts, coordinates).

    Given the exponents, a law is linear in its floor and numerators. They minimise
    sum_i w_i (L(X_i) / L_i - 1)^2, none of them below 0: least squares of the relative error, which
    is close to least squares in ln L. That is not the objective, which is not separable; it only
    says where to begin. (Golub and Pereyra 1973, *SIAM J. Numer. Anal.* 10, 413: variable
    projection.)

    Args:
        points: The table.
        weights: How often each point counts, shape (refits, points).
        powers: Exponents, shape (starts, terms).
        floor: A fixed floor, or None to fit it.
    """
    coefficients, _ = _solved(points, weights, powers, floor)
    shape = (*coefficients.shape[:2], powers.shape[1])
    return np.concatenate([coefficients, np.broadcast_to(powers, shape)], axis=2)


def best_start(points: Points, weights: Floats, powers: Floats, floor: float | None) -> Floats:
    """The one of `starts` with the least squares, for each refit: (refits, coordinates)."""
    coefficients, won = _solved(points, weights, powers, floor)
    best = won.argmax(axis=1)
    rows = np.arange(len(weights))
    return np.concatenate([coefficients[rows, best], powers[best]], axis=1)


def _solved(
    points: Points, weights: Floats, powers: Floats, floor: float | None
) -> tuple[Floats, Floats]:
    """Floor and terms, shape (refits, starts, 1 + terms), and the squares that they explain."""
    inverse = np.exp(-points.ln_loss)
    columns = np.exp(-powers[:, :, None] * points.z) * inverse  # (starts, terms, points)
    target = np.ones(points.n)
    if floor is None:
        ones = np.broadcast_to(inverse, (len(powers), 1, points.n))
        columns = np.concatenate([ones, columns], axis=1)
    else:
        target = target - floor * inverse
    count = columns.shape[1]
    pairs = columns[:, :, None] * columns[:, None]
    flat = pairs.reshape(-1, points.n)
    gram = (weights @ flat.T).reshape(len(weights), len(powers), count, count)
    right = (weights @ (columns * target).reshape(-1, points.n).T).reshape(gram.shape[:3])
    found, won = _non_negative(gram, right)
    least = _TERM * float(np.exp(points.ln_loss.mean()))
    if floor is not None:
        fixed = np.full((*found.shape[:2], 1), floor)
        found = np.concatenate([fixed, found], axis=2)
    found[:, :, 1:] = np.maximum(found[:, :, 1:], least)
    return found, won


def _non_negative(gram: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Non-negative least squares of many small systems: every set of positive unknowns is tried.

    Args:
        gram: shape (..., unknowns, unknowns).
        right: shape (..., unknowns).

    Returns:
        The unknowns, shape (..., unknowns), and right @ unknowns, by which the squares fell.
    """
    count = right.shape[-1]
    size_of = np.sqrt(np.einsum("...ii->...i", gram))
    size_of = np.where(size_of > 0, size_of, 1.0)
    gram, right = gram / (size_of[..., :, None] * size_of[..., None, :]), right / size_of
    best = np.zeros_like(right)
    won = np.zeros(right.shape[:-1])
    for size in range(1, count + 1):
        for chosen in itertools.combinations(range(count), size):
            some = np.array(chosen)
            part = gram[..., some[:, None], some]
            found = np.linalg.solve(part + _RIDGE * np.eye(size), right[..., some, None])[..., 0]
            gain = np.einsum("...i,...i->...", right[..., some], found)
            better = np.all(found >= 0, axis=-1) & (gain > won)
            won = np.where(better, gain, won)
            whole = np.zeros_like(right)
            whole[..., some] = found
            best = np.where(better[..., None], whole, best)
    return best / size_of, won
