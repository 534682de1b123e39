"""The likelihood of scores, given elbows and noise: arrays in, arrays out.

Given elbows and scales a row is

    y = B (+ Delta) + v_series + (A + delta_level) P + u_checkpoint + noise

where P is how far its score has risen past the elbow (per unit of slope). All but P and noise have
normal priors (A cut at 0), so all of them are integrated out in closed form. The deviations u are
independent between checkpoints, so a division per checkpoint removes them; what is left is a small
linear system per vector, with A as its last unknown, so that the Cholesky factor holds A's marginal
mean and variance in its last row. With a slope per level the unknowns are A + delta_j, which the
data know, rather than delta_j, which would cancel against A.

Nothing here knows a law or the name of a prior. N counts vectors, n rows, p unknowns. The loops
over rows are compiled (`_kernel.py`, `_kernel_given.py`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from scipy.special import gammaln, log_ndtr, ndtri_exp

from emergecast.emergence_law import STUDENT_FREEDOM
from emergecast.inference._likelihood_rows import Linear, RowsUnder, Terms

if TYPE_CHECKING:
    from emergecast.inference._data import Floats, Ints
    from emergecast.inference._likelihood_rows import LikelihoodRows

ROOT_TWO_PI = 0.5 * math.log(2 * math.pi)
LN_STUDENT = float(
    gammaln(0.5 * (STUDENT_FREEDOM + 1))
    - gammaln(0.5 * STUDENT_FREEDOM)
    - 0.5 * math.log(STUDENT_FREEDOM * math.pi)
)
"""Log density of a standard Student-t at 0."""
T = TypeVar("T", RowsUnder, Linear)

# -------------------------------------------------------------------------- rows, one at a time


def ln_normal(residual: Floats, variance: Floats) -> Floats:
    """Log density of normal residuals, any shape."""
    return np.asarray(-0.5 * residual**2 / variance - 0.5 * np.log(variance) - ROOT_TWO_PI)


def ln_student(residual: Floats, variance: Floats) -> Floats:
    """Log density of Student-t residuals of squared scale `variance`, any shape."""
    far = np.log1p(residual**2 / (STUDENT_FREEDOM * variance))
    return np.asarray(LN_STUDENT - 0.5 * np.log(variance) - 0.5 * (STUDENT_FREEDOM + 1) * far)


def ln_checkpoints(
    residual: Floats, variance: Floats, *, checkpoint: Ints, kappa: Floats, n: int
) -> Floats:
    """Log density of the rows of each checkpoint, the deviation they share integrated out.

    Args:
        residual: score minus what is expected without the deviation, shape (N, rows).
        variance: of each row's own noise, shape (N, rows).
        checkpoint: of each row, shape (rows,).
        kappa: standard deviation of the deviations, shape (N,).
        n: how many checkpoints there are.

    Returns:
        Array of shape (N, n), 0 for a checkpoint without rows.
    """
    spread = kappa[:, None] ** 2
    inflated = 1 + spread * by_checkpoint(1 / variance, checkpoint, n)
    pull = by_checkpoint(residual / variance, checkpoint, n)
    alone = by_checkpoint(ln_normal(residual, variance), checkpoint, n)
    return np.asarray(alone - 0.5 * np.log(inflated) + 0.5 * spread * pull**2 / inflated)


def by_checkpoint(values: Floats, checkpoint: Ints, n: int) -> Floats:
    """Sums over the rows of each of n checkpoints, (N, rows) to (N, n)."""
    order = np.argsort(checkpoint, kind="stable")
    present, starts = np.unique(checkpoint[order], return_index=True)
    found = np.zeros((values.shape[0], n))
    if present.size:
        found[:, present] = np.add.reduceat(values[:, order], starts, axis=1)
    return found


# ---------------------------------------------------------- all rows, what is linear integrated out


class Conditional(NamedTuple):
    """The likelihood, and the law of the unknowns (v, Delta, B, A + delta, A), of each vector."""

    ln_likelihood: Floats
    """Shape (N,)."""
    factor: Floats
    """Lower Cholesky factor of the precision of the unknowns, shape (N, p, p)."""
    solved: Floats
    """factor^-1 right-hand side, shape (N, p)."""


def conditional(rows: LikelihoodRows, under: RowsUnder) -> Conditional:
    """Log p(scores | vector), with what enters linearly integrated out.

    Raises:
        LinAlgError: rounding left a vector without a conditional law.
    """
    return _conditional(rows, under, factors=under.noise.size)


def ln_likelihood(rows: LikelihoodRows, under: RowsUnder) -> Floats:
    """The first of it alone, shape (N,): keeps no factors."""
    return _conditional(rows, under, factors=1).ln_likelihood


def _conditional(rows: LikelihoodRows, under: RowsUnder, *, factors: int) -> Conditional:
    from emergecast.inference import _kernel

    n, size = under.precision.shape
    found = Terms(np.empty(n), np.zeros((factors, size, size)), np.empty((n, size)))
    _kernel.marginal(rows, _contiguous(under), found)
    if np.isnan(found.ln_density).any():
        raise np.linalg.LinAlgError("the precision of what enters linearly is not positive.")
    # A's marginal mean over its standard deviation
    tail = math.log(2.0) + log_ndtr(found.solved[:, -1])
    constant = rows.score.size * ROOT_TWO_PI
    return Conditional(found.ln_density + tail - constant, found.factor, found.solved)


def ln_student_rows(rows: LikelihoodRows, under: RowsUnder, linear: Linear) -> Floats:
    """Log p(scores | vector) of Student-t scores, everything linear given, shape (N,)."""
    from emergecast.inference import _kernel_given

    found = np.empty(under.noise.size)
    _kernel_given.student(rows, _contiguous(under), _contiguous(linear), found)
    return np.asarray(found + rows.score.size * LN_STUDENT)


def draw_deviations(
    rows: LikelihoodRows, under: RowsUnder, linear: Linear, normal: Floats
) -> Floats:
    """One draw of u for each vector, (N, checkpoints): from its prior where there are no rows.

    Args:
        rows: what no vector changes.
        under: the vectors.
        linear: what else enters linearly; its own deviations are 0.
        normal: standard normal draws that place them, shape (N, checkpoints).
    """
    from emergecast.inference import _kernel_given

    total, pull = np.zeros((2, *normal.shape))
    _kernel_given.by_checkpoint(rows, _contiguous(under), _contiguous(linear), total, pull)
    shrink = under.deviation[:, None] / (1 + under.deviation[:, None] * total)
    return np.asarray(shrink * pull + np.sqrt(shrink) * normal)


def _contiguous(arrays: T) -> T:
    """The same tuple; compiled code is made for arrays that lie in one piece."""
    return type(arrays)(*map(np.ascontiguousarray, arrays))


def draw_unknowns(found: Conditional, uniform: Floats, normal: Floats) -> Floats:
    """One draw of (v, Delta, B, A + delta, A) for each vector, shape (N, p).

    Args:
        found: the conditional law of each vector.
        uniform: draws that place A, in (0, 1], shape (N,).
        normal: standard normal draws that place the others, shape (N, p - 1).
    """
    mean = found.solved[:, -1]
    above = mean - ndtri_exp(np.log(uniform) + log_ndtr(mean))  # normal about mean, cut at 0
    noise = np.column_stack([found.solved[:, :-1] + normal, np.maximum(above, 0.0)])
    return _backward(found.factor, noise)


def _backward(factor: Floats, right: Floats) -> Floats:
    """Solve L^T x = b for lower triangular L, for all vectors at once."""
    solved = np.empty_like(right)
    for i in reversed(range(right.shape[1])):
        done = np.einsum("nj,nj->n", factor[:, i + 1 :, i], solved[:, i + 1 :])
        solved[:, i] = (right[:, i] - done) / factor[:, i, i]
    return solved
