"""Which checkpoints are evaluated: by loss alone, since a choice by score would bias the table."""

from __future__ import annotations

import math
from collections.abc import Mapping

from emergecast.lab.experiment import Choice


def choose(choice: Choice, losses: Mapping[str, float]) -> frozenset[str]:
    """Names of the checkpoints that `choice` takes; `losses` are in nats per token, by name.

    Of two checkpoints that are equally near, the one of the lower loss, then the first name.
    """
    below = math.inf if choice.below is None else choice.below
    above = -math.inf if choice.above is None else choice.above
    inside = {name: loss for name, loss in losses.items() if above <= loss <= below}
    if not inside:
        return frozenset()
    targets = list(choice.losses)
    if choice.count is not None:
        if choice.count >= len(inside):
            return frozenset(inside)
        targets = _spread(min(inside.values()), max(inside.values()), choice.count)
    elif not targets:
        return frozenset(inside)
    if choice.losses:
        return frozenset(_nearest(inside, target) for target in targets)
    taken: list[str] = []
    for target in targets:
        left = {name: loss for name, loss in inside.items() if name not in taken}
        taken.append(_nearest(left, target))
    return frozenset(taken)


def _nearest(losses: Mapping[str, float], target: float) -> str:
    return min(losses, key=lambda name: (abs(losses[name] - target), losses[name], name))


def _spread(low: float, high: float, count: int) -> list[float]:
    if count == 1:
        return [low]
    return [low + (high - low) * i / (count - 1) for i in range(count)]
