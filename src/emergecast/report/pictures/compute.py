"""The forecast in compute: probability that a run has emerged, over training FLOPs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import altair as alt
import polars as pl

from emergecast.compute import compute_checkpoints, compute_ticks
from emergecast.measurements import Axis, marked
from emergecast.report.drawing import (
    BAND_TEXT,
    INK,
    LATER,
    QUIET,
    TRUTH,
    WIDTH,
    Window,
    dress,
    marks,
)
from emergecast.scaling import amount_text, flops_text

if TYPE_CHECKING:
    from emergecast.compute import Compute, Quantiles
    from emergecast.forecasts import Forecast

_HEIGHT = 240
_ROW = 24  # px a row of checkpoints
_SEEN, _CHANCE, _EMERGED = "in the fit", "later, at chance", "later, above chance"
_KINDS = {_SEEN: INK, _CHANCE: LATER, _EMERGED: TRUTH}
_FLOPS = Axis.parse("flops:linear")


def compute(forecast: Forecast) -> alt.VConcatChart:
    """Draw the probability that a run has emerged against its training FLOPs, and the checkpoints.

    Raises:
        ValueError: the forecast has no FLOPs to draw.
    """
    found, curve = forecast.compute, forecast.compute_curve()
    if found is None or found.flops is None or curve.is_empty():
        message = "a forecast without FLOPs has no picture in compute"
        raise ValueError(message)
    window = Window(float(curve["flops"][0]), float(curve["flops"][-1]), _FLOPS, logarithmic=True)
    checkpoints = window.cut(compute_checkpoints(forecast.fit.selection), "flops")
    ticks = compute_ticks(forecast.on_axis, found)
    panels = [
        _probability(found, found.flops, curve, window),
        _checkpoints(checkpoints, _numbered_x(window, ticks, found.tied)),
    ]
    title, subtitle = _title(forecast, found, found.flops), forecast.subtitle
    if forecast.axis.is_loss:
        subtitle = f"In loss: {forecast.title.partition(': ')[2]}. {subtitle}"
    return dress(alt.vconcat(*panels, spacing=10), title, subtitle)


def _title(forecast: Forecast, found: Compute, flops: Quantiles) -> str:
    name = marked(forecast.task, invented=forecast.fit.selection.invented)
    if flops.p50 is None:
        return f"{name}: probably no amount of training reaches few-shot emergence"
    title = f"{name}: few-shot emergence at {flops_text(flops.p50)} training FLOPs"
    if found.strongest_flops is None:
        return title
    return f"{title}, {flops.p50 / found.strongest_flops:.3g} times the strongest checkpoint"


def _x(window: Window, axis: alt.Axis) -> alt.X:
    scale = alt.Scale(type="log", domain=[window.low, window.high], nice=False)
    return alt.X("flops:Q", scale=scale, axis=axis)


def _numbered_x(window: Window, ticks: pl.DataFrame, tied: str) -> alt.X:
    """The FLOPs axis; under each number the parameters of such a run, where they are known."""
    sized = ticks["params"].null_count() == 0
    expression = ""
    for flops, params in ticks.select("flops", "params").iter_rows():
        words = [flops_text(flops, 1), *([amount_text(params)] if sized else [])]
        expression += f"datum.value == {flops!r} ? {words!r} : "
    title = "training FLOPs of a run (more to the right)"
    if sized:
        title += f"; below them its parameters, {tied}"
    axis = alt.Axis(
        title=title,
        values=ticks["flops"].to_list(),
        labelExpr=f"{expression}''",
        grid=False,
        labelFlush=False,
    )
    return _x(window, axis)


def _probability(
    found: Compute, flops: Quantiles, curve: pl.DataFrame, window: Window
) -> alt.LayerChart:
    """The curve, over the 90% interval and the strongest checkpoint."""
    x = _x(window, alt.Axis(title=None, labels=False, ticks=False, grid=False))
    y = marks.probability_y("emerged", ["probability that one run", "of so many FLOPs has emerged"])
    layers: list[alt.Chart] = []
    low, high = flops.p05, flops.p95
    if low is not None and low < window.high:
        start, end = max(low, window.low), min(high or window.high, window.high)
        text = f"90% interval {flops_text(low)} to "
        text += "no compute at all" if high is None else flops_text(high)
        middle = window.share(math.sqrt(start * end))
        layers.append(marks.band(start, end, x, opacity=0.18, field="flops"))
        layers.append(marks.heading(text, middle, colour=BAND_TEXT))
    if flops.p50 is not None and window.holds(flops.p50):
        text = f"median {flops_text(flops.p50)}"
        layers.append(marks.rule(flops.p50, x, field="flops", colour=BAND_TEXT, width=1.6))
        layers.append(marks.heading(text, window.share(flops.p50), line=1, colour=BAND_TEXT))
    used = found.strongest_flops
    if used is not None and window.holds(used):
        text = f"strongest checkpoint used {flops_text(used)}"
        layers.append(marks.rule(used, x, field="flops", colour=QUIET, dash=(4, 3)))
        layers.append(marks.heading(text, window.share(used), line=2))
    line = alt.Chart(curve).mark_line(stroke=BAND_TEXT, strokeWidth=2.2, clip=True)
    layers.append(line.encode(x=x, y=y))
    return alt.LayerChart(layer=layers).properties(width=WIDTH, height=_HEIGHT)


def _checkpoints(known: pl.DataFrame, x: alt.X) -> alt.LayerChart:
    """The checkpoints at their FLOPs, one row a kind, under the same axis."""
    kind = (
        pl.when(~pl.col("hidden"))
        .then(pl.lit(_SEEN))
        .when("emerged")
        .then(pl.lit(_EMERGED))
        .otherwise(pl.lit(_CHANCE))
    )
    frame = known.with_columns(kind=kind)
    present = [name for name in _KINDS if name in set(frame["kind"])] or [_SEEN]
    y = alt.Y(
        "kind:N",
        scale=alt.Scale(domain=present),
        sort=present,
        axis=alt.Axis(title="checkpoints", ticks=False, domain=False),
    )
    colours = alt.Scale(domain=present, range=[_KINDS[name] for name in present])
    ticks = alt.Chart(frame).mark_tick(thickness=1.6, size=0.6 * _ROW, opacity=0.85)
    marked = ticks.encode(
        x=x,
        y=y,
        color=alt.Color("kind:N", scale=colours, legend=None),
        tooltip=[alt.Tooltip("checkpoint:N"), alt.Tooltip("flops:Q", format=".3g")],
    )
    height = _ROW * len(present)
    return alt.LayerChart(layer=[marked]).properties(width=WIDTH, height=height)
