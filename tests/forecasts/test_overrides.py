"""Rules and priors that were changed by hand are in the record, and beside every verdict."""

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

import emergecast
from emergecast.cli import app
from emergecast.cli.texts.forecasts import forecast_text, summary_text
from emergecast.errors import OptionError
from emergecast.forecasts import (
    Forecast,
    ForecastOptions,
    Override,
    default_thresholds,
    json_schema,
)
from emergecast.inference import FitOptions
from emergecast.measurements import SelectOptions

SMALL: dict[str, Any] = {"losses": designs.DENSE[::4], "amounts": (64, 512, 4096)}
RULE = Override(kind="rule", name="width", value=0.9, default=0.2)
PRIOR = Override(kind="prior", name="elbow_scale", value=0.5, default=0.6)
SAID = "Changed by hand: rule width 0.9 (default 0.2), prior elbow_scale 0.5 (default 0.6)."
CHANGES = ("--threshold", "width=0.9", "--prior", "elbow_scale=0.5")


@pytest.fixture(scope="module")
def changed() -> Forecast:
    """One rule and one prior are not the default ones."""
    return emergecast.forecast(
        designs.rows(**SMALL),
        fitting=FitOptions(law="log-power", priors={"elbow_scale": 0.5}),
        options=ForecastOptions(bootstraps=0, rules={"width": 0.9}),
    )


@pytest.fixture(scope="module")
def usual() -> Forecast:
    """Everything by default, a default written out among it."""
    return emergecast.forecast(
        designs.rows(**SMALL),
        fitting=FitOptions(law="log-power"),
        options=ForecastOptions(bootstraps=0, rules={"width": 0.2}),
    )


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two series with compute, emerged at the end."""
    rows = [
        {**row, "series": name, "flops": (row["loss"] / 20) ** -10}
        for name in ("a", "b")
        for row in designs.rows(
            losses=designs.DENSE[::2],
            amounts=(64, 512, 4096),
            at=lambda examples: designs.elbow(examples) + 0.35,
        )
    ]
    path = tmp_path / "t.csv"
    pl.DataFrame(rows, infer_schema_length=None).write_csv(path)
    return path


def call(*words: object) -> str:
    """What the command prints."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code in {0, 3}, done.output
    return " ".join(done.stdout.split())


def test_what_was_changed_is_in_the_record(changed: Forecast, usual: Forecast):
    """With its default; and nothing is where nothing was changed."""
    assert changed.overridden == (RULE, PRIOR)
    record = changed.to_dict()
    jsonschema.validate(record, json_schema())
    assert record["overridden"][0] == {
        "kind": "rule",
        "name": "width",
        "value": 0.9,
        "default": 0.2,
    }
    assert usual.overridden == ()
    assert usual.to_dict()["overridden"] == []


def test_every_text_says_so_beside_the_verdict(changed: Forecast, usual: Forecast):
    """In full, in one line, in a picture's subtitle, in a notebook."""
    assert SAID in " ".join(forecast_text(changed, {}, None).split())
    assert forecast_text(changed, {}, None).splitlines()[1].startswith("Changed by hand")
    lines = summary_text([("one", changed, None), ("two", usual, None)])
    assert f"{changed.verdict}*" in lines
    assert f"{usual.verdict} " in lines
    assert f"* {SAID}" in " ".join(lines.split())
    for short in (changed.subtitle, repr(changed), changed._repr_html_()):
        assert "(changed: rule width, prior elbow_scale)" in short
    for text in (forecast_text(usual, {}, None), usual.subtitle, repr(usual)):
        assert "hanged" not in text


def test_a_rule_on_another_axis_leaves_the_others_as_they_are_there():
    """An override is of one rule: the rest keep what a nat is worth on that axis."""
    rows = [{**row, "flops": (row["loss"] / 20) ** -10} for row in designs.rows(**SMALL)]
    flops, law = SelectOptions(axis="flops"), FitOptions(law="log-power")
    two = [{**row, "series": name} for name in "ab" for row in rows]
    alone = ForecastOptions(bootstraps=0, rules={"width": 2})
    for found in (
        emergecast.forecast(rows, flops, law, alone),
        *emergecast.compare(two, rows=flops, fitting=law, rules={"width": 2.0}).forecasts,
    ):
        usual = default_thresholds(found.axis)
        assert found.thresholds.width == 2
        assert usual.law_gap != 0.05
        assert found.thresholds.law_gap == usual.law_gap
        assert [each.name for each in found.overridden] == ["width"]


def test_every_command_says_so(table: Path, tmp_path: Path):
    """Text and JSON of fit, freeze, compare and backtest."""
    one = ("--series", "a", "--law", "log-power", *CHANGES)
    assert SAID in call("fit", table, *one, "--bootstrap", "0")
    assert SAID in call("freeze", table, *one, "-o", tmp_path / "f.json")
    frozen = json.loads((tmp_path / "f.json").read_text("utf-8"))
    assert frozen["thresholds"]["width"] == 0.9
    assert len(frozen["forecast"]["overridden"]) == 2
    assert SAID in call("compare", table, "--law", "log-power", *CHANGES)
    backtest = ("backtest", table, *one, "--ladder", "--rungs", "1")
    assert SAID in call(*backtest)
    assert len(json.loads(call(*backtest, "--json"))["overridden"]) == 2


@pytest.mark.parametrize("command", ["fit", "freeze", "compare", "backtest"])
def test_a_wrong_rule_is_an_error_before_anything_is_read(command: str, tmp_path: Path):
    """Even where there is no table; the rules are listed."""
    missing = tmp_path / "nowhere.csv"
    done = CliRunner().invoke(app, [command, str(missing), "--threshold", "widht=1"])
    assert done.exit_code == 2
    assert "no threshold 'widht'" in flat(done.stderr)
    assert "few_shot_shift" in done.stderr


def test_a_wrong_rule_in_python_is_an_option_error():
    """As on the command line."""
    with pytest.raises(OptionError, match="no threshold 'widht'"):
        emergecast.forecast(
            designs.rows(**SMALL),
            fitting=FitOptions(law="log-power"),
            options=ForecastOptions(rules={"widht": 1}),
        )


@pytest.mark.parametrize("value", ["wide", None, float("nan"), -0.1])
def test_a_rule_that_is_not_a_number_of_at_least_0_is_an_option_error(value: Any):
    """Text and None as much as NaN: the rule is named and the value quoted."""
    with pytest.raises(OptionError, match=f"threshold width .* not {value!r}"):
        emergecast.forecast(
            designs.rows(**SMALL),
            fitting=FitOptions(law="log-power"),
            options=ForecastOptions(rules={"width": value}),
        )
