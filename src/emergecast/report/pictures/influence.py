"""Influence: the forecast without each checkpoint and amount; and residuals against strength."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import altair as alt
import polars as pl

from emergecast.report.drawing import (
    AMOUNT,
    BAND,
    BAND_TEXT,
    INK,
    QUIET,
    WIDTH,
    Window,
    dress,
    marks,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emergecast.diagnostics import Influence, Residual
    from emergecast.forecasts import Elbow, Forecast
    from emergecast.measurements import Axis

_SHOWN = 12
"""Checkpoints and amounts that are drawn at most."""
_STEP = 22  # px a row
_RESIDUAL_HEIGHT = 190
_NAMED = 3
_SIZES = ["#440154", "#2c728e", "#5ec962"]
_LONGEST = 34  # letters of a name
_KINDS = {"checkpoint": ("without a checkpoint", INK), "amount": ("without an amount", "#21918c")}


def influence(forecast: Forecast) -> alt.VConcatChart:
    """Draw what the forecast would be without each row group, and what the law leaves over.

    Raises:
        ValueError: the forecast has no diagnostics, because it is refused.
    """
    if forecast.elbow is None or forecast.diagnostics is None:
        message = "a refused forecast has no diagnostics to draw"
        raise ValueError(message)
    found = forecast.diagnostics.on_axis(forecast.axis)
    panels = [_left_out(found.influence, forecast.elbow, forecast.axis)]
    if found.residuals:
        panels.append(_residuals(found.residuals, forecast.axis))
    chart = alt.vconcat(*panels, spacing=34).resolve_scale(color="independent")
    return dress(chart, forecast.title, forecast.subtitle)


def _left_out(found: Sequence[Influence], elbow: Elbow, axis: Axis) -> alt.LayerChart:
    """Interval and median without each of the most influential row groups."""
    frame = pl.DataFrame(found[:_SHOWN]).with_columns(
        name=pl.Series([_short(each.what) for each in found[:_SHOWN]]),
        label=pl.Series([_KINDS[each.kind][0] for each in found[:_SHOWN]]),
    )
    ends = [*frame["p05"], *frame["p95"], elbow.p05, elbow.p95]
    margin = 0.04 * (max(ends) - min(ends)) or 0.01
    scale = marks.loss_scale(Window(min(ends) - margin, max(ends) + margin, axis))
    title = f"few-shot elbow without these rows, {axis.unit} (later emergence to the right)"
    x = alt.X("p50:Q", scale=scale, axis=alt.Axis(title=title, grid=False, tickCount=8))
    x_low = alt.X("p05:Q", scale=scale)
    y = alt.Y(
        "name:N",
        sort=frame["name"].to_list(),
        axis=alt.Axis(title=None, labelLimit=260, ticks=False),
    )
    used = [shown for kind, shown in _KINDS.items() if kind in set(frame["kind"])]
    colours = alt.Scale(domain=[label for label, _ in used], range=[ink for _, ink in used])
    colour = alt.Color("label:N", scale=colours, legend=alt.Legend(title=None))
    tooltip = [
        alt.Tooltip("what:N", title="without"),
        alt.Tooltip("n_rows:Q", title="rows"),
        alt.Tooltip("p50:Q", title="median", format=".4f"),
        alt.Tooltip("shift:Q", title="shift", format="+.4f"),
    ]
    whole, base = marks.one(p05=elbow.p05, p50=elbow.p50, p95=elbow.p95), alt.Chart(frame)
    intervals = base.mark_rule(strokeWidth=1.6, opacity=0.55)
    medians = base.mark_point(filled=True, size=60, opacity=1)
    height = _STEP * frame.height
    layers = [
        whole.mark_rect(fill=BAND, opacity=0.18).encode(x=x_low, x2="p95:Q"),
        whole.mark_rule(stroke=BAND_TEXT, strokeWidth=1.4).encode(x=x),
        intervals.encode(x=x_low, x2="p95:Q", y=y, color=colour),
        medians.encode(x=x, y=y, color=colour, tooltip=tooltip),
        marks.words("band and line: with all rows (90%)", (0, -6), colour=BAND_TEXT),
        *marks.note(_not_shown(found[_SHOWN:], axis), height=height),
    ]
    return alt.LayerChart(layer=layers).properties(width=WIDTH, height=height)


def _not_shown(rest: Sequence[Influence], axis: Axis) -> list[str]:
    """A sentence on the row groups that are not drawn, if there are any."""
    if not rest:
        return []
    others = f"{len(rest)} others move" if len(rest) > 1 else "One other moves"
    far = f"{max(abs(each.shift) for each in rest):.3f} {axis.unit}"
    return [f"{others} the median by {far} at most; forecast.json has them all."]


def _residuals(found: Sequence[Residual], axis: Axis) -> alt.LayerChart:
    """Mean distance of each checkpoint from the law, past its elbows, coloured by size if known."""
    frame = pl.DataFrame(found, schema_overrides={"params": pl.Float64}).with_columns(
        low=pl.col("residual") - pl.col("stderr"), high=pl.col("residual") + pl.col("stderr")
    )
    x = alt.X(
        "loss:Q",
        scale=alt.Scale(reverse=not axis.higher_is_stronger, nice=True, zero=False, padding=14),
        axis=alt.Axis(
            title=f"{axis.title} (stronger models to the right)", grid=False, tickCount=8
        ),
    )
    y = alt.Y(
        "residual:Q",
        scale=alt.Scale(zero=True, nice=True),
        axis=alt.Axis(title=["score minus law,", "mean past the elbows"], tickCount=6),
    )
    base = alt.Chart(frame)
    points = base.mark_point(filled=True, size=65, opacity=0.95).encode(
        x=x,
        y=y,
        tooltip=[
            alt.Tooltip("checkpoint:N"),
            alt.Tooltip("residual:Q", format="+.4f"),
            alt.Tooltip("n_rows:Q", title="rows"),
            alt.Tooltip("params:Q", format=".3s"),
        ],
    )
    if frame["params"].drop_nulls().n_unique() > 1:
        legend = alt.Legend(title="parameters", labelExpr=AMOUNT, tickCount=3)
        sizes = alt.Scale(type="log", range=_SIZES)
        points = points.encode(color=alt.Color("params:Q", scale=sizes, legend=legend))
    else:
        points = points.encode(fill=alt.value(INK))
    zero = marks.one(residual=0).mark_rule(stroke=QUIET, strokeDash=[2, 3], strokeWidth=1.2)
    errors = base.mark_rule(strokeWidth=1, opacity=0.5, stroke=INK)
    layers = [
        zero.encode(y=y),
        errors.encode(x=x, y=alt.Y("low:Q"), y2="high:Q"),
        points,
        *(each.encode(x=x, y=y, text="name:N") for each in _names(frame, axis)),
    ]
    return alt.LayerChart(layer=layers).properties(width=WIDTH, height=_RESIDUAL_HEIGHT)


def _names(residuals: pl.DataFrame, axis: Axis) -> list[alt.Chart]:
    """The checkpoints farthest from the law; names point inwards, and so are never clipped."""
    far = residuals.with_columns(
        far=(pl.col("residual") / pl.col("stderr")).abs(),
        name=pl.col("checkpoint").map_elements(_short, return_dtype=pl.String),
    ).top_k(_NAMED, by="far")
    middle = (min(residuals["loss"]) + max(residuals["loss"])) / 2
    left = (pl.col("loss") > middle) != axis.higher_is_stronger
    style = partial(alt.Chart.mark_text, baseline="middle", fontSize=11, fill=QUIET)
    return [
        style(alt.Chart(far.filter(left)), align="left", dx=9),
        style(alt.Chart(far.filter(~left)), align="right", dx=-9),
    ]


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"\N{HORIZONTAL ELLIPSIS}{name[1 - _LONGEST :]}"
