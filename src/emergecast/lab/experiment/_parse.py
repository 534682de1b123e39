"""From the text of an experiment file to an `Experiment`, with every mistake at its line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from emergecast.errors import LabError, meant
from emergecast.lab.catalogue.series import Expansion, catalogued_series, expand, series_names
from emergecast.lab.catalogue.tasks import catalogued_task, settle, task_names
from emergecast.lab.checkpoints import CatalogueSource, Checkpoint, series_in
from emergecast.lab.evaluate import C4, Corpus, named_corpus
from emergecast.lab.experiment._contents import (
    CHECKPOINT,
    CORPUS,
    SERIES,
    SHARED,
    TASK,
    TOP,
)
from emergecast.lab.experiment._experiment import (
    Choice,
    Costs,
    Experiment,
    Finetuning,
    Keep,
    Rehearsal,
    Series,
    WorkerKind,
    spot_key,
)
from emergecast.lab.experiment._finetuning import read_finetuning
from emergecast.lab.experiment._readers import (
    Section,
    report_repeated,
    section,
    sections,
)
from emergecast.lab.experiment._yaml import Entry, read_document, read_text
from emergecast.lab.tasks import Task

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
    finetuning = Finetuning() if finetune is None else read_finetuning(finetune, checkpoints)
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
    if "programs" in part.parts and (task.settled is None or task.settled.programs is None):
        shown = ", ".join(name for name in task_names() if catalogued_task(name).programs)
        what = f'"programs" belongs to tasks whose answers are programs ({shown}).'
        part.wrong("programs", what, "Remove it.")
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
            if "steps" in part.parts:
                part.wrong("steps", "it is for series of the catalogue alone.", "Remove it.")
            if part.values.get("keep") is Keep.NONE:
                listed = list(_not_kept(part, listed))
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


def _not_kept(
    series: Section, listed: Iterable[tuple[Checkpoint, Entry]]
) -> Iterator[tuple[Checkpoint, Entry]]:
    """The checkpoints of a series of the user, each to be fetched when it is needed."""
    for checkpoint, entry in listed:
        if checkpoint.repo is None:
            what = f'"{checkpoint.name}" is a folder of yours, from which nothing is deleted.'
            series.wrong("keep", what, "Remove it: it is for checkpoints of the hub.")
            return
        yield replace(checkpoint, source=CatalogueSource(catalogued=False)), entry


def _in_catalogue(series: Section, name: str) -> Expansion:
    """The checkpoints of a series that bears a name of the catalogue."""
    nothing = Expansion(checkpoints=(), left_out=())
    if "name" not in series.values:
        return nothing
    if name not in series_names():
        question = meant(name, series_names(), least=0.75)
        known = f" Or is it a series of the catalogue? {question}" if question else ""
        what = '"checkpoints" is missing.'
        series.entry.wrong(what, f"List them, or name the folder they lie in.{known}")
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
