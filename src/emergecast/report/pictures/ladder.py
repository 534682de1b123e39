"""The ladder: forecasts and baselines against the truth, farther ahead to the right."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import altair as alt
import polars as pl

from emergecast.backtests import FORECAST, Backtest, Part
from emergecast.baselines import Baseline
from emergecast.report.drawing import (
    BAND,
    BAND_TEXT,
    QUIET,
    TRUTH,
    WIDTH,
    Window,
    cut,
    dress,
    interval_window,
    marks,
    medians,
    triangles,
    truth_marks,
    verdicts,
)

if TYPE_CHECKING:
    from emergecast.observed import GroundTruth

_HEIGHT = 400
_BAND = 74  # px a rung needs at least
_COLOURS = {
    FORECAST: BAND,
    str(Baseline.NO_CHANGE): "#1a1a1a",
    str(Baseline.CUT_PRIOR): "#595959",
    str(Baseline.PRIOR): "#8a8a8a",
    str(Baseline.LINE): "#3b528b",
    str(Baseline.SIGMOID): "#21918c",
    str(Baseline.BROKEN_POWER_LAW): "#5ec962",
    str(Baseline.TWO_STEP): "#8e4fa8",
    str(Baseline.PROXY): "#c77b30",
}
_OWN = pl.col("forecaster") == FORECAST


class _Axes(NamedTuple):
    """Where marks stand: a band for each rung, a lane in it for each forecaster."""

    x: alt.X
    lane: alt.XOffset
    y: alt.Y


def ladder(backtest: Backtest) -> alt.LayerChart:
    """Draw medians and 90% intervals of every forecaster on every rung, and the truth.

    Rungs stand in order of how many checkpoints are hidden, not to scale. Refused forecasts are
    named where they would stand.
    """
    rows = backtest.to_frame().filter(pl.col("part") == Part.LADDER)
    rungs = rows.unique("setting", keep="first", maintain_order=True)
    names = [name for name in _COLOURS if _drawn(rows, name)]
    shown = _window(backtest.truth, rows)
    width = max(WIDTH, _BAND * rungs.height)
    axes = _axes(rungs, names, shown)
    layers = [
        *_truth(backtest.truth, shown, width),
        _strongest(rungs, shown, axes, width / max(rungs.height, 1)),
        *_intervals(cut(rows, shown), names, shown, axes),
        *_refusals(rows, axes),
        *marks.note(_sentences(rows, shown), height=_HEIGHT, below=74),
    ]
    chart = alt.LayerChart(layer=layers).resolve_scale(shape="independent")
    chart = chart.properties(width=width, height=_HEIGHT)
    return dress(chart, f"{backtest.title}: how far ahead a forecast holds", backtest.subtitle)


def _drawn(rows: pl.DataFrame, name: str) -> bool:
    """Whether a forecaster has a place: the forecast always, a baseline where it says something."""
    own = rows.filter(pl.col("forecaster") == name)
    return not own.is_empty() and (name == FORECAST or own["p50"].is_not_null().any())


def _window(truth: GroundTruth, rows: pl.DataFrame) -> Window:
    """Truth, forecasts and the checkpoints they rest on; baselines as far as they fit."""
    found = rows.drop_nulls("p50")
    own, rivals = found.filter(_OWN), found.filter(~_OWN)
    must = [truth.p05, truth.p95, *own["p50"], *own["strongest_loss"]]
    if own.is_empty():  # every forecast is refused
        must += rivals["p50"].head(2).to_list()
    return interval_window(must, own, rivals)


def _axes(rungs: pl.DataFrame, names: list[str], shown: Window) -> _Axes:
    labels = json.dumps({row["setting"]: _label(row) for row in rungs.iter_rows(named=True)})
    axis = alt.Axis(
        title="how far ahead of the strongest checkpoint kept the truth lies",
        labelExpr=f"{labels}[datum.value]",
        labelAngle=0,
        ticks=False,
        labelLineHeight=15,
    )
    scale = alt.Scale(paddingInner=0.12)
    return _Axes(
        x=alt.X("setting:N", sort=rungs["setting"].to_list(), axis=axis, scale=scale),
        lane=alt.XOffset("forecaster:N", sort=names, scale=alt.Scale(domain=names)),
        y=marks.window_y("loss", shown, "few-shot elbow, in nats of pretraining loss", ticks=7),
    )


def _label(row: dict[str, float | None]) -> list[str]:
    """Two lines under a rung: nats, and the ratio of FLOPs where it is known."""
    nats, flops = row["ahead_nats"], row["ahead_flops"]
    if nats is None:
        return ["?"]
    minus = f"{nats:.3f} nats".replace("-", "\N{MINUS SIGN}")
    return [minus] if flops is None else [minus, f"{flops:.3g}\N{MULTIPLICATION SIGN} FLOPs"]


def _intervals(
    found: pl.DataFrame, names: list[str], shown: Window, axes: _Axes
) -> list[alt.Chart]:
    """90% intervals with their medians; arrows where they go on."""
    colour = alt.Color(
        "forecaster:N",
        scale=alt.Scale(domain=names, range=[_COLOURS[name] for name in names]),
        legend=alt.Legend(
            title="median and 90% interval", symbolType="circle", symbolOpacity=1, offset=24
        ),
    )
    x, lane, y = axes
    rules = alt.Chart(found).mark_rule(strokeWidth=2.4, opacity=0.9)
    inside = shown.cut(medians(found))
    points = [
        alt.Chart(inside.filter(~_OWN)).mark_point(filled=True, size=34, opacity=1),
        alt.Chart(inside.filter(_OWN)).mark_point(filled=True, size=80, opacity=1),
        *triangles(found, shown, ("triangle-down", "triangle-up"), size=38),
    ]
    return [
        rules.encode(x=x, xOffset=lane, y=y, y2="high:Q", color=colour),
        *(each.encode(x=x, xOffset=lane, y=y, color=colour) for each in points),
    ]


def _strongest(rungs: pl.DataFrame, shown: Window, axes: _Axes, band: float) -> alt.Chart:
    """The strongest checkpoint that a rung keeps."""
    kept = shown.cut(rungs.with_columns(loss=pl.col("strongest_loss")))
    ticks = alt.Chart(kept).mark_tick(
        orient="horizontal", size=round(0.86 * band), thickness=1.4, color=QUIET
    )
    return ticks.encode(x=axes.x, y=axes.y)


def _refusals(rows: pl.DataFrame, axes: _Axes) -> list[alt.Chart]:
    """What came of forecasts without a number."""
    gone = alt.Chart(rows.filter(_OWN & pl.col("p50").is_null()))
    words = gone.mark_text(angle=270, align="left", baseline="middle", fontSize=12, fill=BAND_TEXT)
    return [words.encode(x=axes.x, xOffset=axes.lane, y=alt.value(_HEIGHT - 8), text="outcome:N")]


def _truth(truth: GroundTruth, shown: Window, width: float) -> list[alt.Chart]:
    """The measured elbow and its interval, over the whole width."""
    scale = alt.Scale(domain=[shown.low, shown.high], nice=False, zero=False)
    y = alt.Y("loss:Q", scale=scale)
    span, line, text = truth_marks(truth)
    name = line.mark_text(align="left", dx=6, baseline="middle", fontSize=12, fill=TRUTH)
    return [
        span.encode(x=alt.value(0), x2=alt.value(width), y=y, y2="end:Q"),
        line.encode(y=y),
        name.encode(x=alt.value(width), y=y, text=alt.value(text)),
    ]


def _sentences(rows: pl.DataFrame, shown: Window) -> list[str]:
    """What the marks mean and what is not drawn."""
    found = cut(rows, shown)
    said = ["Grey bars: the strongest checkpoint kept. Shaded: 90% interval of the truth."]
    if found["goes_lower"].any() or found["goes_higher"].any():
        said[0] += " Triangles: the interval goes on beyond the picture."
    silent = [name for name in _COLOURS if name in rows["forecaster"] and not _drawn(rows, name)]
    if silent:
        said.append(f"Nothing to go by on any rung: {', '.join(silent)}.")
    names = verdicts(found.filter(_OWN))
    if names:
        said.append(f"Verdicts of the forecasts with a number: {', '.join(names)}.")
    return said
