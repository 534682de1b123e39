"""Doing what a plan says is missing, in worker processes of this machine.

One process per GPU, or per CPU core with one thread each. A worker that dies takes only its own
run with it: the run is tried once more, and recorded as failed if it kills the next worker too.
Several runners may share one ledger; a run that another one is doing is waited for, and taken over
if that runner dies.
"""

from __future__ import annotations

import contextlib
import json
import queue
import shutil
import subprocess
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import IO, Any, Final, Self

from emergecast.errors import ExperimentError, LabError, OptionError
from emergecast.lab.executors._processes import WorkerProcess, default_workers, start_worker
from emergecast.lab.experiment import Experiment, Run
from emergecast.lab.ledger import Attempt, Ledger, State
from emergecast.lab.plan import Plan, gather_facts, plan_now
from emergecast.lab.worker import measurer_of

_CHECK_SECONDS: Final = 2.0
"""Seconds between checks of what other runners are doing."""
_END_SECONDS: Final = 10.0
"""Seconds that a worker has to end by itself when the session is over."""
_MOST_DEATHS: Final = 2
"""How many workers a run may kill before it counts as failed."""


class EventKind(StrEnum):
    """What happened."""

    PLANNED = "planned"
    """The grid is known, or grew."""
    BEGUN = "begun"
    PROGRESS = "progress"
    DONE = "done"
    FAILED = "failed"
    ELSEWHERE = "elsewhere"
    """Another runner is doing the run, or has done it."""


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
    error: str | None = None
    """Why the run failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How an experiment is run."""

    workers: int | None = None
    """Worker processes; one per GPU, or per CPU core where there is none, if None."""
    limit: int | None = None
    """Do at most this many runs, then stop; all that are missing if None."""
    keep_going: bool = False
    """Do what can be done where some of the experiment's entries cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How running an experiment ended."""

    plan: Plan
    """With the states at the end."""
    done: int
    """Runs done in this session."""
    failed: int
    """Runs that failed in this session."""


def run_all(
    experiment: Experiment,
    *,
    options: RunOptions | None = None,
    listener: Callable[[Event], None] = lambda _event: None,
) -> Report:
    """Do all runs of an experiment that are missing.

    Args:
        experiment: what to do.
        options: how.
        listener: called with each event, in this thread.

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
    with Ledger.open(experiment.ledger) as ledger:
        facts = gather_facts(experiment, measurer_of(experiment), ledger)
        plan = plan_now(experiment, facts, ledger)
        if plan.problems and not options.keep_going:
            raise ExperimentError(plan.problems)
        _remove_leftovers(plan)
        session = _Session(plan, ledger, options, listener)
        with session:
            return session.run()


def _remove_leftovers(plan: Plan) -> None:
    """Remove training checkpoints of runs that are done, left by a runner that was killed."""
    for key, state in plan.states.items():
        if state is State.DONE:
            shutil.rmtree(plan.experiment.training_folder(key), ignore_errors=True)


@dataclass(slots=True)
class _Session:
    """One call of `run_all`."""

    plan: Plan
    ledger: Ledger
    options: RunOptions
    listener: Callable[[Event], None]
    workers: list[WorkerProcess] = field(default_factory=list)
    pending: deque[Run] = field(default_factory=deque)
    elsewhere: dict[str, Run] = field(default_factory=dict)
    deaths: Counter[str] = field(default_factory=Counter)
    failed_starts: int = 0
    """Workers that died before they were ready."""
    events: queue.Queue[tuple[WorkerProcess, dict[str, Any] | None]] = field(
        default_factory=queue.Queue
    )
    started: int = 0
    done: int = 0
    failed: int = 0
    last_check: float = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the workers; what they were doing can be taken up again."""
        for worker in self.workers:
            worker.close_input()
        for worker in self.workers:
            try:
                worker.process.wait(timeout=_END_SECONDS)
            except subprocess.TimeoutExpired:
                worker.process.kill()
            worker.close()
        self.workers.clear()

    def run(self) -> Report:
        """Rounds of runs: losses may decide which come next."""
        while True:
            self.listener(Event(kind=EventKind.PLANNED, plan=self.plan))
            self.pending.extend(self.plan.missing)
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
        return Report(plan=self.plan, done=self.done, failed=self.failed)

    def _limit_reached(self) -> bool:
        return self.options.limit is not None and self.started >= self.options.limit

    def _busy(self) -> bool:
        return any(worker.run is not None for worker in self.workers)

    def _round(self) -> None:
        """Until nothing is pending here, running here, or running elsewhere."""
        while True:
            self._hand_out()
            waiting = self.elsewhere and not self._limit_reached()
            if not self._busy() and not waiting and (not self.pending or self._limit_reached()):
                return
            try:
                worker, message = self.events.get(timeout=_CHECK_SECONDS / 4)
            except queue.Empty:
                pass
            else:
                self._handle(worker, message)
            self._check_other_runners()

    def _hand_out(self) -> None:
        """Give work to idle workers, and start workers as long as there is work for them."""
        wanted = self.options.workers or default_workers()[0]
        while self.pending and not self._limit_reached():
            idle = next((w for w in self.workers if w.run is None), None)
            if idle is None:
                if len(self.workers) >= wanted:
                    return
                idle = self._start()
            run = self.pending.popleft()
            idle.run = run
            self.started += 1
            self._send(idle, {"run": run.as_json()})

    def _start(self) -> WorkerProcess:
        experiment = self.plan.experiment
        number = next(n for n in count() if n not in {w.number for w in self.workers})
        worker = start_worker(number, experiment.output / "logs" / f"worker-{number}.log")
        self.workers.append(worker)
        threading.Thread(
            target=self._read, args=(worker, worker.process.stdout), daemon=True
        ).start()
        setup = {
            "text": experiment.text,
            "file": str(experiment.file),
            "ledger": str(experiment.ledger),
        }
        self._send(worker, setup)
        return worker

    def _read(self, worker: WorkerProcess, stream: IO[str]) -> None:
        """Pass on what a worker says, and None when it is gone."""
        with contextlib.suppress(ValueError):  # the stream was closed: the session is over
            for line in stream:
                self.events.put((worker, json.loads(line)))
        self.events.put((worker, None))

    def _send(self, worker: WorkerProcess, message: Mapping[str, Any]) -> None:
        stream = worker.process.stdin
        with contextlib.suppress(OSError):  # it is gone, which the reader notices
            if stream is not None:
                stream.write(json.dumps(message) + "\n")
                stream.flush()

    def _handle(self, worker: WorkerProcess, message: dict[str, Any] | None) -> None:
        if message is None:
            self._worker_died(worker)
            return
        run, event = worker.run, message["event"]
        if event == "ready":
            worker.ready = True
            self.failed_starts = 0
        elif event == "stop":
            raise LabError(message["message"])
        elif run is None:
            return
        elif event == "begun":
            self.listener(Event(kind=EventKind.BEGUN, run=run))
        elif event == "progress":
            numbers = {"done": message["done"], "total": message["total"]}
            self.listener(Event(kind=EventKind.PROGRESS, run=run, **numbers))
        else:
            worker.run = None
            self._finish(run, message)

    def _finish(self, run: Run, message: Mapping[str, Any]) -> None:
        if message["event"] == "done":
            self.done += 1
            self.listener(Event(kind=EventKind.DONE, run=run, seconds=message["seconds"]))
        elif message["event"] == "failed":
            self.failed += 1
            self.listener(Event(kind=EventKind.FAILED, run=run, error=message["error"]))
        else:  # busy
            self.started -= 1
            self.elsewhere[run.key] = run

    def _worker_died(self, worker: WorkerProcess) -> None:
        """A worker died; its run is tried again, or recorded as failed."""
        if worker not in self.workers:
            return
        self.workers.remove(worker)
        status = worker.close()
        run = worker.run
        if run is None:
            return
        self.started -= 1
        if not worker.ready:
            self.failed_starts += 1
            if self.failed_starts >= _MOST_DEATHS:
                raise LabError(
                    f"worker processes cannot start (exit status {status}). The end of the log of"
                    f' one says why: "{worker.log}".'
                )
            self.pending.appendleft(run)
            return
        self.deaths[run.key] += 1
        if self.deaths[run.key] < _MOST_DEATHS:
            self.pending.appendleft(run)
            return
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        error = (
            f"the worker process died {_MOST_DEATHS} times ({how}), as when memory runs out. Use"
            f' fewer workers or a smaller batch; its log is "{worker.log}".'
        )
        attempt = Attempt.here(run, started=time.time(), seconds=0.0, versions={})
        self.ledger.fail(attempt, error, "")
        self.failed += 1
        self.listener(Event(kind=EventKind.FAILED, run=run, error=error))

    def _check_other_runners(self) -> None:
        """Check on runs that other runners are doing."""
        if not self.elsewhere or time.monotonic() - self.last_check < _CHECK_SECONDS:
            return
        self.last_check = time.monotonic()
        states = self.ledger.states()
        for key, run in list(self.elsewhere.items()):
            state = states.get(key, State.MISSING)
            if state is State.RUNNING:
                continue
            del self.elsewhere[key]
            if state is State.MISSING:
                self.pending.append(run)
            else:
                self.listener(Event(kind=EventKind.ELSEWHERE, run=run))
