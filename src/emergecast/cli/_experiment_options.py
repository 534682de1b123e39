"""Which runs of an experiment, for how long, and whose code: what options of its commands mean."""

from __future__ import annotations

import contextlib
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from emergecast.lab.experiment import Experiment
    from emergecast.lab.plan import Chosen

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def chosen_runs(only: list[str] | None, shard: str | None) -> Chosen:
    """The runs that the options name; all of them without."""
    from emergecast.lab.plan import Chosen, Shard

    only = only or []
    if shard is None:
        return Chosen(only=tuple(only))
    return Chosen(only=tuple(only), shard=Shard.parse(shard))


def ask_for_trust(experiment: Experiment, *, trust: bool, ask: bool) -> None:
    """Say which code of task folders would run, and remember that it may.

    Without an answer nothing is remembered, and loading such a task is refused by its name.
    """
    from emergecast.errors import LabError
    from emergecast.lab import tasks
    from emergecast.lab.experiment import WorkerKind

    folders: dict[Path, tasks.TaskFolder] = {}
    for task in experiment.tasks if experiment.worker is WorkerKind.MODELS else ():
        with contextlib.suppress(LabError):  # the plan says so, at its line
            found = tasks.untrusted_code(task)
            folders |= {} if found is None else {found.path: found}
    for folder in folders.values():
        for line in tasks.code_lines(folder):
            print(line, file=sys.stderr)
        at_terminal = ask and sys.stdin.isatty() and sys.stderr.isatty()
        if trust or (at_terminal and typer.confirm("Have you read it, and may it run?", err=True)):
            tasks.trust(folder)


def seconds(text: str | None) -> float | None:
    """A time like 90, 90s, 30m or 1.5h in seconds."""
    from emergecast.errors import OptionError

    if text is None:
        return None
    found = re.fullmatch(r"\s*([0-9]+\.?[0-9]*)\s*([smhd]?)\s*", text)
    if found is None:
        raise OptionError(f"--time-limit takes a time like 90s, 30m or 2h, not {text!r}.")
    return float(found[1]) * _UNITS[found[2]]
