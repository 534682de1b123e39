"""What the session does with any executor, and what the local one is on its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.lab.executors.in_process import InProcess

from emergecast.errors import LabError
from emergecast.lab.evaluate import Loss, Score
from emergecast.lab.executors import (
    Event,
    EventKind,
    Heard,
    LocalExecutor,
    Report,
    RunOptions,
    WorkerGone,
    _execute,
    run_all,
)
from emergecast.lab.experiment import Experiment, Run, read_experiment
from emergecast.lab.ledger import Attempt, Ledger, Outcome, State, _owner, this_process
from emergecast.lab.plan import make_table, survey
from emergecast.lab.worker import (
    RunBegun,
    RunDone,
    RunFailed,
    WorkerAlive,
    WorkerStuck,
    message_from_json,
    message_to_json,
)

Write = Callable[..., Path]


def run_with(file: Path, made: InProcess, limit: int | None = None) -> tuple[Report, list[Event]]:
    """Run an experiment with an executor that was made before."""
    events: list[Event] = []
    report = run_all(
        read_experiment(file),
        options=RunOptions(limit=limit),
        listener=events.append,
        executor=lambda _experiment, _workers: made,
    )
    return report, events


def table(file: Path) -> str:
    """The table of an experiment as text."""
    found = survey(read_experiment(file), remember=True)
    return make_table(found.plan, found.results).table.frame.write_csv()


def test_another_executor_gives_the_same_table(write: Write):
    """All that crosses the seam goes through JSON; the processes of this machine are the oracle."""
    file = write()
    report, events = run_with(file, InProcess(read_experiment(file)))
    assert report.done == 15
    assert sum(event.kind is EventKind.DONE for event in events) == 15
    first = table(file)
    shutil.rmtree(read_experiment(file).output)
    run_all(read_experiment(file), options=RunOptions(workers=2))
    assert table(file) == first


def test_one_worker_does_one_checkpoint_after_the_other(write: Write):
    """Each with its loss, its few-shot score and its finetunings by amount."""
    file = write()
    made = InProcess(read_experiment(file))
    run_with(file, made)
    assert [run.checkpoint for run in made.sent] == ["S-1"] * 5 + ["S-2"] * 5 + ["S-3"] * 5
    assert [run.examples for run in made.sent] == [None, None, 16, 16, 64] * 3


class Flaky(InProcess):
    """Keeps what is said of the first run that is sent, and says something else instead."""

    def __init__(self, file: Path, *instead: Callable[[Run], Heard]) -> None:
        super().__init__(read_experiment(file))
        self.instead = list(instead)
        self.late: list[Heard] = []
        self.lost = 0

    def hear(self, seconds: float) -> Heard | None:
        """As long as there is something else to say, that."""
        if not self.instead:
            return super().hear(seconds)
        while (heard := super().hear(seconds)) is not None:
            self.late.append(heard)
        if self.lost == len(self.sent):
            return None  # the next worker was not asked for yet
        heard = self.instead.pop(0)(self.sent[-1])
        self.lost += isinstance(heard.message, WorkerGone)
        return heard


def begun(run: Run) -> Heard:
    """Somebody of another machine begins the run."""
    owner = replace(this_process(), host="another machine", name="far")
    return Heard(worker=0, message=RunBegun(key=run.key, owner=owner))


def gone(_run: Run) -> Heard:
    """The worker is gone."""
    return Heard(worker=0, message=WorkerGone(how="signal 9", log="worker.log"))


def test_a_run_that_is_lost_is_sent_again(write: Write):
    """With its claim: the second worker's result is recorded, and nothing else."""
    file = write()
    made = Flaky(file, begun, gone)
    report, _ = run_with(file, made, limit=1)
    assert (report.done, report.failed) == (1, 0)
    assert made.sent[0] == made.sent[1]
    assert report.plan.count() == {State.DONE: 1, State.MISSING: 14}


def test_a_run_that_is_lost_twice_has_failed_and_says_how(write: Write):
    """As the executor said it."""
    file = write()
    report, events = run_with(file, Flaky(file, begun, gone, begun, gone), limit=1)
    assert (report.done, report.failed) == (1, 1)
    (error,) = (event.error for event in events if event.kind is EventKind.FAILED)
    assert str(error).startswith("the worker process died 2 times (signal 9)")
    assert 'its log is "worker.log"' in str(error)


def test_workers_that_never_begin_a_run_end_the_session(write: Write):
    """The run is not to blame: it stays missing, with no claim."""
    file = write()
    with pytest.raises(LabError, match=r"cannot start \(signal 9\).*worker.log"):
        run_with(file, Flaky(file, gone, gone))
    assert survey(read_experiment(file)).plan.count() == {State.MISSING: 15}


def test_a_worker_that_is_stuck_ends_the_session_with_its_words(write: Write):
    """As where its disk is full."""
    file = write()

    def stuck(_run: Run) -> Heard:
        return Heard(worker=0, message=WorkerStuck(error="the disk is full."))

    with pytest.raises(LabError, match="the disk is full"):
        run_with(file, Flaky(file, begun, stuck))
    assert survey(read_experiment(file)).plan.count() == {State.MISSING: 15}


def test_a_far_worker_is_lost_when_it_gives_no_sign_of_life(
    write: Write, monkeypatch: pytest.MonkeyPatch
):
    """After the time of the ledger's rule; a sign of life renews it, and late news are ignored."""
    file = write()
    monkeypatch.setattr(_owner, "SILENCE", 0.3)
    monkeypatch.setattr(_execute, "SILENCE", 0.3)
    monkeypatch.setattr(_execute, "_CHECK_SECONDS", 0.01)
    experiment = read_experiment(file)
    states: list[int] = []

    class Far(Flaky):
        """Begins the run, gives signs of life for a second, then none; another worker says more."""

        told = 0

        def hear(self, seconds: float) -> Heard | None:
            if self.instead or len(self.sent) > 1:
                return self.late.pop(0) if self.late and not self.instead else super().hear(seconds)
            time.sleep(seconds and 0.05)
            self.told += 1
            if not seconds or self.told > 20:
                return None
            with Ledger.open_to_read(experiment.ledger) as ledger:
                states.append(len(ledger.running()))
            return Heard(worker=0, message=WorkerAlive())

    made = Far(file, begun)
    report, _ = run_with(file, made, limit=1)
    assert set(states) == {1}, "as long as it gives signs of life, nobody else may do it"
    assert len(states) > 8
    assert made.sent[0] == made.sent[1]
    assert report.done == 1


def test_news_of_a_run_that_the_worker_was_not_sent_are_ignored(write: Write):
    """What it says of its own run counts."""
    file = write()
    other = survey(read_experiment(file)).plan.runs[-1]
    attempt = Attempt.here(other, started=1.0, seconds=2.0, versions={})

    def failed(_run: Run) -> Heard:
        message = RunFailed(key=other.key, attempt=attempt, error="no", traceback="")
        return Heard(worker=0, message=message)

    made = Flaky(file, failed)
    made.instead.append(lambda _run: made.late.pop(0))
    made.instead.append(lambda _run: made.late.pop())
    report, _ = run_with(file, made, limit=1)
    assert (report.done, report.failed) == (1, 0)
    assert not survey(read_experiment(file)).failures


def test_messages_come_back_to_the_last_bit(write: Write):
    """Through JSON; what is not finite cannot be said."""
    run = survey(read_experiment(write())).plan.runs[-1]
    attempt = Attempt.here(run, started=0.1 + 0.2, seconds=1e-17, versions={"numpy": "2"})
    loss = Loss(
        nats_per_token=5.1234567890123456,
        stderr=None,
        nats_per_byte=1 / 3,
        byte_stderr=2e-300,
        tokens=7,
        bytes=28,
    )
    outcome = Outcome(
        loss=loss,
        scores=(Score(metric="acc", score=0.1, stderr=None, n_items=3),),
        training={"steps": 40, "loss": 1e-3, "resumed_from": 0},
        items=({"id": "0", "correct": 1.0, "logprob": -0.1}, {"id": "1", "correct": True}),
        timings={"load": 0.5},
    )
    for message in (
        RunBegun(key=run.key, owner=this_process()),
        RunDone(key=run.key, attempt=attempt, outcome=outcome),
        RunFailed(key=run.key, attempt=attempt, error="a", traceback="b\nc"),
        WorkerAlive(),
    ):
        again = message_from_json(message_to_json(message))
        assert again == message
    bad = replace(outcome, items=({"logprob": float("nan")},))
    with pytest.raises(ValueError, match="not JSON compliant"):
        message_to_json(RunDone(key=run.key, attempt=attempt, outcome=bad))


# ------------------------------------------------------------------------------- the local executor


def heard_of(executor: LocalExecutor, kind: type) -> Heard:
    """The next message of a kind, within a minute."""
    for _ in range(600):
        heard = executor.hear(0.1)
        if heard is not None and isinstance(heard.message, kind):
            return heard
    raise AssertionError(f"no {kind.__name__}")


def ended(pid: int, seconds: float) -> bool:
    """Whether a process ends within so many seconds."""
    end = time.monotonic() + seconds
    while _owner._start_of(pid) not in {"", "zombie"}:
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def slow(write: Write) -> tuple[Experiment, Run]:
    """An experiment whose runs take a minute, and one of them."""
    experiment = read_experiment(write(("{seconds: 0}", "{seconds: 60}")))
    return experiment, survey(experiment).plan.runs[-1]


def test_a_worker_that_is_killed_is_gone_and_its_number_can_be_used_again(write: Write):
    """The message says how; closing ends what runs."""
    experiment, run = slow(write)
    executor = LocalExecutor(experiment, 2)
    try:
        assert executor.workers == 2
        assert executor.hear(0.0) is None
        executor.send(1, run)
        first = heard_of(executor, RunBegun).message
        assert isinstance(first, RunBegun)
        assert first.key == run.key
        os.kill(first.owner.pid, signal.SIGKILL)
        lost = heard_of(executor, WorkerGone)
        assert lost.worker == 1
        assert lost.message == WorkerGone(
            how="signal 9", log=str(experiment.output / "logs" / "worker-1.log")
        )
        executor.send(1, run)
        second = heard_of(executor, RunBegun).message
        assert isinstance(second, RunBegun)
        assert second.owner != first.owner
    finally:
        executor.close()
    assert ended(second.owner.pid, 0.0)


ORPHANED = """
import os, sys
from emergecast.lab.executors import LocalExecutor
from emergecast.lab.experiment import read_experiment
from emergecast.lab.plan import survey
from emergecast.lab.worker import RunBegun
experiment = read_experiment(sys.argv[1])
executor = LocalExecutor(experiment, 1)
executor.send(0, survey(experiment).plan.runs[-1])
while not isinstance(getattr(executor.hear(1.0), "message", None), RunBegun):
    pass
print(executor._processes[0].pid, flush=True)
sys.stdin.read()
"""


def session_in_a_run(write: Write) -> tuple[subprocess.Popen[str], int]:
    """A session in a process of its own, and the number of its worker, which is in a long run."""
    experiment, _ = slow(write)
    process = subprocess.Popen(
        [sys.executable, "-c", ORPHANED, str(experiment.file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def kill_session(process: subprocess.Popen[str], worker: int) -> bool:
    """Kill the session; whether its worker ended within seconds by itself."""
    process.kill()
    process.communicate()
    alone = ended(worker, 5.0)
    if not alone:
        os.kill(worker, signal.SIGKILL)
    return alone


def test_a_worker_ends_by_itself_when_its_session_is_killed(write: Write):
    """In the middle of a run of a minute, within seconds; and it never opened a ledger."""
    process, worker = session_in_a_run(write)
    held = [str(link.readlink()) for link in Path(f"/proc/{worker}/fd").iterdir()]
    assert not [name for name in held if "ledger" in name]
    assert kill_session(process, worker)
