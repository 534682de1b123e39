"""The command that fits a scaling law to a table of runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.cli.flat import flat
from typer.testing import CliRunner

from emergecast.cli import app
from emergecast.scaling import CHINCHILLA_LAWS, read_law

FAST = ("--bootstrap", "40", "--starts", "16")


def call(*arguments: object):
    """What the command does with these arguments."""
    return CliRunner().invoke(app, ["scaling", "fit", *map(str, arguments)])


def table(folder: Path, **more: Any) -> Path:
    """60 noisy runs of Epoch's law, three of them ten per cent off."""
    rng = np.random.default_rng(0)
    params = np.exp(rng.uniform(18, 24, 60))
    tokens = params * np.exp(rng.uniform(1, 5, 60))
    loss = CHINCHILLA_LAWS["epoch"].loss(params, tokens) * np.exp(0.003 * rng.normal(size=60))
    loss[[4, 5, 6]] *= 1.1
    path = folder / "runs.csv"
    pl.DataFrame({"size": params, "tokens": tokens, "loss": loss, **more}).write_csv(path)
    return path


def test_the_constants_are_printed_with_both_errors(tmp_path: Path):
    """And what the search found, the outliers, the split of compute, and what it rests on."""
    done = call(table(tmp_path), "--columns", "params=size", "--drop-highest", 2, *FAST)
    assert done.exit_code == 0, done.output
    text = " ".join(done.stdout.split())
    assert "L(N, D) = E + A / N^alpha + B / D^beta" in text
    for name in ("E", "A", "B", "alpha", "beta"):
        line = next(line for line in done.stdout.splitlines() if line.startswith(f"{name} "))
        assert len(line.split()) == 7
    for words in (
        "bootstrap se", "curvature se", "standard deviation of 40 refits to resampled points",
        "Compute-optimal: N ~ C^a, D ~ C^b", "tokens per parameter",
        "Of 16 searches from other exponents 16 ended at this optimum", "Condition number",
        "row 5: loss", "row 6: loss", "row 7: loss", "They count all the same",
        "Rests on 58 points", "the 2 of highest loss: rows", "(from the two others, 6 N D)",
        "independent",
    ):  # fmt: skip
        assert words in text


def test_json_gives_every_constant_by_name_with_its_errors(tmp_path: Path):
    """One object, the same as the file, from which the law is read back."""
    out = tmp_path / "law"
    done = call(table(tmp_path), "--columns", "params=size", *FAST, "-o", out, "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record == json.loads((out / "scaling.json").read_text())
    assert list(record["constants"]) == ["E", "A", "B", "alpha", "beta"]
    for constant in record["constants"].values():
        assert constant["value"] > 0
        assert constant["stderr_bootstrap"] > 0
        assert constant["stderr_curvature"] > 0
    assert record["kind"] == "chinchilla"
    assert (record["n"], record["status"], record["of"]) == (60, "converged", None)
    assert {each["row"] for each in record["outliers"]} >= {5, 6, 7}
    assert {path.name for path in out.iterdir()} == {"scaling.json", "scaling.svg", "scaling.png"}
    law, draws = read_law(out / "scaling.json")
    assert law.floor_nats == record["constants"]["E"]["value"]
    assert draws is not None
    assert np.shape(draws.floor_nats) == (400,)


def test_what_fit_wrote_is_what_convert_reads(tmp_path: Path):
    """A loss becomes a run, with an interval from the draws."""
    assert call(table(tmp_path), "--columns", "params=size", *FAST, "-o", tmp_path).exit_code == 0
    words = ["scaling", "convert", "--loss", "2.2", "--law", str(tmp_path / "scaling.json")]
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["interval"]["flops"]["p05"] < found["flops"] < found["interval"]["flops"]["p95"]


@pytest.mark.parametrize(("law", "names"), [("tokens", "E A alpha"), ("flops", "E A alpha")])
def test_a_law_of_one_resource(law, names, tmp_path: Path):
    """Asked for by name; the picture then has that axis."""
    done = call(table(tmp_path), "--columns", "params=size", "--law", law, *FAST, "--json")
    record = json.loads(done.stdout)
    assert (record["kind"], record["of"]) == ("power", law)
    assert " ".join(record["constants"]) == names
    head = call(table(tmp_path), "--columns", "params=size", "--law", law, *FAST).stdout
    symbol = {"tokens": "D training tokens", "flops": "C training FLOPs"}[law]
    assert head.splitlines()[0].endswith(f"  ({symbol}, L in nats per token)")
    assert record["optimal"] is None
    written = call(table(tmp_path), "--columns", "params=size", "--law", law, *FAST, "-o", tmp_path)
    assert written.exit_code == 0
    assert {"params": "parameters", "tokens": "training tokens", "flops": "training FLOPs"}[
        law
    ] in (tmp_path / "scaling.svg").read_text()


@pytest.mark.parametrize(
    ("law", "rests"),
    [
        ("chinchilla", "rests on params and tokens, not on flops"),
        ("flops", "rests on flops as the table counts them"),
        ("params", None),
    ],
)
def test_flops_that_are_not_6_n_d_are_warned_of(law, rests, tmp_path: Path):
    """With their ratio to it, in text and JSON; not where they are close to it, or not used."""
    words = ("--columns", "params=size", "--law", law, *FAST)
    path = table(tmp_path)
    rows = pl.read_csv(path)
    for factor, warned in ((2.0, rests is not None), (6.0 * 1.24, False), (6.0 * 0.76, False)):
        rows.with_columns(flops=factor * pl.col("size") * pl.col("tokens")).write_csv(path)
        found = json.loads(call(path, *words, "--json").stdout)["warnings"]
        found = [each for each in found if "times 6 N D (median)" in each]
        assert len(found) == warned
        if found:
            assert "are 0.333 times" in found[0]
            assert rests in found[0]
            assert "counts FLOPs as 6 N D" in found[0]
            assert "0.333 times 6 N D" in " ".join(call(path, *words).stdout.split())


def test_a_fixed_floor_and_none(tmp_path: Path):
    """Held where it is said to be, and marked as fixed."""
    path = table(tmp_path)
    for words, floor in ((("--floor", "1.7"), 1.7), (("--no-floor",), 0.0)):
        done = call(path, "--columns", "params=size", *words, *FAST, "--json")
        constant = json.loads(done.stdout)["constants"]["E"]
        assert (constant["value"], constant["fixed"]) == (floor, True)
        assert constant["stderr_bootstrap"] is None
    assert "fixed" in call(path, "--columns", "params=size", "--floor", "1.7", *FAST).stdout


def test_errors_by_run_and_a_seed(tmp_path: Path):
    """Where there is a column run; the same seed gives the same errors."""
    path = table(tmp_path, run=[i // 3 for i in range(60)], name=["a"] * 30 + ["b"] * 30)
    words = (path, "--columns", "params=size", "--where", "name=a", *FAST, "--json")
    one, two, other = (
        json.loads(call(*words, "--seed", seed).stdout)["constants"]["E"]["stderr_bootstrap"]
        for seed in (1, 1, 2)
    )
    assert one == two != other
    record = json.loads(call(*words).stdout)
    assert record["bootstrap"]["by"] == "run"
    assert (record["n"], record["runs"]) == (30, 10)
    assert "resampled runs" in call(*words[:-1]).stdout


def test_without_a_bootstrap(tmp_path: Path):
    """The curvature alone, and the text says so."""
    done = call(table(tmp_path), "--columns", "params=size", "--bootstrap", 0)
    assert done.exit_code == 0
    assert "No bootstrap" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--columns", "params=size", "--law", "chinchila"), 'no law "chinchila" to fit'),
        (("--columns", "size"), "--columns takes NAME=VALUE"),
        (("--columns", "params=Size"), 'no column "Size" for the params. Did you mean "size"'),
        (("--columns", "params=size", "--floor", "1", "--no-floor"), "exclude each other"),
        (("--columns", "params=size", "--floor", "9"), "not below the lowest loss"),
        (("--columns", "params=size", "--delta", "0"), "delta must be a finite number above 0"),
        (("--columns", "params=size", "--drop-highest", "57"), "3 points for 5 constants"),
        (("--columns", "params=size", "--where", "size=1"), 'no row left has size "1"'),
        (("--law", "params"), "has no params"),
    ],
)
def test_bad_input_is_an_error_with_a_remedy(words, message, tmp_path: Path):
    """Exit status 2 and one sentence, as JSON where that is asked for."""
    path = table(tmp_path)
    done = call(path, *words, *FAST)
    assert done.exit_code == 2
    assert message in flat(done.stderr)
    assert message in json.loads(call(path, *words, *FAST, "--json").stdout)["error"]


def test_a_missing_file_and_a_bad_cell(tmp_path: Path):
    """Named with file, row and column."""
    done = call(tmp_path / "none.csv")
    assert done.exit_code == 2
    assert "there is no such file" in flat(done.stderr)
    path = tmp_path / "runs.csv"
    path.write_text("params,loss\n1e8,3\n-1e8,2.5\n")
    done = call(path, "--json")
    problem = json.loads(done.stdout)["problems"][0]
    assert (problem["row"], problem["column"], problem["value"]) == (2, "params", "-1e8")
