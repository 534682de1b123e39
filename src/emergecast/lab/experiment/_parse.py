"""From the text of an experiment file to an `Experiment`, with every mistake at its line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from emergecast.errors import LabError, nearest
from emergecast.lab.catalogue.series import Expansion, catalogued_series, expand, series_names
from emergecast.lab.catalogue.tasks import settle, task_names
from emergecast.lab.checkpoints import Checkpoint, series_in
from emergecast.lab.evaluate import C4, Corpus, named_corpus
from emergecast.lab.experiment._contents import (
    CHECKPOINT,
    CORPUS,
    FINETUNE,
    SERIES,
    SHARED,
    TASK,
    TOP,
    method_readers,
)
from emergecast.lab.experiment._experiment import (
    Choice,
    Costs,
    Experiment,
    Finetuning,
    Method,
    Rehearsal,
    Series,
    WorkerKind,
    spot_key,
)
from emergecast.lab.experiment._readers import (
    Section,
    by_amount,
    report_repeated,
    section,
    sections,
    whole,
)
from emergecast.lab.experiment._yaml import Entry, read_document, read_text
from emergecast.lab.finetune import DEFAULT_BATCH, FinetuneMethod, is_method
from emergecast.lab.tasks import Task

_MOST_REPEATS: Final = 1000
"""Bound of subsets and of seeds, so that a typing mistake does not make an endless grid."""
_MOST_RUNS: Final = 250_000
"""Bound of the grid."""

# --------------------------------------------------------------------------------- the whole file


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
    root = read_document(text, path)
    try:
        experiment = _experiment(root, text, path)
    except RecursionError:
        root.wrong("merges (<<) are nested too deeply.", "Write the values out.")
        raise root.document.refusal() from None
    _check_size(experiment, root)
    if root.document.problems:
        raise root.document.refusal()
    return experiment


def _experiment(root: Entry, text: str, path: Path) -> Experiment:
    top = section(root, TOP, required=("series", "corpora", "tasks"))
    values = top.values
    series = list(_series(values.get("series", ())))
    checkpoints = [pair for each in series for pair in each.listed]
    corpora = list(_corpora(values.get("corpora", ())))
    finetune = values.get("finetune")
    finetuning = Finetuning() if finetune is None else _finetuning(finetune, checkpoints)
    tasks = [
        (_task(part), part)
        for part in sections(values.get("tasks", ()), TASK, "tasks")
        if "name" in part.values
    ]
    amounts = {task.name: _amounts_of(part, finetuning.examples) for task, part in tasks}
    if values.get("few_shot") is False and "finetune" not in top.parts:
        top.wrong("few_shot", "and nothing is finetuned.", "Add finetune, or leave few_shot out.")
    trackers = tuple(dict.fromkeys(values.get("trackers", ())))
    named: list[tuple[Any, Entry]] = [
        *checkpoints,
        *corpora,
        *((task, part.entry) for task, part in tasks),
        *((tracker, top.parts["trackers"]) for tracker in trackers),
    ]
    return Experiment(
        name=values.get("name", path.stem),
        file=path,
        text=text,
        output=values.get("output", path.parent / f"{path.stem}-results"),
        worker=values.get("worker", WorkerKind.MODELS),
        series=tuple(each.series for each in series),
        corpora=tuple(corpus for corpus, _ in corpora),
        tasks=tuple(task for task, _ in tasks),
        few_shot=values.get("few_shot", True),
        finetuning=finetuning,
        amounts=amounts,
        limit=values.get("evaluation", {}).get("limit"),
        trackers=trackers,
        rehearsal=values.get("rehearsal", Rehearsal()),
        costs=values.get("costs", Costs()),
        spots={spot_key(thing): entry.spot for thing, entry in named},
    )


def _check_size(experiment: Experiment, root: Entry) -> None:
    """Report a grid that nobody can measure, before it fills the memory."""
    finetuning = experiment.finetuning
    each_task = [
        int(experiment.few_shot)
        + len(finetuning.methods)
        * sum(finetuning.subsets[d] * finetuning.seeds[d] for d in experiment.amounts[task.name])
        for task in experiment.tasks
    ]
    runs = len(experiment.checkpoints) * (len(experiment.corpora) + sum(each_task))
    if runs > _MOST_RUNS:
        what = f"these are {runs:,} runs, and at most {_MOST_RUNS:,} are planned at a time."
        root.wrong(what, "Take fewer subsets, seeds or amounts, or make several files of it.")


def _task(part: Section) -> Task:
    """A task, with what the catalogue settles where it has one of that name."""
    task = settle(Task(**part.some(*TASK.keys() - {"examples"})), part.values)
    for name in ("data", "finetune_on_shots"):
        if name in part.parts and task.settled is None:
            shown = ", ".join(task_names())
            part.wrong(
                name,
                f'"{name}" belongs to tasks of the catalogue ({shown}), and this is none of them.',
                "Remove it; the YAML file of a task says where its data lie.",
            )
    return task


def _amounts_of(task: Section, examples: tuple[int, ...]) -> tuple[int, ...]:
    """Those of the amounts of data on which a task is finetuned."""
    if "examples" not in task.values:
        return examples
    found = set()
    for each in task.values["examples"]:
        amount = each.whole(minimum=1)
        if amount is not None and amount not in examples:
            each.wrong(f"{amount} is not among finetune.examples.", "Add it there, or remove it.")
        elif amount is not None:
            found.add(amount)
    return tuple(sorted(found))


def _corpora(entries: Iterable[Entry]) -> Iterator[tuple[Corpus, Entry]]:
    """The held-out texts; one that is called c4 and has no file is that of the hub."""
    for part in sections(entries, CORPUS, "corpora"):
        if "path" not in part.parts and part.values.get("name") == C4:
            yield named_corpus(C4, documents=part.values.get("documents")), part.entry
        elif "path" not in part.parts and part.entry.is_mapping:
            part.entry.wrong('"path" is missing.', "Add it.")
        elif {"name", "path"} <= part.values.keys():
            yield Corpus(**part.values), part.entry


# ------------------------------------------------------------------------ series and checkpoints


@dataclass(frozen=True, slots=True, kw_only=True)
class _ListedSeries:
    """A series, and where each of its checkpoints is named."""

    series: Series
    listed: list[tuple[Checkpoint, Entry]]


def _series(entries: Iterable[Entry]) -> Iterator[_ListedSeries]:
    for part in sections(entries, SERIES, "series"):
        name = part.values.get("name", "?")
        listed = [*_listed(part, name), *_in_folder(part, name)]
        left_out: tuple[str, ...] = ()
        if "checkpoints" not in part.parts and "folder" not in part.parts:
            found = _in_catalogue(part, name)
            listed = [(each, part.entry) for each in found.checkpoints]
            left_out = found.left_out
        else:
            for each in {"steps", "keep"} & part.parts.keys():
                part.wrong(each, "it is for series of the catalogue alone.", "Remove it.")
        shown = [(checkpoint.name, entry) for checkpoint, entry in listed]
        report_repeated(shown, f'checkpoints of series "{name}"')
        if "name" in part.values:
            series = Series(
                name=name,
                checkpoints=tuple(checkpoint for checkpoint, _ in listed),
                choice=part.values.get("choose", Choice()),
                left_out=left_out,
                **part.some("keep"),
            )
            yield _ListedSeries(series=series, listed=listed)


def _in_catalogue(series: Section, name: str) -> Expansion:
    """The checkpoints of a series that bears a name of the catalogue."""
    nothing = Expansion(checkpoints=(), left_out=())
    if "name" not in series.values:
        return nothing
    if name not in series_names():
        near = nearest(name, series_names(), alike=0.75)
        meant = f' Or did you mean "{near}" of the catalogue?' if near else ""
        what = '"checkpoints" is missing.'
        series.entry.wrong(what, f"List them, or name the folder they lie in.{meant}")
        return nothing
    try:
        found = expand(catalogued_series(name), series.values.get("steps", ()))
    except LabError as error:
        series.entry.wrong(str(error), "")
        return nothing
    shared = series.some(*SHARED)
    return replace(found, checkpoints=tuple(replace(each, **shared) for each in found.checkpoints))


def _listed(series: Section, name: str) -> Iterator[tuple[Checkpoint, Entry]]:
    """The checkpoints that a series names one by one."""
    for each in series.values.get("checkpoints", ()):
        found = section(each, CHECKPOINT, required=("name",))
        path, repo, revision = (key in found.parts for key in ("path", "repo", "revision"))
        if not path and not repo and each.is_mapping:
            each.wrong('"path" is missing.', "Give the folder of the model, or its repo.")
        if path and repo:
            found.wrong("repo", "there is a path and a repo.", "Keep the one that has the model.")
        if revision and not repo:
            found.wrong(
                "revision",
                "a local folder has no revisions, so all of them would be one model.",
                "Give the repo, or one folder for each checkpoint.",
            )
        one_place = path != repo and (repo or not revision)
        if one_place and "name" in found.values and found.some("path", "repo"):
            yield Checkpoint(series=name, **series.some(*SHARED) | found.values), each


def _in_folder(series: Section, name: str) -> Iterator[tuple[Checkpoint, Entry]]:
    """The models in a folder."""
    entry = series.values.get("folder")
    folder = None if entry is None else entry.path()
    if entry is None or folder is None:
        return
    try:
        found = series_in(folder)
    except OSError as error:
        what = f'the folder "{folder}" cannot be read: {error.strerror or error}.'
        entry.wrong(what, "Check the path; it starts from the folder of this file.")
        return
    except LabError as error:
        entry.wrong(str(error), "The series would be read from that folder.")
        return
    shared = series.some(*SHARED)
    for each in found:
        own = {key: value for key, value in shared.items() if getattr(each, key) is None}
        yield replace(each, series=name, **own), entry


# ------------------------------------------------------------------------------------- finetuning


@dataclass(frozen=True, slots=True, kw_only=True)
class _UnsettledMethod:
    """A method as the file states it."""

    name: str
    by_amount: Mapping[int, FinetuneMethod]
    relative: bool
    """Whether its learning rates are multiples of the checkpoint's pretraining rate."""


def _finetuning(entry: Entry, checkpoints: Sequence[tuple[Checkpoint, Entry]]) -> Finetuning:
    part = section(entry, FINETUNE, required=("examples", "methods"))
    examples = _examples(part.values.get("examples", ()))
    listed = sections(part.values.get("methods", ()), method_readers(examples), "methods")
    methods = [method for each in listed if (method := _method(each, examples)) is not None]
    return Finetuning(
        examples=examples,
        subsets=_repeats(part.values.get("subsets"), examples),
        seeds=_repeats(part.values.get("seeds"), examples),
        methods=tuple(_settle(methods, checkpoints)),
        **part.some("save_every_seconds", "micro_batch_size"),
    )


def _examples(entries: Iterable[Entry]) -> tuple[int, ...]:
    found: set[int] = set()
    for each in entries:
        amount = each.whole(minimum=1)
        if amount in found:
            each.wrong(f"{amount} examples are named twice.", "Remove one.")
        elif amount is not None:
            found.add(amount)
    return tuple(sorted(found))


def _repeats(entry: Entry | None, examples: Sequence[int]) -> dict[int, int]:
    found = None if entry is None else by_amount(examples, whole(1))(entry)
    if entry is not None and found is not None and max(found.values(), default=1) > _MOST_REPEATS:
        entry.wrong("that is too many.", f"Write at most {_MOST_REPEATS}.")
    return dict.fromkeys(examples, 1) if found is None else found


def _method(part: Section, examples: Sequence[int]) -> _UnsettledMethod | None:
    """A method; None where something is wrong with it."""
    values = part.values
    name = values.get("name")
    known = name is not None and is_method(name)
    if name is not None and not known:
        part.wrong(
            "name", f'there is no method "{name}".', "Use full, or lora- and the rank, like lora-8."
        )
    part.exclusive("learning_rate", "lr_times_pretraining")
    part.exclusive("steps", "epochs")
    batch = {d: min(values.get("batch_size", {}).get(d, DEFAULT_BATCH), d) for d in examples}
    steps, epochs = values.get("steps"), values.get("epochs")
    if epochs is not None and any(epochs[d] * d >= 2**53 for d in examples):
        part.wrong("epochs", "that is too many.", "Write how often the data are gone through.")
        epochs = None
    if steps is None and epochs is not None:
        steps = {d: max(1, math.ceil(epochs[d] * d / batch[d])) for d in examples}
    warmup = values.get("warmup_steps", {})
    too_long = [d for d in examples if steps is not None and warmup.get(d, 0) > steps[d]]
    if too_long:
        part.wrong(
            "warmup_steps",
            f"the warmup is longer than the training on {too_long[0]} examples.",
            "Write fewer steps of warmup, or more steps.",
        )
    rates = values.get("learning_rate", values.get("lr_times_pretraining"))
    if not known or steps is None or rates is None or too_long:
        return None
    shared = part.some("name", "weight_decay", "max_grad_norm", "train_embeddings")
    if "max_grad_norm" in shared:
        shared["max_grad_norm"] = shared["max_grad_norm"] or None
    varied = {"steps": steps, "batch_size": batch, "learning_rate": rates}
    varied |= part.some("schedule", "warmup_steps")
    return _UnsettledMethod(
        name=str(name),
        by_amount={
            d: FinetuneMethod(**shared, **{key: each[d] for key, each in varied.items()})
            for d in examples
        },
        relative="learning_rate" not in values,
    )


def _settle(
    methods: Sequence[_UnsettledMethod], checkpoints: Sequence[tuple[Checkpoint, Entry]]
) -> Iterator[Method]:
    """The methods for each checkpoint; a relative rate needs that of every checkpoint."""
    relative = [method for method in methods if method.relative]
    for each, entry in checkpoints if relative else ():
        if each.pretraining_learning_rate is None:
            entry.wrong(
                f"the learning rate of the pretraining of {each.title} is not known, and method"
                f' "{relative[0].name}" is a multiple of it.',
                "Add pretraining_learning_rate to it or its series, or give the method a"
                " learning_rate.",
            )
    for method in methods:
        settled = {}
        for each, _ in checkpoints:
            rate = (each.pretraining_learning_rate or 1.0) if method.relative else 1.0
            settled[each.series, each.name] = {
                d: replace(how, learning_rate=how.learning_rate * rate)
                for d, how in method.by_amount.items()
            }
        yield Method(name=method.name, settled=settled)
