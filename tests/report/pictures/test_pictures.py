"""What the pictures claim, read from their specification."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import altair as alt
import polars as pl
import pytest
from tests.report.made import drawn

from emergecast.diagnostics import Influence, Residual
from emergecast.forecasts import Forecast
from emergecast.measurements import Axis
from emergecast.report import distribution, fan, influence, save
from emergecast.report.drawing import WIDTH
from emergecast.report.drawing._window import Window
from emergecast.report.drawing.marks import heading

PICTURES = [fan, distribution]


def units(spec: dict, datasets: dict | None = None, data: dict | None = None) -> Iterator[dict]:
    """Every mark of a specification, with its rows, its own or inherited, under "rows"."""
    datasets = spec.get("datasets", datasets or {})
    data = spec.get("data", data)
    for child in [*spec.get("layer", []), *spec.get("vconcat", [])]:
        yield from units(child, datasets, data)
    if "mark" in spec:
        assert data is not None
        yield {**spec, "rows": data["values"] if "values" in data else datasets[data["name"]]}


def of(chart: alt.TopLevelMixin, mark: str) -> list[dict]:
    """Marks of one type."""
    return [unit for unit in units(chart.to_dict()) if unit["mark"]["type"] == mark]


def texts(chart: alt.TopLevelMixin) -> list[str]:
    """Everything written inside the panels."""
    return [unit["encoding"]["text"]["value"] for unit in of(chart, "text")]


def rules_at(chart: alt.TopLevelMixin) -> list[float]:
    """Losses of the vertical rules."""
    return [unit["rows"][0]["loss"] for unit in of(chart, "rule") if set(unit["encoding"]) == {"x"}]


def domains(chart: alt.TopLevelMixin) -> list[list[float]]:
    """Loss domains of all marks that stand on the loss axis."""
    scales = [
        unit["encoding"]["x"]["scale"]
        for unit in units(chart.to_dict())
        if "field" in unit["encoding"].get("x", {})
    ]
    return [scale["domain"] for scale in scales]


@pytest.mark.parametrize("draw", PICTURES)
def test_stronger_is_right(draw: Callable, any_design: str) -> None:
    """The loss axis is reversed, and it is the same for all marks and panels of a picture."""
    chart = drawn(draw, any_design)
    scales = [
        unit["encoding"]["x"]["scale"]
        for unit in units(chart.to_dict())
        if "field" in unit["encoding"].get("x", {})
    ]
    assert scales
    assert all(scale["reverse"] is True for scale in scales)
    low, high = scales[0]["domain"]
    assert low < high
    assert all(scale["domain"] == [low, high] for scale in scales)


@pytest.mark.parametrize(("name", "amounts"), [("three", 3), ("seven", 7), ("outlying", 5)])
def test_one_colour_per_amount(name: str, amounts: int) -> None:
    """Few-shot and every data amount have a colour of their own; few-shot first, then rising."""
    chart = drawn(fan, name)
    scale = of(chart, "line")[0]["encoding"]["color"]["scale"]
    assert scale["domain"][0] == "few-shot"
    numbers = [int(label.replace(",", "")) for label in scale["domain"][1:]]
    assert numbers == sorted(numbers)
    assert len(numbers) == amounts
    assert len(set(scale["range"])) == len(scale["domain"]) == amounts + 1
    encodings = [unit["encoding"] for unit in of(chart, "point")]
    assert [e["color"]["scale"] for e in encodings if "color" in e] == [scale]


def test_colours_darken_towards_few_shot() -> None:
    """Lightness rises with the data amount: the order survives print and colour blindness."""
    scale = of(drawn(fan, "seven"), "line")[0]["encoding"]["color"]["scale"]
    weights = {1: 0.299, 3: 0.587, 5: 0.114}  # of red, green and blue in luma
    light = [
        sum(weight * int(colour[i : i + 2], 16) for i, weight in weights.items())
        for colour in scale["range"]
    ]
    steps = [b - a for a, b in itertools.pairwise(light)]
    assert min(steps) > 5


def test_every_score_is_drawn_once_or_counted(any_forecast, any_design: str) -> None:
    """The fan draws each score inside its window, seen or hidden, and counts the others below."""
    chart = drawn(fan, any_design)
    low, high = domains(chart)[0]
    points = any_forecast.points()
    rows = [row for unit in of(chart, "point") for row in unit["rows"]]
    shown = [(row["loss"], row["score"], row["hidden"]) for row in rows]
    within = points.filter(pl.col("loss").is_between(low, high))
    inside = within.select("loss", "score", "hidden").rows()
    assert sorted(shown) == sorted(inside)
    outside = len(points) - len(inside)
    told = [text for text in texts(chart) if text.startswith("Scores outside")]
    assert bool(told) == (outside > 0)
    if told:
        assert f"{outside} at" in told[0]


def test_hidden_scores_are_open_and_have_no_data_colour(forecast_of) -> None:
    """What the forecast did not see cannot be taken for what it saw."""
    view = forecast_of("outlying")
    drawn = of(fan(view), "point")
    later = [unit for unit in drawn if "stroke" in unit["encoding"]]
    seen = [unit for unit in drawn if "stroke" not in unit["encoding"]]
    assert all(not row["hidden"] for unit in seen for row in unit["rows"])
    assert all(row["hidden"] for unit in later for row in unit["rows"])
    assert all(unit["mark"]["filled"] is False for unit in later)
    assert sum(len(unit["rows"]) for unit in later) == view.points()["hidden"].sum()
    below = [u for u in of(distribution(view), "point") if u["mark"].get("filled") is False]
    assert [row["hidden"] for unit in below for row in unit["rows"]] == [True] * 7


def test_the_band_is_the_forecast(forecast_of) -> None:
    """The bands of the fan span 5-95% and 25-75%, its line is the median, its label says so."""
    view = forecast_of("three")
    chart = drawn(fan, "three")
    bands = [(unit["rows"][0]["loss"], unit["rows"][0]["end"]) for unit in of(chart, "rect")]
    assert bands == [(view.elbow.p05, view.elbow.p95), (view.elbow.p25, view.elbow.p75)]
    assert rules_at(chart) == [view.elbow.p50]
    assert f"few-shot elbow {view.elbow.p50:.2f}, with 50% and 90% intervals" in texts(chart)


def test_extrapolation_is_dashed_and_joined() -> None:
    """The few-shot line beyond the checkpoints is dashed and starts where the solid one ends."""
    (line,) = of(drawn(fan, "three"), "line")
    dash = line["encoding"]["strokeDash"]["scale"]
    assert dict(zip(dash["domain"], dash["range"], strict=True))["extrapolated"] == [6, 3]
    few_shot = [row for row in line["rows"] if row["label"] == "few-shot"]
    solid = [row["loss"] for row in few_shot if row["part"] == "fitted"]
    dashed = [row["loss"] for row in few_shot if row["part"] == "extrapolated"]
    assert max(dashed) == min(solid)
    assert all(row["part"] == "fitted" for row in line["rows"] if row["label"] != "few-shot")


def test_quantile_rules_stand_at_the_quantiles(forecast_of) -> None:
    """Density and probability carry rules at p95, p50 and p05, named with their values."""
    view = forecast_of("negated")
    quantiles = [view.elbow.p95, view.elbow.p50, view.elbow.p05]
    chart = distribution(view)
    assert rules_at(chart) == [*quantiles, *quantiles, 2.09]
    for name, loss in zip(("p95", "median", "p05"), quantiles, strict=True):
        assert f"{name} {loss:.2f}" in texts(chart)
    assert "strongest checkpoint used 2.09" in texts(chart)


def test_probability_rises_as_loss_falls() -> None:
    """The second panel runs from nothing to certainty, on an axis from 0 to 1."""
    _, line = of(drawn(distribution, "three"), "line")
    assert line["encoding"]["y"]["field"] == "cumulative"
    assert line["encoding"]["y"]["scale"]["domain"] == [0, 1]
    values = [row["cumulative"] for row in sorted(line["rows"], key=lambda row: -row["loss"])]
    assert values == sorted(values)
    assert values[0] < 0.01
    assert values[-1] > 0.99


@pytest.mark.parametrize("draw", PICTURES)
def test_later_truth_is_marked(draw: Callable) -> None:
    """A truth measured later has a rule and a label; without one there is neither."""
    assert 5.143 in rules_at(drawn(draw, "outlying"))
    assert any(text.startswith("measured later 5.14") for text in texts(drawn(draw, "outlying")))
    assert not any("later" in text for text in texts(drawn(draw, "three")))


@pytest.mark.parametrize("draw", PICTURES)
def test_negation_is_told(draw: Callable) -> None:
    """The score axis says when the metric was turned round, and only then."""
    titles = [
        unit["encoding"]["y"]["axis"]["title"]
        for unit in of(drawn(draw, "negated"), "point")
        if "axis" in unit["encoding"].get("y", {})
    ]
    assert titles
    assert set(titles) == {"Brier score (brier_score), negated so that higher is better"}
    assert "negated" not in str(drawn(draw, "three").to_dict())


@pytest.mark.parametrize("draw", PICTURES)
def test_chance_is_named(draw: Callable, any_forecast, any_design: str) -> None:
    """Chance is a labelled line at its value."""
    chart = drawn(draw, any_design)
    rules = [u["rows"][0].get("score") for u in of(chart, "rule") if set(u["encoding"]) == {"y"}]
    assert rules == [any_forecast.chance]
    assert any(text.startswith("chance ") for text in texts(chart))


def test_refused_fan_has_scores_and_no_forecast(forecast_of) -> None:
    """A refused forecast shows its scores and the reason, and neither line nor band."""
    view = forecast_of("refused")
    chart = drawn(fan, "refused")
    assert not of(chart, "line")
    assert not of(chart, "rect")
    assert sum(len(unit["rows"]) for unit in of(chart, "point")) == len(view.points())
    assert " ".join(chart.to_dict()["title"]["subtitle"]) == view.subtitle


def test_refused_distribution_says_so() -> None:
    """A refused forecast has no density, only the few-shot scores and a sentence."""
    chart = drawn(distribution, "refused")
    assert len(chart.to_dict()["vconcat"]) == 1
    assert not of(chart, "area")
    assert "refused: no distribution" in texts(chart)


def test_far_weak_checkpoints_do_not_squeeze_the_picture() -> None:
    """With losses up to 6.5 and all that happens below 5.3, at least a quarter shows the rise."""
    low, high = domains(drawn(fan, "outlying"))[0]
    assert high < 5.6
    assert (5.29 - 5.16) / (high - low) > 0.25


def test_a_cut_interval_is_told_in_numbers(forecast_of) -> None:
    """An interval that reaches far beyond the data is cut in the fan, and the fan says where to."""
    view = forecast_of("far")
    chart = drawn(fan, "far")
    low, high = domains(chart)[0]
    assert low > view.elbow.p05
    assert low < view.elbow.p50 < high
    assert any(f"{view.elbow.p05:.2f} to {view.elbow.p95:.2f} nats" in t for t in texts(chart))


def test_point_estimates_outside_the_window_are_told_and_not_drawn() -> None:
    """A maximum likelihood estimate of -40 nats does not stretch the picture."""
    chart = drawn(distribution, "far")
    marks = [u for u in of(chart, "point") if "fill" in u["encoding"]]
    assert [row["kind"] for unit in marks for row in unit["rows"]] == ["most likely value"]
    told = [text for text in texts(chart) if text.endswith("lies outside this picture.")]
    assert told == ["The maximum likelihood, -40.00, lies outside this picture."]


def test_maximum_likelihood_of_another_law_says_whose_it_is(forecast_of) -> None:
    """In the legend, and in the note where it is not drawn."""
    near, far = (forecast_of(name) for name in ("two laws", "far, two laws"))
    marks = [u for u in of(distribution(near), "point") if "fill" in u["encoding"]]
    kinds = [row["kind"] for unit in marks for row in unit["rows"]]
    assert kinds == ["most likely value", "maximum likelihood, log-power law"]
    assert any("maximum likelihood, log-power law, -40" in t for t in texts(distribution(far)))


def test_every_few_shot_score_is_drawn_under_the_distribution_or_counted(
    any_forecast, any_design: str
) -> None:
    """A note counts those outside the window."""
    chart = drawn(distribution, any_design)
    shown = sum(len(u["rows"]) for u in of(chart, "point") if "fill" not in u["encoding"])
    told = [text for text in texts(chart) if text.startswith("Scores outside")]
    counted = sum(int(n) for text in told for n in re.findall(r"(\d+) at", text))
    assert shown + counted == (any_forecast.points()["setting"] == "few-shot").sum()


def test_the_fan_says_what_its_lines_are(forecast_of) -> None:
    """And nothing where there are none."""
    assert forecast_of("three").lines in texts(drawn(fan, "three"))
    refused = forecast_of("refused")
    assert refused.lines == ""
    assert "" not in texts(fan(refused))


def without(what: str, shift: float) -> Influence:
    """The forecast without a checkpoint, its median moved."""
    return Influence(
        kind="checkpoint", what=what, n_rows=4, p05=1.9, p50=2.06 + shift, p95=2.2,
        shift=shift, shift_sd=0.1,
    )  # fmt: skip


def diagnosed(view: Forecast, **changes: Any) -> Forecast:
    """The same forecast with other diagnostics."""
    assert view.diagnostics is not None
    return replace(view, diagnostics=replace(view.diagnostics, **changes))


def test_sizes_of_models_are_billions_in_the_legend(forecast_of, tmp_path: Path) -> None:
    """Not the G of the SI, which nobody writes of parameters."""
    residuals = tuple(
        Residual(
            checkpoint=f"c{i}", loss=2.0 + i, residual=0.1, stderr=0.1, n_rows=4,
            params=10.0 ** (9 + i),
        )
        for i in range(3)
    )  # fmt: skip
    shown = diagnosed(forecast_of("three"), influence=(without("c", 0.0),), residuals=residuals)
    svg = save(influence(shown), tmp_path, "influence")[0].read_text("utf-8")
    assert ">1B<" in svg
    assert ">100B<" in svg
    assert not re.search(r">[\d.]+G<", svg)


@pytest.mark.parametrize("count", [12, 13, 15])
def test_influence_tells_what_it_leaves_out(forecast_of, count: int) -> None:
    """Twelve are drawn, and a note counts the others."""
    found = tuple(without(f"c{i}", -0.2 / (i + 1)) for i in range(count))
    shown = diagnosed(forecast_of("three"), influence=found, residuals=())
    told = [text for text in texts(influence(shown)) if text.endswith("has them all.")]
    assert (
        told
        == {
            12: [],
            13: ["One other moves the median by 0.015 nats at most; forecast.json has them all."],
            15: ["3 others move the median by 0.015 nats at most; forecast.json has them all."],
        }[count]
    )


@pytest.mark.parametrize(
    ("axis", "place"),
    [(Axis(), 0.8), (Axis.parse("flops"), 0.2), (Axis.parse("skill:lower"), 0.8)],
)
def test_a_heading_stands_where_its_value_is(axis: Axis, place: float) -> None:
    """Stronger models are on the right: 2.2 of 2 to 3 is far right where lower is stronger."""
    spec = heading("elbow", Window(2.0, 3.0, axis).share(2.2), align="left").to_dict()
    assert spec["encoding"]["x"]["value"] == pytest.approx(place * WIDTH)


@pytest.mark.parametrize("draw", PICTURES)
def test_labels_above_a_panel_never_meet(draw: Callable, any_design: str) -> None:
    """Labels on one line above a panel lie apart, and all within the width of the panel."""
    panels = drawn(draw, any_design).to_dict()
    for panel in panels.get("vconcat", [panels]):
        spans: dict[float, list[tuple[float, float]]] = {}
        for unit in units({**panel, "datasets": panels["datasets"]}):
            text = unit["encoding"].get("text", {}).get("value")
            height = unit["encoding"].get("y", {}).get("value")
            if text is None or height is None or height > 0:
                continue
            start, width = unit["encoding"]["x"]["value"], 5.9 * len(text)
            start -= {"left": 0.0, "center": 0.5, "right": 1.0}[unit["mark"]["align"]] * width
            spans.setdefault(height, []).append((start, start + width))
        for line in spans.values():
            for (_, end), (start, _) in itertools.pairwise(sorted(line)):
                assert end < start
