from __future__ import annotations

import dataclasses
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from emergecast.errors import LedgerError
from emergecast.lab.evaluate import Loss, Score
from emergecast.lab.ledger import Attempt, Ledger, Outcome, State
from emergecast.lab.ledger._owner import SILENCE, Owner, is_alive, this_process

OUTCOME = Outcome(
    scores=(Score(metric="acc", score=0.1 + 0.2, stderr=1e-3, n_items=3),),
    training={"steps": 40},
    items=({"id": "0", "correct": 1.0, "logprob": -0.25}, {"id": "1", "correct": 0.0}),
    timings={"load": 0.5},
)


def attempt(key: str = "k", started: float = 1.0) -> Attempt:
    """Somebody's attempt at a run."""
    return Attempt(
        key=key,
        kind="few_shot",
        title=f"title of {key}",
        identity={"weights": key},
        started=started,
        seconds=2.0,
        versions={"numpy": "2"},
        machine={"host": "here"},
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    with Ledger.open(tmp_path / "results" / "ledger.sqlite") as ledger:
        yield ledger


def test_a_result_comes_back_to_the_last_bit(ledger: Ledger):
    """Losses, scores, items, and what the training said."""
    loss = Loss(
        nats_per_token=5.1234567890123456,
        stderr=1e-17,
        nats_per_byte=1.2345678901234567,
        byte_stderr=None,
        tokens=7,
        bytes=28,
    )
    assert ledger.record(attempt("a"), OUTCOME)
    assert ledger.record(attempt("b"), Outcome(loss=loss))
    found = ledger.results()
    assert found["a"].scores == OUTCOME.scores
    assert found["a"].scores[0].score == 0.1 + 0.2
    assert found["b"].loss == loss
    assert found["a"].training == {"steps": 40}
    assert ledger.items("a") == [dict(item) for item in OUTCOME.items]
    assert ledger.items("b") == []
    assert found["a"].versions == {"numpy": "2"}


def test_a_second_result_of_a_run_is_refused(ledger: Ledger):
    """The first one stays."""
    assert ledger.record(attempt(started=1.0), OUTCOME)
    assert not ledger.record(attempt(started=9.0), OUTCOME)
    assert ledger.results()["k"].started == 1.0


def test_a_result_that_is_not_a_number_cannot_get_in(ledger: Ledger):
    """A result that is not a number cannot get in."""
    bad = Outcome(scores=(Score(metric="acc", score=float("nan"), stderr=None, n_items=1),))
    with pytest.raises(ValueError, match="JSON"):
        ledger.record(attempt(), bad)
    assert ledger.results() == {}


def test_a_run_is_claimed_once_and_free_again_when_it_ends(ledger: Ledger):
    """Given back by its owner, or done."""
    mine, another = this_process(), this_process()
    assert ledger.claim("k", "t", mine)
    assert not ledger.claim("k", "t", another)
    assert ledger.states() == {"k": State.RUNNING}
    ledger.release(another)
    ledger.release(mine, "another")
    assert not ledger.claim("k", "t", another), "only its owner can give it back"
    ledger.release(mine)
    assert ledger.claim("k", "t", another)
    ledger.record(attempt(), OUTCOME)
    assert ledger.states() == {"k": State.DONE}
    assert not ledger.claim("k", "t", mine), "it is done"


def test_a_claim_dies_with_its_process(ledger: Ledger):
    """A killed one holds nothing."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    born = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19]
    owner = dataclasses.replace(this_process(), name="x", pid=process.pid, born=born)
    assert ledger.claim("k", "t", owner)
    assert not ledger.claim("k", "t", this_process())
    process.kill()
    process.communicate()
    assert ledger.states() == {}
    assert ledger.claim("k", "t", this_process())


def test_a_claim_that_is_handed_over_lives_as_long_as_its_new_owner(ledger: Ledger):
    """A session claims a run, and hands it over to the worker that begins it; nobody else may."""
    session, dead = this_process(), dataclasses.replace(this_process(), name="x", born="1")
    assert ledger.claim("k", "t", session)
    ledger.hand_over("k", giver=this_process(), taker=dead)
    assert ledger.states() == {"k": State.RUNNING}, "it was not theirs to give"
    ledger.hand_over("k", giver=session, taker=dead)
    assert ledger.states() == {}, "the session is alive, and its worker is not"
    assert ledger.claim("k", "t", this_process())


def test_another_process_with_the_same_number_is_not_the_owner():
    """Numbers are used again; the start of the process tells them apart."""
    mine = this_process()
    assert is_alive(mine.host, mine.pid, mine.born, time.time())
    assert not is_alive(mine.host, mine.pid, "1", time.time())


def test_a_claim_older_than_its_beats_is_free_on_the_same_machine_too(ledger: Ledger):
    """Its process is there, but stopped or hanging: a beat renews the claim, silence ends it."""
    mine = this_process()
    assert ledger.claim("k", "t", mine)
    with ledger.database.writing() as connection:
        connection.execute("UPDATE claims SET beat = beat - ?", (SILENCE - 5,))
    assert not ledger.claim("k", "t", this_process())
    ledger.beat(mine)
    with ledger.database.writing() as connection:
        connection.execute("UPDATE claims SET beat = beat - ?", (SILENCE + 1,))
    assert ledger.states() == {}
    other = this_process()
    assert ledger.claim("k", "t", other)
    assert not ledger.hand_over("k", giver=mine, taker=mine), "it is theirs now"
    assert ledger.hand_over("k", giver=other, taker=mine)


def test_a_process_of_another_machine_lives_as_long_as_it_gives_signs(ledger: Ledger):
    """Another container is as far away: its process numbers mean nothing here."""
    away = Owner(name="away", host="another machine", pid=1, born="1")
    assert ledger.claim("k", "t", away)
    assert not ledger.claim("k", "t", this_process())
    assert is_alive("another machine", 1, "1", time.time() - SILENCE + 5)
    assert not is_alive("another machine", 1, "1", time.time() - SILENCE - 5)


def test_a_failure_stays_until_it_is_cleared(ledger: Ledger):
    """With its error and traceback; then the run may be claimed again."""
    ledger.fail(attempt(), "the loss is nan.", "Traceback ...")
    assert ledger.states() == {"k": State.FAILED}
    assert not ledger.claim("k", "t", this_process())
    assert ledger.failures()["k"].error == "the loss is nan."
    assert ledger.failures()["k"].traceback == "Traceback ..."
    assert ledger.clear(["k", "unknown"]) == 1
    assert ledger.states() == {}
    assert ledger.claim("k", "t", this_process())
    ledger.record(attempt(), OUTCOME)
    assert ledger.states() == {"k": State.DONE}


def test_a_failure_of_a_run_that_has_a_result_is_none(ledger: Ledger):
    """Another worker may have done it before this one failed; other failures stay."""
    ledger.record(attempt("a"), OUTCOME)
    for key in ("a", "b"):
        ledger.fail(attempt(key), "the loss is nan.", "Traceback ...")
    assert set(ledger.failures()) == {"b"}
    assert ledger.states() == {"a": State.DONE, "b": State.FAILED}


RACE = """
import random, sys, time
from pathlib import Path
from emergecast.lab.ledger import Ledger
from emergecast.lab.ledger._owner import this_process
with Ledger.open(Path(sys.argv[1])) as ledger:
    mine = this_process()
    print("ready", flush=True)
    sys.stdin.readline()
    won = 0
    for i in random.sample(range(200), 200):
        won += ledger.claim(f"{i}", "t", mine)
        time.sleep(0.001)  # so that nobody writes all the time
    print(won, flush=True)
    sys.stdin.readline()
"""


def test_of_processes_that_race_for_runs_each_run_has_one_winner(tmp_path: Path):
    """Three processes, 200 runs, 200 claims."""
    path = tmp_path / "ledger.sqlite"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"  # type: ignore[union-attr]
    for racer in racers:
        racer.stdin.write("\n")  # type: ignore[union-attr]
        racer.stdin.flush()  # type: ignore[union-attr]
    won = [int(racer.stdout.readline()) for racer in racers]  # type: ignore[union-attr]
    for racer in racers:
        racer.communicate("\n")
    assert sum(won) == 200
    assert sum(count > 0 for count in won) > 1, "they did race"


def test_what_is_not_a_ledger_is_refused_and_left_alone(tmp_path: Path):
    """What is not a ledger is refused and left alone."""
    path = tmp_path / "ledger.sqlite"
    path.write_text("my notes, " * 1000)
    with pytest.raises(LedgerError, match="damaged, or not a ledger"):
        Ledger.open(path)
    assert path.read_text().startswith("my notes")


def test_a_ledger_of_another_format_is_refused(tmp_path: Path):
    """The message names the format that was found."""
    path = tmp_path / "ledger.sqlite"
    Ledger.open(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(LedgerError, match="format 99"):
        Ledger.open(path)


def test_reading_a_ledger_that_is_not_there_says_so(tmp_path: Path):
    """And makes none."""
    with pytest.raises(LedgerError, match="Run the experiment first"):
        Ledger.open_to_read(tmp_path / "ledger.sqlite")
    assert not list(tmp_path.iterdir())


FILL = """
import resource, sys
from pathlib import Path
from emergecast.errors import LedgerError
from emergecast.lab.ledger import Ledger
from tests.lab.ledger.test_ledger import OUTCOME, attempt
path = Path(sys.argv[1])
with Ledger.open(path) as ledger:
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
    done = 0
    try:
        while True:
            assert ledger.record(attempt(f"key {done}"), OUTCOME)
            done += 1
    except LedgerError as error:
        print(done, error)
"""


def test_a_full_disk_loses_nothing_that_was_recorded(tmp_path: Path):
    """The limit of the file's size stands for a disk that is full."""
    path = tmp_path / "ledger.sqlite"
    said = subprocess.run(
        [sys.executable, "-c", FILL, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    ).stdout
    count, message = said.split(" ", 1)
    assert int(count) > 10
    assert "the disk is full or failing" in message
    assert "Nothing that was recorded is lost" in message
    with Ledger.open(path) as ledger:
        assert len(ledger.results()) == int(count)
        assert ledger.record(attempt("one more"), OUTCOME)


WRITE = """
import os, sys
from pathlib import Path
from emergecast.errors import LedgerError
from emergecast.lab.ledger import Ledger
path = Path(sys.argv[1])
if os.getuid() == 0:  # root may write anything
    os.setgid(65534)
    os.setuid(65534)
with Ledger.open_to_read(path) as ledger:
    print(len(ledger.results()))
try:
    Ledger.open(path)
except LedgerError as error:
    print(error)
"""


def test_a_read_only_ledger_says_so_and_can_be_read():
    """By a user who may not write to its folder either."""
    folder = Path(tempfile.mkdtemp())  # where any user may look
    try:
        path = folder / "ledger.sqlite"
        with Ledger.open(path) as ledger:
            ledger.record(attempt(), OUTCOME)
        path.chmod(0o444)
        folder.chmod(0o555)
        said = subprocess.run(
            [sys.executable, "-c", WRITE, str(path)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)
    count, message = said.split("\n", 1)
    assert count == "1"
    assert "it is read-only" in message
    assert "Make the file and its folder writable" in message
