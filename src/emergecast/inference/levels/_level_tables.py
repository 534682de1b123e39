"""What the rows of every level say of its elbow and its slope, under every response curve."""

from __future__ import annotations

import math
from copy import copy
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from emergecast.inference._side_by_side import side_by_side
from emergecast.inference.levels._level_priors import CEILING

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emergecast.emergence_law import Response
    from emergecast.inference._data import FitData, Floats, Ints
    from emergecast.inference.levels._level_priors import LevelPriors
    from emergecast.inference.levels._table_kernel import LevelCells, ResponseCurve

ELBOW_STEP, LN_SLOPE_STEP = 0.06, 0.3
ELBOWS: Floats = -3.0 + ELBOW_STEP * np.arange(84, dtype=np.float64)
"""Coarse grid of elbows, U above the strongest loss; beyond it the value at its end counts."""
LN_SLOPES: Floats = math.log(0.06) + LN_SLOPE_STEP * np.arange(18, dtype=np.float64)
"""Coarse grid of slopes, R / U."""
FINER = (4, 3)
"""Fine steps in a coarse one."""
COARSE = (float(ELBOWS[0]), ELBOW_STEP, float(LN_SLOPES[0]), LN_SLOPE_STEP)
FINE = (COARSE[0], ELBOW_STEP / FINER[0], COARSE[2], LN_SLOPE_STEP / FINER[1])
REMEMBERED = 4
"""Tables of some of the rows that are kept for the next law."""
SMALLEST = 1e-280
"""A density below this counts as this."""


class LevelRows(NamedTuple):
    """The rows of one level, a group for each checkpoint, from the weakest on; shape (C,)."""

    loss: Floats
    """Nats."""
    mean: Floats
    """Mean score above chance, R."""
    variance: Floats
    """Sampling variance of one row, mean of the group, R^2."""
    run_share: Floats
    """Share of the variance between runs that one row has, mean of the group."""
    size: Floats
    """Rows of the group."""
    scatter: Floats
    """Sum of squared distances from the mean, R^2."""


def level_rows(data: FitData, level: int) -> LevelRows:
    """The rows of a level by checkpoint."""
    own = data.level == level
    _, at = np.unique(data.checkpoint[own], return_inverse=True)

    def total(values: Floats) -> Floats:
        return np.bincount(at, values).astype(np.float64)

    score, loss = data.standard_score[own], data.loss[own]
    sampling = (data.sampling_sd[own] / data.score_range) ** 2
    size = total(np.ones(at.size))
    mean = total(score) / size
    groups = LevelRows(
        loss=total(loss) / size,
        mean=mean,
        variance=total(sampling) / size,
        run_share=total(1 / data.repeats[own]) / size,
        size=size,
        scatter=total((score - mean[at]) ** 2),
    )
    order = np.argsort(-groups.loss, kind="stable")
    return LevelRows(*(part[order] for part in groups))


class LevelTables:
    """The tables of a fit; both shift forms use the same ones."""

    def __init__(
        self, data: FitData, priors: LevelPriors, keep: NDArray[np.bool_] | None = None
    ) -> None:
        """Tables of few-shot rows, where there are any, and of every amount with rows.

        Args:
            data: the rows; units and anchors of the priors are those of all of them.
            priors: of curves, noise and spreads.
            keep: which of them to look at, shape (rows,); all if None.
        """
        self.priors = priors
        self.anchors = data.level_amounts[_levels(data)]
        """D0 and the amounts between which priors are anchored, ascending."""
        self.data = data if keep is None else data.rows(keep)
        self.levels = _levels(self.data)
        """Numbers of the levels: few-shot, and those with rows, shape (J,)."""
        self.cells = [self._cells(level_rows(self.data, each), each) for each in self.levels]
        """The rows of every level."""
        found = side_by_side(
            lambda pair: [self._fine(each, pair[0]) for each in self.cells], priors.responses
        )
        self.fine = np.array(found)
        """Ln density of the rows on the fine grid, shape (curves, J, E, A)."""

    @property
    def amounts(self) -> Floats:
        """Examples of every level, D0 first, shape (J,)."""
        return self.data.level_amounts[self.levels]

    @property
    def no_rows(self) -> LevelCells:
        """A level that nobody measured."""
        nobody = np.zeros(self.data.level.size, dtype=np.bool_)
        return self._cells(level_rows(self.data.rows(nobody), 1), 1)

    def with_priors(self, priors: LevelPriors) -> LevelTables:
        """The same tables under priors that differ in what the law alone depends on."""
        other = copy(self)
        other.priors = priors
        return other

    def under(self, data: FitData, keep: NDArray[np.bool_] | None = None) -> LevelTables:
        """The tables of the same rows, or of those that are kept, read off at the D0 of `data`.

        Levels that lose none of their rows, or all of them, are not computed again.
        """
        other = copy(self)
        other.data, other.anchors = data, np.append(data.few_shot_examples, self.anchors[1:])
        if keep is None:
            return other
        lost = np.unique(data.level[~keep])
        if np.isin(data.level[keep], lost).any():
            return LevelTables(data, self.priors, keep)
        other.data = data.rows(keep)
        at = np.flatnonzero(~np.isin(self.levels, lost) | (self.levels == 0))
        other.levels, other.cells = self.levels[at], [self.cells[each] for each in at]
        other.fine, smooth = self.fine[:, at], self.smooth[:, at]
        if 0 in lost:
            other.cells[0], other.fine[:, 0], smooth[:, 0] = self.no_rows, 0.0, 0.0
        other.__dict__["smooth"] = smooth
        return other

    def _cells(self, rows: LevelRows, level: int) -> LevelCells:
        from emergecast.inference.levels._table_kernel import LevelCells

        nodes = self.priors.noise
        run, omega, rho, weight = (np.array(part) for part in zip(*nodes, strict=True))
        tau = run**2 * (level > 0)
        own = rows.variance[:, None] + tau * rows.run_share[:, None]
        more = rows.size[:, None] - 1
        # of the rows around their mean, whatever the law; and the constant of the means
        within = -0.5 * (more * np.log(2 * np.pi * own) + rows.scatter[:, None] / own)
        constant = -0.5 * (np.log(rows.size).sum() + rows.size.size * math.log(2 * math.pi))
        return LevelCells(
            loss=(rows.loss - self.data.strongest_loss) / self.data.loss_unit,
            score=rows.mean,
            variance=rows.variance / rows.size,
            run_share=rows.run_share / rows.size,
            checkpoint=omega**2,
            growth=rho**2,
            run=tau,
            ln_weight=np.log(weight) + within.sum(axis=0) + constant,
            level_variance=self.priors.scales.level_scale**2,
        )

    def _fine(self, cells: LevelCells, response: Response) -> Floats:
        from emergecast.inference.levels._table_kernel import ln_table

        return np.asarray(ln_table(cells, curve_of(response), ELBOWS, LN_SLOPES, FINER))

    @cached_property
    def smooth(self) -> Floats:
        """Ln density given what the law says of a level, its scatter integrated out.

        On the coarse grid, shape (curves x spreads, J, E, A).
        """
        spreads = self.priors.spreads
        elbows, ln_slopes = fine_grid()
        kernels = [
            (_kernel(ELBOWS, elbows, one), _kernel(LN_SLOPES, ln_slopes, two).T)
            for one, two, _ in spreads
        ]
        curves, levels = self.fine.shape[:2]
        found = np.empty((curves, len(spreads), levels, ELBOWS.size, LN_SLOPES.size))
        for curve in range(curves):
            for level in range(levels):
                ln_fine = self.fine[curve, level]
                top = ln_fine.max()
                density = np.exp(ln_fine - top)
                for number, (down, across) in enumerate(kernels):
                    risen = down @ density @ across
                    found[curve, number, level] = np.log(risen + SMALLEST) + top
        return found.reshape(-1, *found.shape[2:])


def _levels(data: FitData) -> Ints:
    """Few-shot and every amount with rows; where there are none, every planned one."""
    found = np.unique(np.append(0, data.level))
    return found if found.size > 1 else np.arange(data.amounts.size + 1)


def curve_of(response: Response) -> ResponseCurve:
    """A response and the ceilings it may end at, as the compiled loops take it."""
    from emergecast.inference.levels._table_kernel import ResponseCurve

    return ResponseCurve(
        share=response.table,
        toe=response.toe,
        elbow=response.elbow,
        slope=response.slope,
        ceiling=np.array(CEILING.values),
        ln_ceiling=np.log(CEILING.weights),
    )


def fine_grid() -> tuple[Floats, Floats]:
    """Elbows and ln slopes of the fine grid."""
    rows, columns = (ELBOWS.size - 1) * FINER[0], (LN_SLOPES.size - 1) * FINER[1]
    elbows = FINE[0] + FINE[1] * np.arange(rows + 1, dtype=np.float64)
    return elbows, FINE[2] + FINE[3] * np.arange(columns + 1, dtype=np.float64)


def _kernel(to: Floats, of: Floats, sd: float) -> Floats:
    """Weights of a normal around each point of one grid on the points of another, (to, of)."""
    weight = np.exp(-0.5 * ((to[:, None] - of) / sd) ** 2)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


class SharedTables:
    """Tables of one set of rows, made once for all laws and questions."""

    def __init__(self) -> None:
        """None are made yet."""
        self._lock = Lock()
        self._rows: Floats | None = None
        self._made: dict[LevelPriors, LevelTables] = {}
        self._parts: dict[object, LevelTables] = {}

    def of(
        self, data: FitData, priors: LevelPriors, keep: NDArray[np.bool_] | None = None
    ) -> LevelTables:
        """The tables of these rows, or of those that are kept, at the D0 of `data`."""
        with self._lock:
            if self._rows is not data.score:
                self._rows, self._made, self._parts = data.score, {}, {}
            if priors not in self._made:
                alike = (each for each in self._made.values() if each.priors.same_tables(priors))
                made = next(alike, None)
                self._made[priors] = made.with_priors(priors) if made else LevelTables(data, priors)
            tables = self._made[priors]
            if keep is None:
                return tables.under(data)
            # laws are asked one after the other for the same rows, by several threads
            key = priors, data.few_shot_examples, keep.tobytes()
            found = self._parts.get(key)
        if found is None:
            found = tables.under(data, keep)
            with self._lock:
                self._parts[key] = found
                while len(self._parts) > REMEMBERED:
                    del self._parts[next(iter(self._parts))]
        return found
