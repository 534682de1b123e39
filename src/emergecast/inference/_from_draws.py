"""A distribution from weighted draws: its broken line, its error, its smoothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from emergecast.inference._posterior import INTERVAL

if TYPE_CHECKING:
    from emergecast.inference._data import Floats
    from emergecast.inference._posterior import Posterior

GROUPS = 16
"""Groups of chains that are left out in turn to see how far the quantiles may be off."""


def broken_line(values: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Cumulative distribution of weighted draws: sorted values, and the mass below their middle."""
    order = np.argsort(values, kind="stable")
    values, weight = values[order], weight[order]
    cumulative = np.cumsum(weight) - 0.5 * weight
    edge = 1e-9 * max(1.0, float(np.abs(values).max()))
    knots = np.concatenate([[values[0] - edge], values, [values[-1] + edge]])
    return knots, np.concatenate([[0.0], cumulative, [1.0]])


def draws_error(values: Floats, weight: Floats) -> float:
    """Standard error of the 5, 50 and 95% quantiles, the largest, in the unit of the values.

    A jackknife over groups of chains, draw i being of chain i modulo their number: how much the
    quantiles move without each of them.
    """
    group = np.arange(values.size) % GROUPS
    found = []
    for i in range(GROUPS):
        rest = group != i
        total = weight[rest].sum()
        if total > 0:
            knots, cumulative = broken_line(values[rest], weight[rest] / total)
            found.append(np.interp(INTERVAL, cumulative, knots))
    if len(found) < GROUPS:
        return math.inf
    return float(math.sqrt(GROUPS - 1) * np.max(np.std(found, axis=0)))


def smoothing(posterior: Posterior, effective: float) -> float:
    """Bandwidth of a density from so many draws, nats (Silverman's rule)."""
    low, high = posterior.quantile([0.25, 0.75])
    spread = min(posterior.sd, float(high - low) / 1.34) or posterior.sd
    return float(0.9 * spread * max(effective, 1.0) ** -0.2)
