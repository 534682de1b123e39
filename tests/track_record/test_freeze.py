"""Frozen forecasts: what the file holds, and what it refuses."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from tests import designs

import emergecast
from emergecast.errors import FrozenError
from emergecast.forecasts import Forecast, ForecastOptions
from emergecast.inference import FitOptions, fit
from emergecast.measurements import Axis, SelectOptions, Shift, proving_ground
from emergecast.track_record import (
    FrozenDistribution,
    FrozenForecast,
    crps,
    freeze,
    log_score,
    pit,
    read_frozen,
)

OPTIONS = SelectOptions(at_chance_only=True, exclude=("c0",), where=(("task", "quiz"),))
RULES = {"width": 0.4}


def made(**options) -> Forecast:
    """A forecast of a small table."""
    rows = designs.rows(losses=designs.DENSE[::4], amounts=(64, 512, 4096), **options)
    fitted = fit(rows, OPTIONS, FitOptions(law="log-power"))
    return emergecast.forecast(fitted, options=ForecastOptions(bootstraps=0, rules=RULES))


@pytest.fixture(scope="module")
def forecast() -> Forecast:
    """One that is not refused."""
    return made()


@pytest.fixture
def frozen(forecast: Forecast) -> FrozenForecast:
    """The same, frozen."""
    return freeze(forecast, options=OPTIONS, note="before the big run")


def test_a_file_read_back_is_the_forecast_that_was_frozen(frozen: FrozenForecast, tmp_path: Path):
    """Every setting, and the distribution number for number."""
    frozen.write(tmp_path / "f.json")
    again = read_frozen(tmp_path / "f.json")
    assert again.content == frozen.content
    assert again.options == OPTIONS.__class__(**{**asdict(OPTIONS), **asdict(again.options)})
    assert again.options.at_chance_only
    assert again.options.exclude == ("c0",)
    assert again.options.where == (("task", "quiz"),)
    assert again.options.series == ("default",)
    assert again.options.shots == designs.SHOTS
    assert again.content["thresholds"]["width"] == 0.4
    assert again.content["note"] == "before the big run"
    p = np.linspace(0.001, 0.999, 77)
    np.testing.assert_array_equal(again.quantile(p), frozen.quantile(p))


def test_it_says_what_was_forecast_of_what_and_when(forecast: Forecast, frozen: FrozenForecast):
    """Task, verdict, data, law, priors, version, D0, and the target in words."""
    shown = {"rows", "distribution", "lines"}  # stand in the file by themselves, more finely
    record = json.loads(json.dumps(forecast.to_dict()))
    assert frozen.forecast == {name: v for name, v in record.items() if name not in shown}
    assert frozen.task == "quiz"
    assert frozen.table_hash == forecast.fit.selection.table_hash
    assert frozen.verdict is forecast.verdict
    assert datetime.now(UTC) - frozen.frozen_at < timedelta(minutes=5)
    assert frozen.frozen_at.utcoffset() == timedelta(0)
    for word in ("quiz", "5-shot", "acc", "default", "nats", "E of y = base + slope max(E - loss"):
        assert word in frozen.target
    assert len(frozen.content["rows"]) == forecast.fit.data.loss.size


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.8, 0.98])
def test_the_frozen_distribution_scores_as_the_live_one(
    forecast: Forecast, frozen: FrozenForecast, share: float
):
    """CRPS, log score and PIT without fitting again."""
    truth = float(forecast.quantile(share))
    assert crps(frozen, truth) == pytest.approx(crps(forecast, truth), rel=2e-3)
    assert log_score(frozen, truth) == pytest.approx(log_score(forecast, truth), abs=0.02)
    assert pit(frozen, truth) == pytest.approx(share, abs=2e-3)


def test_a_table_of_quantiles_is_the_distribution_it_was_made_from():
    """A normal rebuilt from its quantiles: cumulative, density, quantile, and decaying tails."""
    levels = np.array([1e-5, 1e-4, *(np.arange(1, 1000) / 1000), 1 - 1e-4, 1 - 1e-5])
    normal = stats.norm(2.0, 0.1)
    losses = normal.ppf(levels)
    table = FrozenDistribution(levels=levels, losses=losses, densities=normal.pdf(losses))
    x = np.linspace(1.65, 2.35, 301)
    np.testing.assert_allclose(table.cumulative(x), normal.cdf(x), atol=5e-4)
    np.testing.assert_allclose(table.density(x), normal.pdf(x), atol=0.03)
    assert crps(table, 2.05) == pytest.approx(0.1 * _standard_crps(0.5), rel=2e-3)
    far = np.array([0.5, 1.0, 1.4, 2.6, 3.0, 3.5])
    density, cumulative = table.density(far), table.cumulative(far)
    assert np.all(density > 0)
    assert np.all(np.diff(density[:3]) > 0)
    assert np.all(np.diff(density[3:]) < 0)
    assert np.all(np.diff(cumulative[:3]) > 0)
    tiny = np.array([1e-8, 1e-6, 1 - 1e-6, 1 - 1e-8])
    np.testing.assert_allclose(table.cumulative(table.quantile(tiny)), tiny, rtol=1e-6)
    step = 1e-6
    slope = (table.cumulative(far[:2] + step) - table.cumulative(far[:2] - step)) / (2 * step)
    np.testing.assert_allclose(table.density(far[:2]), slope, rtol=1e-4)


def _standard_crps(z: float) -> float:
    spread = z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z)
    return float(spread - 1 / np.sqrt(np.pi))


def test_a_refused_forecast_is_frozen_and_has_no_distribution(tmp_path: Path):
    """It says so, with the reason."""
    rows = designs.rows(losses=designs.DENSE[::4], amounts=(64, 512))
    refused = freeze(
        emergecast.forecast(
            fit(rows, options=FitOptions(law="log-power")), options=ForecastOptions(bootstraps=0)
        )
    )
    refused.write(tmp_path / "r.json")
    again = read_frozen(tmp_path / "r.json")
    assert again.elbow is None
    assert "refused" in repr(again)
    with pytest.raises(FrozenError, match="refused and has no distribution: There are 2 finetun"):
        again.quantile(0.5)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (r'"p50": [0-9.]+', '"p50": 1.9'),
        (r'"frozen_at": "2', '"frozen_at": "1'),
        (r'"note": "before', '"note": "after'),
        (r'"sha256": "..', '"sha256": "zz'),
        (r'"width": 0.4', '"width": NaN'),
    ],
)
def test_an_edited_file_is_recognised(
    frozen: FrozenForecast, tmp_path: Path, before: str, after: str
):
    """Whatever was edited: a number, the date, a word, the hash itself."""
    path = tmp_path / "f.json"
    frozen.write(path)
    text, count = re.subn(before, after, path.read_text("utf-8"), count=1)
    assert count == 1
    path.write_text(text, "utf-8")
    with pytest.raises(FrozenError, match="was edited after it was frozen"):
        read_frozen(path)


def test_a_file_without_its_hash_is_no_frozen_forecast(frozen: FrozenForecast, tmp_path: Path):
    """Whoever edits a file cannot get round the hash by taking it out."""
    path = tmp_path / "f.json"
    content = {name: value for name, value in frozen.content.items() if name != "sha256"}
    path.write_text(json.dumps(content), "utf-8")
    with pytest.raises(FrozenError, match="was edited after it was frozen"):
        read_frozen(path)


def test_formatting_is_no_edit(frozen: FrozenForecast, tmp_path: Path):
    """Another order of keys and other spaces are the same content."""
    path = tmp_path / "f.json"
    shuffled = dict(reversed(list(frozen.content.items())))
    path.write_text(json.dumps(shuffled, indent=7), "utf-8")
    assert read_frozen(path).sha256 == frozen.sha256


def test_a_frozen_file_is_never_overwritten(frozen: FrozenForecast, tmp_path: Path):
    """The old file stays as it was."""
    path = tmp_path / "f.json"
    path.write_text("mine", "utf-8")
    with pytest.raises(FrozenError, match=r"f\.json.*never overwritten.*another name"):
        frozen.write(path)
    assert path.read_text("utf-8") == "mine"


@pytest.mark.parametrize("step", ["fsync", "link"])
def test_a_file_is_written_whole_or_not_at_all(
    frozen: FrozenForecast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
):
    """Whatever fails on the way; without hard links it is renamed into place."""

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fails)
    if step == "link":
        frozen.write(tmp_path / "f.json")
        assert read_frozen(tmp_path / "f.json").sha256 == frozen.sha256
        with pytest.raises(FrozenError, match="never overwritten"):
            frozen.write(tmp_path / "f.json")
    else:
        with pytest.raises(OSError, match="No space left"):
            frozen.write(tmp_path / "f.json")
    assert [path.name for path in tmp_path.iterdir()] == ["f.json"] * (step == "link")


def test_a_posterior_of_several_narrow_peaks_is_frozen(tmp_path: Path):
    """Its density jumps between quantiles, and is no forgery."""
    options = SelectOptions(task="proving_ground_matching", series="seed-0")
    made = emergecast.forecast(
        fit(proving_ground(), options), options=ForecastOptions(bootstraps=0, diagnostics=False)
    )
    freeze(made, options=options).write(tmp_path / "f.json")
    assert read_frozen(tmp_path / "f.json").verdict is made.verdict


def test_the_axis_of_a_fit_is_frozen_without_options():
    """So that later rows are put onto it too."""
    rows = designs.rows(losses=designs.DENSE[::4], amounts=(64, 512, 4096))
    more = [{**row, "power": 5 - row["loss"], "hint": (row["examples"] or 0) / 5} for row in rows]
    options = SelectOptions(axis="power", shift="hint:x10")
    fitted = fit(more, options, FitOptions(law="log-power", few_shot_examples=0.5))
    made = freeze(emergecast.forecast(fitted, options=ForecastOptions(bootstraps=0)))
    assert Axis.parse(made.options.axis) == Axis(name="power", higher_is_stronger=True)
    assert Shift.parse(made.options.shift) == Shift.parse("hint:x10")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("hello", "not JSON"),
        ("[1]", "its format is None"),
        ('{"format": "x"}', "its format is 'x'"),
    ],
)
def test_another_file_is_an_error_that_says_what_it_is(tmp_path: Path, text: str, what: str):
    """With the command that writes one."""
    path = tmp_path / "other.json"
    path.write_text(text, "utf-8")
    with pytest.raises(FrozenError, match=f"{what}.*emergecast freeze"):
        read_frozen(path)
