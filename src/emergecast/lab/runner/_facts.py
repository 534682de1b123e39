"""What is known of checkpoints, tasks and corpora before any run, and what forbids one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from emergecast.errors import LabError, LedgerError, Mistake
from emergecast.lab.runner._experiment import Checkpoint, Experiment, Task
from emergecast.lab.runner._ledger import Ledger
from emergecast.lab.runner._measurer import CorpusFacts, Measurer, ModelFacts, TaskFacts
from emergecast.lab.runner._run import canonical

_F = TypeVar("_F", ModelFacts, TaskFacts, CorpusFacts)


@dataclass(slots=True, kw_only=True)
class Facts:
    """All facts that could be found, and a mistake for each that could not."""

    models: dict[tuple[str, str], ModelFacts] = field(default_factory=dict)
    """By series and checkpoint."""
    tasks: dict[str, TaskFacts] = field(default_factory=dict)
    corpora: dict[str, CorpusFacts] = field(default_factory=dict)
    problems: list[Mistake] = field(default_factory=list)


def gather_facts(experiment: Experiment, measurer: Measurer, ledger: Ledger | None) -> Facts:
    """Look at everything that the experiment names.

    What was found before is taken from the ledger as long as no file's size or time has changed, so
    weights are hashed once.
    """
    facts = Facts()
    finder = _Finder(experiment=experiment, facts=facts, ledger=ledger)
    for each in experiment.checkpoints:
        model = finder.find(ModelFacts, partial(measurer.model_facts, each), each, _place(each))
        if model is not None:
            facts.models[each.series, each.name] = model
    _compare(experiment, facts)
    for task in experiment.tasks:
        looked = partial(measurer.task_facts, task, experiment.limit)
        about = finder.find(TaskFacts, looked, task, None)
        if about is not None:
            facts.tasks[task.name] = about
            _check_task(experiment, task, about, facts)
    for corpus in experiment.corpora:
        looked_at = partial(measurer.corpus_facts, corpus)
        text = finder.find(CorpusFacts, looked_at, corpus, (corpus.path,))
        if text is not None:
            facts.corpora[corpus.name] = text
    return facts


class _Entry(Protocol):
    @property
    def where(self) -> str: ...

    @property
    def line(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finder:
    """Asks for facts, or remembers them; a refusal becomes a mistake at its line."""

    experiment: Experiment
    facts: Facts
    ledger: Ledger | None

    def find(
        self,
        kind: type[_F],
        look: Callable[[], _F],
        entry: _Entry,
        files: tuple[Path, ...] | None,
    ) -> _F | None:
        """The facts; those found before where `files` have not changed since (None: ask anew)."""
        mark = _fingerprint(self.experiment.worker, kind.__name__, files)
        if mark is not None and self.ledger is not None:
            known = self.ledger.known_facts(mark)
            if known is not None:
                return kind(**known)
        try:
            found = look()
        except LedgerError:
            raise
        except LabError as error:
            self.facts.problems.append(mistake(self.experiment, entry, str(error), ""))
            return None
        if mark is not None and self.ledger is not None:
            self.ledger.keep_facts(mark, asdict(found))
        return found


def _place(checkpoint: Checkpoint) -> tuple[Path, ...] | None:
    """The folder whose files decide the facts; None where a hub decides which folder that is."""
    if checkpoint.path is None:
        return None
    return (checkpoint.path / (checkpoint.subfolder or ""),)


def _fingerprint(worker: str, kind: str, paths: tuple[Path, ...] | None) -> str | None:
    """A hash of names, sizes and times of the files; None where there are none."""
    if paths is None:
        return None
    listed: list[tuple[str, int, int]] = []
    try:
        for path in paths:
            files = sorted(path.iterdir()) if path.is_dir() else [path]
            for file in files:
                about = file.stat()
                listed.append((str(file.resolve()), about.st_size, about.st_mtime_ns))
    except OSError:
        return None
    return hashlib.sha256(canonical([worker, kind, listed]).encode()).hexdigest()


def mistake(experiment: Experiment, entry: _Entry, what: str, remedy: str) -> Mistake:
    """A mistake at the line of an entry of the experiment file."""
    lines = experiment.text.splitlines()
    text = lines[entry.line - 1].strip() if 1 <= entry.line <= len(lines) else None
    return Mistake(
        file=str(experiment.file),
        line=entry.line,
        text=text,
        where=entry.where,
        what=what,
        remedy=remedy,
    )


def _compare(experiment: Experiment, facts: Facts) -> None:
    """Within a series: no weights twice, one architecture, one tokenizer."""
    for series in experiment.series:
        owner: dict[str, Checkpoint] = {}
        first: Checkpoint | None = None
        for each in series.checkpoints:
            model = facts.models.get((each.series, each.name))
            if model is None:
                continue
            twin = owner.setdefault(model.weights_hash, each)
            if twin is not each:
                what = (
                    f'"{each.name}" and "{twin.name}" have the same weights (hash'
                    f" {model.weights_hash[:12]}), so they are one checkpoint."
                )
                remedy = "Leave one out, or correct its path."
                facts.problems.append(mistake(experiment, each, what, remedy))
            first = first or each
            reference = facts.models[first.series, first.name]
            for name, mine, its in (
                ("architecture", model.architecture, reference.architecture),
                ("tokenizer", model.tokenizer_hash[:12], reference.tokenizer_hash[:12]),
            ):
                if mine != its:
                    what = (
                        f'"{each.name}" has another {name} ({mine}) than "{first.name}" ({its}),'
                        f' and series "{series.name}" is one curve of one kind of loss.'
                    )
                    remedy = "Put it into a series of its own."
                    facts.problems.append(mistake(experiment, each, what, remedy))


def _check_task(experiment: Experiment, task: Task, about: TaskFacts, facts: Facts) -> None:
    """There is a chance level, and as much training data as is asked for."""
    if chance_level(task, about.metric, about) is None:
        what = f'the chance level of {about.metric} on "{task.name}" is not known.'
        remedy = "Add chance to the task, the score of a model that knows nothing."
        facts.problems.append(mistake(experiment, task, what, remedy))
    wanted = amounts(experiment, task)
    if not wanted:
        return
    if not about.training_size:
        what = (
            f'task "{task.name}" has no training split, and it shall be finetuned on'
            f" {wanted[0]:,} examples and more."
        )
        remedy = "Name a training_split in the task, or write examples: [] for it."
        facts.problems.append(mistake(experiment, task, what, remedy))
        return
    too_large = [amount for amount in wanted if amount > about.training_size]
    if too_large:
        what = (
            f'task "{task.name}" has {about.training_size:,} training examples, and'
            f" {', '.join(f'{amount:,}' for amount in too_large)} are asked for."
        )
        remedy = f"Ask for at most {about.training_size:,}, or name its own examples for the task."
        facts.problems.append(mistake(experiment, task, what, remedy))


def amounts(experiment: Experiment, task: Task) -> tuple[int, ...]:
    """Amounts of finetuning data for a task, ascending."""
    return experiment.examples if task.examples is None else task.examples


def chance_level(task: Task, metric: str, about: TaskFacts) -> float | None:
    """Chance level of a metric on a task; None where nobody knows it."""
    if metric in task.chance:
        return task.chance[metric]
    if metric == about.metric:
        return task.chance.get("", about.chance)
    return None
