"""Likelihoods with what enters linearly given, compiled; importing it imports numba."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emergecast.emergence_law import STUDENT_FREEDOM
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
    from emergecast.inference._data import Floats
    from emergecast.inference._likelihood_rows import LikelihoodRows, Linear, RowsUnder


@part
def _mean(
    rows: LikelihoodRows, block: Block, linear: Linear, first: int, c: int, cell: int
) -> None:
    """Turn P of a cell of checkpoint c into the mean of its rows, shape (b,)."""
    level, at, series, mean = rows.cell_level[cell], rows.checkpoint[c], rows.series[c], block.risen
    rise_in_cell(rows, block, cell)
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
        block = block_of(rows, under, first, min(BLOCK, found.size - first))
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
        add_ln_product(block.variance, rows.rows_of_kind, -0.5, block.ln_density)
        add_ln_product(far, ones, -0.5 * (STUDENT_FREEDOM + 1.0), block.ln_density)
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
        block = block_of(rows, under, first, min(BLOCK, total.shape[0] - first))
        spare, mean = block.spare, block.risen
        for c in range(rows.checkpoint.size):
            at = rows.checkpoint[c]
            for m in range(rows.checkpoint_start[c], rows.checkpoint_start[c + 1]):
                _mean(rows, block, linear, first, c, m)
                sum_items(rows, block.weight, m, spare)
                for b in range(mean.size):
                    total[first + b, at] += spare[0, b]
                    pull[first + b, at] += spare[1, b] - spare[0, b] * mean[b]
