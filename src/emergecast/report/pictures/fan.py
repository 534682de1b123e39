"""The fan: score against loss, one colour per data amount, and where few-shot leaves chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import polars as pl

from emergecast.diagnostics import FEW_SHOT
from emergecast.report.drawing import (
    BAND,
    BAND_TEXT,
    INK,
    LATER,
    TRUTH,
    WIDTH,
    Window,
    amount_colours,
    dress,
    fan_window,
    loss_text,
    marks,
    score_title,
    score_window,
)

if TYPE_CHECKING:
    from emergecast.forecasts import Forecast

_Layers = list[alt.Chart | alt.LayerChart]

_HEIGHT = 420
_LEGEND_OFFSET = 92  # leaves room for the word at the chance line


def fan(forecast: Forecast) -> alt.LayerChart:
    """Draw scores and fitted lines over loss, and the band where the few-shot elbow is forecast.

    Stronger models are on the right. Points beyond the window are counted in a note below the axis.
    """
    panel = fan_panel(forecast, fan_window(forecast), height=_HEIGHT)
    return dress(panel, forecast.title, forecast.subtitle)


def fan_panel(forecast: Forecast, window: Window, *, height: int) -> alt.LayerChart:
    """The fan in a window, without a title, to stand alone or beside another."""
    points, curves = forecast.points(), forecast.curves()
    shown = window.cut(points)
    x = marks.loss_x(window)
    y = marks.window_y("score", score_window(forecast, shown), score_title(forecast), ticks=6)
    colour = _colour(forecast, _labels(points.filter(~pl.col("hidden")), curves))
    layers: _Layers = [
        *_elbow(forecast, window, x),
        marks.chance_rule(forecast.chance, y),
        *_truth(forecast, window, x),
        *_lines(forecast, curves, x, y, colour=colour),
        *_later(forecast, shown.filter("hidden"), x, y),
        *_seen(forecast, shown.filter(~pl.col("hidden")), x, y, colour=colour),
    ]
    sentences = [
        *marks.legend_of_bars(shown),
        *([forecast.lines] if forecast.lines else []),
        *marks.left_out(points, window),
        *_cut(forecast, window),
    ]
    layers += marks.note(sentences, height=height)
    chart = alt.LayerChart(layer=layers).resolve_scale(color="shared", stroke="independent")
    return chart.properties(width=WIDTH, height=height)


def _labels(points: pl.DataFrame, curves: pl.DataFrame) -> list[str]:
    """Labels of the legend: few-shot, then the data amounts in increasing order."""
    named = [
        frame.select("label", pl.col("examples").cast(pl.Float64)) for frame in (points, curves)
    ]
    both = pl.concat(named).unique("label").sort("examples")["label"].to_list()
    return sorted(both, key=lambda label: label != FEW_SHOT)


def _colour(forecast: Forecast, labels: list[str]) -> alt.Color:
    """Colour by data amount: few-shot is ink, then the scale from few examples to many."""
    few_shot = [INK] if FEW_SHOT in labels else []
    colours = [*few_shot, *amount_colours(max(len(labels) - len(few_shot), 1))]
    return alt.Color(
        "label:N",
        scale=alt.Scale(domain=labels, range=colours[: len(labels)]),
        legend=alt.Legend(
            title=forecast.shift.label,
            offset=_LEGEND_OFFSET,
            symbolType="circle",
            symbolOpacity=1,
            symbolStrokeWidth=2,
        ),
    )


def _elbow(forecast: Forecast, window: Window, x: alt.X) -> _Layers:
    """The forecast: light over its 90% interval, darker over its 50%, a line at its median."""
    elbow = forecast.elbow
    if elbow is None:
        return []
    text = f"few-shot elbow {loss_text(elbow.p50, forecast)}, with 50% and 90% intervals"
    line = 0 if forecast.truth is None else 1
    return [
        marks.band(elbow.p05, elbow.p95, x, opacity=0.16),
        marks.band(elbow.p25, elbow.p75, x, opacity=0.28),
        marks.rule(elbow.p50, x, colour=BAND, width=2),
        marks.heading(text, window.share(elbow.p50), line=line, colour=BAND_TEXT),
    ]


def _truth(forecast: Forecast, window: Window, x: alt.X) -> _Layers:
    """The few-shot elbow that was measured later."""
    if forecast.truth is None:
        return []
    text = f"measured later {loss_text(forecast.truth, forecast)}"
    return [
        marks.truth_rule(forecast.truth, x),
        marks.heading(text, window.share(forecast.truth), colour=TRUTH),
    ]


def _lines(
    forecast: Forecast, curves: pl.DataFrame, x: alt.X, y: alt.Y, *, colour: alt.Color
) -> _Layers:
    """Fitted lines, dashed where few-shot is extrapolated."""
    if curves.is_empty():
        return []
    # The dashed part starts where the solid one ends: without this the line would have a gap.
    joint = (
        curves.filter(~pl.col("extrapolated"))
        .sort("loss", descending=forecast.axis.higher_is_stronger)
        .unique("label", keep="first", maintain_order=True)
        .filter(pl.col("label").is_in(curves.filter("extrapolated")["label"].unique().to_list()))
        .with_columns(extrapolated=pl.lit(True))
    )
    part = pl.when("extrapolated").then(pl.lit("extrapolated")).otherwise(pl.lit("fitted"))
    parts = pl.concat([curves, joint]).with_columns(part=part).sort("label", "part", "loss")
    dash = alt.StrokeDash(
        "part:N",
        scale=alt.Scale(domain=["fitted", "extrapolated"], range=[[1, 0], [6, 3]]),
        legend=alt.Legend(
            title="law", offset=_LEGEND_OFFSET, symbolStrokeColor=INK, symbolSize=420
        ),
    )
    line = alt.Chart(parts).mark_line(clip=True, strokeWidth=2)
    return [line.encode(x=x, y=y, color=colour, strokeDash=dash)]


def _seen(
    forecast: Forecast, points: pl.DataFrame, x: alt.X, y: alt.Y, *, colour: alt.Color
) -> _Layers:
    """Scores that the forecast used, few-shot on top, with one standard error."""
    ordered = points.sort("examples", descending=True, nulls_last=True)
    dots = alt.Chart(ordered).mark_point(filled=True, size=50, opacity=0.9)
    return [
        marks.whiskers(ordered, x, y).encode(color=colour),
        dots.encode(x=x, y=y, color=colour, tooltip=marks.tooltip(forecast)),
    ]


def _later(forecast: Forecast, points: pl.DataFrame, x: alt.X, y: alt.Y) -> _Layers:
    """Few-shot scores of later checkpoints, which the forecast did not see: open and grey."""
    if points.is_empty():
        return []
    stroke = alt.Stroke(
        "setting:N",
        scale=alt.Scale(domain=[FEW_SHOT], range=[LATER]),
        legend=alt.Legend(
            title="later, not seen", offset=_LEGEND_OFFSET, symbolType="circle", symbolOpacity=1
        ),
    )
    dots = alt.Chart(points).mark_point(
        filled=False, size=42, strokeWidth=1.6, fill="white", opacity=1
    )
    return [
        marks.whiskers(points, x, y).encode(stroke=alt.value(LATER)),
        dots.encode(x=x, y=y, stroke=stroke, tooltip=marks.tooltip(forecast)),
    ]


def _cut(forecast: Forecast, window: Window) -> list[str]:
    """A sentence on an interval that reaches beyond the window, if it does."""
    elbow = forecast.elbow
    if elbow is None or (window.holds(elbow.p05) and window.holds(elbow.p95)):
        return []
    low, high = loss_text(elbow.p05, forecast), loss_text(elbow.p95, forecast)
    unit = forecast.axis.unit
    return [f"The 90% interval, {low} to {high} {unit}, reaches beyond this picture."]
