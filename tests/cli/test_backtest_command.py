"""`emergecast backtest`, as a user calls it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests import designs
from typer.testing import CliRunner

from emergecast.backtests import BacktestRow
from emergecast.cli import app

QUICK = ("--law", "log-power")


def call(*arguments: object):
    """What the command does with these arguments."""
    return CliRunner().invoke(app, ["backtest", *(str(argument) for argument in arguments)])


def write(rows: list[designs.Row], path: Path) -> Path:
    """The rows as a table in a file."""
    pl.DataFrame(rows, infer_schema_length=None).write_csv(path)
    return path


def rows_of(**more: Any) -> list[designs.Row]:
    """A table in which few-shot emergence happens at 2.28 nats, before its end."""
    return designs.rows(
        losses=designs.DENSE[::2],
        amounts=(16, 64, 512, 4096),
        at=lambda examples: designs.elbow(examples, at_d0=2.28),
        **more,
    )


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """That table in a file."""
    return write(rows_of(), tmp_path / "t.csv")


@pytest.fixture
def early(tmp_path: Path) -> Path:
    """The same with too few amounts for any number: every forecast is quickly refused."""
    rows = [row for row in rows_of() if row["examples"] not in {16, 4096}]
    return write(rows, tmp_path / "early.csv")


def test_it_prints_ladder_and_skill(table: Path):
    """Truth first, then every forecaster on every rung, then skill in numbers."""
    result = call(table, "--ladder", "--rungs", 1, *QUICK)
    assert result.exit_code == 0, result.output
    text = result.stdout
    assert text.startswith("BACKTEST  quiz (default)\nTruth: the few-shot elbow")
    for name in ("forecast", "no-change", "prior", "line", "sigmoid", "two-step"):
        assert f"\n  {name} " in text
    assert "over no-change" in text
    assert "Design" not in text
    assert max(map(len, text.splitlines())) <= 100


def test_the_other_parts_name_what_is_not_possible(early: Path):
    """Nineteen designs, refused or impossible ones with one reason for all that share it."""
    result = call(early, "--ablations", "--d0", *QUICK)
    assert result.exit_code == 0, result.output
    text = result.stdout
    assert "Design" in text
    assert "Ladder" not in text
    assert "first data subset only; second data subset only: Not possible" in " ".join(text.split())
    assert "\nablations            19          0         13" in text
    assert max(map(len, text.splitlines())) <= 120


def test_json_is_one_object(table: Path):
    """With every row, and nothing else on standard output."""
    result = call(table, "--ladder", "--horizon", 2.4, "--json", *QUICK)
    assert result.exit_code == 0, result.output

    def refuse(name: str) -> None:
        raise AssertionError(name)

    found = json.loads(result.stdout, parse_constant=refuse)
    assert found["task"] == "quiz"
    assert [row["forecaster"] for row in found["rows"]][:3] == ["forecast", "no-change", "prior"]
    assert set(found["rows"][0]) == set(BacktestRow.__slots__)
    assert found["truth"]["loss"] == pytest.approx(2.28, abs=0.02)
    assert {each["against"] for each in found["skill"]} == {"no-change", "cut-prior", "prior"}


def test_a_folder_gets_records_and_pictures(early: Path, tmp_path: Path):
    """backtest.json, backtest.csv, and the pictures of the parts that were run."""
    out = tmp_path / "new" / "out"
    result = call(early, "--ladder", "--d0", "--rungs", 1, "-o", out, *QUICK)
    assert result.exit_code == 0, result.output
    names = sorted(path.name for path in out.iterdir())
    assert names == [
        *("ablations.png", "ablations.svg", "backtest.csv", "backtest.json"),
        *("ladder.png", "ladder.svg"),
    ]
    rows = json.loads((out / "backtest.json").read_text("utf-8"))["rows"]
    frame = pl.read_csv(out / "backtest.csv")
    assert frame.columns == list(BacktestRow.__slots__)
    assert frame["p50"].drop_nulls().len() >= 2
    assert frame["p50"].to_list() == [row["p50"] for row in rows]
    assert f"to {out}" in result.stdout


def test_several_series_run_one_by_one(tmp_path: Path):
    """One that cannot be tested does not stop the other; --pool takes them as one."""
    good = rows_of(series="good")
    bad = designs.rows(losses=designs.DENSE[::6], amounts=(64, 512, 4096), series="bad")
    path = write([*good, *bad], tmp_path / "t.csv")
    quick = ("--ladder", "--horizon", 2.8, *QUICK)
    result = call(path, *quick, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "quiz / bad: no backtest. no checkpoint of task 'quiz' is above" in result.stdout
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["quiz---good"]
    both = json.loads(call(path, *quick, "--json").stdout)["backtests"]
    assert [set(each) == {"name", "error"} for each in both] == [True, False]
    pooled = json.loads(call(path, *quick, "--pool", "--json").stdout)
    assert pooled["series"] == ["bad", "good"]


def test_a_horizon_of_one_series_does_not_stop_the_other(tmp_path: Path):
    """The one it lets the answer through for is told; an option bad for all is one error."""
    late = rows_of(series="late")
    soon = [{**row, "loss": row["loss"] + 0.4, "series": "soon"} for row in rows_of()]
    path = write([*late, *soon], tmp_path / "t.csv")
    result = call(path, "--ladder", "--horizon", 2.5, *QUICK)
    assert result.exit_code == 0, result.output
    assert "quiz / soon: no backtest. --horizon 2.5 keeps" in " ".join(result.stdout.split())
    assert "BACKTEST  quiz (late)" in result.stdout
    result = call(path, "--ladder", "--law", "cubic")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no law 'cubic'" in result.stderr


def test_a_baseline_that_is_not_defined_says_why_once(table: Path):
    """Below the ladder, with the number of rungs."""
    text = call(table, "--ladder", "--rungs", 2, *QUICK).stdout
    for name in ("two-step", "line"):
        found = re.findall(rf"^{name} is not defined on \d of 2 rungs\. loss", text, re.MULTILINE)
        assert len(found) == 1
    assert "two-step is not defined on 2 of 2 rungs" in text
    reason = "There is no continuous metric of this task"
    assert " ".join(text.split()).count(reason) == 1


def test_nothing_to_hide_is_an_error(tmp_path: Path):
    """Exit status 2, and a message that says what to add; as JSON where asked for."""
    path = write(designs.rows(losses=designs.DENSE[::4]), tmp_path / "t.csv")
    result = call(path, "--json")
    assert result.exit_code == 2
    assert "nothing to hide" in json.loads(result.stdout)["error"]
    assert "emergecast: no checkpoint of task 'quiz' is above chance few-shot" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--law", "cubic"), "no law 'cubic'"),
        (("--task", "other"), 'no row has the task "other"'),
        (("--prior", "elbow=1"), "no prior 'elbow'"),
        (("--threshold", "width"), "takes NAME=VALUE"),
        (("--horizon", "-1"), "a horizon is a loss above 0"),
        (("--horizon", "2.0"), "the horizon of task 'quiz', series default is"),
        (("--horizon", "9"), "keeps no checkpoint"),
        (("--where", "flavour=x"), 'no column "flavour"'),
    ],
)
def test_bad_options_are_errors(table: Path, arguments: tuple[str, ...], says: str):
    """Exit status 2, with what was seen."""
    result = call(table, *arguments)
    assert result.exit_code == 2
    assert says in result.stderr


def test_help_has_an_example():
    """And names every part."""
    result = CliRunner().invoke(app, ["backtest", "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    for word in ("Example", "--ladder", "--ablations", "--laws", "--d0", "--horizon", "--rungs"):
        assert word in result.output
