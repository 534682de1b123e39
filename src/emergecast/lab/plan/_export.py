"""From the ledger to the measurement table, the same to the last digit however often it stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from emergecast.errors import LabError
from emergecast.lab.evaluate import PROXIES, Loss, Score
from emergecast.lab.experiment import (
    CONFIG,
    DEFINITION,
    LATER,
    PROXY,
    Experiment,
    Run,
    RunKind,
    WorkerKind,
)
from emergecast.lab.ledger import Result
from emergecast.lab.plan._facts import chance_level
from emergecast.lab.plan._plan import Plan
from emergecast.measurements import (
    LossSource,
    Measurements,
    Setting,
    metric_of,
    read_table,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """The table, and what is not in it."""

    table: Measurements
    """One row per score and corpus."""
    without_loss: int
    """Scores left out because the loss of their checkpoint is missing."""
    without_chance: tuple[str, ...]
    """Metrics left out because their chance level is not stated, as "metric of task"."""
    invented: bool
    """Whether the scores come from a rehearsal."""
    missing: int
    """Runs of the plan that have no result: not done, failed, or running."""
    older: Mapping[str, int]
    """Results left out because something has changed since: how many, by what has."""


def make_table(plan: Plan, results: Mapping[str, Result]) -> Exported:
    """One row per score and corpus, in the order of the experiment.

    Raises:
        LabError: there is not a single score with a loss.
        TableError: what was measured breaks a rule of the table.
    """
    losses: dict[tuple[str, str], list[tuple[str, Loss]]] = {}
    for run in plan.runs:
        result = results.get(run.key)
        if run.corpus is not None and result is not None and result.loss is not None:
            losses.setdefault((run.series, run.checkpoint), []).append((run.corpus, result.loss))
    older = _older(plan, results)
    rows: list[dict[str, Any]] = []
    without_loss = 0
    without_chance: dict[str, None] = {}
    for run in sorted(plan.runs, key=_place(plan.experiment)):
        result = results.get(run.key)
        if run.kind is RunKind.LOSS or result is None:
            continue
        held_out = losses.get((run.series, run.checkpoint), [])
        without_loss += not held_out
        for corpus, loss in held_out:
            for score in result.scores:
                row = _row(plan, run, score)
                if row is None:
                    without_chance.setdefault(f"{score.metric} of {run.task}")
                else:
                    rows.append(row | _loss(corpus, loss))
    if not rows:
        gone = "".join(f" {each}" for each in older_words(older))
        raise LabError(
            "there is no score with a loss yet, so there is no table. Run the experiment, or look"
            f" at what failed with emergecast status.{gone}"
        )
    return Exported(
        table=replace(read_table(rows), name=str(plan.experiment.file)),
        without_loss=without_loss,
        without_chance=tuple(without_chance),
        invented=plan.experiment.worker is WorkerKind.REHEARSAL,
        missing=sum(1 for key in plan.states if key not in results),
        older=older,
    )


_CHANGED: Final[Mapping[str, frozenset[str]]] = {
    "the model": frozenset({"weights", "architecture", "tokenizer", "half_precision", CONFIG}),
    "the task": frozenset({"task_hash", "metric", "shots", "limit", DEFINITION, PROXY}),
    "the corpus": frozenset({"corpus"}),
}
"""What parts of a run's identity are about; all others are about how it is measured."""


def _older(plan: Plan, results: Mapping[str, Result]) -> Counter[str]:
    """Results of runs of the plan that were measured when something was not what it is now."""
    planned = {run.title: run for run in plan.runs}
    older: Counter[str] = Counter()
    for key, result in results.items():
        run = planned.get(result.title)
        if key in plan.states or run is None:
            continue
        now, then = run.identity, result.identity
        if now["worker"] != then.get("worker"):
            continue  # a rehearsal of it
        asked = then.keys() | (now.keys() - LATER)  # of version 0.1.0 the rest is not known
        names = {name for name in asked if now.get(name) != then.get(name)}
        about = (what for what, parts in _CHANGED.items() if names & parts)
        older[next(about, "the method" if names else "the task or the model")] += 1
    return older


def older_words(older: Mapping[str, int]) -> Iterator[str]:
    """A sentence for each thing that has changed."""
    for what, count in older.items():
        results = "1 older result is" if count == 1 else f"{count:,} older results are"
        yield f"{results} left out: {what} has changed since."


def _place(experiment: Experiment) -> Callable[[Run], tuple[int, ...]]:
    """A key that sorts runs as the file names them."""
    checkpoints = {(c.series, c.name): i for i, c in enumerate(experiment.checkpoints)}
    tasks = {task.name: i for i, task in enumerate(experiment.tasks)}
    methods = {method.name: i for i, method in enumerate(experiment.finetuning.methods)}

    def place(run: Run) -> tuple[int, ...]:
        first = (
            checkpoints[run.series, run.checkpoint],
            -1 if run.task is None else tasks[run.task],
        )
        if (how := run.training) is None:
            return (*first, -1)
        return (*first, methods[how.method.name], how.examples, how.subset, how.seed)

    return place


def _row(plan: Plan, run: Run, score: Score) -> dict[str, Any] | None:
    """One score as a row without its loss; None where its chance level is not known."""
    experiment = plan.experiment
    checkpoint = experiment.checkpoint(run)
    task = next(task for task in experiment.tasks if task.name == run.task)
    chance = chance_level(task, score.metric, plan.facts.tasks[task.name])
    if chance is None:
        return None
    model = plan.facts.models[run.series, run.checkpoint]
    how = run.training
    row: dict[str, Any] = {
        **checkpoint.columns(params=model.params, tokenizer_hash=model.tokenizer_hash),
        "task": run.task,
        "metric": score.metric,
        "setting": str(Setting.FEW_SHOT if how is None else Setting.FINETUNED),
        "shots": task.shots_in_document + (task.shots if how is None else 0),
        "score": score.score,
        "stderr": score.stderr,
        "n_items": score.n_items,
        "runs": 1,
        "chance": chance,
    }
    if score.metric in PROXIES:
        row["higher_is_better"] = not metric_of(score.metric).lower_is_better
    if how is not None:
        row |= {
            "examples": how.examples,
            # Where they are chosen run by run they tell no two kinds of run apart.
            "epochs": how.method.epochs(how.examples) if how.method.settings_known else None,
            "subset": str(how.subset),
            "seed": str(how.seed),
            "method": how.method.name,
        }
    if experiment.worker is WorkerKind.REHEARSAL:
        row["invented"] = True
    return row


def _loss(corpus: str, loss: Loss) -> dict[str, Any]:
    return {
        "loss": loss.nats_per_token,
        "loss_stderr": loss.stderr,
        "loss_corpus": corpus,
        "loss_source": str(LossSource.MEASURED),
        "loss_per_byte": loss.nats_per_byte,
        "loss_per_byte_stderr": loss.byte_stderr,
    }
