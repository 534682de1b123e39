"""`emergecast suggest`, as a user calls it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import polars as pl
import pytest
from tests import designs
from tests.cli.flat import flat
from typer.testing import CliRunner

from emergecast.cli import app

QUICK = ("--law", "log-power", "--most", "3")


def call(*arguments: object):
    """What the command does with these arguments."""
    return CliRunner().invoke(app, ["suggest", *(str(argument) for argument in arguments)])


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight checkpoints at chance, two amounts."""
    made = designs.rows(losses=designs.DENSE[9:24:2], amounts=(64, 1024), params=10**9)
    path = tmp_path_factory.mktemp("suggest") / "t.csv"
    pl.DataFrame(made, infer_schema_length=None).write_csv(path)
    return path


def test_it_prints_the_plan_with_reasons_and_costs(table: Path):
    """Runs numbered in order, each with a reason; then why it ends, and what hours rest on."""
    result = call(table, "--budget", 10, *QUICK)
    assert result.exit_code == 0, result.output
    text = " ".join(result.stdout.split())
    assert text.startswith("quiz: 3 runs worth making next")
    assert re.search(r"Few-shot elbow now, from 24 scores: \d\.\d{3} nats, 90% interval", text)
    for number in (1, 2, 3):
        assert re.search(rf" {number}\. c\d ", text)
    assert re.search(r"the elbow (there|at [\d,]+ examples) is known (only )?to [\d.]+ nats", text)
    assert "The plan holds 3 runs, the most that --most allows;" in text
    assert "at 2.5e+14 FLOP/s (a quarter of an H100; give --gpu-flops" in text


def test_as_json(table: Path):
    """One object: the plan and every candidate."""
    result = call(table, "--budget", 10, "--examples", "16,256", "--json", *QUICK)
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["budget"] == 10
    assert {each["examples"] for each in record["candidates"]} == {16, 256}
    assert len(record["runs"]) == 3
    assert record["cold_start"] is False


def test_candidates_of_a_file(table: Path, tmp_path: Path):
    """With hours of its own; a few-shot evaluation is a run too."""
    file = tmp_path / "runs.csv"
    file.write_text("checkpoint,examples,gpu_hours\nc7,16,2\nc6,256,1.5\nc7,0,0.5\n", "utf-8")
    result = call(table, "--budget", 4, "--candidates", file, *QUICK)
    assert result.exit_code == 0, result.output
    assert "GPU-hours are those of the file of candidates." in result.stdout


def test_files_and_picture(table: Path, tmp_path: Path):
    """suggestion.json, plan.csv, the picture twice."""
    result = call(table, "--budget", 10, "-o", tmp_path / "next", *QUICK)
    assert result.exit_code == 0, result.output
    names = {path.name for path in (tmp_path / "next").iterdir()}
    assert names == {"suggestion.json", "plan.csv", "suggestion.png", "suggestion.svg"}
    plan = pl.read_csv(tmp_path / "next" / "plan.csv")
    assert plan.height == 3
    assert "Wrote plan.csv, suggestion.json" in result.stdout


def test_nothing_to_suggest_has_a_status_of_its_own(table: Path):
    """3, as a refused forecast; the reason is printed."""
    result = call(table, "--budget", 0.001, *QUICK)
    assert result.exit_code == 3
    assert "No run is affordable: the cheapest takes" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--budget", 0), "the budget must be a number of GPU-hours above 0, not 0"),
        (("--budget", 1, "--examples", "16,many"), "--examples takes counts between commas"),
        (("--budget", 1, "--examples", "4"), "4 examples is planned, but the few-shot elbow"),
        (("--budget", 1, "--candidates", "nowhere.csv"), "nowhere.csv"),
        (("--budget", 1, "--epochs", 0), "cost: epochs must be above 0, not 0"),
        (("--budget", 1, "--task", "quizz"), 'Did you mean "quiz"?'),
    ],
)
def test_what_is_wrong_is_said_in_a_message(table: Path, arguments, says):
    """Exit status 2, no traceback; as JSON too."""
    result = call(table, *arguments, *QUICK)
    assert result.exit_code == 2
    assert says in flat(result.stderr)
    assert "Traceback" not in result.output
    as_json = call(table, *arguments, *QUICK, "--json")
    assert says in json.loads(as_json.stdout)["error"]


def test_a_bad_candidate_names_file_and_row(table: Path, tmp_path: Path):
    """All of them at once."""
    file = tmp_path / "runs.csv"
    file.write_text("checkpoint,examples\nc7,16\nc70,16\nc6,-2\n", "utf-8")
    result = call(table, "--budget", 4, "--candidates", file, *QUICK)
    assert result.exit_code == 2
    assert f"{file}, line 4, row 3, column examples: the examples is below 0. (value -2)" in flat(
        result.stderr
    )
