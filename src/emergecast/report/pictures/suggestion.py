"""What to measure next: information per GPU-hour of every cell, and what the plan buys."""

from __future__ import annotations

from typing import Any, Protocol

import altair as alt

from emergecast.report.drawing import BAND, BAND_TEXT, INK, QUIET, WIDTH, dress

_STEP = 24  # px a checkpoint
_SHOWN = 30
"""Checkpoints that are drawn at most: the strongest."""
_DECADES = 3.0
"""Information per hour this far below the best is drawn as little as none."""
_WIDTHS_HEIGHT = 170


class SuggestionView(Protocol):
    """A suggestion, as this picture sees it."""

    @property
    def title(self) -> str:
        """The plan in a few words."""
        ...

    @property
    def subtitle(self) -> str:
        """What it buys."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """The keys of suggestion.json."""
        ...


def suggestion(view: SuggestionView) -> alt.VConcatChart:
    """Draw every candidate by information per GPU-hour, the plan's runs numbered in order.

    Below, the expected width of the 90% interval against the GPU-hours of the plan.
    """
    found = view.to_dict()
    panels: list[Any] = [_cells(found)]
    if found["runs"]:
        panels.append(_widths(found))
    chart = alt.vconcat(*panels, spacing=30).resolve_scale(color="independent")
    return dress(chart, view)


def _cells(found: dict[str, Any]) -> alt.LayerChart:
    several = len(found["series"]) > 1
    plan: dict[tuple[str, str], list[str]] = {}
    for i, run in enumerate(found["runs"], start=1):
        plan.setdefault((_name(run, several=several), _amount(run["examples"])), []).append(str(i))
    top = max((each["per_hour"] for each in found["candidates"]), default=0.0) or 1.0
    values = []
    for each in found["candidates"]:
        name, amount = _name(each, several=several), _amount(each["examples"])
        values.append(
            {
                "checkpoint": f"{name} ({each['loss']:.3f})",
                "loss": each["loss"],
                "amount": amount,
                "order": each["examples"] or 0,
                "per_hour": each["per_hour"],
                "shade": max(each["per_hour"] / top, 10.0**-_DECADES),
                "information": each["information"],
                "gpu_hours": each["gpu_hours"],
                "measured": each["measured"],
                "picks": _picks(plan.get((name, amount), [])),
            }
        )
    names = [v["checkpoint"] for v in sorted(values, key=lambda v: (-v["loss"], v["checkpoint"]))]
    names = list(dict.fromkeys(names))[-_SHOWN:]
    values = [v for v in values if v["checkpoint"] in set(names)]
    amounts = list(dict.fromkeys(v["amount"] for v in sorted(values, key=lambda v: v["order"])))
    base = alt.Chart(alt.InlineData(values=values)).encode(
        x=alt.X(
            "amount:O",
            sort=amounts,
            axis=alt.Axis(title="finetuning examples", labelAngle=0, ticks=False, domain=False),
        ),
        y=alt.Y(
            "checkpoint:N",
            sort=names,
            axis=alt.Axis(title=None, labelLimit=260, ticks=False, domain=False),
        ),
    )
    scale = alt.Scale(type="log", domain=[10.0**-_DECADES, 1.0], scheme="blues", clamp=True)
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
    dots = dots.mark_circle(size=14, color=QUIET, opacity=1)
    picks = base.transform_filter("datum.picks != ''")
    halo = picks.mark_text(fontSize=12, fontWeight="bold", stroke="white", strokeWidth=5)
    text = picks.mark_text(fontSize=12, fontWeight="bold", color=BAND_TEXT)
    caption = alt.Title(
        "checkpoint (loss); numbers: runs of the plan, in order; dots: measured already",
        anchor="start",
        fontSize=12,
        fontWeight="normal",
        color=QUIET,
    )
    layers: list[Any] = [squares, dots, halo.encode(text="picks:N"), text.encode(text="picks:N")]
    height = _STEP * max(len(names), 4)
    return alt.LayerChart(layer=layers).properties(width=WIDTH, height=height, title=caption)


def _widths(found: dict[str, Any]) -> alt.LayerChart:
    values = [{"hours": 0.0, "width": found["width"], "run": "now"}]
    values += [
        {"hours": run["hours_so_far"], "width": run["width"], "run": str(i)}
        for i, run in enumerate(found["runs"], start=1)
    ]
    base = alt.Chart(alt.InlineData(values=values)).encode(
        x=alt.X("hours:Q", axis=alt.Axis(title="GPU-hours of the plan", grid=False)),
        y=alt.Y(
            "width:Q",
            scale=alt.Scale(zero=True),
            axis=alt.Axis(title=["expected width of the", "90% interval, nats"], tickCount=5),
        ),
    )
    line = base.mark_line(color=BAND, strokeWidth=2)
    points = base.mark_circle(color=BAND, size=50, opacity=1)
    labels = base.mark_text(dy=-12, color=INK, fontSize=11).encode(text="run:N")
    return alt.LayerChart(layer=[line, points, labels]).properties(
        width=WIDTH, height=_WIDTHS_HEIGHT
    )


def _name(record: dict[str, Any], *, several: bool) -> str:
    return f"{record['series']}/{record['checkpoint']}" if several else str(record["checkpoint"])


def _picks(numbers: list[str]) -> str:
    """Which runs of the plan a cell is, as wide as a cell."""
    rest = len(numbers) - 2
    return ", ".join(numbers[:2]) + (f" +{rest}" if rest > 0 else "")


def _amount(examples: int | None) -> str:
    return "few-shot" if examples is None else f"{examples:,}"
