"""From the text of an experiment file to an `Experiment`, with every mistake at its line."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from emergecast.lab.experiment._experiment import (
    Corpus,
    Costs,
    Experiment,
    ListedTask,
    Rehearsal,
    Tracker,
    WorkerKind,
)
from emergecast.lab.experiment._fields import (
    Place,
    chance_of,
    either,
    members,
    number,
    optional,
    report_repeated,
    whole,
)
from emergecast.lab.experiment._parse_finetune import parse_finetuning
from emergecast.lab.experiment._parse_series import parse_series
from emergecast.lab.experiment._yaml import Entry, read_document, read_text

_TOP: Final = (
    "name",
    "output",
    "worker",
    "series",
    "corpora",
    "tasks",
    "few_shot",
    "finetune",
    "evaluation",
    "trackers",
    "rehearsal",
    "costs",
)
_TASK: Final = (
    "name",
    "include_path",
    "shots",
    "shots_in_document",
    "metric",
    "examples",
    "chance",
)


def read_experiment(path: str | Path) -> Experiment:
    """The experiment that the YAML file at `path` describes.

    Raises:
        ExperimentError: the file cannot be read or has mistakes; all of them are in `problems`.
    """
    path = Path(path)
    return parse_experiment(read_text(path), path)


def parse_experiment(text: str, path: str | Path) -> Experiment:
    """The experiment in `text`; relative paths in it start from the folder of `path`.

    Raises:
        ExperimentError: the text has mistakes; all of them are in `problems`.
    """
    path = Path(path)
    root = read_document(text, str(path))
    experiment = None
    try:
        experiment = _experiment(root, text, path)
    except RecursionError:
        root.wrong("an alias contains itself.", "Write the values out.")
    root.document.stop_if_wrong()
    if experiment is None:  # pragma: no cover - said above
        raise AssertionError
    return experiment


def _experiment(root: Entry, text: str, path: Path) -> Experiment:
    place = Place(folder=path.parent)
    top = root.mapping(_TOP, required=("series", "corpora", "tasks"))
    finetuning = parse_finetuning(top.get("finetune"), place)
    few_shot = either(top.get("few_shot"), Entry.flag, True)  # noqa: FBT003  the value of an entry
    if not few_shot and "finetune" not in top:
        top["few_shot"].wrong("and nothing is finetuned.", "Add finetune, or leave few_shot out.")
    evaluation = top["evaluation"].mapping(("limit",)) if "evaluation" in top else {}
    worker = optional(top.get("worker"), lambda e: e.word(tuple(WorkerKind)))
    experiment = Experiment(
        name=either(top.get("name"), Entry.text, path.stem),
        file=path,
        text=text,
        output=place.path(top.get("output")) or path.parent / f"{path.stem}-results",
        worker=WorkerKind(worker or WorkerKind.MODELS),
        series=parse_series(top.get("series"), place),
        corpora=_corpora(top.get("corpora"), place),
        tasks=_tasks(top.get("tasks"), place, finetuning.examples),
        few_shot=few_shot,
        examples=finetuning.examples,
        subsets=finetuning.subsets,
        seeds=finetuning.seeds,
        methods=finetuning.methods,
        save_every_seconds=finetuning.save_every_seconds,
        micro_batch_size=finetuning.micro_batch_size,
        limit=optional(evaluation.get("limit"), whole(1)),
        trackers=_trackers(top.get("trackers"), place),
        rehearsal=_rehearsal(top.get("rehearsal")),
        costs=_costs(top.get("costs")),
        lines=place.lines,
    )
    _check_rates(root, experiment)
    return experiment


def _corpora(entry: Entry | None, place: Place) -> tuple[Corpus, ...]:
    found: list[tuple[Corpus, Entry]] = []
    for each in members(entry):
        place.note(each)
        parts = each.mapping(("name", "path"), required=("name", "path"))
        name = optional(parts.get("name"), Entry.text)
        path = place.path(parts.get("path"))
        if name is not None and path is not None:
            found.append((Corpus(name=name, path=path, where=each.where, line=each.line), each))
    report_repeated(found, "corpora")
    return tuple(corpus for corpus, _ in found)


def _tasks(entry: Entry | None, place: Place, examples: tuple[int, ...]) -> tuple[ListedTask, ...]:
    found: list[tuple[ListedTask, Entry]] = []
    for each in members(entry):
        place.note(each)
        parts = each.mapping(_TASK, required=("name",))
        name = optional(parts.get("name"), Entry.text)
        task = ListedTask(
            name=name or "",
            include_path=place.path(parts.get("include_path")),
            shots=either(parts.get("shots"), whole(0), 0),
            shots_in_document=either(parts.get("shots_in_document"), whole(0), 0),
            metric=optional(parts.get("metric"), Entry.text),
            examples=_some_of(parts.get("examples"), examples),
            chance=chance_of(parts.get("chance")),
            where=each.where,
            line=each.line,
        )
        if name is not None:
            found.append((task, each))
    report_repeated(found, "tasks")
    return tuple(task for task, _ in found)


def _some_of(entry: Entry | None, examples: tuple[int, ...]) -> tuple[int, ...] | None:
    if entry is None:
        return None
    found = set()
    for each in entry.items():  # an empty list: no finetuning on this task
        amount = each.whole(minimum=1)
        if amount is not None and amount not in examples:
            each.wrong(f"{amount} is not among finetune.examples.", "Add it there, or remove it.")
        elif amount is not None:
            found.add(amount)
    return tuple(sorted(found))


def _trackers(entry: Entry | None, place: Place) -> tuple[Tracker, ...]:
    if entry is not None:
        place.note(entry)
    words = [each.word(tuple(Tracker)) for each in members(entry)]
    return tuple(dict.fromkeys(Tracker(word) for word in words if word is not None))


def _rehearsal(entry: Entry | None) -> Rehearsal:
    if entry is None:
        return Rehearsal()
    parts = entry.mapping(("seconds", "fail", "training_size", "items"))
    patterns = [each.text() for each in members(parts.get("fail"))]
    size = either(parts.get("training_size"), whole(0), 100_000)
    return Rehearsal(
        seconds=either(parts.get("seconds"), number(least=0), 0.0),
        fail=tuple(pattern for pattern in patterns if pattern is not None),
        training_size=size or None,
        items=either(parts.get("items"), whole(1), 256),
    )


def _costs(entry: Entry | None) -> Costs:
    if entry is None:
        return Costs()
    parts = entry.mapping(("flops_per_second", "per_hour"))
    return Costs(
        flops_per_second=optional(parts.get("flops_per_second"), number(above=0)),
        per_hour=optional(parts.get("per_hour"), number(least=0)),
    )


def _check_rates(root: Entry, experiment: Experiment) -> None:
    """A rate in units of the pretraining's needs that of every checkpoint."""
    relative = [method for method in experiment.methods if method.lr_times_pretraining is not None]
    if not relative:
        return
    for each in experiment.checkpoints:
        if each.pretraining_learning_rate is None:
            root.document.add(
                each.line,
                each.where,
                f"the learning rate of the pretraining of {each.title} is not known, and method"
                f' "{relative[0].name}" is a multiple of it.',
                "Add pretraining_learning_rate to it or its series, or give the method a"
                " learning_rate.",
            )
