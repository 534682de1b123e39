"""The tasks of the catalogue, read from its files."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any, Final

from emergecast.errors import LabError, near
from emergecast.lab.tasks import SettledTask, Task
from emergecast.records import from_json

_FILES: Final = files("emergecast.lab.catalogue.tasks")
_END: Final = ".toml"


@cache
def task_names() -> tuple[str, ...]:
    """Names of the tasks, sorted."""
    names = (each.name for each in _FILES.iterdir())
    return tuple(sorted(name.removesuffix(_END) for name in names if name.endswith(_END)))


@cache
def catalogued_task(name: str) -> SettledTask:
    """What is settled of a task.

    Raises:
        LabError: there is no such task.
    """
    if name not in task_names():
        raise LabError(f'the catalogue has no task "{name}". {near(name, task_names())}')
    return from_json(SettledTask, {"name": name, **_values(name)}, what=f"{name}{_END}")


def _values(name: str) -> dict[str, Any]:
    """What a file says; where it is like another one, what that says beside it."""
    values = tomllib.loads(_FILES.joinpath(f"{name}{_END}").read_text("utf-8"))
    if "like" not in values:
        return values
    whole = _values(values.pop("like"))
    for part, value in values.items():
        whole[part] = whole.get(part, {}) | value if isinstance(value, dict) else value
    return whole


def settle(task: Task, stated: Collection[str]) -> Task:
    """The task with what the catalogue settles, where it has one of that name and no folder has.

    Args:
        task: As it is described.
        stated: Names of its fields that the user has stated; they stand.
    """
    if task.include_path is not None or task.name not in task_names():
        return task
    settled = catalogued_task(task.name)
    return replace(
        task,
        settled=settled,
        shots=task.shots if "shots" in stated else settled.shots,
        metric=task.metric if "metric" in stated else settled.metric,
    )
