"""The likelihood of scores, given elbows and noise: arrays in, arrays out.

Given elbows and scales a row is

    y = X b + (A + delta_level) P + u_checkpoint + noise

where P is how far its score has risen past the elbow (per unit of slope). b, delta, u and A have
normal priors (A cut at 0), so all of them are integrated out in closed form. The deviations u are
independent between checkpoints, so a division per checkpoint removes them; what is left is a small
linear system per vector, with A as its last unknown, so that the Cholesky factor holds A's marginal
mean and variance in its last row. With a slope per level the unknowns are A + delta_j, which the
data know, rather than delta_j, which would cancel against A.

Nothing here knows a law, a table or the name of a prior. N counts vectors, n rows, p unknowns. Work
arrays are (n, N), so that what belongs to one row lies together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import gammaln, log_ndtr, ndtri_exp

from emergecast.emergence_law import STUDENT_FREEDOM

if TYPE_CHECKING:
    from emergecast.inference._data import Floats, Ints

ROOT_TWO_PI = 0.5 * math.log(2 * math.pi)
LN_STUDENT = float(
    gammaln(0.5 * (STUDENT_FREEDOM + 1))
    - gammaln(0.5 * STUDENT_FREEDOM)
    - 0.5 * math.log(STUDENT_FREEDOM * math.pi)
)
"""Log density of a standard Student-t at 0."""
FACTORS = 16
"""Variances whose product is far from underflow (they are at least 2e-7)."""
LARGEST_FACTOR = 1e15
"""Largest variance whose product of so many is far from overflow."""

# -------------------------------------------------------------------------- rows, one at a time


def ln_normal(residual: Floats, variance: Floats) -> Floats:
    """Log density of normal residuals, any shape."""
    return np.asarray(-0.5 * residual**2 / variance - 0.5 * np.log(variance) - ROOT_TWO_PI)


def ln_student(residual: Floats, variance: Floats) -> Floats:
    """Log density of Student-t residuals of squared scale `variance`, any shape."""
    far = np.log1p(residual**2 / (STUDENT_FREEDOM * variance))
    return np.asarray(LN_STUDENT - 0.5 * np.log(variance) - 0.5 * (STUDENT_FREEDOM + 1) * far)


def ln_checkpoints(residual: Floats, variance: Floats, *, member: Floats, kappa: Floats) -> Floats:
    """Log density of the rows of each checkpoint, the deviation they share integrated out, (N, C).

    Args:
        residual: score minus what is expected without the deviation, shape (N, n).
        variance: of each row's own noise, shape (N, n).
        member: 1 where a row belongs to a checkpoint, else 0, shape (n, C).
        kappa: standard deviation of the deviations, shape (N,).
    """
    spread = kappa[:, None] ** 2
    inflated = 1 + spread * ((1 / variance) @ member)
    pull = (residual / variance) @ member
    alone = ln_normal(residual, variance) @ member
    return np.asarray(alone - 0.5 * np.log(inflated) + 0.5 * spread * pull**2 / inflated)


# ---------------------------------------------------------- all rows, what is linear integrated out


@dataclass(frozen=True, slots=True, kw_only=True)
class LikelihoodRows:
    """What no vector changes; rows of one checkpoint lie together where checkpoints deviate."""

    score: Floats
    """y, shape (n,)."""
    fixed: Floats
    """X, the columns whose coefficients no level changes, shape (n, F)."""
    levels: Floats
    """1 where a row belongs to a level, else 0, shape (n, J + 1)."""
    own_slopes: bool
    """Whether every level has a slope of its own."""
    starts: Ints
    """First row of each checkpoint that has rows."""
    pairs: Floats
    """Products of any two of the columns X and y, shape (n, (F + 1)^2)."""
    by_cell: tuple[Ints, Ints, Ints, Ints]
    """Rows sorted by checkpoint and level, where each such cell starts in that order, its level,
    and the place of its checkpoint in `starts`."""

    @classmethod
    def of(
        cls,
        score: Floats,
        level: Ints,
        *,
        checkpoint: Ints,
        fixed: Floats,
        n_levels: int,
        slopes: bool,
    ) -> LikelihoodRows:
        """Prepare rows from score, level and checkpoint of each and X; `slopes`: one per level."""
        known = np.column_stack([fixed, score])
        order = np.lexsort((level, checkpoint))
        _, place = np.unique(checkpoint, return_inverse=True)
        place, sorted_level = place[order], level[order]
        cells = np.flatnonzero(np.diff(place, prepend=-1) | np.diff(sorted_level, prepend=-1))
        return cls(
            score=score,
            fixed=fixed,
            levels=np.eye(n_levels)[level],
            own_slopes=slopes,
            starts=np.flatnonzero(np.diff(checkpoint, prepend=-1)),
            pairs=np.einsum("ij,ik->ijk", known, known).reshape(score.size, -1),
            by_cell=(order, cells, sorted_level[cells], place[cells]),
        )

    @property
    def unknowns(self) -> int:
        """How many are integrated out: b, a slope per level if they differ, and A."""
        return int(self.fixed.shape[1] + self.own_slopes * self.levels.shape[1] + 1)

    def by_checkpoint(self, values: Floats) -> Floats:
        """Sums over the rows of each checkpoint that has rows, (n, N) to (present, N)."""
        return np.asarray(np.add.reduceat(values, self.starts, axis=0))


class Conditional(NamedTuple):
    """The likelihood, and the conditional law of the unknowns (b, A + delta, A), per vector."""

    ln_likelihood: Floats
    """Shape (N,)."""
    factor: Floats
    """Lower Cholesky factor of the precision of the unknowns, shape (N, p, p)."""
    solved: Floats
    """factor^-1 right-hand side, shape (N, p)."""


def conditional(
    rows: LikelihoodRows,
    past: Floats,
    *,
    variance: Floats,
    precision: Floats,
    kappa: Floats | None = None,
) -> Conditional:
    """Log p(scores | vector), with what enters linearly integrated out.

    Args:
        rows: what no vector changes.
        past: P, shape (n, N).
        variance: of each row's own noise, shape (n, N).
        precision: of the priors of the unknowns, shape (p,) or (N, p); those of delta stand where
            A + delta does.
        kappa: standard deviation of the deviations of checkpoints, shape (N,); None: none deviate.
    """
    n, fixed, size = past.shape[1], rows.fixed.shape[1], rows.unknowns
    weight = 1 / variance
    weighted = weight * past
    gram, right, misfit = _sums(rows, past, weight=weight, weighted=weighted)
    ln_constant = -0.5 * _sum_of_logs(variance) - rows.score.size * ROOT_TWO_PI
    if kappa is not None:
        removed = _remove_checkpoints(
            rows, (gram, right), weight=weight, weighted=weighted, kappa=kappa
        )
        misfit, ln_constant = misfit - removed[0], ln_constant + removed[1]
    precision = np.broadcast_to(precision, (n, size))
    gram[:, np.arange(size), np.arange(size)] += precision
    if rows.own_slopes:
        pull = precision[:, fixed]
        gram[:, -1, fixed:-1] = -pull[:, None]
        gram[:, -1, -1] += (size - 1 - fixed) * pull
    factor = _cholesky(gram)
    solved = _forward(factor, right)
    return Conditional(
        ln_constant
        - 0.5 * misfit
        + 0.5 * np.sum(np.log(precision), axis=1)
        - np.sum(np.log(np.diagonal(factor, axis1=1, axis2=2)), axis=1)
        + 0.5 * np.sum(solved**2, axis=1)
        + math.log(2.0)
        + log_ndtr(solved[:, -1]),  # A's marginal mean over its standard deviation
        factor,
        solved,
    )


def draw_unknowns(found: Conditional, uniform: Floats, normal: Floats) -> Floats:
    """One draw of (b, A + delta, A) for each vector, shape (N, p).

    Args:
        found: the conditional law of each vector.
        uniform: draws that place A, in (0, 1], shape (N,).
        normal: standard normal draws that place the others, shape (N, p - 1).
    """
    mean = found.solved[:, -1]
    above = mean - ndtri_exp(np.log(uniform) + log_ndtr(mean))  # normal about mean, cut at 0
    noise = np.column_stack([found.solved[:, :-1] + normal, np.maximum(above, 0.0)])
    return _backward(found.factor, noise)


def _sums(
    rows: LikelihoodRows, past: Floats, *, weight: Floats, weighted: Floats
) -> tuple[Floats, Floats, Floats]:
    """Weighted sums over rows of products of the columns of the unknowns, and of these with y.

    The lower triangle of the first counts, (N, p, p); then (N, p), and the sum of y^2, (N,).
    """
    n, fixed, size = past.shape[1], rows.fixed.shape[1], rows.unknowns
    gram, right = np.zeros((n, size, size)), np.zeros((n, size))
    pairs = (rows.pairs.T @ weight).T.reshape(n, fixed + 1, fixed + 1)
    gram[:, :fixed, :fixed] = pairs[:, :fixed, :fixed]
    right[:, :fixed] = pairs[:, :fixed, -1]
    if rows.own_slopes:
        inner = np.arange(fixed, size - 1)
        gram[:, inner, inner] = (rows.levels.T @ (weighted * past)).T
        for column in range(fixed):
            by_level = rows.levels * rows.fixed[:, [column]]
            gram[:, inner, column] = (by_level.T @ weighted).T
        right[:, inner] = ((rows.levels * rows.score[:, None]).T @ weighted).T
    else:
        gram[:, -1, :fixed] = (rows.fixed.T @ weighted).T
        right[:, -1] = rows.score @ weighted
        gram[:, -1, -1] = np.einsum("rn,rn->n", weighted, past)
    return gram, right, pairs[:, -1, -1]


def _remove_checkpoints(
    rows: LikelihoodRows,
    system: tuple[Floats, Floats],
    *,
    weight: Floats,
    weighted: Floats,
    kappa: Floats,
) -> tuple[Floats, Floats]:
    """Integrate u out: subtract what each checkpoint's rows say about it together.

    Changes the system in place; returns what the misfit loses and what ln p gains.
    """
    gram, right = system
    total = rows.by_checkpoint(weight)
    variance = kappa**2
    root = np.sqrt(variance / (1 + variance * total))
    columns = [
        total if np.all(column == 1.0) else rows.by_checkpoint(weight * column[:, None])
        for column in rows.fixed.T
    ]
    if rows.own_slopes:
        order, starts, level, place = rows.by_cell
        by_level = np.zeros((rows.levels.shape[1], *total.shape))
        by_level[level, place] = np.add.reduceat(weighted[order], starts, axis=0)
        columns += [*by_level]
    else:
        columns.append(rows.by_checkpoint(weighted))
    unknowns = [column * root for column in columns]
    score = rows.by_checkpoint(weight * rows.score[:, None]) * root
    for i, row in enumerate(unknowns):
        right[:, i] -= _dot(row, score)
        for j in range(i + 1):
            gram[:, i, j] -= _dot(row, unknowns[j])
    return _dot(score, score), -0.5 * np.sum(np.log1p(variance * total), axis=0)


def _dot(left: Floats, right: Floats) -> Floats:
    """Sum over checkpoints of the product, shape (N,)."""
    return np.asarray(np.einsum("cn,cn->n", left, right))


def _sum_of_logs(values: Floats) -> Floats:
    """Sum of ln over the rows, (N,), from products of a few rows: logarithms are slow."""
    if values.max(initial=0.0) > LARGEST_FACTOR:
        return np.asarray(np.log(values).sum(axis=0))
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
