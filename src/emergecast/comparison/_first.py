"""Which of two series emerges first: at equal loss, and at equal compute."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from emergecast.inference import QUANTILES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emergecast.compute import Compute
    from emergecast.forecasts import Forecast

STEPS = 1_500
GRID = 401
LAGS = 3_000
NOT_IN_FLOPS = "its scaling law and how parameters and tokens are tied do not determine FLOPs"


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """Probability that the first series emerges before the second."""

    probability: float | None
    """None where it cannot be stated."""
    reason: str | None
    """Why not, in one sentence; None where it is stated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Elbow of the first series minus that of the second, nats; above 0: the first emerges first.

    The posteriors are taken as independent. On an axis where higher is stronger, below 0 means that
    the first emerges first.
    """

    p05: float
    p25: float
    p50: float
    p75: float
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ElbowCompute:
    """Training compute at which one series reaches its few-shot elbow, log10 FLOPs.

    The quantiles are those of its forecast in compute; None where no compute reaches the elbow.
    """

    p05: float | None
    p50: float | None
    p95: float | None
    beyond: float | None
    """Probability that it is more than that of the series' strongest checkpoint; None where the
    compute of that is not known."""


def at_equal_loss(forecasts: list[Forecast], reason: str | None) -> tuple[First, Difference | None]:
    """P(first emerges at a weaker value of the axis) and the difference; not with a `reason`."""
    if reason is not None:
        return First(probability=None, reason=reason), None
    levels = middles(STEPS)
    a, b = forecasts[0].quantile(levels), forecasts[1].quantile(levels)
    below = float(np.mean(forecasts[0].cumulative(b)))
    probability = below if forecasts[0].axis.higher_is_stronger else 1.0 - below
    values = np.quantile(np.subtract.outer(a, b), list(QUANTILES.values()))
    difference = Difference(**dict(zip(QUANTILES, map(float, values), strict=True)))
    return First(probability=min(max(probability, 0.0), 1.0), reason=None), difference


def at_equal_compute(forecasts: list[Forecast], reason: str | None) -> First:
    """P(first emerges at less training compute); not with a `reason`.

    The compute is that of each forecast (`Forecast.compute`); the two are taken as independent.
    """
    if reason is not None:
        return First(probability=None, reason=reason)
    drawn = [None if f.compute is None else f.compute.flops_draws for f in forecasts]
    for forecast, draws in zip(forecasts, drawn, strict=True):
        if draws is None:
            name = ", ".join(forecast.fit.selection.series)
            return First(probability=None, reason=f"{name}: {no_compute(forecast)}")
    first, second = (np.sort(np.asarray(draws)) for draws in drawn)
    less = np.searchsorted(first, second, side="left") + np.searchsorted(
        first, second, side="right"
    )
    probability = float(less.mean() / (2 * first.size))  # over all pairs; a tie counts half
    return First(probability=probability, reason=None)


def no_compute(forecast: Forecast) -> str:
    """Why a forecast has no FLOPs, without a full stop."""
    return (forecast.compute_reason or NOT_IN_FLOPS).rstrip(".")


def elbow_compute(forecast: Forecast) -> ElbowCompute | None:
    """The compute of the elbow of one series; None where it is not known."""
    return _elbow_compute(forecast.compute)


def _elbow_compute(found: Compute | None) -> ElbowCompute | None:
    if found is None or found.flops is None or found.flops_draws is None:
        return None
    top, flops = found.strongest_flops, found.flops
    return ElbowCompute(
        p05=_log10(flops.p05),
        p50=_log10(flops.p50),
        p95=_log10(flops.p95),
        beyond=None if top is None else float(np.mean(found.flops_draws > top)),
    )


def _log10(flops: float | None) -> float | None:
    return None if flops is None else math.log10(flops)


def difference_density(
    first: Forecast, second: Forecast, difference: Difference
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Differences on an even grid (nats) and their density per nat, shape (GRID,) each."""
    lags, share = _convolved(first, second)
    step = lags[1] - lags[0]
    centre, half = difference.p50, 2.0 * (difference.p95 - difference.p05)
    likely = np.flatnonzero(share > 2e-3 * share.max())
    low, high = max(lags[likely[0]], centre - half), min(lags[likely[-1]], centre + half)
    grid = np.linspace(low, high, GRID)
    below = np.interp(grid, lags + step / 2, np.cumsum(share))
    edges = np.concatenate([[2 * below[0] - below[1]], below, [2 * below[-1] - below[-2]]])
    density = (edges[2:] - edges[:-2]) / (2 * (grid[1] - grid[0]))
    for _ in range(8):  # the cells of the posteriors show otherwise
        density[1:-1] = (density[:-2] + 2 * density[1:-1] + density[2:]) / 4
    return grid, density


def _convolved(
    first: Forecast, second: Forecast
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Differences first - second (nats) on an even grid, and their probabilities."""
    ends = np.array([each.quantile([1e-4, 1 - 1e-4]) for each in (first, second)])
    edges = np.linspace(ends.min(), ends.max(), LAGS + 1)
    a, b = (np.diff(each.cumulative(edges)) for each in (first, second))
    lags = (np.arange(2 * LAGS - 1) - (LAGS - 1)) * (edges[1] - edges[0])
    return lags, np.convolve(a, b[::-1])


def middles(n: int) -> NDArray[np.float64]:
    """The middles of n equal steps of probability, shape (n,)."""
    return (np.arange(n) + 0.5) / n
