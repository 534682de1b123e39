"""How much the repeats were worth: the forecast with one data subset, or one seed, of each cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import polars as pl

from emergecast.inference import INTERVAL
from emergecast.records import NotNegative, Some

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from emergecast.inference import Fit

_CELL = ("series", "checkpoint", "few_shot", "examples", "snapshot")
Repeated: TypeAlias = Literal["data subset", "seed"]
LEVERS: dict[str, Repeated] = {"subset": "data subset", "seed": "seed"}
"""Columns that tell repeats apart, and what a reader calls them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """What the second and later subsets (or seeds) of each cell did to the forecast."""

    what: Repeated
    """What was repeated."""
    n_rows: Some
    """Rows that are such repeats."""
    n_cells: Some
    """Cells (a checkpoint on an amount) that have any."""
    width_without: NotNegative
    """Width of the 90% interval of the few-shot elbow without them, nats or the axis' unit."""
    width: NotNegative
    """The same with them."""
    shift: float
    """How far they moved the median."""

    def sentence(self, unit: str) -> str:
        """What they were worth, for a person; `unit` is that of the axis."""
        cells = "1 cell" if self.n_cells == 1 else f"{self.n_cells} cells"
        rows = "1 row" if self.n_rows == 1 else f"{self.n_rows} rows"
        change = 1 - self.width / self.width_without
        how = f"{change:.0%} narrower" if change >= 0 else f"{-change:.0%} wider"
        return (
            f"The repeats by {self.what} ({rows} in {cells}) made the 90% interval {how}: "
            f"{self.width_without:.3f} to {self.width:.3f} {unit}; they moved the median by "
            f"{self.shift:+.3f}."
        )


def repeats(fit: Fit) -> tuple[Repeat, ...]:
    """What each kind of repeat was worth; none for a lever that no cell repeats.

    A lever is judged by leaving out all but the first of its values in each cell (and, for seeds,
    each data subset), in the order of their names. Rows that average several runs count as one.
    """
    rows = fit.selection.rows
    found = []
    for column, name in LEVERS.items():
        within = [*_CELL, "subset"] if column == "seed" else [*_CELL]
        first = (
            rows.select(
                (pl.col(column).rank("dense").over(within).fill_null(1) == 1).alias("first")
            )
            .to_series()
            .to_numpy()
        )
        later = rows.filter(pl.Series(~first))
        if later.is_empty():
            continue
        found.append(_repeat(fit, name, first, later.select(_CELL).n_unique()))
    return tuple(found)


def _repeat(fit: Fit, name: Repeated, first: NDArray[np.bool_], cells: int) -> Repeat:
    without, whole = fit.posterior_if(keep=first), fit.posterior
    low, middle, high = (float(x) for x in whole.quantile(INTERVAL))
    low_first, middle_first, high_first = (float(x) for x in without.quantile(INTERVAL))
    return Repeat(
        what=name,
        n_rows=int((~first).sum()),
        n_cells=cells,
        width_without=high_first - low_first,
        width=high - low,
        shift=fit.selection.axis.to_axis(middle - middle_first),
    )
