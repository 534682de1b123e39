"""The distribution: density and probability of emergence over loss, few-shot scores below."""

from __future__ import annotations

import altair as alt
import polars as pl

from emergecast.report.drawing import (
    BAND,
    BAND_TEXT,
    FEW_SHOT,
    INK,
    QUIET,
    TRUTH,
    WIDTH,
    ElbowView,
    ForecastView,
    Window,
    distribution_window,
    dress,
    loss_text,
    marks,
    score_title,
    score_window,
)

_DENSITY_HEIGHT = 150
_CUMULATIVE_HEIGHT = 150
_SCORES_HEIGHT = 170


def distribution(view: ForecastView) -> alt.VConcatChart:
    """Draw when few-shot emergence is forecast, as density and as probability, over the scores.

    The panels share the reversed loss axis. A refused forecast has the few-shot scores alone.
    """
    window = distribution_window(view)
    panels: list[alt.LayerChart] = []
    if view.elbow is not None:
        curve = _to_edges(view.distribution(), window)
        panels = [
            _density(view, view.elbow, curve, window),
            _cumulative(view, view.elbow, curve, window),
        ]
    panels.append(_scores(view, window))
    return dress(alt.vconcat(*panels, spacing=22).resolve_legend(fill="independent"), view)


def _density(
    view: ForecastView, elbow: ElbowView, curve: pl.DataFrame, window: Window
) -> alt.LayerChart:
    """Density of the few-shot elbow, with its quantiles and its most likely value."""
    x = marks.loss_x(window, titled=False)
    # No numbers: a density is read by its shape.
    title = ["density of the elbow", f"at {view.few_shot_examples:g} {view.shift.unit}"]
    axis = alt.Axis(title=title, labels=False, ticks=False, grid=False)
    y = alt.Y("density:Q", scale=alt.Scale(zero=True, nice=False), axis=axis)
    base = alt.Chart(curve)
    area = base.mark_area(fill=BAND, opacity=0.3).encode(x=x, y=y)
    edge = base.mark_line(stroke=BAND_TEXT, strokeWidth=1.6).encode(x=x, y=y)
    layers = [
        area,
        edge,
        *_quantile_rules(elbow, x),
        *_headings(view, elbow, window),
        *_peaks(view, elbow, window),
    ]
    return alt.LayerChart(layer=layers).properties(width=WIDTH, height=_DENSITY_HEIGHT)


def _to_edges(curve: pl.DataFrame, window: Window) -> pl.DataFrame:
    """The curve inside the window, drawn on to its edges where it has run out before them."""
    ordered = curve.sort("loss")
    ends = [(ordered.head(1), window.low), (ordered.tail(1), window.high)]
    beyond = [
        end.with_columns(loss=pl.lit(edge), density=pl.lit(0.0))
        for end, edge in ends
        if window.low < end["loss"].item() < window.high
    ]
    return window.cut(pl.concat([ordered, *beyond], how="vertical_relaxed").sort("loss"))


def _cumulative(
    view: ForecastView, elbow: ElbowView, curve: pl.DataFrame, window: Window
) -> alt.LayerChart:
    """Probability that a model of each loss has emerged."""
    x = marks.loss_x(window, titled=False)
    y = alt.Y(
        "cumulative:Q",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(
            title=["probability that a model", f"of this {view.axis.label} has emerged"],
            values=[0, 0.25, 0.5, 0.75, 1],
            format="%",
        ),
    )
    line = alt.Chart(curve).mark_line(stroke=BAND_TEXT, strokeWidth=2.2).encode(x=x, y=y)
    layers = [*_quantile_rules(elbow, x), line]
    if view.truth is not None:
        layers.append(_truth_rule(view.truth, x))
    return alt.LayerChart(layer=layers).properties(width=WIDTH, height=_CUMULATIVE_HEIGHT)


def _scores(view: ForecastView, window: Window) -> alt.LayerChart:
    """Few-shot scores under the same axis, so that the forecast stands above its evidence."""
    few_shot = view.points().filter(pl.col("setting") == FEW_SHOT)
    shown = window.cut(few_shot)
    x = marks.loss_x(window)
    y = marks.score_y(score_window(view, shown), score_title(view))
    layers: list[alt.Chart | alt.LayerChart] = [marks.chance_rule(view.chance, y)]
    seen = view.points().filter(~pl.col("hidden"))["loss"].to_list()
    if view.elbow is None:
        middle = (window.low + window.high) / 2
        layers.append(marks.heading("refused: no distribution", loss=middle, window=window))
    elif seen:
        strongest = max(seen) if view.axis.higher_is_stronger else min(seen)
        layers += [
            marks.loss_rule(strongest, x, stroke=QUIET, strokeWidth=1),
            marks.heading(
                f"strongest checkpoint used {loss_text(strongest, view)}",
                loss=strongest,
                window=window,
            ),
        ]
    if view.truth is not None:
        text = f"measured later {loss_text(view.truth, view)}"
        layers += [
            _truth_rule(view.truth, x),
            marks.heading(text, loss=view.truth, window=window, line=1, colour=TRUTH),
        ]
    layers.append(marks.few_shot_points(view, shown, x, y))
    sentences = marks.legend_of_bars(shown)
    if shown.is_empty():
        sentences = ["There are no few-shot scores at these losses."]
    if shown["hidden"].any():
        sentences = ["Open circles: checkpoints that the forecast did not see.", *sentences]
    remarks = [" ".join(sentences), *marks.left_out(few_shot, window), *_unseen(view, window)]
    layers += marks.note([remark for remark in remarks if remark], height=_SCORES_HEIGHT)
    return alt.LayerChart(layer=layers).properties(width=WIDTH, height=_SCORES_HEIGHT)


def _truth_rule(truth: float, x: alt.X) -> alt.Chart:
    """The few-shot elbow that was measured later."""
    return marks.loss_rule(truth, x, stroke=TRUTH, strokeWidth=1.8, strokeDash=[7, 3])


def _quantile_rules(elbow: ElbowView, x: alt.X) -> list[alt.Chart]:
    """Lines at the 5, 50 and 95% quantiles of the elbow."""
    return [
        marks.loss_rule(elbow.p95, x, stroke=BAND_TEXT, strokeWidth=1, strokeDash=[4, 3]),
        marks.loss_rule(elbow.p50, x, stroke=BAND_TEXT, strokeWidth=1.6),
        marks.loss_rule(elbow.p05, x, stroke=BAND_TEXT, strokeWidth=1, strokeDash=[4, 3]),
    ]


def _headings(view: ForecastView, elbow: ElbowView, window: Window) -> list[alt.Chart]:
    """The quantiles in numbers; the median one line higher, so that the labels never meet."""
    ends = [("p95", elbow.p95), ("p05", elbow.p05)]
    (left, weak), (right, strong) = ends[::-1] if window.axis.higher_is_stronger else ends
    return [
        marks.heading(f"{left} {loss_text(weak, view)}", loss=weak, window=window, align="right"),
        marks.heading(
            f"median {loss_text(elbow.p50, view)}",
            loss=elbow.p50,
            window=window,
            line=1,
            colour=BAND_TEXT,
        ),
        marks.heading(
            f"{right} {loss_text(strong, view)}", loss=strong, window=window, align="left"
        ),
    ]


def _estimates(view: ForecastView, elbow: ElbowView) -> dict[str, float]:
    """The point estimates that there are, by name."""
    law = f", {view.plain_law} law" if view.plain_law else ""
    found = {"most likely value": elbow.mode, f"maximum likelihood{law}": elbow.mle}
    return {kind: loss for kind, loss in found.items() if loss is not None}


def _unseen(view: ForecastView, window: Window) -> list[str]:
    """A sentence on each point estimate that the window does not hold."""
    if view.elbow is None:
        return []
    return [
        f"The {kind}, {loss_text(loss, view)}, lies outside this picture."
        for kind, loss in _estimates(view, view.elbow).items()
        if not window.low <= loss <= window.high
    ]


def _peaks(view: ForecastView, elbow: ElbowView, window: Window) -> list[alt.Chart]:
    """The point estimates, as small triangles near the axis, where the window holds them."""
    values = [
        {"loss": loss, "kind": kind, "height": _DENSITY_HEIGHT - 7 - 13 * row}
        for row, (kind, loss) in enumerate(_estimates(view, elbow).items())
        if window.low <= loss <= window.high
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
        .encode(x=marks.loss_x(window, titled=False), y=alt.value(value["height"]), fill=fill)
        for value in values
    ]
