"""The likelihood with what enters linearly integrated out, compiled; importing it imports numba."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from emergecast.inference._block import (
    BLOCK,
    Block,
    add_ln_product,
    block_of,
    rise_in_cell,
    sum_items,
)
from emergecast.inference._compiled import compiled, part

if TYPE_CHECKING:
    from emergecast.inference._data import Floats, Ints
    from emergecast.inference._likelihood_rows import LikelihoodRows, RowsUnder, Terms

LIFT = 1 + 1e-9
"""Factor for the diagonal of a matrix that rounding made indefinite."""


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
            sum_items(rows, weight, m, spare)
            for b in range(width):
                spare[2, b] += spare[0, b]
                spare[3, b] += spare[1, b]
                by_level[0, level, b] += spare[0, b]
                by_level[1, level, b] += spare[1, b]
                spare[4, b] += spare[0, b] if level == 0 else 0.0
            if not rise_in_cell(rows, block, m):
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
    add_ln_product(precision, np.ones(size, dtype=np.int64), 0.5, block.ln_density)


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
        block = block_of(rows, under, first, count)
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
        add_ln_product(block.variance, rows.rows_of_kind, -0.5, block.ln_density)
        _add_checkpoints(rows, block, system)
        add_ln_product(system.inflated, ones, -0.5, block.ln_density)
        _add_levels(rows, under, first, block, system)
        _solve(rows.n_series, system, block.ln_density)
        for b in range(count):
            found.ln_density[first + b] = block.ln_density[b]
            for i in range(size):
                found.solved[first + b, i] = system.solved[i, b]
                if found.factor.shape[0] == n:
                    for j in range(i + 1):
                        found.factor[first + b, i, j] = system.factor[i, j, b]
