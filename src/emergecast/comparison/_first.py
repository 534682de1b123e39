"""Which of two series emerges first: at equal loss, and at equal compute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from emergecast.comparison._compute_frontier import ComputeFrontier, compute_frontier
from emergecast.inference import QUANTILES, SEED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emergecast.forecasts import Forecast

N_DRAWS = 20_000
STEPS = 1_500
GRID = 401
LAGS = 3_000


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
    """Training compute at which one series reaches its few-shot elbow, log10 FLOPs."""

    p05: float
    p50: float
    p95: float
    beyond: float
    """Share of the draws past the series' strongest checkpoint, where compute is extrapolated."""


def at_equal_loss(forecasts: list[Forecast], reason: str | None) -> tuple[First, Difference | None]:
    """P(first emerges at a weaker value of the axis) and the difference; not with a `reason`."""
    if reason is not None:
        return First(probability=None, reason=reason), None
    levels = _middles(STEPS)
    a, b = forecasts[0].quantile(levels), forecasts[1].quantile(levels)
    below = float(np.mean(forecasts[0].cumulative(b)))
    probability = below if forecasts[0].axis.higher_is_stronger else 1.0 - below
    values = np.quantile(np.subtract.outer(a, b), list(QUANTILES.values()))
    difference = Difference(**dict(zip(QUANTILES, map(float, values), strict=True)))
    return First(probability=min(max(probability, 0.0), 1.0), reason=None), difference


def at_equal_compute(
    forecasts: list[Forecast], reason: str | None
) -> tuple[First, tuple[ElbowCompute | None, ElbowCompute | None]]:
    """P(first emerges at less training compute) and the compute of each; not with a `reason`.

    Each draw of an elbow becomes FLOPs by its own series' `ComputeFrontier`.
    """
    if reason is None and not forecasts[0].axis.is_loss:
        reason = f"the axis is {forecasts[0].axis.label}, and compute is read off losses"
    if reason is not None:
        return First(probability=None, reason=reason), (None, None)
    rng = np.random.default_rng(SEED)
    drawn: list[NDArray[np.float64] | None] = []
    summaries: list[ElbowCompute | None] = []
    for forecast in forecasts:
        frontier = compute_frontier(forecast.fit.selection.rows)
        if not isinstance(frontier, ComputeFrontier):
            name = ", ".join(forecast.fit.selection.series)
            reason = f"{name}: {frontier}" if reason is None else reason
            drawn.append(None)
            summaries.append(None)
            continue
        loss = np.maximum(forecast.quantile(rng.permutation(_middles(N_DRAWS))), 1e-3)
        ln_flops = frontier.ln_flops_at(loss, rng)
        p05, p50, p95 = np.quantile(ln_flops, [0.05, 0.5, 0.95]) / np.log(10)
        beyond = float(np.mean(np.log(loss) < frontier.ln_loss[-1]))
        drawn.append(ln_flops)
        summaries.append(
            ElbowCompute(p05=float(p05), p50=float(p50), p95=float(p95), beyond=beyond)
        )
    a, b = drawn
    if a is None or b is None:
        return First(probability=None, reason=reason), (summaries[0], summaries[1])
    first = float(np.mean(a < b) + 0.5 * np.mean(a == b))
    return First(probability=first, reason=None), (summaries[0], summaries[1])


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


def _middles(n: int) -> NDArray[np.float64]:
    """The middles of n equal steps of probability, shape (n,)."""
    return (np.arange(n) + 0.5) / n
