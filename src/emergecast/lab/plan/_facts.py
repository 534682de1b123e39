"""What is known of checkpoints, tasks and corpora before any run, and what prevents one."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from emergecast.errors import LabError, LedgerError, Mistake, RecordError, others, said_once
from emergecast.lab.checkpoints import Checkpoint, hub_advice
from emergecast.lab.experiment import Corpus, Experiment, WorkerKind, canonical
from emergecast.lab.finetune import Tracker, no_prefix, takes_prefix
from emergecast.lab.ledger import Ledger
from emergecast.lab.plan._room import look_at_room
from emergecast.lab.tasks import Task
from emergecast.lab.worker import CorpusFacts, Measurer, ModelFacts, TaskFacts
from emergecast.measurements import MethodKind
from emergecast.records import as_json, from_json

_F = TypeVar("_F", ModelFacts, TaskFacts, CorpusFacts)
_MOST_FILES: Final = 10_000


@dataclass(slots=True, kw_only=True)
class Facts:
    """All facts that could be found, and a mistake for each that could not."""

    models: dict[tuple[str, str], ModelFacts] = field(default_factory=dict)
    """By series and checkpoint."""
    tasks: dict[str, TaskFacts] = field(default_factory=dict)
    """By name."""
    corpora: dict[str, CorpusFacts] = field(default_factory=dict)
    """By name."""
    problems: list[Mistake] = field(default_factory=list)
    """What prevents the start."""
    notes: list[str] = field(default_factory=list)
    """What a user should know before the start, in sentences."""


def gather_facts(
    experiment: Experiment, measurer: Measurer, ledger: Ledger | None, *, remember: bool = False
) -> Facts:
    """Look at everything that the experiment names.

    Weights and corpora are hashed once: what was found before is taken from the ledger as long as
    no file's name, size or time has changed. Tasks are looked at every time, since their data
    may lie anywhere, unless `remember` says that what is known is enough: then it is enough for
    models that have been deleted since, too.
    """
    facts = Facts()
    finder = _Finder(
        experiment=experiment, measurer=measurer, facts=facts, ledger=ledger, remember=remember
    )
    for each in experiment.checkpoints:
        model = finder.find(ModelFacts, partial(measurer.model_facts, each), each)
        if model is not None:
            facts.models[each.series, each.name] = model
    facts.problems += _once_a_line(experiment, finder.unusable)
    _compare(experiment, facts)
    if not remember:
        _check_methods(experiment, facts)
    _check_trackers(experiment, facts)
    for task in experiment.tasks:
        about = finder.find(TaskFacts, partial(measurer.task_facts, task), task)
        if about is not None:
            facts.tasks[task.name] = about
            _check_task(experiment, task, about, facts)
    for corpus in experiment.corpora:
        text = finder.find(CorpusFacts, partial(measurer.corpus_facts, corpus), corpus)
        if text is not None:
            facts.corpora[corpus.name] = text
    if not remember:
        usable = [task for task in experiment.tasks if task.name in facts.tasks]
        room = look_at_room(experiment, facts.models, usable, measurer)
        facts.problems += room.problems
        facts.notes += room.notes
    _advise_once(facts.problems)
    return facts


def _once_a_line(
    experiment: Experiment, unusable: Sequence[tuple[Checkpoint, str]]
) -> Iterator[Mistake]:
    """What is wrong with checkpoints, once where one line names many with the same trouble."""
    lines: dict[int | None, list[tuple[Checkpoint, str]]] = {}
    for each, error in unusable:
        lines.setdefault(experiment.mistake(each, "", "").line, []).append((each, error))
    for mine in lines.values():
        for error, names in said_once((each.name, error) for each, error in mine):
            yield experiment.mistake(mine[0][0], error, others(names[1:]))


def _advise_once(problems: list[Mistake]) -> None:
    """Leave advice about the hub to the last of the mistakes that have it."""
    advice = hub_advice() if problems else ""
    advised = [i for i, problem in enumerate(problems) if advice in problem.what]
    for i in advised[:-1]:
        what = " ".join(problems[i].what.replace(advice, "").split())
        remedy = f"{problems[i].remedy} The last one of these says more.".lstrip()
        problems[i] = replace(problems[i], what=what, remedy=remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finder:
    """Asks for facts, or remembers them; a refusal becomes a mistake at its line."""

    experiment: Experiment
    measurer: Measurer
    facts: Facts
    ledger: Ledger | None
    remember: bool
    unusable: list[tuple[Checkpoint, str]] = field(default_factory=list)
    """Checkpoints, and why they cannot be used."""

    def find(
        self, kind: type[_F], look: Callable[[], _F], entry: Checkpoint | Task | Corpus
    ) -> _F | None:
        """The facts about one entry; None where it cannot be used."""
        name = self._hash(kind, _described(entry, self.experiment.limit))
        mark = self._mark(kind, name, entry, self._known(kind, name))
        known = None
        if mark is not None or self.remember:  # nobody can tell whether a hub has changed
            known = self._known(kind, mark or name)
        if known is not None and (self.remember or not isinstance(entry, Task)):
            return known
        try:
            found = look()
        except LedgerError:
            raise
        except LabError as error:
            fetched = isinstance(entry, Checkpoint) and entry.source is not None
            last = self._known(kind, name) if self.remember or fetched else None
            if last is None and isinstance(entry, Checkpoint):
                self.unusable.append((entry, str(error)))
            elif last is None:
                self.facts.problems.append(self.experiment.mistake(entry, str(error), ""))
            return last
        if self.ledger is not None:
            with contextlib.suppress(LedgerError):  # it may be read-only; nothing is lost
                for each in (self._mark(kind, name, entry, found), name):
                    if each is not None:
                        self.ledger.keep_facts(each, asdict(found))
        return found

    def _mark(
        self, kind: type[_F], name: str, entry: Checkpoint | Task | Corpus, about: object
    ) -> str | None:
        """Changes with the files of an entry; None where that cannot be told.

        A task's are those in its folder, and those elsewhere that its definition lies in.
        """
        listing = self._listing(entry)
        if listing is None:
            return None
        listed = {name for name, _, _ in listing}
        more: Sequence[str] = about.files if isinstance(about, TaskFacts) else ()
        try:
            listing += [_state(Path(each)) for each in more if each not in listed]
        except OSError:
            return None
        return self._hash(kind, [name, listing])

    def _listing(self, entry: Checkpoint | Task | Corpus) -> list[tuple[str, int, int]] | None:
        """Names, sizes and times of the files of an entry; None where that cannot be told."""
        try:
            if isinstance(entry, Task):
                path = entry.include_path or entry.data
            elif isinstance(entry, Corpus):
                path = entry.path
            elif self.remember and entry.path is None:
                path = None  # no need to ask a hub
            else:
                path = self.measurer.folder(entry)
            return None if path is None else _states(path)
        except (LabError, OSError):
            return None

    def _known(self, kind: type[_F], mark: str) -> _F | None:
        known = None if self.ledger is None else self.ledger.known_facts(mark)
        names = {each.name for each in fields(kind)}
        if known is None or not known.keys() <= names:
            return None  # or a later version wrote it, which knew more
        if known.keys() < names and not self.remember:
            return None  # an earlier version wrote it, which knew less: look again
        with contextlib.suppress(RecordError):
            return from_json(kind, known, what="the ledger")
        return None

    def _hash(self, kind: type[_F], what: object) -> str:
        text = canonical([str(self.experiment.worker), kind.__name__, what])
        return hashlib.sha256(text.encode()).hexdigest()


def _described(entry: Checkpoint | Task | Corpus, limit: int | None) -> list[object]:
    """What the file says about an entry, as far as its facts depend on it."""
    if isinstance(entry, Checkpoint):
        place = [None if entry.path is None else str(entry.path.absolute()), entry.repo]
        source = [] if entry.source is None else [entry.source.tokenizer, "catalogue"]
        return [*place, entry.revision, entry.subfolder, entry.params, *source]
    if isinstance(entry, Corpus):
        some = [] if entry.is_file else [entry.documents]
        return [None if entry.path is None else str(entry.path.absolute()), *some]
    folder = None if entry.include_path is None else str(entry.include_path.absolute())
    told: list[object] = [
        entry.name,
        folder,
        entry.shots,
        entry.metric,
        entry.chance.get(""),
        limit,
    ]
    if entry.settled is not None:
        data = None if entry.data is None else str(entry.data.absolute())
        told += [data, entry.finetune_on_shots]
        if entry.settled.programs is not None:
            told.append(as_json(entry.programs))
    return told if entry.leak_check else [*told, "no leak check"]


def _states(path: Path) -> list[tuple[str, int, int]]:
    files = sorted(each for each in path.rglob("*") if each.is_file()) or [path]
    return [_state(file) for file in files[:_MOST_FILES]]


def _state(file: Path) -> tuple[str, int, int]:
    state = file.stat()
    return str(file.resolve()), state.st_size, state.st_mtime_ns


def _compare(experiment: Experiment, facts: Facts) -> None:
    """Within a series: no weights twice, not a file of them; one architecture, one tokenizer."""
    for series in experiment.series:
        owner: dict[str, Checkpoint] = {}
        first: Checkpoint | None = None
        for each in series.checkpoints:
            model = facts.models.get((each.series, each.name))
            if model is None:
                continue
            _check_unique(experiment, facts, each, owner)
            first = first or each
            reference = facts.models[first.series, first.name]
            for name, mine, its in (
                ("architecture", model.architecture, reference.architecture),
                ("tokenizer", model.tokenizer_hash[:12], reference.tokenizer_hash[:12]),
            ):
                if mine != its:
                    what = (
                        f'"{each.name}" and "{first.name}" differ in {name} ({mine} and {its}),'
                        f' and series "{series.name}" is one curve of one kind of loss.'
                    )
                    remedy = "Put it into a series of its own."
                    facts.problems.append(experiment.mistake(each, what, remedy))


def _check_unique(
    experiment: Experiment, facts: Facts, each: Checkpoint, owner: dict[str, Checkpoint]
) -> None:
    """No other checkpoint has its weights, or one of its weight files: that is a chimera."""
    model = facts.models[each.series, each.name]
    twin = owner.setdefault(model.weights_hash, each)
    if twin is not each:
        what = (
            f'"{each.name}" and "{twin.name}" have the same weights (hash'
            f" {model.weights_hash[:12]}), so they are one checkpoint."
        )
        remedy = "Leave one out, or correct its path."
        facts.problems.append(experiment.mistake(each, what, remedy))
        return
    if len(model.weight_files) < 2:
        return
    for shard in model.weight_files:
        twin = owner.setdefault(f"shard {shard}", each)
        if twin is not each:
            what = (
                f'"{each.name}" and "{twin.name}" share a weight file (hash {shard[:12]}): one of'
                " them is made of two checkpoints."
            )
            remedy = "Leave both out, or find out which is whole: emergecast series verify."
            facts.problems.append(experiment.mistake(each, what, remedy))
            return


def _check_methods(experiment: Experiment, facts: Facts) -> None:
    """The models can have a prefix, where one is asked for."""
    kinds = {
        how.parsed.kind
        for method in experiment.finetuning.methods
        for by_amount in method.settled.values()
        for how in by_amount.values()
    }
    if MethodKind.PREFIX not in kinds or experiment.worker is WorkerKind.REHEARSAL:
        return
    for each in experiment.checkpoints:
        model = facts.models.get((each.series, each.name))
        if model is not None and not takes_prefix(model.architecture):
            what, remedy = no_prefix(model.architecture)
            facts.problems.append(experiment.mistake(each, what, remedy))


_PACKAGES: Final[Mapping[Tracker, tuple[str, ...]]] = {
    Tracker.TENSORBOARD: ("tensorboard", "tensorboardX"),
    Tracker.MLFLOW: ("mlflow",),
    Tracker.WANDB: ("wandb",),
}
"""Any one of these packages will do."""


def _check_trackers(experiment: Experiment, facts: Facts) -> None:
    """The packages of the trackers are there, before a finetuning asks for them."""
    for tracker in experiment.trackers:
        packages = _PACKAGES[tracker]
        if not any(importlib.util.find_spec(name) for name in packages):
            what = f"{tracker} is not installed."
            remedy = f"pip install {packages[0]}, or leave it out."
            facts.problems.append(experiment.mistake(tracker, what, remedy))


def _check_task(experiment: Experiment, task: Task, about: TaskFacts, facts: Facts) -> None:
    """There is a chance level, and as much training data as is asked for."""
    if chance_level(task, about.metric, about) is None:
        what = f'the chance level of {about.metric} on "{task.name}" is not known.'
        remedy = "Add chance to the task, the score of a model that knows nothing."
        facts.problems.append(experiment.mistake(task, what, remedy))
    wanted = experiment.amounts[task.name]
    if not wanted:
        return
    if about.training_size is None:
        what = (
            f'task "{task.name}" has no training split, but is to be finetuned on'
            f" {wanted[0]:,} examples or more."
        )
        remedy = "Name a training_split in the task, or write examples: [] for it."
        facts.problems.append(experiment.mistake(task, what, remedy))
        return
    too_large = [amount for amount in wanted if amount > about.training_size]
    if too_large:
        what = (
            f'task "{task.name}" has {about.training_size:,} training examples, and'
            f" {', '.join(f'{amount:,}' for amount in too_large)} are asked for.{_gone(about)}"
        )
        most = f"at most {about.training_size:,}" if about.training_size else "none"
        remedy = f"Ask for {most}, or name its own examples for the task."
        facts.problems.append(experiment.mistake(task, what, remedy))


def _gone(about: TaskFacts) -> str:
    """Why there are fewer training examples than in the data; empty where there are not."""
    gone = [
        f"{about.held_back:,} are in few-shot prompts (finetune_on_shots: true keeps them)"
        if about.held_back
        else "",
        f"{about.leaked:,} hold evaluated items (leak_check: false keeps them)"
        if about.leaked
        else "",
    ]
    return f" Left out: {' and '.join(filter(None, gone))}." if any(gone) else ""


def chance_level(task: Task, metric: str, about: TaskFacts) -> float | None:
    """Chance level of a metric on a task; None where it is not known."""
    if metric in task.chance:
        return task.chance[metric]
    if metric == about.metric:
        return task.chance.get("", about.chance)
    return about.chances.get(metric)
