"""`emergecast fit --update`: what new rows did to an older forecast."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import polars as pl
import pytest
from tests import designs
from tests.cli.flat import flat
from typer.testing import CliRunner

from emergecast.cli import app
from emergecast.forecasts import json_schema

QUICK = ("--law", "log-power", "--no-diagnostics", "--bootstrap", "0")
SEEN = designs.DENSE[::4]


def call(*words: object):
    """What the command does."""
    return CliRunner().invoke(app, [str(word) for word in words])


def write(path: Path, losses: tuple[float, ...], *, bump: bool = False, task: str = "quiz") -> Path:
    """A table with these checkpoints; `bump`: one score is another."""
    rows = designs.rows(losses=losses, amounts=(64, 512, 4096))
    named = [{**row, "checkpoint": f"at-{row['loss']:.3f}", "task": task} for row in rows]
    if bump:
        named[0]["score"] += 0.01
    pl.DataFrame(named, infer_schema_length=None).write_csv(path)
    return path


def fitted(table: Path, *words: object) -> dict[str, Any]:
    """The forecast as JSON."""
    done = call("fit", table, *QUICK, *words, "--json")
    assert done.exit_code == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    jsonschema.Draft202012Validator(json_schema()).validate(found)
    return found


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An older forecast as both kinds of file, and its table."""
    folder = tmp_path_factory.mktemp("old")
    table = write(folder / "seen.csv", SEEN)
    assert call("fit", table, *QUICK, "-o", folder).exit_code == 0
    words = ("--law", "log-power", "-o", folder / "frozen.json")
    assert call("freeze", table, *words).exit_code == 0
    return {
        "table": table,
        "forecast.json": folder / "forecast.json",
        "frozen": folder / "frozen.json",
    }


@pytest.mark.parametrize("kind", ["forecast.json", "frozen"])
def test_what_changed_is_counted_and_measured(old: dict[str, Path], tmp_path: Path, kind: str):
    """Rows by themselves, the move in widths of the old interval; from either kind of file."""
    table = write(tmp_path / "now.csv", (*SEEN[:-1], 2.02, 2.05), bump=True)  # noise goes by row
    before = json.loads(old["forecast.json"].read_text("utf-8"))
    found = fitted(table, "--update", old[kind])
    change = found["update"]
    assert change["rows_before"] == 4 * len(SEEN)
    assert change["rows_now"] == 4 * len(SEEN) + 4
    assert change["rows_added"] == 8 + 1
    assert change["rows_gone"] == 4 + 1
    was, now = before["elbow"], found["elbow"]
    assert change["interval_before"] == pytest.approx([was["p05"], was["p50"], was["p95"]])
    assert change["interval_now"] == [now["p05"], now["p50"], now["p95"]]
    assert change["moved"] == pytest.approx(now["p50"] - was["p50"])
    assert change["widths"] == pytest.approx(change["moved"] / (was["p95"] - was["p05"]))
    file = json.loads(old[kind].read_text("utf-8"))
    assert change["verdict_before"] == file.get("forecast", file)["verdict"]
    assert change["verdict_now"] == found["verdict"]


def test_the_same_table_changes_nothing(old: dict[str, Path]):
    """No row, no nat; in words too."""
    change = fitted(old["table"], "--update", old["frozen"])["update"]
    assert (change["rows_added"], change["rows_gone"]) == (0, 0)
    assert change["moved"] == pytest.approx(0, abs=1e-9)
    text = call("fit", old["table"], *QUICK, "--update", old["frozen"]).stdout
    assert f"Since {old['frozen']}\n  rows     28 -> 28: 0 added, 0 gone\n" in text
    assert "0.00 of the old interval's width" in text


def test_without_an_older_forecast_nothing_is_said(old: dict[str, Path]):
    """The JSON has no such key."""
    assert "update" not in fitted(old["table"])


def test_what_cannot_be_compared_is_named(old: dict[str, Path], tmp_path: Path):
    """Another task, no forecast, several fits."""
    other = write(tmp_path / "other.csv", SEEN, task="other")
    done = call("fit", other, *QUICK, "--update", old["frozen"])
    assert done.exit_code == 2
    assert "is a forecast of quiz / default in nats, and this is one of other" in flat(done.stderr)
    done = call("fit", old["table"], *QUICK, "--update", old["table"])
    assert done.exit_code == 2
    assert "is not JSON" in flat(done.stderr)
    both = tmp_path / "both.csv"
    pl.concat([pl.read_csv(old["table"]), pl.read_csv(other)]).write_csv(both)
    done = call("fit", both, *QUICK, "--update", old["frozen"])
    assert done.exit_code == 2
    assert "--update is for one forecast, and there are 2" in flat(done.stderr)
