"""An experiment as a whole: its grid of runs, cost, state, and table of results.

It refuses to start an experiment that cannot end: every checkpoint, task and corpus is looked at
before anything expensive, and every mistake is quoted at its line.
"""

from __future__ import annotations

from emergecast.lab.plan._chosen import Chosen, Shard
from emergecast.lab.plan._commits import commits_read, moved_words
from emergecast.lab.plan._estimate import Estimate, Grading, estimate, seconds_each
from emergecast.lab.plan._export import Exported, make_table, older_words
from emergecast.lab.plan._facts import gather_facts
from emergecast.lab.plan._look_up import RunFound, look_up
from emergecast.lab.plan._plan import Plan
from emergecast.lab.plan._survey import Survey, clear_failures, plan_now, survey

__all__ = [
    "Chosen",
    "Estimate",
    "Exported",
    "Grading",
    "Plan",
    "RunFound",
    "Shard",
    "Survey",
    "clear_failures",
    "commits_read",
    "estimate",
    "gather_facts",
    "look_up",
    "make_table",
    "moved_words",
    "older_words",
    "plan_now",
    "seconds_each",
    "survey",
]
