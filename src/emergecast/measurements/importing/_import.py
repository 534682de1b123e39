"""Importing folders of lm-evaluation-harness result files into one measurement table."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from emergecast.errors import OptionError, Problem
from emergecast.files import read_whole
from emergecast.measurements._metrics import MetricKind, metric_of
from emergecast.measurements._schema import Setting
from emergecast.measurements._table import Measurements, examine_raw
from emergecast.measurements.importing._lm_eval import TaskScore, parse_results
from emergecast.measurements.importing._metadata import Metadata, read_metadata
from emergecast.measurements.importing._patterns import STEP, Pattern, compile_pattern
from emergecast.measurements.reading import Findings, RawTable, table_error

OWN_LAYOUT: Final = "**/{checkpoint}/results_*.json"
"""Where the harness itself writes: a folder per model, a file per evaluation."""
_STAMPED: Final = re.compile(r"results_(\d{4}-\d\d-\d\dT.*)\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """How to read a folder of result files."""

    patterns: tuple[str, ...] = ()
    """Patterns of paths below each folder, tried in this order; none: the harness's own folders."""
    checkpoints: str | os.PathLike[str] | None = None
    """Table with one row per checkpoint: its params, tokens, loss and whatever else is known."""
    batch_size: int | None = None
    """Finetuning examples per step."""
    train_size: int | None = None
    """Size of the finetuning set; steps beyond it repeat examples."""
    tasks: tuple[str, ...] = ()
    """Tasks and groups to import; none: the task in the path, else the top-level ones of a file."""
    loss_from: str | None = None
    """Constants that estimate a missing loss."""
    method: str | None = None
    """Finetuning method of finetuned rows whose path and metadata do not say."""
    loss_corpus: str | None = None
    """Corpus of the losses where the metadata do not say."""
    chance: tuple[tuple[str | None, float], ...] = ()
    """Chance levels that override what the files say: pairs of a metric and its level, or of None
    and the level of every accuracy-like metric."""
    keep_going: bool = False
    """Import the good files where others are broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import read."""

    table: Measurements
    files_read: int
    """Files that matched and whose rows are in the table or wait for metadata."""
    files_unmatched: int
    """Files under the folders that match no pattern."""
    unmatched: tuple[str, ...]
    """The first of those."""
    without_metadata: tuple[str, ...]
    """Checkpoints that are kept out because nothing is known about them."""
    problems: tuple[Problem, ...]
    """What was wrong with files that `keep_going` left out."""
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """One result file that matched."""

    path: Path
    name: str
    """Relative to the imported folder."""
    fields: Mapping[str, str]


@dataclass(slots=True)
class _Gathered:
    """Rows so far."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    without_metadata: Counter[str] = field(default_factory=Counter)
    no_chance: Counter[tuple[str, str]] = field(default_factory=Counter)
    step_zero: int = 0
    tasks_found: set[str] = field(default_factory=set)


def import_lm_eval(
    paths: Sequence[str | os.PathLike[str]],
    options: ImportOptions,
    *,
    on_file: Callable[[int, int], None] | None = None,
) -> Imported:
    """The measurement table of all result files under `paths`.

    Args:
        paths: folders (or single files) to read.
        options: how to read them.
        on_file: called with the number of files read and the number of all after each file.

    Raises:
        TableError: files are broken (unless `keep_going`), or the rows do not make a table.
        OptionError: an option is impossible, or nothing matches.
    """
    patterns = _patterns(options)
    metadata = read_metadata(options.checkpoints)
    sources, unmatched = _sources(paths, patterns, options)
    gathered = _Gathered()
    newest: dict[tuple[object, ...], tuple[str, list[dict[str, Any]]]] = {}
    for count, source in enumerate(sources, start=1):
        for key, rows in _rows_of(source, options, metadata, gathered):
            stamped = _STAMPED.fullmatch(source.path.name)
            stamp = stamped.group(1) if stamped else ""
            place = (*key, source.path.parent if stamped else source.path)
            if place not in newest or newest[place][0] < stamp:
                newest[place] = (stamp, rows)
        if on_file is not None:
            on_file(count, len(sources))
    gathered.rows = [row for _, rows in newest.values() for row in rows]
    if gathered.problems and not options.keep_going:
        raise table_error(gathered.problems)
    table, late = _table(gathered, options, ", ".join(str(Path(path)) for path in paths))
    return Imported(
        table=table,
        files_read=len(sources) - len({p.file for p in gathered.problems}),
        files_unmatched=len(unmatched),
        unmatched=tuple(unmatched[:5]),
        without_metadata=tuple(sorted(gathered.without_metadata)),
        problems=(*gathered.problems, *late),
        warnings=_warnings(gathered, unmatched, options) + table.warnings,
    )


def _patterns(options: ImportOptions) -> list[Pattern]:
    for name, value in (("--batch-size", options.batch_size), ("--train-size", options.train_size)):
        if value is not None and value < 1:
            raise OptionError(f"{name} {value} is not a count. Give a whole number of at least 1.")
    patterns = [compile_pattern(text) for text in options.patterns or (OWN_LAYOUT,)]
    for pattern in patterns:
        steps_only = STEP in pattern.fields and "examples" not in pattern.fields
        if steps_only and options.batch_size is None:
            raise OptionError(
                f'the pattern "{pattern.text}" has steps, and nothing says how many examples'
                " a step is. Give --batch-size."
            )
    return patterns


def _sources(
    paths: Sequence[str | os.PathLike[str]], patterns: Sequence[Pattern], options: ImportOptions
) -> tuple[list[_Source], list[str]]:
    sources: list[_Source] = []
    unmatched: list[str] = []
    own = None if options.checkpoints is None else Path(options.checkpoints)
    for root in map(Path, paths):
        if not root.exists():
            raise OptionError(
                f'there is no folder "{root}". Check the path and the working folder.'
            )
        for path in _files(root):
            name = path.relative_to(root if root.is_dir() else root.parent).as_posix()
            matches = (pattern.match(name) for pattern in patterns)
            fields = next((found for found in matches if found is not None), None)
            if fields is None:
                if own is None or not (own.exists() and path.samefile(own)):
                    unmatched.append(name)
            else:
                sources.append(_Source(path=path, name=name, fields=fields))
    if not sources:
        seen = (
            f" It holds {len(unmatched)} files, such as {unmatched[0]}."
            if unmatched
            else " It is empty."
        )
        raise OptionError(
            "no file matches "
            + " or ".join(f'"{p.text}"' for p in patterns)
            + f".{seen} {'Correct' if options.patterns else 'Give'} --pattern."
        )
    return sources, unmatched


def _files(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            yield Path(folder, name)


def _rows_of(
    source: _Source, options: ImportOptions, metadata: Metadata, gathered: _Gathered
) -> Iterator[tuple[tuple[str, str], list[dict[str, Any]]]]:
    """Rows of one file, one list per task and metric."""
    findings = Findings(source.name)
    shared = _from_path(source, options, findings, gathered)
    try:
        content = read_whole(source.path)
    except OSError as error:
        findings.add(f"the file cannot be read: {error.strerror}.", "Check its permissions.")
        gathered.problems += findings.problems
        return
    chosen = options.tasks or ((source.fields["task"],) if "task" in source.fields else None)
    scores, found = parse_results(content, source.name, chosen)
    findings.problems += found.problems
    if not scores and not found.problems and not options.tasks:
        findings.add(
            "the file has no task of the name in its path.",
            "Put * in place of {task} in the pattern, or name the tasks with --tasks.",
            column="task",
            value=source.fields.get("task"),
        )
    if findings.problems:
        gathered.problems += findings.problems
        return
    gathered.tasks_found.update(score.task for score in scores)
    known = metadata.of(source.fields["checkpoint"], source.fields.get("series"))
    if not known:
        gathered.without_metadata[source.fields["checkpoint"]] += 1
        return
    shared |= {"source_file": source.name, "source_hash": hashlib.sha256(content).hexdigest()}
    for score in scores:
        chance = _chance(score, options)
        if chance is None:
            gathered.no_chance[score.task, score.metric] += 1
        else:
            measured = {**_measured(score), "chance": chance}
            rows = [_joined(row, measured, shared, options) for row in known]
            yield (score.task, score.metric), rows


def _joined(
    known: Mapping[str, Any],
    measured: Mapping[str, Any],
    path: Mapping[str, Any],
    options: ImportOptions,
) -> dict[str, Any]:
    """One row: what the path says goes before what the file says, and that before the metadata."""
    row = {**known, **measured, **path, "checkpoint": known["checkpoint"]}
    if row.get("setting") is None:
        finetuned = row.get("examples") is not None
        row["setting"] = (Setting.FINETUNED if finetuned else Setting.FEW_SHOT).value
    if row["setting"] == Setting.FINETUNED and options.method is not None:
        row.setdefault("method", options.method)
    return row


def _measured(score: TaskScore) -> dict[str, Any]:
    stated = {
        "task": score.task,
        "metric": score.metric,
        "score": score.score,
        "stderr": score.stderr,
        "shots": score.shots,
        "n_items": score.n_items,
    }
    return {name: value for name, value in stated.items() if value is not None}


def _from_path(
    source: _Source, options: ImportOptions, findings: Findings, gathered: _Gathered
) -> dict[str, Any]:
    """What the path says about its rows: its fields, and the examples counted from its step."""
    row: dict[str, Any] = {name: value for name, value in source.fields.items() if name != "task"}
    step = row.pop(STEP, None)
    if step is None:
        return row
    if not (step.isascii() and step.isdigit()) or len(step) > 15:
        findings.add(
            "the step is not a whole number.",
            "Correct the pattern, so that {step} stands where the number is.",
            column=STEP,
            value=step,
        )
        return row
    row["snapshot"] = int(step) > 0
    if int(step) == 0:
        gathered.step_zero += 1
        row.setdefault("setting", Setting.FEW_SHOT.value)
    elif "examples" not in row and options.batch_size is not None:
        row |= _examples(int(step) * options.batch_size, options.train_size)
    return row


def _examples(seen: int, train_size: int | None) -> dict[str, Any]:
    """Unique examples, and passes over them, after `seen` examples without repeats in a pass."""
    if train_size is None:
        return {"examples": seen}
    unique = min(seen, train_size)
    return {"examples": unique, "epochs": seen / unique}


def _chance(score: TaskScore, options: ImportOptions) -> float | None:
    base = score.metric.partition(",")[0]
    level = score.chance
    for name, value in options.chance:
        if name in {base, score.metric}:
            return value
        if name is None and metric_of(score.metric).kind is MetricKind.PROPORTION:
            level = value
    return level


def _table(
    gathered: _Gathered, options: ImportOptions, name: str
) -> tuple[Measurements, tuple[Problem, ...]]:
    rows = gathered.rows
    if not rows:
        raise OptionError(
            "nothing is left to import. " + " ".join(_warnings(gathered, (), options))
        )
    titles = {title: None for row in rows for title in row}
    columns = {title: [row.get(title) for row in rows] for title in titles}
    if options.loss_corpus is not None:
        given = columns.get("loss_corpus", [None] * len(rows))
        columns["loss_corpus"] = [cell or options.loss_corpus for cell in given]
    raw = RawTable(name=name, columns=columns, height=len(rows), text_only=True)
    examined = examine_raw(
        raw, loss_from=options.loss_from, origins=[row["source_file"] for row in rows]
    )
    if examined.table is None or (examined.problems and not options.keep_going):
        raise table_error(examined.problems)
    return examined.table, examined.problems


def _warnings(
    gathered: _Gathered, unmatched: Sequence[str], options: ImportOptions
) -> tuple[str, ...]:
    found: list[str] = []
    if unmatched:
        shown = ", ".join(unmatched[:3]) + (", ..." if len(unmatched) > 3 else "")
        found.append(f"{len(unmatched)} files match no pattern and were not read: {shown}.")
    if gathered.without_metadata:
        names = ", ".join(sorted(gathered.without_metadata))
        found.append(
            f"{gathered.without_metadata.total()} files of checkpoints without metadata were"
            f" kept out: {names}."
            " Add them to the table given with --checkpoints."
        )
    absent = [task for task in options.tasks if task not in gathered.tasks_found]
    if absent:
        found.append(f"No file that was read has the task {' or '.join(absent)}.")
    for (task, metric), count in sorted(gathered.no_chance.items()):
        found.append(
            f"{metric} of {task} was left out of {count} files, which do not say its chance level."
            f" Give one with --chance {metric}=VALUE."
        )
    if gathered.step_zero:
        found.append(
            f"{gathered.step_zero} files of step 0 count as few-shot: nothing was finetuned yet."
        )
    counted = any("examples" in row and row.get("snapshot") for row in gathered.rows)
    if counted and options.train_size is None and options.batch_size is not None:
        found.append(
            "Without --train-size, examples are steps x batch size, as if none was seen twice."
        )
    return tuple(found)
