"""What is shown of an experiment while it runs."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from typing import Final, Self

from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.table import Column
from rich.text import Text

from emergecast.cli._console import SafeConsole
from emergecast.cli._output import say
from emergecast.cli._wrap import on_stderr
from emergecast.cli.texts.experiments import duration
from emergecast.cli.texts.runs import example_lines
from emergecast.lab.executors import Event, EventKind, default_workers
from emergecast.lab.experiment import Run
from emergecast.lab.ledger import State
from emergecast.lab.plan import Plan, seconds_each


class Lines:
    """A line for each run that ends, where bars cannot be shown."""

    def __init__(self) -> None:
        self._ended = 0
        self._all = 0

    def show(self, event: Event) -> None:
        """Report one event."""
        if event.plan is not None:
            self._all = len(event.plan.states)
            self._ended = sum(s in {State.DONE, State.FAILED} for s in event.plan.states.values())
        elif event.note:
            say(event.note)
        elif event.run is not None and event.kind is EventKind.LOST:
            say(f"{event.run.title}: {event.error}")
        elif event.run is not None and event.kind in _ENDS:
            self._ended += 1
            say(f"[{self._ended}/{self._all}] {event.run.title}: {_ending(event)}")
        for line in _noticed(event):
            print(line, file=sys.stderr)


_ESTIMATE_SECONDS: Final = 2.0
"""Seconds between two estimates: one looks at every run."""
_ENDS = {EventKind.DONE, EventKind.FAILED, EventKind.ELSEWHERE}


def _noticed(event: Event) -> Iterator[str]:
    """A whole example of a task, or what is odd about it."""
    if event.kind is EventKind.WARNING:
        yield on_stderr(f"Warning: {event.warning}")
    if event.kind is EventKind.EXAMPLE and event.run is not None and event.example is not None:
        yield f"The first item of {event.run.title}:"
        yield from example_lines(event.example)


def _ending(event: Event) -> str:
    if event.kind is EventKind.FAILED:
        return f"failed: {event.error}"
    if event.kind is EventKind.ELSEWHERE:
        return "ended by another runner"
    return f"{event.seconds:.1f} s"


class _Left(ProgressColumn):
    """The time left: of the grid as estimated, of a run from its own steps."""

    def render(self, task: Task) -> Text:
        """In the words of `plan`."""
        left = task.fields.get("left")
        left = task.time_remaining if left is None else left
        return Text("" if left is None else f"{duration(left)} left")


class Bars:
    """The whole grid, weighted by the time its runs take, and the runs that are going on."""

    def __init__(self, workers: int | None = None) -> None:
        usual, self._on_gpu = default_workers()
        self._workers = workers or usual
        self._bars = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True, ratio=1)),
            BarColumn(bar_width=12),
            TextColumn("{task.fields[note]}", table_column=Column(no_wrap=True)),
            _Left(table_column=Column(no_wrap=True, min_width=5)),
            console=SafeConsole(),
            expand=True,
        )
        self._grid = self._bars.add_task("planning", total=None, note="", left=None)
        self._plan: Plan | None = None
        self._took: dict[str, float] = {}
        self._estimated = -math.inf
        self._runs: dict[str, TaskID] = {}
        self._seconds: dict[str, float] = {}
        self._counted: dict[str, bool] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def show(self, event: Event) -> None:
        """Show one event."""
        if event.plan is not None:
            self._plan, self._took = event.plan, dict(event.took)
            self._estimated = -math.inf
            ended = {State.DONE: True, State.FAILED: False}
            states = event.plan.states.items()
            self._counted |= {key: ended[state] for key, state in states if state in ended}
            self._bars.update(self._grid, description=event.plan.experiment.name)
            self._update()
        elif event.note:
            self._bars.console.print(event.note, markup=False)
        elif event.run is not None:
            self._show(event.run, event)
        for line in _noticed(event):
            self._bars.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _show(self, run: Run, event: Event) -> None:
        if event.kind is EventKind.BEGUN and run.key not in self._runs:
            self._runs[run.key] = self._bars.add_task(
                f"  {run.title}", total=None, note="", left=None
            )
        elif event.kind is EventKind.PROGRESS and run.key in self._runs:
            note = f"step {event.done}/{event.total}"
            self._bars.update(
                self._runs[run.key], total=event.total, completed=event.done, note=note
            )
        elif event.kind is EventKind.LOST:
            if run.key in self._runs:
                self._bars.remove_task(self._runs.pop(run.key))
            self._bars.console.print(f"{run.title}: {event.error}", markup=False)
        elif event.kind in _ENDS:
            if run.key in self._runs:
                self._bars.remove_task(self._runs.pop(run.key))
            self._counted[run.key] = event.kind is not EventKind.FAILED
            if event.kind is EventKind.DONE:
                self._took[run.key] = event.seconds
            if event.kind is EventKind.FAILED:
                self._bars.console.print(
                    f"failed: {run.title}\n        {event.error}", markup=False
                )
            self._update()

    def _update(self) -> None:
        """Move the bar of the grid; what is left is what `plan` and `status` say."""
        if self._plan is not None and time.monotonic() - self._estimated > _ESTIMATE_SECONDS:
            self._seconds = seconds_each(self._plan, self._took, on_gpu=self._on_gpu)
            self._estimated = time.monotonic()
        open_runs = [key for key in self._seconds if key not in self._counted]
        left = sum(self._seconds[key] for key in open_runs) / max(
            1, min(self._workers, len(open_runs))
        )
        failed = sum(not good for good in self._counted.values())
        known = 0 if self._plan is None else len(self._plan.states)
        note = f"{len(self._counted)}/{known} runs"
        self._bars.update(
            self._grid,
            total=sum(self._seconds.values()),
            completed=sum(self._seconds.get(key, 0.0) for key in self._counted),
            note=note + (f", {failed} failed" if failed else ""),
            left=left,
        )
