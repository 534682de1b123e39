"""Marks that the pictures share: axes, chance, rules with a label above the panel, notes below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import altair as alt
import polars as pl

from emergecast.report.drawing._look import BAND, INK, LATER, QUIET, TRUTH, WIDTH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emergecast.forecasts import Forecast
    from emergecast.report.drawing._window import Window

_LINE = 16  # px from one line of labels to the next
_LETTER = 5.9  # px of a letter of a label, on average
_STRONGER = "(stronger models to the right)"
_Side = Literal["left", "center", "right"]


# -------------------------------------------------------------------------------- axes


def loss_x(
    window: Window, *, titled: bool = True, title: str | None = None, grid: bool = False
) -> alt.X:
    """The loss axis, or another: loss is reversed, so that stronger models are on the right."""
    axis = alt.Axis(
        title=f"{title or window.axis.title} {_STRONGER}" if titled else None,
        labels=titled,
        ticks=titled,
        grid=grid,
        tickCount=8,
        labelFlush=False,
    )
    return alt.X("loss:Q", scale=loss_scale(window), axis=axis)


def loss_scale(window: Window) -> alt.Scale:
    """The scale of that axis, linear."""
    reverse = not window.axis.higher_is_stronger
    return alt.Scale(domain=[window.low, window.high], reverse=reverse, nice=False, zero=False)


def window_y(field: str, window: Window, title: str, ticks: int) -> alt.Y:
    """An upright axis that shows a window: scores, or losses."""
    scale = alt.Scale(domain=[window.low, window.high], nice=False, zero=False)
    return alt.Y(f"{field}:Q", scale=scale, axis=alt.Axis(title=title, tickCount=ticks))


def density_y(title: list[str]) -> alt.Y:
    """The axis of a density, without numbers: it is read by its shape."""
    axis = alt.Axis(title=title, labels=False, ticks=False, grid=False)
    return alt.Y("density:Q", scale=alt.Scale(zero=True, nice=False), axis=axis)


def probability_y(field: str, title: list[str]) -> alt.Y:
    """The axis of a probability, from 0 to 100%."""
    axis = alt.Axis(title=title, values=[0, 0.25, 0.5, 0.75, 1], format="%")
    return alt.Y(f"{field}:Q", scale=alt.Scale(domain=[0, 1]), axis=axis)


# -------------------------------------------------------------------------------- lines and words


def one(**values: float) -> alt.Chart:
    """A chart of a single row."""
    return alt.Chart(alt.InlineData(values=[values]))


def rule(
    at: float,
    x: alt.X,
    *,
    field: str = "loss",
    colour: str,
    width: float = 1.0,
    dash: tuple[int, int] | None = None,
) -> alt.Chart:
    """A vertical line at a value of the field that `x` shows."""
    dashes = alt.Undefined if dash is None else list(dash)
    marked = one(**{field: at}).mark_rule(
        clip=True, stroke=colour, strokeWidth=width, strokeDash=dashes
    )
    return marked.encode(x=x)


def truth_rule(truth: float, x: alt.X) -> alt.Chart:
    """A vertical line at the few-shot elbow that was measured."""
    return rule(truth, x, colour=TRUTH, width=1.8, dash=(7, 3))


def band(low: float, high: float, x: alt.X, *, opacity: float, field: str = "loss") -> alt.Chart:
    """An interval of the elbow, over the whole height of the panel."""
    marked = one(**{field: low, "end": high}).mark_rect(clip=True, fill=BAND, opacity=opacity)
    return marked.encode(x=x, x2=alt.X2("end:Q"))


def words(
    text: str,
    place: tuple[float, float],
    *,
    colour: str = QUIET,
    align: _Side = "left",
    baseline: Literal["top", "middle", "bottom"] = "bottom",
    size: int = 12,
) -> alt.Chart:
    """A text that starts, ends or has its middle at a place of the panel, px."""
    marked = one().mark_text(align=align, baseline=baseline, fontSize=size, fill=colour)
    return marked.encode(x=alt.value(place[0]), y=alt.value(place[1]), text=alt.value(text))


def heading(
    text: str, share: float, *, line: int = 0, colour: str = QUIET, align: _Side = "center"
) -> alt.Chart:
    """A label above the panel, at a share of its width (`Window.share`).

    `line` counts lines upwards, so that labels never meet.
    """
    place = WIDTH * min(max(share, 0.0), 1.0)
    if align == "center":  # not past the ends of the panel
        half = min(0.5 * _LETTER * len(text), 0.5 * WIDTH)
        place = min(max(place, half), WIDTH - half)
    return words(text, (round(place, 1), -5 - _LINE * line), colour=colour, align=align)


def note(sentences: Sequence[str], *, height: int, below: int = 52) -> list[alt.Chart]:
    """Small remarks below the axis of a panel of this height, one line each."""
    return [
        words(sentence, (0, height + below + 15 * line), baseline="top", size=11)
        for line, sentence in enumerate(sentences)
    ]


# -------------------------------------------------------------------------------- scores


def chance_rule(chance: float, y: alt.Y) -> alt.LayerChart:
    """A thin dotted line at chance, named in the right margin."""
    row = one(score=chance)
    text = f"chance {chance:.3g}".replace("-", "\N{MINUS SIGN}")
    name = row.mark_text(align="left", dx=6, baseline="middle", fontSize=12, fill=QUIET)
    layers = [
        row.mark_rule(stroke=QUIET, strokeDash=[2, 3], strokeWidth=1.2).encode(y=y),
        name.encode(y=y, x=alt.value(WIDTH), text=alt.value(text)),
    ]
    return alt.LayerChart(layer=layers)


def few_shot_points(forecast: Forecast, frame: pl.DataFrame, x: alt.X, y: alt.Y) -> alt.LayerChart:
    """Few-shot scores with their standard errors: filled where the forecast saw them, else open."""
    seen, later = frame.filter(~pl.col("hidden")), frame.filter("hidden")
    layers = [
        whiskers(later, x, y).encode(stroke=alt.value(LATER)),
        whiskers(seen, x, y).encode(stroke=alt.value(INK)),
        alt.Chart(later)
        .mark_point(filled=False, size=50, strokeWidth=1.7, stroke=LATER, fill="white", opacity=1)
        .encode(x=x, y=y, tooltip=tooltip(forecast)),
        alt.Chart(seen)
        .mark_point(filled=True, size=50, fill=INK, opacity=0.9)
        .encode(x=x, y=y, tooltip=tooltip(forecast)),
    ]
    return alt.LayerChart(layer=layers)


def whiskers(frame: pl.DataFrame, x: alt.X, y: alt.Y) -> alt.Chart:
    """One standard error on both sides of each score that has one."""
    known = frame.drop_nulls("stderr").with_columns(
        score=pl.col("score") - pl.col("stderr"), top=pl.col("score") + pl.col("stderr")
    )
    marked = alt.Chart(known).mark_rule(strokeWidth=1, opacity=0.45, clip=True)
    return marked.encode(x=x, y=y, y2="top:Q")


def tooltip(forecast: Forecast) -> list[alt.Tooltip]:
    """What a point says of itself where the picture is interactive."""
    return [
        alt.Tooltip("checkpoint:N"),
        alt.Tooltip("label:N", title=forecast.shift.unit),
        alt.Tooltip("loss:Q", title=forecast.axis.label, format=".4f"),
        alt.Tooltip("score:Q", format=".4f"),
        alt.Tooltip("stderr:Q", format=".4f"),
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
