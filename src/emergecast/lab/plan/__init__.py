"""Running an experiment: the file that describes it, the plan, the ledger of results, the table.

Every run has a key made of all that determines its result, and every result goes into the ledger,
one SQLite file, the moment it exists and exactly once. So a runner may be killed at any moment and
started again: it does what is missing and nothing twice. It refuses to begin an experiment that
cannot end, and to record a failed run as a score.
"""

from emergecast.lab.runner._estimate import Estimate, estimate, seconds_each
from emergecast.lab.runner._execute import (
    Event,
    EventKind,
    Report,
    RunOptions,
    run_all,
)
from emergecast.lab.runner._experiment import Experiment, Worker
from emergecast.lab.runner._export import Exported, make_table
from emergecast.lab.runner._ledger import Failure, Ledger, Result, State
from emergecast.lab.runner._parse import parse_experiment, read_experiment
from emergecast.lab.runner._plan import Plan
from emergecast.lab.runner._processes import default_workers
from emergecast.lab.runner._run import Recipe, Run, RunKind
from emergecast.lab.runner._survey import Survey, clear_failures, survey

__all__ = [
    "Estimate",
    "Event",
    "EventKind",
    "Experiment",
    "Exported",
    "Failure",
    "Ledger",
    "Plan",
    "Recipe",
    "Report",
    "Result",
    "Run",
    "RunKind",
    "RunOptions",
    "State",
    "Survey",
    "Worker",
    "clear_failures",
    "default_workers",
    "estimate",
    "make_table",
    "parse_experiment",
    "read_experiment",
    "run_all",
    "seconds_each",
    "survey",
]
