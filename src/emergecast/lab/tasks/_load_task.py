"""Find a task of lm-evaluation-harness by its name and make it ready."""

from __future__ import annotations

import contextlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from emergecast.errors import LabError, near
from emergecast.lab.checkpoints import hub_advice
from emergecast.lab.tasks._load_settled import load_settled
from emergecast.lab.tasks._loaded_task import LoadedTask
from emergecast.lab.tasks._pool import FEW_SHOT_SEED
from emergecast.lab.tasks._programs import LoadedPrograms, load_programs
from emergecast.lab.tasks._quiet import load_fresh, quiet_harness
from emergecast.lab.tasks._task import Task
from emergecast.lab.tasks._task_folder import read_task_folder
from emergecast.lab.tasks._trust import check_trusted, only_sources

if TYPE_CHECKING:
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks import TaskManager


def load_task(task: Task, *, limit: int | None = None) -> LoadedTask:
    """A task with its data, ready to be asked.

    Args:
        task: Which one, and how.
        limit: Evaluate the first so many items only (of each task of a group).

    Raises:
        LabError: There is no such task, its data cannot be read, or it has no such metric.
    """
    if limit is not None and limit < 1:
        raise LabError(f'task "{task.name}": limit is {limit}. Give 1 or more, or leave it out.')
    trainers: list[ConfigurableTask] | None = None
    programs: LoadedPrograms | None = None
    if task.settled is not None and task.settled.programs is not None:
        with quiet_harness():
            part, programs = load_programs(task, task.settled, task.settled.programs, limit)
        parts = [part]
    elif task.settled is not None:
        _confine_templates()
        with quiet_harness():
            parts, makers = load_settled(task, task.settled)
        trainers = None if makers == parts else makers
    else:
        parts = _of_the_harness(task)
    for part in parts:
        part.set_config(key="num_fewshot", value=task.shots)
        part.set_fewshot_seed(seed=FEW_SHOT_SEED)
    return LoadedTask(task, parts, limit=limit, trainers=trainers, programs=programs)


def _of_the_harness(task: Task) -> list[ConfigurableTask]:
    """A task of the harness, or of a folder of YAML files; several of a group."""
    name, include_path = task.name, task.include_path
    if include_path is not None and not include_path.is_dir():
        raise LabError(
            f'include_path "{include_path}" is not a folder. Give the folder of the task\'s YAML'
            " file."
        )
    check_trusted(task)
    manager = _manager(None if include_path is None else include_path.resolve())
    if name not in manager.task_index:
        where = "lm-evaluation-harness" if include_path is None else f'"{include_path}"'
        hint = near(name, sorted(manager.task_index)) if manager.task_index else "It holds none."
        raise LabError(
            f'there is no task "{name}" in {where}. {hint} Correct the name, or include_path.'
        )
    inside = contextlib.nullcontext() if include_path is None else contextlib.chdir(include_path)
    try:
        _confine_templates()
        with quiet_harness(), only_sources(), inside:
            parts = load_fresh(lambda: list(manager.load([name])["tasks"].values()))
    except Exception as error:
        # A YAML file may be wrong in any way, and its data set may be anywhere.
        local = include_path is not None and read_task_folder(include_path).is_local
        remedy = "Check its YAML file and the data that it names." if local else hub_advice()
        said = (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")
        raise LabError(
            f'task "{name}" cannot be loaded: {type(error).__name__}: {said}. {remedy}'
        ) from error
    return parts


@lru_cache(maxsize=1)
def _confine_templates() -> None:
    """Have the harness fill in its templates without access to Python behind them.

    A template of a YAML file is text, and must stay text: in jinja's usual environment
    `{{ doc.__class__... }}` reaches any function.
    """
    from jinja2 import Template
    from jinja2.sandbox import SandboxedEnvironment
    from lm_eval import utils

    class Confined(SandboxedEnvironment):
        """Compiles each template once: the harness asks for it with every document."""

        @lru_cache(maxsize=1024)  # noqa: B019  it lives as long as the process
        def from_string(self, source: str) -> Template:  # type: ignore[override]
            return super().from_string(source)

    free = utils.env
    confined = Confined(
        loader=free.loader,
        undefined=free.undefined,
        keep_trailing_newline=free.keep_trailing_newline,
    )
    confined.filters.update(free.filters)
    utils.env = confined


@lru_cache(maxsize=8)
def _manager(include_path: Path | None) -> TaskManager:
    from lm_eval.tasks import TaskManager

    if include_path is None:
        return TaskManager()
    return TaskManager(include_path=str(include_path), include_defaults=False)
