"""The visible checkpoints of a fit, and what they say of compute."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypedDict

import polars as pl

from emergecast.measurements import LossSource
from emergecast.scaling import Allocation, training_flops

if TYPE_CHECKING:
    from emergecast.measurements import Selection

SAME: Final = 0.01
"""Token budgets, or sizes, count as the same within this share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The visible checkpoints, one row each."""

    frame: pl.DataFrame
    """Columns series, checkpoint, params, tokens, flops, loss, loss_source."""
    pooled: bool
    """Whether they are of several series."""

    @classmethod
    def of(cls, selection: Selection) -> Seen:
        names = ("params", "tokens", "flops")
        rows = selection.rows.select("series", "checkpoint", *names, "loss", "loss_source")
        known = rows.group_by("series", "checkpoint", maintain_order=True).agg(
            *(pl.col(name).drop_nulls().first().cast(pl.Float64) for name in names),
            pl.col("loss", "loss_source").first(),
        )
        return cls(
            frame=known.sort("loss", "series", "checkpoint"), pooled=len(selection.series) > 1
        )

    def measured(self) -> Seen:
        """Those whose loss was measured."""
        kept = pl.col("loss_source").ne_missing(LossSource.ESTIMATED.value)
        return replace(self, frame=self.frame.filter(kept))

    def with_known(self, *names: str) -> pl.DataFrame:
        """Those of which all of these are known, the strongest first."""
        return self.frame.drop_nulls(list(names))

    @property
    def ratio(self) -> Allocation | None:
        """The tokens per parameter of the strongest checkpoint of which both are known."""
        known = self.with_known("params", "tokens")
        if known.is_empty():
            return None
        return Allocation.ratio(known["tokens"][0] / known["params"][0])

    def common(self, name: str) -> float | None:
        """The one value that all checkpoints share; None where they differ or one is unknown."""
        values = self.frame[name]
        if values.null_count() or values.is_empty():
            return None
        low, high = float(values.min()), float(values.max())  # type: ignore[arg-type]
        return math.sqrt(low * high) if high <= low * (1 + SAME) else None

    def strongest(self, *, counted: bool) -> StrongestFields:
        """The strongest checkpoint of known compute, and its FLOPs.

        Args:
            counted: whether runs are counted as 6 * params * tokens, so that it must be too.
        """
        known = self.with_known("flops")
        low, high = float(self.frame["loss"][0]), float(self.frame["loss"][-1])
        if known.is_empty():
            return StrongestFields(
                strongest=None, strongest_flops=None, lowest_loss=low, highest_loss=high
            )
        top = known.row(0, named=True)
        both = top["params"] is not None and top["tokens"] is not None
        flops = training_flops(top["params"], top["tokens"]) if counted and both else top["flops"]
        name = (f"{top['series']}/" if self.pooled else "") + top["checkpoint"]
        return StrongestFields(
            strongest=name, strongest_flops=float(flops), lowest_loss=low, highest_loss=high
        )


class StrongestFields(TypedDict):
    """Fields of a `LossToCompute`."""

    strongest: str | None
    strongest_flops: float | None
    lowest_loss: float
    highest_loss: float
