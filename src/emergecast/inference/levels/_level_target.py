"""A law with levels as a target of the sampler: standard normal coordinates."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import ndtr

from emergecast.inference.levels._tables import COARSE

if TYPE_CHECKING:
    from emergecast.inference._data import Floats, Ints
    from emergecast.inference.levels._level_priors import Choice, Shift
    from emergecast.inference.levels._tables import LevelTables

LAW, LN_SLOPE, TREND, CHOICES = slice(0, 4), 4, 5, slice(6, 10)
"""Coordinates: elbow, shift and shape of the law; slope; trend; toe, shoulder and both spreads."""
SIZE = 10


class Placed(NamedTuple):
    """What vectors say of every level."""

    elbows: Floats
    """U above the strongest loss, shape (N, J)."""
    ln_slopes: Floats
    """R / U, shape (N, J)."""
    curve: Ints
    """Number of the response curve, shape (N,)."""
    spread: Ints
    """Number of the pair of spreads, shape (N,)."""


class LevelTarget:
    """Prior and likelihood of vectors, shape (N, 10), every coordinate standard normal a priori."""

    def __init__(self, tables: LevelTables, shift: Shift) -> None:
        """A target; the tables are shared."""
        self.tables, self.shift = tables, shift
        ln = np.log(tables.amounts)
        self._time = (ln - ln[1:].mean()) / (ln[-1] - ln[0])

    def sample_prior(self, n: int, rng: np.random.Generator) -> Floats:
        """Independent draws from the prior, shape (n, 10)."""
        return rng.standard_normal((n, SIZE))

    def evaluate(self, vectors: Floats) -> tuple[Floats, Floats]:
        """Log prior density, but for a constant, and log likelihood, both (N,)."""
        from emergecast.inference.levels._table_kernel import sum_levels

        placed, smooth = self.placed(vectors), self.tables.smooth
        state = placed.curve * len(self.tables.priors.spreads) + placed.spread
        ln_likelihood = sum_levels(smooth, state, placed.elbows, placed.ln_slopes, COARSE)
        return -0.5 * np.sum(vectors**2, axis=1), np.asarray(ln_likelihood)

    def placed(self, vectors: Floats) -> Placed:
        """Where the law puts every level."""
        priors = self.tables.priors
        choices = (priors.toe, priors.shoulder, priors.elbow_spread, priors.slope_spread)
        toe, shoulder, elbow, slope = (
            _chosen(choice, vectors[:, CHOICES.start + i]) for i, choice in enumerate(choices)
        )
        middle = priors.ln_slope.at(vectors[:, LN_SLOPE, None])
        trend = priors.trend.at(vectors[:, TREND, None])
        return Placed(
            elbows=priors.elbows(self.shift, vectors[:, LAW], self.tables.amounts),
            ln_slopes=np.asarray(middle + trend * self._time),
            curve=toe * len(priors.shoulder.values) + shoulder,
            spread=elbow * len(priors.slope_spread.values) + slope,
        )


def _chosen(choice: Choice, standard: Floats) -> Ints:
    """The number of the value whose share of the probability a standard normal falls into."""
    edges = np.cumsum(choice.weights)[:-1]
    return np.searchsorted(edges / sum(choice.weights), ndtr(standard)).astype(np.int64)
