"""How much compute a series needs to reach a loss, from its own checkpoints."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

FEWEST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeFrontier:
    """The least training compute at which a series reached each loss.

    A checkpoint is on the frontier if no other has both a lower loss and no more compute. Between
    frontier checkpoints ln FLOPs is linear in ln loss. Past the strongest, loss falls as a power of
    compute without a floor, with the slope of the stronger half of the frontier: where a floor is
    near, the compute is understated.
    """

    ln_flops: NDArray[np.float64]
    """Of the frontier checkpoints, ascending, shape (n,)."""
    ln_loss: NDArray[np.float64]
    """Of the same, descending, shape (n,); loss in nats."""
    exponent: float
    """Beta of loss ~ FLOPs^-beta past the strongest checkpoint, > 0."""
    exponent_stderr: float
    scatter: float
    """Residual standard deviation of ln loss about that power law."""

    def ln_flops_at(
        self, loss: NDArray[np.float64], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """One draw of ln FLOPs needed for each loss (nats), shape of `loss`.

        Uncertain only past the strongest checkpoint: the exponent (log-normal) and the scatter of
        ln loss; a loss above the weakest checkpoint gets that checkpoint's compute.
        """
        ln_loss = np.log(loss)
        inside = np.interp(ln_loss, self.ln_loss[::-1], self.ln_flops[::-1])
        share = self.exponent_stderr / self.exponent
        exponent = self.exponent * np.exp(share * rng.standard_normal(ln_loss.shape))
        wanted = self.ln_loss[-1] - ln_loss
        missed = self.scatter * rng.standard_normal(ln_loss.shape)
        beyond = self.ln_flops[-1] + np.maximum(wanted + missed, 0.0) / exponent
        return np.where(wanted > 0, beyond, inside)


def compute_frontier(rows: pl.DataFrame) -> ComputeFrontier | str:
    """The frontier of the checkpoints in `rows`, or why there is none, in one sentence."""
    known = rows.select("series", "checkpoint", "flops", "loss").unique().drop_nulls()
    total = rows.select("series", "checkpoint").n_unique()
    if known.height < FEWEST:
        return (
            f"the compute of only {known.height} of {total} checkpoints is known, and it takes "
            f"{FEWEST}: give flops, or params and tokens"
        )
    ordered = known.sort("flops", "loss")
    best, flops, loss = math.inf, [], []
    for one_flops, one_loss in ordered.select("flops", "loss").iter_rows():
        if one_loss < best:
            best = one_loss
            flops.append(math.log(one_flops))
            loss.append(math.log(one_loss))
    if len(flops) < FEWEST:
        return (
            f"the loss falls with compute at only {len(flops)} of {total} checkpoints, and it "
            f"takes {FEWEST}: check the columns flops, params and tokens"
        )
    ln_flops, ln_loss = np.array(flops), np.array(loss)
    last = max(FEWEST, math.ceil(len(flops) / 2))
    x, y = ln_flops[-last:], ln_loss[-last:]
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    residual = y - y.mean() - slope * centred
    scatter = math.sqrt(float(residual @ residual) / (last - 2))
    return ComputeFrontier(
        ln_flops=ln_flops,
        ln_loss=ln_loss,
        exponent=-slope,
        exponent_stderr=scatter / math.sqrt(float(centred @ centred)),
        scatter=scatter,
    )
