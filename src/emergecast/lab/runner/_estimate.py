"""What the rest of an experiment will take: time, disk, money. Rough, and it says from what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from emergecast.lab.runner._experiment import Worker
from emergecast.lab.runner._ledger import Result, State
from emergecast.lab.runner._plan import Plan
from emergecast.lab.runner._run import Run, RunKind

_ITEM_TOKENS: Final = 100
"""Assumed tokens of a test item or a training example, prompt and answer."""
_BYTES_PER_TOKEN: Final = 4
_OVERHEAD: Final[Mapping[RunKind, float]] = {
    RunKind.LOSS: 1.0,
    RunKind.FEW_SHOT: 1.0,
    RunKind.FINETUNED: 2.0,
}
"""Assumed seconds of a run beside its arithmetic: loading, saving."""
CPU_FLOPS: Final = 1e10
"""Assumed arithmetic of one CPU core, FLOP per second."""
GPU_FLOPS: Final = 5e13
"""Assumed arithmetic of one GPU, FLOP per second."""
_ADAM: Final = 3 * 4
"""Bytes per parameter of a training checkpoint: weights and two moments in 32 bits."""
_ITEM_BYTES: Final = 16
"""Compressed bytes of one item's outcome in the ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What is left to do."""

    worker_seconds: float
    """Seconds of work, summed over the workers."""
    wall_seconds: float
    """The same shared out to the workers."""
    workers: int
    bytes_needed: int
    """Free space that is needed: training checkpoints at a time, and results."""
    cost: float | None
    """Price of the work; None where no price per hour is stated."""
    basis: str
    """What the time rests on, in a sentence."""


def estimate(
    plan: Plan, results: Mapping[str, Result], *, workers: int, on_gpu: bool = False
) -> Estimate:
    """Time, disk and cost of the runs that have no result, failed ones left out."""
    left = [*_unique(plan), *plan.undecided]
    each, measured = _each(plan, results, left, on_gpu=on_gpu)
    seconds = sum(each)
    price = plan.experiment.costs.per_hour
    basis = (
        f"from {measured:,} runs in the ledger"
        if measured
        else f"assuming {_rate(plan, on_gpu=on_gpu):.0e} FLOP per second and {_ITEM_TOKENS} tokens"
        " per item"
    )
    if plan.experiment.worker is Worker.REHEARSAL:
        basis = "a rehearsal"
    busy = max(1, min(workers, len(left)))
    return Estimate(
        worker_seconds=seconds,
        wall_seconds=seconds / busy,
        workers=busy,
        bytes_needed=_bytes(plan, left, busy),
        cost=None if price is None else price * seconds / 3600,
        basis=basis,
    )


def seconds_each(
    plan: Plan, results: Mapping[str, Result], *, on_gpu: bool = False
) -> dict[str, float]:
    """Seconds that each run takes, by key: measured where it is done, else estimated."""
    runs = list({run.key: run for run in plan.runs}.values())
    guessed, _ = _each(plan, results, runs, on_gpu=on_gpu)
    return {
        run.key: results[run.key].seconds if run.key in results else guess
        for run, guess in zip(runs, guessed, strict=True)
    }


def _rate(plan: Plan, *, on_gpu: bool) -> float:
    return plan.experiment.costs.flops_per_second or (GPU_FLOPS if on_gpu else CPU_FLOPS)


def _each(
    plan: Plan, results: Mapping[str, Result], runs: Sequence[Run], *, on_gpu: bool
) -> tuple[list[float], int]:
    """Seconds of each run, and how many measured runs that rests on.

    Seconds = a + b * FLOP, fitted to the runs of its kind in the ledger; assumed where there are
    none.
    """
    lines: dict[RunKind, tuple[float, float]] = {}
    measured = 0
    for kind in {run.kind for run in runs}:
        known = {run.key: run for run in plan.runs if run.kind is kind and run.key in results}
        pairs = [(flops(plan, run), results[key].seconds) for key, run in known.items()]
        measured += len(pairs)
        if pairs:
            lines[kind] = _line(pairs)
        elif plan.experiment.worker is Worker.REHEARSAL:
            lines[kind] = (plan.experiment.rehearsal.seconds, 0.0)
        else:
            lines[kind] = (_OVERHEAD[kind], 1 / _rate(plan, on_gpu=on_gpu))
    return [lines[r.kind][0] + lines[r.kind][1] * flops(plan, r) for r in runs], measured


def _unique(plan: Plan) -> list[Run]:
    kept = {State.MISSING, State.RUNNING}
    return list({run.key: run for run in plan.runs if plan.states[run.key] in kept}.values())


def flops(plan: Plan, run: Run) -> float:
    """Arithmetic of a run in FLOP: 2 * params for a look at a token, 6 for a step on it."""
    params = plan.facts.models[run.series, run.checkpoint].params
    if run.corpus is not None:
        return 2.0 * params * plan.facts.corpora[run.corpus].bytes / _BYTES_PER_TOKEN
    items = 0 if run.task is None else plan.facts.tasks[run.task].items
    looked_at = 2.0 * params * items * _ITEM_TOKENS
    if run.recipe is None:
        return looked_at
    return looked_at + 6.0 * params * run.recipe.steps * run.recipe.batch_size * _ITEM_TOKENS


def _line(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Least squares of seconds = a + b * flops with a, b >= 0."""
    x, y = np.array(pairs, dtype=float).T
    spread = float(((x - x.mean()) ** 2).sum())
    b = float(((x - x.mean()) * (y - y.mean())).sum()) / spread if spread > 0 else 0.0
    a = float(y.mean() - b * x.mean())
    if b < 0:
        return float(y.mean()), 0.0
    if a < 0:
        return 0.0, float((x * y).sum() / (x * x).sum())
    return a, b


def _bytes(plan: Plan, left: Sequence[Run], workers: int) -> int:
    models = plan.facts.models
    trained = [models[run.series, run.checkpoint].params for run in left if run.recipe is not None]
    checkpoints = 2 * _ADAM * sum(sorted(trained, reverse=True)[:workers])
    items = sum(plan.facts.tasks[run.task].items for run in left if run.task is not None)
    return checkpoints + _ITEM_BYTES * items + 4096 * len(left)
