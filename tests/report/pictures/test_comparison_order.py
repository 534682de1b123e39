"""What the picture of several series in order claims, read from its specification."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import vl_convert
from tests.report.pictures.test_pictures import of, units

from emergecast.comparison import (
    CameTrue,
    ComparedAt,
    Comparison,
    LossSources,
    SeriesForecast,
    comparison_of,
)
from emergecast.comparison._emergence_order import order_at_equal_loss
from emergecast.forecasts import Forecast
from emergecast.report import comparison_order
from emergecast.report.drawing import INK, between, ink_on

SOURCES = LossSources(tokenizers=(), corpora=(), measured=True)


def of_series(**forecasts: Forecast) -> Comparison:
    """The comparison of forecasts that are there already; the elbow of the first came true."""
    true = CameTrue(
        elbow=2.07, low=2.06, high=2.08,
        log10_flops=22.0, log10_flops_low=21.9, log10_flops_high=22.1,
    )  # fmt: skip
    return comparison_of(
        [
            SeriesForecast(
                series=name, forecast=each, truth=None, came_true=None if i else true,
                sources=SOURCES,
            )
            for i, (name, each) in enumerate(forecasts.items())
        ]
    )  # fmt: skip


@pytest.fixture
def four(forecast_of) -> Comparison:
    """Three series that have a place, and one that was refused."""
    return of_series(
        late=forecast_of("far"),
        wide=forecast_of("three"),
        gone=forecast_of("refused"),
        narrow=forecast_of("seven"),
    )


def test_the_first_to_emerge_stands_on_top_of_both_panels(four: Comparison):
    """In the order of the record; the refused one is named below."""
    chart = comparison_order(four)
    order = list(four.order_at_equal_loss.names)
    assert set(order) == {"late", "wide", "narrow"}
    sorts = [
        u["encoding"]["y"]["sort"]
        for u in units(chart.to_dict())
        if "sort" in str(u["encoding"].get("y"))
    ]
    assert sorts
    assert all(each == order for each in sorts)
    written = [u["encoding"]["text"].get("value") for u in of(chart, "text")]
    assert "No place: gone." in written


def test_intervals_and_places_are_those_of_the_record(four: Comparison):
    """Ends as far as the window shows them, each with a triangle where it goes on."""
    chart = comparison_order(four)
    elbows = {each.series: each.forecast.elbow for each in four.found}
    (rule,) = (u for u in of(chart, "rule") if "x2" in u["encoding"])
    for row in rule["rows"]:
        elbow = elbows[row["series"]]
        assert elbow is not None
        assert (row["loss"] == elbow.p05) is not row["goes_lower"]
        assert (row["high"] == elbow.p95) is not row["goes_higher"]
    (cells,) = of(chart, "rect")
    shown = {(row["series"], row["place"]): row["probability"] for row in cells["rows"]}
    exact = {
        (each.series, place): p
        for each in four.order_at_equal_loss.placed
        for place, p in enumerate(each.places, 1)
    }
    assert shown == pytest.approx(exact)
    (ticks,) = of(chart, "tick")
    assert [(row["series"], row["loss"]) for row in ticks["rows"]] == [("late", 2.07)]


@pytest.mark.parametrize("at", list(ComparedAt))
def test_many_series_fit_and_none_is_cut(at: ComparedAt, four: Comparison):
    """25 of them: a row each, no numbers in the cells; or a sentence why there is no order."""
    one = four.found[1]
    found = [replace(one, series=f"corpus {i}") for i in range(25)]
    many = replace(
        four,
        found=tuple(found),
        compute=(None,) * 25,
        order_at_equal_loss=order_at_equal_loss(found, ()),
    )
    chart = comparison_order(many, at)
    svg = vl_convert.vegalite_to_svg(chart.to_dict())
    assert "NaN" not in svg
    if at is ComparedAt.COMPUTE:
        subtitle = cast("Any", chart.to_dict())["title"]["subtitle"]
        assert "no order at equal compute: fewer than two" in " ".join(subtitle)
        return
    assert all(f">corpus {i}<" in svg for i in range(25))
    (cells,) = of(chart, "rect")
    assert len(cells["rows"]) == 625
    assert not [u for u in of(chart, "text") if u["encoding"]["text"].get("field")]
    assert "at equal loss" in " ".join(cast("Any", chart.to_dict())["title"]["text"])


def test_numbers_can_be_read_on_every_cell():
    """The contrast is that of the better of the two inks, at least 4, on cells of any value."""
    for p in np.linspace(0, 1, 101):
        cell = between("#f4f6f8", "#2c728e", p)
        mine, other = ink_on(cell), {INK: "white", "white": INK}[ink_on(cell)]
        assert contrast(mine, cell) >= max(4.0, contrast(other, cell))
    assert (ink_on("#ffffff"), ink_on("#000000"), ink_on("#808080")) == (INK, "white", INK)


def contrast(ink: str, ground: str) -> float:
    """Contrast ratio of WCAG 2.2 by its piecewise curve, 1 to 21."""
    levels = []
    for colour in ("#ffffff" if ink == "white" else ink, ground):
        c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        levels.append(float(linear @ [0.2126, 0.7152, 0.0722]) + 0.05)
    return max(levels) / min(levels)


def test_the_numbers_of_a_cell_have_the_ink_that_is_read_on_it(four: Comparison):
    """Of the colour that the scale gives it, which is linear in red, green and blue."""
    chart = comparison_order(four)
    (cells,) = of(chart, "rect")
    scale = cells["encoding"]["color"]["scale"]
    assert scale["interpolate"] == "rgb"
    most = scale["domain"][1]
    texts = [u for u in of(chart, "text") if u["encoding"]["text"].get("field") == "probability"]
    seen = 0
    for unit in texts:
        for row in unit["rows"]:
            low, high = scale["range"]
            cell = between(low, high, row["probability"] / most)
            assert unit["mark"]["fill"] == ink_on(cell)
            seen += 1
    assert seen == sum(row["probability"] >= 0.005 for row in cells["rows"])
