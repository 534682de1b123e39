"""The unit of loss, U: how far one has to look ahead on this table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import isotonic_regression

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

RISEN, LEAST, MOST = 0.3, 0.06, 0.12
"""Share of the second best score at which a curve has left chance, and its least and most, R."""
SCATTER = 1e-4
"""Variance added to that of sampling where a curve is made monotone, R^2."""
NEAREST = 8
"""Checkpoints, from the strongest on, that say what a decade of compute is worth."""
APART = 0.05
"""Decades by which two of them must differ."""
SPREAD = 0.5
"""U is at least this share of the distance from the strongest to the median loss."""


def loss_unit(
    loss: Floats, score: Floats, variance: Floats, level: Ints, ln_flops: Floats
) -> float:
    """U in nats: the longest of three lengths, none of which useless checkpoints move.

    From the strongest loss to the highest at which a finetuned curve has left chance; what a decade
    of compute is worth among the strongest checkpoints; half the way to the median loss.

    Args:
        loss: nats, shape (n,).
        score: above chance, in R, shape (n,).
        variance: of sampling, R^2, shape (n,).
        level: 0 for few-shot rows, shape (n,).
        ln_flops: pretraining compute of the row's checkpoint, nan where not known, shape (n,).
    """
    losses = np.unique(loss)
    strongest = float(losses[0])
    spread = SPREAD * (float(np.median(losses)) - strongest)
    crossings = [
        _crossing(*_curve(loss[own], score[own], variance[own]), _bar(score[level > 0]))
        for own in (level == each for each in np.unique(level[level > 0]))
    ]
    farthest = max((each for each in crossings if each is not None), default=None)
    if farthest is None:
        return max(spread, SPREAD * float(losses[-1] - strongest), _decade(loss, ln_flops))
    return max(farthest - strongest, spread, _decade(loss, ln_flops))


def _bar(finetuned: Floats) -> float:
    """The score above chance from which a curve has left it."""
    second = float(np.sort(finetuned)[-2]) if finetuned.size > 1 else MOST
    return min(max(RISEN * second, LEAST), MOST)


def _curve(loss: Floats, score: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """Distinct losses from the highest down, and a monotone curve through the mean scores."""
    distinct, at = np.unique(-loss, return_inverse=True)
    weight = np.bincount(at, 1 / (variance + SCATTER))
    mean = np.bincount(at, score / (variance + SCATTER)) / weight
    return -distinct, np.asarray(isotonic_regression(mean, weights=weight).x)


def _crossing(losses: Floats, curve: Floats, bar: float) -> float | None:
    """The highest loss at which the curve reaches the bar, linear in between; None if never."""
    there = np.flatnonzero(curve >= bar)
    if losses.size < 2 or not there.size:
        return None
    first = int(there[0])
    if first == 0:
        return float(losses[0])
    share = (bar - curve[first - 1]) / (curve[first] - curve[first - 1])
    return float(losses[first - 1] + share * (losses[first] - losses[first - 1]))


def _decade(loss: Floats, ln_flops: Floats) -> float:
    """Nats per tenfold compute: median slope between the strongest checkpoints; 0 if unknown."""
    known = np.isfinite(ln_flops)
    pairs = np.unique(np.column_stack([loss[known], ln_flops[known]]), axis=0)[:NEAREST]
    one, two = np.triu_indices(len(pairs), 1)
    decades = (pairs[two, 1] - pairs[one, 1]) / np.log(10)
    apart = np.abs(decades) > APART
    if np.count_nonzero(apart) < 3:
        return 0.0
    slopes = (pairs[two, 0] - pairs[one, 0])[apart] / decades[apart]
    return max(0.0, -float(np.median(slopes)))
