"""What the pictures of a comparison claim, read from their specification."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import vl_convert
from tests.report.pictures.test_pictures import of, texts, units

from emergecast.comparison import (
    Comparison,
    EmergenceOrder,
    First,
    LossSources,
    SeriesForecast,
    SeriesPair,
)
from emergecast.comparison._first import at_equal_loss
from emergecast.forecasts import Forecast
from emergecast.observed import Estimand, GroundTruth
from emergecast.report import comparison_distribution, comparison_fan

PICTURES = [comparison_fan, comparison_distribution]


NO_FIRST = First(probability=None, reason="these are made by hand.")


def compared(one: Forecast, other: Forecast, apart: str | None = None) -> Comparison:
    """Two forecasts side by side; `truth` in them is what came true."""
    both = [one, other]
    refused = None if one.elbow and other.elbow else "one is refused."
    first, difference = at_equal_loss(both, refused or apart)
    truths = [
        None if each.truth is None else GroundTruth(
            target=Estimand.ELBOW, n=9,
            loss=each.truth, p05=each.truth - 0.01, p95=each.truth + 0.01,
        )
        for each in both
    ]  # fmt: skip
    names = ("old corpus", "new corpus")
    found = tuple(
        SeriesForecast(
            series=name,
            forecast=each,
            truth=truth,
            came_true=None,
            sources=LossSources(tokenizers=(), corpora=(), measured=True),
        )
        for name, each, truth in zip(names, both, truths, strict=True)
    )
    known = None not in {one.truth, other.truth} and apart is None
    pair = SeriesPair(
        series=names,
        at_equal_loss=first,
        at_equal_compute=NO_FIRST,
        difference=difference,
        true_difference=(one.truth or 0.0) - (other.truth or 0.0) if known else None,
        apart=apart,
    )
    nothing = EmergenceOrder(placed=(), left_out=(), reason="these are made by hand.")
    return Comparison(
        found=found,
        pairs=(pair,),
        compute=(None, None),
        order_at_equal_loss=nothing,
        order_at_equal_compute=nothing,
        rankings=(),
        no_ranking=None,
        loss_ranking=None,
        left_out=(),
        loss_warnings=(),
    )


@pytest.fixture
def comparison(forecast_of) -> Comparison:
    """Two forecasts that differ, of both of which the truth is known."""
    return compared(replace(forecast_of("three"), truth=2.019), forecast_of("seven"))


@pytest.fixture
def incomparable(comparison: Comparison) -> Comparison:
    """The same where losses do not mean the same."""
    one, other = comparison.forecasts
    return compared(one, other, apart="they have different tokenizers")


def loss_domains(chart: Any) -> list[tuple[float, ...]]:
    """The loss domains of a picture, one after another."""
    return [
        tuple(unit["encoding"]["x"]["scale"]["domain"])
        for unit in units(chart.to_dict())
        if unit["encoding"].get("x", {}).get("field") == "loss"
    ]


@pytest.mark.parametrize("draw", PICTURES)
def test_both_series_are_named_and_share_the_loss_axis(draw: Callable, comparison: Comparison):
    """Stronger is right in both."""
    chart = draw(comparison)
    text = json.dumps(chart.to_dict())
    assert all(name in text for name in comparison.series)
    assert len(set(loss_domains(chart))) == 1


@pytest.mark.parametrize("draw", PICTURES)
def test_losses_that_do_not_compare_have_axes_of_their_own(
    draw: Callable, incomparable: Comparison
):
    """And there is no difference to draw."""
    chart = draw(incomparable)
    assert len(set(loss_domains(chart))) == 2
    assert "minus" not in json.dumps(chart.to_dict())


def test_a_density_is_drawn_to_its_own_peak(comparison: Comparison):
    """So that a broad one is seen beside a narrow one; its label says so."""
    lines = [u for u in of(comparison_distribution(comparison), "line") if "color" in u["encoding"]]
    densities = [u for u in lines if u["encoding"]["y"]["field"] == "density"]
    assert len(densities) == 2
    for unit in densities:
        assert max(row["density"] for row in unit["rows"]) == pytest.approx(1)
        assert "each to its own peak" in unit["encoding"]["y"]["axis"]["title"][1]


def test_each_series_has_one_colour(comparison: Comparison, incomparable: Comparison):
    """In lines, labels and sides of the difference; also where panels stand apart."""
    for view in (comparison, incomparable):
        chart = comparison_distribution(view)
        scales = {
            json.dumps(unit["encoding"]["color"]["scale"])
            for unit in of(chart, "line")
            if "color" in unit["encoding"]
        }
        assert len(scales) == 1
        scale = json.loads(scales.pop())
        assert scale["domain"] == list(view.series)
        assert len(set(scale["range"])) == 2
        labels = {
            unit["encoding"]["text"]["value"]: unit["mark"]["fill"] for unit in of(chart, "text")
        }
        for name, colour in zip(scale["domain"], scale["range"], strict=True):
            assert all(fill == colour for text, fill in labels.items() if text.startswith(name))


def test_the_side_above_zero_is_that_of_the_first_series(comparison: Comparison):
    """A higher elbow is the earlier one."""
    chart = comparison_distribution(comparison)
    areas = [u for u in of(chart, "area") if u["encoding"]["x"]["field"] == "difference"]
    first = next(u for u in areas if min(row["difference"] for row in u["rows"]) > 0)
    label = next(
        u for u in of(chart, "text") if u["encoding"]["text"]["value"] == "old corpus first"
    )
    assert first["mark"]["fill"] == label["mark"]["fill"]
    assert label["mark"]["align"] == "right"


def test_what_came_true_is_drawn_for_each_and_for_the_difference(comparison: Comparison):
    """Dashed."""
    chart = comparison_distribution(comparison)
    dashed = [u for u in of(chart, "rule") if u["mark"].get("strokeDash") == [7, 3]]
    truths = {u["rows"][0].get("loss") for u in dashed} - {None}
    assert truths == {2.019, 2.069}
    differences = [u["rows"][0]["difference"] for u in dashed if "difference" in u["rows"][0]]
    assert differences == pytest.approx([-0.05])
    assert any("Dashed" in text for text in texts(chart))


@pytest.mark.parametrize("pair", [("three", "refused"), ("refused", "refused"), ("far", "seven")])
@pytest.mark.parametrize("draw", PICTURES)
def test_every_pair_of_forecasts_can_be_drawn(draw: Callable, forecast_of, pair: tuple[str, str]):
    """A refused one has no curve, and the picture says so or shows the other alone."""
    view = compared(forecast_of(pair[0]), forecast_of(pair[1]))
    svg = vl_convert.vegalite_to_svg(draw(view).to_dict())
    assert "NaN" not in svg
    if pair == ("refused", "refused") and draw is comparison_distribution:
        assert "both forecasts are refused" in svg
