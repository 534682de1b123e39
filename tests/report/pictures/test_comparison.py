"""What the pictures of a comparison claim, read from their specification."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl
import pytest
import vl_convert
from tests.report.pictures.test_pictures import of, texts, units

from emergecast.report import comparison_distribution, comparison_fan

PICTURES = [comparison_fan, comparison_distribution]


@dataclass(frozen=True)
class Comparison:
    """Two made-up forecasts side by side."""

    forecasts: Any
    comparable: bool = True
    true_difference: float | None = None
    series: tuple[str, str] = ("old corpus", "new corpus")
    title: str = "mmlu: new corpus first at equal loss with probability 0.93"
    subtitle: str = "old corpus: weak; new corpus: identified"
    drawn: pl.DataFrame = field(
        default_factory=lambda: pl.DataFrame(
            {"difference": np.linspace(-0.2, 0.1, 61), "density": np.ones(61)}
        )
    )

    def difference_density(self) -> pl.DataFrame:
        """A flat one."""
        return self.drawn if self.comparable else self.drawn.clear()


@pytest.fixture
def comparison(view_of) -> Comparison:
    """Two forecasts that differ."""
    return Comparison(forecasts=(view_of("three"), view_of("seven")), true_difference=-0.05)


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
def test_losses_that_do_not_compare_have_axes_of_their_own(draw: Callable, comparison: Comparison):
    """And there is no difference to draw."""
    chart = draw(replace(comparison, comparable=False))
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


def test_each_series_has_one_colour(comparison: Comparison):
    """In lines, labels and sides of the difference; also where panels stand apart."""
    for view in (comparison, replace(comparison, comparable=False)):
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
    assert truths == {2.069}
    assert [u["rows"][0]["difference"] for u in dashed if "difference" in u["rows"][0]] == [-0.05]
    assert any("Dashed" in text for text in texts(chart))


@pytest.mark.parametrize("pair", [("three", "refused"), ("refused", "refused"), ("far", "seven")])
@pytest.mark.parametrize("draw", PICTURES)
def test_every_pair_of_forecasts_can_be_drawn(draw: Callable, view_of, pair: tuple[str, str]):
    """A refused one has no curve, and the picture says so or shows the other alone."""
    views = (view_of(pair[0]), view_of(pair[1]))
    refused = "refused" in pair
    empty = pl.DataFrame(schema={"difference": pl.Float64, "density": pl.Float64})
    view = Comparison(forecasts=views)
    view = replace(view, drawn=empty) if refused else view
    svg = vl_convert.vegalite_to_svg(draw(view).to_dict())
    assert "NaN" not in svg
    if pair == ("refused", "refused") and draw is comparison_distribution:
        assert "both forecasts are refused" in svg
