"""Influence: the forecast without each checkpoint and amount; and residuals against strength."""

from __future__ import annotations

from typing import Any, Protocol

import altair as alt
import polars as pl

from emergecast.measurements import Axis
from emergecast.report.drawing import (
    AMOUNT,
    BAND,
    BAND_TEXT,
    INK,
    QUIET,
    WIDTH,
    ElbowView,
    dress,
    marks,
)

_SHOWN = 12
"""Checkpoints and amounts that are drawn at most."""
_STEP = 22  # px a row
_RESIDUAL_HEIGHT = 190
_NAMED = 3
_SIZES = ["#440154", "#2c728e", "#5ec962"]
_LONGEST = 34  # letters of a name
_KINDS = {"checkpoint": ("without a checkpoint", INK), "amount": ("without an amount", "#21918c")}


class DiagnosticsView(Protocol):
    """Diagnostics as plain values."""

    def to_dict(self, axis: Axis) -> dict[str, Any]:
        """Keys influence and residuals, as in forecast.json."""
        ...


class DiagnosedView(Protocol):
    """A forecast with diagnostics, as this picture sees it."""

    @property
    def title(self) -> str:
        """The answer in a few words."""
        ...

    @property
    def subtitle(self) -> str:
        """The verdict in a few words."""
        ...

    @property
    def axis(self) -> Axis:
        """What stands for capability."""
        ...

    @property
    def elbow(self) -> ElbowView | None:
        """The forecast; None where it is refused."""
        ...

    @property
    def diagnostics(self) -> DiagnosticsView | None:
        """None where it is refused."""
        ...


def influence(view: DiagnosedView) -> alt.VConcatChart:
    """Draw what the forecast would be without each row group, and what the law leaves over.

    Raises:
        ValueError: the forecast has no diagnostics, because it is refused.
    """
    if view.elbow is None or view.diagnostics is None:
        message = "a refused forecast has no diagnostics to draw"
        raise ValueError(message)
    found = view.diagnostics.to_dict(view.axis)
    panels = [_left_out(view, view.elbow, found["influence"])]
    checkpoints = found["residuals"]["checkpoints"]
    if checkpoints:
        panels.append(_residuals(view, checkpoints))
    chart = alt.vconcat(*panels, spacing=34).resolve_scale(color="independent")
    return dress(chart, view)


def _left_out(
    view: DiagnosedView, elbow: ElbowView, records: list[dict[str, Any]]
) -> alt.LayerChart:
    """Interval and median without each of the most influential row groups."""
    shown = [
        {**each, "name": _short(each["what"]), "label": _KINDS[each["kind"]][0]}
        for each in records[:_SHOWN]
    ]
    frame = pl.DataFrame(shown)
    ends = [*frame["p05"], *frame["p95"], elbow.p05, elbow.p95]
    margin = 0.04 * (max(ends) - min(ends)) or 0.01
    scale = alt.Scale(
        domain=[min(ends) - margin, max(ends) + margin],
        reverse=not view.axis.higher_is_stronger,
        nice=False,
        zero=False,
    )
    title = f"few-shot elbow without these rows, {view.axis.unit} (later emergence to the right)"
    x = alt.X("p50:Q", scale=scale, axis=alt.Axis(title=title, grid=False, tickCount=8))
    names = [each["name"] for each in shown]
    y = alt.Y("name:N", sort=names, axis=alt.Axis(title=None, labelLimit=260, ticks=False))
    kinds = [kind for kind in _KINDS if kind in set(frame["kind"])]
    colour = alt.Color(
        "label:N",
        scale=alt.Scale(
            domain=[_KINDS[kind][0] for kind in kinds], range=[_KINDS[kind][1] for kind in kinds]
        ),
        legend=alt.Legend(title=None),
    )
    whole = alt.InlineData(values=[{"p05": elbow.p05, "p50": elbow.p50, "p95": elbow.p95}])
    band = alt.Chart(whole).mark_rect(fill=BAND, opacity=0.18)
    band = band.encode(x=alt.X("p05:Q", scale=scale), x2="p95:Q")
    middle = alt.Chart(whole).mark_rule(stroke=BAND_TEXT, strokeWidth=1.4).encode(x=x)
    base = alt.Chart(frame)
    interval = base.mark_rule(strokeWidth=1.6, opacity=0.55).encode(
        x=alt.X("p05:Q", scale=scale), x2="p95:Q", y=y, color=colour
    )
    tooltip = [
        alt.Tooltip("what:N", title="without"),
        alt.Tooltip("n_rows:Q", title="rows"),
        alt.Tooltip("p50:Q", title="median", format=".4f"),
        alt.Tooltip("shift:Q", title="shift", format="+.4f"),
    ]
    point = base.mark_point(filled=True, size=60, opacity=1).encode(
        x=x, y=y, color=colour, tooltip=tooltip
    )
    note = (
        alt.Chart(alt.InlineData(values=[{}]))
        .mark_text(align="left", baseline="bottom", fontSize=12, fill=BAND_TEXT)
        .encode(
            x=alt.value(0), y=alt.value(-6), text=alt.value("band and line: with all rows (90%)")
        )
    )
    height = _STEP * len(shown)
    layers = [
        band,
        middle,
        interval,
        point,
        note,
        *marks.note(_not_shown(view, records), height=height),
    ]
    return alt.LayerChart(layer=layers).properties(width=WIDTH, height=height)


def _not_shown(view: DiagnosedView, records: list[dict[str, Any]]) -> list[str]:
    """A sentence on the row groups that are not drawn, if there are any."""
    rest = [abs(each["shift"]) for each in records[_SHOWN:]]
    if not rest:
        return []
    whom = f"{len(rest)} others move" if len(rest) > 1 else "One other moves"
    far = f"{max(rest):.3f} {view.axis.unit}"
    return [f"{whom} the median by {far} at most; forecast.json has them all."]


def _residuals(view: DiagnosedView, records: list[dict[str, Any]]) -> alt.LayerChart:
    """Mean distance of each checkpoint from the law, past its elbows, coloured by size if known."""
    frame = pl.DataFrame(records, schema_overrides={"params": pl.Float64}).with_columns(
        low=pl.col("residual") - pl.col("stderr"), high=pl.col("residual") + pl.col("stderr")
    )
    reverse = not view.axis.higher_is_stronger
    x = alt.X(
        "loss:Q",
        scale=alt.Scale(reverse=reverse, nice=True, zero=False, padding=14),
        axis=alt.Axis(
            title=f"{view.axis.title} (stronger models to the right)", grid=False, tickCount=8
        ),
    )
    y = alt.Y(
        "residual:Q",
        scale=alt.Scale(zero=True, nice=True),
        axis=alt.Axis(title=["score minus law,", "mean past the elbows"], tickCount=6),
    )
    zero = alt.Chart(alt.InlineData(values=[{"residual": 0}]))
    base = alt.Chart(frame)
    point = base.mark_point(filled=True, size=65, opacity=0.95)
    tooltip = [
        alt.Tooltip("checkpoint:N"),
        alt.Tooltip("residual:Q", format="+.4f"),
        alt.Tooltip("n_rows:Q", title="rows"),
        alt.Tooltip("params:Q", format=".3s"),
    ]
    if frame["params"].drop_nulls().n_unique() > 1:
        colour = alt.Color(
            "params:Q",
            scale=alt.Scale(type="log", range=_SIZES),
            legend=alt.Legend(title="parameters", labelExpr=AMOUNT, tickCount=3),
        )
        points = point.encode(x=x, y=y, color=colour, tooltip=tooltip)
    else:
        points = point.encode(x=x, y=y, fill=alt.value(INK), tooltip=tooltip)
    largest = frame.with_columns(
        far=(pl.col("residual") / pl.col("stderr")).abs(),
        name=pl.col("checkpoint").map_elements(_short, return_dtype=pl.String),
    ).top_k(_NAMED, by="far")
    middle = (frame["loss"].min() + frame["loss"].max()) / 2  # type: ignore[operator]
    left = (pl.col("loss") > middle) == reverse  # names point inwards, and so are never clipped
    style: dict[str, Any] = {"baseline": "middle", "fontSize": 11, "fill": QUIET}
    names = [
        alt.Chart(largest.filter(left)).mark_text(align="left", dx=9, **style),
        alt.Chart(largest.filter(~left)).mark_text(align="right", dx=-9, **style),
    ]
    layers = [
        zero.mark_rule(stroke=QUIET, strokeDash=[2, 3], strokeWidth=1.2).encode(y=y),
        base.mark_rule(strokeWidth=1, opacity=0.5, stroke=INK).encode(
            x=x, y=alt.Y("low:Q"), y2="high:Q"
        ),
        points,
        *(name.encode(x=x, y=y, text="name:N") for name in names),
    ]
    return alt.LayerChart(layer=layers).properties(width=WIDTH, height=_RESIDUAL_HEIGHT)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"\N{HORIZONTAL ELLIPSIS}{name[1 - _LONGEST :]}"
