"""The forecast in compute: probability that a run has emerged, over training FLOPs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import altair as alt
import polars as pl

from emergecast.measurements import Axis
from emergecast.report.drawing import BAND, BAND_TEXT, INK, LATER, QUIET, TRUTH, WIDTH, dress
from emergecast.scaling import amount_text, flops_text

_HEIGHT = 240
_ROW = 24  # px a row of checkpoints
_LINE = 16  # px from one line of labels to the next
_LETTER = 5.9  # px of a letter of a label, on average
_SEEN, _CHANCE, _EMERGED = "in the fit", "later, at chance", "later, above chance"
_KINDS = {_SEEN: INK, _CHANCE: LATER, _EMERGED: TRUTH}


class QuantilesView(Protocol):
    """Quantiles of an amount; None where no run reaches the loss."""

    @property
    def p05(self) -> float | None:
        """5% quantile."""
        ...

    @property
    def p50(self) -> float | None:
        """Median."""
        ...

    @property
    def p95(self) -> float | None:
        """95% quantile."""
        ...


class ComputeResult(Protocol):
    """The numbers of a forecast in compute."""

    @property
    def flops(self) -> QuantilesView | None:
        """Training FLOPs of emergence; None where they are not determined."""
        ...

    @property
    def strongest_flops(self) -> float | None:
        """FLOPs of the strongest checkpoint in the fit."""
        ...

    @property
    def tied(self) -> str:
        """How parameters and tokens are tied, in words."""
        ...


class ComputeView(Protocol):
    """A forecast in compute, as this picture sees it."""

    @property
    def task(self) -> str:
        """Name of the task."""
        ...

    @property
    def axis(self) -> Axis:
        """What stands for capability."""
        ...

    @property
    def title(self) -> str:
        """The answer in loss, in a few words."""
        ...

    @property
    def subtitle(self) -> str:
        """The verdict in a few words."""
        ...

    @property
    def compute(self) -> ComputeResult | None:
        """The numbers; None where there are none."""
        ...

    def compute_curve(self) -> pl.DataFrame:
        """Columns flops, params (null where not determined), emerged; ascending."""
        ...

    def compute_ticks(self) -> pl.DataFrame:
        """Where to write numbers: columns flops, params, tokens."""
        ...

    def compute_checkpoints(self) -> pl.DataFrame:
        """Few-shot checkpoints: columns checkpoint, flops, hidden, emerged."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """Which FLOPs are shown."""

    low: float
    high: float

    def place(self, flops: float) -> float:
        """Pixels from the left edge, within the panel."""
        share = math.log(flops / self.low) / math.log(self.high / self.low)
        return WIDTH * min(max(share, 0.0), 1.0)

    def holds(self, flops: float) -> bool:
        """Whether it lies inside."""
        return self.low <= flops <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class _Titled:
    """The words above the picture."""

    title: str
    subtitle: str


def compute(view: ComputeView) -> alt.VConcatChart:
    """Draw the probability that a run has emerged against its training FLOPs, and the checkpoints.

    Raises:
        ValueError: the forecast has no FLOPs to draw.
    """
    found, curve = view.compute, view.compute_curve()
    if found is None or found.flops is None or curve.is_empty():
        message = "a forecast without FLOPs has no picture in compute"
        raise ValueError(message)
    window = _Window(low=float(curve["flops"][0]), high=float(curve["flops"][-1]))
    known = view.compute_checkpoints().filter(pl.col("flops").is_between(window.low, window.high))
    panels = [_probability(found, found.flops, curve, window)]
    panels.append(_checkpoints(known, _x(window, _ticks(view), found.tied)))
    return dress(alt.vconcat(*panels, spacing=10), _titled(view, found, found.flops))


def _titled(view: ComputeView, found: ComputeResult, flops: QuantilesView) -> _Titled:
    if flops.p50 is None:
        title = f"{view.task}: probably no amount of training reaches few-shot emergence"
    else:
        title = f"{view.task}: few-shot emergence at {flops_text(flops.p50)} training FLOPs"
        if found.strongest_flops is not None:
            title += f", {flops.p50 / found.strongest_flops:.3g} times the strongest checkpoint"
    elbow = view.title.partition(": ")[2]
    subtitle = f"In loss: {elbow}. {view.subtitle}" if view.axis.is_loss else view.subtitle
    return _Titled(title=title, subtitle=subtitle)


def _ticks(view: ComputeView) -> list[dict[str, Any]]:
    return view.compute_ticks().to_dicts()


def _x(window: _Window, ticks: list[dict[str, Any]] | None, tied: str = "") -> alt.X:
    """The FLOPs axis; under each number the parameters of such a run, where they are known."""
    scale = alt.Scale(type="log", domain=[window.low, window.high], nice=False)
    if ticks is None:
        axis = alt.Axis(title=None, labels=False, ticks=False, grid=False)
        return alt.X("flops:Q", scale=scale, axis=axis)
    sized = all(tick["params"] is not None for tick in ticks)
    words = [
        [flops_text(tick["flops"], 1), *([amount_text(tick["params"])] if sized else [])]
        for tick in ticks
    ]
    expression = "".join(
        f"datum.value == {tick['flops']!r} ? {text!r} : "
        for tick, text in zip(ticks, words, strict=True)
    )
    title = "training FLOPs of a run (more to the right)"
    if sized:
        title += f"; below them its parameters, {tied}"
    axis = alt.Axis(
        title=title,
        values=[tick["flops"] for tick in ticks],
        labelExpr=f"{expression}''",
        grid=False,
        labelFlush=False,
    )
    return alt.X("flops:Q", scale=scale, axis=axis)


def _probability(
    found: ComputeResult, flops: QuantilesView, curve: pl.DataFrame, window: _Window
) -> alt.LayerChart:
    """The curve, over the 90% interval and the strongest checkpoint."""
    x = _x(window, None)
    axis = alt.Axis(
        title=["probability that one run", "of so many FLOPs has emerged"],
        values=[0, 0.25, 0.5, 0.75, 1],
        format="%",
    )
    y = alt.Y("emerged:Q", scale=alt.Scale(domain=[0, 1]), axis=axis)
    layers: list[alt.Chart] = []
    low, high = flops.p05, flops.p95
    if low is not None and low < window.high:
        end = window.high if high is None else min(high, window.high)
        band = alt.InlineData(values=[{"flops": max(low, window.low), "end": end}])
        layers.append(
            alt.Chart(band)
            .mark_rect(clip=True, fill=BAND, opacity=0.18)
            .encode(x=x, x2=alt.X2("end:Q"))
        )
        text = f"90% interval {flops_text(low)} to "
        text += "no compute at all" if high is None else flops_text(high)
        middle = math.sqrt(max(low, window.low) * end)
        layers.append(_heading(text, window.place(middle), line=0, colour=BAND_TEXT))
    if flops.p50 is not None and window.holds(flops.p50):
        layers.append(_rule(flops.p50, x, stroke=BAND_TEXT, strokeWidth=1.6))
        text = f"median {flops_text(flops.p50)}"
        layers.append(_heading(text, window.place(flops.p50), line=1, colour=BAND_TEXT))
    if found.strongest_flops is not None and window.holds(found.strongest_flops):
        layers.append(_rule(found.strongest_flops, x, stroke=QUIET, strokeDash=[4, 3]))
        text = f"strongest checkpoint used {flops_text(found.strongest_flops)}"
        layers.append(_heading(text, window.place(found.strongest_flops), line=2, colour=QUIET))
    layers.append(
        alt.Chart(curve).mark_line(stroke=BAND_TEXT, strokeWidth=2.2, clip=True).encode(x=x, y=y)
    )
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
    colour = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=present, range=[_KINDS[name] for name in present]),
        legend=None,
    )
    tooltip = [alt.Tooltip("checkpoint:N"), alt.Tooltip("flops:Q", format=".3g")]
    ticks = (
        alt.Chart(frame)
        .mark_tick(thickness=1.6, size=0.6 * _ROW, opacity=0.85)
        .encode(x=x, y=y, color=colour, tooltip=tooltip)
    )
    height = _ROW * len(present)
    return alt.LayerChart(layer=[ticks]).properties(width=WIDTH, height=height)


def _rule(flops: float, x: alt.X, **style: Any) -> alt.Chart:  # noqa: ANN401 (any mark property)
    """A vertical line."""
    data = alt.InlineData(values=[{"flops": flops}])
    return alt.Chart(data).mark_rule(clip=True, **style).encode(x=x)


def _heading(text: str, place: float, *, line: int, colour: str) -> alt.Chart:
    """A label above the panel, kept within its width; lines count upwards."""
    align: Literal["center"] = "center"
    half = min(0.5 * _LETTER * len(text), 0.5 * WIDTH)
    return (
        alt.Chart(alt.InlineData(values=[{}]))
        .mark_text(align=align, baseline="bottom", fontSize=12, fill=colour)
        .encode(
            x=alt.value(round(min(max(place, half), WIDTH - half), 1)),
            y=alt.value(-5 - _LINE * line),
            text=alt.value(text),
        )
    )
