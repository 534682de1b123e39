"""The grid of an experiment: every run with its key, and where each stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from emergecast.errors import Mistake, OptionError
from emergecast.lab.checkpoints import Checkpoint
from emergecast.lab.evaluate import PROXY_VERSION
from emergecast.lab.experiment import (
    CONFIG,
    DEFINITION,
    HALF_PRECISION,
    PROTOCOL,
    PROXY,
    Experiment,
    Method,
    Run,
    RunKind,
    Series,
    Training,
)
from emergecast.lab.ledger import Result, State
from emergecast.lab.plan._choose import choose
from emergecast.lab.plan._chosen import Chosen
from emergecast.lab.plan._facts import Facts
from emergecast.lab.tasks import Task
from emergecast.lab.worker import TaskFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The runs of an experiment."""

    experiment: Experiment
    """What is planned."""
    facts: Facts
    """What is known of its checkpoints, tasks and corpora."""
    runs: tuple[Run, ...]
    """From cheap to expensive: losses, few-shot scores, then by amount of data."""
    states: Mapping[str, State]
    """Where each run stands, by key."""
    undecided: tuple[Run, ...]
    """Stand-ins for the runs that come at most once the losses decide which checkpoints are taken:
    as many, of checkpoints spread over the series."""
    chosen: Chosen = field(default_factory=Chosen)
    """Which runs are meant: `runs` and `undecided` hold no others."""
    awaited: int = 0
    """Losses outside of `runs` that are missing, and decide which checkpoints are taken."""

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
    *,
    chosen: Chosen | None = None,
) -> Plan:
    """The grid, as far as the losses that are known decide it; those runs of it that are chosen.

    Raises:
        OptionError: no run has such a title.
    """
    chosen = chosen or Chosen()
    grid = _Grid(experiment=experiment, facts=facts)
    runs: list[Run] = []
    undecided: list[Run] = []
    awaited: set[str] = set()
    for series in experiment.series:
        known = [each for each in series.checkpoints if (each.series, each.name) in facts.models]
        losses = [run for each in known for run in grid.losses(each)]
        runs += losses
        taken = _taken(experiment, series, losses, results, states)
        if taken is None:
            wanted = [[run for run in grid.scores(each) if chosen.takes(run)] for each in known]
            wanted = [each for each in wanted if each]
            count = series.choice.at_most(len(wanted))
            undecided += [run for i in range(count) for run in wanted[i * len(wanted) // count]]
            awaited |= {run.key for run in losses if states.get(run.key) is not State.DONE}
        else:
            runs += [run for each in known if each.name in taken for run in grid.scores(each)]
    if not facts.problems and not any(map(chosen.title_fits, [*runs, *undecided])):
        example = f'; there is "{runs[0].title}"' if runs else ""
        raise OptionError(f"no run has a title that fits {chosen}{example}.")
    runs = [run for run in runs if chosen.takes(run)]
    runs.sort(key=lambda run: (list(RunKind).index(run.kind), run.examples or 0))
    return Plan(
        experiment=experiment,
        facts=facts,
        runs=tuple(runs),
        states={run.key: states.get(run.key, State.MISSING) for run in runs},
        undecided=tuple(undecided),
        chosen=chosen,
        awaited=len(awaited - {run.key for run in runs}) if undecided else 0,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grid:
    """The runs of a checkpoint, each with all that determines its result."""

    experiment: Experiment
    """What they are runs of."""
    facts: Facts
    """What is known of it; a task or corpus that cannot be used has no runs."""

    def losses(self, checkpoint: Checkpoint) -> Iterator[Run]:
        """One run for each corpus."""
        identity = self._identity(checkpoint, RunKind.LOSS)
        for corpus in self.experiment.corpora:
            about = self.facts.corpora.get(corpus.name)
            if about is not None:
                yield Run(
                    series=checkpoint.series,
                    checkpoint=checkpoint.name,
                    corpus=corpus.name,
                    identity=identity | {"corpus": about.hash},
                )

    def scores(self, checkpoint: Checkpoint) -> Iterator[Run]:
        """For each task a few-shot run, and one for each finetuning."""
        for task in self.experiment.tasks:
            about = self.facts.tasks.get(task.name)
            if about is None:
                continue
            if self.experiment.few_shot:
                yield self._few_shot(checkpoint, task, about)
            for method in self.experiment.finetuning.methods:
                yield from self._finetuned(checkpoint, task, about, method)

    def _few_shot(self, checkpoint: Checkpoint, task: Task, about: TaskFacts) -> Run:
        identity = self._identity(checkpoint, RunKind.FEW_SHOT)
        return Run(
            series=checkpoint.series,
            checkpoint=checkpoint.name,
            task=task.name,
            identity=identity | self._asked(task, about, task.shots, about.hash),
        )

    def _finetuned(
        self, checkpoint: Checkpoint, task: Task, about: TaskFacts, method: Method
    ) -> Iterator[Run]:
        fixed = self._identity(checkpoint, RunKind.FINETUNED)
        if self.facts.models[checkpoint.series, checkpoint.name].half_precision:
            fixed["half_precision"] = HALF_PRECISION
        fixed |= self._asked(task, about, 0, about.zero_shot_hash)
        settled, finetuning = (
            method.settled[checkpoint.series, checkpoint.name],
            self.experiment.finetuning,
        )
        for examples in self.experiment.amounts[task.name]:
            subsets, seeds = finetuning.subsets[examples], finetuning.seeds[examples]
            for subset, seed in product(range(subsets), range(seeds)):
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

    def _identity(self, checkpoint: Checkpoint, kind: RunKind) -> dict[str, Any]:
        model = self.facts.models[checkpoint.series, checkpoint.name]
        config = {} if model.config_hash is None else {CONFIG: model.config_hash}
        return config | {
            "kind": str(kind),
            "protocol": PROTOCOL[kind],
            "worker": str(self.experiment.worker),
            "weights": model.weights_hash,
            "architecture": model.architecture,
            "tokenizer": model.tokenizer_hash,
        }

    def _asked(self, task: Task, about: TaskFacts, shots: int, asked: str) -> dict[str, Any]:
        definition = about.definition if shots else about.zero_shot_definition
        known = {} if definition is None else {DEFINITION: definition}
        proxy = {PROXY: PROXY_VERSION} if task.proxy else {}
        return (
            known
            | proxy
            | {
                "task": task.name,
                "metric": about.metric,
                "limit": self.experiment.limit,
                "shots": shots,
                "task_hash": asked,
            }
        )
