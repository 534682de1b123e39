"""Whether prompts, answers and prefixes fit the models, before any of them is loaded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from emergecast.errors import LabError, Mistake
from emergecast.lab.checkpoints import Checkpoint
from emergecast.lab.experiment import Experiment, WorkerKind
from emergecast.lab.finetune import FEWEST_TOKENS
from emergecast.lab.tasks import Task
from emergecast.lab.worker import Measurer, ModelFacts
from emergecast.measurements import MethodKind

Models = Mapping[tuple[str, str], ModelFacts]
_SERIES_NAMED = 3


@dataclass(slots=True, kw_only=True)
class Room:
    """What was found."""

    problems: list[Mistake] = field(default_factory=list)
    """What does not fit at all."""
    notes: list[str] = field(default_factory=list)
    """What is cut, or of no use, in sentences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Alike:
    """Checkpoints that take as many tokens, and cut texts alike."""

    context: int
    checkpoints: tuple[Checkpoint, ...]

    def __str__(self) -> str:
        return f"the {self.context:,} tokens that models of {_series(self.checkpoints)} take"


def look_at_room(
    experiment: Experiment, models: Models, tasks: Sequence[Task], measurer: Measurer
) -> Room:
    """What does not fit the models that are known, and which ranks are above their width."""
    found = Room()
    if experiment.worker is WorkerKind.REHEARSAL:
        return found
    sizes = _sizes(experiment)
    for alike in _kinds(experiment, models):
        most = alike.context - FEWEST_TOKENS
        prefixes = sorted(size for size in sizes[MethodKind.PREFIX] if size <= most)
        for size in sorted(sizes[MethodKind.PREFIX].difference(prefixes)):
            what = f"prefix-{size} leaves no room for text in {alike}."
            remedy = f"Take a prefix of 1 to {most:,} tokens, and leave room for the prompts."
            found.problems.append(experiment.mistake(alike.checkpoints[0], what, remedy))
        plain = [0] if sizes.keys() - {MethodKind.PREFIX} else []
        for task in tasks:
            look = _Look(experiment=experiment, measurer=measurer, task=task, alike=alike)
            if experiment.few_shot:
                look.at([0], found, few_shot=True)
            if experiment.amounts[task.name]:
                look.at([*plain, *prefixes], found, few_shot=False)
    found.notes += _high_ranks(experiment, models, sizes[MethodKind.LORA])
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """One task before models of one kind."""

    experiment: Experiment
    measurer: Measurer
    task: Task
    alike: _Alike

    def at(self, prefixes: Sequence[int], found: Room, *, few_shot: bool) -> None:
        """Add what does not fit behind a prefix of so many tokens, 0 for none."""
        rooms = {size: self.alike.context - size for size in prefixes}
        if not rooms:
            return
        first = self.alike.checkpoints[0]
        try:
            fits = self.measurer.too_long(
                self.task, first, few_shot=few_shot, rooms=tuple(rooms.values())
            )
        except LabError as error:
            found.problems.append(self.experiment.mistake(self.task, str(error), ""))
            return
        for size, room in rooms.items():
            fit, which = fits[room], self._which(size, few_shot=few_shot)
            of = f'of task "{self.task.name}"{which}'
            where = f"the {room:,} tokens that prefix-{size} leaves of {self.alike}"
            where = where if size else str(self.alike)
            if fit.lost:
                what = (
                    f"the answers to {fit.lost:,} of {fit.items:,} items {of} leave no room for a"
                    f" prompt in {where}."
                )
                shorter = "Take a shorter prefix" if size else "Lower max_gen_toks in the task"
                remedy = f"{shorter}, or leave out the task or these models."
                found.problems.append(self.experiment.mistake(self.task, what, remedy))
            elif few_shot and self.task.shots and fit.cut == fit.items:
                what = f"all prompts {of} are longer than {where}: none has all of its shots there."
                remedy = "Ask with fewer shots, or leave out the task or these models."
                found.problems.append(self.experiment.mistake(self.task, what, remedy))
            elif fit.cut:
                found.notes.append(
                    f"{fit.cut:,} of {fit.items:,} prompts {of} lose their beginning, since with"
                    f" their answers they are longer than {where}."
                )

    def _which(self, prefix: int, *, few_shot: bool) -> str:
        if few_shot:
            shots = self.task.shots
            return f" with {shots} shot{'' if shots == 1 else 's'}" if shots else ""
        return f" after finetuning with prefix-{prefix}" if prefix else " after finetuning"


def _kinds(experiment: Experiment, models: Models) -> Iterator[_Alike]:
    kinds: defaultdict[tuple[str, int], list[Checkpoint]] = defaultdict(list)
    for each in experiment.checkpoints:
        model = models.get((each.series, each.name))
        if model is not None and model.context is not None:
            kinds[model.tokenizer_hash, model.context].append(each)
    for (_, context), mine in kinds.items():
        yield _Alike(context=context, checkpoints=tuple(mine))


def _sizes(experiment: Experiment) -> defaultdict[MethodKind, set[int]]:
    """By kind of method its ranks, or tokens of its prefixes; 0 for all weights."""
    sizes: defaultdict[MethodKind, set[int]] = defaultdict(set)
    for method in experiment.finetuning.methods:
        for by_amount in method.settled.values():
            for how in by_amount.values():
                sizes[how.parsed.kind].add(how.parsed.size or 0)
    return sizes


def _high_ranks(experiment: Experiment, models: Models, ranks: set[int]) -> Iterator[str]:
    """Ranks that no matrix of a model has."""
    widths: defaultdict[int, list[Checkpoint]] = defaultdict(list)
    for each in experiment.checkpoints if ranks else ():
        model = models.get((each.series, each.name))
        if model is not None and model.width is not None and model.width < max(ranks):
            widths[model.width].append(each)
    for width, mine in widths.items():
        high = " and ".join(f"lora-{rank}" for rank in sorted(ranks) if rank > width)
        yield (
            f"{high}: the matrices of models of {_series(mine)} have ranks up to {width:,}, so more"
            f" than lora-{width} brings nothing but work. Sensible ranks are 1 to {width:,}."
        )


def _series(checkpoints: Sequence[Checkpoint]) -> str:
    names = list(dict.fromkeys(each.series for each in checkpoints))
    more = len(names) - _SERIES_NAMED
    shown = ", ".join(f'"{name}"' for name in names[:_SERIES_NAMED])
    return shown + (f" and {more:,} more series" if more > 0 else "")
