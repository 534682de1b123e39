"""Several series in the order in which they emerge: their elbows, and how sure each place is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import polars as pl

from emergecast.comparison import ComparedAt, EmergenceOrder
from emergecast.measurements import Axis
from emergecast.report.drawing import (
    INK,
    TRUTH,
    VERDICTS,
    WIDTH,
    Window,
    between,
    cut,
    dress,
    ink_on,
    interval_window,
    marks,
    medians,
    triangles,
    verdicts,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emergecast.comparison import Comparison

_ROW = 22  # px of a series
_NUMBERS = 10  # series up to which each probability of a place is written
_SHADES = ("#f4f6f8", "#2c728e")  # of the least and the greatest probability of a place
_NEVER = 1e3  # log10 FLOPs of what no compute reaches: outside every window


def comparison_order(comparison: Comparison, at: ComparedAt = ComparedAt.LOSS) -> alt.VConcatChart:
    """Draw the elbow of each series, the first to emerge on top, and the probability of each place.

    Series without a place in this order are named below.
    """
    order = comparison.order(at)
    rows = _elbows(comparison, order, at)
    panels = [] if rows.is_empty() else [_intervals(comparison, order, rows, at), _places(order)]
    title, subtitle = comparison.headline(at) or comparison.title, comparison.subtitle
    if not panels:
        subtitle = f"{subtitle}; no order at equal {at}: {order.reason}"
        panels = [alt.LayerChart(layer=[marks.words("", (0, 0))])]
    chart = alt.vconcat(*panels, spacing=40).resolve_scale(color="independent", shape="independent")
    return dress(chart, title, subtitle)


def _elbows(comparison: Comparison, order: EmergenceOrder, at: ComparedAt) -> pl.DataFrame:
    """One row a placed series: its verdict, quantiles of its elbow, and what came true."""
    places = {each.series: each for each in order.placed}
    rows = []
    for each, compute in zip(comparison.found, comparison.compute, strict=True):
        elbow, true = each.forecast.elbow, each.came_true
        if each.series not in places or elbow is None:
            continue
        row: dict[str, str | float | None] = {
            "series": each.series,
            "verdict": str(each.forecast.verdict),
            "p05": elbow.p05,
            "p50": elbow.p50,
            "p95": elbow.p95,
            "true": None if true is None else true.elbow,
        }
        if at is ComparedAt.COMPUTE and compute is not None:
            row |= {name: _reached(getattr(compute, name)) for name in ("p05", "p50", "p95")}
            row["true"] = None if true is None else true.log10_flops
        rows.append(row)
    return pl.DataFrame(rows, schema_overrides={"true": pl.Float64}, infer_schema_length=None)


def _reached(log10_flops: float | None) -> float:
    return _NEVER if log10_flops is None else log10_flops


def _intervals(
    comparison: Comparison, order: EmergenceOrder, rows: pl.DataFrame, at: ComparedAt
) -> alt.LayerChart:
    """Medians and 90% intervals, with the verdicts; what came true as a bar."""
    must = [
        value for name in ("p50", "true") for value in rows[name].drop_nulls() if value < _NEVER
    ]
    shown, title = interval_window(must or [0.0, 1.0], rows), None
    if at is ComparedAt.LOSS:
        shown = Window(shown.low, shown.high, comparison.forecasts[0].axis)
        title = f"few-shot elbow, {shown.axis.title}"
    else:
        shown = Window(shown.low, shown.high, Axis.parse("flops"))
        title = "training compute at the elbow, log10 FLOPs"
    found = cut(rows, shown)
    height = _ROW * rows.height
    x, y = marks.loss_x(shown, title=title, grid=True), _series_y(order)
    shapes = ("triangle-left", "triangle-right")
    if not shown.axis.higher_is_stronger:
        shapes = shapes[::-1]
    names = [str(verdict) for verdict in verdicts(rows)]
    looks = [VERDICTS[verdict] for verdict in verdicts(rows)]
    legend = alt.Legend(title="verdict, median and 90%", offset=20)
    scale = alt.Scale(domain=names, range=[colour for _, colour in looks])
    shape = alt.Scale(domain=names, range=[mark for mark, _ in looks])
    colour = alt.Color("verdict:N", scale=scale, legend=legend)
    inside = shown.cut(medians(found))
    true = shown.cut(found.drop_nulls("true").with_columns(loss=pl.col("true")))
    layers: list[alt.Chart] = [
        alt.Chart(found).mark_rule(strokeWidth=2.4).encode(x=x, x2="high:Q", y=y, color=colour),
        alt.Chart(inside)
        .mark_point(filled=True, size=70, opacity=1)
        .encode(x=x, y=y, color=colour, shape=alt.Shape("verdict:N", scale=shape, legend=legend)),
        *(each.encode(x=x, y=y, color=colour) for each in triangles(found, shown, shapes, size=38)),
        alt.Chart(true)
        .mark_tick(orient="vertical", size=round(0.8 * _ROW), thickness=2.4, color=TRUTH)
        .encode(x=x, y=y),
        *marks.note(_sentences(order, found), height=height),
    ]
    return alt.LayerChart(layer=layers).properties(width=WIDTH, height=height)


def _places(order: EmergenceOrder) -> alt.LayerChart:
    """The probability of each place of each series."""
    n = len(order.placed)
    cells = pl.DataFrame(
        {
            "series": [each.series for each in order.placed for _ in each.places],
            "place": [place for _ in order.placed for place in range(1, n + 1)],
            "probability": [p for each in order.placed for p in each.places],
        }
    )
    most = max(p for each in order.placed for p in each.places)
    inks = [ink_on(between(*_SHADES, p / most)) for p in cells["probability"]]
    cells = cells.with_columns(ink=pl.Series(inks))
    x = alt.X("place:O", axis=alt.Axis(title="place, 1 emerges first", labelAngle=0, orient="top"))
    y = _series_y(order)
    colour = alt.Color(
        "probability:Q",
        scale=alt.Scale(domain=[0, most], range=[*_SHADES], interpolate="rgb"),
        legend=alt.Legend(title="probability", format="%", offset=20),
    )
    layers = [alt.Chart(cells).mark_rect().encode(x=x, y=y, color=colour)]
    if n <= _NUMBERS:
        said = cells.filter(pl.col("probability") >= 0.005)
        for ink in (INK, "white"):
            text = alt.Chart(said.filter(pl.col("ink") == ink)).mark_text(fontSize=11, fill=ink)
            layers.append(text.encode(x=x, y=y, text=alt.Text("probability:Q", format=".2f")))
    return alt.LayerChart(layer=layers).properties(width=WIDTH, height=_ROW * n)


def _series_y(order: EmergenceOrder) -> alt.Y:
    axis = alt.Axis(title=None, labelLimit=230, ticks=False, grid=False)
    return alt.Y("series:N", sort=list(order.names), axis=axis)


def _sentences(order: EmergenceOrder, found: pl.DataFrame) -> Sequence[str]:
    """What the marks mean, and who is not drawn."""
    said = []
    if found["true"].is_not_null().any():
        said.append("Upright bars: the elbow that came true.")
    if found["goes_lower"].any() or found["goes_higher"].any():
        said.append("Triangles: the interval goes on beyond the picture.")
    lines = [" ".join(said)] if said else []
    names = [each.series for each in order.left_out]
    if names:
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        lines.append(f"No place: {shown}.")
    return lines
