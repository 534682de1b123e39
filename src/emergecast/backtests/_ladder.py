"""Which checkpoints to hide, step by step, and how far ahead the truth then lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emergecast.measurements import above_chance

if TYPE_CHECKING:
    from emergecast.measurements import Selection

FEWEST = 4
"""Checkpoints that every rung keeps."""


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
