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
from typing import IO, Any, Final, Self

from emergecast.errors import ExperimentError, LabError, OptionError
from emergecast.lab.executors._processes import WorkerProcess, default_workers, start_worker
from emergecast.lab.experiment import Experiment, Run
from emergecast.lab.ledger import Attempt, Ledger, State, machine
from emergecast.lab.plan import Plan, gather_facts, plan_now
from emergecast.lab.worker import measurer_of

_PATIENCE: Final = 2.0
"""Seconds between two looks at what other runners are doing."""
_DEATHS: Final = 2
"""So many workers may a run kill before it counts as failed."""


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
    run: Run | None = None
    plan: Plan | None = None
    done: int = 0
    """Steps done of the run, for progress."""
    total: int = 0
    seconds: float = 0.0
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How an experiment is run."""

    workers: int | None = None
    """Worker processes; one per GPU, or per CPU core where there is none, if None."""
    limit: int | None = None
    """Do at most so many runs, then stop; all that are missing if None."""
    keep_going: bool = False
    """Do what can be done where some of the experiment's entries cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of an experiment."""

    plan: Plan
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
        listener: is told what happens, in this thread.

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
        _sweep(plan)
        session = _Session(plan, ledger, options, listener)
        with session:
            return session.run()


def _sweep(plan: Plan) -> None:
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
    stillborn: int = 0
    """Workers that died before they were ready."""
    events: queue.Queue[tuple[WorkerProcess, dict[str, Any] | None]] = field(
        default_factory=queue.Queue
    )
    started: int = 0
    done: int = 0
    failed: int = 0
    looked: float = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the workers; what they were doing can be taken up again."""
        for worker in self.workers:
            worker.close_input()
        for worker in self.workers:
            try:
                worker.process.wait(timeout=10)
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
            if self._spent() or (self.done + self.failed == before and not self.plan.missing):
                break
        return Report(plan=self.plan, done=self.done, failed=self.failed)

    def _spent(self) -> bool:
        return self.options.limit is not None and self.started >= self.options.limit

    def _busy(self) -> bool:
        return any(worker.run is not None for worker in self.workers)

    def _round(self) -> None:
        """Until nothing is pending here, running here, or running elsewhere."""
        while True:
            self._hand_out()
            waiting = self.elsewhere and not self._spent()
            if not self._busy() and not waiting and (not self.pending or self._spent()):
                return
            try:
                worker, said = self.events.get(timeout=_PATIENCE / 4)
            except queue.Empty:
                pass
            else:
                self._hear(worker, said)
            self._look_elsewhere()

    def _hand_out(self) -> None:
        """Give work to idle workers, and start workers as long as there is work for them."""
        wanted = self.options.workers or default_workers()[0]
        while self.pending and not self._spent():
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
        number = next(n for n in range(10_000) if n not in {w.number for w in self.workers})
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
        with contextlib.suppress(ValueError):  # closed under our feet: the session is over
            for line in stream:
                self.events.put((worker, json.loads(line)))
        self.events.put((worker, None))

    def _send(self, worker: WorkerProcess, message: Mapping[str, Any]) -> None:
        stream = worker.process.stdin
        with contextlib.suppress(OSError):  # it is gone, which the reader notices
            if stream is not None:
                stream.write(json.dumps(message) + "\n")
                stream.flush()

    def _hear(self, worker: WorkerProcess, said: dict[str, Any] | None) -> None:
        if said is None:
            self._bury(worker)
            return
        run, what = worker.run, said["event"]
        if what == "ready":
            worker.ready = True
            self.stillborn = 0
        elif what == "stop":
            raise LabError(said["message"])
        elif run is None:
            return
        elif what == "begun":
            self.listener(Event(kind=EventKind.BEGUN, run=run))
        elif what == "progress":
            numbers = {"done": said["done"], "total": said["total"]}
            self.listener(Event(kind=EventKind.PROGRESS, run=run, **numbers))
        else:
            worker.run = None
            self._settle(run, said)

    def _settle(self, run: Run, said: Mapping[str, Any]) -> None:
        if said["event"] == "done":
            self.done += 1
            self.listener(Event(kind=EventKind.DONE, run=run, seconds=said["seconds"]))
        elif said["event"] == "failed":
            self.failed += 1
            self.listener(Event(kind=EventKind.FAILED, run=run, error=said["error"]))
        else:  # busy
            self.started -= 1
            self.elsewhere[run.key] = run

    def _bury(self, worker: WorkerProcess) -> None:
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
            self.stillborn += 1
            if self.stillborn >= _DEATHS:
                raise LabError(
                    f"worker processes cannot start (exit status {status}). The last words of one"
                    f' are in "{worker.log}".'
                )
            self.pending.appendleft(run)
            return
        self.deaths[run.key] += 1
        if self.deaths[run.key] < _DEATHS:
            self.pending.appendleft(run)
            return
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        error = (
            f"the worker process died {_DEATHS} times ({how}), as when memory runs out. Use fewer"
            f' workers or a smaller batch; its last words are in "{worker.log}".'
        )
        attempt = Attempt(
            key=run.key,
            kind=str(run.kind),
            title=run.title,
            identity=run.identity,
            started=time.time(),
            seconds=0.0,
            versions={},
            machine=machine(),
        )
        self.ledger.fail(attempt, error, "")
        self.failed += 1
        self.listener(Event(kind=EventKind.FAILED, run=run, error=error))

    def _look_elsewhere(self) -> None:
        """See what became of runs that other runners are doing."""
        if not self.elsewhere or time.monotonic() - self.looked < _PATIENCE:
            return
        self.looked = time.monotonic()
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
