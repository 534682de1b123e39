"""`emergecast fit --axis ... --shift ...`, as a user calls it."""

from __future__ import annotations

import json
import math
import re
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

QUICK = ("--bootstrap", "0", "--law", "log-power")
AT = ("--few-shot-examples", "0.00625")


def call(*arguments: object):
    """What `emergecast fit` does with these arguments."""
    return CliRunner().invoke(app, ["fit", *map(str, arguments), *QUICK])


def record_of(*arguments: object) -> dict[str, Any]:
    """The forecast as JSON, checked against the schema."""
    result = call(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    jsonschema.Draft202012Validator(json_schema()).validate(found)
    assert isinstance(found, dict)
    return found


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Log10 FLOPs are 26 - 2 loss; there is an index too, and a hint of examples / 5120."""
    rows = designs.rows(losses=designs.DENSE[::4], amounts=(64, 512, 4096))
    for row in rows:
        row["flops"] = 10.0 ** (26.0 - 2.0 * row["loss"])
        row["index"] = 7.0 - row["loss"]
        row["hint"] = (row["examples"] or 0) / 5120
    path = tmp_path / "t.csv"
    pl.DataFrame(rows, infer_schema_length=None).write_csv(path)
    return path


@pytest.fixture
def hints(tmp_path: Path) -> Path:
    """Hints alone: few-shot rows throughout, which differ in nothing else, and no loss."""
    rows = designs.rows(losses=designs.DENSE[::4], amounts=(64, 512, 4096))
    for row in rows:
        row["hint"] = (row["examples"] or 0) / 5120
        row["index"] = -row["loss"]
        row |= {"setting": "few_shot", "shots": 5, "examples": None}
        del row["loss"]
    path = tmp_path / "hints.csv"
    pl.DataFrame(rows, infer_schema_length=None).write_csv(path)
    return path


def test_every_number_is_on_the_axis(table: Path):
    """Headline, table, expectation, basis: log10 FLOPs, and no loss in nats among the numbers."""
    result = call(table, "--axis", "flops", "--at-loss", "22.5", "--score", "0.3")
    assert result.exit_code == 0, result.stderr
    text, lines = result.stdout, result.stdout.splitlines()
    elbow = record_of(table, "--axis", "flops")["elbow"]
    assert lines[0].endswith(f"few-shot emergence at {elbow['p50']:.2f} log10 FLOPs")
    assert lines[1] == (
        f"90% interval {elbow['p05']:.3f} to {elbow['p95']:.3f} log10 FLOPs"
        " (the higher value is the later emergence)"
    )
    assert 21.5 < elbow["p05"] < elbow["p25"] < elbow["p50"] < elbow["p95"] < 22.5
    assert "few-shot elbow, log10 FLOPs " in text
    assert "A model of log10 FLOPs 22.5 has emerged with probability 1.000" in text
    assert "log10 FLOPs 20.000 to 22.000" in text
    assert "Axis: log10 FLOPs, higher is stronger; one nat" in text
    assert "as 2 log10 FLOPs" in text
    name = "posterior".ljust(len("few-shot elbow, log10 FLOPs"))
    assert f"{name}{elbow['p05']:>8.3f}{elbow['p25']:>8.3f}{elbow['p50']:>8.3f}" in text
    assert max(map(len, lines[:2])) <= 100


def test_emerged_grows_with_compute(table: Path):
    """Three probabilities of models, weakest first."""
    line = next(
        line
        for line in call(table, "--axis", "flops").stdout.splitlines()
        if line.startswith("Probability that a model of a given log10 FLOPs has emerged")
    )
    values = [float(part.rstrip(",.")) for part in line.split() if part.startswith("2")]
    assert len(values) == 3
    assert values == sorted(values)
    assert "10% at" in line.split(":")[1].split(",")[0]


def test_json_says_which_axis_and_which_shift(table: Path):
    """Name, unit, orientation and transform; by default loss and examples."""
    plain = record_of(table)
    assert plain["axis"] == {
        "name": "loss", "unit": "nats", "higher_is_stronger": False, "transform": "linear",
        "per_nat": 1.0,
    }  # fmt: skip
    assert plain["shift"] == {
        "name": "examples", "unit": "examples", "transform": "linear", "scale": 1.0,
    }  # fmt: skip
    found = record_of(table, "--axis", "flops", "--shift", "hint", *AT, "--at-loss", 22.2)
    assert found["axis"] | {"per_nat": 2} == {
        "name": "flops", "unit": "log10 FLOPs", "higher_is_stronger": True, "transform": "log10",
        "per_nat": 2,
    }  # fmt: skip
    assert found["axis"]["per_nat"] == pytest.approx(2.0)
    assert found["shift"]["name"] == "hint"
    assert found["shift"]["scale"] == pytest.approx(800)
    assert found["few_shot_examples"] == pytest.approx(0.00625)
    assert found["at_loss"][0]["loss"] == 22.2


def test_a_scale_of_examples_gives_the_plain_forecast(table: Path):
    """Hint times 5120 are the examples again, and D0 is asked for in hints."""
    plain = record_of(table, "--few-shot-examples", "8")
    found = record_of(table, "--shift", "hint:x5120", "--few-shot-examples", 8 / 5120)
    assert found["elbow"] == pytest.approx(plain["elbow"], abs=1e-9)
    assert found["few_shot_examples"] * 5120 == pytest.approx(8)
    other = record_of(table, "--few-shot-examples", "5")
    assert other["elbow"]["p50"] < plain["elbow"]["p50"] - 0.01


def test_hints_without_finetuning_and_without_loss(hints: Path):
    """The rows differ in the hint alone; amounts are printed in its unit."""
    arguments = (hints, "--axis", "index", "--shift", "hint", *AT, "--at-loss", "-1.9")
    result = call(*arguments)
    assert result.exit_code == 0, result.stderr
    assert "shifted by hint" in " ".join(result.stdout.split())
    assert "0.0125, 0.1, 0.8" in result.stdout
    assert "D0 = 0.00625 hint" in result.stdout
    assert "A model of index -1.9 has emerged" in result.stdout
    assert record_of(*arguments)["elbow"]["p95"] < 0


def test_pictures_are_drawn_on_the_axis(table: Path, tmp_path: Path):
    """Titles, the legend and the order of the quantiles, from left to right."""
    out = tmp_path / "out"
    result = call(table, "--axis", "index", "--shift", "hint", *AT, "-o", out)
    assert result.exit_code == 0, result.stderr
    fan = (out / "fan.svg").read_text()
    assert "index (stronger models to the right)" in fan
    assert ">hint<" in fan
    assert "nats" not in fan
    spread = (out / "distribution.svg").read_text()
    assert "of this index has emerged" in spread
    assert "at 0.00625 hint" in spread
    left, right = (spread.rindex("translate(", 0, spread.index(f">{p} ")) for p in ("p05", "p95"))
    places = [float(spread[at + 10 :].split(",")[0]) for at in (left, right)]
    assert places == sorted(places)


def test_several_tasks_name_the_axis_once(table: Path, tmp_path: Path):
    """The heading of the summary says what its numbers are."""
    frame = pl.read_csv(table)
    two = tmp_path / "two.csv"
    pl.concat([frame, frame.with_columns(task=pl.lit("other"))]).write_csv(two)
    lines = call(two, "--axis", "flops").stdout.splitlines()
    assert lines[0].endswith("95%  log10 FLOPs")
    assert len([line for line in lines if " 22." in line]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--axis", "nosuch"),
            "There are: params, tokens, flops, lr_fraction, loss, shots, examples",
        ),
        (("--axis", "flop"), 'there is no column "flop". Did you mean "flops"'),
        (("--axis", "flops:big"), 'not "big"'),
        (("--axis", "task"), "which is not a number"),
        (("--axis", "chance"), "every checkpoint has the same chance (0.250)"),
        (("--axis", "params"), "have no params"),
        (("--axis", "index", "--min-loss", "99"), "index lies between 4 and 5"),
        (("--shift", "hnt"), 'there is no column "hnt". Did you mean "hint"'),
        (("--shift", "hint", "--few-shot-examples", "0.5"), "at most the smallest amount"),
        (("--shift", "hint"), "which hint is like few-shot? Say where"),
        (("--at-loss", "-1"), "--at-loss takes a loss above 0"),
    ],
)
def test_bad_input_is_status_2_with_a_remedy(table: Path, arguments: tuple[str, ...], message: str):
    """In one line on standard error, and nothing on standard output."""
    result = call(table, *arguments)
    assert result.exit_code == 2
    assert message in flat(result.stderr)
    assert result.stdout == ""


def test_numbers_without_a_logarithm_are_problems_of_rows(table: Path):
    """By row and column, in words and as JSON."""
    frame = pl.read_csv(table).with_columns(
        index=pl.when(pl.col("checkpoint") == "c2").then(-1.0).otherwise("index")
    )
    frame.write_csv(table)
    result = call(table, "--axis", "index:log10", "--json")
    assert result.exit_code == 2
    problems = json.loads(result.stdout)["problems"]
    assert [(p["row"], p["column"], p["value"]) for p in problems] == [
        (row, "index", "-1.0") for row in (9, 10, 11, 12)
    ]


@pytest.mark.parametrize("name", ["nosuch", "scores", "stderrs", "chances", "n_item"])
def test_what_belongs_to_one_score_is_never_suggested(table: Path, name: str):
    """Neither as an axis nor as a shift."""
    for option in ("--axis", "--shift"):
        said = call(table, option, name).stderr
        names = set(re.findall(r"\w+", said.partition('column "' + name)[2]))
        assert not names & {"score", "stderr", "chance", "n_items", "loss_stderr"}


def rl_steps(tmp_path: Path) -> Path:
    """Seven checkpoints whose elbow moves with steps of reinforcement learning."""
    lines = ["checkpoint,loss,task,setting,rl_steps,score,n_items,chance"]
    for i in range(7):
        loss = 3.1 - 0.17 * i
        for steps in (0, 50, 200, 800, 3200):
            elbow = 2.0 if steps == 0 else 2.05 + 0.16 * math.log10(steps)
            score = 0.45 * max(elbow - loss, 0.0) + 0.004 * ((i + steps) % 3)
            setting = "finetuned" if steps else "few_shot"
            lines.append(f"m{i},{loss:.3f},code,{setting},{steps},{score:.4f},500,0")
    path = tmp_path / "rl.csv"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def test_every_amount_of_another_shift_is_in_its_own_unit(tmp_path: Path):
    """D0, the sensitivity to it, and what to measure next: 5 of it count as one example inside."""
    result = call(rl_steps(tmp_path), "--shift", "rl_steps", "--few-shot-examples", "25")
    assert result.exit_code == 0, result.stderr
    text = " ".join(result.stdout.split())
    assert "D0 = 25 rl_steps" in text
    assert "read off at D0 = 5 rl_steps" in text
    assert "read off at D0 = 50 rl_steps" in text
    assert " examples" not in text.split("few-shot elbow,")[0]
    assert re.search(r"\) at about [\d,]+ (and [\d,]+ )?rl_steps, with repeats", text)


def test_a_misspelt_shift_is_not_a_table_of_duplicates(tmp_path: Path):
    """The option is wrong, not the rows; and a table without examples is told of the option."""
    table = rl_steps(tmp_path)
    result = call(table, "--shift", "rl_step")
    assert result.exit_code == 2
    assert 'there is no column "rl_step". Did you mean "rl_steps"?' in flat(result.stderr)
    assert "measures the same" not in result.stderr
    assert "--shift" in flat(call(table).stderr)
