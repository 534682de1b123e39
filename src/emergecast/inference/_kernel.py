"""The likelihood of scores as loops over rows, compiled: what `_likelihood.py` calls.

Importing this file imports numba. Every function takes one vector at a time through all rows, so
that what belongs to a vector stays in the cache of the processor; N counts vectors, n rows. What is
computed stands in `_likelihood.py`, the arrays in `_likelihood_rows.py`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from emergecast.emergence_law import STUDENT_FREEDOM
from emergecast.inference._compiled import compiled, part

if TYPE_CHECKING:
    from emergecast.inference._data import Floats, Ints
    from emergecast.inference._likelihood_rows import LikelihoodRows, Linear, RowsUnder, Terms

FACTORS = 16
"""Numbers of which the logarithm of the product is taken: logarithms are slow."""
SMALLEST, LARGEST = 1e-280, 1e280
"""A product outside these may have lost digits."""
TINY = 1e-12
"""As in `emergence_law.rise`: a smaller width or rate is none."""
FARTHEST = 40.0
"""exp(-x) beyond it is lost in the rounding of what it is added to."""
SMALL = 3e-3
"""Below it, five terms of the power series of 1 - exp(-x) are exact to rounding."""
ROOT_TWO, HALF_LN_TWO = math.sqrt(2.0), 0.5 * math.log(2.0)
LIFT = 1 + 1e-9
"""Factor for the diagonal of a matrix that rounding made indefinite."""


@part
def _ln_product(values: Floats) -> float:
    """Sum of ln over the values."""
    total, whole = 0.0, values.size // FACTORS * FACTORS
    for start in range(0, values.size, FACTORS):
        if start < whole:
            # four products at a time, which the processor takes as one
            a, b, c, d = values[start], values[start + 1], values[start + 2], values[start + 3]
            for r in range(start + 4, start + FACTORS, 4):
                a *= values[r]
                b *= values[r + 1]
                c *= values[r + 2]
                d *= values[r + 3]
            product = (a * b) * (c * d)
        else:
            product = 1.0
            for r in range(whole, values.size):
                product *= values[r]
        if SMALLEST < product < LARGEST:
            total += math.log(product)
        else:
            for r in range(start, min(start + FACTORS, values.size)):
                total += math.log(values[r])
    return total


@part
def _exp_minus(x: float) -> float:
    """exp(-x) for x >= 0 to 1e-14 of it: a power series of x / 64, squared six times.

    Arithmetic alone and without loops, so that loops around it do several numbers at a time.
    """
    y = min(x, FARTHEST) * (1 / 64)
    high = 1 - y * (1 / 11) * (1 - y * (1 / 12) * (1 - y * (1 / 13) * (1 - y * (1 / 14))))
    high = 1 - y * (1 / 8) * (1 - y * (1 / 9) * (1 - y * (1 / 10) * high))
    high = 1 - y * (1 / 5) * (1 - y * (1 / 6) * (1 - y * (1 / 7) * high))
    power = 1 - y * (1 - y * (1 / 2) * (1 - y * (1 / 3) * (1 - y * (1 / 4) * high)))
    power *= power
    power *= power
    power *= power
    power *= power
    power *= power
    return power * power


@part
def _ln_up_to_two(x: float) -> float:
    """ln(x) for 1 <= x <= 2, to 1e-16: ln(2) / 2 and the power series of 2 artanh."""
    share = (x - ROOT_TWO) / (x + ROOT_TWO)
    y = share * share
    high = 1 / 13 + y * (1 / 15 + y * (1 / 17 + y * (1 / 19 + y * (1 / 21 + y * (1 / 23)))))
    series = 1.0 + y * (1 / 3 + y * (1 / 5 + y * (1 / 7 + y * (1 / 9 + y * (1 / 11 + y * high)))))
    return HALF_LN_TWO + 2.0 * share * series


@part
def _rise(rows: LikelihoodRows, under: RowsUnder, v: int, risen: Floats) -> None:
    """Fill in P of every cell under one vector, shape (M,): `emergence_law.rise`."""
    elbows, levels, losses = under.elbows[v], rows.cell_level, rows.cell_loss
    width, rate = under.width[v], under.ceiling_rate[v]
    for m in range(risen.size):
        risen[m] = elbows[levels[m]] - losses[m]
    if width > TINY:
        for m in range(risen.size):
            tail = _ln_up_to_two(1.0 + _exp_minus(abs(risen[m]) / width))
            risen[m] = max(risen[m], 0.0) + width * tail
    else:
        for m in range(risen.size):
            risen[m] = max(risen[m], 0.0)
    if rate > TINY:
        for m in range(risen.size):
            lost = rate * risen[m]
            series = 1 - lost * (1 / 3) * (1 - lost * (1 / 4) * (1 - lost * (1 / 5)))
            series = 1 - lost * (1 / 2) * series
            whole = (1.0 - _exp_minus(lost)) / rate
            risen[m] = risen[m] * series if lost < SMALL else whole


class Work(NamedTuple):
    """Room for one vector."""

    variance: Floats
    """Of every row's own noise, shape (n,)."""
    weight: Floats
    """One over it."""
    risen: Floats
    """P of every cell, shape (M,)."""
    inflated: Floats
    """By how much its deviation widens a checkpoint, shape (C,)."""
    by_level: Floats
    """Sums of w, w y, w P, w P^2 and w y P over the rows of each level, shape (5, J + 1)."""
    gram: Floats
    """Precision of the unknowns, lower triangle, shape (p, p)."""
    right: Floats
    """Right-hand side, shape (p,)."""
    place: Ints
    """Unknowns that a checkpoint has a part in, shape (p,)."""
    seen: Floats
    """What it says of them, shape (p,)."""


@part
def _weigh(rows: LikelihoodRows, noise: float, work: Work) -> float:
    """Weights of the rows; misfit of their scores to 0, and ln of the weights, as ln density."""
    variance, weight, score, n = work.variance, work.weight, rows.score, rows.score.size
    sampling, per_run = rows.sampling, rows.per_run
    for r in range(n):
        variance[r] = sampling[r] + noise * per_run[r]
        weight[r] = 1.0 / variance[r]
    a = b = c = d = 0.0  # four sums at a time
    for r in range(0, n - 3, 4):
        a += weight[r] * score[r] * score[r]
        b += weight[r + 1] * score[r + 1] * score[r + 1]
        c += weight[r + 2] * score[r + 2] * score[r + 2]
        d += weight[r + 3] * score[r + 3] * score[r + 3]
    for r in range(n // 4 * 4, n):
        a += weight[r] * score[r] * score[r]
    return -0.5 * ((a + b) + (c + d) + _ln_product(variance))


@part
def _add_checkpoints(rows: LikelihoodRows, under: RowsUnder, v: int, work: Work) -> float:  # noqa: C901
    """Sum by level, add what series know, integrate deviations out; ln density.

    One long loop over names of its own: passing arrays on, or looking them up in a tuple, would
    cost more than the sums.
    """
    weight, seen, place, by_level = work.weight, work.seen, work.place, work.by_level
    gram, right, inflated = work.gram, work.right, work.inflated
    scores, levels, risen = rows.score, rows.cell_level, work.risen
    cell_start, checkpoint_start, series = rows.cell_start, rows.checkpoint_start, rows.series
    has_few, has_series, own_slopes = rows.few_shot, rows.n_series > 0, rows.own_slopes
    deviation = under.deviation[v]
    base, last_unknown = rows.n_series + has_few, right.size - 1
    known = 1 + has_few + has_series
    gain = 0.0
    for c in range(checkpoint_start.size - 1):
        total = score = few = 0.0
        count, before = known, -1
        for m in range(checkpoint_start[c], checkpoint_start[c + 1]):
            first, level = cell_start[m], levels[m]
            in_cell = weight[first]
            score_in_cell = weight[first] * scores[first]
            for r in range(first + 1, cell_start[m + 1]):
                in_cell += weight[r]
                score_in_cell += weight[r] * scores[r]
            total += in_cell
            score += score_in_cell
            if level == 0:
                few += in_cell
            by_level[0, level] += in_cell
            by_level[1, level] += score_in_cell
            past = risen[m]
            if past > 0.0:
                pull = in_cell * past
                by_level[2, level] += pull
                by_level[3, level] += pull * past
                by_level[4, level] += score_in_cell * past
                unknown = base + 1 + level if own_slopes else last_unknown
                if unknown != before:
                    place[count], seen[count], before = unknown, 0.0, unknown
                    count += 1
                seen[count - 1] += pull
        place[known - 1], seen[known - 1] = base, total
        if has_few:
            place[known - 2], seen[known - 2] = base - 1, few
        if has_series:
            place[0], seen[0] = series[c], total
            right[series[c]] += score
            for i in range(count):
                gram[place[i], series[c]] += seen[i]
        inflated[c] = 1.0 + deviation * total
        if deviation > 0.0:
            shrink = deviation / inflated[c]
            gain += 0.5 * shrink * score * score
            for i in range(count):
                share = shrink * seen[i]
                right[place[i]] -= share * score
                for j in range(i + 1):
                    gram[place[i], place[j]] -= share * seen[j]
    return gain - 0.5 * _ln_product(inflated)


@part
def _add_levels(rows: LikelihoodRows, precision: Floats, work: Work) -> None:
    """Add what all rows say of Delta, B and the slopes, and the priors."""
    base, size = rows.n_series + rows.few_shot, work.right.size
    gram, right = work.gram, work.right
    for level in range(work.by_level.shape[1]):
        weight, score, pull, square, moment = work.by_level[:, level]
        at = base + 1 + level if rows.own_slopes else size - 1
        gram[base, base] += weight
        right[base] += score
        gram[at, base] += pull
        gram[at, at] += square
        right[at] += moment
        if level == 0 and rows.few_shot:
            gram[base - 1, base - 1] += weight
            gram[base, base - 1] += weight
            right[base - 1] += score
            gram[at, base - 1] += pull
    for i in range(size):
        gram[i, i] += precision[i]
    if rows.own_slopes:
        for i in range(base + 1, size - 1):
            gram[size - 1, i] = -precision[i]
            gram[size - 1, size - 1] += precision[i]


@part
def _cholesky(matrix: Floats, n_alone: int, factor: Floats) -> bool:
    """Lower Cholesky factor; whether there is one. The first unknowns know each other only by it.

    So the first `n_alone` rows hold nothing but their diagonal.
    """
    for i in range(matrix.shape[0]):
        for j in range(min(i, n_alone)):
            factor[i, j] = matrix[i, j] / factor[j, j]
        for j in range(n_alone, i):
            left = matrix[i, j]
            for k in range(j):
                left -= factor[i, k] * factor[j, k]
            factor[i, j] = left / factor[j, j]
        left = matrix[i, i]
        for k in range(0 if i >= n_alone else i, i):
            left -= factor[i, k] * factor[i, k]
        if not left > 0.0:
            return False
        factor[i, i] = math.sqrt(left)
    return True


@part
def _solve(n_alone: int, work: Work, factor: Floats, solved: Floats) -> float:
    """Factorise the system and solve its first half; ln density."""
    size = solved.size
    if not _cholesky(work.gram, n_alone, factor):
        for i in range(size):
            work.gram[i, i] *= LIFT
        if not _cholesky(work.gram, n_alone, factor):
            return np.nan
    square, ln_diagonal = 0.0, 0.0
    for i in range(size):
        left = work.right[i]
        for j in range(i):
            left -= factor[i, j] * solved[j]
        solved[i] = left / factor[i, i]
        square += solved[i] * solved[i]
        ln_diagonal += math.log(factor[i, i])
    return 0.5 * square - ln_diagonal


@part
def _residuals(
    rows: LikelihoodRows, linear: Linear, v: int, risen: Floats, residual: Floats
) -> None:
    """Fill in score minus mean of every row under one vector, shape (n,), given P of cells."""
    scores, levels, cell_start = rows.score, rows.cell_level, rows.cell_start
    slopes, offset = linear.slopes[v], linear.offset[v]
    for c in range(rows.checkpoint.size):
        own = linear.level[v] + linear.checkpoint[v, rows.checkpoint[c]]
        if rows.n_series:
            own += linear.series[v, rows.series[c]]
        for m in range(rows.checkpoint_start[c], rows.checkpoint_start[c + 1]):
            mean = own + slopes[levels[m]] * risen[m]
            if levels[m] == 0:
                mean += offset
            for r in range(cell_start[m], cell_start[m + 1]):
                residual[r] = scores[r] - mean


@compiled
def marginal(rows: LikelihoodRows, under: RowsUnder, found: Terms) -> None:
    """Fill in the terms of every vector.

    Args:
        rows: what no vector changes.
        under: the vectors.
        found: terms to fill in; factors start as zeros.
    """
    size = found.solved.shape[1]
    work = Work(
        np.empty(rows.score.size),
        np.empty(rows.score.size),
        np.empty(rows.cell_level.size),
        np.empty(rows.series.size),
        np.empty((5, under.elbows.shape[1])),
        np.empty((size, size)),
        np.empty(size),
        np.empty(size, dtype=np.int64),
        np.empty(size),
    )
    for v in range(under.elbows.shape[0]):
        work.by_level[:] = 0.0
        work.gram[:] = 0.0
        work.right[:] = 0.0
        _rise(rows, under, v, work.risen)
        ln_density = _weigh(rows, under.noise[v], work)
        ln_density += _add_checkpoints(rows, under, v, work)
        _add_levels(rows, under.precision[v], work)
        ln_density += 0.5 * _ln_product(under.precision[v])
        factor = found.factor[v % found.factor.shape[0]]
        found.ln_density[v] = ln_density + _solve(rows.n_series, work, factor, found.solved[v])


@compiled
def student(rows: LikelihoodRows, under: RowsUnder, linear: Linear, found: Floats) -> None:
    """Fill in the log density of Student-t scores without its constants, shape (N,).

    Args:
        rows: what no vector changes.
        under: the vectors; `deviation` and `precision` count for nothing.
        linear: what enters linearly, given too.
        found: to fill in.
    """
    spread, far = np.empty(rows.score.size), np.empty(rows.score.size)
    risen = np.empty(rows.cell_level.size)
    for v in range(under.elbows.shape[0]):
        _rise(rows, under, v, risen)
        _residuals(rows, linear, v, risen, far)
        for r in range(rows.score.size):
            spread[r] = rows.sampling[r] + under.noise[v] * rows.per_run[r]
            far[r] = 1.0 + far[r] * far[r] / (STUDENT_FREEDOM * spread[r])
        half = 0.5 * (STUDENT_FREEDOM + 1.0)
        found[v] = -0.5 * _ln_product(spread) - half * _ln_product(far)


@compiled
def by_checkpoint(
    rows: LikelihoodRows, under: RowsUnder, linear: Linear, total: Floats, pull: Floats
) -> None:
    """Add the weights of the rows of each checkpoint, and their weighted residuals.

    Args:
        rows: what no vector changes.
        under: the vectors.
        linear: what enters linearly, the deviations of checkpoints perhaps still 0.
        total: zeros to add weights to, shape (N, checkpoints).
        pull: zeros to add weighted residuals to, shape (N, checkpoints).
    """
    residual, risen = np.empty(rows.score.size), np.empty(rows.cell_level.size)
    for v in range(under.elbows.shape[0]):
        _rise(rows, under, v, risen)
        _residuals(rows, linear, v, risen, residual)
        for c in range(rows.checkpoint.size):
            at = rows.checkpoint[c]
            first, last = rows.checkpoint_start[c], rows.checkpoint_start[c + 1]
            for r in range(rows.cell_start[first], rows.cell_start[last]):
                weight = 1.0 / (rows.sampling[r] + under.noise[v] * rows.per_run[r])
                total[v, at] += weight
                pull[v, at] += weight * residual[r]
