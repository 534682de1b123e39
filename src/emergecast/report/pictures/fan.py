"""The fan: score against loss, one colour per data amount, and where few-shot leaves chance."""

from __future__ import annotations

import altair as alt
import polars as pl

from emergecast.report.drawing import (
    BAND,
    BAND_TEXT,
    FEW_SHOT,
    INK,
    LATER,
    LATER_FINETUNED,
    TRUTH,
    WIDTH,
    ElbowView,
    ForecastView,
    Window,
    amount_colours,
    dress,
    fan_window,
    loss_text,
    marks,
    score_title,
    score_window,
)

_HEIGHT = 420
_LEGEND_OFFSET = 92  # leaves room for the word at the chance line


def fan(view: ForecastView) -> alt.LayerChart:
    """Draw scores and fitted lines over loss, and the band where the few-shot elbow is forecast.

    Stronger models are on the right. Points beyond the window are counted in a note below the axis.
    """
    return dress(fan_panel(view, fan_window(view), height=_HEIGHT), view)


def fan_panel(view: ForecastView, window: Window, *, height: int) -> alt.LayerChart:
    """The fan in a window, without a title, to stand alone or beside another."""
    points = view.points()
    shown = window.cut(points)
    heights = score_window(view, shown)
    x, y = marks.loss_x(window), marks.score_y(heights, score_title(view))
    labels = _labels(points.filter(~pl.col("hidden")), view.curves())
    layers: list[alt.Chart | alt.LayerChart] = []
    if view.elbow is not None:
        layers += _elbow(view, view.elbow, window, x)
    layers.append(marks.chance_rule(view.chance, y))
    if view.truth is not None:
        layers += _truth(view, view.truth, window, x)
    layers += _lines(view, labels, x, y)
    layers += _later(view, shown.filter("hidden"), x, y)
    layers += _seen(view, shown.filter(~pl.col("hidden")), labels, x, y)
    sentences = [
        *marks.legend_of_bars(shown),
        *([view.lines] if view.lines else []),
        *marks.left_out(points, window),
        *_cut(view, window),
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


def _colour(view: ForecastView, labels: list[str]) -> alt.Color:
    """Colour by data amount: few-shot is ink, then the scale from few examples to many."""
    few_shot = [INK] if FEW_SHOT in labels else []
    colours = [*few_shot, *amount_colours(max(len(labels) - len(few_shot), 1))]
    return alt.Color(
        "label:N",
        scale=alt.Scale(domain=labels, range=colours[: len(labels)]),
        legend=alt.Legend(
            title=view.shift.label,
            offset=_LEGEND_OFFSET,
            symbolType="circle",
            symbolOpacity=1,
            symbolStrokeWidth=2,
        ),
    )


def _elbow(
    view: ForecastView, elbow: ElbowView, window: Window, x: alt.X
) -> list[alt.Chart | alt.LayerChart]:
    """The forecast: light over its 90% interval, darker over its 50%, a line at its median."""
    text = f"few-shot elbow {loss_text(elbow.p50, view)}, with 50% and 90% intervals"
    return [
        marks.band(elbow.p05, elbow.p95, x, 0.16),
        marks.band(elbow.p25, elbow.p75, x, 0.28),
        marks.loss_rule(elbow.p50, x, stroke=BAND, strokeWidth=2),
        marks.heading(
            text,
            loss=elbow.p50,
            window=window,
            line=0 if view.truth is None else 1,
            colour=BAND_TEXT,
        ),
    ]


def _truth(
    view: ForecastView, truth: float, window: Window, x: alt.X
) -> list[alt.Chart | alt.LayerChart]:
    """The few-shot elbow that was measured later."""
    return [
        marks.loss_rule(truth, x, stroke=TRUTH, strokeWidth=1.8, strokeDash=[7, 3]),
        marks.heading(
            f"measured later {loss_text(truth, view)}",
            loss=truth,
            window=window,
            colour=TRUTH,
        ),
    ]


def _lines(
    view: ForecastView, labels: list[str], x: alt.X, y: alt.Y
) -> list[alt.Chart | alt.LayerChart]:
    """Fitted lines, dashed where few-shot is extrapolated."""
    curves = view.curves()
    if curves.is_empty():
        return []
    # The dashed part starts where the solid one ends: without this the line would have a gap.
    joint = (
        curves.filter(~pl.col("extrapolated"))
        .sort("loss", descending=view.axis.higher_is_stronger)
        .unique("label", keep="first", maintain_order=True)
        .filter(pl.col("label").is_in(curves.filter("extrapolated")["label"].unique().to_list()))
        .with_columns(extrapolated=pl.lit(True))
    )
    parts = (
        pl.concat([curves, joint])
        .with_columns(
            part=pl.when("extrapolated").then(pl.lit("extrapolated")).otherwise(pl.lit("fitted"))
        )
        .sort("label", "part", "loss")
    )
    dash = alt.StrokeDash(
        "part:N",
        scale=alt.Scale(domain=["fitted", "extrapolated"], range=[[1, 0], [6, 3]]),
        legend=alt.Legend(
            title="law", offset=_LEGEND_OFFSET, symbolStrokeColor=INK, symbolSize=420
        ),
    )
    return [
        alt.Chart(parts)
        .mark_line(clip=True, strokeWidth=2)
        .encode(x=x, y=y, color=_colour(view, labels), strokeDash=dash)
    ]


def _seen(
    view: ForecastView, points: pl.DataFrame, labels: list[str], x: alt.X, y: alt.Y
) -> list[alt.Chart | alt.LayerChart]:
    """Scores that the forecast used, few-shot on top, with one standard error."""
    ordered = points.sort("examples", descending=True, nulls_last=True)
    colour = _colour(view, labels)
    return [
        marks.whiskers(ordered, x, y).encode(color=colour),
        alt.Chart(ordered)
        .mark_point(filled=True, size=50, opacity=0.9)
        .encode(x=x, y=y, color=colour, tooltip=marks.tooltip(view)),
    ]


def _later(
    view: ForecastView, points: pl.DataFrame, x: alt.X, y: alt.Y
) -> list[alt.Chart | alt.LayerChart]:
    """Scores of later checkpoints, which the forecast did not see: open and grey."""
    if points.is_empty():
        return []
    present = set(points["setting"].to_list())
    kinds = [kind for kind in (FEW_SHOT, "finetuned") if kind in present]
    colours = {FEW_SHOT: LATER, "finetuned": LATER_FINETUNED}
    stroke = alt.Stroke(
        "setting:N",
        scale=alt.Scale(domain=kinds, range=[colours[kind] for kind in kinds]),
        legend=alt.Legend(
            title="later, not seen", offset=_LEGEND_OFFSET, symbolType="circle", symbolOpacity=1
        ),
    )
    return [
        marks.whiskers(points.filter(pl.col("setting") == FEW_SHOT), x, y).encode(
            stroke=alt.value(LATER)
        ),
        alt.Chart(points.sort("setting", descending=True))
        .mark_point(filled=False, size=42, strokeWidth=1.6, fill="white", opacity=1)
        .encode(x=x, y=y, stroke=stroke, tooltip=marks.tooltip(view)),
    ]


def _cut(view: ForecastView, window: Window) -> list[str]:
    """A sentence on an interval that reaches beyond the window, if it does."""
    elbow = view.elbow
    if elbow is None or (window.low <= elbow.p05 and elbow.p95 <= window.high):
        return []
    low, high = loss_text(elbow.p05, view), loss_text(elbow.p95, view)
    return [f"The 90% interval, {low} to {high} {view.axis.unit}, reaches beyond this picture."]
