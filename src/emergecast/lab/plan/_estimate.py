"""What the rest of an experiment will take: time, disk, money. Rough, and says what it rests on."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from emergecast.lab.experiment import Run, RunKind, WorkerKind
from emergecast.lab.ledger import GRADING, Result, State
from emergecast.lab.plan._plan import Plan
from emergecast.scaling import (
    CPU_FLOPS_PER_SECOND,
    FLOPS_PER_PARAM_AND_TOKEN,
    GPU_FLOPS_PER_SECOND,
)

_ITEM_TOKENS: Final = 100
"""Assumed tokens of a test item or a training example whose size is not known."""
_BYTES_PER_TOKEN: Final = 4
_OVERHEAD: Final[Mapping[RunKind, float]] = {
    RunKind.LOSS: 0.5,
    RunKind.FEW_SHOT: 0.5,
    RunKind.FINETUNED: 1.0,
}
"""Assumed seconds of a run beside its arithmetic: loading, saving."""
_ADAM: Final = 3 * 4
"""Bytes per parameter of a training checkpoint: weights and two moments in 32 bits."""
_BEST: Final = 4
"""Bytes per parameter of the best weights so far, which early stopping keeps beside them."""
_TEST_SECONDS: Final = 0.1
"""Seconds of a core for one test of a program, assumed: most programs end at once, some hang."""
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
    """As many as are asked for, but not more than there are runs."""
    bytes_needed: int
    """Free space that is needed: training checkpoints at a time, and results."""
    cost: float | None
    """Price of the work; None where no price per hour is stated."""
    basis: str
    """What the time rests on, in a sentence."""
    grading: Grading | None = None
    """What grading programs takes, which is among the time; None where there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grading:
    """What grading the programs of what is left takes, beside their generation."""

    tests: int
    """Tests of generated programs; of equal programs they are run once."""
    reference_tests: int
    """Tests of reference solutions, for the masks that are not there yet; up to three times as many
    where references fail."""
    seconds_per_test: float
    """Of one core."""
    measured: bool
    """Whether runs in the ledger say so."""
    cores: int
    """Of this machine."""

    @property
    def core_seconds(self) -> float:
        """All of it on one core."""
        return (self.tests + self.reference_tests) * self.seconds_per_test


def grading_left(plan: Plan, results: Mapping[str, Result], left: Sequence[Run]) -> Grading | None:
    """What grading takes; None where nothing is left to grade."""
    asked = Counter(run.task for run in left if run.task is not None)
    known = {name: about.programs for name, about in plan.facts.tasks.items()}
    programs = {name: found for name, found in known.items() if found and asked[name]}
    if not programs:
        return None
    took = [
        (results[run.key].timings.get(GRADING, 0.0), found.tests * found.samples)
        for run in plan.runs
        if run.key in results and (found := known.get(run.task or "")) is not None
    ]
    tested = sum(tests for _, tests in took)
    stated = plan.experiment.costs.seconds_per_test
    measured = sum(seconds for seconds, _ in took) / tested if tested else None
    return Grading(
        tests=sum(asked[name] * found.tests * found.samples for name, found in programs.items()),
        reference_tests=sum(e.reference_tests for e in programs.values() if e.masked is None),
        seconds_per_test=stated or measured or _TEST_SECONDS,
        measured=stated is None and bool(measured),
        cores=os.cpu_count() or 1,
    )


def estimate(
    plan: Plan, results: Mapping[str, Result], *, workers: int, on_gpu: bool = False
) -> Estimate:
    """Time, disk and cost of the runs that have no result, failed ones left out."""
    left = [*_unique(plan), *plan.undecided]
    took = {key: result.seconds for key, result in results.items()}
    paces = _paces(plan, took, on_gpu=on_gpu)
    seconds = sum(paces[run.kind].seconds(flops(plan, run)) for run in left)
    grading = grading_left(plan, results, left)
    price = plan.experiment.costs.per_hour
    busy = max(1, min(workers, len(left)))
    if grading is not None:  # it goes on beside the generation, on the cores that all workers share
        seconds = max(seconds, grading.core_seconds / grading.cores * busy)
    return Estimate(
        worker_seconds=seconds,
        wall_seconds=seconds / busy,
        workers=busy,
        bytes_needed=_bytes(plan, left, busy),
        cost=None if price is None else price * seconds / 3600,
        basis=_basis(plan, paces, {run.kind for run in left}),
        grading=grading,
    )


def seconds_each(
    plan: Plan, took: Mapping[str, float], *, on_gpu: bool = False
) -> dict[str, float]:
    """Seconds that each run takes, by key: measured where it is done, else estimated.

    Those that may follow are among them. The same as in `estimate`; `took` holds the seconds of the
    runs that are done, by key.
    """
    paces = _paces(plan, took, on_gpu=on_gpu)
    runs = {run.key: run for run in (*plan.runs, *plan.undecided)}
    return {
        key: took[key] if key in took else paces[run.kind].seconds(flops(plan, run))
        for key, run in runs.items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pace:
    """Seconds of a run: so many for itself, and so many per FLOP."""

    fixed: float
    per_flop: float
    measured: int = 0
    """Runs that it was fitted to."""

    def seconds(self, flop: float) -> float:
        return self.fixed + self.per_flop * flop


def _basis(plan: Plan, paces: Mapping[RunKind, _Pace], left: set[RunKind]) -> str:
    if plan.experiment.worker is WorkerKind.REHEARSAL:
        return "a rehearsal"
    measured = sum(pace.measured for pace in paces.values())
    guessed = {kind: paces[kind] for kind in left if not paces[kind].measured}
    said = [f"from {measured:,} runs in the ledger"] if measured else []
    if guessed:
        which = f", {' and '.join(sorted(guessed))}" if measured else ""
        rate = 1 / next(iter(guessed.values())).per_flop
        said.append(f"assuming {rate:.2g} FLOP per second{which}")
    return "; ".join(said)


def _paces(plan: Plan, took: Mapping[str, float], *, on_gpu: bool) -> dict[RunKind, _Pace]:
    """How long the kinds of runs take, fitted to those of the kind in the ledger.

    Where there are none of a kind, the arithmetic is taken to be as fast as in the others,
    or as a machine of this kind usually is.
    """
    rehearsal = plan.experiment.worker is WorkerKind.REHEARSAL
    stated = plan.experiment.costs.flops_per_second
    paces: dict[RunKind, _Pace] = {}
    for kind in RunKind:
        mine = {run.key: run for run in plan.runs if run.kind is kind}
        pairs = [(flops(plan, run), took[key]) for key, run in mine.items() if key in took]
        if pairs:
            fixed, per_flop = _line(pairs)
            paces[kind] = _Pace(fixed=fixed, per_flop=per_flop, measured=len(pairs))
    usual = 1 / (stated or (GPU_FLOPS_PER_SECOND if on_gpu else CPU_FLOPS_PER_SECOND))
    seen = [pace.per_flop for pace in paces.values() if pace.per_flop > 0 and pace.measured > 2]
    per_flop = max(seen) if seen and stated is None else usual
    for kind in RunKind:
        if kind not in paces and rehearsal:
            paces[kind] = _Pace(fixed=plan.experiment.rehearsal.seconds, per_flop=0.0)
        elif kind not in paces:
            paces[kind] = _Pace(fixed=_OVERHEAD[kind], per_flop=per_flop)
    return paces


def _unique(plan: Plan) -> list[Run]:
    kept = {State.MISSING, State.RUNNING}
    return list({run.key: run for run in plan.runs if plan.states[run.key] in kept}.values())


def flops(plan: Plan, run: Run) -> float:
    """Arithmetic of a run in FLOP: 6 * params for a step on a token, a third for a look at it."""
    step = FLOPS_PER_PARAM_AND_TOKEN * plan.facts.models[run.series, run.checkpoint].params
    look = step / 3
    if run.corpus is not None:
        return look * plan.facts.corpora[run.corpus].bytes / _BYTES_PER_TOKEN
    if run.task is None:
        return 0.0
    about = plan.facts.tasks[run.task]
    size = about.item_bytes if run.training is None else about.zero_shot_item_bytes
    tokens = _ITEM_TOKENS if size is None else size / _BYTES_PER_TOKEN
    evaluation = look * about.items * tokens
    if run.training is None:
        return evaluation
    work = run.training.method.work(run.training.examples)
    return evaluation + (step * work.trained + look * work.looked_at) * tokens


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
    trained = [
        models[run.series, run.checkpoint].params
        * (_ADAM if how.method.early_stopping is None else _ADAM + _BEST)
        for run in left
        if (how := run.training) is not None
    ]
    checkpoints = 2 * sum(sorted(trained, reverse=True)[:workers])
    items = sum(plan.facts.tasks[run.task].items for run in left if run.task is not None)
    return checkpoints + _ITEM_BYTES * items + 4096 * len(left)
