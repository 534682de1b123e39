"""Which checkpoints to hide, step by step, and how far ahead the truth then lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from emergecast.measurements import above_chance

if TYPE_CHECKING:
    from emergecast.measurements import Selection

FEWEST = 4
"""Checkpoints that every rung keeps."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ObservedCompute:
    """Pretraining compute against loss, as the checkpoints of a series have it."""

    loss: NDArray[np.float64]
    """Ascending, nats, shape (n,)."""
    ln_flops: NDArray[np.float64]
    """Not increasing, shape (n,)."""

    @classmethod
    def of(cls, rows: pl.DataFrame) -> ObservedCompute | None:
        """From the checkpoints that state FLOPs; None where fewer than two losses have any.

        Checkpoints of several sizes reach one loss at several costs, so ln FLOPs is the isotonic
        regression on loss: the best curve that never falls as the loss falls.
        """
        known = rows.drop_nulls("flops").unique(["series", "checkpoint"]).sort("loss", "flops")
        grouped = known.group_by("loss").agg(pl.col("flops").log().mean(), pl.len()).sort("loss")
        if grouped.height < 2:
            return None
        fitted = isotonic_regression(
            grouped["flops"].to_numpy(), weights=grouped["len"].to_numpy(), increasing=False
        )
        return cls(loss=grouped["loss"].to_numpy(), ln_flops=np.asarray(fitted.x))

    def ratio(self, start: float, end: float) -> float | None:
        """FLOPs at the loss `end` over FLOPs at the loss `start`; None beyond the checkpoints."""
        if not all(self.loss[0] <= loss <= self.loss[-1] for loss in (start, end)):
            return None
        before, after = np.interp([start, end], self.loss, self.ln_flops)
        return float(np.exp(after - before))


def horizon(selection: Selection) -> float | None:
    """The highest loss (nats) that is above chance few-shot; None where none is."""
    rows = selection.all_few_shot
    above = above_chance(rows, selection.metric_kind, selection.chance)
    return float(rows["loss"].to_numpy()[above].max()) if above.any() else None


def limits(selection: Selection, first: float, rungs: int) -> tuple[float, ...]:
    """Losses at or below which each rung hides every checkpoint, weakest forecast last.

    The first is the horizon; each further one hides the next strongest loss, as long as four
    checkpoints are kept. Where there are more than `rungs`, their ranks are taken geometrically,
    from the horizon to the farthest: forecasts that hold are rarely far ahead.
    """
    seen = selection.rows.unique(["series", "checkpoint"])["loss"].to_numpy()
    kept = np.sort(seen[seen > first])
    every = [first, *(float(loss) for loss in np.unique(kept) if np.sum(kept > loss) >= FEWEST)]
    if len(every) <= rungs:
        return tuple(every)
    if rungs == 1:
        return (first,)
    taken = np.round(np.geomspace(1, len(every), rungs)).astype(int) - 1
    for i in range(1, rungs):  # no rank twice, as long as there are enough
        taken[i] = max(taken[i], taken[i - 1] + 1)
    return tuple(every[i] for i in np.minimum(taken, len(every) - 1))
