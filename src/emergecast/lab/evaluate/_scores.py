"""A score: one number over all items, with its sampling error."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emergecast.lab.tasks import BesideMetric


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Mean of one metric over the test items."""

    metric: str
    """Its name."""
    score: float
    """In the unit of the metric."""
    stderr: float | None
    """Sampling error of the mean; None for a single item."""
    n_items: int
    """Test items."""


def mean_score(metric: str, values: Sequence[float]) -> Score:
    """Mean and its standard error, the sample's standard deviation (n - 1) / sqrt(n)."""
    data = np.asarray(values, dtype=float)
    error = float(data.std(ddof=1) / math.sqrt(len(data))) if len(data) > 1 else None
    return Score(metric=metric, score=float(data.mean()), stderr=error, n_items=len(data))


def matthews(pairs: Sequence[tuple[str, str]]) -> Score:
    """Matthews correlation of what should be said and what was, over items.

    With s items, c right ones, and p_k and t_k items for which class k was said and is right, it is
    `(c s - sum p_k t_k) / sqrt((s^2 - sum p_k^2) (s^2 - sum t_k^2))` (Gorodkin 2004, eq. 8), and 0
    where one class alone was said or is right. Its error is that of the jackknife; None where all
    items have one class, since 0 would be read as certainty.
    """
    cells = Counter(pairs)
    count = len(pairs)
    found = _correlation(cells)
    without = {cell: _correlation(cells - Counter([cell])) for cell in cells}
    centre = sum(often * without[cell] for cell, often in cells.items()) / count
    square = sum(often * (without[cell] - centre) ** 2 for cell, often in cells.items())
    classes = min(len({target for target, _ in pairs}), len({said for _, said in pairs}))
    error = math.sqrt((count - 1) / count * square) if classes > 1 else None
    return Score(metric=BesideMetric.MCC, score=found, stderr=error, n_items=count)


def _correlation(cells: Counter[tuple[str, str]]) -> float:
    count = cells.total()
    right = sum(often for (target, said), often in cells.items() if target == said)
    targets: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    for (target, said), often in cells.items():
        targets[target] += often
        answers[said] += often
    both = sum(targets[each] * answers[each] for each in targets)
    spread = [
        count**2 - sum(often**2 for often in counter.values()) for counter in (targets, answers)
    ]
    return (right * count - both) / math.sqrt(spread[0] * spread[1]) if all(spread) else 0.0
