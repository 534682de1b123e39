"""Nothing waits for ever: stopped workers, measurements that hang, sessions that are stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.lab.executors.test_seam import (
    Flaky,
    begun,
    ended,
    heard_of,
    kill_session,
    run_with,
    session_in_a_run,
    slow,
)

from emergecast.errors import OptionError
from emergecast.lab.executors import (
    Event,
    EventKind,
    Heard,
    LocalExecutor,
    RunOptions,
    WorkerGone,
    _execute,
    run_all,
)
from emergecast.lab.experiment import Run, read_experiment
from emergecast.lab.ledger import Ledger, Owner, State, this_process
from emergecast.lab.ledger._ledger import _put_claim
from emergecast.lab.plan import survey
from emergecast.lab.worker import LEFT_ALONE, RunBegun
from emergecast.lab.worker._life import Life

Write = Callable[..., Path]


def test_a_stopped_worker_is_noticed_said_and_replaced(
    write: Write, monkeypatch: pytest.MonkeyPatch
):
    """Its process is there, but says nothing: it is killed, and all 15 runs are done."""
    file = write(("{seconds: 0}", "{seconds: 0.2}"))
    stopped: list[int] = []
    events: list[Event] = []

    def stop(event: Event) -> None:
        events.append(event)
        if event.kind is EventKind.BEGUN and not stopped:
            stopped.extend(_workers())
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
            monkeypatch.setattr(_execute, "SILENCE", 1.0)
            monkeypatch.setattr(_execute, "_CHECK_SECONDS", 0.1)
        if event.kind is EventKind.LOST:
            monkeypatch.undo()

    report = run_all(read_experiment(file), options=RunOptions(workers=1), listener=stop)
    assert (report.done, report.failed) == (15, 0)
    (lost,) = [event for event in events if event.kind is EventKind.LOST]
    assert str(lost.error).startswith("its worker is lost (no sign of life")
    assert len(stopped) == 1
    assert ended(stopped[0], 1.0), "nobody leaves a stopped process behind"


def _workers() -> list[int]:
    from tests.lab.executors.test_run import worker_pids

    return worker_pids()


def test_a_run_over_its_time_limit_fails_by_name_and_its_worker_is_replaced(write: Write):
    """Two runs of a minute each, and half a second for each; the third worker never starts."""
    file = write(("{seconds: 0}", "{seconds: 60}"))
    began = time.monotonic()
    options = RunOptions(workers=1, limit=2, time_limit=0.5)
    report = run_all(read_experiment(file), options=options)
    assert time.monotonic() - began < 30
    assert (report.done, report.failed) == (0, 2)
    assert report.plan.count() == {State.FAILED: 2, State.MISSING: 13}
    failures = survey(read_experiment(file)).failures
    assert all("and the limit is 0.5 s" in each.error for each in failures)
    assert {each.title for each in failures} == {run.title for run in report.plan.runs[:2]}
    assert not _workers()
    with pytest.raises(OptionError, match="time limit"):
        run_all(read_experiment(file), options=RunOptions(time_limit=0.0))


def test_a_run_that_another_session_took_over_is_left_to_it(write: Write):
    """This session was stopped until its claim was void: its worker must not begin the run."""
    file = write()
    experiment = read_experiment(file)
    other = this_process()

    def taken_over(run: Run) -> Heard:
        with Ledger.open(experiment.ledger) as ledger, ledger.database.writing() as connection:
            _put_claim(connection, run.key, run.title, other)
        mine = Owner(name="late", host=other.host, pid=other.pid, born=other.born)
        return Heard(worker=0, message=RunBegun(key=run.key, owner=mine))

    made = Flaky(file, taken_over)
    report, events = run_with(file, made, limit=1)
    assert (report.done, report.failed) == (1, 0)
    assert made.sent[0] != made.sent[1], "another run is done instead"
    assert [event.kind for event in events].count(EventKind.BEGUN) == 1
    assert report.plan.states[made.sent[0].key] is State.RUNNING


def test_workers_that_end_because_their_session_was_stopped_blame_no_run(write: Write):
    """However often: the run is done in the end."""
    file = write()

    def left_alone(_run: Run) -> Heard:
        gone = WorkerGone(how=f"exit status {LEFT_ALONE}", log="", left_alone=True)
        return Heard(worker=0, message=gone)

    said = [begun, left_alone] * 3 + [left_alone] * 3
    report, _ = run_with(file, Flaky(file, *said), limit=1)
    assert (report.done, report.failed) == (1, 0)


# ---------------------------------------------------------------------------- the worker's process


def test_signs_of_life_need_arithmetic():
    """A thread that only sleeps gives none, one that computes does."""
    life = Life()
    life.got_on()
    time.sleep(0.1)
    assert not life.got_on()
    end = time.thread_time() + 0.05
    while time.thread_time() < end:
        pass
    busy = life._busy
    assert not life.got_on(), "what the asking thread does itself does not count"
    assert life._busy >= busy - 0.001, "two clocks, read one after the other"


WORKER = """
import sys, time, threading
from emergecast.lab.worker import _life, _worker, _rehearsal
_worker.BEAT_SECONDS = 0.2
_life.LEASE = {lease}
def measure(self, run, folder, progress):
    {does}
_rehearsal.RehearsalMeasurer.measure = measure
sys.exit(_worker.main())
"""


def worker(write: Write, does: str, *, lease: float = 99.0) -> subprocess.Popen[str]:
    """A worker process whose measurements do this, with one run to do."""
    experiment = read_experiment(write())
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER.format(does=does, lease=lease)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    run = survey(experiment).plan.runs[0]
    for order in ({"text": experiment.text, "file": str(experiment.file)}, run.as_json()):
        assert process.stdin is not None
        process.stdin.write(json.dumps(order) + "\n\n")
        process.stdin.flush()
    return process


def said_by(process: subprocess.Popen[str], seconds: float) -> list[dict[str, Any]]:
    """What a worker says until it ends, or so many seconds after it began its run."""
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    while first["kind"] == "WorkerAlive":
        first = json.loads(process.stdout.readline())
    time.sleep(seconds)
    said, _ = process.communicate()  # closing its orders ends it
    return [first, *map(json.loads, said.splitlines())]


def test_the_heartbeat_stops_when_the_measurement_hangs(write: Write):
    """A lock that nobody releases; a measurement that computes beats on."""
    locked = "a = threading.Lock(); a.acquire(); a.acquire()"
    silent = [each["kind"] for each in said_by(worker(write, locked), 1.5)]
    assert silent.count("WorkerAlive") <= 1, "the one of the moment when it began"
    busy = [each["kind"] for each in said_by(worker(write, "\n    while True: pass"), 1.5)]
    assert busy.count("WorkerAlive") >= 3


def test_a_question_in_a_worker_finds_no_answer_and_eats_no_order(write: Write):
    """As of a library that asks whether it may run remote code."""
    said = said_by(worker(write, "input('run it? ')"), 1.0)
    failed = next(each for each in said if each["kind"] == "RunFailed")
    assert "EOFError" in failed["error"]


def test_a_worker_whose_session_is_stopped_ends_itself(write: Write):
    """Its orders are open, but nothing comes: another session may do its run from now on."""
    process = worker(write, "\n    while True: pass", lease=2.0)
    try:
        assert process.wait(timeout=30) == LEFT_ALONE
    finally:
        process.kill()
        process.communicate()


def test_a_stopped_worker_stops_nobody_and_ends_with_a_session_that_is_killed(write: Write):
    """An order larger than any pipe goes out at once; and the system ends the worker."""
    experiment, run = slow(write)
    executor = LocalExecutor(experiment, 1)
    try:
        executor.send(0, run)
        first = heard_of(executor, RunBegun).message
        assert isinstance(first, RunBegun)
        os.kill(first.owner.pid, signal.SIGSTOP)
        began = time.monotonic()
        executor._processes[0].tell({"text": "x" * 10_000_000})
        executor.stop(0)
        assert time.monotonic() - began < 3
        assert ended(first.owner.pid, 0.0)
        assert executor.hear(0.3) is None, "nothing is heard of what was stopped"
    finally:
        executor.close()


@pytest.mark.skipif(sys.platform != "linux", reason="the system's own way to end children")
def test_a_stopped_worker_does_not_outlive_a_killed_session(write: Write):
    """It cannot notice that its orders end."""
    process, worker = session_in_a_run(write)
    os.kill(worker, signal.SIGSTOP)
    assert kill_session(process, worker)


def test_news_of_a_run_keep_its_claim_alive(write: Write, monkeypatch: pytest.MonkeyPatch):
    """Progress too, where nothing is computed between two reports."""
    experiment = read_experiment(write(("{seconds: 0}", "{seconds: 2}")))
    beats: list[str] = []
    monkeypatch.setattr(_execute, "SILENCE", 2.0)
    monkeypatch.setattr(Ledger, "beat", lambda _ledger, owner: beats.append(owner.name))
    made = replace(RunOptions(workers=1), limit=1)

    def patient(event: Event) -> None:
        if event.kind is EventKind.PLANNED:
            monkeypatch.setattr(_execute, "_CHECK_SECONDS", 1e9)  # nothing but news

    run_all(experiment, options=made, listener=patient)
    assert len(beats) >= 3
