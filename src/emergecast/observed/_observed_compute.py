"""The compute at which a series reached each loss, as its checkpoints show it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression


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
        before, after = self.ln_at(start), self.ln_at(end)
        return None if before is None or after is None else float(np.exp(after - before))

    def ln_at(self, loss: float) -> float | None:
        """Logarithm of the FLOPs at which the series has this loss; None beyond the checkpoints."""
        if not self.loss[0] <= loss <= self.loss[-1]:
            return None
        return float(np.interp(loss, self.loss, self.ln_flops))
