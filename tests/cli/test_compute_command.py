"""The forecast in compute as a user asks for it: fit, demo, freeze."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import polars as pl
import pytest
from tests import designs
from tests.compute.test_compute import QUICK, estimated, measured, same_tokens, with_facts
from typer.testing import CliRunner

from emergecast.cli import app
from emergecast.forecasts import json_schema

PLAIN = ("--law", "log-power", "--bootstrap", "0")
BARE = "E=1.2,A=100,alpha=0.1,of=flops"
DATES = "date,flops\n2026-01-01,1e20\n2036-01-01,1e35\n"


def call(*arguments: object):
    """What the command does with these arguments."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write(rows: list[designs.Row], path: Path) -> Path:
    """The rows as a table in a file."""
    pl.DataFrame(rows, infer_schema_length=None).write_csv(path)
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Measured losses on a law of FLOPs."""
    return write(with_facts(designs.rows(**QUICK), measured), tmp_path / "t.csv")


def text_of(*arguments: object) -> str:
    """What is printed, lines joined; no line is too long."""
    result = call("fit", *arguments, *PLAIN)
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= 100
    return " ".join(result.stdout.split())


def record_of(*arguments: object) -> dict[str, Any]:
    """The JSON object, by the schema."""
    result = call("fit", *arguments, *PLAIN, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    jsonschema.Draft202012Validator(json_schema()).validate(found)
    return found


def test_compute_is_printed_after_the_distribution(table: Path):
    """Quantiles, the law with its floor, the allocation, and what other floors do."""
    text = text_of(table)
    assert text.index("few-shot elbow, nats") < text.index("training to get there 5% 25% 50%")
    assert "times c8 (" in text
    assert "a power of FLOPs with a floor, fitted to the 9 visible checkpoints" in text
    assert "20 tokens per parameter, as the strongest checkpoint of the fit" in text
    assert "Its priors: floor uniform from 0" in text
    assert "Median FLOPs under other floors of the law:" in text


def test_runs_that_are_asked_about(table: Path):
    """By model and by FLOPs, with suffixes; the same in JSON."""
    asked = ("--at-model", "7B,1.4T", "--at-flops", "1e24")
    found = record_of(table, *asked)["at_compute"]
    assert [each["flops"] for each in found] == [pytest.approx(5.88e22), 1e24]
    assert found[0]["params"] == 7e9
    assert all(0 <= each["emerged"] <= 1 for each in found)
    text = text_of(table, *asked)
    assert "A run of 5.88e22 FLOPs, 7.00B parameters, 1.40T tokens (loss" in text
    assert f"has emerged with probability {found[0]['emerged']:.3f}" in text


def test_a_run_that_the_law_says_nothing_of_is_told_and_costs_no_forecast(tmp_path: Path):
    """Another token budget: its line says why; the rest is there."""
    path = write(with_facts(designs.rows(**QUICK), same_tokens), tmp_path / "t.csv")
    text = text_of(path, "--at-model", "7B,300B")
    assert "the checkpoints all have 2e+12 tokens" in text
    found = record_of(path, "--at-model", "7B,300B")["at_compute"]
    assert found[0]["emerged"] is None
    assert "error" in found[0]


def test_dates(table: Path, tmp_path: Path):
    """In words and in JSON."""
    dates = tmp_path / "dates.csv"
    dates.write_text(DATES, "utf-8")
    found = record_of(table, "--compute-by-date", dates)["compute"]["dates"]
    assert found["p05"] < found["p50"]
    assert f"first possible on {found['p50']}" in text_of(table, "--compute-by-date", dates)


def test_estimated_losses_are_called_a_relabelling(tmp_path: Path):
    """Recognised without being told."""
    path = write(with_facts(designs.rows(**QUICK), estimated), tmp_path / "t.csv")
    record = record_of(path)
    assert record["compute"]["relabelling"] is True
    assert record["compute"]["law"]["name"] == "hoffmann"
    assert record["compute"]["allocation"]["tie"] == "compute_optimal"
    assert "this is the same forecast in other units" in text_of(path)


def test_a_loss_from_that_was_estimated_on_reading_is_recognised(tmp_path: Path):
    """`--loss-from epoch` on a table without losses."""
    rows = [
        {name: cell for name, cell in row.items() if not name.startswith("loss")}
        for row in with_facts(designs.rows(**QUICK), estimated)
    ]
    record = record_of(write(rows, tmp_path / "t.csv"), "--loss-from", "epoch")
    assert record["compute"]["law"]["name"] == "epoch"
    assert record["compute"]["relabelling"] is True


def test_without_compute_the_reason_is_printed(tmp_path: Path):
    """And null in JSON."""
    path = write(designs.rows(**QUICK), tmp_path / "t.csv")
    assert "Not in compute: the compute of only 0 of 9 checkpoints" in text_of(path)
    record = record_of(path)
    assert record["compute"] is None
    assert record["compute_reason"].startswith("the compute of only 0")


@pytest.mark.parametrize(
    ("options", "tie"),
    [
        (("--tokens-per-param", "25"), {"tie": "ratio", "value": 25.0}),
        (("--token-budget", "2T"), {"tie": "tokens", "value": 2e12}),
        (("--model-size", "70B"), {"tie": "params", "value": 7e10}),
        (("--compute-optimal", "--scaling-law", "epoch"), {"tie": "compute_optimal"}),
    ],
)
def test_allocations(table: Path, options: tuple[str, ...], tie: dict[str, Any]):
    """Each option is what the record says."""
    found = record_of(table, *options)["compute"]["allocation"]
    assert tie.items() <= found.items()


def test_a_law_from_a_file_brings_its_draws(table: Path, tmp_path: Path):
    """As `scaling fit` writes it: constants with draws, so it is not taken as certain."""
    law = {
        "of": "flops",
        "constants": {"E": 1.2, "A": 100.0, "alpha": 0.1},
        "draws": {"E": [1.2, 1.3], "A": [100.0, 90.0], "alpha": [0.1, 0.098]},
    }
    path = tmp_path / "law.json"
    path.write_text(json.dumps(law), "utf-8")
    found = record_of(table, "--scaling-law", path)["compute"]["law"]
    assert found["kind"] == "given"
    assert found["constants"]["alpha"]["p05"] < found["constants"]["alpha"]["p95"]
    assert "otherwise taken as certain" not in text_of(table, "--scaling-law", path)
    assert "otherwise taken as certain" in text_of(table, "--scaling-law", BARE)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--scaling-law", "hofmann"), 'there is no scaling law "hofmann"'),
        (("--scaling-law", "nowhere.json"), "nowhere.json"),
        (("--at-model", "70B"), "--at-model takes parameters and tokens"),
        (("--at-model", "70B,1T,3"), "--at-model takes parameters and tokens"),
        (("--at-model", "70B,x"), "--at-model 'x' is not an amount"),
        (("--at-flops", "0"), "not positive"),
        (("--token-budget", "1T", "--model-size", "7B"), "in 2 ways. Give one."),
        (("--no-anchor",), "--no-anchor is about a law that is given"),
        (("--compute-by-date", "nowhere.csv"), "nowhere.csv"),
    ],
)
def test_bad_options_end_before_anything_is_fitted(
    table: Path, options: tuple[str, ...], says: str
):
    """Exit status 2 and a message, as JSON where that was asked for."""
    result = call("fit", table, *options, "--json")
    assert result.exit_code == 2
    assert says in json.loads(result.stdout)["error"]
    assert "Traceback" not in result.output


def test_a_bad_table_of_dates_names_the_cell(table: Path, tmp_path: Path):
    """File, row and column, as problems in JSON."""
    dates = tmp_path / "dates.csv"
    dates.write_text("date,flops\n2026-01-01,much\n", "utf-8")
    result = call("fit", table, "--compute-by-date", dates, "--json")
    assert result.exit_code == 2
    problem = json.loads(result.stdout)["problems"][0]
    assert (problem["row"], problem["column"], problem["value"]) == (1, "flops", "much")


def test_the_picture_is_written_where_there_are_flops(table: Path, tmp_path: Path):
    """compute.svg and .png with them; none without."""
    out = tmp_path / "out"
    assert call("fit", table, *PLAIN, "-o", out).exit_code == 0
    assert {"compute.svg", "compute.png"} <= {path.name for path in out.iterdir()}
    bare = write(designs.rows(**QUICK), tmp_path / "bare.csv")
    assert call("fit", bare, *PLAIN, "-o", tmp_path / "none").exit_code == 0
    assert not (tmp_path / "none" / "compute.svg").exists()


def test_freeze_keeps_the_forecast_in_compute(table: Path, tmp_path: Path):
    """With the options it was asked with."""
    out = tmp_path / "f.json"
    result = call(
        "freeze", table, "--law", "log-power", "--tokens-per-param", "30", "-o", out, "--json"
    )
    assert result.exit_code == 0, result.output
    found = json.loads(out.read_text("utf-8"))["forecast"]["compute"]
    assert found["allocation"]["value"] == 30
    assert found["flops"]["p50"] > 0
