"""Two series in one picture: their fans, the distributions of both elbows, and the difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import altair as alt
import polars as pl

from emergecast.forecasts import Elbow, Forecast
from emergecast.report.drawing import (
    BAND_TEXT,
    INK,
    QUIET,
    WIDTH,
    Window,
    dress,
    fan_window,
    loss_text,
    marks,
)
from emergecast.report.pictures.fan import fan_panel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emergecast.comparison import Comparison

FIRST, SECOND = "#2c728e", BAND_TEXT
_FAN_HEIGHT = 300
_HEIGHT = 160
_LEGEND_OFFSET = 20


class _Drawn(NamedTuple):
    """A series whose forecast is not refused."""

    name: str
    forecast: Forecast
    elbow: Elbow
    colour: str


def comparison_fan(comparison: Comparison) -> alt.VConcatChart:
    """Draw the fan of each series, one above the other, on one loss axis if losses compare."""
    windows = [fan_window(forecast) for forecast in comparison.forecasts]
    if comparison.comparable:
        low, high = min(each.low for each in windows), max(each.high for each in windows)
        windows = [Window(low, high, windows[0].axis)] * len(windows)
    panels = []
    for name, forecast, window in zip(
        comparison.series, comparison.forecasts, windows, strict=True
    ):
        verdict = forecast.subtitle
        text = alt.TitleParams(
            text=name,
            subtitle=verdict if len(verdict) <= 120 else f"{verdict[:117]}...",
            anchor="start",
            fontSize=15,
            subtitleFontSize=12,
            subtitleColor=QUIET,
            offset=26,
        )
        panels.append(fan_panel(forecast, window, height=_FAN_HEIGHT).properties(title=text))
    chart = alt.vconcat(*panels, spacing=44)
    chart = chart.resolve_scale(color="independent", strokeDash="independent")
    return dress(chart, comparison.title, comparison.subtitle)


def comparison_distribution(comparison: Comparison) -> alt.VConcatChart:
    """Draw when each of two series is forecast to emerge, and the difference of their elbows.

    The two stand on one axis where losses compare, and on two where they do not; a refused forecast
    has no curve.
    """
    drawn = [
        _Drawn(name, forecast, forecast.elbow, colour)
        for name, forecast, colour in zip(
            comparison.series, comparison.forecasts, (FIRST, SECOND), strict=True
        )
        if forecast.elbow is not None
    ]
    colour = alt.Color(
        "series:N",
        scale=alt.Scale(
            domain=[each.name for each in drawn], range=[each.colour for each in drawn]
        ),
        legend=alt.Legend(title="series", offset=_LEGEND_OFFSET, symbolType="stroke"),
    )
    panels: list[alt.LayerChart] = []
    if comparison.comparable and drawn:
        panels += [_curves(drawn, "density", colour), _curves(drawn, "cumulative", colour)]
    else:
        panels += [_curves([each], "density", colour) for each in drawn]
    curve = comparison.difference_density()
    if not curve.is_empty():
        panels.append(_difference(comparison, curve))
    if not panels:
        panels.append(_nothing())
    return dress(alt.vconcat(*panels, spacing=24), comparison.title, comparison.subtitle)


def _body(drawn: Sequence[_Drawn]) -> Window:
    """The window of nearly all the mass of each distribution, and of what came true."""
    lows, highs = [], []
    for _, forecast, elbow, _ in drawn:
        span, ends = elbow.p95 - elbow.p05, forecast.distribution()["loss"]
        lows.append(max(elbow.p05 - 0.6 * span, min(ends)))
        highs.append(min(elbow.p95 + 0.6 * span, max(ends)))
        if forecast.truth is not None:
            lows.append(forecast.truth)
            highs.append(forecast.truth)
    low, high = min(lows), max(highs)
    margin = 0.06 * (high - low)
    return Window(low - margin, high + margin, drawn[0].forecast.axis)


def _curves(
    drawn: Sequence[_Drawn], column: Literal["density", "cumulative"], colour: alt.Color
) -> alt.LayerChart:
    """The density of each elbow, or the probability that each series has emerged."""
    window, density = _body(drawn), column == "density"
    last = not density or len(drawn) == 1
    x = marks.loss_x(window, titled=last)
    if density:
        y = marks.density_y(["density of the elbow", "(each to its own peak)"])
    else:
        label = drawn[0].forecast.axis.label
        title = ["probability that a model", f"of this {label} has emerged"]
        y = marks.probability_y("cumulative", title)
    layers: list[alt.Chart] = []
    for line, (name, forecast, elbow, ink) in enumerate(drawn):
        peak = pl.col("density") / pl.col("density").max()
        curve = forecast.distribution().with_columns(series=pl.lit(name), density=peak)
        base = alt.Chart(window.filled(curve))
        if density:
            text = f"{name}: median {loss_text(elbow.p50, forecast)}"
            layers += [
                base.mark_area(opacity=0.18, fill=ink).encode(x=x, y=y),
                marks.heading(text, window.share(elbow.p50), line=line, colour=ink),
            ]
        layers.append(base.mark_line(strokeWidth=2, clip=True).encode(x=x, y=y, color=colour))
        layers.append(marks.rule(elbow.p50, x, colour=ink))
        if forecast.truth is not None:
            layers.append(marks.rule(forecast.truth, x, colour=ink, width=2, dash=(7, 3)))
    if last and any(each.forecast.truth is not None for each in drawn):
        layers += marks.note(["Dashed: the elbow that came true, by series."], height=_HEIGHT)
    return alt.LayerChart(layer=layers).properties(width=WIDTH, height=_HEIGHT)


def _difference(comparison: Comparison, curve: pl.DataFrame) -> alt.LayerChart:
    """Density of the difference, coloured by who emerges first."""
    a, b = comparison.series
    axis = comparison.forecasts[0].axis
    x = alt.X(
        "difference:Q",
        scale=alt.Scale(nice=False, zero=False),
        axis=alt.Axis(
            title=f"elbow of {a} minus elbow of {b}, in {axis.unit}", grid=False, tickCount=8
        ),
    )
    y = marks.density_y(["density of", "the difference"])
    first = pl.col("difference") < 0 if axis.higher_is_stronger else pl.col("difference") > 0
    layers = [
        alt.Chart(part).mark_area(fill=ink, opacity=0.35).encode(x=x, y=y)
        for part, ink in ((curve.filter(first), FIRST), (curve.filter(~first), SECOND))
        if not part.is_empty()
    ]
    layers.append(alt.Chart(curve).mark_line(stroke=INK, strokeWidth=1.5).encode(x=x, y=y))
    layers.append(marks.one(difference=0.0).mark_rule(stroke=QUIET, strokeWidth=1).encode(x=x))
    true = comparison.true_difference
    if true is not None:
        layers.append(marks.rule(true, x, field="difference", colour=INK, width=2, dash=(7, 3)))
        layers += marks.note(["Dashed: the difference that came true."], height=_HEIGHT)
    sides = [(a, FIRST), (b, SECOND)]
    left, right = sides if axis.higher_is_stronger else sides[::-1]
    layers.append(marks.words(f"{left[0]} first", (0, -5), colour=left[1]))
    layers.append(marks.words(f"{right[0]} first", (WIDTH, -5), colour=right[1], align="right"))
    return alt.LayerChart(layer=layers).properties(width=WIDTH, height=_HEIGHT)


def _nothing() -> alt.LayerChart:
    """A panel that says that there is nothing to draw."""
    text = "both forecasts are refused: no distribution"
    layers = [marks.words(text, (WIDTH / 2, 30), align="center", baseline="middle", size=13)]
    return alt.LayerChart(layer=layers).properties(width=WIDTH, height=60)
