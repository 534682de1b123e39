"""What an import says beside its table: warnings of what is missing, notes of what was decided."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from emergecast.measurements.importing._chance_levels import ChanceLevels
from emergecast.measurements.importing._import_options import Gathered, ImportOptions
from emergecast.measurements.importing._kept import Kept

_NAMES: Final = 5
"""Names that a sentence lists before it counts the rest."""
_METRICS: Final = 8
"""Metrics that have a sentence of their own."""


def warnings_of(
    gathered: Gathered,
    kept: Kept | None,
    unmatched: Sequence[str],
    options: ImportOptions,
    levels: ChanceLevels,
) -> tuple[str, ...]:
    """What is missing from the table, or may be wrong with it."""
    found: list[str] = []
    if unmatched:
        found.append(
            f"{len(unmatched)} files match no pattern and were not read: {few(unmatched)}."
        )
    if gathered.without_metadata:
        found.append(
            f"{sum(gathered.without_metadata.values())} files of checkpoints without metadata were"
            f" kept out: {few(sorted(gathered.without_metadata))}."
            " Add them to the table given with --checkpoints."
        )
    if gathered.untrained:
        found.append(
            f"{gathered.untrained} files of pretraining step 0 were left out: no loss can be"
            " estimated of untrained weights. Give their loss in a row of the metadata, with step0"
            " in the column revision."
        )
    absent = [task for task in options.tasks if task not in gathered.tasks_found]
    if absent:
        found.append(f"No file that was read has the task {' or '.join(absent)}.")
    found += _without_chance(gathered.no_chance)
    found += [
        f"--chance {name} changes nothing: every file says its chance level. A level for one task,"
        " TASK=NUMBER, overrules the file."
        for name in levels.idle
    ]
    if gathered.step_zero:
        found.append(
            f"{gathered.step_zero} files of step 0 count as few-shot: nothing was finetuned yet."
        )
    rows = [] if kept is None else [each.row for each in kept.measured]
    snapshots = any("examples" in row and row.get("snapshot") for row in rows)
    if snapshots and options.train_size is None and options.batch_size is not None:
        found.append(
            "Without --train-size, examples are steps x batch size, as if none was seen twice."
        )
    if kept is not None and kept.limited:
        found.append(
            f"{counted(len(kept.limited), 'file')} of a limited run gave way to a run on more"
            f" items: {few(kept.limited)}."
        )
    return tuple(found)


def _without_chance(no_chance: Mapping[tuple[str, str], int]) -> list[str]:
    """One sentence a metric, and one for the metrics that are too many."""
    tasks: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for (metric, task), count in sorted(no_chance.items()):
        tasks[metric][task] = count
    metrics = sorted(tasks, key=lambda metric: -sum(tasks[metric].values()))
    shown = metrics if len(metrics) <= _METRICS else metrics[: _METRICS - 1]
    found: list[str] = []
    for metric in shown:
        count = sum(tasks[metric].values())
        names = list(tasks[metric])
        where = counted(count, "file" if len(names) == 1 else "score")
        found.append(
            f"{metric} of {few(names)} was left out of {where}: the chance level is not said."
            f" Give one with --chance {metric}=VALUE"
            + (
                "."
                if len(names) == 1
                else f", or of each task with --chance {names[0]}/{metric}=VALUE."
            )
        )
    rest = metrics[len(shown) :]
    if rest:
        count = sum(sum(tasks[metric].values()) for metric in rest)
        found.append(
            f"{len(rest)} more metrics were left out ({count} scores) for the same reason:"
            f" {few(rest)}."
        )
    return found


def notes_of(gathered: Gathered, kept: Kept) -> tuple[str, ...]:
    """What was decided on the way."""
    found: list[str] = []
    reasons = Counter(each.why_finetuned for each in kept.measured if each.why_finetuned)
    for why, count in reasons.items():
        advice = (
            " If these are steps of pretraining, write {pretrain_step} in the pattern."
            if "{step}" in why
            else ""
        )
        verb = "counts" if count == 1 else "count"
        found.append(f"{counted(count, 'row')} {verb} as finetuned, because {why}.{advice}")
    if gathered.pretraining:
        found.append(
            f"{gathered.pretraining:,} files have a {{step}} in their path and count as few-shot"
            " all the same: they name that revision of pretraining, and no adapter."
        )
    if gathered.by_folder:
        found.append(
            f"{counted(len(gathered.by_folder), 'file')} count as checkpoints along pretraining,"
            f" because their folders say so: {few(dict.fromkeys(gathered.by_folder))}."
        )
    if kept.superseded:
        found.append(
            f"{counted(len(kept.superseded), 'file')} gave way to newer ones of the same"
            f" measurement: {few(kept.superseded)}."
        )
    limited = [each for each in kept.measured if each.limited]
    if limited:
        names = list(dict.fromkeys(each.source.name for each in limited))
        found.append(
            f"{counted(len(limited), 'row')} of {len(kept.measured):,} come from limited runs, on a"
            f" part of the items only: {few(names)}."
        )
    varied = sum(each.row.get("variant") is not None for each in kept.measured)
    if varied:
        found.append(
            f"{varied:,} rows differ in named parts of their paths only; the column variant tells"
            " them apart. A fit takes one: --where variant=VALUE."
        )
    return tuple(found)


def counted(count: int, noun: str) -> str:
    """A number and its noun."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def few(names: Collection[str]) -> str:
    """The first names, and how many more there are."""
    rest = len(names) - _NAMES
    return ", ".join(list(names)[:_NAMES]) + (f" and {rest:,} more" if rest > 0 else "")
