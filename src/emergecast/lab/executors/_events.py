"""What a session is told to do, what it tells while it does it, and how it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from emergecast.errors import OptionError
from emergecast.lab.experiment import Run
from emergecast.lab.plan import Chosen, Plan


class EventKind(StrEnum):
    """What happened."""

    PLANNED = "planned"
    """The grid is known, or grew."""
    BEGUN = "begun"
    PROGRESS = "progress"
    DONE = "done"
    FAILED = "failed"
    EXAMPLE = "example"
    """The first run of a task, few-shot or finetuned, is done: an item of it, whole."""
    WARNING = "warning"
    """The first runs of a task look as if nothing were measured."""
    LOST = "lost"
    """The worker of the run is gone or hangs; another one takes the run up."""
    ELSEWHERE = "elsewhere"
    """Another runner is doing the run, or has done it."""
    NOTED = "noted"
    """Something about the ledger that the user should know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something to tell the user."""

    kind: EventKind
    """What happened."""
    run: Run | None = None
    """The run it happened to; None where the plan is meant."""
    plan: Plan | None = None
    """The plan, where it is known or grew."""
    done: int = 0
    """Steps done of the run, for progress."""
    total: int = 0
    """Steps of the run in all, for progress."""
    seconds: float = 0.0
    """How long the run took, where it is done."""
    took: Mapping[str, float] = field(default_factory=dict)
    """With the plan: how long the runs took that are done, by key."""
    error: str | None = None
    """Why the run failed, or how its worker was lost."""
    warning: str | None = None
    """What is odd, in a sentence or two."""
    example: Mapping[str, Any] | None = None
    """The item, as the ledger keeps it."""
    note: str = ""
    """What the user should know, in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How an experiment is run."""

    workers: int | None = None
    """Worker processes; one per GPU, or per CPU core where there is none, if None."""
    limit: int | None = None
    """Do at most this many runs, then stop; all that are missing if None."""
    keep_going: bool = False
    """Do what can be done where some of the experiment's entries cannot be used."""
    time_limit: float | None = None
    """Seconds that a run may take; one that takes longer has failed. No limit if None."""
    chosen: Chosen = field(default_factory=Chosen)
    """Which of the runs; all by default."""

    def check(self) -> None:
        """Refuse what cannot be.

        Raises:
            OptionError: an option is too small.
        """
        if self.workers is not None and self.workers < 1:
            raise OptionError(f"workers is {self.workers}. Give 1 or more.")
        if self.limit is not None and self.limit < 1:
            raise OptionError(f"limit is {self.limit}. Give 1 or more.")
        if self.time_limit is not None and not self.time_limit > 0:
            raise OptionError(f"the time limit is {self.time_limit:g} s. Give more than 0.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How running an experiment ended."""

    plan: Plan
    """With the states at the end."""
    done: int
    """Runs done in this session."""
    failed: int
    """Runs that failed in this session."""
    warnings: tuple[str, ...] = ()
    """What was odd about the first runs of tasks."""
