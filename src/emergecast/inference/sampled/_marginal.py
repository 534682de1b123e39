"""The likelihood of a law with features, everything that enters linearly integrated out.

The vectors of `Space`, rows of (N, size), become the arrays that `inference/_likelihood.py` takes.
All in standard units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from emergecast.emergence_law import Feature, rise
from emergecast.inference._likelihood import Conditional, LikelihoodRows, conditional, draw_unknowns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emergecast.inference._data import FitData, Floats
    from emergecast.inference.sampled._space import Space

FARTHEST_ELBOW = 1e4
"""Elbows beyond this, in S, are cut: no score tells them apart."""
SMALLEST_SPREAD = 1e-3
"""A spread below this share of its prior scale acts as this share: it changes no score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """One draw of what enters linearly, for each of N vectors; standard units."""

    level: Floats
    """B, shape (N,)."""
    offset: Floats
    """Delta, shape (N,)."""
    slope: Floats
    """A, shape (N,)."""
    slopes: Floats
    """A + delta_j, few-shot first, shape (N, J + 1)."""
    series: Floats
    """v, shape (N, series)."""
    checkpoint: Floats
    """u, shape (N, checkpoints)."""


class Marginal:
    """Log likelihood of vectors, and draws of what it integrates out.

    Work arrays are (rows, N); rows are sorted by checkpoint.
    """

    def __init__(self, data: FitData, space: Space, keep: NDArray[np.bool_] | None = None) -> None:
        """Prepare what no vector changes.

        Args:
            data: the rows.
            space: the law's parameters.
            keep: rows to look at, shape (n,); all if None.
        """
        self.space, self.priors = space, space.priors
        rows = np.argsort(data.checkpoint, kind="stable")
        self.data = kept = data.rows(rows if keep is None else rows[keep[rows]])
        self.score, self.level, self.checkpoint = kept.standard_score, kept.level, kept.checkpoint
        self.loss = kept.standard_loss[:, None]
        self.n_checkpoints = data.n_checkpoints  # those without a row that is kept too
        few = kept.few_shot.astype(np.float64)
        self.few = few if few.any() else None
        self.n_level = 1 + (self.few is not None)
        self.series = np.eye(data.n_series)[kept.series]
        self.n_levels = space.amounts.size
        self.slopes = Feature.SLOPES in space.law.features
        self.deviation = Feature.DEVIATION in space.law.features
        fixed = [np.ones_like(self.score)]
        if self.few is not None:
            fixed.append(self.few)
        if self.deviation and data.n_series > 1:
            fixed.extend(self.series.T)
        self.n_fixed = len(fixed)
        self.rows = LikelihoodRows.of(
            self.score,
            self.level,
            checkpoint=self.checkpoint,
            fixed=np.column_stack(fixed),
            n_levels=self.n_levels,
            slopes=self.slopes,
        )

    def log_likelihood(self, vectors: Floats, elbows: Floats) -> Floats:
        """Log p(scores | vector), shape (N,)."""
        return self._given(vectors, self.rise(vectors, elbows)).ln_likelihood

    def rise(self, vectors: Floats, elbows: Floats) -> Floats:
        """P of every row, shape (rows, N)."""
        past = elbows.T.clip(-FARTHEST_ELBOW, FARTHEST_ELBOW)[self.level]
        past -= self.loss
        if not self.space.bends:
            return np.asarray(np.maximum(past, 0.0, out=past))
        width = self.space.scale(vectors, "width")
        rate = self.space.scale(vectors, "ceiling_rate")
        return np.asarray(rise(past, width=width, ceiling_rate=rate))

    def variance(self, vectors: Floats) -> Floats:
        """Variance of every row's own noise, shape (rows, N)."""
        return self.data.standard_variance(self.space.scale(vectors, "tau"))

    def _given(self, vectors: Floats, past: Floats) -> Conditional:
        """What the scores say of what enters linearly, given the rest."""
        return conditional(
            self.rows,
            past,
            variance=self.variance(vectors),
            precision=self._prior_precision(vectors),
            kappa=self.space.scale(vectors, "kappa") if self.deviation else None,
        )

    def _prior_precision(self, vectors: Floats) -> Floats:
        """Of (B, Delta, v, delta, A), shape (N, p)."""
        priors, space, n = self.priors, self.space, vectors.shape[0]
        parts = [np.full((n, self.n_level), priors.level_scale**-2.0)]
        for name, widest, count in (
            ("kappa_series", priors.deviation_scale, self.n_fixed - self.n_level),
            ("omega", priors.slope_spread_scale, self.n_levels if self.slopes else 0),
        ):
            spread = np.maximum(space.scale(vectors, name), SMALLEST_SPREAD * widest)
            parts.append(np.repeat(spread[:, None] ** -2.0, count, axis=1))
        parts.append(np.full((n, 1), priors.slope_scale**-2.0))
        return np.concatenate(parts, axis=1)

    def linear(self, vectors: Floats, elbows: Floats, rng: np.random.Generator) -> Linear:
        """One draw of everything linear for each vector."""
        past = self.rise(vectors, elbows)
        given = self._given(vectors, past)
        n, size = given.solved.shape
        uniform = np.subtract(1.0, rng.random(n))
        unknowns = draw_unknowns(given, uniform, rng.standard_normal((n, size))[:, :-1])
        slope = unknowns[:, -1]
        slopes = np.repeat(slope[:, None], self.n_levels, axis=1)
        if self.slopes:
            slopes = unknowns[:, self.n_fixed : -1]
        mean = self.rows.fixed @ unknowns[:, : self.n_fixed].T + slopes.T[self.level] * past
        return Linear(
            level=unknowns[:, 0],
            offset=unknowns[:, 1] if self.few is not None else np.zeros(n),
            slope=slope,
            slopes=slopes,
            series=unknowns[:, self.n_level : self.n_fixed],
            checkpoint=self._checkpoint_draw(vectors, self.score[:, None] - mean, rng),
        )

    def _checkpoint_draw(
        self, vectors: Floats, residual: Floats, rng: np.random.Generator
    ) -> Floats:
        """U of every checkpoint, (N, checkpoints): from the prior where it has no rows."""
        n = vectors.shape[0]
        if not self.deviation:
            return np.zeros((n, self.n_checkpoints))
        weight = 1 / self.variance(vectors)
        kappa = self.space.scale(vectors, "kappa")
        present = self.checkpoint[self.rows.starts]
        total, pull = np.zeros((2, self.n_checkpoints, n))
        total[present] = self.rows.by_checkpoint(weight)
        pull[present] = self.rows.by_checkpoint(weight * residual)
        shrink = kappa**2 / (1 + kappa**2 * total)
        drawn = shrink * pull + np.sqrt(shrink) * rng.standard_normal(shrink.shape)
        return np.asarray(drawn.T)
