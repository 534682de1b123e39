"""The ladder: forecasts and baselines against the truth, farther ahead to the right."""

from __future__ import annotations

import json

import altair as alt
import polars as pl

from emergecast.report.drawing import (
    BAND,
    BAND_TEXT,
    FORECAST,
    QUIET,
    TRUTH,
    WIDTH,
    BacktestView,
    Head,
    Window,
    cut,
    dress,
    remarks,
    verdicts,
    window,
)

_HEIGHT = 400
_BAND = 74  # px a rung needs at least
_COLOURS = {
    FORECAST: BAND,
    "no-change": "#1a1a1a",
    "prior": "#8a8a8a",
    "line": "#3b528b",
    "sigmoid": "#21918c",
    "broken-power-law": "#5ec962",
    "two-step": "#8e4fa8",
}


def ladder(view: BacktestView) -> alt.LayerChart:
    """Draw medians and 90% intervals of every forecaster on every rung, and the truth.

    Rungs stand in order of how many checkpoints are hidden, not to scale. Refused forecasts are
    named where they would stand.
    """
    rows = view.to_frame().filter(pl.col("part") == "ladder")
    steps = rows["setting"].unique(maintain_order=True).to_list()
    names = [name for name in _COLOURS if _drawn(rows, name)]
    shown = _window(view, rows)
    width = max(WIDTH, _BAND * len(steps))
    place = _Place(rows, steps, names, shown)
    layers: list[alt.Chart] = [
        *_truth(view, shown, width),
        place.strongest(width / max(len(steps), 1)),
        *place.intervals(),
        *place.refusals(),
    ]
    layers += remarks(_sentences(rows, shown), top=_HEIGHT + 74)
    chart = alt.LayerChart(layer=layers).resolve_scale(shape="independent")
    head = Head(title=f"{view.title}: how far ahead a forecast holds", subtitle=view.subtitle)
    return dress(chart.properties(width=width, height=_HEIGHT), head)


def _drawn(rows: pl.DataFrame, name: str) -> bool:
    """Whether a forecaster has a place: the forecast always, a baseline where it says something."""
    own = rows.filter(pl.col("forecaster") == name)
    return not own.is_empty() and (name == FORECAST or own["p50"].is_not_null().any())


def _window(view: BacktestView, rows: pl.DataFrame) -> Window:
    """Truth, forecasts and the checkpoints they rest on; baselines as far as they fit."""
    own = rows.filter(pl.col("forecaster") == FORECAST).drop_nulls("p50")
    must = [view.truth.p05, view.truth.p95, *own["p50"].to_list(), *own["strongest_loss"].to_list()]
    near = [*own["p05"].to_list(), *own["p95"].to_list()]
    rivals = rows.filter(pl.col("forecaster") != FORECAST).drop_nulls("p50")
    far = [*rivals["p05"].to_list(), *rivals["p95"].to_list()]
    if len(must) == 2:  # every forecast is refused
        must += rivals["p50"].to_list()[:2]
    return window(must, near, far)


class _Place:
    """Where marks stand: a band for each rung, a lane in it for each forecaster."""

    def __init__(
        self, rows: pl.DataFrame, steps: list[str], names: list[str], shown: Window
    ) -> None:
        self._rows, self._names, self._shown = rows, names, shown
        first = rows.unique("setting", keep="first", maintain_order=True)
        labels = json.dumps({row["setting"]: _label(row) for row in first.iter_rows(named=True)})
        axis = alt.Axis(
            title="how far ahead of the strongest checkpoint kept the truth lies",
            labelExpr=f"{labels}[datum.value]",
            labelAngle=0,
            ticks=False,
            labelLineHeight=15,
        )
        self.x = alt.X("setting:N", sort=steps, axis=axis, scale=alt.Scale(paddingInner=0.12))
        self.lane = alt.XOffset("forecaster:N", sort=names, scale=alt.Scale(domain=names))
        self.y = alt.Y(
            "loss:Q",
            scale=alt.Scale(domain=[shown.low, shown.high], nice=False, zero=False),
            axis=alt.Axis(title="few-shot elbow, in nats of pretraining loss", tickCount=7),
        )

    def intervals(self) -> list[alt.Chart]:
        """90% intervals with their medians; arrows where they go on."""
        found = cut(self._rows, self._shown)
        colour = alt.Color(
            "forecaster:N",
            scale=alt.Scale(domain=self._names, range=[_COLOURS[name] for name in self._names]),
            legend=alt.Legend(
                title="median and 90% interval", symbolType="circle", symbolOpacity=1, offset=24
            ),
        )
        base = alt.Chart(found.with_columns(loss=pl.col("low")))
        own = pl.col("forecaster") == FORECAST
        marks = [
            base.mark_rule(strokeWidth=2.4, opacity=0.9).encode(
                x=self.x, xOffset=self.lane, y=self.y, y2="high:Q", color=colour
            )
        ]
        inside = found.filter(pl.col("p50").is_between(self._shown.low, self._shown.high))
        for frame, size in ((inside.filter(~own), 34), (inside.filter(own), 80)):
            marks.append(
                alt.Chart(frame.with_columns(loss=pl.col("p50")))
                .mark_point(filled=True, size=size, opacity=1)
                .encode(x=self.x, xOffset=self.lane, y=self.y, color=colour)
            )
        for flag, edge, shape in (
            ("goes_lower", self._shown.low, "triangle-down"),
            ("goes_higher", self._shown.high, "triangle-up"),
        ):
            gone = found.filter(pl.col(flag)).with_columns(loss=pl.lit(edge))
            marks.append(
                alt.Chart(gone)
                .mark_point(filled=True, size=38, shape=shape, opacity=1)
                .encode(x=self.x, xOffset=self.lane, y=self.y, color=colour)
            )
        return marks

    def strongest(self, band: float) -> alt.Chart:
        """The strongest checkpoint that a rung keeps."""
        kept = self._rows.unique("setting", keep="first", maintain_order=True)
        kept = kept.drop_nulls("strongest_loss").with_columns(loss=pl.col("strongest_loss"))
        kept = kept.filter(pl.col("loss").is_between(self._shown.low, self._shown.high))
        return (
            alt.Chart(kept)
            .mark_tick(orient="horizontal", size=round(0.86 * band), thickness=1.4, color=QUIET)
            .encode(x=self.x, y=self.y)
        )

    def refusals(self) -> list[alt.Chart]:
        """What came of forecasts that have no number."""
        gone = self._rows.filter((pl.col("forecaster") == FORECAST) & pl.col("p50").is_null())
        return [
            alt.Chart(gone)
            .mark_text(angle=270, align="left", baseline="middle", fontSize=12, fill=BAND_TEXT)
            .encode(x=self.x, xOffset=self.lane, y=alt.value(_HEIGHT - 8), text="outcome:N")
        ]


def _label(row: dict[str, float | None]) -> list[str]:
    """Two lines under a rung: nats, and the ratio of FLOPs where it is known."""
    nats, flops = row["ahead_nats"], row["ahead_flops"]
    if nats is None:
        return ["?"]
    minus = f"{nats:.3f} nats".replace("-", "\N{MINUS SIGN}")
    return [minus] if flops is None else [minus, f"{flops:.3g}\N{MULTIPLICATION SIGN} FLOPs"]


def _truth(view: BacktestView, shown: Window, width: float) -> list[alt.Chart]:
    """The measured elbow and its interval, over the whole width."""
    truth = view.truth
    scale = alt.Scale(domain=[shown.low, shown.high], nice=False, zero=False)
    y = alt.Y("loss:Q", scale=scale)
    span = alt.InlineData(values=[{"loss": truth.p05, "end": truth.p95}])
    line = alt.InlineData(values=[{"loss": truth.elbow}])
    return [
        alt.Chart(span)
        .mark_rect(fill=TRUTH, opacity=0.10, clip=True)
        .encode(x=alt.value(0), x2=alt.value(width), y=y, y2="end:Q"),
        alt.Chart(line).mark_rule(stroke=TRUTH, strokeWidth=1.8, strokeDash=[7, 3]).encode(y=y),
        alt.Chart(line)
        .mark_text(align="left", dx=6, baseline="middle", fontSize=12, fill=TRUTH)
        .encode(x=alt.value(width), y=y, text=alt.value(f"truth {truth.elbow:.3f}")),
    ]


def _sentences(rows: pl.DataFrame, shown: Window) -> list[str]:
    """What the marks mean and what is not drawn."""
    found = cut(rows, shown)
    said = ["Grey bars: the strongest checkpoint kept. Shaded: 90% interval of the truth."]
    if found.select((pl.col("goes_lower") | pl.col("goes_higher")).any()).item():
        said[0] += " Triangles: the interval goes on beyond the picture."
    silent = [name for name in _COLOURS if name in rows["forecaster"] and not _drawn(rows, name)]
    if silent:
        said.append(f"Nothing to go by on any rung: {', '.join(silent)}.")
    names = verdicts(rows.filter(pl.col("forecaster") == FORECAST))[0]
    if names:
        said.append(f"Verdicts of the forecasts with a number: {', '.join(names)}.")
    return said
