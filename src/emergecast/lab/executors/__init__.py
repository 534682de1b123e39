"""Worker processes of this machine that do the missing runs.

A session may be killed at any moment and started again: it does what is missing and nothing twice.
It refuses to record a failed run as a score.
"""

from __future__ import annotations

from emergecast.lab.executors._execute import Event, EventKind, Report, RunOptions, run_all
from emergecast.lab.executors._processes import default_workers

__all__ = [
    "Event",
    "EventKind",
    "Report",
    "RunOptions",
    "default_workers",
    "run_all",
]
