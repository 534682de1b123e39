"""Few-shot series cut in two: do both halves show the truth at one place?

The simulated ones have toes, slopes, levels at the top, clusters of loss and every size of noise.
`performance/truth.py` counts what the tests count a share of.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple
from zlib import crc32

import numpy as np
import polars as pl

from emergecast.measurements import (
    Selection,
    SelectOptions,
    proving_ground,
    read_table,
    select,
)
from emergecast.observed import Estimand, GroundTruth, GroundTruths, ground_truths

CHANCE = 0.25
ELBOW = 2.5
"""Where the simulated curves bend, nats."""
BUNDLED_CUTS = 5
"""How often each bundled series is cut in two."""


class Curve(NamedTuple):
    """A few-shot curve without noise."""

    slope: float
    """Score per nat past the elbow."""
    toe: float
    """Width of the rounding at the elbow, nats; 0: sharp."""
    gain: float
    """Largest gain over the level before the elbow."""
    level: float
    """Score before the elbow."""

    def at(self, loss: np.ndarray) -> np.ndarray:
        """Expected scores, as `loss`."""
        past = ELBOW - loss
        reach = np.maximum(past, 0)
        if self.toe:
            reach = self.toe * np.logaddexp(0, past / self.toe)
        return self.level + self.gain * -np.expm1(-self.slope * reach / self.gain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Few-shot scores of a series, and the same without noise where they are simulated."""

    name: str
    scores: Selection
    noiseless: Selection | None = None


def simulated(number: int) -> Series:
    """A simulated series: 10 to 40 checkpoints, losses even or in clusters."""
    rng = np.random.default_rng([18, number])
    n = int(rng.choice([10, 14, 18, 22, 30, 40]))
    low, high = ELBOW - rng.uniform(0.2, 0.6), ELBOW + rng.uniform(0.2, 0.8)
    loss = rng.uniform(low, high, n)
    if rng.random() < 0.5:
        middles = rng.uniform(low, high, rng.integers(4, 8))
        loss = rng.choice(middles, n) + 0.01 * rng.standard_normal(n)
    curve = Curve(
        slope=float(np.exp(rng.uniform(math.log(0.5), math.log(3.0)))),
        toe=float(rng.choice([0.0, 0.03, 0.1])),
        gain=float(rng.choice([0.35, 0.5, 0.7])),
        level=CHANCE + float(rng.normal(0, 0.005)),
    )
    mean = curve.at(loss)
    spread = float(rng.choice([0.0, 0.01, 0.03]))
    scatter = spread * rng.standard_normal(n) * np.where(mean > CHANCE + 0.02, 1.0, 0.3)
    items = int(rng.choice([200, 1000, 10_000]))
    score = rng.binomial(items, np.clip(mean + scatter, 0, 1)) / items
    rows = [
        {
            "checkpoint": f"c{i}", "loss": float(at), "task": "t", "setting": "few_shot",
            "score": float(y), "n_items": items, "chance": CHANCE, "invented": True,
        }
        for i, (at, y) in enumerate(zip(loss, score, strict=True))
    ]  # fmt: skip
    found = select(read_table(rows), SelectOptions())
    few = found.all_few_shot
    exact = few.with_columns(score=pl.Series(curve.at(few["loss"].to_numpy())))
    return Series(
        name=f"simulated {number}",
        scores=found,
        noiseless=replace(found, all_few_shot=exact),
    )


def bundled() -> Iterator[Series]:
    """Each task, seed and size of the proving ground, and each task and seed with all sizes."""
    table = proving_ground()
    sizes = sorted({name.split("-")[0] for name in table.frame["checkpoint"].to_list()})
    for task in sorted(set(table.frame["task"])):
        for series in ("seed-0", "seed-1"):
            found = select(table, SelectOptions(task=task, series=series))
            few = found.all_few_shot
            yield Series(name=f"{task} {series}", scores=found)
            for size in sizes:
                part = few.filter(pl.col("checkpoint").str.starts_with(f"{size}-"))
                kept = replace(found, all_few_shot=part)
                yield Series(name=f"{task} {series} {size}", scores=kept)


def halves(scores: Selection, cut: int) -> tuple[Selection, Selection]:
    """The checkpoints in two halves at random; the same for the same scores and `cut`."""
    few = scores.all_few_shot
    names = f"{scores.task} {scores.series} {few['checkpoint'].to_list()}"
    order = np.random.default_rng([cut, crc32(names.encode())]).permutation(few.height)
    first, second = np.sort(order[::2]), np.sort(order[1::2])
    return (
        replace(scores, all_few_shot=few[first.tolist()]),
        replace(scores, all_few_shot=few[second.tolist()]),
    )


def both(scores: Selection, cut: int) -> tuple[GroundTruths, GroundTruths]:
    """What the two halves show."""
    first, second = halves(scores, cut)
    return ground_truths(first), ground_truths(second)


def agree(first: GroundTruth, second: GroundTruth) -> bool:
    """Whether two truths differ by at most their combined 90% intervals.

    The half widths towards each other are added in quadrature, as for two independent errors: with
    intervals that are right, 90% of pairs agree.
    """
    low, high = sorted((first, second), key=lambda each: each.loss)
    reach = math.hypot(low.p95 - low.loss, high.loss - high.p05)
    return high.loss - low.loss <= reach + 1e-12


class Agreement(NamedTuple):
    """Over many series cut in two."""

    pairs: int
    """Series of which both halves show the truth."""
    share: float
    """Of them, those whose halves agree."""
    overlap: float
    """Of them, those whose 90% intervals overlap at all, which is easier."""
    width: float
    """Median width of the 90% interval of a half, nats."""
    apart: float
    """Median distance between the estimates of two halves, nats."""


def agreement(cuts: Sequence[tuple[GroundTruths, GroundTruths]], target: Estimand) -> Agreement:
    """How often the halves of these series agree."""
    pairs = [
        (one, other)
        for first, second in cuts
        if (one := first.of(target)) is not None and (other := second.of(target)) is not None
    ]
    met = [max(one.p05, other.p05) <= min(one.p95, other.p95) for one, other in pairs]
    return Agreement(
        pairs=len(pairs),
        share=float(np.mean([agree(*pair) for pair in pairs])),
        overlap=float(np.mean(met)),
        width=float(np.median([each.p95 - each.p05 for pair in pairs for each in pair])),
        apart=float(np.median([abs(one.loss - other.loss) for one, other in pairs])),
    )
