"""What a task's definition is: all that turns a model's answers into its score."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from emergecast.lab.tasks._sources import code_hashes, file_of, files_named, yaml_files

if TYPE_CHECKING:
    from lm_eval.api.task import ConfigurableTask

_NAMES: Final = frozenset(
    {
        "task",
        "task_alias",
        "tag",
        "group",
        "metadata",
        "dataset_path",
        "dataset_name",
        "dataset_kwargs",
        "training_split",
        "validation_split",
        "test_split",
        "fewshot_split",
        "split",
        "num_fewshot",
        "should_decontaminate",
        "doc_to_decontamination_query",
    }
)
"""Settings that name things, data among them, whose content counts instead; or that the experiment
decides; or that decide no score."""
_SHOTS: Final = "fewshot_config"
"""The setting that counts only where the prompt holds examples."""


class Definition(NamedTuple):
    """The definition of a task."""

    hash: str
    """SHA-256 of it, in hexadecimal."""
    files: tuple[str, ...]
    """The files that it lies in, those of the harness left out: when they have changed, it may."""


def define(
    parts: Sequence[ConfigurableTask],
    *,
    shots: int,
    folder: Path | None,
    trainers: Sequence[ConfigurableTask] = (),
) -> Definition:
    """The definition of a task, or of a group of them.

    It holds every setting of the YAML, includes and a group's settings with it: filters in their
    order and their arguments, metrics and theirs, repeats, generation and few-shot settings (those
    where there are shots); the code of every function that it names, with the user's modules that
    this imports and the files that it names; and every document that is evaluated. Comments, the
    order of settings, the task's name, and where files lie do not count.

    Args:
        parts: The tasks as the harness has loaded them.
        shots: Solved examples in the prompt.
        folder: Where the task's YAML lies; None for a task of the harness.
        trainers: Tasks that only make finetuning strings; their settings count.
    """
    modules: set[Path] = set()
    read: set[Path] = set()
    digest = hashlib.sha256()
    for part in parts:
        source = (part.config.metadata or {}).get("config_source", "")
        files = yaml_files(Path(source)) if source and Path(source).is_file() else {}
        read |= files.keys()
        for named in files_named(files, Path(source).parent if folder is None else folder):
            (modules if named.suffix == ".py" else read).add(named)
        modules |= set(_own_code(part))
        digest.update(_spelt(_settings(part, shots=shots)))
        for doc in part.task_docs:
            digest.update(_spelt(doc))
    for trainer in trainers:
        digest.update(_spelt(_settings(trainer, shots=0)))
    hashes = code_hashes(modules)
    digest.update(_spelt(sorted((path.name, content) for path, content in hashes.items())))
    kept = sorted(str(path) for path in {*read, *hashes} if folder is not None)
    return Definition(digest.hexdigest(), tuple(kept))


def _settings(part: ConfigurableTask, *, shots: int) -> dict[str, Any]:
    """All settings that differ from the harness's defaults."""
    left_out = _NAMES if shots else _NAMES | {_SHOTS}
    return {
        "class": type(part).__name__,
        **{name: value for name, value in _fields(part.config) if name not in left_out},
    }


def _fields(record: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401  any record of the harness
    for each in fields(record):
        value = getattr(record, each.name)
        default = None if each.default is MISSING else each.default
        if value is not None and value != default:
            yield each.name, value


def _own_code(part: ConfigurableTask) -> Iterator[Path]:
    """Files of functions among the settings, and of filters and metrics that the user made."""
    named = [value for _, value in _fields(part.config)]
    filters = [each for ensemble in part._filters for each in ensemble.filters]  # noqa: SLF001  nothing public
    scoring = (part._metric_fn_list.values(), part._aggregation_list.values())  # noqa: SLF001  has them
    made = [*filters, *(function for group in scoring for function in group)]
    if type(part).__module__.split(".")[0] != "lm_eval":
        made.append(type(part))
    for things, harness in ((_callables(named), True), (made, False)):
        for thing in things:
            path = None if thing is None else file_of(thing, harness=harness)
            if path is not None:
                yield path


def _callables(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, Mapping):
            yield from _callables(value.values())
        elif isinstance(value, list | tuple):
            yield from _callables(value)
        elif is_dataclass(value) and not isinstance(value, type):
            yield from _callables(each for _, each in _fields(value))
        elif callable(value):
            yield value


def _spelt(value: object) -> bytes:
    try:
        return json.dumps(value, default=_odd, sort_keys=True).encode()
    except TypeError:  # names of several types, which have no order
        return repr(value).encode()


def _odd(value: Any) -> object:  # noqa: ANN401  whatever a setting or a document may be
    """What stands for a value that JSON lacks, the same in every process."""
    if is_dataclass(value) and not isinstance(value, type):
        return {name: each for name, each in _fields(value) if name not in _NAMES}
    if callable(value):
        return f"!function {getattr(value, '__qualname__', type(value).__qualname__)}"
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, set | frozenset):
        return sorted(value, key=repr)
    shown = repr(value)
    return type(value).__qualname__ if " at 0x" in shown else shown
