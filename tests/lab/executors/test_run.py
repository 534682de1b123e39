from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.cli.flat import flat
from tests.lab.executors.in_process import InProcess

from emergecast.errors import ExperimentError, LabError, LedgerError, OptionError
from emergecast.lab.evaluate import Loss, Score
from emergecast.lab.executors import Event, EventKind, Report, RunOptions, run_all
from emergecast.lab.experiment import Experiment, Run, read_experiment
from emergecast.lab.ledger import Ledger, Outcome, State
from emergecast.lab.ledger._owner import this_process
from emergecast.lab.plan import Survey, clear_failures, make_table, survey
from emergecast.lab.worker._do_run import check_outcome
from emergecast.lab.worker._full_disk import disk_is_full
from emergecast.lab.worker._measurer import OnProgress
from emergecast.lab.worker._rehearsal import RehearsalMeasurer

Write = Callable[..., Path]
ONE = RunOptions(workers=1)


def run(file: Path, options: RunOptions = ONE) -> tuple[Report, list[Event]]:
    """Run an experiment and keep what is told."""
    events: list[Event] = []
    report = run_all(read_experiment(file), options=options, listener=events.append)
    return report, events


def table(file: Path) -> str:
    """The table of an experiment as text."""
    found = survey(read_experiment(file), remember=True)
    return make_table(found.plan, found.results).table.frame.write_csv()


def test_every_run_is_done_once_and_nothing_is_left_to_do(write: Write):
    """Two workers do 15 different runs; a second session finds none, and no training is left."""
    file = write()
    report, events = run(file, RunOptions(workers=2))
    assert report.done == 15
    assert report.plan.count() == {State.DONE: 15}
    done = [event.run.title for event in events if event.kind is EventKind.DONE and event.run]
    assert len(done) == len(set(done)) == 15
    again, events = run(file)
    assert again.done == 0
    assert [event.kind for event in events] == [EventKind.PLANNED]
    assert not list((file.parent / "results").glob("training/*"))


def test_what_is_recorded_says_with_what_and_where_it_was_made(write: Write):
    """Libraries, machine, time, the recipe, and every test item."""
    file = write()
    run(file)
    found = survey(read_experiment(file))
    result = next(r for r in found.results.values() if r.kind == "finetuned")
    assert set(result.versions) >= {"numpy"}
    assert set(result.machine) >= {"host", "system", "cores", "python"}
    assert result.identity["recipe"]["steps"] in {40, 60}
    assert result.training == {"steps": result.identity["recipe"]["steps"], "loss": 1.0}
    assert abs(time.time() - result.started) < 600
    with Ledger.open_to_read(read_experiment(file).ledger) as ledger:
        items = ledger.items(result.key)
    assert len(items) == result.scores[0].n_items
    right = sum(item["correct"] for item in items)
    assert right / len(items) == result.scores[0].score


def test_a_failed_run_is_recorded_with_its_error_and_the_others_go_on(write: Write):
    """14 of 15 are done; the error and its traceback are kept, and the table lacks the row."""
    file = write(("{seconds: 0}", '{fail: "*S-2 few_shot*"}'))
    report, events = run(file)
    assert (report.done, report.failed) == (14, 1)
    assert report.plan.count() == {State.DONE: 14, State.FAILED: 1}
    (failure,) = survey(read_experiment(file)).failures
    assert failure.title == "v1/S-2 few_shot matching"
    assert "because the rehearsal says so" in failure.error
    assert "Traceback" in failure.traceback
    assert "LabError" in failure.traceback
    assert [e.error for e in events if e.kind is EventKind.FAILED] == [failure.error]
    rows = table(file).splitlines()
    assert len([row for row in rows if ",few_shot," in row]) == 2, "absent, and no zero"


def test_a_failed_run_is_tried_again_when_it_is_cleared_and_not_before(write: Write):
    """Clearing takes a pattern; a run that fails again is a failure again."""
    file = write(("{seconds: 0}", '{fail: "*S-2 few_shot*"}'))
    run(file)
    again, _ = run(file)
    assert (again.done, again.failed) == (0, 0)
    assert clear_failures(read_experiment(file), "*S-1*") == 0
    assert clear_failures(read_experiment(file)) == 1
    third, _ = run(file)
    assert (third.done, third.failed) == (0, 1)
    assert clear_failures(read_experiment(file)) == 1
    file = write()  # the cause is fixed
    last, _ = run(file)
    assert (last.done, last.failed) == (1, 0)


def test_a_limit_stops_after_so_many_runs(write: Write):
    """4, then 4, then the 7 that are left."""
    file = write()
    for done, left in ((4, 11), (4, 7), (7, 0)):
        report, _ = run(file, RunOptions(workers=1, limit=done))
        assert report.done == done
        assert report.plan.count()[State.MISSING] == left


def test_a_run_that_is_busy_elsewhere_does_not_count_against_the_limit(write: Write):
    """Claimed by somebody else after the plan was made: two others are done instead."""
    experiment = read_experiment(write())
    with Ledger.open(experiment.ledger) as ledger:

        def claim(event: Event) -> None:
            if event.kind is EventKind.PLANNED and event.plan is not None:
                first = event.plan.missing[:1]
                assert all(ledger.claim(run.key, run.title, this_process()) for run in first)

        options = RunOptions(workers=1, limit=2)
        report = run_all(experiment, options=options, listener=claim)
        assert report.done == 2
        assert report.plan.count()[State.RUNNING] == 1


def test_scores_follow_when_the_losses_have_decided(write: Write):
    """In one call: three losses, then the four runs of the one checkpoint that is taken."""
    file = write(("corpora:", "    choose: {losses: [4.0]}\ncorpora:"))
    report, _ = run(file)
    assert report.done == 3 + 4
    assert not report.plan.undecided
    assert {r.checkpoint for r in report.plan.runs if r.task} == {"S-3"}, "the lowest loss"


def test_nothing_begins_where_something_cannot_be_used(write: Write):
    """Unless told to keep going."""
    file = write(("{seconds: 0}", "{training_size: 63}"))
    with pytest.raises(ExperimentError, match="63 training examples, and 64"):
        run(file)
    assert survey(read_experiment(file)).results == {}
    report, _ = run(file, RunOptions(workers=1, keep_going=True))
    assert report.done == 15, "a rehearsal does not mind"


@pytest.mark.parametrize("options", [RunOptions(workers=0), RunOptions(limit=0)])
def test_impossible_options_are_refused(write: Write, options: RunOptions):
    """Zero workers, or at most zero runs."""
    with pytest.raises(OptionError):
        run(write(), options)


def worker_pids() -> list[int]:
    """Workers of this process."""
    words = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    found = []
    for word in words:
        with contextlib.suppress(OSError):
            if b"worker._worker" in Path(f"/proc/{word}/cmdline").read_bytes():
                found.append(int(word))
    return found


def test_a_run_that_kills_its_worker_twice_has_failed_and_the_others_go_on(write: Write):
    """The failure names the signal; the other 14 are done."""
    file = write(("{seconds: 0}", "{seconds: 0.3}"))
    victims: list[str] = []

    def kill(event: Event) -> None:
        if event.kind is EventKind.BEGUN and event.run and "S-2 few_shot" in event.run.title:
            victims.append(event.run.title)
            for pid in worker_pids():
                os.kill(pid, signal.SIGKILL)

    report = run_all(read_experiment(file), options=ONE, listener=kill)
    assert len(victims) == 2
    assert (report.done, report.failed) == (14, 1)
    (failure,) = survey(read_experiment(file)).failures
    assert "died 2 times (signal 9)" in failure.error


def test_a_worker_that_dies_once_costs_nothing(write: Write):
    """Its run is tried again by another worker, and all 15 are done."""
    file = write(("{seconds: 0}", "{seconds: 0.2}"))
    victims: list[str] = []

    def kill(event: Event) -> None:
        if event.kind is EventKind.BEGUN and event.run and not victims:
            victims.append(event.run.title)
            os.kill(worker_pids()[0], signal.SIGKILL)

    report = run_all(read_experiment(file), options=RunOptions(workers=2), listener=kill)
    assert victims
    assert (report.done, report.failed) == (15, 0)


@contextlib.contextmanager
def session(file: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A runner of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "emergecast", "run", str(file), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_two_runners_on_one_ledger_share_the_runs(write: Write, tmp_path: Path):
    """Each does some, together 15, and the table is that of one runner alone."""
    file = write(("{seconds: 0}", "{seconds: 0.1}"))
    alone = ("--json", "--workers", "1")
    with session(file, *alone) as one, session(file, *alone) as two:
        said = [json.loads(each.communicate(timeout=60)[0]) for each in (one, two)]
    assert sum(each["done"] for each in said) == 15
    assert all(each["done"] > 0 for each in said)
    assert all(each["states"]["done"] == 15 for each in said), "each waits for the other"
    undisturbed = tmp_path / "alone"
    undisturbed.mkdir()
    same = undisturbed / "small.yaml"
    same.write_text(file.read_text("utf-8"), "utf-8")
    run(same)
    assert table(same) == table(file)


def test_a_runner_takes_over_from_one_that_was_killed(write: Write):
    """It waits for the run of the other, and does it when the claim is void."""
    file = write(("{seconds: 0}", "{seconds: 0.5}"))
    with session(file, "--workers", "1") as first:
        assert first.stderr is not None
        first.stderr.readline()  # one run is done, another begun
        with session(file, "--json", "--workers", "1") as second:
            time.sleep(1.5)
            first.kill()
            said = json.loads(second.communicate(timeout=60)[0])
    assert said["states"] == {"done": 15, "failed": 0, "running": 0, "missing": 0}


def test_ctrl_c_stops_at_once_and_loses_nothing(write: Write):
    """Within 5 seconds, with a message and no traceback; claims are given back, results stay."""
    file = write(("{seconds: 0}", "{seconds: 0.4}"))
    with session(file, "--workers", "2") as process:
        assert process.stderr is not None
        process.stderr.readline()
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert time.monotonic() - began < 5
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "continue with: emergecast run" in flat(said)
    found = survey(read_experiment(file))
    with contextlib.closing(sqlite3.connect(read_experiment(file).ledger)) as connection:
        assert connection.execute("SELECT count(*) FROM claims").fetchone() == (0,), "given back"
    assert len(found.results) >= 1
    kept = {key: result.started for key, result in found.results.items()}
    report, _ = run(file)
    assert report.done == 15 - len(kept)
    results = survey(read_experiment(file)).results
    assert {key: results[key].started for key in kept} == kept


def test_a_ledger_that_cannot_be_written_stops_with_a_message(write: Write):
    """As where the file is something else."""
    file = write()
    experiment = read_experiment(file)
    experiment.ledger.parent.mkdir()
    experiment.ledger.write_text("my notes " * 999)
    with pytest.raises(LedgerError, match="damaged, or not a ledger"):
        run(file)


SMALL = """
import resource, sys
from emergecast.errors import LabError
from emergecast.lab.executors import *
from emergecast.lab.experiment import *
from emergecast.lab.ledger import *
from emergecast.lab.plan import *
resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, 250_000))
try:
    run_all(read_experiment(sys.argv[1]), options=RunOptions(workers=1))
except LabError as error:
    print(error)
"""


def test_a_disk_that_fills_up_stops_the_runner_and_loses_nothing(write: Write):
    """The limit of the size of files stands for the disk; workers inherit it."""
    file = write(("{seconds: 0}", "{items: 4000}"))
    said = subprocess.run(
        [sys.executable, "-c", SMALL, str(file)], capture_output=True, text=True, check=True
    ).stdout
    assert "the disk is full or failing" in said
    found = survey(read_experiment(file))
    assert 1 <= len(found.results) < 15
    assert not found.failures, "it is not the run's fault"
    report, _ = run(file)
    assert report.plan.count() == {State.DONE: 15}


class Bad(RehearsalMeasurer):
    """Comes back with no measurement, or cannot write."""

    def __init__(self, experiment: Experiment, bad: Exception | Outcome) -> None:
        super().__init__(experiment)
        self.bad = bad

    def measure(self, run: Run, folder: Path, progress: OnProgress) -> Outcome:  # noqa: ARG002
        """Whatever is bad."""
        if isinstance(self.bad, Outcome):
            return self.bad
        raise self.bad


def worked(file: Path, bad: Exception | Outcome) -> Survey:
    """The first run, done by a bad measurer."""
    experiment = read_experiment(file)

    def start(experiment: Experiment, _workers: int | None) -> InProcess:
        return InProcess(experiment, Bad(experiment, bad))

    run_all(experiment, options=RunOptions(limit=1), executor=start)
    return survey(experiment)


FINE = Outcome(scores=(Score(metric="acc", score=0.5, stderr=None, n_items=1),))
NAN = Outcome(scores=(Score(metric="acc", score=float("nan"), stderr=None, n_items=1),))


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (NAN, "the acc is nan, which is not a measurement"),
        (replace(FINE, items=({"logprob": float("nan")},)), "ValueError: Out of range float"),
        (ValueError("three is no two"), "ValueError: three is no two"),
        (MemoryError(), "MemoryError"),
        (LabError("it will not do."), "it will not do."),
    ],
)
def test_whatever_a_run_does_it_is_a_failure_and_no_score(write: Write, bad, said):
    """In the worker: what it raises, and what it returns that is not a number."""
    found = worked(write(), bad)
    assert not found.results
    (failure,) = found.failures
    assert failure.error.startswith(said)


def test_a_run_that_finds_the_disk_full_has_not_failed(write: Write):
    """The worker stops, and the run is missing still."""
    file = write()
    with pytest.raises(LedgerError, match="Free some space"):
        worked(file, OSError(28, "No space left on device"))
    found = survey(read_experiment(file))
    assert not found.failures
    assert not found.results


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_a_number_is_not_a_measurement(bad: float):
    """What is not a number is not a measurement."""
    loss = Loss(
        nats_per_token=bad,
        stderr=None,
        nats_per_byte=1.0,
        byte_stderr=None,
        tokens=1,
        bytes=4,
    )
    score = Score(metric="acc", score=bad, stderr=None, n_items=1)
    for outcome in (Outcome(loss=loss), Outcome(scores=(score,)), Outcome()):
        with pytest.raises(LabError, match=r"not a measurement|neither"):
            check_outcome(outcome)


def test_a_full_disk_is_told_from_a_failing_run():
    """By its number, or by the words of a library that wrapped it."""
    assert disk_is_full(OSError(28, "No space left on device"))
    wrapped = LabError("cannot save")
    wrapped.__cause__ = RuntimeError("write failed: No space left on device (os error 28)")
    assert disk_is_full(wrapped)
    assert not disk_is_full(LabError("the loss is nan"))
    assert not disk_is_full(FileNotFoundError(2, "No such file"))
