"""The likelihood of a law with features, everything that enters linearly integrated out.

Given elbows and scales a row is

    y = B + Delta f + (A + delta_j) P + u_checkpoint + v_series + noise

and all of B, Delta, delta, u, v and A have normal priors (A cut at 0). The deviations u are
independent between checkpoints, so a division per checkpoint removes them; what is left is a
small linear system per vector, with A as its last unknown, so that the Cholesky factor holds A's
marginal mean and variance in its last row. With a slope per level the unknowns are A + delta_j,
which the data know, rather than delta_j, which would cancel against A.
In standard units; vectors are rows of (N, size).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import log_ndtr, ndtri_exp

from emergecast.emergence_law import Feature, rise
from emergecast.inference.sampled._space import ROOT_TWO_PI

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emergecast.inference._data import FitData, Floats, Ints
    from emergecast.inference.sampled._space import Space

FARTHEST_ELBOW = 1e4
"""Elbows beyond this, in S, are cut: no score tells them apart."""
FACTORS = 16
"""Variances (at least 2e-7) whose product is far from underflow."""
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


@dataclass(frozen=True, slots=True)
class _System:
    """The linear system of the unknowns (B, Delta, v, A + delta, A), per vector."""

    factor: Floats
    """Lower Cholesky factor of its precision, shape (N, p, p)."""
    solved: Floats
    """factor^-1 right-hand side, shape (N, p)."""
    ln_constant: Floats


class Marginal:
    """Log likelihood of vectors, and draws of what it integrates out.

    Work arrays are (rows, N), so that what belongs to one row lies together; rows are sorted by
    checkpoint, so that sums over a checkpoint are sums of neighbours.
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
        rows = rows if keep is None else rows[keep[rows]]
        self.loss = data.standard_loss[rows, None]
        self.score = data.standard_score[rows]
        self.level = data.level[rows]
        self.sampling = (data.sampling_sd[rows, None] / data.score_range) ** 2
        self.runs = 1 / data.repeats[rows, None]
        self.checkpoint = data.checkpoint[rows]
        self.n_checkpoints = data.n_checkpoints
        few = data.few_shot[rows].astype(np.float64)
        self.few = few if few.any() else None
        self.series = np.eye(data.n_series)[data.series[rows]]
        self.levels = np.eye(space.amounts.size)[self.level]
        self.slopes = Feature.SLOPES in space.law.features
        self.deviation = Feature.DEVIATION in space.law.features
        fixed = [np.ones_like(self.score)]
        if self.few is not None:
            fixed.append(self.few)
        if self.deviation and data.n_series > 1:
            fixed.extend(self.series.T)
        self.fixed = np.column_stack(fixed)
        self.n_fixed = self.fixed.shape[1]
        known = np.column_stack([self.fixed, self.score])
        self._pairs = np.einsum("ij,ik->ijk", known, known).reshape(self.score.size, -1)
        self._scored_levels = self.levels * self.score[:, None]
        self._starts = np.flatnonzero(np.diff(self.checkpoint, prepend=-1))
        self._known = known
        self._cells = _Cells.of(self.checkpoint, self.level)

    # ------------------------------------------------------------------------- the likelihood

    def log_likelihood(self, vectors: Floats, elbows: Floats) -> Floats:
        """Log p(scores | vector), shape (N,)."""
        system = self._system(vectors, self.rise(vectors, elbows))
        tail = system.solved[:, -1]  # A's marginal mean over its standard deviation
        return np.asarray(
            system.ln_constant
            - np.sum(np.log(np.diagonal(system.factor, axis1=1, axis2=2)), axis=1)
            + 0.5 * np.sum(system.solved**2, axis=1)
            + np.log(2.0)
            + log_ndtr(tail)
        )

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
        return np.asarray(self.sampling + self.runs * self.space.scale(vectors, "tau") ** 2)

    def _system(self, vectors: Floats, past: Floats) -> _System:
        variance = self.variance(vectors)
        weight = 1 / variance
        n, fixed = vectors.shape[0], self.n_fixed
        extra = self.levels.shape[1] if self.slopes else 0
        size = fixed + extra + 1
        gram = np.zeros((n, size, size))
        right = np.zeros((n, size))
        weighted = weight * past
        pairs = (self._pairs.T @ weight).T.reshape(n, fixed + 1, fixed + 1)
        gram[:, :fixed, :fixed] = pairs[:, :fixed, :fixed]
        right[:, :fixed] = pairs[:, :fixed, -1]
        misfit = pairs[:, -1, -1]
        inner = np.arange(fixed, fixed + extra)
        if extra:
            gram[:, inner, inner] = (self.levels.T @ (weighted * past)).T
            for column in range(fixed):
                by_level = self.levels * self.fixed[:, [column]]
                gram[:, inner, column] = (by_level.T @ weighted).T
            right[:, inner] = (self._scored_levels.T @ weighted).T
        else:
            gram[:, -1, :fixed] = (self.fixed.T @ weighted).T
            right[:, -1] = self.score @ weighted
            gram[:, -1, -1] = np.einsum("rn,rn->n", weighted, past)
        ln_constant = -0.5 * _sum_of_logs(variance) - self.score.size * ROOT_TWO_PI
        if self.deviation:
            misfit, ln_constant = self._remove_checkpoints(
                vectors, (weight, weighted), (gram, right), (misfit, ln_constant)
            )
        precision = self._prior_precision(vectors, extra)
        gram[:, np.arange(size), np.arange(size)] += precision
        if extra:
            pull = precision[:, fixed]
            gram[:, -1, inner] = -pull[:, None]
            gram[:, -1, -1] += extra * pull
        factor = _cholesky(gram)
        return _System(
            factor=factor,
            solved=_forward(factor, right),
            ln_constant=ln_constant - 0.5 * misfit + 0.5 * np.sum(np.log(precision), axis=1),
        )

    def _remove_checkpoints(
        self,
        vectors: Floats,
        weights: tuple[Floats, Floats],
        system: tuple[Floats, Floats],
        scalars: tuple[Floats, Floats],
    ) -> tuple[Floats, Floats]:
        """Integrate u out: subtract what each checkpoint's rows say about it together."""
        weight, weighted = weights
        gram, right = system
        misfit, ln_constant = scalars
        total = self._by_checkpoint(weight)
        variance = self.space.scale(vectors, "kappa") ** 2
        shrink = variance / (1 + variance * total)
        root = np.sqrt(shrink)
        unknowns = [column * root for column in self._unknowns(weight, weighted, total)]
        score = self._by_checkpoint(weight * self.score[:, None]) * root
        for i, row in enumerate(unknowns):
            right[:, i] -= _dot(row, score)
            for j in range(i + 1):
                gram[:, i, j] -= _dot(row, unknowns[j])
        return (
            misfit - _dot(score, score),
            ln_constant - 0.5 * np.sum(np.log1p(variance * total), axis=0),
        )

    def _by_checkpoint(self, values: Floats) -> Floats:
        """Sums over the rows of each checkpoint that has rows, shape (present, N)."""
        return np.asarray(np.add.reduceat(values, self._starts, axis=0))

    def _unknowns(self, weight: Floats, weighted: Floats, total: Floats) -> list[Floats]:
        """Weighted sums over each checkpoint of the column of each unknown, (present, N) each."""
        others = self.fixed.T[1:]
        parts = [total, *(self._by_checkpoint(weight * column[:, None]) for column in others)]
        if not self.slopes:
            return [*parts, self._by_checkpoint(weighted)]
        by_level = np.zeros((self.levels.shape[1], self._starts.size, weight.shape[1]))
        by_level[self._cells.level, self._cells.place] = np.add.reduceat(
            weighted[self._cells.order], self._cells.starts, axis=0
        )
        return [*parts, *by_level]

    def _prior_precision(self, vectors: Floats, extra: int) -> Floats:
        priors = self.priors
        n, n_level = vectors.shape[0], 1 + (self.few is not None)
        parts = [np.full((n, n_level), priors.level_scale**-2.0)]
        if self.n_fixed > n_level:
            spread = self.space.scale(vectors, "kappa_series")[:, None]
            least = SMALLEST_SPREAD * priors.deviation_scale
            precision = np.maximum(spread, least) ** -2.0
            parts.append(np.repeat(precision, self.n_fixed - n_level, axis=1))
        if extra:
            spread = self.space.scale(vectors, "omega")[:, None]
            least = SMALLEST_SPREAD * priors.slope_spread_scale
            parts.append(np.repeat(np.maximum(spread, least) ** -2.0, extra, axis=1))
        parts.append(np.full((n, 1), priors.slope_scale**-2.0))
        return np.concatenate(parts, axis=1)

    # ------------------------------------------------------------- what was integrated out again

    def linear(self, vectors: Floats, elbows: Floats, rng: np.random.Generator) -> Linear:
        """One draw of everything linear for each vector."""
        past = self.rise(vectors, elbows)
        system = self._system(vectors, past)
        n, size = system.solved.shape
        mean = system.solved[:, -1]
        uniform = 1.0 - rng.random(n)
        above = mean - ndtri_exp(np.log(uniform) + log_ndtr(mean))  # normal about mean, cut at 0
        noise = system.solved + rng.standard_normal((n, size))
        noise[:, -1] = np.maximum(above, 0.0)
        unknowns = _backward(system.factor, noise)
        n_level = 1 + (self.few is not None)
        slope = np.maximum(unknowns[:, -1], 0.0)
        slopes = np.repeat(slope[:, None], self.levels.shape[1], axis=1)
        if self.slopes:
            slopes = unknowns[:, self.n_fixed : -1]
        mean_score = self.fixed @ unknowns[:, : self.n_fixed].T + slopes.T[self.level] * past
        return Linear(
            level=unknowns[:, 0],
            offset=unknowns[:, 1] if self.few is not None else np.zeros(n),
            slope=slope,
            slopes=slopes,
            series=unknowns[:, n_level : self.n_fixed],
            checkpoint=self._checkpoint_draw(vectors, self.score[:, None] - mean_score, rng),
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
        present = self.checkpoint[self._starts]
        total, pull = np.zeros((2, self.n_checkpoints, n))
        total[present] = self._by_checkpoint(weight)
        pull[present] = self._by_checkpoint(weight * residual)
        shrink = kappa**2 / (1 + kappa**2 * total)
        drawn = shrink * pull + np.sqrt(shrink) * rng.standard_normal(shrink.shape)
        return np.asarray(drawn.T)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cells:
    """Rows of one checkpoint and level, as stretches of the rows sorted by both."""

    order: Ints
    starts: Ints
    level: Ints
    """Level of each cell."""
    place: Ints
    """Rank of each cell's checkpoint among those that have rows."""

    @classmethod
    def of(cls, checkpoint: Ints, level: Ints) -> _Cells:
        order = np.lexsort((level, checkpoint))
        _, place = np.unique(checkpoint, return_inverse=True)
        sorted_place, sorted_level = place[order], level[order]
        new = np.diff(sorted_place, prepend=-1) | np.diff(sorted_level, prepend=-1)
        starts = np.flatnonzero(new)
        return cls(
            order=order, starts=starts, level=sorted_level[starts], place=sorted_place[starts]
        )


def _dot(left: Floats, right: Floats) -> Floats:
    """Sum over checkpoints of the product, shape (N,)."""
    return np.asarray(np.einsum("cn,cn->n", left, right))


def _sum_of_logs(values: Floats) -> Floats:
    """Sum of ln over the rows, (N,), from products of a few rows: logarithms are slow."""
    whole = values.shape[0] // FACTORS * FACTORS
    products = values[:whole].reshape(-1, FACTORS, values.shape[1]).prod(axis=1)
    rest = values[whole:].prod(axis=0)
    return np.asarray(np.log(products).sum(axis=0) + np.log(rest))


def _cholesky(matrices: Floats) -> Floats:
    """Lower Cholesky factors, (N, p, p); what rounding made indefinite gets a larger diagonal."""
    try:
        return np.asarray(np.linalg.cholesky(matrices))
    except np.linalg.LinAlgError:
        lifted = matrices.copy()
        diagonal = np.arange(matrices.shape[1])
        lifted[:, diagonal, diagonal] *= 1 + 1e-9
        return np.asarray(np.linalg.cholesky(lifted))


def _forward(factor: Floats, right: Floats) -> Floats:
    """Solve L x = b for lower triangular L, for all vectors at once."""
    solved = np.empty_like(right)
    for i in range(right.shape[1]):
        done = np.einsum("nj,nj->n", factor[:, i, :i], solved[:, :i])
        solved[:, i] = (right[:, i] - done) / factor[:, i, i]
    return solved


def _backward(factor: Floats, right: Floats) -> Floats:
    """Solve L^T x = b for lower triangular L, for all vectors at once."""
    solved = np.empty_like(right)
    for i in reversed(range(right.shape[1])):
        done = np.einsum("nj,nj->n", factor[:, i + 1 :, i], solved[:, i + 1 :])
        solved[:, i] = (right[:, i] - done) / factor[:, i, i]
    return solved
