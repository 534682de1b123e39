"""What compiled loops over rows take and give: tuples of arrays, all in standard units.

N counts vectors, n rows, M cells, C checkpoints that have rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from emergecast.inference._data import FitData, Floats, Ints


class LikelihoodRows(NamedTuple):
    """What no vector changes. Rows are sorted into cells: by checkpoint, level and loss.

    Rows that have the same noise are of one kind: there are K kinds. Those of one kind in one cell
    make an item: there are I items.
    """

    score: Floats
    """y, shape (n,)."""
    kind: Ints
    """Of each row, shape (n,)."""
    sampling: Floats
    """Squared sampling error of each kind, shape (K,)."""
    per_run: Floats
    """One over the runs that a score of each kind averages, shape (K,)."""
    rows_of_kind: Ints
    """Rows of each kind, shape (K,)."""
    square: Floats
    """Sum of y^2 over them, shape (K,)."""
    item_kind: Ints
    """Shape (I,)."""
    item_count: Floats
    """Rows of each item, shape (I,)."""
    item_score: Floats
    """Sum of y over them, shape (I,)."""
    cell_row: Ints
    """First row of each cell, and n, shape (M + 1,)."""
    cell_item: Ints
    """First item of each cell, and I, shape (M + 1,)."""
    cell_level: Ints
    """Shape (M,)."""
    cell_loss: Floats
    """Shape (M,)."""
    checkpoint_start: Ints
    """First cell of each checkpoint, and M, shape (C + 1,)."""
    checkpoint: Ints
    """Number of each checkpoint in the data, shape (C,)."""
    series: Ints
    """Number of its series, shape (C,)."""
    few_shot: bool
    """Whether few-shot rows have an offset of their own, Delta."""
    n_series: int
    """Series that deviate; 0: none does."""
    own_slopes: bool
    """Whether every level has a slope of its own."""

    @classmethod
    def of(
        cls, data: FitData, *, few_shot: bool = True, n_series: int = 0, slopes: bool = False
    ) -> LikelihoodRows:
        """Sort the rows of a fit.

        Args:
            data: the rows.
            few_shot: whether few-shot rows have an offset.
            n_series: how many series deviate.
            slopes: whether every level has a slope of its own.
        """
        loss, score = data.standard_loss, data.standard_score
        sampling = (data.sampling_sd / data.score_range) ** 2
        noises, kind = np.unique(
            np.column_stack([sampling, 1 / data.repeats]), axis=0, return_inverse=True
        )
        order = np.lexsort((kind, loss, data.level, data.checkpoint))
        keys = np.column_stack([data.checkpoint, data.level, loss, kind])[order]
        new = np.diff(keys, axis=0, prepend=[[-1.0, -1.0, 0.0, 0.0]]) != 0
        items, cells = (np.flatnonzero(new[:, :width].any(axis=1)) for width in (4, 3))
        checkpoints = np.flatnonzero(new[cells, 0])
        first, score, kind = order[cells], score[order], kind[order]
        return cls(
            score=score,
            kind=kind,
            sampling=np.ascontiguousarray(noises[:, 0]),
            per_run=np.ascontiguousarray(noises[:, 1]),
            rows_of_kind=np.bincount(kind, minlength=len(noises)),
            square=np.bincount(kind, score**2, minlength=len(noises)).astype(np.float64),
            item_kind=kind[items],
            item_count=np.diff(items, append=order.size).astype(np.float64),
            item_score=np.add.reduceat(score, items) if items.size else np.zeros(0),
            cell_row=np.append(cells, order.size),
            cell_item=np.append(np.searchsorted(items, cells), items.size),
            cell_level=data.level[first],
            cell_loss=loss[first],
            checkpoint_start=np.append(checkpoints, cells.size),
            checkpoint=data.checkpoint[first][checkpoints],
            series=data.series[first][checkpoints],
            few_shot=few_shot,
            n_series=n_series,
            own_slopes=slopes,
        )


class RowsUnder(NamedTuple):
    """N vectors, as far as rows see them."""

    elbows: Floats
    """Of every level, shape (N, J + 1)."""
    noise: Floats
    """tau squared, shape (N,)."""
    width: Floats
    """w, shape (N,); 0 for a sharp elbow."""
    ceiling_rate: Floats
    """rho, shape (N,); 0 without a ceiling."""
    deviation: Floats
    """Variance of u, shape (N,); 0 where checkpoints do not deviate."""
    precision: Floats
    """Of the priors of the unknowns, shape (N, p); those of delta stand where A + delta does."""


class Linear(NamedTuple):
    """What enters linearly, for each of N vectors."""

    level: Floats
    """B, shape (N,)."""
    offset: Floats
    """Delta, shape (N,)."""
    slope: Floats
    """A, shape (N,)."""
    slopes: Floats
    """A + delta_j, few-shot first, shape (N, J + 1)."""
    series: Floats
    """v, shape (N, series); (N, 0) where none deviates."""
    checkpoint: Floats
    """u, shape (N, checkpoints)."""


class Terms(NamedTuple):
    """What the compiled loops find for N vectors."""

    ln_density: Floats
    """Log likelihood without its constants and without the cut of A at 0, shape (N,)."""
    factor: Floats
    """Lower Cholesky factor of the precision of the unknowns (v, Delta, B, A + delta, A), shape
    (N, p, p); of shape (1, p, p) it holds that of the last vector."""
    solved: Floats
    """factor^-1 right-hand side, shape (N, p)."""
