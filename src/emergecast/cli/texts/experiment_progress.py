"""What is shown of an experiment while it runs."""

from __future__ import annotations

import sys
from typing import Self

from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from emergecast.cli._console import SafeConsole
from emergecast.lab.executors import Event, EventKind
from emergecast.lab.experiment import Run
from emergecast.lab.ledger import State
from emergecast.lab.plan import seconds_each


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
        elif event.run is not None and event.kind in _ENDS:
            self._ended += 1
            print(
                f"[{self._ended}/{self._all}] {event.run.title}: {_ending(event)}", file=sys.stderr
            )


_ENDS = {EventKind.DONE, EventKind.FAILED, EventKind.ELSEWHERE}


def _ending(event: Event) -> str:
    if event.kind is EventKind.FAILED:
        return f"failed: {event.error}"
    if event.kind is EventKind.ELSEWHERE:
        return "ended by another runner"
    return f"{event.seconds:.1f} s"


class Bars:
    """The whole grid, weighted by the time its runs take, and the runs that are going on."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True, ratio=1)),
            BarColumn(bar_width=12),
            TextColumn("{task.fields[note]}", table_column=Column(no_wrap=True)),
            TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True, min_width=5)),
            TextColumn("left", table_column=Column(no_wrap=True)),
            console=SafeConsole(),
            expand=True,
        )
        self._grid = self._bars.add_task("planning", total=None, note="")
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
            self._seconds = seconds_each(event.plan, {})
            ended = {State.DONE: True, State.FAILED: False}
            states = event.plan.states.items()
            self._counted |= {key: ended[state] for key, state in states if state in ended}
            self._bars.update(self._grid, description=event.plan.experiment.name)
            self._update()
        elif event.run is not None:
            self._show(event.run, event)

    def _show(self, run: Run, event: Event) -> None:
        if event.kind is EventKind.BEGUN and run.key not in self._runs:
            self._runs[run.key] = self._bars.add_task(f"  {run.title}", total=None, note="")
        elif event.kind is EventKind.PROGRESS and run.key in self._runs:
            note = f"step {event.done}/{event.total}"
            self._bars.update(
                self._runs[run.key], total=event.total, completed=event.done, note=note
            )
        elif event.kind in _ENDS:
            if run.key in self._runs:
                self._bars.remove_task(self._runs.pop(run.key))
            self._counted[run.key] = event.kind is not EventKind.FAILED
            if event.kind is EventKind.FAILED:
                self._bars.console.print(
                    f"failed: {run.title}\n        {event.error}", markup=False
                )
            self._update()

    def _update(self) -> None:
        """Move the bar of the grid."""
        failed = sum(not good for good in self._counted.values())
        note = f"{len(self._counted)}/{len(self._seconds)} runs"
        self._bars.update(
            self._grid,
            total=sum(self._seconds.values()),
            completed=sum(self._seconds.get(key, 0.0) for key in self._counted),
            note=note + (f", {failed} failed" if failed else ""),
        )
