"""The likelihood of a law with features, everything that enters linearly integrated out.

The vectors of `Space`, rows of (N, size), become the arrays that `inference/_likelihood.py` takes.
All in standard units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emergecast.emergence_law import Feature
from emergecast.inference._likelihood import (
    conditional,
    draw_deviations,
    draw_unknowns,
    ln_likelihood,
)
from emergecast.inference._likelihood_arrays import LikelihoodRows, Linear, RowsUnder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emergecast.inference._data import FitData, Floats
    from emergecast.inference.sampled._space import Space

FARTHEST_ELBOW = 1e4
"""Elbows beyond this, in S, are cut: no score tells them apart."""
SMALLEST_SPREAD = 1e-3
"""A spread below this share of its prior scale acts as this share: it changes no score."""


class Marginal:
    """Log likelihood of vectors, and draws of what it integrates out."""

    def __init__(self, data: FitData, space: Space, keep: NDArray[np.bool_] | None = None) -> None:
        """Prepare what no vector changes.

        Args:
            data: the rows.
            space: the law's parameters.
            keep: rows to look at, shape (n,); all if None.
        """
        self.space, self.priors = space, space.priors
        kept = data if keep is None else data.rows(keep)
        self.n_checkpoints = data.n_checkpoints  # those without a row that is kept too
        self.any_few_shot = bool(kept.few_shot.any())
        self.n_level = 1 + self.any_few_shot
        self.n_levels = space.amounts.size
        self.slopes = Feature.SLOPES in space.law.features
        self.deviation = Feature.DEVIATION in space.law.features
        self.n_series = data.n_series if self.deviation and data.n_series > 1 else 0
        self.rows = LikelihoodRows.of(
            kept, few_shot=self.any_few_shot, n_series=self.n_series, slopes=self.slopes
        )

    def log_likelihood(self, vectors: Floats, elbows: Floats) -> Floats:
        """Log p(scores | vector), shape (N,)."""
        return ln_likelihood(self.rows, self.under(vectors, elbows))

    def under(self, vectors: Floats, elbows: Floats) -> RowsUnder:
        """The vectors as far as rows see them."""
        scale = self.space.scale
        return RowsUnder(
            elbows=elbows.clip(-FARTHEST_ELBOW, FARTHEST_ELBOW),
            noise=scale(vectors, "tau") ** 2,
            width=scale(vectors, "width"),
            ceiling_rate=scale(vectors, "ceiling_rate"),
            deviation=scale(vectors, "kappa") ** 2,
            precision=self._prior_precision(vectors),
        )

    def _prior_precision(self, vectors: Floats) -> Floats:
        """Of (v, Delta, B, delta, A), shape (N, p)."""
        priors, space, n = self.priors, self.space, vectors.shape[0]
        parts = []
        for name, widest, count in (
            ("kappa_series", priors.deviation_scale, self.n_series),
            ("level", priors.level_scale, self.n_level),
            ("omega", priors.slope_spread_scale, self.n_levels if self.slopes else 0),
        ):
            spread = np.full(n, widest)
            if name != "level":
                spread = np.maximum(space.scale(vectors, name), SMALLEST_SPREAD * widest)
            parts.append(np.repeat(spread[:, None] ** -2.0, count, axis=1))
        parts.append(np.full((n, 1), priors.slope_scale**-2.0))
        return np.concatenate(parts, axis=1)

    def linear(self, vectors: Floats, elbows: Floats, rng: np.random.Generator) -> Linear:
        """One draw of everything linear for each vector."""
        under = self.under(vectors, elbows)
        given = conditional(self.rows, under)
        n, size = given.solved.shape
        uniform = np.subtract(1.0, rng.random(n))
        unknowns = draw_unknowns(given, uniform, rng.standard_normal((n, size))[:, :-1])
        slope, base = unknowns[:, -1], self.n_series + self.n_level - 1
        slopes = np.repeat(slope[:, None], self.n_levels, axis=1)
        if self.slopes:
            slopes = unknowns[:, base + 1 : -1]
        drawn = Linear(
            level=unknowns[:, base],
            offset=unknowns[:, base - 1] if self.any_few_shot else np.zeros(n),
            slope=slope,
            slopes=slopes,
            series=unknowns[:, : self.n_series],
            checkpoint=np.zeros((n, self.n_checkpoints)),
        )
        if not self.deviation:
            return drawn
        normal = rng.standard_normal(drawn.checkpoint.shape)
        return drawn._replace(checkpoint=draw_deviations(self.rows, under, drawn, normal))
