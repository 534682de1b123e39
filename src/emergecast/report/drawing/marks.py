"""Marks that the pictures share: the loss axis, chance, rules with a label above the panel."""

from __future__ import annotations

from typing import Any, Literal

import altair as alt
import polars as pl

from emergecast.report.drawing._look import BAND, INK, LATER, QUIET, WIDTH
from emergecast.report.drawing._view import ForecastView
from emergecast.report.drawing._window import Window

_LINE = 16  # px from one line of labels to the next
_LETTER = 5.9  # px of a letter of a label, on average


def loss_x(window: Window, *, titled: bool = True) -> alt.X:
    """The loss axis, or another: loss is reversed, so that stronger models are on the right."""
    title = f"{window.axis.title} (stronger models to the right)" if titled else None
    reverse = not window.axis.higher_is_stronger
    axis = alt.Axis(
        title=title, labels=titled, ticks=titled, grid=False, tickCount=8, labelFlush=False
    )
    return alt.X(
        "loss:Q",
        scale=alt.Scale(domain=[window.low, window.high], reverse=reverse, nice=False, zero=False),
        axis=axis,
    )


def score_y(window: Window, title: str) -> alt.Y:
    """The score axis."""
    scale = alt.Scale(domain=[window.low, window.high], nice=False, zero=False)
    return alt.Y("score:Q", scale=scale, axis=alt.Axis(title=title, tickCount=6))


def chance_rule(chance: float, y: alt.Y) -> alt.LayerChart:
    """A thin dotted line at chance, named in the right margin."""
    data = alt.InlineData(values=[{"score": chance}])
    rule = alt.Chart(data).mark_rule(stroke=QUIET, strokeDash=[2, 3], strokeWidth=1.2).encode(y=y)
    text = f"chance {chance:.3g}".replace("-", "\N{MINUS SIGN}")
    name = (
        alt.Chart(data)
        .mark_text(align="left", dx=6, baseline="middle", fontSize=12, fill=QUIET)
        .encode(y=y, x=alt.value(WIDTH), text=alt.value(text))
    )
    return alt.LayerChart(layer=[rule, name])


def loss_rule(loss: float, x: alt.X, **style: Any) -> alt.Chart:  # noqa: ANN401 (any mark property)
    """A vertical line at a loss."""
    data = alt.InlineData(values=[{"loss": loss}])
    return alt.Chart(data).mark_rule(clip=True, **style).encode(x=x)


def heading(
    text: str,
    *,
    loss: float,
    window: Window,
    line: int = 0,
    colour: str = QUIET,
    align: Literal["left", "center", "right"] = "center",
) -> alt.Chart:
    """A label above the panel at a loss; `line` counts lines upwards, so that labels never meet."""
    place = WIDTH * min(max(window.share(loss), 0.0), 1.0)
    if align == "center":  # not past the ends of the panel
        half = min(0.5 * _LETTER * len(text), 0.5 * WIDTH)
        place = min(max(place, half), WIDTH - half)
    return (
        alt.Chart(alt.InlineData(values=[{}]))
        .mark_text(align=align, baseline="bottom", fontSize=12, fill=colour)
        .encode(
            x=alt.value(round(place, 1)),
            y=alt.value(-5 - _LINE * line),
            text=alt.value(text),
        )
    )


def note(sentences: list[str], *, height: int) -> list[alt.Chart]:
    """Small remarks below the axis of a panel, one line each."""
    return [
        alt.Chart(alt.InlineData(values=[{}]))
        .mark_text(align="left", baseline="top", fontSize=11, fill=QUIET)
        .encode(x=alt.value(0), y=alt.value(height + 52 + 15 * line), text=alt.value(sentence))
        for line, sentence in enumerate(sentences)
    ]


def legend_of_bars(frame: pl.DataFrame) -> list[str]:
    """A sentence on the bars, where there are any."""
    return ["Bars: one standard error."] if frame["stderr"].is_not_null().any() else []


def left_out(points: pl.DataFrame, window: Window) -> list[str]:
    """A sentence on the scores that the window does not show, if there are any."""
    high = points.filter(pl.col("loss") > window.high)["loss"].to_list()
    low = points.filter(pl.col("loss") < window.low)["loss"].to_list()
    axis = window.axis
    noun = "losses" if axis.is_loss else axis.label
    parts = []
    if high:
        parts.append(f"{len(high)} at {noun} up to {axis.number(max(high), 2)}")
    if low:
        parts.append(f"{len(low)} at {noun} down to {axis.number(min(low), 2)}")
    return [f"Scores outside this picture: {', '.join(parts)}."] if parts else []


def few_shot_points(view: ForecastView, frame: pl.DataFrame, x: alt.X, y: alt.Y) -> alt.LayerChart:
    """Few-shot scores with their standard errors: filled where the forecast saw them, else open."""
    seen, later = frame.filter(~pl.col("hidden")), frame.filter("hidden")
    layers = [
        whiskers(later, x, y).encode(stroke=alt.value(LATER)),
        whiskers(seen, x, y).encode(stroke=alt.value(INK)),
        alt.Chart(later)
        .mark_point(filled=False, size=50, strokeWidth=1.7, stroke=LATER, fill="white", opacity=1)
        .encode(x=x, y=y, tooltip=tooltip(view)),
        alt.Chart(seen)
        .mark_point(filled=True, size=50, fill=INK, opacity=0.9)
        .encode(x=x, y=y, tooltip=tooltip(view)),
    ]
    return alt.LayerChart(layer=layers)


def whiskers(frame: pl.DataFrame, x: alt.X, y: alt.Y) -> alt.Chart:
    """One standard error on both sides of each score that has one."""
    known = frame.drop_nulls("stderr").with_columns(
        score=pl.col("score") - pl.col("stderr"), top=pl.col("score") + pl.col("stderr")
    )
    return (
        alt.Chart(known)
        .mark_rule(strokeWidth=1, opacity=0.45, clip=True)
        .encode(x=x, y=y, y2="top:Q")
    )


def tooltip(view: ForecastView) -> list[alt.Tooltip]:
    """What a point says of itself where the picture is interactive."""
    return [
        alt.Tooltip("checkpoint:N"),
        alt.Tooltip("label:N", title=view.shift.unit),
        alt.Tooltip("loss:Q", title=view.axis.label, format=".4f"),
        alt.Tooltip("score:Q", format=".4f"),
        alt.Tooltip("stderr:Q", format=".4f"),
    ]


def band(low: float, high: float, x: alt.X, opacity: float) -> alt.Chart:
    """An interval of the elbow, over the whole height of the panel."""
    data = alt.InlineData(values=[{"loss": low, "end": high}])
    return (
        alt.Chart(data)
        .mark_rect(clip=True, fill=BAND, opacity=opacity)
        .encode(x=x, x2=alt.X2("end:Q"))
    )
