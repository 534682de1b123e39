"""Doing what a plan says is missing, through whichever executor.

A worker that dies takes only its own run with it: the run is tried once more, and recorded as
failed if it kills the next worker too. Several sessions may share one ledger; a run that another
one is doing is waited for, and taken over if that session dies.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Self

from emergecast.errors import ExperimentError, LabError, LedgerError, OptionError
from emergecast.lab.executors._events import Event, EventKind, Report, RunOptions
from emergecast.lab.executors._executor import Executor, Heard, StartExecutor, WorkerGone
from emergecast.lab.executors._local import LocalExecutor
from emergecast.lab.executors._next_run import Place, next_run, place_of
from emergecast.lab.executors._notices import Notices
from emergecast.lab.experiment import Experiment, Run
from emergecast.lab.ledger import (
    SILENCE,
    Attempt,
    Ledger,
    Outcome,
    Owner,
    State,
    this_process,
)
from emergecast.lab.plan import Plan, gather_facts, plan_now
from emergecast.lab.worker import (
    RunAdvanced,
    RunBegun,
    RunDone,
    RunFailed,
    WorkerAlive,
    WorkerStuck,
    measurer_of,
)

_CHECK_SECONDS: Final = 2.0
"""Seconds between checks of what cannot be heard."""
_MOST_DEATHS: Final = 2
"""How many workers a run may kill before it counts as failed."""


def run_all(
    experiment: Experiment,
    *,
    options: RunOptions | None = None,
    listener: Callable[[Event], None] = lambda _event: None,
    executor: StartExecutor = LocalExecutor,
) -> Report:
    """Do all runs of an experiment that are missing.

    Args:
        experiment: what to do.
        options: how.
        listener: called with each event, in this thread.
        executor: who does the runs; worker processes of this machine unless another is named.

    Raises:
        ExperimentError: something that the experiment names cannot be used; nothing was run.
        LedgerError: the ledger cannot be read or written. What was recorded is safe.
        LabError: no worker can be started.
        KeyboardInterrupt: the user stops it. Workers are stopped, training checkpoints are kept.
    """
    options = options or RunOptions()
    if options.workers is not None and options.workers < 1:
        raise OptionError(f"workers is {options.workers}. Give 1 or more.")
    if options.limit is not None and options.limit < 1:
        raise OptionError(f"limit is {options.limit}. Give 1 or more.")

    def note(sentence: str) -> None:
        listener(Event(kind=EventKind.NOTED, note=sentence))

    with Ledger.open(experiment.ledger, tell=note) as ledger:
        facts = gather_facts(experiment, measurer_of(experiment), ledger)
        plan = plan_now(experiment, facts, ledger)
        if plan.problems and not options.keep_going:
            raise ExperimentError(plan.problems)
        for damage in ledger.put_aside_damaged():
            note(f"Damaged, and put aside to be measured again: {damage}")
        for key, state in plan.states.items():
            if state is State.DONE:  # left by a session that was killed
                _remove_training(experiment, key)
        with _Session(
            plan=plan,
            ledger=ledger,
            executor=executor(experiment, options.workers),
            limit=options.limit,
            listener=listener,
        ) as session:
            return session.run()


def _remove_training(experiment: Experiment, key: str) -> None:
    """Remove the training checkpoint of a run that needs it no more."""
    shutil.rmtree(experiment.training_folder(key), ignore_errors=True)


@dataclass(slots=True)
class _WorkerState:
    """What the session knows of one worker."""

    run: Run | None = None
    """What it is doing; None while it waits."""
    held: Place | None = None
    """The checkpoint it has in memory."""
    owner: Owner | None = None
    """The process that does the run, once it has begun."""
    heard: float = 0.0
    """When it was heard last."""


@dataclass(slots=True, kw_only=True)
class _Session:
    """One call of `run_all`: the only one that knows the ledger."""

    plan: Plan
    ledger: Ledger
    executor: Executor
    limit: int | None
    listener: Callable[[Event], None]
    mine: Owner = field(default_factory=this_process)
    workers: list[_WorkerState] = field(default_factory=list)
    """By number."""
    pending: dict[str, Run] = field(default_factory=dict)
    elsewhere: dict[str, Run] = field(default_factory=dict)
    deaths: Counter[str] = field(default_factory=Counter)
    failed_starts: int = 0
    """Workers in a row that were lost before they began a run."""
    started: int = 0
    done: int = 0
    failed: int = 0
    last_check: float = 0.0
    notices: Notices = field(init=False)
    warnings: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.notices = Notices(plan=self.plan)
        self.workers = [_WorkerState() for _ in range(self.executor.workers)]
        return self

    def __exit__(self, *_: object) -> None:
        """End the workers; what they were doing can be taken up again."""
        self.executor.close()
        with contextlib.suppress(LedgerError):  # claims die with their processes anyway
            for owner in (self.mine, *(worker.owner for worker in self.workers)):
                if owner is not None:
                    self.ledger.release(owner)

    def run(self) -> Report:
        """Rounds of runs: losses may decide which come next."""
        while True:
            self.listener(Event(kind=EventKind.PLANNED, plan=self.plan))
            self.pending |= {run.key: run for run in self.plan.missing}
            states = self.plan.states
            self.elsewhere |= {
                run.key: run for run in self.plan.runs if states[run.key] is State.RUNNING
            }
            if not self.pending and not self.elsewhere:
                break
            before = self.done + self.failed
            self._round()
            self.plan = plan_now(self.plan.experiment, self.plan.facts, self.ledger)
            if self._limit_reached() or (
                self.done + self.failed == before and not self.plan.missing
            ):
                break
        return Report(
            plan=self.plan, done=self.done, failed=self.failed, warnings=tuple(self.warnings)
        )

    def _limit_reached(self) -> bool:
        return self.limit is not None and self.started >= self.limit

    def _round(self) -> None:
        """Until nothing is pending here, running here, or running elsewhere."""
        while True:
            self._hand_out()
            busy = any(worker.run is not None for worker in self.workers)
            waiting = self.elsewhere and not self._limit_reached()
            if not busy and not waiting and (not self.pending or self._limit_reached()):
                return
            wait = _CHECK_SECONDS / 4
            while (heard := self.executor.hear(wait)) is not None:
                self._handle(heard)
                wait = 0.0
            if time.monotonic() - self.last_check >= _CHECK_SECONDS:
                self.last_check = time.monotonic()
                self._check_silent_workers()
                self._check_other_sessions()

    def _hand_out(self) -> None:
        """Give work to every worker that waits, as long as there is some."""
        for number, worker in enumerate(self.workers):
            others = [each.held for each in self.workers if each is not worker and each.held]
            while worker.run is None and not self._limit_reached():
                taken = {*others, *map(place_of, self.elsewhere.values())}
                run = next_run(self.pending.values(), worker.held, taken=taken)
                if run is None:
                    return
                del self.pending[run.key]
                if not self.ledger.claim(run.key, run.title, self.mine):
                    self.elsewhere[run.key] = run
                    continue
                worker.run, worker.held, worker.owner = run, place_of(run), None
                self.started += 1
                self.executor.send(number, run)

    def _handle(self, heard: Heard) -> None:
        worker, message = self.workers[heard.worker], heard.message
        run, worker.heard = worker.run, time.monotonic()
        if isinstance(message, WorkerStuck):
            raise LabError(message.error)
        if isinstance(message, WorkerGone):
            self._lose(worker, how=message.how, log=message.log)
            return
        if isinstance(message, WorkerAlive):
            if worker.owner is not None:
                with contextlib.suppress(LedgerError):  # for sessions of other machines alone
                    self.ledger.beat(worker.owner)
            return
        if run is None or run.key != message.key:
            return  # it was taken for lost, and somebody else does it
        if isinstance(message, RunBegun):
            self.failed_starts, worker.owner = 0, message.owner
            self.ledger.hand_over(run.key, giver=self.mine, taker=message.owner)
            self.listener(Event(kind=EventKind.BEGUN, run=run))
        elif isinstance(message, RunAdvanced):
            kind, done, total = EventKind.PROGRESS, message.done, message.total
            self.listener(Event(kind=kind, run=run, done=done, total=total))
        else:
            self._record(run, message)
            worker.run = worker.owner = None

    def _record(self, run: Run, message: RunDone | RunFailed) -> None:
        """Put what became of a run into the ledger, before anything else happens to it."""
        if isinstance(message, RunDone):
            self.ledger.record(message.attempt, message.outcome)
            self.done += 1
            event = Event(kind=EventKind.DONE, run=run, seconds=message.attempt.seconds)
        else:
            self.ledger.fail(message.attempt, message.error, message.traceback)
            self.failed += 1
            event = Event(kind=EventKind.FAILED, run=run, error=message.error)
        _remove_training(self.plan.experiment, run.key)
        self.listener(event)
        if isinstance(message, RunDone):
            self._notice(run, message.outcome)

    def _notice(self, run: Run, outcome: Outcome) -> None:
        """Show what the first runs of a task show."""
        example = next(iter(outcome.items), {})
        if self.notices.is_first(run) and "text" in example:
            self.listener(Event(kind=EventKind.EXAMPLE, run=run, example=example))
        for warning in self.notices.warnings(run, outcome):
            self.warnings.append(warning)
            self.listener(Event(kind=EventKind.WARNING, run=run, warning=warning))

    def _lose(self, worker: _WorkerState, *, how: str, log: str) -> None:
        """A worker is lost; its run is tried again, or recorded as failed."""
        run, owner = worker.run, worker.owner
        worker.run = worker.owner = worker.held = None
        if run is None:
            return
        self.started -= 1
        if owner is None:
            self.failed_starts += 1
            if self.failed_starts >= _MOST_DEATHS:
                raise LabError(
                    f"worker processes cannot start ({how}). The end of the log of one says why:"
                    f' "{log}".'
                )
        else:
            self.deaths[run.key] += 1
        if self.deaths[run.key] < _MOST_DEATHS:
            self.ledger.release(owner or self.mine, run.key)
            self.pending = {run.key: run, **self.pending}
            return
        where = f'; its log is "{log}"' if log else ""
        error = (
            f"the worker process died {_MOST_DEATHS} times ({how}), as when memory runs out. Use"
            f" fewer workers or a smaller batch{where}."
        )
        attempt = Attempt.here(run, started=time.time(), seconds=0.0, versions={})
        self.ledger.fail(attempt, error, "")
        self.failed += 1
        self.listener(Event(kind=EventKind.FAILED, run=run, error=error))

    def _check_silent_workers(self) -> None:
        """Take a run for lost whose worker is no longer alive by the rule of the ledger.

        An executor says itself which workers are gone, as far as it can know.
        """
        if any(worker.run is not None and worker.owner is None for worker in self.workers):
            with contextlib.suppress(LedgerError):  # for sessions of other machines alone
                self.ledger.beat(self.mine)
        for worker in self.workers:
            silent = time.monotonic() - worker.heard > SILENCE
            if not silent or worker.run is None or worker.owner is None:
                continue
            if worker.run.key not in self.ledger.running():
                self._lose(worker, how=f"no sign of life for {SILENCE:g} s", log="")

    def _check_other_sessions(self) -> None:
        """Check on runs that other sessions are doing."""
        states = self.ledger.states() if self.elsewhere else {}
        for key, run in list(self.elsewhere.items()):
            state = states.get(key, State.MISSING)
            if state is State.RUNNING:
                continue
            del self.elsewhere[key]
            if state is State.MISSING:
                self.pending[key] = run
            else:
                self.listener(Event(kind=EventKind.ELSEWHERE, run=run))
