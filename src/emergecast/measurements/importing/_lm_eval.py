"""Reading one result file of lm-evaluation-harness.

Known layouts: keys `acc` (before version 0.4) and `acc,none`, `exact_match,strict-match` (since);
groups in `results`, in `groups` or in both; `n-samples` or `sample_len`, where there is a number of
items at all. Only scores, shots, items and choices are read; paths, arguments and the machine that
ran the evaluation are not looked at.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from emergecast.measurements._metrics import metric_of, uniform_chance
from emergecast.measurements.reading import Findings

T = TypeVar("T")

_NO_METRIC: Final = frozenset(
    {"alias", "name", "version", "samples", "sample_len", "sample_count", "num_fewshot", " "}
)
_ABSENT: Final = object()
_AGAIN: Final = "Evaluate or download it again, or pass --keep-going to import the other files."
_STDERR: Final = "_stderr"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskScore:
    """One score of one task in one file."""

    task: str
    metric: str
    """As the harness names it, without the filter where that is "none"."""
    score: float
    stderr: float | None
    shots: int | None
    n_items: int | None
    chance: float | None
    """Level of a uniform guess, None where the file does not say enough."""


class _FileError(Exception):
    """The file does not have the shape of a result file."""

    def __init__(self, what: str, *, column: str | None = None, value: object = None) -> None:
        super().__init__(what)
        self.what, self.column, self.value = what, column, value


def parse_results(
    content: bytes, name: str, tasks: Collection[str] | None
) -> tuple[list[TaskScore], Findings]:
    """All scores of `tasks` in a result file, and what is wrong with it.

    Args:
        content: the bytes of the file.
        name: how messages call it.
        tasks: tasks and groups to read, those of them that the file has; None: the top-level ones,
            that is groups that are nobody's subtask and tasks that are in no group (a group without
            a score of its own gives way to its subtasks).
    """
    findings = Findings(name)
    scores: list[TaskScore] = []
    try:
        file = _open(content)
        for task in _wanted(file, tasks):
            scores += _scores_of(file, task)
    except _FileError as error:
        findings.add(error.what, _AGAIN, column=error.column, value=error.value)
    return scores, findings


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """The parts of a result file that are used."""

    results: Mapping[str, Mapping[str, Any]]
    subtasks: Mapping[str, tuple[str, ...]]
    configs: Mapping[str, Any]
    shots: Mapping[str, Any]
    samples: Mapping[str, Any]
    config: Mapping[str, Any]

    def leaves(self, task: str) -> tuple[str, ...]:
        """The single tasks under `task`, itself where it is one; a task in several groups once."""
        found: dict[str, None] = {}
        seen: set[str] = set()
        waiting = [task]
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            below = self.subtasks.get(name, ())
            if below:
                waiting.extend(below)
            else:
                found[name] = None
        return tuple(found)


def _open(content: bytes) -> _File:
    try:
        loaded = json.loads(content)
    except (ValueError, RecursionError) as error:
        reason = (
            f"{error.msg} at line {error.lineno}"
            if isinstance(error, json.JSONDecodeError)
            else "it is not text"
        )
        raise _FileError(f"the file is not JSON: {reason}.") from None
    if not isinstance(loaded, dict) or "results" not in loaded:
        raise _FileError(
            "the file has no results, so it is not a result file of lm-evaluation-harness."
        )
    results = {**_mapping(loaded, "groups"), **_mapping(loaded, "results")}
    if not results:
        raise _FileError("the results are empty.", column="results")
    for task, values in results.items():
        if not isinstance(values, dict):
            raise _FileError("the results of a task are not a mapping.", column=task, value=values)
    subtasks: dict[str, tuple[str, ...]] = {}
    for group, names in _mapping(loaded, "group_subtasks").items():
        if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
            raise _FileError(
                "the subtasks of a group are not a list of names.", column=group, value=names
            )
        subtasks[group] = tuple(names)
    return _File(
        results=results,
        subtasks=subtasks,
        configs=_mapping(loaded, "configs"),
        shots=_mapping(loaded, "n-shot"),
        samples=_mapping(loaded, "n-samples"),
        config=_mapping(loaded, "config"),
    )


def _mapping(loaded: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = loaded.get(key)
    if value is None and key != "results":
        return {}
    if not isinstance(value, dict):
        raise _FileError(f"{key} is not a mapping.", column=key, value=value)
    return value


def _wanted(file: _File, tasks: Collection[str] | None) -> list[str]:
    if tasks is not None:
        return [task for task in file.results if task in tasks]
    inner = {name for names in file.subtasks.values() for name in names}
    waiting = [task for task in file.results if task not in inner]
    if not waiting:
        raise _FileError(
            "every task is the subtask of another, so none is at the top.", column="group_subtasks"
        )
    wanted: list[str] = []
    seen: set[str] = set()
    while waiting:
        task = waiting.pop(0)
        if task in seen:
            continue
        seen.add(task)
        values = file.results.get(task)
        if values is not None and (_metrics(values) or not file.subtasks.get(task)):
            wanted.append(task)
        else:
            waiting.extend(file.subtasks.get(task, ()))
    return wanted


def _metrics(values: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Metric name to the keys of its score and of its standard error."""
    keys = [key for key in values if "," in key] or [key for key in values if key not in _NO_METRIC]
    found: dict[str, tuple[str, str]] = {}
    for key in keys:
        base, comma, filtered = key.partition(",")
        if base.endswith(_STDERR) or not base.strip():
            continue
        name = base if filtered in {"", "none"} else key
        found[name] = (key, f"{base}{_STDERR}{comma}{filtered}")
    return found


def _scores_of(file: _File, task: str) -> list[TaskScore]:
    values = file.results[task]
    metrics = _metrics(values)
    if not metrics:
        raise _FileError("the task has no score.", column=task)
    leaves = file.leaves(task)
    shots = _agreed(_shots(file, leaf) for leaf in leaves)
    items = [_items(file, leaf) for leaf in leaves]
    n_items = sum(n for n in items if n is not None) if all(n is not None for n in items) else None
    return [
        TaskScore(
            task=task,
            metric=metric,
            score=_score(values[key], metric, f"{task}/{key}"),
            stderr=_stderr(values.get(error_key)),
            shots=shots,
            n_items=n_items,
            chance=_agreed(_chance(file, leaf, metric) for leaf in leaves),
        )
        for metric, (key, error_key) in metrics.items()
    ]


def _score(value: object, metric: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _FileError("the score is not a number.", column=where, value=value)
    try:
        score = float(value)
    except OverflowError:
        score = math.inf
    if not math.isfinite(score):
        raise _FileError("the score is not a finite number.", column=where, value=value)
    known = metric_of(metric)
    if not known.minimum <= score <= known.maximum:
        raise _FileError(
            f"the score of {metric} is outside its range, {known.minimum:g} to {known.maximum:g}.",
            column=where,
            value=value,
        )
    return score


def _stderr(value: object) -> float | None:
    """The harness writes "N/A" where it has none, and NaN for a single item."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value < math.inf else None


def _agreed(values: Iterable[T | None]) -> T | None:
    """The value all of them have; None where they differ or one is missing."""
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else None


def _count(value: object, minimum: int) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return int(value) if value >= minimum and float(value).is_integer() else None


def _shots(file: _File, task: str) -> int | None:
    """Shots of a single task; None where the file does not say.

    A task that is listed under `n-shot` with null was evaluated without examples: that is how the
    harness reads a missing number (`0 if self.config.num_fewshot is None else ...` where
    lm_eval/api/task.py builds the prompt).
    """
    config = file.configs.get(task)
    stated = config.get("num_fewshot") if isinstance(config, dict) else None
    for value in (file.shots.get(task), stated, file.config.get("num_fewshot")):
        count = _count(value, 0)
        if count is not None:
            return count
    return 0 if file.shots.get(task, _ABSENT) is None else None


def _items(file: _File, task: str) -> int | None:
    stated = file.samples.get(task)
    if isinstance(stated, dict):
        count = _count(stated.get("effective"), 1)
        return count if count is not None else _count(stated.get("original"), 1)
    own = file.results.get(task, {})
    return _count(own.get("sample_len"), 1)


def _chance(file: _File, task: str, metric: str) -> float | None:
    config = file.configs.get(task)
    if not isinstance(config, dict):
        return None
    base = metric.partition(",")[0]
    if config.get("output_type") == "generate_until":
        return 0.0 if base in {"acc", "exact_match", "pass@1", "f1"} else None
    choices = config.get("doc_to_choice")
    if isinstance(choices, list) and len(choices) > 1:
        return uniform_chance(metric, len(choices))
    return 0.0 if base == "mcc" else None
