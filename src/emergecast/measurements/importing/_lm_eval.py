"""Reading one result file of lm-evaluation-harness.

Known layouts: keys `acc` (before version 0.4) and `acc,none`, `exact_match,strict-match` (since);
groups in `results`, in `groups` or in both; `n-samples` or `sample_len`, where there is a number of
items at all. Only scores, shots, items, limits, choices and the names of revisions and adapters are
read; paths, other arguments and the machine that ran the evaluation are not looked at. A score that
cannot be one is left out by name, and the rest of its file is kept.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from emergecast.measurements._metrics import metric_of
from emergecast.measurements.importing._chance_levels import chance_level
from emergecast.measurements.importing._formats import foreign, from_lighteval, is_lighteval
from emergecast.measurements.importing._revision import Weights, weights_of
from emergecast.measurements.reading import Findings

T = TypeVar("T")

_NO_METRIC: Final = frozenset(
    {"alias", "name", "version", "samples", "sample_len", "sample_count", "num_fewshot", " "}
)
"""Keys beside the scores of a task; with a filter behind a comma too (`sample_len,none`)."""
_ABSENT: Final = object()
_AGAIN: Final = "Evaluate or download it again, or pass --keep-going to import the other files."
_STDERR: Final = "_stderr"
_LOGLIKELIHOOD: Final = "loglikelihood"
_MOST: Final = 2**53
"""A count, or a standard error, beyond this is not one."""
_NO_NUMBER: Final = "The score is left out; evaluate this task again if it is needed."


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
    """Score without knowledge, as far as the file tells; None where it does not say enough."""
    higher_is_better: bool | None = None
    """Which way the metric goes, as the file says; None where it does not."""
    limited: bool = False
    """Whether only some of the items were evaluated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFile:
    """What one result file says."""

    scores: tuple[TaskScore, ...] = ()
    weights: Weights = field(default_factory=Weights)
    findings: Findings
    """What is wrong with the file as a whole: it has no score that could be used."""
    left_out: Findings
    """Scores that cannot be scores, beside others that can."""


class _FileError(Exception):
    """The file does not have the shape of a result file."""

    def __init__(
        self,
        what: str,
        *,
        column: str | None = None,
        value: object = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what, self.column, self.value = what, column, value
        self.remedy = _AGAIN if remedy is None else remedy


def parse_results(content: bytes, name: str, tasks: Collection[str] | None) -> ResultFile:
    """All scores of `tasks` in a result file, and what is wrong with it.

    Args:
        content: the bytes of the file.
        name: how messages call it.
        tasks: tasks and groups to read, those of them that the file has; None: the top-level ones,
            that is groups that are nobody's subtask and tasks that are in no group (a group without
            a score of its own gives way to its subtasks).
    """
    findings, left_out = Findings(name), Findings(name)
    scores: list[TaskScore] = []
    weights = Weights()
    try:
        file = _open(content)
        weights = file.weights
        for task in _wanted(file, tasks):
            scores += _scores_of(file, task, left_out)
    except _FileError as error:
        scores.clear()
        findings.add(error.what, error.remedy, column=error.column, value=error.value)
    if left_out.problems and not scores and not findings.problems:
        findings, left_out = left_out, Findings(name)
    return ResultFile(scores=tuple(scores), weights=weights, findings=findings, left_out=left_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """The parts of a result file that are used."""

    results: Mapping[str, Mapping[str, Any]]
    subtasks: Mapping[str, tuple[str, ...]]
    configs: Mapping[str, Any]
    shots: Mapping[str, Any]
    samples: Mapping[str, Any]
    config: Mapping[str, Any]
    higher: Mapping[str, Any]
    weights: Weights

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
        _refuse_foreign(content, None)
        reason = (
            f"{error.msg} at line {error.lineno}"
            if isinstance(error, json.JSONDecodeError)
            else "it is not text"
        )
        raise _FileError(f"the file is not JSON: {reason}.") from None
    _refuse_foreign(content, loaded)
    whose: Weights | None = None
    if isinstance(loaded, dict) and is_lighteval(loaded):
        loaded, whose = from_lighteval(loaded)
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
    config = _mapping(loaded, "config")
    higher = loaded.get("higher_is_better")
    return _File(
        results=results,
        subtasks=subtasks,
        configs=_mapping(loaded, "configs"),
        shots=_mapping(loaded, "n-shot"),
        samples=_mapping(loaded, "n-samples"),
        config=config,
        higher=higher if isinstance(higher, dict) else {},
        weights=weights_of(config, loaded) if whose is None else whose,
    )


def _refuse_foreign(content: bytes, loaded: object) -> None:
    found = foreign(content, loaded)
    if found is not None:
        raise _FileError(found[0], remedy=found[1])


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
        if base.endswith(_STDERR) or not base.strip() or base in _NO_METRIC:
            continue
        name = base if filtered in {"", "none"} else key
        found[name] = (key, f"{base}{_STDERR}{comma}{filtered}")
    return found


def _scores_of(file: _File, task: str, left_out: Findings) -> list[TaskScore]:
    values = file.results[task]
    metrics = _metrics(values)
    if not metrics:
        raise _FileError("the task has no score.", column=task)
    leaves = file.leaves(task)
    shots = _agreed(_shots(file, leaf) for leaf in leaves)
    items = [_items(file, leaf) for leaf in leaves]
    n_items = sum(n for n in items if n is not None) if all(n is not None for n in items) else None
    limited = any(_limited(file, leaf) for leaf in leaves)
    scores: list[TaskScore] = []
    for metric, (key, error_key) in metrics.items():
        score = _score(values[key], metric, f"{task}/{key}", left_out)
        if score is not None:
            scores.append(
                TaskScore(
                    task=task,
                    metric=metric,
                    score=score,
                    stderr=_stderr(values.get(error_key)),
                    shots=shots,
                    n_items=n_items,
                    chance=_agreed(_chance(file, leaf, metric) for leaf in leaves),
                    higher_is_better=_agreed(_higher(file, leaf, metric) for leaf in leaves),
                    limited=limited,
                )
            )
    return scores


def _score(value: object, metric: str, where: str, left_out: Findings) -> float | None:
    """The score, or None and a finding that names it."""
    known = metric_of(metric)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        left_out.add("the score is not a number.", _NO_NUMBER, column=where, value=repr(value))
        return None
    try:
        score = float(value)
    except OverflowError:
        score = math.inf
    if not math.isfinite(score):
        left_out.add("the score is not a finite number.", _NO_NUMBER, column=where, value=value)
        return None
    if known.minimum <= score <= known.maximum:
        return score
    percent = known.maximum == 1.0 and 1 < score <= 100
    left_out.add(
        f"the score of {metric} is outside its range, {known.minimum:g} to {known.maximum:g}.",
        "It looks like a percentage. The score is left out." if percent else _NO_NUMBER,
        column=where,
        value=value,
    )
    return None


def _stderr(value: object) -> float | None:
    """The harness writes "N/A" where it has none, and NaN for a single item."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value <= _MOST else None


def _agreed(values: Iterable[T | None]) -> T | None:
    """The value all of them have; None where they differ or one is missing."""
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else None


def _count(value: object, minimum: int) -> int | None:
    """A whole number of at least `minimum` that a table can hold; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if not minimum <= value <= _MOST or value != int(value):
        return None
    return int(value)


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
    counts = (_count(own.get(key), 1) for key in ("sample_len", "sample_len,none"))
    return next((count for count in counts if count is not None), None)


def _limited(file: _File, task: str) -> bool:
    """Whether the task was cut short: fewer items than it has, or, where none are counted, a limit.

    A limit beyond the number of items limits nothing.
    """
    stated = file.samples.get(task)
    if isinstance(stated, dict):
        original, effective = (_count(stated.get(key), 1) for key in ("original", "effective"))
        if original is not None and effective is not None:
            return effective < original
    return file.config.get("limit") is not None


def _chance(file: _File, task: str, metric: str) -> float | None:
    config = file.configs.get(task)
    if not isinstance(config, dict):
        return chance_level(metric, output_type=_LOGLIKELIHOOD if _completes(file, task) else None)
    choices = config.get("doc_to_choice")
    output_type = config.get("output_type")
    return chance_level(
        metric,
        output_type=output_type if isinstance(output_type, str) else None,
        choices=len(choices) if isinstance(choices, list) else None,
    )


def _completes(file: _File, task: str) -> bool:
    """Whether the task asks for the likelihood of one right ending: it has a perplexity too."""
    bases = {str(key).partition(",")[0] for key in file.results.get(task, ())}
    return "acc" in bases and bool(bases & {"ppl", "perplexity"})


def _higher(file: _File, task: str, metric: str) -> bool | None:
    stated = file.higher.get(task)
    base = metric.partition(",")[0]
    value = stated.get(base) if isinstance(stated, dict) else None
    return value if isinstance(value, bool) else None
