"""Backups, repairs and merges of ledgers, and the commands that do them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tests.lab.ledger.damage import command
from tests.lab.ledger.test_ledger import OUTCOME, attempt

from emergecast.errors import LedgerError
from emergecast.lab.evaluate import Score
from emergecast.lab.ledger import Ledger, Outcome, State, back_up, examine, merge, repair

OTHER = Outcome(scores=(Score(metric="acc", score=0.75, stderr=None, n_items=4),))


def make(path: Path, *keys: str, outcome: Outcome = OUTCOME, started: float = 1.0) -> Path:
    """A ledger with some results."""
    with Ledger.open(path) as ledger:
        for key in keys:
            assert ledger.record(attempt(key, started), outcome)
    return path


def results(path: Path) -> dict[str, float]:
    """When each result of a ledger was begun."""
    with Ledger.open_to_read(path) as ledger:
        return {key: result.started for key, result in ledger.results().items()}


def test_a_backup_is_a_whole_ledger_with_its_count(tmp_path: Path):
    """It opens as one, with results, items and failures; nothing else is left beside it."""
    path = make(tmp_path / "ledger.sqlite", "a", "b")
    with Ledger.open(path) as ledger:
        ledger.fail(attempt("c"), "no luck.", "")
    out = tmp_path / "kept" / "copy.sqlite"
    assert back_up(path, out).sound
    assert {each.name for each in out.parent.iterdir()} == {"copy.sqlite", "copy.sqlite-count"}
    with Ledger.open(out) as copy:
        assert copy.items("a") == [dict(item) for item in OUTCOME.items]
        assert set(copy.failures()) == {"c"}
        assert copy.record(attempt("d"), OUTCOME)
    assert set(results(path)) == {"a", "b"}
    with pytest.raises(LedgerError, match=r"copy.sqlite\" is there already"):
        back_up(path, out)


WRITER = """
import sys
from pathlib import Path
from emergecast.lab.ledger import Ledger
from tests.lab.ledger.test_ledger import OUTCOME, attempt
with Ledger.open(Path(sys.argv[1])) as ledger:
    for i in range(10_000):
        ledger.record(attempt(f"{i:05}"), OUTCOME)
        print(i, flush=True)
"""


def test_a_backup_during_a_session_is_that_of_one_moment(tmp_path: Path):
    """Every result until then and none after: while another process writes on and on."""
    path = tmp_path / "ledger.sqlite"
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        counts = []
        for number in range(3):
            before = int(process.stdout.readline())
            out = tmp_path / f"copy-{number}.sqlite"
            found = back_up(path, out)
            assert found.sound
            keys = sorted(results(out))
            assert keys == [f"{i:05}" for i in range(len(keys))]
            assert len(keys) > before
            counts.append(len(keys))
        assert counts == sorted(counts)
    finally:
        process.kill()
        process.communicate()


def test_a_repair_of_a_sound_ledger_changes_nothing(tmp_path: Path):
    """And says so."""
    path = make(tmp_path / "ledger.sqlite", "a")
    before = path.read_bytes()
    assert repair(path).kept == ()
    assert path.read_bytes() == before
    status, told = command("ledger", "repair", str(path))
    assert status == 0
    assert "nothing was changed" in told


def test_a_repair_saves_what_is_intact_and_keeps_the_old_files(tmp_path: Path):
    """Two pages are overwritten: the rows on them are lost by name, the others are there still.

    Also those between the two, which no reading in order comes to, from either end.
    """
    keys = [f"{i:03}" for i in range(40)]
    path = make(tmp_path / "ledger.sqlite", *keys)
    whole = results(path)
    content = bytearray(path.read_bytes())
    for key in ("010", "030"):
        at = content.index(b"title of " + key.encode()) // 4096 * 4096
        content[at : at + 4096] = bytes(4096)
    path.write_bytes(bytes(content))
    assert not examine(path).sound
    status, told = command("ledger", "repair", str(path), "--json")
    assert status == 1
    found = json.loads(told)
    saved = results(path)
    assert {"title of 010", "title of 030"} <= set(found["lost"])
    assert "020" in saved
    assert {f"title of {key}" for key in whole.keys() - saved.keys()} == set(found["lost"])
    assert 10 < len(saved) < 40
    assert saved.items() <= whole.items()
    assert (tmp_path / "ledger.damaged-1.sqlite").read_bytes() == bytes(content)
    assert examine(path).sound
    with Ledger.open(path) as ledger:
        assert ledger.record(attempt("010"), OUTCOME), "it is missing"


def test_a_repair_says_how_many_went_with_a_lost_log(tmp_path: Path):
    """Nobody can name them; the count is known, and the next repair finds nothing to do."""
    path = tmp_path / "ledger.sqlite"
    make(path, "a")
    with Ledger.open(path) as ledger:
        for key in "bcd":
            ledger.record(attempt(key), OUTCOME)
        content, count = path.read_bytes(), Path(f"{path}-count").read_bytes()
    path.write_bytes(content)
    Path(f"{path}-count").write_bytes(count)
    found = repair(path)
    assert (found.results, found.lost, found.unnamed) == (1, (), 3)
    assert len(found.kept) == 2
    assert repair(path).kept == ()


def test_a_repair_waits_for_no_session_and_disturbs_none(tmp_path: Path):
    """It is refused while a live process has claimed a run."""
    from emergecast.lab.ledger import this_process

    path = make(tmp_path / "ledger.sqlite", "a")
    with Ledger.open(path) as ledger:
        ledger.claim("b", "title of b", this_process())
        Path(f"{path}-count").unlink()
        with pytest.raises(LedgerError, match='in use by a session, which is doing "title of b"'):
            repair(path)


def test_shards_are_merged_into_one(tmp_path: Path):
    """Results, items, failures and facts; what is there already is counted, and stays."""
    path = make(tmp_path / "here" / "ledger.sqlite", "a")
    one = make(tmp_path / "one.sqlite", "b", "c")
    two = make(tmp_path / "two.sqlite", "a", "d", started=9.0)
    with Ledger.open(two) as ledger:
        ledger.fail(attempt("e"), "no luck.", "")
        ledger.fail(attempt("b"), "no luck either.", "")
        ledger.keep_facts("print", {"bytes": 3})
    before = one.read_bytes(), two.read_bytes()
    found = merge(path, [one, two])
    assert dataclasses.astuple(found) == (3, 1, 1)
    assert results(path) == {"a": 1.0, "b": 1.0, "c": 1.0, "d": 9.0}
    with Ledger.open_to_read(path) as ledger:
        assert ledger.items("d") == [dict(item) for item in OUTCOME.items]
        assert ledger.states()["e"] is State.FAILED
        assert ledger.states()["b"] is State.DONE
        assert ledger.known_facts("print") == {"bytes": 3}
    assert (one.read_bytes(), two.read_bytes()) == before
    assert examine(path).sound
    assert dataclasses.astuple(merge(path, [one, two])) == (0, 4, 0)


def test_conflicting_results_are_refused_by_name_and_nothing_is_taken(tmp_path: Path):
    """All of them, with both values and both files."""
    path = make(tmp_path / "here.sqlite", "a", "b")
    other = make(tmp_path / "other.sqlite", "c")
    make(other, "a", "b", outcome=OTHER)
    with pytest.raises(LedgerError, match="differ in 2 runs") as caught:
        merge(path, [other])
    said = str(caught.value)
    assert f'title of a: acc 0.30000000000000004 in "{path}", acc 0.75 in "{other}"' in said
    assert "title of b" in said
    assert set(results(path)) == {"a", "b"}
    assert examine(path).sound


def test_a_damaged_ledger_is_not_merged(tmp_path: Path):
    """Neither into another one nor from another one."""
    path, other = make(tmp_path / "here.sqlite", "a"), make(tmp_path / "other.sqlite", "b")
    with contextlib.closing(sqlite3.connect(other)) as connection:
        connection.execute("UPDATE results SET seconds = 3")
        connection.commit()
    for into, source in ((path, other), (other, path)):
        with pytest.raises(LedgerError, match=r"other.sqlite\" is damaged: title of b"):
            merge(into, [source])
    assert set(results(path)) == {"a"}
    with pytest.raises(LedgerError, match="into itself"):
        merge(path, [path])


def test_the_commands_say_what_they_did(tmp_path: Path):
    """In words and as JSON, of an experiment file's ledger or of the ledger itself."""
    path = make(tmp_path / "ledger.sqlite", "a")
    other = make(tmp_path / "other.sqlite", "b")
    status, told = command("ledger", "check", str(path))
    assert (status, "Nothing is wrong." in told, "1 result," in told) == (0, True, True)
    assert json.loads(command("ledger", "check", str(tmp_path), "--json")[1])["sound"]
    out = tmp_path / "copy.sqlite"
    status, told = command("ledger", "backup", str(path), "-o", str(out))
    assert (status, out.is_file()) == (0, True)
    assert f'Wrote "{out}"' in told
    assert command("ledger", "backup", str(path))[0] == 0
    assert len(list(tmp_path.glob("ledger.backup-*.sqlite"))) == 1
    status, told = command("ledger", "merge", str(path), str(other), "--json")
    assert (status, json.loads(told)["taken"]) == (0, 1)
    assert command("ledger", "merge", str(path), str(tmp_path / "none.sqlite"))[0] == 2
    assert command("ledger", "check", str(tmp_path / "none.sqlite"))[0] == 2
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE results SET title = title || x'1b' || '[31m' WHERE key = 'a'")
        connection.commit()
    status, told = command("ledger", "check", str(path))
    assert status == 1
    assert "damaged: title of a (row 1 of results): its " in told
    assert "\x1b" not in told
    assert command("ledger", "backup", str(path), "-o", str(tmp_path / "c.sqlite"))[0] == 1
