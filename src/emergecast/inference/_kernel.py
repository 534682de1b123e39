"""The likelihood of scores as loops over rows, compiled: what `_likelihood.py` calls.

Importing this file imports numba. Every function takes one vector at a time through all rows, so
that what belongs to a vector stays in the cache of the processor; N counts vectors, n rows. What is
computed stands in `_likelihood.py`, the arrays in `_rows.py`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numba
import numpy as np

from emergecast.emergence_law import STUDENT_FREEDOM
from emergecast.inference._compiled import OPTIONS, compiled

if TYPE_CHECKING:
    from emergecast.inference._data import Floats
    from emergecast.inference._rows import LikelihoodRows, Linear, RowsUnder, Terms

FACTORS = 16
"""Numbers of which the logarithm of the product is taken: logarithms are slow."""
SMALLEST, LARGEST = 1e-280, 1e280
"""A product outside these may have lost digits."""
TINY = 1e-12
"""As in `emergence_law.rise`: a smaller width or rate is none."""
NEGLIGIBLE = 40.0
"""So many widths from an elbow, its rounding is lost in that of the sum."""
SERIES = 1e-5
"""Below it, three terms of a power series are as good as the function, and faster."""
LIFT = 1 + 1e-9
"""Factor for the diagonal of a matrix that rounding made indefinite."""

part = numba.njit(**OPTIONS)
"""For what the functions below consist of; it becomes part of their code."""


@part
def _ln_product(values: Floats) -> float:
    """Sum of ln over the values."""
    total = 0.0
    for start in range(0, values.size, FACTORS):
        stop = min(start + FACTORS, values.size)
        product = 1.0
        for r in range(start, stop):
            product *= values[r]
        if SMALLEST < product < LARGEST:
            total += math.log(product)
        else:
            for r in range(start, stop):
                total += math.log(values[r])
    return total


@part
def _risen(past: float, width: float, rate: float) -> float:
    """P: `emergence_law.rise` for one number."""
    risen = max(past, 0.0)
    if width > TINY and abs(past) < NEGLIGIBLE * width:
        tail = math.exp(-abs(past) / width)
        if tail > SERIES:
            risen += width * math.log1p(tail)
        else:
            risen += width * tail * (1.0 - tail * (0.5 - tail / 3.0))
    if rate > TINY:
        lost = rate * risen
        if lost > SERIES:
            risen = -math.expm1(-lost) / rate
        else:
            risen *= 1.0 - lost * (0.5 - lost / 6.0)
    return risen


@part
def _cholesky(matrix: Floats, factor: Floats) -> bool:
    """Lower Cholesky factor; whether there is one."""
    size = matrix.shape[0]
    for i in range(size):
        for j in range(i + 1):
            left = matrix[i, j]
            for k in range(j):
                left -= factor[i, k] * factor[j, k]
            if i > j:
                factor[i, j] = left / factor[j, j]
            elif left > 0.0:
                factor[i, i] = math.sqrt(left)
            else:
                return False
    return True


@compiled
def marginal(rows: LikelihoodRows, under: RowsUnder, found: Terms) -> None:
    """Fill in the terms of every vector.

    Args:
        rows: what no vector changes.
        under: the vectors.
        found: terms to fill in; the factor starts as zeros.
    """
    n_levels, size = under.elbows.shape[1], found.solved.shape[1]
    first_series = rows.few_shot + 1
    first_level = first_series + rows.n_series
    variance, weight = np.empty(rows.score.size), np.empty(rows.score.size)
    gram, right = np.empty((size, size)), np.empty(size)
    of_level = np.empty((n_levels, 5))
    seen, place = np.empty(size), np.empty(size, dtype=np.int64)
    for v in range(under.elbows.shape[0]):
        misfit = 0.0
        for r in range(rows.score.size):
            variance[r] = rows.sampling[r] + under.noise[v] * rows.per_run[r]
            weight[r] = 1.0 / variance[r]
            misfit += weight[r] * rows.score[r] * rows.score[r]
        ln_density = -0.5 * _ln_product(variance)
        gram[:] = 0.0
        right[:] = 0.0
        of_level[:] = 0.0
        width, rate, deviation = under.width[v], under.ceiling_rate[v], under.deviation[v]
        for c in range(rows.checkpoint_start.size - 1):
            # what the rows of a checkpoint say together of the unknowns that it has a part in
            total = score = few = 0.0
            count = first_series + (rows.n_series > 0)
            last = -1
            for m in range(rows.checkpoint_start[c], rows.checkpoint_start[c + 1]):
                in_cell = score_in_cell = 0.0
                for r in range(rows.cell_start[m], rows.cell_start[m + 1]):
                    in_cell += weight[r]
                    score_in_cell += weight[r] * rows.score[r]
                level = rows.cell_level[m]
                total += in_cell
                score += score_in_cell
                if level == 0:
                    few += in_cell
                sums = of_level[level]
                sums[0] += in_cell
                sums[1] += score_in_cell
                past = _risen(under.elbows[v, level] - rows.cell_loss[m], width, rate)
                if past > 0.0:
                    pull = in_cell * past
                    sums[2] += pull
                    sums[3] += pull * past
                    sums[4] += score_in_cell * past
                    at = first_level + level if rows.own_slopes else size - 1
                    if at != last:
                        place[count], seen[count], last = at, 0.0, at
                        count += 1
                    seen[count - 1] += pull
            if rows.n_series:
                at = first_series + rows.series[c]
                place[first_series], seen[first_series] = at, total
                gram[at, at] += total
                right[at] += score
                gram[at, first_series - 1] += total
                if rows.few_shot:
                    gram[at, 0] += few
                for i in range(first_series + 1, count):
                    gram[place[i], at] += seen[i]
            if deviation > 0.0:
                if rows.few_shot:
                    place[0], seen[0] = 0, few
                place[first_series - 1], seen[first_series - 1] = first_series - 1, total
                inflated = 1.0 + deviation * total
                shrink = deviation / inflated
                ln_density -= 0.5 * math.log(inflated)
                misfit -= shrink * score * score
                for i in range(count):
                    share = shrink * seen[i]
                    right[place[i]] -= share * score
                    for j in range(i + 1):
                        gram[place[i], place[j]] -= share * seen[j]
        base = first_series - 1
        for level in range(n_levels):
            sums = of_level[level]
            at = first_level + level if rows.own_slopes else size - 1
            gram[base, base] += sums[0]
            right[base] += sums[1]
            gram[at, base] += sums[2]
            gram[at, at] += sums[3]
            right[at] += sums[4]
            if level == 0 and rows.few_shot:
                gram[0, 0] += sums[0]
                gram[base, 0] += sums[0]
                right[0] += sums[1]
                gram[at, 0] += sums[2]
        for i in range(size):
            gram[i, i] += under.precision[v, i]
            ln_density += 0.5 * math.log(under.precision[v, i])
        if rows.own_slopes:
            for i in range(first_level, size - 1):
                gram[size - 1, i] = -under.precision[v, i]
                gram[size - 1, size - 1] += under.precision[v, i]
        factor, solved = found.factor[v], found.solved[v]
        if not _cholesky(gram, factor):
            for i in range(size):
                gram[i, i] *= LIFT
            if not _cholesky(gram, factor):
                factor[:] = np.nan
        square = 0.0
        for i in range(size):
            left = right[i]
            for j in range(i):
                left -= factor[i, j] * solved[j]
            solved[i] = left / factor[i, i]
            square += solved[i] * solved[i]
            ln_density -= math.log(factor[i, i])
        found.ln_density[v] = ln_density + 0.5 * (square - misfit)


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
    for v in range(under.elbows.shape[0]):
        for c in range(rows.checkpoint_start.size - 1):
            own = linear.level[v] + linear.checkpoint[v, rows.checkpoint[c]]
            if rows.n_series:
                own += linear.series[v, rows.series[c]]
            for m in range(rows.checkpoint_start[c], rows.checkpoint_start[c + 1]):
                level = rows.cell_level[m]
                elbow = under.elbows[v, level]
                past = _risen(elbow - rows.cell_loss[m], under.width[v], under.ceiling_rate[v])
                mean = own + linear.slopes[v, level] * past
                if level == 0:
                    mean += linear.offset[v]
                for r in range(rows.cell_start[m], rows.cell_start[m + 1]):
                    far[r] = rows.score[r] - mean
        for r in range(rows.score.size):
            spread[r] = rows.sampling[r] + under.noise[v] * rows.per_run[r]
            far[r] = 1.0 + far[r] * far[r] / (STUDENT_FREEDOM * spread[r])
        half = 0.5 * (STUDENT_FREEDOM + 1.0)
        found[v] = -0.5 * _ln_product(spread) - half * _ln_product(far)
