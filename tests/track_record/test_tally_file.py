"""The file of a tally: whole lines, one writer at a time, and what a crash leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.track_record import forging

from emergecast.errors import FrozenError
from emergecast.track_record import FrozenScore, add_to_tally, track_record
from emergecast.track_record import _tally_file as tally_file

OLD = forging.TALLY.read_text("utf-8").strip()
SCORE = FrozenScore.from_dict(json.loads(OLD))


def another(number: int) -> FrozenScore:
    """A score of another forecast."""
    return replace(SCORE, sha256=f"{number:064x}")


def test_every_line_ends_and_the_same_score_is_not_added_twice(tmp_path: Path):
    """What is read back is what was added."""
    path = tmp_path / "t.jsonl"
    add_to_tally(path, [another(1)])
    added = add_to_tally(path, [another(1), another(2)])
    assert added == add_to_tally(path, ())
    assert [each.sha256[-1] for each in added.scores] == ["1", "2"]
    assert path.read_text("utf-8").count("\n") == 2
    assert path.read_text("utf-8").endswith("\n")


def test_two_scores_on_one_line_are_two(tmp_path: Path):
    """As an append without a line break before it left them."""
    path = tmp_path / "t.jsonl"
    path.write_text(OLD + json.dumps(another(1).to_dict()), "utf-8")
    found = add_to_tally(path, [another(2)])
    assert len(found.scores) == 3
    assert found.torn == ()
    assert len(path.read_text("utf-8").splitlines()) == 2
    assert add_to_tally(path, ()) == found


@pytest.mark.parametrize("kept", [1, 20, 300, len(OLD) - 1])
def test_a_torn_last_line_is_left_out_and_said(tmp_path: Path, kept: int):
    """What is added later stands on lines of its own, and the whole lines count."""
    path = tmp_path / "t.jsonl"
    path.write_text(f"{OLD}\n{OLD[:kept]}", "utf-8")
    found = add_to_tally(path, [another(1)])
    assert [each.sha256 for each in found.scores] == [SCORE.sha256, another(1).sha256]
    assert len(found.torn) == 1
    assert "line 2 ends in the middle of a score" in found.torn[0]
    assert add_to_tally(path, ()) == found


def test_a_score_after_a_torn_one_on_the_same_line_counts(tmp_path: Path):
    """As version 0.1.0 went on after a crash."""
    path = tmp_path / "t.jsonl"
    path.write_text(OLD[:200] + OLD + "\n", "utf-8")
    found = add_to_tally(path, ())
    assert found.scores == (SCORE,)
    assert len(found.torn) == 1


def test_processes_that_add_at_once_lose_nothing(tmp_path: Path):
    """Each adds its scores one by one; all are there, each on a whole line."""
    path = tmp_path / "t.jsonl"
    code = (
        "import json, sys; from dataclasses import replace; from pathlib import Path\n"
        "from emergecast.track_record import FrozenScore, add_to_tally\n"
        "score = FrozenScore.from_dict(json.loads(Path(sys.argv[2]).read_text('utf-8')))\n"
        "for n in range(20):\n"
        "    mine = f'{int(sys.argv[3]) * 100 + n:064x}'\n"
        "    add_to_tally(sys.argv[1], [replace(score, sha256=mine)])\n"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, path, forging.TALLY, str(who)])
        for who in range(3)
    ]
    assert [each.wait(timeout=120) for each in started] == [0, 0, 0]
    found = add_to_tally(path, ())
    assert len({each.sha256 for each in found.scores}) == 60
    assert found.torn == ()


@pytest.mark.skipif(sys.platform == "win32", reason="locks are taken in another way there")
def test_a_tally_that_stays_locked_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """After a while."""
    import fcntl

    path = tmp_path / "t.jsonl"
    monkeypatch.setattr(tally_file, "PATIENCE", 0.1)
    with path.open("a", encoding="utf-8") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(FrozenError, match="being written by another process"):
            add_to_tally(path, [SCORE])
    assert path.read_text("utf-8") == ""


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Half a line is taken back."""
    path = tmp_path / "t.jsonl"
    add_to_tally(path, [SCORE])
    before = path.read_bytes()
    write = os.write

    def fills(descriptor: int, content: bytes) -> int:
        if len(content) < 400:
            raise OSError(28, "No space left on device")
        return write(descriptor, content[:300])

    monkeypatch.setattr(os, "write", fills)
    with pytest.raises(OSError, match="No space left"):
        add_to_tally(path, [another(1)])
    assert path.read_bytes() == before


def test_the_first_forecast_of_a_table_counts_for_a_question():
    """By its date, whatever the order of the lines; all of other tables or questions count."""
    first = replace(another(1), table_hash="a" * 64, question="q")
    second = replace(another(2), table_hash="a" * 64, question="q", hit=False)
    second = replace(second, frozen_at="2026-11-27T00:00:00+00:00")
    found = track_record([second, first])
    assert (found.n, found.hits) == (1, 1)
    assert len(found.repeated) == 1
    said = "(frozen 2026-11-27T00:00:00, 000000000000) was made from the same table as"
    assert said in found.repeated[0]
    others = [replace(second, question="r"), replace(another(3), table_hash="b" * 64, question="q")]
    assert track_record([first, *others]).n == 3
    assert track_record([another(4), another(5)]).n == 2
    assert found.to_dict()["repeated"] == list(found.repeated)
