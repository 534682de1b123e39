"""Random measurement tables whose truth is known: designs and parameters drawn widely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LAWS = ("log-power", "power")


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """The parameters a table was drawn from."""

    elbow_at_d0: float
    elbow_at_dmax: float
    alpha: float
    slope: float
    level: float
    offset: float
    tau: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedTable:
    """One table as plain arrays, one entry per row; nan marks a missing number."""

    loss: Floats
    examples: Floats
    few_shot: NDArray[np.bool_]
    score: Floats
    stderr: Floats
    n_items: Floats
    runs: Floats
    checkpoint: NDArray[np.int64]
    subset: NDArray[np.int64]
    chance: float
    few_shot_examples: float
    law: str
    truth: Truth


def coordinate(law: str, examples: Floats | float) -> Floats:
    """x(D): ln D for the log power law, D for the power law."""
    amounts = np.asarray(examples, dtype=np.float64)
    return np.log(amounts) if law == "log-power" else amounts


def _losses(rng: np.random.Generator) -> Floats:
    """5 to 14 distinct losses: even, random or clustered, on one of two realistic ranges."""
    n = int(rng.integers(5, 15))
    low, high = ((5.0, 6.5), (1.8, 2.8))[int(rng.integers(2))]
    width = (high - low) * rng.uniform(0.4, 1.0)
    start = rng.uniform(low, high - width)
    spread = rng.choice(["even", "random", "clustered"])
    if spread == "even":
        at = np.linspace(0, 1, n) + rng.normal(0, 0.01, n)
    elif spread == "random":
        at = rng.uniform(0, 1, n)
    else:
        at = rng.choice(rng.uniform(0, 1, 3), n) + rng.normal(0, 0.05, n)
    return np.sort(start + width * at)[::-1]


def _amounts(rng: np.random.Generator) -> Floats:
    """3 to 7 distinct data amounts between 16 and 16,384, log-spaced with jitter."""
    n = int(rng.integers(3, 8))
    low, high = np.log(16 * 2 ** rng.uniform(0, 3)), np.log(16384 * 0.5 ** rng.uniform(0, 4))
    step = (high - low) / (n - 1)
    at = np.linspace(low, high, n) + rng.uniform(-0.2, 0.2, n) * step
    return np.unique(np.round(np.clip(np.exp(at), 16, 16384)))


def random_table(rng: np.random.Generator, law: str | None = None) -> SimulatedTable:
    """A table with its design, its law and its truth drawn from `rng`."""
    law = law or LAWS[int(rng.random() < 0.35)]
    losses, amounts = _losses(rng), _amounts(rng)
    chance = float(rng.choice([0.0, 0.1, 0.25, 0.5], p=[0.1, 0.2, 0.5, 0.2]))
    d0 = float(rng.integers(1, 9))
    alpha = float(rng.uniform(0.5, 4.0) if law == "log-power" else rng.uniform(0.08, 1.0))
    span, strongest = np.ptp(losses), losses.min()
    if rng.random() < 0.75:  # few-shot is still at chance
        e0 = strongest - span * rng.uniform(-0.02, 0.3)
    else:  # the strongest checkpoints already show it
        e0 = strongest + span * rng.uniform(0.02, 0.4)
    emax = e0 + (losses.max() - e0) * rng.uniform(0.3, 0.95)
    top = rng.uniform(0.15, 0.9) * (1 - chance)  # score above chance of the best finetuned model
    slope = top / (emax - strongest)
    noise = float(np.exp(rng.uniform(np.log(0.003), np.log(0.03))))
    tau, sampling = noise * np.array([np.sqrt(f := rng.uniform(0.1, 0.95)), np.sqrt(1 - f)])
    truth = Truth(
        elbow_at_d0=float(e0),
        elbow_at_dmax=float(emax),
        alpha=alpha,
        slope=float(slope),
        level=float(max(chance + rng.normal(0, 0.01) * (1 - chance), 0.0)),
        offset=float(rng.normal(0, 0.01) * (1 - chance)),
        tau=float(tau),
    )

    repeats = rng.choice(["single", "rows", "runs"], p=[0.4, 0.3, 0.3])
    cells: list[tuple[int, float, int, float]] = []  # checkpoint, examples, subset, runs
    keep = rng.uniform(0.85, 1.0) if rng.random() < 0.4 else 1.0
    for c in range(len(losses)):
        cells.append((c, np.nan, 0, 1.0))
        for amount in amounts:
            cells.extend(
                (c, amount, subset, 2.0 if repeats == "runs" else 1.0)
                for subset in range(2 if repeats == "rows" else 1)
                if rng.random() < keep
            )
    checkpoint = np.array([c for c, *_ in cells])
    examples = np.array([a for _, a, *_ in cells])
    few_shot = np.isnan(examples)
    if rng.random() < 0.15:  # a table without few-shot rows
        kept = ~few_shot
        cells = [cell for cell, k in zip(cells, kept, strict=True) if k]
        checkpoint, examples, few_shot = checkpoint[kept], examples[kept], few_shot[kept]
    subsets = np.array([s for *_, s, _ in cells])
    runs = np.array([r for *_, r in cells])
    loss = losses[checkpoint]

    x, x0, x1 = (coordinate(law, d) for d in (examples, d0, amounts.max()))
    growth = (x**alpha - x0**alpha) / (x1**alpha - x0**alpha)
    elbow = np.where(few_shot, e0, e0 + (emax - e0) * growth)
    mean = truth.level + truth.offset * few_shot + slope * np.maximum(elbow - loss, 0.0)
    mean = mean + rng.normal(0, 1, len(mean)) * truth.tau / np.sqrt(runs)
    missing = np.full(len(mean), np.nan)
    known = rng.choice(["stderr", "n_items", "neither"], p=[0.45, 0.35, 0.2])
    stderr, n_items = missing, missing.copy()
    if known == "n_items":
        n = max(int(0.2 / sampling**2), 50)
        score = rng.binomial(n, np.clip(mean, 0, 1)) / n
        n_items = np.full(len(mean), float(n))
    else:
        score = mean + rng.normal(0, sampling, len(mean))
        if known == "stderr":
            stderr = sampling * np.exp(rng.normal(0, 0.1, len(mean)))
    return SimulatedTable(
        loss=loss,
        examples=examples,
        few_shot=few_shot,
        score=np.clip(score, 0.0, 1.0),
        stderr=stderr,
        n_items=n_items,
        runs=runs,
        checkpoint=checkpoint,
        subset=subsets,
        chance=chance,
        few_shot_examples=d0,
        law=law,
        truth=truth,
    )


def random_tables(n: int, seed: int) -> list[SimulatedTable]:
    """The first n tables of a seed; table i does not depend on n."""
    return [random_table(np.random.default_rng([seed, i])) for i in range(n)]


def as_rows(table: SimulatedTable, series: str = "simulated") -> list[dict[str, Any]]:
    """The table as rows with the column names of a measurement table; None where missing."""

    def number(value: float) -> float | None:
        return None if np.isnan(value) else float(value)

    def whole(value: float) -> int | None:
        return None if np.isnan(value) else int(value)

    return [
        {
            "series": series,
            "checkpoint": f"c{table.checkpoint[i]}",
            "loss": float(table.loss[i]),
            "task": "t",
            "metric": "acc",
            "setting": "few_shot" if table.few_shot[i] else "finetuned",
            "shots": int(table.few_shot_examples) if table.few_shot[i] else 0,
            "examples": whole(table.examples[i]),
            "subset": None if table.few_shot[i] else int(table.subset[i]),
            "score": float(table.score[i]),
            "stderr": number(table.stderr[i]),
            "n_items": whole(table.n_items[i]),
            "runs": int(table.runs[i]),
            "chance": table.chance,
        }
        for i in range(len(table.loss))
    ]
