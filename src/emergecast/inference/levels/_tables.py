"""What the rows of every level say of its elbow and its slope, under every response curve."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from emergecast.inference._side_by_side import side_by_side

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emergecast.inference._data import FitData, Floats, Ints
    from emergecast.inference.levels._level_priors import LevelPriors
    from emergecast.inference.levels._response import Response
    from emergecast.inference.levels._table_kernel import Cells

ELBOW_STEP, LN_SLOPE_STEP = 0.06, 0.3
ELBOWS = np.arange(-3.0, 2.0 + ELBOW_STEP / 2, ELBOW_STEP)
"""Coarse grid of elbows, U above the strongest loss; a law that goes beyond counts as at its end."""
LN_SLOPES = math.log(0.06) + LN_SLOPE_STEP * np.arange(18)
"""Coarse grid of slopes, R / U."""
FINER = (4, 3)
"""Fine steps in a coarse one."""
COARSE = (float(ELBOWS[0]), ELBOW_STEP, float(LN_SLOPES[0]), LN_SLOPE_STEP)
FINE = (COARSE[0], ELBOW_STEP / FINER[0], COARSE[2], LN_SLOPE_STEP / FINER[1])
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
    count: Ints
    """Rows of the group."""
    scatter: Floats
    """Sum of squared distances from the mean, R^2."""


def level_rows(data: FitData, level: int) -> LevelRows:
    """The rows of a level by checkpoint."""
    own = data.level == level
    _, at = np.unique(data.checkpoint[own], return_inverse=True)
    count = np.bincount(at)
    score = data.standard_score[own]
    mean = np.bincount(at, score) / count
    sampling = (data.sampling_sd[own] / data.score_range) ** 2
    groups = LevelRows(
        loss=np.bincount(at, data.loss[own]) / count,
        mean=mean,
        variance=np.bincount(at, sampling) / count,
        run_share=np.bincount(at, 1 / data.repeats[own]) / count,
        count=count,
        scatter=np.bincount(at, (score - mean[at]) ** 2),
    )
    order = np.argsort(-groups.loss, kind="stable")
    return LevelRows(*(part[order] for part in groups))


class LevelTables:
    """The tables of a fit; both shift forms use the same ones."""

    def __init__(self, data: FitData, priors: LevelPriors, unit: float) -> None:
        """Tables of few-shot rows, where there are any, and of every amount with rows.

        Args:
            data: the rows.
            priors: of curves, noise and spreads.
            unit: U, nats.
        """
        self.priors, self.unit, self.strongest_loss = priors, unit, data.strongest_loss
        levels = [0, *(int(level) for level in np.unique(data.level[data.level > 0]))]
        self.amounts = data.level_amounts[levels]
        """Examples of every level, D0 first, shape (J,)."""
        cells = [self._cells(level_rows(data, level), few_shot=level == 0) for level in levels]
        found = side_by_side(
            lambda pair: [self._fine(each, pair[0]) for each in cells], priors.responses
        )
        self.fine = np.array(found)
        """Ln density of the rows on the fine grid, shape (curves, J, E, A)."""

    def _cells(self, rows: LevelRows, *, few_shot: bool) -> Cells:
        from emergecast.inference.levels._table_kernel import Cells

        nodes = self.priors.noise
        run, omega, rho, weight = (np.array(part) for part in zip(*nodes, strict=True))
        tau = run**2 * (not few_shot)
        own = rows.variance[:, None] + tau * rows.run_share[:, None]
        more = rows.count[:, None] - 1
        # of the rows around their mean, whatever the law; and the constant of the means
        within = -0.5 * (more * np.log(2 * np.pi * own) + rows.scatter[:, None] / own)
        constant = -0.5 * (np.log(rows.count).sum() + rows.count.size * math.log(2 * math.pi))
        return Cells(
            loss=(rows.loss - self.strongest_loss) / self.unit,
            score=rows.mean,
            variance=rows.variance / rows.count,
            run_share=rows.run_share / rows.count,
            checkpoint=omega**2,
            growth=rho**2,
            run=tau,
            ln_weight=np.log(weight) + within.sum(axis=0) + constant,
            level_variance=self.priors.level_sd**2,
        )

    def _fine(self, cells: Cells, response: Response) -> Floats:
        from emergecast.inference.levels._table_kernel import Curve, ln_table

        curve = Curve(
            share=response.table,
            toe=response.toe,
            elbow=response.elbow,
            slope=response.slope,
            ceiling=np.array(self.priors.ceiling.values),
            ln_ceiling=np.log(self.priors.ceiling.weights),
        )
        return np.asarray(ln_table(cells, curve, ELBOWS, LN_SLOPES, FINER))

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


def fine_grid() -> tuple[Floats, Floats]:
    """Elbows and ln slopes of the fine grid."""
    rows, columns = ((part.size - 1) * n for part, n in zip((ELBOWS, LN_SLOPES), FINER))
    return FINE[0] + FINE[1] * np.arange(rows + 1), FINE[2] + FINE[3] * np.arange(columns + 1)


def _kernel(to: Floats, of: Floats, sd: float) -> NDArray[np.float64]:
    """Weights of a normal around every point of one grid on the points of another, rows sum to 1."""
    weight = np.exp(-0.5 * ((to[:, None] - of) / sd) ** 2)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))
