"""Where few-shot scores cross a bar a little above chance, whatever curve they follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import isotonic_regression

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def crossings(loss: Floats, score: Floats, weight: Floats, bar: float) -> Floats:
    """The highest loss at which scores reach the bar, nats, of several sets of scores.

    The curve is the weighted isotonic regression of score on loss that never rises with the loss,
    linear between neighbouring losses. Minus infinity where it never reaches the bar, plus infinity
    where it does at the highest loss already.

    Args:
        loss: nats, shape (n,).
        score: shape (sets, n).
        weight: at least 0, shape (sets, n); a score of weight 0 counts for nothing.
        bar: in the unit of the score.

    Returns:
        Shape (sets,).
    """
    losses, place = np.unique(loss, return_inverse=True)
    here = (place[:, None] == np.arange(losses.size)).astype(np.float64)
    weights, sums = weight @ here, (weight * score) @ here
    found = [
        _crossing(losses[own > 0], total[own > 0] / own[own > 0], own[own > 0], bar)
        for own, total in zip(weights, sums, strict=True)
    ]
    return np.array(found)


def _crossing(loss: Floats, score: Floats, weight: Floats, bar: float) -> float:
    """The same of scores at different losses, the lowest first; shapes (losses,)."""
    curve = isotonic_regression(score, weights=weight, increasing=False).x
    past = int(np.count_nonzero(curve >= bar))
    if past in {0, curve.size}:
        return np.inf if past else -np.inf
    share = (curve[past - 1] - bar) / (curve[past - 1] - curve[past])
    return float(loss[past - 1] + share * (loss[past] - loss[past - 1]))
