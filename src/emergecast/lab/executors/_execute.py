"""Doing what a plan says is missing, through whichever executor.

A worker that dies or hangs takes only its own run with it: the run is tried once more, and recorded
as failed if it costs the next worker too. Several sessions may share one ledger; a run that another
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

from emergecast.errors import ExperimentError, LabError, LedgerError
from emergecast.lab.executors._events import Event, EventKind, Report, RunOptions
from emergecast.lab.executors._executor import SILENT, Executor, Heard, StartExecutor, WorkerGone
from emergecast.lab.executors._local import LocalExecutor
from emergecast.lab.executors._next_run import Place, next_run, place_of
from emergecast.lab.executors._notices import Notices
from emergecast.lab.experiment import Experiment, Run
from emergecast.lab.fetching import FetchAhead
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
"""How many workers a run may cost before it counts as failed."""


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
    options.check()

    def note(sentence: str) -> None:
        listener(Event(kind=EventKind.NOTED, note=sentence))

    for sentence in experiment.left_out:
        note(sentence)
    with Ledger.open(experiment.ledger, tell=note) as ledger:
        facts = gather_facts(experiment, measurer_of(experiment), ledger)
        plan = plan_now(experiment, facts, ledger, chosen=options.chosen)
        if plan.problems and not options.keep_going:
            raise ExperimentError(plan.problems)
        for sentence in facts.notes:
            note(sentence)
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
            time_limit=options.time_limit,
            listener=listener,
            fetch=FetchAhead(experiment),
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
    begun: float = 0.0
    """When it began its run."""
    renewed: float = 0.0
    """When its claim was renewed last."""


@dataclass(slots=True, kw_only=True)
class _Session:
    """One call of `run_all`: the only one that knows the ledger."""

    plan: Plan
    ledger: Ledger
    executor: Executor
    limit: int | None
    time_limit: float | None
    listener: Callable[[Event], None]
    fetch: FetchAhead
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
            took = {key: result.seconds for key, result in self.ledger.results().items()}
            self.listener(Event(kind=EventKind.PLANNED, plan=self.plan, took=took))
            self.pending |= {run.key: run for run in self.plan.missing}
            states = self.plan.states
            self.elsewhere |= {
                run.key: run for run in self.plan.runs if states[run.key] is State.RUNNING
            }
            if not self.pending and not self.elsewhere:
                break
            before = self.done + self.failed
            self._let_go()
            self._round()
            self._let_go()
            self.plan = plan_now(
                self.plan.experiment, self.plan.facts, self.ledger, chosen=self.plan.chosen
            )
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
            self._check_time()
            for sentence in self.fetch.news():
                self.listener(Event(kind=EventKind.NOTED, note=sentence))
            if time.monotonic() - self.last_check >= _CHECK_SECONDS:
                self._check_silent_workers()
                self._check_other_sessions()
                self.last_check = time.monotonic()

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
                worker.heard = time.monotonic()
                self.started += 1
                self.fetch.needed(self.plan.experiment.checkpoint(run))
                self.executor.send(number, run)
                self._fetch_next()

    def _fetch_next(self) -> None:
        """Fetch in the background what a worker takes next, while the present ones are measured."""
        taken = {each.held for each in self.workers if each.held is not None}
        run = next_run(self.pending.values(), None, taken=taken)
        if run is not None and place_of(run) not in taken:
            self.fetch.ahead(self.plan.experiment.checkpoint(run))

    def _let_go(self) -> None:
        """Delete fetched checkpoints of which no run is left, where the experiment says so."""
        busy = [worker.run for worker in self.workers if worker.run is not None]
        runs = (*self.pending.values(), *self.elsewhere.values(), *busy)
        self.fetch.let_go(but=set(map(place_of, runs)))

    def _handle(self, heard: Heard) -> None:
        worker, message = self.workers[heard.worker], heard.message
        run, worker.heard = worker.run, time.monotonic()
        if isinstance(message, WorkerStuck):
            raise LabError(message.error)
        if isinstance(message, WorkerGone):
            self._lose(worker, message)
            return
        self._renew(worker)
        if isinstance(message, WorkerAlive):
            return
        if run is None or run.key != message.key:
            return  # it was taken for lost, and somebody else does it
        if isinstance(message, RunBegun):
            self.failed_starts, worker.owner, worker.begun = 0, message.owner, time.monotonic()
            if not self.ledger.hand_over(run.key, giver=self.mine, taker=message.owner):
                self._leave(heard.worker)
                return
            self.listener(Event(kind=EventKind.BEGUN, run=run))
        elif isinstance(message, RunAdvanced):
            kind, done, total = EventKind.PROGRESS, message.done, message.total
            self.listener(Event(kind=kind, run=run, done=done, total=total))
        else:
            self._record(run, message)
            worker.run = worker.owner = None
            self._let_go()

    def _renew(self, worker: _WorkerState) -> None:
        """Let other sessions know that a run is being done, a few times as often as they ask."""
        if worker.owner is not None and worker.heard - worker.renewed > SILENCE / 8:
            worker.renewed = worker.heard
            with contextlib.suppress(LedgerError):  # they alone need it
                self.ledger.beat(worker.owner)

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

    def _leave(self, number: int) -> None:
        """Have a worker stop a run that another session took over while this one was stopped."""
        self.executor.stop(number)
        run, self.workers[number] = self.workers[number].run, _WorkerState()
        if run is not None:
            self.started -= 1
            self.elsewhere[run.key] = run

    def _lose(self, worker: _WorkerState, gone: WorkerGone) -> None:
        """A worker is lost; its run is tried again, or recorded as failed."""
        run, owner = worker.run, worker.owner
        worker.run = worker.owner = worker.held = None
        if run is None:
            return
        self.started -= 1
        if owner is None and not gone.left_alone:
            self.failed_starts += 1
            if self.failed_starts >= _MOST_DEATHS:
                raise LabError(
                    f"worker processes cannot start ({gone.how}). The end of the log of one says"
                    f' why: "{gone.log}".'
                )
        elif not gone.left_alone:
            self.deaths[run.key] += 1
        if self.deaths[run.key] < _MOST_DEATHS:
            self.ledger.release(owner or self.mine, run.key)
            self.pending = {run.key: run, **self.pending}
            how = f"its worker is lost ({gone.how}); another one takes it up"
            self.listener(Event(kind=EventKind.LOST, run=run, error=how))
            return
        self._fail(run, gone.after(_MOST_DEATHS), seconds=0.0)

    def _fail(self, run: Run, error: str, *, seconds: float) -> None:
        """Record a failure that the worker itself cannot tell any more."""
        started = time.time() - seconds
        attempt = Attempt.here(run, started=started, seconds=seconds, versions={})
        self.ledger.fail(attempt, error, "")
        self.failed += 1
        self.listener(Event(kind=EventKind.FAILED, run=run, error=error))

    def _check_time(self) -> None:
        """End runs that take longer than they may.

        Their training checkpoints stay: with a longer limit they are taken up again.
        """
        if self.time_limit is None:
            return
        for number, worker in enumerate(self.workers):
            if worker.run is None or worker.owner is None:
                continue
            took = time.monotonic() - worker.begun
            if took <= self.time_limit:
                continue
            run = worker.run
            self.executor.stop(number)
            self.workers[number] = _WorkerState()
            error = (
                f"the run was not done after {took:,.1f} s, and the limit is {self.time_limit:g} s."
                " Allow more time, or leave it out."
            )
            self._fail(run, error, seconds=took)

    def _check_silent_workers(self) -> None:
        """Replace workers that gave no sign of life for long: stopped, hanging, or out of reach.

        An executor says itself which workers are gone, as far as it can know.
        """
        if any(worker.run is not None and worker.owner is None for worker in self.workers):
            with contextlib.suppress(LedgerError):  # other sessions alone need it
                self.ledger.beat(self.mine)
        now = time.monotonic()
        if now - self.last_check > SILENCE / 2:  # this session itself was stopped for a while
            for worker in self.workers:
                worker.heard = now
        for number, worker in enumerate(self.workers):
            if worker.run is not None and now - worker.heard > SILENCE:
                self.executor.stop(number)
                self._lose(worker, WorkerGone(how=SILENT, log=""))

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
