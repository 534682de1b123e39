"""The likelihood of scores as loops over rows, compiled: what `_likelihood.py` calls.

Importing this file imports numba. Every function takes a block of vectors through all rows side by
side: the vectors are the last axis of all that it works on, and every inner loop goes along them,
so that the processor does several at a time, each in the same order whatever stands beside it. b
counts the vectors of a block, N all vectors, n rows. What is computed stands in `_likelihood.py`,
the arrays in `_likelihood_rows.py`.
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

BLOCK = 256
"""Vectors of a block: as many as the fastest memory of a processor holds the sums of."""
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

# ------------------------------------------------------------------------------- functions of one


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
    return max(HALF_LN_TWO + 2.0 * share * series, 0.0)


# --------------------------------------------------------------------------- functions of a block


class Block(NamedTuple):
    """A block of vectors, and room for what is made of them."""

    elbows: Floats
    """Shape (J + 1, b)."""
    noise: Floats
    """Shape (b,), as the next three: see `RowsUnder`."""
    width: Floats
    ceiling_rate: Floats
    deviation: Floats
    per_width: Floats
    """One over the width, or 1 without one; the same for the rate."""
    per_rate: Floats
    variance: Floats
    """Of the noise of each kind of rows, shape (K, b)."""
    weight: Floats
    """One over it."""
    ln_density: Floats
    """Shape (b,)."""
    risen: Floats
    """P of the cell in hand, shape (b,)."""
    spare: Floats
    """Sums of w and w y of the cell in hand, of w and w y of the checkpoint, and of w over its
    few-shot rows, shape (5, b)."""
    soft: bool
    """Whether the elbow of any is soft."""
    ceiling: bool
    """Whether any has a ceiling."""


@part
def _block(rows: LikelihoodRows, under: RowsUnder, first: int, count: int) -> Block:
    """The vectors from `first` on, and the weights that they give the rows."""
    n_kinds, n_levels = rows.sampling.size, under.elbows.shape[1]
    made = Block(
        np.empty((n_levels, count)),
        np.empty(count),
        np.empty(count),
        np.empty(count),
        np.empty(count),
        np.ones(count),
        np.ones(count),
        np.empty((n_kinds, count)),
        np.empty((n_kinds, count)),
        np.zeros(count),
        np.empty(count),
        np.empty((5, count)),
        bool(np.any(under.width[first : first + count] > TINY)),
        bool(np.any(under.ceiling_rate[first : first + count] > TINY)),
    )
    for b in range(count):
        made.noise[b] = under.noise[first + b]
        width, rate = under.width[first + b], under.ceiling_rate[first + b]
        made.width[b], made.per_width[b] = (width, 1.0 / width) if width > TINY else (0.0, 1.0)
        made.ceiling_rate[b], made.per_rate[b] = (rate, 1.0 / rate) if rate > TINY else (0.0, 1.0)
        made.deviation[b] = under.deviation[first + b]
        for j in range(n_levels):
            made.elbows[j, b] = under.elbows[first + b, j]
    variance, weight, noise = made.variance, made.weight, made.noise
    for k in range(n_kinds):
        sampling, per_run = rows.sampling[k], rows.per_run[k]
        for b in range(count):
            variance[k, b] = sampling + noise[b] * per_run
            weight[k, b] = 1.0 / variance[k, b]
    return made


@part
def _add_ln_product(values: Floats, counts: Ints, factor: float, total: Floats) -> None:
    """Add factor times the sum of counts[i] ln(values[i]) to the total, (m, b) to (b,)."""
    held, found, product = 0, np.zeros(total.size), np.ones(total.size)
    for i in range(counts.size):
        for _ in range(counts[i]):
            for b in range(total.size):
                product[b] *= values[i, b]
            held += 1
            if held == FACTORS:
                _take_ln(product, found)
                held = 0
    _take_ln(product, found)
    for b in range(total.size):
        if math.isnan(found[b]):  # a product of many that only logarithms can hold
            found[b] = 0.0
            for i in range(counts.size):
                found[b] += counts[i] * math.log(values[i, b])
        total[b] += factor * found[b]


@part
def _take_ln(product: Floats, found: Floats) -> None:
    """Add ln of the products, nan where digits may be lost, and begin others."""
    for b in range(found.size):
        inside = SMALLEST < product[b] < LARGEST
        found[b] += math.log(product[b]) if inside else math.nan
        product[b] = 1.0


@part
def _rise(rows: LikelihoodRows, block: Block, cell: int) -> bool:
    """Fill in P of a cell: `emergence_law.rise`; whether any is above 0."""
    elbows, width, rate, risen = block.elbows, block.width, block.ceiling_rate, block.risen
    per_width, per_rate = block.per_width, block.per_rate
    level, loss, above = rows.cell_level[cell], rows.cell_loss[cell], 0
    for b in range(risen.size):
        past = elbows[level, b] - loss
        risen[b] = past if block.soft else max(past, 0.0)
        above |= past > 0.0
    if block.soft:
        for b in range(risen.size):
            tail = width[b] * _ln_up_to_two(1.0 + _exp_minus(abs(risen[b]) * per_width[b]))
            risen[b] = max(risen[b], 0.0) + tail
            above |= tail > 0.0
    if block.ceiling:
        for b in range(risen.size):
            lost = rate[b] * risen[b]
            series = 1 - lost * (1 / 3) * (1 - lost * (1 / 4) * (1 - lost * (1 / 5)))
            series = risen[b] * (1 - lost * (1 / 2) * series)
            whole = (1.0 - _exp_minus(lost)) * per_rate[b]
            risen[b] = series if lost < SMALL else whole
    return above != 0


# -------------------------------------------------------------- what enters linearly integrated out


class System(NamedTuple):
    """The linear system of the unknowns of a block, of which there are p."""

    gram: Floats
    """Precision, lower triangle, shape (p, p, b)."""
    right: Floats
    """Right-hand side, shape (p, b)."""
    factor: Floats
    """Lower Cholesky factor, shape (p, p, b)."""
    solved: Floats
    """factor^-1 right-hand side, shape (p, b)."""
    by_level: Floats
    """Sums of w, w y, w P, w P^2 and w y P over the rows of each level, shape (5, J + 1, b)."""
    inflated: Floats
    """By how much its deviation widens a checkpoint, shape (C, b)."""
    place: Ints
    """Unknowns that the checkpoint in hand has a part in, shape (p,)."""
    seen: Floats
    """What it says of them, shape (p, b)."""


@part
def _sum_items(rows: LikelihoodRows, weight: Floats, cell: int, spare: Floats) -> None:
    """Fill in the sums of w and w y over the rows of a cell: the first two rows of spare."""
    first, stop = rows.cell_item[cell], rows.cell_item[cell + 1]
    for i in range(first, stop):
        kind, n, y = rows.item_kind[i], rows.item_count[i], rows.item_score[i]
        if i == first:
            for b in range(weight.shape[1]):
                spare[0, b] = n * weight[kind, b]
                spare[1, b] = y * weight[kind, b]
        else:
            for b in range(weight.shape[1]):
                spare[0, b] += n * weight[kind, b]
                spare[1, b] += y * weight[kind, b]


@part
def _add_checkpoints(  # noqa: C901, PLR0912  one loop over the rows, for speed
    rows: LikelihoodRows, block: Block, system: System
) -> None:
    """Sum by level, add what series know, and integrate deviations out.

    Loops over names of its own and no views of arrays: to count who holds a view, or to look an
    array up in a tuple, would cost more than the sums.
    """
    place, seen, by_level, gram, right = (
        system.place, system.seen, system.by_level, system.gram, system.right,
    )  # fmt: skip
    inflated, deviation, ln_density = system.inflated, block.deviation, block.ln_density
    risen, spare, weight = block.risen, block.spare, block.weight
    levels, series, starts = rows.cell_level, rows.series, rows.checkpoint_start
    has_few, has_series, own_slopes = rows.few_shot, rows.n_series > 0, rows.own_slopes
    width, base, last_unknown = risen.size, rows.n_series + has_few, right.shape[0] - 1
    known, deviates = 1 + has_few + has_series, bool(np.any(deviation > 0.0))
    for c in range(starts.size - 1):
        spare[2:] = 0.0
        count, before = known, -1
        for m in range(starts[c], starts[c + 1]):
            level = levels[m]
            _sum_items(rows, weight, m, spare)
            for b in range(width):
                spare[2, b] += spare[0, b]
                spare[3, b] += spare[1, b]
                by_level[0, level, b] += spare[0, b]
                by_level[1, level, b] += spare[1, b]
                spare[4, b] += spare[0, b] if level == 0 else 0.0
            if not _rise(rows, block, m):
                continue
            unknown = base + 1 + level if own_slopes else last_unknown
            if unknown != before:
                place[count], before = unknown, unknown
                for b in range(width):
                    seen[count, b] = 0.0
                count += 1
            for b in range(width):
                pull = spare[0, b] * risen[b]
                by_level[2, level, b] += pull
                by_level[3, level, b] += pull * risen[b]
                by_level[4, level, b] += spare[1, b] * risen[b]
                seen[count - 1, b] += pull
        place[known - 1] = base
        for b in range(width):
            seen[known - 1, b] = spare[2, b]
            inflated[c, b] = 1.0 + deviation[b] * spare[2, b]
        if has_few:
            place[known - 2] = base - 1
            for b in range(width):
                seen[known - 2, b] = spare[4, b]
        if has_series:
            at = place[0] = series[c]
            for b in range(width):
                seen[0, b] = spare[2, b]
                right[at, b] += spare[3, b]
            for i in range(count):
                for b in range(width):
                    gram[place[i], at, b] += seen[i, b]
        if deviates:
            for b in range(width):
                spare[0, b] = -deviation[b] / inflated[c, b]
                ln_density[b] -= 0.5 * spare[0, b] * spare[3, b] * spare[3, b]
            for i in range(count):
                at = place[i]
                for b in range(width):
                    spare[1, b] = spare[0, b] * seen[i, b]
                    right[at, b] += spare[1, b] * spare[3, b]
                for j in range(i + 1):
                    other = place[j]
                    for b in range(width):
                        gram[at, other, b] += spare[1, b] * seen[j, b]


@part
def _add_levels(
    rows: LikelihoodRows, under: RowsUnder, first: int, block: Block, system: System
) -> None:
    """Add what all rows say of Delta, B and the slopes, and the priors."""
    base, size = rows.n_series + rows.few_shot, system.right.shape[0]
    gram, right = system.gram, system.right
    by_level, width = system.by_level, block.noise.size
    for level in range(by_level.shape[1]):
        at = base + 1 + level if rows.own_slopes else size - 1
        for b in range(width):
            gram[base, base, b] += by_level[0, level, b]
            right[base, b] += by_level[1, level, b]
            gram[at, base, b] += by_level[2, level, b]
            gram[at, at, b] += by_level[3, level, b]
            right[at, b] += by_level[4, level, b]
        if level == 0 and rows.few_shot:
            for b in range(width):
                gram[base - 1, base - 1, b] += by_level[0, level, b]
                gram[base, base - 1, b] += by_level[0, level, b]
                right[base - 1, b] += by_level[1, level, b]
                gram[at, base - 1, b] += by_level[2, level, b]
    precision = np.empty((size, width))
    for i in range(size):
        for b in range(width):
            precision[i, b] = under.precision[first + b, i]
            gram[i, i, b] += precision[i, b]
        if rows.own_slopes and base < i < size - 1:
            for b in range(width):
                gram[size - 1, i, b] = -precision[i, b]
                gram[size - 1, size - 1, b] += precision[i, b]
    _add_ln_product(precision, np.ones(size, dtype=np.int64), 0.5, block.ln_density)


@part
def _cholesky(matrix: Floats, n_alone: int, factor: Floats) -> None:
    """Lower Cholesky factors, nan where there is none, shape (p, p, b).

    The first `n_alone` unknowns know each other only by themselves: there, matrix and factor hold
    nothing but their diagonal.
    """
    left = np.empty(matrix.shape[2])
    for i in range(matrix.shape[0]):
        for j in range(i + 1):
            if j < i < n_alone:
                continue
            for b in range(left.size):
                left[b] = matrix[i, j, b]
            for k in range(0 if j >= n_alone else j, j):
                for b in range(left.size):
                    left[b] -= factor[i, k, b] * factor[j, k, b]
            if i == j:
                for b in range(left.size):
                    factor[i, i, b] = math.sqrt(left[b]) if left[b] > 0.0 else math.nan
            else:
                for b in range(left.size):
                    factor[i, j, b] = left[b] / factor[j, j, b]


@part
def _solve(n_alone: int, system: System, ln_density: Floats) -> None:
    """Factorise the system and solve its first half."""
    gram, right, factor, solved = system.gram, system.right, system.factor, system.solved
    size = right.shape[0]
    _cholesky(gram, n_alone, factor)
    if np.isnan(factor[size - 1, size - 1]).any():
        for b in range(ln_density.size):
            if math.isnan(factor[size - 1, size - 1, b]):
                for i in range(size):
                    gram[i, i, b] *= LIFT
        _cholesky(gram, n_alone, factor)
    for i in range(size):
        for b in range(ln_density.size):
            solved[i, b] = right[i, b]
        for j in range(i if i >= n_alone else 0):
            for b in range(ln_density.size):
                solved[i, b] -= factor[i, j, b] * solved[j, b]
        for b in range(ln_density.size):
            solved[i, b] /= factor[i, i, b]
            ln_density[b] += 0.5 * solved[i, b] * solved[i, b] - math.log(factor[i, i, b])


@compiled
def marginal(rows: LikelihoodRows, under: RowsUnder, found: Terms) -> None:
    """Fill in the terms of every vector.

    Args:
        rows: what no vector changes.
        under: the vectors.
        found: terms to fill in; factors start as zeros.
    """
    n, size = found.solved.shape
    n_checkpoints = rows.checkpoint_start.size - 1
    ones = np.ones(n_checkpoints, dtype=np.int64)
    for first in range(0, n, BLOCK):
        count = min(BLOCK, n - first)
        block = _block(rows, under, first, count)
        system = System(
            np.zeros((size, size, count)),
            np.zeros((size, count)),
            np.zeros((size, size, count)),
            np.empty((size, count)),
            np.zeros((5, under.elbows.shape[1], count)),
            np.empty((n_checkpoints, count)),
            np.empty(size, dtype=np.int64),
            np.empty((size, count)),
        )
        for k in range(rows.square.size):
            for b in range(count):
                block.ln_density[b] -= 0.5 * rows.square[k] * block.weight[k, b]
        _add_ln_product(block.variance, rows.rows_of_kind, -0.5, block.ln_density)
        _add_checkpoints(rows, block, system)
        _add_ln_product(system.inflated, ones, -0.5, block.ln_density)
        _add_levels(rows, under, first, block, system)
        _solve(rows.n_series, system, block.ln_density)
        for b in range(count):
            found.ln_density[first + b] = block.ln_density[b]
            for i in range(size):
                found.solved[first + b, i] = system.solved[i, b]
                if found.factor.shape[0] == n:
                    for j in range(i + 1):
                        found.factor[first + b, i, j] = system.factor[i, j, b]


# --------------------------------------------------------------------- what enters linearly given


@part
def _mean(
    rows: LikelihoodRows, block: Block, linear: Linear, first: int, c: int, cell: int
) -> None:
    """Turn P of a cell of checkpoint c into the mean of its rows, shape (b,)."""
    level, at, series, mean = rows.cell_level[cell], rows.checkpoint[c], rows.series[c], block.risen
    _rise(rows, block, cell)
    for b in range(mean.size):
        own = linear.level[first + b] + linear.checkpoint[first + b, at]
        mean[b] = own + linear.slopes[first + b, level] * mean[b]
    if rows.n_series > 0:
        for b in range(mean.size):
            mean[b] += linear.series[first + b, series]
    if level == 0:
        for b in range(mean.size):
            mean[b] += linear.offset[first + b]


@compiled
def student(rows: LikelihoodRows, under: RowsUnder, linear: Linear, found: Floats) -> None:
    """Fill in the log density of Student-t scores without its constants, shape (N,).

    Args:
        rows: what no vector changes.
        under: the vectors; `deviation` and `precision` count for nothing.
        linear: what enters linearly, given too.
        found: to fill in.
    """
    ones = np.ones(rows.score.size, dtype=np.int64)
    for first in range(0, found.size, BLOCK):
        block = _block(rows, under, first, min(BLOCK, found.size - first))
        mean, weight = block.risen, block.weight
        far = np.empty((rows.score.size, mean.size))
        for c in range(rows.checkpoint.size):
            for m in range(rows.checkpoint_start[c], rows.checkpoint_start[c + 1]):
                _mean(rows, block, linear, first, c, m)
                for r in range(rows.cell_row[m], rows.cell_row[m + 1]):
                    kind, score = rows.kind[r], rows.score[r]
                    for b in range(mean.size):
                        residual = score - mean[b]
                        far[r, b] = 1.0 + residual * residual * weight[kind, b] / STUDENT_FREEDOM
        _add_ln_product(block.variance, rows.rows_of_kind, -0.5, block.ln_density)
        _add_ln_product(far, ones, -0.5 * (STUDENT_FREEDOM + 1.0), block.ln_density)
        for b in range(mean.size):
            found[first + b] = block.ln_density[b]


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
    for first in range(0, total.shape[0], BLOCK):
        block = _block(rows, under, first, min(BLOCK, total.shape[0] - first))
        spare, mean = block.spare, block.risen
        for c in range(rows.checkpoint.size):
            at = rows.checkpoint[c]
            for m in range(rows.checkpoint_start[c], rows.checkpoint_start[c + 1]):
                _mean(rows, block, linear, first, c, m)
                _sum_items(rows, block.weight, m, spare)
                for b in range(mean.size):
                    total[first + b, at] += spare[0, b]
                    pull[first + b, at] += spare[1, b] - spare[0, b] * mean[b]
