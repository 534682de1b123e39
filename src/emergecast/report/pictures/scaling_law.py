"""A fitted scaling law: loss against compute with the law's curves, and what it leaves over."""

from __future__ import annotations

import math

import altair as alt
import polars as pl

from emergecast.report.drawing import (
    AMOUNT,
    BAND,
    BAND_TEXT,
    INK,
    QUIET,
    TRUTH,
    WIDTH,
    dress,
    marks,
)
from emergecast.scaling import ScalingFit, law_curve, points_frame, size_curves

_HEIGHT = 330
_RESIDUAL_HEIGHT = 150
_MARGIN = 1.15  # factor left free on both sides of a logarithmic axis
_NAMED = 5
_UNITS = {"params": "parameters", "tokens": "training tokens", "flops": "training FLOPs"}


def scaling(fit: ScalingFit) -> alt.VConcatChart:
    """Draw the points, the law's curves with its 90% interval, and the residuals below them."""
    points = points_frame(fit)
    sized = not size_curves(fit).is_empty()
    x = _x(fit, points)
    top = _losses(fit, points, x, sized=sized)
    chart = alt.vconcat(top, _residuals(points, x, sized=sized), spacing=46)
    return dress(chart.resolve_scale(color="shared"), fit.title, fit.subtitle)


def _x(fit: ScalingFit, points: pl.DataFrame) -> alt.X:
    amounts = [*points["amount"], *law_curve(fit)["amount"]]
    low, high = min(amounts) / _MARGIN, max(amounts) * _MARGIN
    title = f"{_UNITS[fit.axis]}, logarithmic"
    return alt.X(
        "amount:Q",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(title=title, grid=False, format=".2~e", values=_decades(low, high)),
    )


def _colour(points: pl.DataFrame) -> alt.Color:
    sizes = points["params"].to_list()
    low, high = min(sizes), max(sizes)
    legend = alt.Legend(
        title="parameters", values=_decades(low, high), labelExpr=AMOUNT, gradientLength=140
    )
    scale = alt.Scale(type="log", scheme="viridis", domain=[low, high], reverse=True)
    return alt.Color("params:Q", scale=scale, legend=legend)


def _decades(low: float, high: float) -> list[float]:
    """Powers of ten between the two, or the two where there is at most one."""
    powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    step = -(-len(powers) // 8) or 1
    found = [float(f"1e{power}") for power in powers[::step]]
    return found if len(found) > 1 else [low, high]


def _losses(fit: ScalingFit, points: pl.DataFrame, x: alt.X, *, sized: bool) -> alt.LayerChart:
    law = law_curve(fit)
    seen = [*points["loss"], *law["loss"]]
    scale = alt.Scale(
        type="log", domain=[min(seen) / 1.02, max(points["loss"]) * 1.02], nice=False, clamp=True
    )
    ticks = _ticks(min(seen) / 1.02, max(points["loss"]) * 1.02)
    axis = alt.Axis(title="loss, nats per token (logarithmic)", values=ticks, format=".3~g")
    y = alt.Y("loss:Q", scale=scale, axis=axis)
    layers: list[alt.Chart | alt.LayerChart] = []
    if not law.is_empty():
        base = alt.Chart(law)
        band = base.mark_area(fill=BAND, opacity=0.22, clip=True)
        layers += [
            band.encode(x=x, y=alt.Y("low:Q", scale=scale, axis=axis), y2="high:Q"),
            base.mark_line(stroke=BAND_TEXT, strokeWidth=2, clip=True).encode(x=x, y=y),
        ]
    if sized:
        curves = alt.Chart(size_curves(fit)).mark_line(strokeWidth=1.3, opacity=0.85, clip=True)
        layers.append(curves.encode(x=x, y=y, color=_colour(points), detail="params:N"))
    layers += [_dots(points, x, y, sized=sized), _rings(points, x, y)]
    layers += marks.note(_sentences(points, law, sized=sized), height=_HEIGHT)
    return alt.LayerChart(layer=layers).properties(width=WIDTH, height=_HEIGHT)


def _sentences(points: pl.DataFrame, law: pl.DataFrame, *, sized: bool) -> list[str]:
    of = "the compute-optimal split" if sized else "the law"
    sentences = [] if law.is_empty() else [f"Orange: {of}, and its 90% interval."]
    if sized:
        sentences.append("Thin lines: the law at one size each, over the tokens of the table.")
    count = int(points["outlier"].sum())
    if count:
        sentences.append(f"Ringed: {count} outliers, which count all the same.")
    return sentences


def _ticks(low: float, high: float) -> list[float]:
    """Round losses, some six of them, within a narrow logarithmic axis."""
    step = 10.0 ** math.floor(math.log10((high - low) / 3))
    for factor in (1, 2, 5):
        if (high - low) / (factor * step) <= 8:
            step *= factor
            break
    first = math.ceil(low / step)
    return [round(i * step, 6) for i in range(first, math.floor(high / step) + 1)]


def _dots(points: pl.DataFrame, x: alt.X, y: alt.Y, *, sized: bool) -> alt.Chart:
    dots = alt.Chart(points).mark_point(filled=True, size=26, opacity=0.9, clip=True)
    colour = _colour(points) if sized else alt.value(INK)
    return dots.encode(x=x, y=y, color=colour, tooltip=_tooltip())


def _rings(points: pl.DataFrame, x: alt.X, y: alt.Y) -> alt.Chart:
    ring = alt.Chart(points.filter("outlier"))
    ring = ring.mark_point(filled=False, size=130, strokeWidth=1.6, stroke=TRUTH, opacity=1)
    return ring.encode(x=x, y=y, tooltip=_tooltip())


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("row:Q"),
        alt.Tooltip("params:Q", format=".3s"),
        alt.Tooltip("amount:Q", format=".3s"),
        alt.Tooltip("loss:Q", format=".4f"),
        alt.Tooltip("residual:Q", format="+.2%"),
    ]


def _residuals(points: pl.DataFrame, x: alt.X, *, sized: bool) -> alt.LayerChart:
    reach = 1.15 * max(1e-6, *map(abs, points["residual"].to_list()))
    y = alt.Y(
        "residual:Q",
        scale=alt.Scale(domain=[-reach, reach], nice=False),
        axis=alt.Axis(title="ln of loss over law", format="+.1%", tickCount=5),
    )
    zero = marks.one(residual=0.0).mark_rule(stroke=QUIET).encode(y=y)
    far = points.filter("outlier").sort(pl.col("residual").abs(), descending=True).head(_NAMED)
    far = far.with_columns(name=pl.format("row {}", "row"))
    layers = [zero, _dots(points, x, y, sized=sized), _rings(points, x, y)]
    for side, part in (("left", far.gather_every(2)), ("right", far.gather_every(2, offset=1))):
        names = alt.Chart(part).mark_text(
            align="left" if side == "left" else "right",
            dx=9 if side == "left" else -9,
            fontSize=11,
            fill=TRUTH,
        )
        layers.append(names.encode(x=x, y=y, text="name:N"))
    return alt.LayerChart(layer=layers).properties(width=WIDTH, height=_RESIDUAL_HEIGHT)
