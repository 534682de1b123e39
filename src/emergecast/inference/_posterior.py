"""What every posterior can say about the few-shot elbow, however it was computed."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from emergecast.inference._data import Floats
    from emergecast.inference._draws import Draws

GRID = 401
QUANTILES = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}
"""The quantiles that are printed and kept, by name."""
INTERVAL = (QUANTILES["p05"], QUANTILES["p50"], QUANTILES["p95"])
"""Ends and middle of the 90% interval."""


class Posterior(ABC):
    """Distribution of E(D0), the loss of few-shot emergence, and of all that it depends on.

    An implementation sets `_knots` and `_cumulative`, the cumulative distribution as a broken
    line, and `bandwidth`, over how many nats a density must be smoothed.
    """

    _knots: Floats
    _cumulative: Floats
    bandwidth: float

    # ------------------------------------------------------------------ the few-shot elbow E(D0)

    def quantile(self, probability: ArrayLike) -> Floats:
        """Quantiles of E(D0) in nats; the 0.05 quantile is a low loss, that is, late emergence."""
        return np.asarray(np.interp(np.asarray(probability, float), self._cumulative, self._knots))

    def cumulative(self, loss: ArrayLike) -> Floats:
        """P(E(D0) <= loss), any shape."""
        return np.asarray(np.interp(np.asarray(loss, float), self._knots, self._cumulative))

    def emerged(self, loss: ArrayLike) -> Floats:
        """P(E(D0) >= loss): the probability that a model of this loss has emerged, any shape."""
        return np.asarray(1.0 - self.cumulative(loss))

    def density(self, loss: ArrayLike) -> Floats:
        """Density of E(D0) per nat, any shape."""
        grid, density = self._table
        return np.asarray(np.interp(np.asarray(loss, float), grid, density, left=0.0, right=0.0))

    @property
    def mode(self) -> float:
        """Loss at which the density of E(D0) is highest, nats."""
        grid, density = self._table
        return float(peaks(grid, density[:, None])[0])

    @property
    def sd(self) -> float:
        """Standard deviation of E(D0), nats."""
        mass, width = np.diff(self._cumulative), np.diff(self._knots)
        centre = 0.5 * (self._knots[:-1] + self._knots[1:])
        mass = mass / mass.sum()
        mean = np.sum(mass * centre)
        return float(math.sqrt(np.sum(mass * ((centre - mean) ** 2 + width**2 / 12))))

    @cached_property
    def _table(self) -> tuple[Floats, Floats]:
        """A grid of losses and the density on it."""
        low, high = self.quantile([1e-5, 1 - 1e-5])
        margin = 0.02 * (high - low) + 3 * self.bandwidth
        grid = np.linspace(low - margin, high + margin, GRID)
        step = grid[1] - grid[0]
        edges = np.concatenate([grid - step / 2, grid[-1:] + step / 2])
        density = np.diff(self.cumulative(edges)) / step
        for _ in range(6):
            density[1:-1] = (density[:-2] + 2 * density[1:-1] + density[2:]) / 4
        if self.bandwidth > 0:
            density = gaussian_filter1d(density, self.bandwidth / step, mode="constant")
        return grid, density

    # ------------------------------------------------------------------ how good it is

    @property
    @abstractmethod
    def error(self) -> float:
        """Estimated numerical error of the quantiles of E(D0), nats."""

    @property
    @abstractmethod
    def converged(self) -> bool:
        """Whether that error is tolerable."""

    @property
    @abstractmethod
    def log_evidence(self) -> float:
        """Ln of the marginal likelihood of the (standardised) scores under this law."""

    # ------------------------------------------------------------------ draws of all parameters

    @abstractmethod
    def draws(self, n: int, rng: np.random.Generator) -> Draws:
        """`n` draws of all parameters."""


def peaks(grid: Floats, density: Floats) -> Floats:
    """Position of the highest point of each column, by a parabola through its neighbours."""
    top = np.clip(np.argmax(density, axis=0), 1, grid.size - 2)
    column = np.arange(density.shape[1])
    below, here, above = (density[top + shift, column] for shift in (-1, 0, 1))
    bend = np.minimum(below - 2 * here + above, -1e-300)
    shift = np.clip(0.5 * (below - above) / bend, -1, 1)
    return np.asarray(grid[top] + shift * (grid[1] - grid[0]))
