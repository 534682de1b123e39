"""Scores that fall where the law lets them only rise: with stronger checkpoints, or more data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import isotonic_regression

from emergecast.diagnostics._influence import GroupKind, checkpoint_names, level_name
from emergecast.inference import SEED
from emergecast.records import NotNegative, Probability

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emergecast.inference import Draws, Fit

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

REPLICATES = 1000
REPORTED = 0.05
"""Falls that noise explains less often than this, over all sequences of a kind, are reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fall:
    """The largest fall of a score along one sequence of rows; scores in the metric's unit."""

    kind: GroupKind
    """checkpoint (finetuned score falls with stronger checkpoints) or amount (with more data)."""
    where: str
    """What all its rows share: an amount, or a checkpoint."""
    high: str
    """The earlier checkpoint or amount, with the higher score."""
    low: str
    """The later one."""
    fall: NotNegative
    """How far the score falls between the two."""
    p: Probability
    """How often noise alone gives a fall as large, times the number of sequences tried."""


def find_falls(fit: Fit, draws: Draws) -> tuple[Fall, ...]:
    """Falls beyond noise, the surest first.

    Every sequence (the finetuned scores of one amount and series against loss; of one checkpoint
    against amount) is compared with its best monotone fit plus noise of the posterior median size,
    the deviations of checkpoints included where checkpoints differ.
    """
    data = fit.data
    variance = np.median(draws.variance(data), axis=0)
    kappa = float(np.median(draws.deviation_scale))
    names = checkpoint_names(fit)
    tuned = np.flatnonzero(~data.few_shot)
    by_amount = data.level[tuned] * (data.series.max() + 1) + data.series[tuned]
    found: list[Fall] = []
    kinds: tuple[tuple[GroupKind, Ints, Floats, Floats | float], ...] = (
        ("checkpoint", by_amount, -data.loss, kappa**2),
        ("amount", data.checkpoint[tuned], data.level.astype(np.float64), 0.0),
    )
    for kind, groups, order, extra in kinds:
        sequences = [tuned[groups == group] for group in np.unique(groups)]
        cells = [_cells(rows, order, data.score, variance) for rows in sequences]
        cells = [cell for cell in cells if cell[0].size > 1]
        for first_rows, scores, variances in cells:
            place = _largest_fall(scores, variances + extra)
            p = min(1.0, place[3] * len(cells))
            if p >= REPORTED:
                continue
            high, low = first_rows[place[0]], first_rows[place[1]]
            checkpoint = [names[int(data.checkpoint[row])] for row in (high, low)]
            amount = [level_name(fit, int(data.level[row])) for row in (high, low)]
            steps, where = (
                (checkpoint, amount[0])
                if kind == "checkpoint"
                else (
                    amount,
                    checkpoint[0],
                )
            )
            found.append(
                Fall(kind=kind, where=where, high=steps[0], low=steps[1], fall=place[2], p=p)
            )
    return tuple(sorted(found, key=lambda each: each.p))


def _cells(
    rows: Ints, order: Floats, score: Floats, variance: Floats
) -> tuple[Ints, Floats, Floats]:
    """Rows of one place merged: first row, weighted mean score and its variance, in order."""
    _, place = np.unique(order[rows], return_inverse=True)
    weight = np.bincount(place, 1 / variance[rows])
    mean = np.bincount(place, score[rows] / variance[rows]) / weight
    first = np.array([rows[place == i][0] for i in range(weight.size)])
    return first, mean, 1 / weight


def _largest_fall(score: Floats, variance: Floats) -> tuple[int, int, float, float]:
    """Places of the largest fall, its size, and how often noise about a rising curve matches it."""
    fall = np.maximum.accumulate(score) - score
    low = int(np.argmax(fall))
    high = int(np.argmax(score[: low + 1]))
    rising = isotonic_regression(score, weights=1 / variance).x
    rng = np.random.default_rng(SEED)
    again = rising + np.sqrt(variance) * rng.standard_normal((REPLICATES, score.size))
    falls = np.max(np.maximum.accumulate(again, axis=1) - again, axis=1)
    p = (1 + np.count_nonzero(falls >= fall[low])) / (REPLICATES + 1)
    return high, low, float(fall[low]), float(p)
