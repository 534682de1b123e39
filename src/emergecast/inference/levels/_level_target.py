"""A law with levels as a target of the sampler: standard normal coordinates."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import ndtr

from emergecast.inference.levels._level_priors import (
    ELBOW_SPREAD,
    SHOULDER,
    SLOPE_SPREAD,
    TOE,
)
from emergecast.inference.levels._level_tables import COARSE

if TYPE_CHECKING:
    from emergecast.emergence_law import LawForm
    from emergecast.inference._data import Floats, Ints
    from emergecast.inference.levels._level_priors import FewValues, LawDraws
    from emergecast.inference.levels._level_tables import LevelTables

LAW, SLOPE, CHOICES = slice(0, 4), slice(4, 6), slice(6, 10)
"""Coordinates: elbow, shift and shape of the law; slope and trend; toe, shoulder, both spreads."""
SIZE = 10


class Placed(NamedTuple):
    """What vectors say of every level."""

    law: LawDraws
    ln_slopes: Floats
    """R / U, shape (N, J)."""
    curve: Ints
    """Number of the response curve, shape (N,)."""
    spread: Ints
    """Number of the pair of spreads, shape (N,)."""


class LevelTarget:
    """Prior and likelihood of vectors, shape (N, 10), every coordinate standard normal a priori."""

    def __init__(self, tables: LevelTables, form: LawForm) -> None:
        """A target; the tables are shared."""
        self.tables, self.form = tables, form

    def sample_prior(self, n: int, rng: np.random.Generator) -> Floats:
        """Independent draws from the prior, shape (n, 10)."""
        return rng.standard_normal((n, SIZE))

    def evaluate(self, vectors: Floats) -> tuple[Floats, Floats]:
        """Log prior density, but for a constant, and log likelihood, both (N,)."""
        from emergecast.inference.levels._table_kernel import sum_levels

        placed, smooth = self.placed(vectors), self.tables.smooth
        state = placed.curve * len(self.tables.priors.spreads) + placed.spread
        ln_likelihood = sum_levels(smooth, state, placed.law.elbows, placed.ln_slopes, COARSE)
        return -0.5 * np.sum(vectors**2, axis=1), np.asarray(ln_likelihood)

    def placed(self, vectors: Floats, amounts: Floats | None = None) -> Placed:
        """Where the law puts every level, or the levels of other amounts, D0 first."""
        priors, anchors = self.tables.priors, self.tables.anchors
        amounts = self.tables.amounts if amounts is None else amounts
        choices = (TOE, SHOULDER, ELBOW_SPREAD, SLOPE_SPREAD)
        toe, shoulder, elbow, slope = (
            _chosen(choice, vectors[:, CHOICES.start + i]) for i, choice in enumerate(choices)
        )
        ln = np.log(anchors)
        time = (np.log(amounts) - ln[1:].mean()) / (ln[-1] - ln[0])
        return Placed(
            law=priors.law(self.form, vectors[:, LAW], amounts, float(anchors[-1])),
            ln_slopes=priors.ln_slopes(vectors[:, SLOPE], time),
            curve=toe * len(SHOULDER.values) + shoulder,
            spread=elbow * len(SLOPE_SPREAD.values) + slope,
        )


def _chosen(choice: FewValues, standard: Floats) -> Ints:
    """The number of the value whose share of the probability a standard normal falls into."""
    edges = np.cumsum(choice.weights)[:-1]
    return np.searchsorted(edges / sum(choice.weights), ndtr(standard)).astype(np.int64)
