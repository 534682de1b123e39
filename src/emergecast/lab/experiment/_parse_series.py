"""The part of an experiment file about series and checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from emergecast.errors import LabError
from emergecast.lab.checkpoints import MANIFEST, Checkpoint, read_series
from emergecast.lab.experiment._experiment import Choice, ListedCheckpoint, Series
from emergecast.lab.experiment._fields import (
    Place,
    members,
    number,
    optional,
    report_repeated,
    whole,
)
from emergecast.lab.experiment._yaml import Entry

_SERIES: Final = (
    "name",
    "tokenizer",
    "pretraining_learning_rate",
    "checkpoints",
    "folder",
    "choose",
)
_FACTS: Final = ("params", "tokens", "flops", "pretraining_learning_rate", "tokenizer")
_CHECKPOINT: Final = ("name", "path", "repo", "revision", "subfolder", *_FACTS)
_CHOICE: Final = ("losses", "count", "below", "above")


def parse_series(entry: Entry | None, place: Place) -> tuple[Series, ...]:
    """All series of the file; mistakes are reported."""
    found: list[tuple[Entry, Series]] = []
    for each in members(entry):
        place.note(each)
        parts = each.mapping(_SERIES, required=("name",))
        if "checkpoints" not in parts and "folder" not in parts and each.is_mapping:
            each.wrong('"checkpoints" is missing.', "List them, or name the folder they lie in.")
        name = optional(parts.get("name"), Entry.text)
        title = name or "?"
        listed = [
            *_listed(parts.get("checkpoints"), title, parts, place),
            *_in_folder(parts.get("folder"), title, parts, place),
        ]
        report_repeated(listed, f'checkpoints of series "{title}"')
        choice = _choice(parts.get("choose"))
        if name is not None:
            checkpoints = tuple(checkpoint for checkpoint, _ in listed)
            series = Series(name=name, checkpoints=checkpoints, choice=choice, line=each.line)
            found.append((each, series))
    report_repeated([(series, entry) for entry, series in found], "series")
    return tuple(series for _, series in found)


def _listed(
    entry: Entry | None, series: str, defaults: Mapping[str, Entry], place: Place
) -> Iterator[tuple[ListedCheckpoint, Entry]]:
    for each in members(entry):
        place.note(each)
        parts = each.mapping(_CHECKPOINT, required=("name",))
        if "path" not in parts and "repo" not in parts and each.is_mapping:
            each.wrong('"path" is missing.', "Give the folder of the model, or its repo.")
        if "path" in parts and "repo" in parts:
            parts["repo"].wrong("there is a path and a repo.", "Keep the one that has the model.")
        if "revision" in parts and "repo" not in parts:
            parts["revision"].wrong(
                "a local folder has no revisions, so all of them would be one model.",
                "Give the repo, or one folder for each checkpoint.",
            )
        name = optional(parts.get("name"), Entry.text)
        path = place.path(parts.get("path"))
        labels = {
            key: optional(parts.get(key), Entry.text) for key in ("repo", "revision", "subfolder")
        }
        facts = _facts({**defaults, **parts})
        if name is None or (path is None and labels["repo"] is None):
            continue
        made = ListedCheckpoint(
            series=series,
            name=name,
            path=path,
            where=each.where,
            line=each.line,
            repo=labels["repo"],
            revision=labels["revision"],
            subfolder=labels["subfolder"],
            **facts,
        )
        yield made, each


def _in_folder(
    entry: Entry | None, series: str, defaults: Mapping[str, Entry], place: Place
) -> Iterator[tuple[ListedCheckpoint, Entry]]:
    """The models in a folder: those that its series.json lists, or else all, sorted by name."""
    folder = place.path(entry)
    if entry is None or folder is None:
        return
    place.note(entry)
    try:
        if (folder / MANIFEST).is_file():
            found = list(read_series(folder))
        else:
            inside = sorted(each for each in folder.iterdir() if (each / "config.json").is_file())
            found = [Checkpoint(name=path.name, series=series, path=path) for path in inside]
    except OSError as error:
        what = f'the folder "{folder}" cannot be read: {error.strerror or error}.'
        entry.wrong(what, "Check the path; it starts from the folder of this file.")
        return
    except LabError as error:
        entry.wrong(str(error), "The series would be read from that file.")
        return
    if not found:
        what = f'no folder in "{folder}" holds a model (a config.json).'
        entry.wrong(what, "Give the folder whose folders are the checkpoints.")
    fallback = _facts(defaults)
    for each in found:
        facts = {name: getattr(each, name) for name in fallback}
        yield (
            ListedCheckpoint(
                series=series,
                name=each.name,
                path=each.path,
                repo=each.repo,
                revision=each.revision,
                subfolder=each.subfolder,
                where=entry.where,
                line=entry.line,
                **{k: fallback[k] if v is None else v for k, v in facts.items()},
            ),
            entry,
        )


def _facts(parts: Mapping[str, Entry]) -> dict[str, Any]:
    return {
        "params": optional(parts.get("params"), whole(1)),
        "tokens": optional(parts.get("tokens"), whole(0)) or None,
        "flops": optional(parts.get("flops"), number(least=0)) or None,
        "pretraining_learning_rate": optional(
            parts.get("pretraining_learning_rate"), number(above=0)
        ),
        "tokenizer": optional(parts.get("tokenizer"), Entry.text),
    }


def _choice(entry: Entry | None) -> Choice:
    if entry is None:
        return Choice()
    if not entry.is_mapping:
        entry.word(("all",))
        return Choice()
    parts = entry.mapping(_CHOICE)
    if "losses" in parts and "count" in parts:
        parts["count"].wrong("there are losses and a count.", "Keep one of them.")
    losses = [each.number(above=0) for each in members(parts.get("losses"))]
    below = optional(parts.get("below"), number(above=0))
    above = optional(parts.get("above"), number(above=0))
    if below is not None and above is not None and not above < below:
        entry.wrong(f"no loss lies above {above:g} and below {below:g}.", "Swap them.")
    return Choice(
        losses=tuple(loss for loss in losses if loss is not None),
        count=optional(parts.get("count"), whole(1)),
        below=below,
        above=above,
    )
