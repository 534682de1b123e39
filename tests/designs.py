"""Tables made by hand, with a known few-shot elbow."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from emergecast.inference import FitOptions
from emergecast.measurements import SelectOptions

Row = dict[str, Any]

CHANCE = 0.25
SLOPE = 0.6
"""Score per nat."""
SHOTS = 5
DENSE = tuple(float(loss) for loss in np.linspace(3.0, 2.0, 25))
AMOUNTS = (16, 64, 256, 1024, 4096, 16384)


def asked(**options: Any) -> tuple[SelectOptions, FitOptions]:
    """Options of `fit`, each in the record that it belongs to."""
    mine = {field.name for field in fields(SelectOptions)}
    rows = {name: value for name, value in options.items() if name in mine}
    rest = {name: value for name, value in options.items() if name not in mine}
    return SelectOptions(**rows), FitOptions(**rest)


def elbow(examples: float, *, at_d0: float = 1.93, per_log: float = 0.11) -> float:
    """E(D) of the designs: a log power law with alpha = 1, read off at D0 = 5."""
    return at_d0 + per_log * math.log(examples / SHOTS)


def rows(
    *,
    losses: Sequence[float] = DENSE,
    amounts: Sequence[int] = AMOUNTS,
    noise: float = 0.003,
    slope: float = SLOPE,
    at: Callable[[float], float] = elbow,
    few_shot: bool = True,
    seed: int = 0,
    **more: Any,
) -> list[Row]:
    """One row per checkpoint and amount: score = chance + slope max(E(D) - loss, 0) + noise."""
    rng = np.random.default_rng(seed)
    out: list[Row] = []
    for i, loss in enumerate(losses):
        for amount in (*([None] if few_shot else []), *amounts):
            past = max(at(SHOTS if amount is None else amount) - loss, 0.0)
            score = CHANCE + slope * past + noise * rng.standard_normal()
            out.append(
                {
                    "checkpoint": f"c{i}", "loss": loss, "task": "quiz", "chance": CHANCE,
                    "setting": "few_shot" if amount is None else "finetuned",
                    "shots": SHOTS if amount is None else None, "examples": amount,
                    "score": min(max(score, 0.0), 1.0), "stderr": noise, **more,
                }
            )  # fmt: skip
    return out
