"""Who does the missing runs: today, worker processes of this machine.

A session decides who does what and records; whoever can send runs and hear of them is an executor.
A session may be killed at any moment and started again: it does what is missing and nothing twice.
It refuses to record a failed run as a score.
"""

from __future__ import annotations

from emergecast.lab.executors._events import Event, EventKind, Report, RunOptions
from emergecast.lab.executors._execute import run_all
from emergecast.lab.executors._executor import Executor, Heard, StartExecutor, WorkerGone
from emergecast.lab.executors._local import LocalExecutor, default_workers

__all__ = [
    "Event",
    "EventKind",
    "Executor",
    "Heard",
    "LocalExecutor",
    "Report",
    "RunOptions",
    "StartExecutor",
    "WorkerGone",
    "default_workers",
    "run_all",
]
