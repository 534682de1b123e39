"""The distribution: density and probability of emergence over loss, few-shot scores below."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import polars as pl

from emergecast.diagnostics import FEW_SHOT
from emergecast.report.drawing import (
    BAND,
    BAND_TEXT,
    INK,
    QUIET,
    TRUTH,
    WIDTH,
    Window,
    distribution_window,
    dress,
    loss_text,
    marks,
    score_title,
    score_window,
)

if TYPE_CHECKING:
    from emergecast.forecasts import Elbow, Forecast

_DENSITY_HEIGHT = 150
_CUMULATIVE_HEIGHT = 150
_SCORES_HEIGHT = 170


def distribution(forecast: Forecast) -> alt.VConcatChart:
    """Draw when few-shot emergence is forecast, as density and as probability, over the scores.

    The panels share the reversed loss axis. A refused forecast has the few-shot scores alone.
    """
    window, elbow = distribution_window(forecast), forecast.elbow
    panels: list[alt.LayerChart] = []
    if elbow is not None:
        curve = window.filled(forecast.distribution())
        panels = [
            _density(forecast, elbow, curve, window),
            _cumulative(forecast, elbow, curve, window),
        ]
    panels.append(_scores(forecast, window))
    chart = alt.vconcat(*panels, spacing=22).resolve_legend(fill="independent")
    return dress(chart, forecast.title, forecast.subtitle)


def _density(
    forecast: Forecast, elbow: Elbow, curve: pl.DataFrame, window: Window
) -> alt.LayerChart:
    """Density of the few-shot elbow, with its quantiles and its most likely value."""
    x = marks.loss_x(window, titled=False)
    amount = f"at {forecast.few_shot_examples:g} {forecast.shift.unit}"
    y = marks.density_y(["density of the elbow", amount])
    base = alt.Chart(curve)
    layers = [
        base.mark_area(fill=BAND, opacity=0.3).encode(x=x, y=y),
        base.mark_line(stroke=BAND_TEXT, strokeWidth=1.6).encode(x=x, y=y),
        *_quantile_rules(elbow, x),
        *_headings(forecast, elbow, window),
        *_peaks(forecast, window, x),
    ]
    return alt.LayerChart(layer=layers).properties(width=WIDTH, height=_DENSITY_HEIGHT)


def _cumulative(
    forecast: Forecast, elbow: Elbow, curve: pl.DataFrame, window: Window
) -> alt.LayerChart:
    """Probability that a model of each loss has emerged."""
    x = marks.loss_x(window, titled=False)
    title = ["probability that a model", f"of this {forecast.axis.label} has emerged"]
    y = marks.probability_y("cumulative", title)
    line = alt.Chart(curve).mark_line(stroke=BAND_TEXT, strokeWidth=2.2).encode(x=x, y=y)
    layers = [*_quantile_rules(elbow, x), line]
    if forecast.truth is not None:
        layers.append(marks.truth_rule(forecast.truth, x))
    return alt.LayerChart(layer=layers).properties(width=WIDTH, height=_CUMULATIVE_HEIGHT)


def _scores(forecast: Forecast, window: Window) -> alt.LayerChart:
    """Few-shot scores under the same axis, so that the forecast stands above its evidence."""
    points = forecast.points()
    few_shot = points.filter(pl.col("setting") == FEW_SHOT)
    shown = window.cut(few_shot)
    x = marks.loss_x(window)
    y = marks.window_y("score", score_window(forecast, shown), score_title(forecast), ticks=6)
    layers: list[alt.Chart | alt.LayerChart] = [marks.chance_rule(forecast.chance, y)]
    seen = points.filter(~pl.col("hidden"))["loss"]
    if forecast.elbow is None:
        layers.append(marks.heading("refused: no distribution", 0.5))
    elif len(seen):
        strongest = max(seen) if forecast.axis.higher_is_stronger else min(seen)
        text = f"strongest checkpoint used {loss_text(strongest, forecast)}"
        layers += [
            marks.rule(strongest, x, colour=QUIET),
            marks.heading(text, window.share(strongest)),
        ]
    if forecast.truth is not None:
        text = f"measured later {loss_text(forecast.truth, forecast)}"
        layers += [
            marks.truth_rule(forecast.truth, x),
            marks.heading(text, window.share(forecast.truth), line=1, colour=TRUTH),
        ]
    layers.append(marks.few_shot_points(forecast, shown, x, y))
    layers += marks.note(_sentences(forecast, few_shot, window), height=_SCORES_HEIGHT)
    return alt.LayerChart(layer=layers).properties(width=WIDTH, height=_SCORES_HEIGHT)


def _sentences(forecast: Forecast, few_shot: pl.DataFrame, window: Window) -> list[str]:
    """What the marks mean, and what lies outside."""
    shown = window.cut(few_shot)
    legend = " ".join(marks.legend_of_bars(shown))
    if shown.is_empty():
        legend = "There are no few-shot scores at these losses."
    if shown["hidden"].any():
        legend = f"Open circles: checkpoints that the forecast did not see. {legend}".rstrip()
    outside = [
        f"The {kind}, {loss_text(loss, forecast)}, lies outside this picture."
        for kind, loss in _estimates(forecast).items()
        if not window.holds(loss)
    ]
    return [*([legend] if legend else []), *marks.left_out(few_shot, window), *outside]


def _quantile_rules(elbow: Elbow, x: alt.X) -> list[alt.Chart]:
    """Lines at the 5, 50 and 95% quantiles of the elbow."""
    return [
        marks.rule(elbow.p95, x, colour=BAND_TEXT, dash=(4, 3)),
        marks.rule(elbow.p50, x, colour=BAND_TEXT, width=1.6),
        marks.rule(elbow.p05, x, colour=BAND_TEXT, dash=(4, 3)),
    ]


def _headings(forecast: Forecast, elbow: Elbow, window: Window) -> list[alt.Chart]:
    """The quantiles in numbers; the median one line higher, so that the labels never meet."""
    ends = [("p95", elbow.p95), ("p05", elbow.p05)]
    (left, weak), (right, strong) = ends[::-1] if window.axis.higher_is_stronger else ends
    middle = f"median {loss_text(elbow.p50, forecast)}"
    return [
        marks.heading(f"{left} {loss_text(weak, forecast)}", window.share(weak), align="right"),
        marks.heading(middle, window.share(elbow.p50), line=1, colour=BAND_TEXT),
        marks.heading(f"{right} {loss_text(strong, forecast)}", window.share(strong), align="left"),
    ]


def _estimates(forecast: Forecast) -> dict[str, float]:
    """The point estimates that there are, by name."""
    elbow = forecast.elbow
    if elbow is None:
        return {}
    law = f", {forecast.plain_law} law" if forecast.plain_law else ""
    found = {"most likely value": elbow.mode, f"maximum likelihood{law}": elbow.mle}
    return {kind: loss for kind, loss in found.items() if loss is not None}


def _peaks(forecast: Forecast, window: Window, x: alt.X) -> list[alt.Chart]:
    """The point estimates, as small triangles near the axis, where the window holds them."""
    values = [
        {"loss": loss, "kind": kind, "height": _DENSITY_HEIGHT - 7 - 13 * row}
        for row, (kind, loss) in enumerate(_estimates(forecast).items())
        if window.holds(loss)
    ]
    fill = alt.Fill(
        "kind:N",
        scale=alt.Scale(domain=[str(value["kind"]) for value in values], range=[INK, "white"]),
        legend=alt.Legend(
            title="point estimates", symbolType="triangle-down", offset=14, labelLimit=0
        ),
    )
    return [
        alt.Chart(alt.InlineData(values=[value]))
        .mark_point(shape="triangle-down", size=75, stroke=INK, strokeWidth=1.2, opacity=1)
        .encode(x=x, y=alt.value(value["height"]), fill=fill)
        for value in values
    ]
