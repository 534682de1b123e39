"""`emergecast freeze` and `emergecast score`, as a user calls them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests import designs
from typer.testing import CliRunner

from emergecast.cli import app
from emergecast.track_record import read_frozen

QUICK = ("--law", "log-power")
SEEN = designs.DENSE[::4]
LATER = (*SEEN, *(float(loss) for loss in np.linspace(1.98, 1.5, 13)))


def call(*arguments: object):
    """What the command does with these arguments."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write(path: Path, losses=LATER, amounts=(64, 512, 4096)) -> Path:
    """A table of the design in a file."""
    rows = designs.rows(losses=losses, amounts=amounts)
    named = [{**row, "checkpoint": f"at-{row['loss']:.3f}"} for row in rows]
    pl.DataFrame(named, infer_schema_length=None).write_csv(path)
    return path


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    """The table of the day it is frozen."""
    return write(tmp_path / "seen.csv", SEEN)


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """The table when stronger checkpoints are there."""
    return write(tmp_path / "later.csv")


@pytest.fixture
def frozen(seen: Path, tmp_path: Path) -> Path:
    """A frozen forecast."""
    path = tmp_path / "f.frozen.json"
    assert call("freeze", seen, "--task", "quiz", *QUICK, "-o", path).exit_code == 0
    return path


def test_freeze_says_what_was_frozen_and_how_to_prove_it(seen: Path, tmp_path: Path):
    """Answer, target, date, hash; and the file holds the options."""
    path = tmp_path / "f.json"
    options = ("--exclude", "at-3.000", "--prior", "elbow_scale=2", "--threshold", "width=0.5")
    result = call("freeze", seen, *QUICK, *options, "--note", "hello", "-o", path)
    assert result.exit_code == 0, result.output
    found = read_frozen(path)
    assert found.sha256 in result.stdout
    assert re.search(r"^(WEAK|IDENTIFIED)  quiz / default: few-shot emergence", result.stdout)
    assert "leaves chance (0.25)" in result.stdout
    assert found.options.exclude == ("at-3.000",)
    assert found.forecast["priors"]["elbow_scale"] == 2
    assert found.content["thresholds"]["width"] == 0.5
    assert found.content["note"] == "hello"


def test_the_forecast_frozen_is_that_of_fit(seen: Path, tmp_path: Path):
    """The same numbers, digit for digit."""
    fitted = json.loads(call("fit", seen, *QUICK, "--bootstrap", 0, "--json").stdout)
    result = call("freeze", seen, *QUICK, "-o", tmp_path / "f.json", "--json")
    found = json.loads(result.stdout)
    assert found["elbow"] == fitted["elbow"]
    assert found["verdict"] == fitted["verdict"]
    assert found["table_hash"] == fitted["table_hash"]


def test_a_frozen_file_is_never_overwritten(seen: Path, frozen: Path):
    """Bad input, and the file stays."""
    before = frozen.read_bytes()
    result = call("freeze", seen, *QUICK, "-o", frozen)
    assert result.exit_code == 2
    assert "never overwritten" in result.stderr
    assert "another name" in result.stderr.replace("\n", " ")
    assert frozen.read_bytes() == before


def test_a_refused_forecast_is_frozen_with_status_3(tmp_path: Path, later: Path):
    """It counts as refused when scored."""
    table = write(tmp_path / "few.csv", SEEN, (64,))
    path = tmp_path / "r.json"
    result = call("freeze", table, *QUICK, "-o", path)
    assert result.exit_code == 3
    assert result.stdout.startswith("REFUSED  quiz / default: There is 1 finetuning amount")
    scored = json.loads(call("score", path, "--table", later, "--json").stdout)
    assert scored["tally"]["refused"] == 1
    assert scored["scores"][0]["status"] == "refused"


def test_score_says_hit_or_miss_with_proper_scores(frozen: Path, later: Path):
    """One forecast, in words and as JSON."""
    result = call("score", frozen, "--table", later)
    assert result.exit_code == 0, result.output
    found = json.loads(call("score", frozen, "--table", later, "--json").stdout)["scores"][0]
    assert result.stdout.startswith("HIT" if found["hit"] else "MISS")
    assert f"CRPS {found['crps']:.4f} nats (no change: {found['no_change']:.4f})" in result.stdout
    assert f"log score {found['log_score']:.2f}" in result.stdout
    assert found["truth"] == pytest.approx(1.93, abs=0.03)


def test_a_tally_runs_over_all_calls(frozen: Path, later: Path, seen: Path, tmp_path: Path):
    """Pending at first, scored later; scoring again adds nothing."""
    file = tmp_path / "track.jsonl"
    first = call("score", frozen, "--table", seen, "--tally", file)
    assert first.stdout.startswith("PENDING")
    assert re.search(r"^all +0 +1 +0 ", first.stdout, re.MULTILINE)
    second = call("score", frozen, "--table", later, "--tally", file)
    assert re.search(r"^all +1 +0 +0 ", second.stdout, re.MULTILINE)
    assert call("score", frozen, "--table", later, "--tally", file).exit_code == 0
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert [line["status"] for line in lines] == ["pending", "scored"]


def test_a_backtest_is_told_apart_in_the_tally(frozen: Path, later: Path, tmp_path: Path):
    """A row for it and one for the real ones, in text and in JSON."""
    known = tmp_path / "known.json"
    call("freeze", later, *QUICK, "--at-chance-only", "-o", known)
    plain = call("score", frozen, "--table", later, "--tally", tmp_path / "t.jsonl").stdout
    assert "known" not in plain
    text = call("score", frozen, known, "--table", later).stdout
    assert re.search(r"^all +2 ", text, re.MULTILINE)
    assert re.search(r"^- known already +1 ", text, re.MULTILINE)
    assert re.search(r"^- not known +1 ", text, re.MULTILINE)
    assert "Of the 2 scored, 1 known already" in text
    found = json.loads(call("score", frozen, known, "--table", later, "--json").stdout)
    assert [score["known"] for score in found["scores"]] == [False, True]
    assert found["tally"]["by_known"]["known already"]["n"] == 1


def test_a_frozen_filter_can_be_ignored(later: Path, tmp_path: Path):
    """As the warning says."""
    path = tmp_path / "filtered.json"
    call("freeze", later, *QUICK, "--exclude", "at-1.*", "-o", path)
    held = call("score", path, "--table", later)
    assert held.stdout.startswith("PENDING")
    assert "--ignore-filters" in held.stdout
    scored = call("score", path, "--table", later, "--ignore-filters")
    assert scored.stdout.startswith(("HIT", "MISS"))


def test_several_files_are_tallied_without_a_file(seen: Path, later: Path, tmp_path: Path):
    """By verdict and in all; each was made from a table of its own."""
    paths = [tmp_path / "1.json", tmp_path / "2.json"]
    earlier = write(tmp_path / "earlier.csv", SEEN[:-1])
    for path, table in zip(paths, (earlier, seen), strict=True):
        call("freeze", table, *QUICK, "-o", path)
    found = json.loads(call("score", *paths, "--table", later, "--json").stdout)
    assert found["tally"]["n"] == 2
    assert len(found["scores"]) == 2
    assert sum(found["tally"]["pit_counts"]) == 2
    assert "Track record" in call("score", *paths, "--table", later).stdout


def test_one_table_answers_a_question_once(seen: Path, later: Path, tmp_path: Path):
    """Whatever law and D0: the first counts, and the other is named; another question counts."""
    paths = [tmp_path / "1.json", tmp_path / "2.json", tmp_path / "3.json"]
    for path, shots in zip(paths[:2], ("1", "5"), strict=True):
        call("freeze", seen, *QUICK, "--few-shot-examples", shots, "-o", path)
    call("freeze", seen, *QUICK, "--where", "task=quiz", "-o", paths[2])
    hashes = [read_frozen(path).sha256[:12] for path in paths]
    file = tmp_path / "t.jsonl"
    call("score", paths[0], "--table", later, "--tally", file)
    result = call("score", paths[1], "--table", later, "--tally", file)
    assert re.search(r"^all +1 ", result.stdout, re.MULTILINE)
    said = " ".join(result.stdout.split())
    assert f"{hashes[1]}) was made from the same table as" in said
    assert f"{hashes[0]}) and answers the same question" in said
    found = json.loads(call("score", paths[2], "--table", later, "--tally", file, "--json").stdout)[
        "tally"
    ]
    assert found["n"] == 2
    assert len(found["repeated"]) == 1


def test_a_given_truth_needs_no_table(frozen: Path):
    """Far outside, it is a miss, and JSON stays JSON."""
    result = call("score", frozen, "--truth", 40, "--json")
    found = json.loads(result.stdout, parse_constant=pytest.fail)
    assert found["scores"][0]["hit"] is False


def messages(*arguments: object) -> str:
    """Standard error of a call that is bad input, on one line."""
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    return " ".join(result.stderr.split())


def test_bad_input_is_named(frozen: Path, later: Path, tmp_path: Path):
    """An edited file, no truth, one truth for two, a tally that is none, no such file."""
    edited = tmp_path / "edited.json"
    edited.write_text(frozen.read_text("utf-8").replace("default", "another"), "utf-8")
    other = tmp_path / "g.json"
    call("freeze", later, *QUICK, "-o", other)
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text("hello\n", "utf-8")
    assert "was edited after it was frozen" in messages("score", edited, "--table", later)
    assert "needs a later table" in messages("score", frozen)
    assert "one forecast" in messages("score", frozen, other, "--truth", 2)
    assert "is not a tally" in messages("score", frozen, "--truth", 2, "--tally", wrong)
    assert wrong.read_text("utf-8") == "hello\n"
    assert "nothing.json" in messages("score", tmp_path / "nothing.json", "--truth", 2)


def test_an_error_is_json_where_json_was_asked_for(frozen: Path):
    """For programs."""
    result = call("score", frozen, "--json")
    found: dict[str, Any] = json.loads(result.stdout)
    assert "needs a later table" in found["error"]
