"""The grid of an experiment: every run with its key, and where each stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from emergecast.errors import Mistake
from emergecast.lab.checkpoints import Checkpoint
from emergecast.lab.experiment import (
    HALF_PRECISION,
    PROTOCOL,
    Experiment,
    Method,
    Run,
    RunKind,
    Series,
    Training,
)
from emergecast.lab.ledger import Result, State
from emergecast.lab.plan._choose import choose
from emergecast.lab.plan._facts import Facts
from emergecast.lab.tasks import Task
from emergecast.lab.worker import TaskFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The runs of an experiment."""

    experiment: Experiment
    facts: Facts
    runs: tuple[Run, ...]
    """In the order in which they are done: losses, few-shot scores, then by amount of data."""
    states: Mapping[str, State]
    """Where each run stands, by key."""
    undecided: tuple[Run, ...]
    """Stand-ins for the runs that come at most once the losses decide which checkpoints are taken:
    as many, of checkpoints spread over the series."""

    @property
    def problems(self) -> tuple[Mistake, ...]:
        """What prevents the start, in the order of the lines."""
        return tuple(sorted(self.facts.problems, key=lambda problem: problem.line or 0))

    @property
    def missing(self) -> tuple[Run, ...]:
        """Runs that are neither done nor failed nor running, each key once."""
        found: dict[str, Run] = {}
        for run in self.runs:
            if self.states[run.key] is State.MISSING:
                found.setdefault(run.key, run)
        return tuple(found.values())

    def count(self) -> Counter[State]:
        """How many runs are in each state."""
        return Counter(self.states.values())


def make_plan(
    experiment: Experiment,
    facts: Facts,
    results: Mapping[str, Result],
    states: Mapping[str, State],
) -> Plan:
    """The grid, as far as the losses that are known decide it."""
    runs: list[Run] = []
    undecided: list[Run] = []
    for series in experiment.series:
        known = [each for each in series.checkpoints if (each.series, each.name) in facts.models]
        losses = [run for each in known for run in _loss_runs(experiment, each, facts)]
        runs += losses
        taken = _taken(experiment, series, losses, results, states)
        if taken is None:
            count = series.choice.at_most(len(known))
            standing_in = [known[i * len(known) // count] for i in range(count)]
            undecided += _score_runs(experiment, standing_in, facts)
        else:
            runs += _score_runs(experiment, [c for c in known if c.name in taken], facts)
    runs.sort(key=lambda run: (list(RunKind).index(run.kind), run.examples or 0))
    found = {run.key: states.get(run.key, State.MISSING) for run in runs}
    return Plan(
        experiment=experiment,
        facts=facts,
        runs=tuple(runs),
        states=found,
        undecided=tuple(undecided),
    )


def _taken(
    experiment: Experiment,
    series: Series,
    runs: Sequence[Run],
    results: Mapping[str, Result],
    states: Mapping[str, State],
) -> frozenset[str] | None:
    """Names of the checkpoints to be evaluated; None while losses are missing that decide it."""
    if series.choice.takes_all:
        return frozenset(each.name for each in series.checkpoints)
    losses: dict[str, float] = {}
    for run in runs:
        if not experiment.corpora or run.corpus != experiment.corpora[0].name:
            continue
        result = results.get(run.key)
        if result is not None and result.loss is not None:
            losses[run.checkpoint] = result.loss.nats_per_token
        elif states.get(run.key) is not State.FAILED:
            return None
    return choose(series.choice, losses)


def _loss_runs(experiment: Experiment, checkpoint: Checkpoint, facts: Facts) -> Iterator[Run]:
    for corpus in experiment.corpora:
        about = facts.corpora.get(corpus.name)
        if about is not None:
            identity = _identity(experiment, checkpoint, facts, RunKind.LOSS)
            yield Run(
                series=checkpoint.series,
                checkpoint=checkpoint.name,
                corpus=corpus.name,
                identity=identity | {"corpus": about.hash},
            )


def _score_runs(
    experiment: Experiment, checkpoints: Sequence[Checkpoint], facts: Facts
) -> Iterator[Run]:
    for checkpoint in checkpoints:
        for task in experiment.tasks:
            about = facts.tasks.get(task.name)
            if about is None:
                continue
            if experiment.few_shot:
                yield _few_shot(experiment, checkpoint, task, about, facts)
            for method in experiment.finetuning.methods:
                yield from _finetuned(experiment, checkpoint, (task, about), method, facts)


def _few_shot(
    experiment: Experiment,
    checkpoint: Checkpoint,
    task: Task,
    about: TaskFacts,
    facts: Facts,
) -> Run:
    identity = _identity(experiment, checkpoint, facts, RunKind.FEW_SHOT)
    return Run(
        series=checkpoint.series,
        checkpoint=checkpoint.name,
        task=task.name,
        identity=identity
        | _asked(experiment, task, about)
        | {"shots": task.shots, "task_hash": about.hash},
    )


def _finetuned(
    experiment: Experiment,
    checkpoint: Checkpoint,
    about: tuple[Task, TaskFacts],
    method: Method,
    facts: Facts,
) -> Iterator[Run]:
    task, known = about
    fixed = _identity(experiment, checkpoint, facts, RunKind.FINETUNED)
    if facts.models[checkpoint.series, checkpoint.name].half_precision:
        fixed["half_precision"] = HALF_PRECISION
    fixed |= _asked(experiment, task, known) | {"shots": 0, "task_hash": known.zero_shot_hash}
    settled = method.settled[checkpoint.series, checkpoint.name]
    finetuning = experiment.finetuning
    for examples in experiment.amounts[task.name]:
        repeats = product(range(finetuning.subsets[examples]), range(finetuning.seeds[examples]))
        for subset, seed in repeats:
            training = Training(
                examples=examples, subset=subset, seed=seed, method=settled[examples]
            )
            yield Run(
                series=checkpoint.series,
                checkpoint=checkpoint.name,
                task=task.name,
                training=training,
                identity=fixed | training.identity(),
            )


def _identity(
    experiment: Experiment, checkpoint: Checkpoint, facts: Facts, kind: RunKind
) -> dict[str, Any]:
    model = facts.models[checkpoint.series, checkpoint.name]
    return {
        "kind": str(kind),
        "protocol": PROTOCOL[kind],
        "worker": str(experiment.worker),
        "weights": model.weights_hash,
        "architecture": model.architecture,
        "tokenizer": model.tokenizer_hash,
    }


def _asked(experiment: Experiment, task: Task, about: TaskFacts) -> dict[str, Any]:
    return {
        "task": task.name,
        "metric": about.metric,
        "limit": experiment.limit,
    }
