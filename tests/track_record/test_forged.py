"""Frozen files and tallies that somebody edited, or that broke: named errors, and nothing else."""

from __future__ import annotations

import collections
import json
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.cli.flat import flat
from tests.track_record import forging
from typer.testing import CliRunner

from emergecast.cli import app
from emergecast.errors import FrozenError
from emergecast.track_record import FrozenScore, add_to_tally, read_frozen

CONTENT: dict[str, Any] = json.loads(forging.FILE.read_text("utf-8"))
SCORE: dict[str, Any] = json.loads(forging.TALLY.read_text("utf-8"))
NUMBERS = {*("truth", "hit", "crps", "log_score", "pit", "no_change", "p05", "p50", "p95"), "unit"}


def read(content: dict[str, Any], folder: Path):
    """The frozen forecast of this content, with its right hash."""
    path = folder / "f.json"
    path.write_text(forging.sealed(content), "utf-8")
    return read_frozen(path)


def put(*place: Any, value: Any) -> dict[str, Any]:
    """The good content with another value at a place."""
    made: dict[str, Any] = forging.changed(CONTENT, place, value)
    return made


def test_the_hash_is_as_the_documentation_says(tmp_path: Path):
    """Computed by its description, the one of the good file is found; so forgeries are right."""
    assert read(CONTENT, tmp_path).sha256 == CONTENT["sha256"]


LOSSES, DENSITIES = CONTENT["distribution"]["loss"], CONTENT["distribution"]["density"]
FORGED = {
    "date": (put("frozen_at", value="yesterday"), "no date and time"),
    "no zone": (put("frozen_at", value="2026-11-26T10:00:00"), "without a time zone"),
    "future": (put("frozen_at", value="2099-01-01T00:00:00+00:00"), "lies in the future"),
    "past": (put("frozen_at", value="1970-01-01T00:00:00+00:00"), "before there was"),
    "verdict": (put("forecast", "verdict", value="sure"), "forecast.verdict"),
    "refused": (put("forecast", "verdict", value="refused"), "verdict is refused, but"),
    "text": (put("forecast", "elbow", "p50", value="2.4"), "forecast.elbow.p50"),
    "interval": (put("forecast", "elbow", "p95", value=99), "95% quantile at 2.26"),
    "order": (put("forecast", "laws", 0, "p05", value=9.0), "out of order"),
    "quantile": (put("distribution", "loss", 500, value=1.0), "quantiles are out of order"),
    "lowest": (put("distribution", "loss", 0, value=0.5), "far from all the others"),
    "highest": (put("distribution", "loss", -1, value=4.0), "far from all the others"),
    "levels": (put("distribution", "level", 7, value=0.5), "levels do not rise"),
    "short": (put("distribution", "density", value=DENSITIES[:-1]), "1002 densities"),
    "peak": (
        put("distribution", "density", 502, value=60 * DENSITIES[502]),
        "far above that beside it",
    ),
    "scaled": (put("distribution", "density", value=[3 * d for d in DENSITIES]), "disagree by"),
    "negative": (put("distribution", "density", 9, value=-1.0), "distribution.density.9"),
    "rule": (put("distribution", "interpolation", value="none"), "rule of interpolation"),
    "weights": (put("forecast", "laws", 0, "weight", value=0.9), "weights add up to"),
    "strongest": (put("forecast", "strongest_loss", value=1.0), "strongest_loss is 1, and"),
    "spread": (put("forecast", "loss_spread", value=9.0), "loss_spread is 9, and"),
    "rows": (put("rows", value=CONTENT["rows"][:-1]), "n_rows is 74, and the rows have 73"),
    "row": (put("rows", 3, "loss", value=0.1), "different losses"),
    "loss": (put("rows", 3, "loss", value=None), "rows.3.loss"),
    "no row": (put("rows", value=[]), "no rows"),
    "task": (put("forecast", "task", value="other"), "selection.task is 'simulated'"),
    "axis": (put("forecast", "axis", "higher_is_stronger", value=True), "higher_is_stronger is"),
    "asked": (put("selection", "axis", value=":::"), "selection.axis"),
    "shift": (put("selection", "shift", value="::"), "selection.shift"),
    "shifted": (put("selection", "shift", value="hint"), "forecast.shift.name is 'examples'"),
    "version": (put("version", value="latest"), "none of emergecast"),
    "where": (put("selection", "where", value=["a"]), "selection.where"),
    "digest": (put("forecast", "table_hash", value="abc"), "table_hash"),
    "huge": (put("forecast", "loss_spread", value=10**400), "no such number"),
    "none": (put("forecast", value=None), "forecast:"),
    "thresholds": (put("thresholds", "width", value="wide"), "thresholds.width"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forgery_with_the_right_hash_is_named(name: str, tmp_path: Path):
    """One field is wrong, and the error says which."""
    content, said = FORGED[name]
    with pytest.raises(FrozenError, match="has the right hash, but") as caught:
        read(content, tmp_path)
    assert said in str(caught.value)


CASES = Path(os.environ.get("EMERGECAST_SHARED", "nowhere")) / "cases" / "frozen"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("date-garbage", "no date and time"),
        ("deep", "nested too deeply"),
        ("future-date-resign", "lies in the future"),
        ("interval-wide-only-elbow", "5% quantile at 2.39"),
        ("no-forecast", "forecast: Field required"),
        ("verdict-garbage", "forecast.verdict"),
        ("good", None),
    ],
)
def test_the_files_of_the_trial_end_in_named_errors(name: str, said: str | None):
    """By the command line; the good one is scored."""
    if not CASES.is_dir():
        pytest.skip("the cases are not on this machine")
    words = ["score", str(CASES / f"frozen_{name}.json"), "--table", str(CASES / "later.csv")]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == (0 if said is None else 2)
    assert (said or "MISS") in flat(done.stderr if said else done.stdout)


def test_the_tally_of_the_trial_is_still_usable(tmp_path: Path):
    """Two scores share a line, and both are read."""
    if not CASES.is_dir():
        pytest.skip("the cases are not on this machine")
    path = tmp_path / "t.jsonl"
    path.write_bytes((CASES / "tally_two_records_one_line.jsonl").read_bytes())
    found = add_to_tally(path, ())
    assert [each.truth for each in found.scores] == [2.200025, 2.4]


@pytest.mark.parametrize("key", [key for key in CONTENT if key not in {"sha256", "format"}])
def test_a_part_that_is_missing_is_named(key: str, tmp_path: Path):
    """Whichever."""
    content = {name: value for name, value in CONTENT.items() if name != key}
    with pytest.raises(FrozenError, match=f"{key}: Field required"):
        read(content, tmp_path)


def test_the_clocks_of_two_machines_may_differ(tmp_path: Path):
    """By half a day a date may lie ahead; by two it may not."""
    for days, good in ((0.5, True), (2.0, False)):
        when = (datetime.now(UTC) + timedelta(days=days)).isoformat()
        if good:
            assert read(put("frozen_at", value=when), tmp_path).frozen_at.isoformat() == when
        else:
            with pytest.raises(FrozenError, match="in the future"):
                read(put("frozen_at", value=when), tmp_path)


def test_keys_of_a_later_version_are_let_be(tmp_path: Path):
    """A file that says more is read."""
    more = put("forecast", "new", value=[1])
    assert read({**more, "also_new": 1}, tmp_path).forecast["new"] == [1]


@pytest.mark.parametrize(
    ("text", "said"),
    [("[" * 100_000, "nested too deeply"), ('{"a": 1, "a": 2}', "'a' occurs twice")],
)
def test_odd_json_is_named(text: str, said: str, tmp_path: Path):
    """Too deep for a parser, or with a key twice."""
    path = tmp_path / "f.json"
    path.write_text(text, "utf-8")
    with pytest.raises(FrozenError, match=said):
        read_frozen(path)


FORGED_SCORES: dict[str, tuple[dict[str, Any], str]] = {
    "truth": ({"truth": 1.0}, "truth_p05, truth, truth_p95 are out of order"),
    "hit": ({"hit": False}, "whether it hit"),
    "pit": ({"pit": 0.99}, "its PIT is not"),
    "crps": ({"crps": -0.1}, "its crps is -0.1"),
    "too good": ({"crps": 90.0}, "CRPS of 90"),
    "sure": ({"log_score": 99.0}, "log score of 99"),
    "no crps": ({"crps": None}, "is scored, and has no crps"),
    "text": ({"p50": "2.1"}, "p50: Input should be a valid number"),
    "order": ({"p50": 9.0}, "p05, p50, p95 are out of order"),
    "status": ({"status": "sure"}, "status: Input should be"),
    "refused": ({"verdict": "refused"}, "its verdict is refused, and its status scored"),
    "date": ({"frozen_at": "2099-01-01T00:00:00+00:00"}, "lies in the future"),
    "hash": ({"sha256": "x"}, "its sha256 is not"),
    "key": ({"colour": "red"}, "'colour'"),
}


@pytest.mark.parametrize("name", FORGED_SCORES)
def test_a_score_that_contradicts_itself_is_named(name: str, tmp_path: Path):
    """One field is wrong, and the error says which, and in which line."""
    change, said = FORGED_SCORES[name]
    path = tmp_path / "t.jsonl"
    lines = (json.dumps(SCORE), forging.sealed({**SCORE, **change}, "line_sha256"))
    path.write_text("\n".join(lines), "utf-8")
    with pytest.raises(FrozenError, match="line 2") as caught:
        add_to_tally(path, ())
    assert said in str(caught.value)


def test_a_line_that_was_edited_is_named(tmp_path: Path):
    """By its digest, where the numbers by themselves are possible."""
    path = tmp_path / "t.jsonl"
    add_to_tally(path, [FrozenScore.from_dict(SCORE)])
    path.write_text(path.read_text("utf-8").replace("0.0472", "0.9472"), "utf-8")
    with pytest.raises(FrozenError, match="line 1 was edited after it was written"):
        add_to_tally(path, ())


@pytest.mark.parametrize("of", ["frozen", "tally"])
def test_ten_seconds_of_forgeries_end_in_named_errors(of: str, capsys: pytest.CaptureFixture[str]):
    """No traceback, and no number that differs; of damage alone, nothing at all that differs."""
    began, seed = time.monotonic(), 0
    total = collections.defaultdict[str, collections.Counter[str]](collections.Counter)
    while seed < 1 or time.monotonic() - began < 5:
        found = forging.fuzz(seed, 60, of=of)
        for kind, counts in found.items():
            total[kind].update(counts)
            changed = [end.partition(": ")[2].split(", ") for end in counts if ": " in end]
            fields = {name for names in changed for name in names}
            assert not fields or kind != "damaged", counts
            assert of == "tally" or not fields & NUMBERS, counts
        assert sum(found["well formed, one field wrong"].values()) >= 30
        seed += 1
    with capsys.disabled():
        for kind, counts in total.items():
            sys.stdout.write(f"\n{of}, {kind}: {counts.total()}; {dict(counts)}")
