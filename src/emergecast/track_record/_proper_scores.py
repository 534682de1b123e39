"""Proper scores of a forecast distribution against what came true."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from emergecast.inference import LossDistribution

TOLERANCE = 1e-8
"""Relative error at which the integral of the CRPS stops refining."""
ROUNDS = 48
PANELS = 60_000
_TAIL = (1e-10, 1e-8, 1e-6, 1e-4, 1e-3, 0.01, 0.03)
LEVELS = np.array([*_TAIL, *np.linspace(0.05, 0.95, 19), *(1.0 - np.array(_TAIL[::-1]))])
NODES, WEIGHTS = np.polynomial.legendre.leggauss(6)


def crps(distribution: LossDistribution, truth: ArrayLike) -> float:
    """Continuous ranked probability score in nats; lower is better, 0 is a certain hit.

        CRPS = integral of (F(x) - 1[x >= truth])^2 dx

    Adaptive Gauss-Legendre quadrature of F over panels that begin at quantiles and at the truth,
    refined until the estimated relative error is 1e-8. The truth may lie far outside the support.
    Of a point forecast it is the absolute error. Source: Gneiting and Raftery (2007), JASA 102:359.

    Args:
        distribution: the forecast.
        truth: the truth in nats; an array (any shape) holds equally likely draws of an uncertain
            truth, and the mean of their scores is returned.

    Raises:
        ValueError: the truth is not a finite number, or there is none.
    """
    truths = np.sort(_finite(truth).ravel())
    levels = np.asarray(distribution.quantile(LEVELS), dtype=np.float64)
    edges = np.unique(np.concatenate([levels[np.isfinite(levels)], truths]))
    left, right = edges[:-1], edges[1:]
    if not left.size:
        return 0.0  # a point forecast that came true
    total, whole = 0.0, _panels(distribution, truths, left, right)
    for _ in range(ROUNDS):
        middle = 0.5 * (left + right)
        first = _panels(distribution, truths, left, middle)
        second = _panels(distribution, truths, middle, right)
        halves = first + second
        gap = np.abs(halves - whole)
        estimate = total + float(halves.sum())
        open_ = gap > TOLERANCE * estimate / (4 * gap.size)
        if not open_.any() or gap[open_].sum() <= TOLERANCE * estimate or 2 * open_.sum() > PANELS:
            return estimate
        total += float(halves[~open_].sum())
        left, right = (
            np.concatenate([left[open_], middle[open_]]),
            np.concatenate([middle[open_], right[open_]]),
        )
        whole = np.concatenate([first[open_], second[open_]])
    return total + float(whole.sum())


def log_score(distribution: LossDistribution, truth: float) -> float:
    """Natural log of the forecast's density (per nat) at the truth; higher is better.

    No floor: where the density is 0 the score is minus infinity, and so is then every mean that
    holds it. Show the median, and how many scores are infinite, beside such a mean.

    Raises:
        ValueError: the truth is not a finite number.
    """
    density = float(np.asarray(distribution.density(float(_finite(truth)))))
    return float(np.log(density)) if density > 0 else -np.inf


def pit(distribution: LossDistribution, truth: float) -> float:
    """Probability integral transform, P(elbow <= truth); uniform where forecasts are calibrated.

    Raises:
        ValueError: the truth is not a finite number.
    """
    return float(np.asarray(distribution.cumulative(float(_finite(truth)))))


def interval_score(low: float, high: float, truth: float, *, level: float = 0.9) -> float:
    """Width of a central interval and the price of a miss, in nats; lower is better.

        (high - low) + 2 / (1 - level) * distance from the truth to the interval

    It is smallest on average where the ends are the true quantiles: a wide interval costs its
    width, a narrow one its misses. Source: Gneiting and Raftery (2007), equation 43.
    """
    miss = max(low - truth, truth - high, 0.0)
    return high - low + 2.0 / (1.0 - level) * miss


def _finite(truth: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(truth, dtype=np.float64)
    if not values.size or not np.isfinite(values).all():
        raise ValueError(f"the truth must be a finite loss in nats, not {truth!r}.")
    return values


def _panels(
    distribution: LossDistribution,
    truths: NDArray[np.float64],
    left: NDArray[np.float64],
    right: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The integral over each panel [left, right], shape (panels,); no truth inside a panel.

    With G the share of truths at or below x, the mean of (F - 1[x >= truth])^2 over truths is
    (F - G)^2 + G (1 - G).
    """
    middle, half = 0.5 * (left + right), 0.5 * (right - left)
    below = np.asarray(distribution.cumulative(middle[:, None] + half[:, None] * NODES))
    arrived = (np.searchsorted(truths, middle, side="right") / truths.size)[:, None]
    values = (below - arrived) ** 2 + arrived * (1.0 - arrived)
    return np.asarray(half * (values @ WEIGHTS))
