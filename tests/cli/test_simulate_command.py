"""The command that makes tables with a known truth."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from tests.cli.flat import flat
from typer.testing import CliRunner

from emergecast.cli import app
from emergecast.measurements import SelectOptions, read_table, select
from emergecast.simulation import (
    Departure,
    design_names,
    load_design,
    random_design,
    random_truth,
    simulate,
    truth_ahead,
)

PAGE = Path(__file__).parents[2] / "docs" / "simulation.md"


def call(*arguments: object):
    """What the command does with these arguments."""
    return CliRunner().invoke(app, ["simulate", *map(str, arguments)])


def test_the_table_and_its_truth_are_written(tmp_path: Path):
    """The table that Python gives for the seed, and beside it what it was drawn from."""
    out = tmp_path / "t.csv"
    done = call("--design", "small", "--seed", 4, "--departure", "ceiling", "-o", out)
    assert done.exit_code == 0, done.output
    rng = np.random.default_rng(4)
    wanted = simulate(load_design("small"), departure=Departure.CEILING, rng=rng)
    assert read_table(out).hash == wanted.table.hash
    record = json.loads((tmp_path / "t.truth.json").read_text())
    assert record["table_hash"] == wanted.table.hash
    assert record["estimand"] == wanted.estimand
    assert record["truth"]["elbow"] == 2.18
    assert record["departure"] == "ceiling"
    assert record["effects"]["ceiling"] == pytest.approx(0.3)
    assert (record["seed"], record["rows"], record["horizon"]) == (4, 77, 2.25)
    assert "8 present and 5 future checkpoints, seed 4" in done.output
    assert f"Estimand: {wanted.estimand:.4f} nats" in done.output
    assert "elbow 2.18, elbow_max 2.66" in done.output
    assert "--where future=false" in done.output


def test_values_of_the_truth_are_replaced(tmp_path: Path):
    """By name; the rest is the design's, or drawn at random where that is asked for."""
    out = tmp_path / "t.parquet"
    done = call(
        "--design", "rich", "--truth", "elbow=2.2", "--truth", "form=hill", "-o", out, "--json"
    )
    record = json.loads(done.stdout)
    assert record["truth"]["elbow"] == 2.2
    assert record["truth"]["form"] == "hill"
    assert record["truth"]["slope"] == 0.7
    assert record["estimand"] == pytest.approx(2.2)
    assert Path(record["table"]) == out
    assert json.loads(Path(record["sidecar"]).read_text()).items() <= record.items()
    assert record["truth"]["half"] == 1000
    changed = ("--truth", "random", "--truth", "tau=0.02")
    done = call("--design", "rich", *changed, "-o", out, "--json", "--force")
    drawn = json.loads(done.stdout)["truth"]
    wanted = random_truth(load_design("rich"), np.random.default_rng(0))
    assert (drawn["elbow"], drawn["tau"]) == (wanted.elbow, 0.02)


@pytest.mark.parametrize("there", ["t.csv", "t.truth.json"])
def test_what_is_there_is_overwritten_only_by_force(there: str, tmp_path: Path):
    """Neither the table nor the truth; and nothing else is written."""
    path = tmp_path / there
    path.write_text("mine")
    done = call("--design", "small", "-o", tmp_path / "t.csv")
    assert done.exit_code == 2
    assert "is there already" in flat(done.stderr)
    assert "--force" in flat(done.stderr)
    assert there in "".join(done.stderr.split())
    assert path.read_text() == "mine"
    assert [each.name for each in tmp_path.iterdir()] == [there]
    assert call("--design", "small", "-o", tmp_path / "t.csv", "--force").exit_code == 0
    assert path.read_text() != "mine"


def test_a_law_without_a_k_shows_none(tmp_path: Path):
    """Neither in the file nor in words."""
    done = call("--design", "small", "-o", tmp_path / "t.csv")
    assert "half" not in done.stdout
    assert "half" not in json.loads((tmp_path / "t.truth.json").read_text())["truth"]


def test_what_there_is_can_be_listed():
    """Every design and every departure, for people and for programs."""
    text, record = call("--list").stdout, json.loads(call("--list", "--json").stdout)
    assert list(record["designs"]) == [*design_names(), "random"]
    assert list(record["departures"]) == [*Departure]
    for name in (*design_names(), "random", *Departure):
        assert f"  {name} " in text


@pytest.mark.parametrize("ahead", [True, False])
def test_a_pool_like_real_ones_and_a_distance(tmp_path: Path, ahead: bool):  # noqa: FBT001
    """As Python draws it: design, and elbow ten times the FLOPs ahead or what is at chance."""
    out = tmp_path / "t.csv"
    asked = ("--ahead", 10, "--truth", "alpha=1") if ahead else ("--future-by-chance",)
    done = call("--design", "random", *asked, "--seed", 2, "-o", out)
    assert done.exit_code == 0, done.output
    rng = np.random.default_rng(2)
    design = random_design(rng)
    shape = dataclasses.replace(design.truth, alpha=1.0)
    truth = truth_ahead(design, 10, shape) if ahead else design.truth
    wanted = simulate(design, truth, future_by_chance=not ahead, rng=rng)
    assert read_table(out).hash == wanted.table.hash
    record = json.loads((tmp_path / "t.truth.json").read_text())
    assert (record["crossing"], record["future_by_chance"]) == (wanted.crossing, not ahead)
    assert record["truth"]["elbow"] == truth.elbow
    assert f"Crossing: {wanted.crossing:.4f} nats" in done.output
    kept = select(wanted.table, SelectOptions(pool=True, where=(("future", "false"),)))
    assert f"of {kept.rows.unique(['series', 'checkpoint']).height} present" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--design", "smal", "-o", "t.csv"), 'no design "smal". Did you mean "small"?'),
        (
            ("--design", "small", "--departure", "ceilling", "-o", "t.csv"),
            'no departure "ceilling". Did you mean "ceiling"?',
        ),
        (
            ("--design", "small", "--truth", "slop=1", "-o", "t.csv"),
            '--truth: there is no "slop". Did you mean "slope"?',
        ),
        (
            ("--design", "small", "--truth", "slope=x", "-o", "t.csv"),
            "slope must be a finite number, not 'x'",
        ),
        (("--design", "small", "--truth", "slope", "-o", "t.csv"), "--truth takes NAME=VALUE"),
        (("--design", "small", "-o", "t.txt"), "the extension .txt is not one of a table"),
        (("--design", "small"), "nothing says where to write the table. Give -o TABLE."),
        (("-o", "t.csv"), "nothing says what to simulate. Give --design NAME"),
        (
            ("--design", "small", "--departure", "series-offsets", "-o", "t.csv"),
            'the design "small" has one series',
        ),
        (
            ("--design", "small", "--ahead", "1e30", "-o", "t.csv"),
            "no checkpoint reaches 1e+30 times the FLOPs",
        ),
        (
            ("--design", "small", "--ahead", "2", "--future-by-chance", "-o", "t.csv"),
            "Leave one of them out.",
        ),
        (("--design", "small", "-o", "none/t.csv"), '"none/t.csv": No such file or directory'),
    ],
)
def test_bad_input_is_an_error_with_a_remedy(arguments, message, tmp_path: Path, monkeypatch):
    """Exit status 2, one sentence, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    done = call(*arguments)
    assert done.exit_code == 2
    assert message in flat(done.stderr)
    assert not list(tmp_path.iterdir())
    assert message in json.loads(call(*arguments, "--json").stdout)["error"]


def test_a_design_of_ones_own_without_later_checkpoints(tmp_path: Path):
    """A file works as a name does, and then there is nothing to hide."""
    (tmp_path / "mine.toml").write_text(
        'description = "mine"\ntask = "quiz"\nchance = 0.5\nn_items = 100\nexamples = [10, 100]\n'
        '[truth]\nform = "power"\nelbow = 1.9\nelbow_max = 2.3\nalpha = 0.3\nslope = 0.5\n'
        'tau = 0.01\n[[checkpoints]]\nname = "a"\nloss = [2.5, 2.3, 2.2, 2.1, 2.0]\n'
    )
    out = tmp_path / "t.jsonl"
    done = call("--design", tmp_path / "mine.toml", "-o", out, "--departure", "smooth-elbow")
    assert done.exit_code == 0, done.output
    assert "future=false" not in done.output
    assert "Estimand: none" in done.output
    assert len(read_table(out)) == 5 * 3


def test_what_the_documentation_shows_runs(tmp_path: Path, monkeypatch):
    """The commands and the Python of docs/simulation.md; every bundled name stands there."""
    monkeypatch.chdir(tmp_path)
    page = PAGE.read_text("utf-8")
    fence = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
    blocks = dict(fence.findall(page))
    lines = [shlex.split(line) for line in blocks["bash"].splitlines()]
    shown = [words[2:] for words in lines if words[:2] == ["emergecast", "simulate"]]
    assert len(shown) == 3
    for words in shown:
        assert call(*words).exit_code == 0
    assert json.loads((tmp_path / "table.truth.json").read_text())["truth"]["elbow"] == 2.2
    assert "future" in read_table("table.csv").frame.columns
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(blocks["python"], str(PAGE), "exec"), {})  # noqa: S102  our own file
    assert "Measurements from" in printed.getvalue()
    for name in (*design_names(), *Departure):
        assert name in page or name.removeprefix("openllama-v1") in page
