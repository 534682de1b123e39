"""What is wrong with a ledger is said, whatever it is, and measured again."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import sqlite3
from pathlib import Path

import pytest
from tests.lab.ledger.damage import COUNT, LEDGER, LOG, Ground, command, fuzz, is_bad, run
from tests.lab.ledger.test_ledger import OUTCOME, attempt

from emergecast.errors import LedgerError
from emergecast.lab.experiment import read_experiment
from emergecast.lab.ledger import Ledger, State, _count_file, examine
from emergecast.lab.ledger._digests import digest_of
from emergecast.lab.plan import survey

SECONDS = 15.0
CASES = (
    "SILENTLY_OTHER_TABLE",
    "TRACEBACK_JSONDecodeError_raw_decode",
    "TRACEBACK_TypeError__result",
)
RELEASED = Path(__file__).parents[2] / "released" / "v0.1.0"


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """A finished rehearsal: 14 results and a failure."""
    return Ground(tmp_path_factory.mktemp("ground"))


@pytest.fixture
def closed(ground: Ground) -> Ground:
    """Its files as they were closed."""
    ground.place(ground.states[1])
    return ground


@pytest.fixture
def killed(ground: Ground) -> Ground:
    """Its files as a kill leaves them: 7 results are in the log alone."""
    ground.place(ground.states[0])
    return ground


def change(ground: Ground, *statements: str) -> None:
    """What a user does with the sqlite3 shell."""
    with contextlib.closing(sqlite3.connect(ground.results / LEDGER)) as connection:
        for statement in statements:
            assert connection.execute(statement).rowcount != 0
        connection.commit()


def test_no_damage_is_silent_and_none_ends_in_a_traceback(ground: Ground):
    """A share of `python performance/ledger_damage.py`; half of the mutants are well formed."""
    counts = {"cut": 4, "flipped": 40, "changed": 44}
    found = fuzz(ground, counts, random.Random(1), SECONDS)  # noqa: S311  damage, no secret
    endings = {ended for each in found.values() for _, ended in each}
    assert not [ended for ended in endings if is_bad(ended)]
    assert 2 * found["changed"].total() >= sum(each.total() for each in found.values())
    assert "said, measured again" in endings


def test_a_log_that_is_removed_is_said_and_never_fewer_results(killed: Ground):
    """By every command, with the file, the numbers and the remedy; nothing is changed."""
    before = (killed.results / LEDGER).read_bytes()
    (killed.results / LOG).unlink()
    for words in (("status",), ("export", "-o", "t.csv"), ("run",), ("plan",), ("retry",)):
        status, _ = command(words[0], str(killed.file), *words[1:])
        assert status == 2
    with pytest.raises(LedgerError) as caught:
        survey(killed.experiment)
    said = str(caught.value)
    assert str(killed.experiment.ledger) in said
    assert "holds 7 of the 14 results that were recorded" in said
    assert '"ledger.sqlite-wal" is missing' in said
    assert f"emergecast ledger repair {killed.experiment.ledger}" in said
    assert (killed.results / LEDGER).read_bytes() == before


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_log_that_is_cut_is_said(killed: Ground, share: float):
    """Nothing of it is moved into the ledger, so that it can still be put back whole."""
    log = killed.results / LOG
    whole = log.read_bytes()
    log.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(LedgerError, match="of the 14 results that were recorded"):
        Ledger.open(killed.experiment.ledger)
    log.write_bytes(whole)
    assert killed.ask() == killed.truth


def test_an_older_copy_in_its_place_is_said(closed: Ground):
    """Also where it went on for as long as the one it replaced."""
    ledger = closed.experiment.ledger
    older = closed.file.parent / "older"
    shutil.rmtree(older, ignore_errors=True)
    shutil.copytree(closed.results, older)
    with Ledger.open(ledger) as opened:
        opened.record(attempt("new", 1.0), OUTCOME)
    newest = (closed.results / COUNT).read_bytes()
    shutil.copy(older / LEDGER, ledger)
    with pytest.raises(LedgerError, match="older copy was put in its place"):
        Ledger.open_to_read(ledger)
    shutil.copy(older / COUNT, closed.results / COUNT)
    with Ledger.open(ledger) as opened:
        opened.record(attempt("other", 2.0), OUTCOME)
    assert examine(ledger).sound, "the copy and its count are a ledger"
    (closed.results / COUNT).write_bytes(newest)
    with pytest.raises(LedgerError, match="counts the results of another ledger"):
        Ledger.open_to_read(ledger)


@pytest.mark.parametrize("name", [LEDGER, COUNT])
def test_a_file_that_is_gone_is_said(closed: Ground, name: str):
    """The ledger, or the one that counts its results."""
    (closed.results / name).unlink()
    for words in ("status", "run"):
        assert command(words, str(closed.file))[0] == 2
    with pytest.raises(LedgerError, match=f"{name}.* (is|it is) missing|it is missing"):
        survey(closed.experiment, remember=True)


def test_a_kill_between_a_commit_and_its_count_is_no_error(tmp_path: Path, monkeypatch):
    """The count lags by one result; the next who opens the ledger brings it up to date."""
    path = tmp_path / "ledger.sqlite"
    with Ledger.open(path) as ledger:
        ledger.record(attempt("a"), OUTCOME)
        before = _count_file.read_count(path)
        monkeypatch.setattr("emergecast.lab.ledger._database.write_count", lambda *_: None)
        ledger.record(attempt("b"), OUTCOME)
    monkeypatch.undo()
    assert _count_file.read_count(path) == before
    with Ledger.open_to_read(path) as ledger:
        assert ledger.results().keys() == {"a", "b"}
        assert not ledger.damaged
    Ledger.open(path).close()
    counted = _count_file.read_count(path)
    assert counted is not None
    assert counted.results == 2


def test_a_kill_while_a_ledger_is_made_is_no_error(tmp_path: Path):
    """The count is there first; then the ledger is made with it."""
    path = tmp_path / "ledger.sqlite"
    _count_file.write_count(path, _count_file.Committed(results=0, commits=0, last=""))
    path.touch()
    with Ledger.open(path) as ledger:
        assert ledger.record(attempt(), OUTCOME)
    assert examine(path).sound


SCORE = """UPDATE results SET outcome = replace(outcome, '"n_items":', '"n_items":1')
WHERE rowid = 4"""


def test_a_damaged_row_is_reported_and_measured_again(closed: Ground):
    """Which run and what is wrong; the table is refused until then, or names what it lacks."""
    change(closed, SCORE)
    with contextlib.closing(sqlite3.connect(closed.results / LEDGER)) as connection:
        ((title,),) = connection.execute("SELECT title FROM results WHERE rowid = 4").fetchall()
    status, told = command("status", str(closed.file))
    assert status == 0
    assert f"damaged: {title} (row 4 of results)" in told
    (damaged,) = json.loads(command("status", str(closed.file), "--json")[1])["damaged"]
    assert damaged["title"] == title
    out = closed.file.parent / "lacking.csv"
    assert command("export", str(closed.file), "-o", str(out))[0] == 2
    assert not out.exists()
    words = ("export", str(closed.file), "-o", str(out), "--without-damaged", "--json")
    status, told = command(*words)
    assert status == 0
    assert any(title in warning for warning in json.loads(told)["warnings"])
    notes: list[str] = []
    run(closed.experiment, lambda event: notes.append(event.note))
    assert [title in note for note in notes if note] == [True]
    again = closed.ask()
    assert (again.said, again.table) == (False, closed.truth.table)


def test_what_was_put_aside_is_damaged_until_it_is_measured_again(closed: Ground):
    """A session may be killed in between; the row itself is kept for people to look at."""
    change(closed, SCORE)
    with Ledger.open(closed.experiment.ledger) as ledger:
        (found,) = ledger.put_aside_damaged()
    status, told = command("status", str(closed.file))
    assert status == 0
    assert f"damaged: {found.title}: it was damaged, was put aside" in told
    assert command("export", str(closed.file), "-o", "t.csv")[0] == 2
    with contextlib.closing(sqlite3.connect(closed.results / LEDGER)) as connection:
        ((content,),) = connection.execute("SELECT content FROM damaged").fetchall()
    assert found.key in json.loads(content)


COPIED = """INSERT INTO results SELECT 'x' || key, kind, title, identity, outcome, items,
started, seconds, timings, versions, machine, digest FROM results LIMIT 1"""


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (("DELETE FROM results WHERE rowid = 3",), "it was recorded, and is gone"),
        (("UPDATE results SET started = started + 1 WHERE rowid = 3",), "the digest differs"),
        (("UPDATE results SET key = 'x' || key WHERE rowid = 3",), "its key is not the one"),
        (("UPDATE results SET items = x'00' WHERE rowid = 3",), "its items cannot be read"),
        ((COPIED,), "its key is not the one"),
        (("UPDATE failures SET error = 'another'",), "of its failure"),
        (("DELETE FROM failures",), "its failure was recorded, and is gone"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_row_is_said(closed: Ground, statements: tuple[str, ...], said: str):
    """Changed, gone, or put in by somebody else."""
    change(closed, *statements)
    found = examine(closed.experiment.ledger)
    assert said in " ".join(map(str, found.damaged))
    with Ledger.open_to_read(closed.experiment.ledger) as ledger:
        states = ledger.states()
        wrong = [each.key for each in found.damaged if each.key is not None]
        assert all(states.get(key, State.MISSING) is State.MISSING for key in wrong)


def test_a_row_that_was_changed_with_its_digest_is_said(closed: Ground):
    """The log is a second witness."""
    change(closed, SCORE)
    with contextlib.closing(sqlite3.connect(closed.results / LEDGER)) as connection:
        row = connection.execute("SELECT * FROM results WHERE rowid = 4").fetchone()
        values = (digest_of(*row[:-1]),)
        connection.execute("UPDATE results SET digest = ? WHERE rowid = 4", values)
        connection.commit()
    (damaged,) = examine(closed.experiment.ledger).damaged
    assert "changed together with its digest" in damaged.what


@pytest.mark.parametrize("name", CASES)
def test_the_cases_of_version_0_1_0_are_said_and_measured_again(
    name: str, shared_data: Path, tmp_path: Path
):
    """They were exported without a word, or ended in tracebacks."""
    cases = shared_data / "cases" / "ledger"
    if not cases.is_dir():
        pytest.skip(f"there is no folder {cases}")
    text = (cases / "experiment.yaml").read_text("utf-8").replace("seconds: 3", "seconds: 0")
    file = tmp_path / "experiment.yaml"
    file.write_text(text, "utf-8")
    expected = tmp_path / "expected.csv"
    run(read_experiment(file))
    assert command("export", str(file), "-o", str(expected))[0] == 0
    shutil.rmtree(tmp_path / "results")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / LEDGER).write_bytes((cases / f"{name}.sqlite").read_bytes())
    assert "damaged: " in command("status", str(file))[1]
    assert command("export", str(file), "-o", str(tmp_path / "t.csv"))[0] == 2
    assert command("ledger", "check", str(file))[0] == 1
    assert command("run", str(file))[0] == 0
    assert command("export", str(file), "-o", str(tmp_path / "t.csv"))[0] == 0
    assert (tmp_path / "t.csv").read_bytes() == expected.read_bytes()
    assert command("ledger", "check", str(file))[0] == 0


def flip(path: Path, at: int) -> None:
    """Flip the lowest bit of one byte."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("name", ["smoke", "rehearsal"])
def test_an_old_ledger_is_read_as_it_is_and_migrated_on_the_first_write(name: str, tmp_path: Path):
    """Reading changes no byte; writing says a word, keeps all results, and adds digests."""
    path = tmp_path / LEDGER
    path.write_bytes((RELEASED / f"{name}.sqlite").read_bytes())
    before = path.read_bytes()
    with Ledger.open_to_look(path) as ledger:
        results, failures = ledger.results(), ledger.failures()
        items = {key: ledger.items(key) for key in results}
        assert not ledger.damaged
    assert path.read_bytes() == before
    assert not (tmp_path / COUNT).exists()
    query = "SELECT fingerprint, facts FROM facts ORDER BY 1"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        facts = connection.execute(query).fetchall()
    told: list[str] = []
    with Ledger.open(path, tell=told.append) as ledger:
        assert ledger.database.rows(query) == facts
        assert ledger.results() == results
        assert ledger.failures() == failures
        assert {key: ledger.items(key) for key in results} == items
    assert "written by version 0.1.0" in told[0]
    assert f"each of its {len(results)} results" in told[0]
    found = examine(path)
    assert found.sound
    assert (found.format, found.results) == (2, len(results))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("score", "its acc is"),
        ("stderr", "its standard error is"),
        ("n_items", "it has 1024 items"),
    ],
)
def test_scores_of_an_old_ledger_are_checked_against_its_items(
    name: str, said: str, tmp_path: Path
):
    """Without digests, what was changed differs from what the items say."""
    path = tmp_path / LEDGER
    shutil.copy(RELEASED / "smoke.sqlite", path)
    path.chmod(0o644)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        query = "SELECT rowid, outcome FROM results WHERE kind = 'few_shot' LIMIT 1"
        number, outcome = connection.execute(query).fetchone()
        content = json.loads(outcome)
        content["scores"][0][name] += 1 if name == "n_items" else 0.001
        values = (json.dumps(content), number)
        connection.execute("UPDATE results SET outcome = ? WHERE rowid = ?", values)
        connection.commit()
    (damaged,) = examine(path).damaged
    assert damaged.row == number
    assert said in damaged.what


def test_a_ledger_of_other_tables_is_refused_and_left_alone(tmp_path: Path):
    """An SQLite file of another program, also one that states no version."""
    path = tmp_path / LEDGER
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE mine (a)")
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=r"it is not a ledger .*Move it away"):
        Ledger.open(path)
    assert path.read_bytes() == before
    assert command("ledger", "repair", str(path))[0] == 2


def test_an_index_that_does_not_fit_its_table_is_built_again(closed: Ground):
    """Looking up by key would find other rows; nothing is lost by it."""
    path = closed.results / LEDGER
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_results_1'"
        ).fetchone()
        key = connection.execute("SELECT key FROM results LIMIT 1").fetchone()[0]
    at = path.read_bytes().index(key.encode(), (root - 1) * 4096)
    flip(path, at)
    (damaged,) = examine(path).damaged
    assert damaged.table == "index"
    with Ledger.open_to_read(path) as ledger:
        assert ledger.states()[key] is State.DONE
        assert len(ledger.results()) == 14
    with Ledger.open(path) as ledger:
        assert not ledger.record(attempt(key), OUTCOME), "it has a result"
    assert closed.ask() == closed.truth


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"digest": 1}', b"\xff\xfe", b"[" * 100_000]
)
def test_a_count_that_cannot_be_read_is_said(closed: Ground, content: bytes):
    """It is damaged; a repair writes it again and loses nothing."""
    (closed.results / COUNT).write_bytes(content)
    with pytest.raises(LedgerError, match=r"which counts its results, is damaged"):
        Ledger.open_to_read(closed.experiment.ledger)
    assert command("ledger", "repair", str(closed.file))[0] == 0
    assert closed.ask() == closed.truth
