"""How much lower the loss of annealed checkpoints is than that of running ones of equal score."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from emergecast.measurements import ANNEALED, above_chance
from emergecast.observed._crossing import crossings

if TYPE_CHECKING:
    from emergecast.measurements import Selection

FEWEST_RUNNING: Final = 3
"""Losses of running checkpoints that make a curve."""
TO_SD: Final = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""
OF_MEDIAN: Final = 1.2533
"""Standard error of a median of normal values over that of their mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnealingOffset:
    """Loss of a running checkpoint minus that of an annealed one of the same score, nats."""

    nats: float
    """Median over annealed checkpoints; above 0 where annealing lowers the loss by more than skill
    grows."""
    stderr: float | None
    """Standard error, from the scatter of the checkpoints; None for fewer than three."""
    checkpoints: int
    """Annealed checkpoints it rests on."""

    @property
    def sentence(self) -> str:
        """The offset in words."""
        error = "" if self.stderr is None else f" +- {self.stderr:.3f}"
        noun = "checkpoint" if self.checkpoints == 1 else "checkpoints"
        return (
            f"At equal score, running checkpoints have a loss {self.nats:+.3f}{error} nats above "
            f"that of annealed ones (median of {self.checkpoints} annealed {noun})."
        )


def annealing_offset(selection: Selection) -> AnnealingOffset | None:
    """The offset between annealed and running checkpoints on the axis of loss.

    At each amount of data by itself (few-shot scores are one more), the running checkpoints give a
    curve: the isotonic regression of score on loss. Where it has the score of an annealed
    checkpoint that is above chance, its loss minus the loss of that checkpoint is one difference.
    Of these the median is taken within each checkpoint, then over checkpoints; the error is
    1.2533 * 1.4826 MAD / sqrt(checkpoints). It goes by scores and not by losses at neighbouring
    steps, because annealing gains skill too: only what it lowers the loss beyond that misleads a
    fit. Scores beyond the running curve say nothing.

    None where the selection has no checkpoint of one of the kinds, or no score to compare, or where
    its axis is not loss.
    """
    if not selection.axis.is_loss:
        return None
    rows = selection.rows.drop_nulls("lr_fraction")
    differences: dict[tuple[str, str], list[float]] = {}
    for _, level in rows.group_by("few_shot", "examples", maintain_order=True):
        running = level.filter(pl.col("lr_fraction") > ANNEALED)
        annealed = level.filter(pl.col("lr_fraction") <= ANNEALED)
        shown = above_chance(annealed, selection.metric_kind, selection.chance)
        loss = running["loss"].to_numpy()
        if np.unique(loss).size < FEWEST_RUNNING:
            continue
        score, equal = running["score"].to_numpy()[None], np.ones((1, loss.size))
        for row in annealed.filter(pl.Series(shown)).iter_rows(named=True):
            same = float(crossings(loss, score, equal, row["score"])[0])
            if math.isfinite(same):
                name = (row["series"], row["checkpoint"])
                differences.setdefault(name, []).append(same - row["loss"])
    if not differences:
        return None
    each = np.array([np.median(found) for found in differences.values()])
    middle = float(np.median(each))
    scatter = TO_SD * float(np.median(np.abs(each - middle)))
    return AnnealingOffset(
        nats=middle,
        stderr=OF_MEDIAN * scatter / math.sqrt(each.size) if each.size > 2 else None,
        checkpoints=int(each.size),
    )
