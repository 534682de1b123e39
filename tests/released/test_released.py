"""What earlier versions wrote is still read, and says the same."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

import emergecast
from emergecast.cli import app
from emergecast.forecasts import json_schema
from emergecast.track_record import read_frozen

RELEASED = Path(__file__).parent / "v0.1.0"
EXPERIMENTS = ("smoke", "rehearsal")


def command(*words: object) -> str:
    """What a command prints; it ends well."""
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def read(name: str) -> Any:
    """One of the JSON files."""
    return json.loads((RELEASED / name).read_text("utf-8"))


def assert_same(new: Any, old: Any) -> None:
    """Every key and value of the old one, numbers to 12 digits."""
    if isinstance(old, dict):
        for key, value in old.items():
            assert_same(new[key], value)
    elif isinstance(old, list):
        assert len(new) == len(old)
        for one, other in zip(new, old, strict=True):
            assert_same(one, other)
    elif isinstance(old, float):
        assert new == pytest.approx(old, rel=1e-12)
    else:
        assert new == old


def lab(name: str, folder: Path) -> Path:
    """The experiment file of this name in a folder with its ledger; its models exist no more."""
    file = Path(shutil.copy(RELEASED / f"{name}.yaml", folder))
    (folder / "results").mkdir()
    shutil.copy(RELEASED / f"{name}.sqlite", folder / "results" / "ledger.sqlite")
    return file


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_a_table_of_every_format_is_read_as_the_same_table(suffix: str):
    """The hash that the old version printed is the hash of the cells as they are read now."""
    table = emergecast.read_table(RELEASED / f"table.{suffix}")
    assert table.to_polars().height == 77
    assert table.hash == read("forecast.json")["table_hash"]


def test_a_table_is_described_in_the_same_words(monkeypatch: pytest.MonkeyPatch):
    """The counts, ranges and grid of `check`, to the letter."""
    monkeypatch.chdir(RELEASED)
    assert command("check", "table.csv") == (RELEASED / "check.txt").read_text("utf-8")


def test_a_written_forecast_fits_the_schema_of_today():
    """What it holds is described as it is; later versions only add keys, which it lacks."""
    problems = jsonschema.Draft202012Validator(json_schema()).iter_errors(read("forecast.json"))
    lacking = [each.message for each in problems]
    added = (
        "overridden",
        "at_loss",
        "at_compute",
        "observed",
        "rows",
        "distribution",
        "lines",
        "command",
        "invented",
    )
    assert set(lacking) == {f"'{name}' is a required property" for name in added}


def test_a_frozen_forecast_has_the_distribution_it_was_frozen_with():
    """It is not refused as edited, and its quantiles are those of that day (9 digits are kept)."""
    frozen, elbow = read_frozen(RELEASED / "frozen.json"), read("forecast.json")["elbow"]
    names = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}
    found = frozen.quantile(list(names.values()))
    np.testing.assert_allclose(found, [elbow[name] for name in names], rtol=1e-9)
    assert str(frozen.verdict) == read("forecast.json")["verdict"]


def test_a_frozen_forecast_scores_as_it_did():
    """Truth, hit, CRPS, log score and the guess beside it, to the last digit but one.

    The interval of the truth covers since then which checkpoints there are: it holds the old one.
    """
    words = ("score", RELEASED / "frozen.json", "--table", RELEASED / "table.csv", "--json")
    now, then = json.loads(command(*words)), read("score.json")
    for new, old in zip(now["scores"], then["scores"], strict=True):
        assert new["target"] == "elbow"
        assert new["truth_p05"] <= old["truth_p05"]
        assert new["truth_p95"] >= old["truth_p95"]
        old |= {name: new[name] for name in ("truth_p05", "truth_p95")}
        ends = f"{new['truth_p05']:.3f} to {new['truth_p95']:.3f}"
        old["reason"] = re.sub(r"\(.* to .*\)", f"({ends})", old["reason"])
    assert_same(now, then)


def test_a_tally_goes_on_where_it_stood(tmp_path: Path):
    """The old line is counted once, beside a new one."""
    tally = Path(shutil.copy(RELEASED / "tally.jsonl", tmp_path))
    found = json.loads(
        command(
            *("score", RELEASED / "frozen.json", "--table", RELEASED / "table.csv"),
            *("--tally", tally, "--json"),
        )
    )
    assert found["tally"]["n"] == 1
    assert found["tally"]["hits"] == 1


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_runs_keep_their_keys_and_states(name: str, tmp_path: Path):
    """A key that moves throws measurements away: title by title, key and state are the old ones."""
    file = lab(name, tmp_path)
    found = json.loads(command("status", file, "--json"))
    assert found["runs"] == read(f"{name}.status.json")["runs"]
    assert found["problems"] == []


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_ledger_exports_the_same_table(name: str, tmp_path: Path):
    """Every cell that the old version exported, in the same row; columns may be added."""
    file, out = lab(name, tmp_path), tmp_path / "exported.csv"
    command("export", file, "-o", out)
    old = pl.read_csv(RELEASED / f"{name}.csv", infer_schema=False)
    new = pl.read_csv(out, infer_schema=False)
    assert new.select(old.columns).equals(old)
