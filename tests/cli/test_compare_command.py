"""`emergecast compare`, as a user calls it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests import designs
from typer.testing import CliRunner

from emergecast.cli import app

QUICK = ("--law", "log-power")


def call(*arguments: object):
    """What the command does with these arguments."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write(path: Path, **columns: tuple[Any, Any]) -> Path:
    """Series a and b, whose elbows are at 1.85 and 1.97, with a value of their own per column."""
    made: list[Any] = []
    for i, (name, at) in enumerate((("a", 1.85), ("b", 1.97))):
        rows = designs.rows(
            losses=designs.DENSE[::3], amounts=(64, 512, 4096), at=partial(designs.elbow, at_d0=at)
        )
        extra = {column: values[i] for column, values in columns.items()}
        made += [
            {**row, "series": name, "params": 1000, "flops": row["loss"] ** -10 * 1e20, **extra}
            for row in rows
        ]
    pl.DataFrame(made, infer_schema_length=None).write_csv(path)
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two in a file."""
    return write(tmp_path_factory.mktemp("compare") / "t.csv")


@pytest.mark.parametrize(
    "series", [("--series", "a", "b"), ("--series", "a", "--series", "b"), ("a", "b")]
)
def test_two_series_may_follow_one_flag_or_two(table: Path, series: tuple[str, ...]):
    """In their order."""
    result = call("compare", table, "--task", "quiz", *series, *QUICK, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["series"] == ["a", "b"]
    assert found["at_equal_loss"]["probability"] < 0.1


def test_the_text_has_both_answers_both_verdicts_and_the_baseline(table: Path, tmp_path: Path):
    """And says where the pictures are."""
    out = tmp_path / "out"
    result = call("compare", table, "--series", "a", "b", *QUICK, "-o", out)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("quiz: b first at equal loss with probability")
    for text in (
        "a first at equal loss: prob",
        "a first at equal compute: prob",
        "arXiv 2504.11393",
        "Elbow of a minus elbow of b: -",
        "few-shot, 1,000 parameters",
    ):
        assert text in result.stdout
    assert {path.name for path in out.iterdir()} == {
        "comparison.json",
        *(
            f"comparison-{what}.{kind}"
            for what in ("fan", "distribution")
            for kind in ("svg", "png")
        ),
    }
    record = json.loads((out / "comparison.json").read_text("utf-8"))
    assert [f["series"] for f in record["forecasts"]] == ["a", "b"]


def test_different_tokenizers_are_the_first_thing_said(tmp_path: Path):
    """Right below the title, with the way out; --per-byte takes it."""
    table = write(tmp_path / "tok.csv", tokenizer=("x", "y"))
    result = call("compare", table, "--series", "a", "b", *QUICK)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert "at equal compute" in lines[0]
    assert lines[1].startswith("WARNING: The losses were measured with different tokenizers (x and")
    assert "a first at equal loss: not stated" in result.stdout
    result = call("compare", table, "--series", "a", "b", *QUICK, "--per-byte", "--json")
    assert json.loads(result.stdout)["at_equal_loss"]["probability"] is not None


def test_at_chance_only_says_what_was_hidden(tmp_path: Path):
    """Of each series, by name; nothing where nothing was asked for."""
    made: list[Any] = []
    for name, at in (("a", 2.5), ("b", 2.25)):
        rows = designs.rows(
            losses=designs.DENSE[::3], amounts=(64, 512, 4096), at=partial(designs.elbow, at_d0=at)
        )
        made += [{**row, "series": name, "params": 1000} for row in rows]
    path = tmp_path / "t.csv"
    pl.DataFrame(made, infer_schema_length=None).write_csv(path)
    quick = ("compare", path, "--series", "a", "b", *QUICK)
    text = " ".join(call(*quick, "--at-chance-only").stdout.split())
    first, second = json.loads(call(*quick, "--at-chance-only", "--json").stdout)["forecasts"]
    assert first["hidden"] != second["hidden"]
    for name, found in (("a", first), ("b", second)):
        assert f"{name}: {found['hidden'][0]} (loss" in text
        assert f"Hidden: {', '.join(found['hidden'])}." in text
    assert "hidden" not in call(*quick).stdout.lower()


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Series a, b and c of falling elbows, and d, which has one data amount and no forecast."""
    made: list[Any] = []
    for i, (name, at) in enumerate((("a", 2.2), ("b", 2.1), ("c", 1.9), ("d", 1.9))):
        amounts = (64,) if name == "d" else (64, 512, 4096)
        rows = designs.rows(
            losses=designs.DENSE[::3], amounts=amounts, at=partial(designs.elbow, at_d0=at), seed=i
        )
        made += [{**row, "series": name, "flops": row["loss"] ** -10 * 1e20} for row in rows]
    path = tmp_path_factory.mktemp("three") / "t.csv"
    pl.DataFrame(made, infer_schema_length=None).write_csv(path)
    return path


def test_more_than_two_series_come_in_their_order(three: Path, tmp_path: Path):
    """Both orders, every pair, who has no place, the baseline, and who was right by --truth."""
    out = tmp_path / "out"
    known = ("--truth", "a=2.2", "--truth", "b=2.1", "--truth", "c=1.9")
    result = call("compare", three, *known, *QUICK, "-o", out)
    assert result.exit_code == 0, result.output
    text, lines = result.stdout, result.stdout.splitlines()
    assert lines[0].startswith("quiz: a first of 3 placed at equal loss with probability")
    assert "4 series: " in lines[1]
    assert "1 refused" in lines[1]
    ranks = [line.split()[4] for line in lines if line[:3] in {" 1 ", " 2 ", " 3 "}]
    assert ranks == ["a", "b", "c"] * 2
    for words in (
        "At equal loss, the first to emerge on top",
        "At equal compute, the first to emerge on top",
        "Probability that the row emerges before the column",
        "d: the forecast is refused: There is 1 finetun",
        "arXiv 2504.11393",
        "finetuned on 4,096 examples, nearest in compute, the best first: a ",
        "- loss, nearest in compute",
    ):
        assert words in text
    (right,) = [line for line in lines if line.split()[:2] == ["loss", "forecast"]]
    assert right.split()[2:5] == ["3", "of", "3"]
    assert max(map(len, lines[:-1])) <= 100
    kinds = ("svg", "png")
    assert {path.name for path in out.iterdir()} == {
        "comparison.json",
        *(f"comparison-{what}.{kind}" for what in ("fan", "order-loss", "order-compute")
          for kind in kinds),
    }  # fmt: skip
    record = json.loads((out / "comparison.json").read_text("utf-8"))
    assert record["series"] == ["a", "b", "c", "d"]
    assert [each["series"] for each in record["order_at_equal_loss"]["placed"]] == ["a", "b", "c"]


def test_a_refused_forecast_is_status_3(tmp_path: Path):
    """With the text all the same."""
    path = write(tmp_path / "t.csv")
    frame = pl.read_csv(path).filter(
        (pl.col("series") == "a") | pl.col("examples").is_null() | (pl.col("examples") == 64)
    )
    frame.write_csv(path)
    result = call("compare", path, "--series", "a", "b", *QUICK)
    assert result.exit_code == 3
    assert "the forecast of b is refused" in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--series", "a"), "takes two series or more, not 1 (a)"),
        (("--series", "a", "a"), "cannot be compared with itself"),
        (("--series", "a", "c"), 'no row has the series "c"'),
        (("--series", "a", "b", "c"), 'no row has the series "c"'),
        (("--series", "a", "b", "--truth", "c=1.9"), 'there is no series "c"'),
        (("--series", "a", "b", "--truth", "a"), "--truth takes NAME=VALUE"),
        (("--series", "a", "b", "--task", "quzi"), 'no row has the task "quzi"'),
        (("--series", "a", "b", "--axis", "flopz"), "flopz"),
        (("--series", "a", "b", "--law", "no"), "no"),
        (("--series", "a", "b", "--threshold", "widht=1"), "there is no threshold"),
    ],
)
def test_bad_input_is_named(table: Path, arguments: tuple[str, ...], what: str):
    """With status 2 and a sentence."""
    result = call("compare", table, *arguments)
    assert result.exit_code == 2, result.output
    assert what in " ".join(result.stderr.split())
