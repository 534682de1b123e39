"""What to measure next: information per GPU-hour of every cell, and what the plan buys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import polars as pl

from emergecast.diagnostics import FEW_SHOT
from emergecast.report.drawing import BAND, BAND_TEXT, INK, QUIET, WIDTH, dress

if TYPE_CHECKING:
    from emergecast.suggestions import Candidate, Suggestion

_STEP = 24  # px a checkpoint
_SHOWN = 30
"""Checkpoints that are drawn at most: the strongest."""
_LEAST = 1e-3
"""Information per hour at this share of the best is drawn as little as none."""
_WIDTHS_HEIGHT = 170


def suggestion(found: Suggestion) -> alt.VConcatChart:
    """Draw every candidate by information per GPU-hour, the plan's runs numbered in order.

    Below, the expected width of the 90% interval against the GPU-hours of the plan.
    """
    panels = [_cells(_candidates(found))]
    if found.runs:
        panels.append(_widths(found))
    chart = alt.vconcat(*panels, spacing=30).resolve_scale(color="independent")
    return dress(chart, found.title, found.subtitle)


def _candidates(found: Suggestion) -> pl.DataFrame:
    """One row a cell, the strongest checkpoint last, with the runs of the plan that it is."""
    several = len(found.fit.selection.series) > 1
    plan: dict[tuple[str, str], list[str]] = {}
    for i, run in enumerate(found.runs, start=1):
        cell = _name(run.candidate, several=several), _amount(run.candidate)
        plan.setdefault(cell, []).append(str(i))
    top = max((each.per_hour for each in found.prospects), default=0.0) or 1.0
    rows = []
    for each in found.prospects:
        candidate = each.candidate
        name, amount = _name(candidate, several=several), _amount(candidate)
        rows.append(
            {
                "checkpoint": f"{name} ({candidate.loss:.3f})",
                "loss": candidate.loss,
                "amount": amount,
                "order": candidate.examples or 0,
                "per_hour": each.per_hour,
                "shade": max(each.per_hour / top, _LEAST),
                "information": each.information,
                "gpu_hours": candidate.gpu_hours,
                "measured": each.measured,
                "picks": _picks(plan.get((name, amount), [])),
            }
        )
    frame = pl.DataFrame(rows).sort(
        "loss", "checkpoint", descending=[True, False], maintain_order=True
    )
    shown = frame["checkpoint"].unique(maintain_order=True).tail(_SHOWN)
    return frame.filter(pl.col("checkpoint").is_in(shown.to_list()))


def _cells(frame: pl.DataFrame) -> alt.LayerChart:
    """A square for each cell, as dark as it is worth."""
    names = frame["checkpoint"].unique(maintain_order=True).to_list()
    amounts = frame.sort("order")["amount"].unique(maintain_order=True).to_list()
    along = alt.Axis(title="finetuning examples", labelAngle=0, ticks=False, domain=False)
    up = alt.Axis(title=None, labelLimit=260, ticks=False, domain=False)
    base = alt.Chart(frame).encode(
        x=alt.X("amount:O", sort=amounts, axis=along), y=alt.Y("checkpoint:N", sort=names, axis=up)
    )
    scale = alt.Scale(type="log", domain=[_LEAST, 1.0], scheme="blues", clamp=True)
    title = ["information per", "GPU-hour, share", "of the best cell"]
    legend = alt.Legend(title=title, tickCount=4, format="~p", gradientLength=110)
    squares = base.mark_rect(stroke="white", strokeWidth=1.5).encode(
        color=alt.Color("shade:Q", scale=scale, legend=legend),
        tooltip=[
            alt.Tooltip("checkpoint:N"),
            alt.Tooltip("amount:N", title="data"),
            alt.Tooltip("information:Q", title="nats", format=".4f"),
            alt.Tooltip("gpu_hours:Q", title="GPU-hours", format=".3g"),
            alt.Tooltip("measured:Q", title="rows so far"),
        ],
    )
    dots = base.transform_filter("datum.measured > 0 && datum.picks == ''")
    picks = base.transform_filter("datum.picks != ''").encode(text="picks:N")
    caption = alt.Title(
        "checkpoint (loss); numbers: runs of the plan, in order; dots: measured already",
        anchor="start",
        fontSize=12,
        fontWeight="normal",
        color=QUIET,
    )
    layers = [
        squares,
        dots.mark_circle(size=14, color=QUIET, opacity=1),
        picks.mark_text(fontSize=12, fontWeight="bold", stroke="white", strokeWidth=5),
        picks.mark_text(fontSize=12, fontWeight="bold", color=BAND_TEXT),
    ]
    height = _STEP * max(len(names), 4)
    return alt.LayerChart(layer=layers).properties(width=WIDTH, height=height, title=caption)


def _widths(found: Suggestion) -> alt.LayerChart:
    """The 90% interval to expect along the plan."""
    values = [{"hours": 0.0, "width": found.width, "run": "now"}]
    values += [
        {"hours": run.hours_so_far, "width": run.width, "run": str(i)}
        for i, run in enumerate(found.runs, start=1)
    ]
    title = ["expected width of the", "90% interval, nats"]
    base = alt.Chart(alt.InlineData(values=values)).encode(
        x=alt.X("hours:Q", axis=alt.Axis(title="GPU-hours of the plan", grid=False)),
        y=alt.Y("width:Q", scale=alt.Scale(zero=True), axis=alt.Axis(title=title, tickCount=5)),
    )
    line = base.mark_line(color=BAND, strokeWidth=2)
    points = base.mark_circle(color=BAND, size=50, opacity=1)
    labels = base.mark_text(dy=-12, color=INK, fontSize=11).encode(text="run:N")
    return alt.LayerChart(layer=[line, points, labels]).properties(
        width=WIDTH, height=_WIDTHS_HEIGHT
    )


def _name(candidate: Candidate, *, several: bool) -> str:
    return f"{candidate.series}/{candidate.checkpoint}" if several else candidate.checkpoint


def _picks(numbers: list[str]) -> str:
    """Which runs of the plan a cell is, as wide as a cell."""
    rest = len(numbers) - 2
    return ", ".join(numbers[:2]) + (f" +{rest}" if rest > 0 else "")


def _amount(candidate: Candidate) -> str:
    return FEW_SHOT if candidate.examples is None else f"{candidate.examples:,}"
