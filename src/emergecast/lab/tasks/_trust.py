"""Whose Python code may run: that of a task folder only when somebody said so.

The answer is kept in a file of the user, by what the code is: changed code is asked about again,
code that was moved is not. Nothing else of a folder is trusted, and no code of a checkpoint ever.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from emergecast.errors import LabError
from emergecast.lab.tasks._task import Task
from emergecast.lab.tasks._task_folder import TaskFolder, read_task_folder

FOLDER_VARIABLE: Final = "EMERGECAST_CONFIG"
_TRUSTED: Final = "trusted-code.txt"
_SHOWN: Final = 6


def untrusted_code(task: Task) -> TaskFolder | None:
    """What loading a task would run that nobody has trusted yet; None where there is none of it.

    Raises:
        LabError: a YAML file of its folder cannot be read.
    """
    if task.include_path is None:  # the harness's own
        return None
    folder = read_task_folder(task.include_path)
    return None if _may_run(folder) else folder


def trust(folder: TaskFolder) -> None:
    """Remember that this code may run, as it is now.

    Raises:
        LabError: the answer cannot be written down.
    """
    file = _file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as stream:
            stream.write(f"{digest(folder)} {time.strftime('%Y-%m-%d')} {folder.path}\n")
    except OSError as error:
        raise LabError(
            f'"{file}" cannot be written: {error.strerror or error}. Name a folder of yours in'
            f" {FOLDER_VARIABLE}."
        ) from None


def code_lines(folder: TaskFolder) -> Iterator[str]:
    """What would run, a line for the functions and one for each file."""
    shown = ", ".join(folder.functions[:_SHOWN])
    more = len(folder.functions) - _SHOWN
    yield f"{folder.path} names Python functions: {shown}" + (f" and {more}" if more > 0 else "")
    for file in folder.code:
        inside = file.is_relative_to(folder.path)
        yield f"  {file.relative_to(folder.path) if inside else file}"


def check_trusted(task: Task) -> None:
    """Refuse to load a task that would run code which nobody has trusted.

    Raises:
        LabError: it would, or it names a metric for which code would be fetched.
    """
    if task.include_path is None:
        return
    folder = read_task_folder(task.include_path)
    if unknown := [name for name in folder.metrics if not _is_of_the_harness(name)]:
        raise LabError(
            f'task "{task.name}": the harness has no metric "{unknown[0]}", and would fetch a'
            " program of that name and run it. Write it as a !function of the task folder."
        )
    if not _may_run(folder):
        names = [
            str(file.relative_to(folder.path))
            for file in folder.code
            if file.is_relative_to(folder.path)
        ]
        names = names or list(folder.functions)
        shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        raise LabError(
            f'task "{task.name}" runs Python code of "{folder.path}" that you have not trusted:'
            f" {shown}. Read it, then say so once with --trust (emergecast plan FILE --trust);"
            " docs/trust.md says why."
        )


@contextlib.contextmanager
def only_sources() -> Iterator[None]:
    """Import code from its sources, not from compiled files that somebody laid beside them."""
    before = sys.pycache_prefix
    sys.pycache_prefix = str(_file().parent / "pycache")
    try:
        yield
    finally:
        sys.pycache_prefix = before


def digest(folder: TaskFolder) -> str:
    """SHA-256 over the code and over which of its functions are named, in hexadecimal."""
    found = hashlib.sha256("\0".join(folder.functions).encode())
    for file in folder.code:
        inside = file.is_relative_to(folder.path)
        found.update(f"\0{file.relative_to(folder.path) if inside else file}\0".encode())
        found.update(hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()


def _may_run(folder: TaskFolder) -> bool:
    return not folder.functions or digest(folder) in _trusted()


def _is_of_the_harness(metric: str) -> bool:
    import lm_eval.api.metrics  # noqa: F401  registers them
    from lm_eval.api.registry import metric_registry

    return metric in metric_registry


def _file() -> Path:
    """Where answers are kept: EMERGECAST_CONFIG, or the user's folder of settings."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named) / _TRUSTED
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "emergecast" / _TRUSTED


def _trusted() -> frozenset[str]:
    """Digests of the code that may run."""
    try:
        lines = _file().read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(line.split()[0] for line in lines if line.strip())
