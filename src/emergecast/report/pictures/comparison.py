"""Two series in one picture: their fans, the distributions of both elbows, and the difference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import altair as alt
import polars as pl

from emergecast.report.drawing import (
    BAND_TEXT,
    INK,
    QUIET,
    WIDTH,
    ForecastView,
    Window,
    dress,
    fan_window,
    loss_text,
    marks,
)
from emergecast.report.pictures.fan import fan_panel

FIRST, SECOND = "#2c728e", BAND_TEXT
_FAN_HEIGHT = 300
_HEIGHT = 160
_LEGEND_OFFSET = 20


_Named = tuple[str, ForecastView, str]
"""A series, its forecast, its colour."""


class ComparisonView(Protocol):
    """A comparison of two series as the pictures see it."""

    @property
    def title(self) -> str:
        """The answer in a few words."""
        ...

    @property
    def subtitle(self) -> str:
        """Verdicts and difference."""
        ...

    @property
    def series(self) -> tuple[str, str]:
        """Names, first and second."""
        ...

    @property
    def forecasts(self) -> tuple[ForecastView, ForecastView]:
        """One forecast a series; `truth` in them where later checkpoints show it."""
        ...

    @property
    def comparable(self) -> bool:
        """Whether a loss means the same in both series."""
        ...

    @property
    def true_difference(self) -> float | None:
        """Difference of the elbows that came true, first minus second."""
        ...

    def difference_density(self) -> pl.DataFrame:
        """Columns difference (first minus second) and density; no rows without one."""
        ...


def comparison_fan(view: ComparisonView) -> alt.VConcatChart:
    """Draw the fans of both series, one above the other, on one loss axis if losses compare."""
    windows = [fan_window(forecast) for forecast in view.forecasts]
    if view.comparable:
        windows = [_union(windows)] * 2
    panels = []
    for name, forecast, window in zip(view.series, view.forecasts, windows, strict=True):
        verdict = forecast.subtitle
        text = alt.TitleParams(
            text=name,
            subtitle=verdict if len(verdict) <= 120 else f"{verdict[:117]}...",
            anchor="start",
            fontSize=15,
            subtitleFontSize=12,
            subtitleColor=QUIET,
            offset=26,
        )
        panels.append(fan_panel(forecast, window, height=_FAN_HEIGHT).properties(title=text))
    chart = alt.vconcat(*panels, spacing=44)
    return dress(chart.resolve_scale(color="independent", strokeDash="independent"), view)


def comparison_distribution(view: ComparisonView) -> alt.VConcatChart:
    """Draw when each series is forecast to emerge, and the difference of the two elbows.

    The two stand on one axis where losses compare, and on two where they do not; a refused forecast
    has no curve.
    """
    both = list(zip(view.series, view.forecasts, (FIRST, SECOND), strict=True))
    drawn = [each for each in both if each[1].elbow is not None]
    scale = alt.Scale(domain=[name for name, _, _ in drawn], range=[c for _, _, c in drawn])
    panels: list[alt.LayerChart] = []
    if view.comparable and drawn:
        window = _body(drawn)
        panels += [_curves(drawn, window, each, scale) for each in ("density", "cumulative")]
    else:
        panels += [_curves([each], _body([each]), "density", scale) for each in drawn]
    if not view.difference_density().is_empty():
        panels.append(_difference(view))
    if not panels:
        panels.append(_nothing())
    return dress(alt.vconcat(*panels, spacing=24), view)


def _union(windows: Sequence[Window]) -> Window:
    """The window that holds all of them."""
    return Window(
        min(window.low for window in windows),
        max(window.high for window in windows),
        windows[0].axis,
    )


def _body(drawn: Sequence[_Named]) -> Window:
    """The window of nearly all the mass of each distribution, and of what came true."""
    lows, highs = [], []
    for _, forecast, _ in drawn:
        if forecast.elbow is not None:
            span = forecast.elbow.p95 - forecast.elbow.p05
            ends = forecast.distribution()["loss"]
            lows.append(max(forecast.elbow.p05 - 0.6 * span, min(ends.to_list())))
            highs.append(min(forecast.elbow.p95 + 0.6 * span, max(ends.to_list())))
        if forecast.truth is not None:
            lows.append(forecast.truth)
            highs.append(forecast.truth)
    low, high = min(lows), max(highs)
    margin = 0.06 * (high - low)
    return Window(low - margin, high + margin, drawn[0][1].axis)


def _curves(
    drawn: Sequence[_Named], window: Window, column: str, scale: alt.Scale
) -> alt.LayerChart:
    """The density of each elbow, or the probability that each series has emerged."""
    density = column == "density"
    last = not density or len(drawn) == 1
    x = marks.loss_x(window, titled=last)
    label = drawn[0][1].axis.label
    if density:
        axis = alt.Axis(
            title=["density of the elbow", "(each to its own peak)"],
            labels=False,
            ticks=False,
            grid=False,
        )
        y = alt.Y("density:Q", scale=alt.Scale(zero=True, nice=False), axis=axis)
    else:
        axis = alt.Axis(
            title=["probability that a model", f"of this {label} has emerged"],
            values=[0, 0.25, 0.5, 0.75, 1],
            format="%",
        )
        y = alt.Y("cumulative:Q", scale=alt.Scale(domain=[0, 1]), axis=axis)
    layers: list[alt.Chart | alt.LayerChart] = []
    colour = alt.Color(
        "series:N",
        scale=scale,
        legend=alt.Legend(title="series", offset=_LEGEND_OFFSET, symbolType="stroke"),
    )
    for line, (name, forecast, ink) in enumerate(drawn):
        elbow = forecast.elbow
        if elbow is None:
            continue
        peak = pl.col("density") / pl.col("density").max()
        curve = _to_edges(forecast, window).with_columns(series=pl.lit(name), density=peak)
        curve = window.cut(curve)
        base = alt.Chart(curve)
        if density:
            layers.append(base.mark_area(opacity=0.18, fill=ink).encode(x=x, y=y))
            text = f"{name}: median {loss_text(elbow.p50, forecast)}"
            layers.append(marks.heading(text, loss=elbow.p50, window=window, line=line, colour=ink))
        layers.append(base.mark_line(strokeWidth=2, clip=True).encode(x=x, y=y, color=colour))
        layers.append(marks.loss_rule(elbow.p50, x, stroke=ink, strokeWidth=1))
        if forecast.truth is not None:
            rule = marks.loss_rule(forecast.truth, x, stroke=ink, strokeWidth=2, strokeDash=[7, 3])
            layers.append(rule)
    if last and any(forecast.truth is not None for _, forecast, _ in drawn):
        layers += marks.note(["Dashed: the elbow that came true, by series."], height=_HEIGHT)
    return alt.LayerChart(layer=layers).properties(width=WIDTH, height=_HEIGHT)


def _to_edges(forecast: ForecastView, window: Window) -> pl.DataFrame:
    """The curve of a forecast, drawn on to the edges of the window."""
    ordered = forecast.distribution().sort("loss")
    low, high = ordered.head(1), ordered.tail(1)
    parts = [ordered]
    if low["loss"].item() > window.low:
        parts.insert(0, low.with_columns(loss=pl.lit(window.low), density=pl.lit(0.0)))
    if high["loss"].item() < window.high:
        parts.append(high.with_columns(loss=pl.lit(window.high), density=pl.lit(0.0)))
    return pl.concat(parts, how="vertical_relaxed")


def _difference(view: ComparisonView) -> alt.LayerChart:
    """Density of the difference, coloured by who emerges first."""
    a, b = view.series
    axis = view.forecasts[0].axis
    curve = view.difference_density()
    leads = pl.col("difference") < 0 if axis.higher_is_stronger else pl.col("difference") > 0
    x = alt.X(
        "difference:Q",
        scale=alt.Scale(nice=False, zero=False),
        axis=alt.Axis(
            title=f"elbow of {a} minus elbow of {b}, in {axis.unit}", grid=False, tickCount=8
        ),
    )
    y = alt.Y(
        "density:Q",
        scale=alt.Scale(zero=True, nice=False),
        axis=alt.Axis(
            title=["density of", "the difference"], labels=False, ticks=False, grid=False
        ),
    )
    layers: list[alt.Chart | alt.LayerChart] = []
    for keep, ink in ((leads, FIRST), (~leads, SECOND)):
        part = curve.filter(keep)
        if not part.is_empty():
            layers.append(alt.Chart(part).mark_area(fill=ink, opacity=0.35).encode(x=x, y=y))
    layers.append(alt.Chart(curve).mark_line(stroke=INK, strokeWidth=1.5).encode(x=x, y=y))
    layers.append(_at(0.0, x).mark_rule(stroke=QUIET, strokeWidth=1))
    if view.true_difference is not None:
        later = _at(view.true_difference, x)
        layers.append(later.mark_rule(stroke=INK, strokeWidth=2, strokeDash=[7, 3], clip=True))
    left, right = (a, b) if axis.higher_is_stronger else (b, a)
    colours = {a: FIRST, b: SECOND}
    layers += [_corner(f"{left} first", colours[left], right=False)]
    layers += [_corner(f"{right} first", colours[right], right=True)]
    if view.true_difference is not None:
        layers += marks.note(["Dashed: the difference that came true."], height=_HEIGHT)
    return alt.LayerChart(layer=layers).properties(width=WIDTH, height=_HEIGHT)


def _at(difference: float, x: alt.X) -> alt.Chart:
    """A chart of one difference, for a rule."""
    return alt.Chart(alt.InlineData(values=[{"difference": difference}])).encode(x=x)


def _corner(text: str, colour: str, *, right: bool) -> alt.Chart:
    """A label above a corner of the panel."""
    chart = alt.Chart(alt.InlineData(values=[{}]))
    marked = chart.mark_text(
        align="right" if right else "left", baseline="bottom", fontSize=12, fill=colour
    )
    place = alt.value(WIDTH if right else 0)
    return marked.encode(x=place, y=alt.value(-5), text=alt.value(text))


def _nothing() -> alt.LayerChart:
    """A panel that says that there is nothing to draw."""
    text = (
        alt.Chart(alt.InlineData(values=[{}]))
        .mark_text(align="center", fontSize=13, fill=QUIET)
        .encode(
            x=alt.value(WIDTH / 2),
            y=alt.value(30),
            text=alt.value("both forecasts are refused: no distribution"),
        )
    )
    return alt.LayerChart(layer=[text]).properties(width=WIDTH, height=60)
