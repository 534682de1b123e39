"""The ablations: every setting as a row, its interval against the truth, its verdict as a mark."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from emergecast.report.drawing import (
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

_ROW = 19  # px
_LETTERS = 92  # that fit into a panel
_TITLES = {
    "ablations": "experimental design",
    "laws": "emergence law",
    "d0": "amount at which the elbow is read off",
}


def ablations(view: BacktestView) -> alt.VConcatChart:
    """Draw median and 90% interval of every setting that is not a rung of the ladder.

    Settings without a number say why. Stronger models are on the right, as in every picture.
    """
    rows = view.to_frame().filter(pl.col("part").is_in(list(_TITLES)))
    shown = _window(view, rows)
    parts = [part for part in _TITLES if part in rows["part"]]
    panels = [
        _panel(view, rows.filter(pl.col("part") == part), shown, part, last=part == parts[-1])
        for part in parts
    ]
    chart = alt.vconcat(*panels, spacing=26).resolve_legend(shape="shared", color="shared")
    head = Head(title=f"{view.title}: what the forecast hangs on", subtitle=view.subtitle)
    return dress(chart, head)


def _window(view: BacktestView, rows: pl.DataFrame) -> Window:
    found = rows.drop_nulls("p50")
    must = [view.truth.p05, view.truth.p95, *found["p50"].to_list()]
    return window(must, [*found["p05"].to_list(), *found["p95"].to_list()])


def _panel(
    view: BacktestView, rows: pl.DataFrame, shown: Window, part: str, *, last: bool
) -> alt.LayerChart:
    """One part of the backtest, a row for each of its settings."""
    height = _ROW * rows.height
    x = alt.X(
        "loss:Q",
        scale=alt.Scale(domain=[shown.low, shown.high], reverse=True, nice=False, zero=False),
        axis=alt.Axis(
            title="few-shot elbow, in nats (stronger models to the right)" if last else None,
            labels=last,
            ticks=last,
            tickCount=8,
            labelFlush=False,
        ),
    )
    y = alt.Y(
        "setting:N",
        sort=rows["setting"].to_list(),
        axis=alt.Axis(title=None, labelLimit=330, ticks=False, grid=True, labelPadding=8),
        scale=alt.Scale(paddingInner=0.0),
    )
    layers = [*_truth(view, x, height, named=rows["part"][0] == "ablations")]
    layers += [
        *_marks(rows, shown, x, y),
        *_words(rows, y, right=shown.share(view.truth.elbow) < 0.5),
    ]
    if last:
        layers += remarks(
            ["Filled: the truth lies in the 90% interval; open: not. Triangles: it goes on."],
            top=height + 50,
        )
    title = alt.TitleParams(
        text=_TITLES[part],
        anchor="start",
        frame="group",
        fontSize=13,
        fontWeight=600,
        offset=22 if part == "ablations" else 8,
    )
    return alt.LayerChart(layer=layers).properties(width=WIDTH, height=height, title=title)


def _truth(view: BacktestView, x: alt.X, height: int, *, named: bool) -> list[alt.Chart]:
    """The measured elbow, with its interval and its number above the first panel."""
    truth = view.truth
    span = alt.InlineData(values=[{"loss": truth.p05, "end": truth.p95}])
    line = alt.InlineData(values=[{"loss": truth.elbow}])
    marks = [
        alt.Chart(span)
        .mark_rect(fill=TRUTH, opacity=0.10, clip=True)
        .encode(x=x, x2="end:Q", y=alt.value(0), y2=alt.value(height)),
        alt.Chart(line).mark_rule(stroke=TRUTH, strokeWidth=1.8, strokeDash=[7, 3]).encode(x=x),
    ]
    if named:
        marks.append(
            alt.Chart(line)
            .mark_text(baseline="bottom", fontSize=12, fill=TRUTH)
            .encode(x=x, y=alt.value(-5), text=alt.value(f"truth {truth.elbow:.3f}"))
        )
    return marks


def _marks(rows: pl.DataFrame, shown: Window, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Intervals and medians."""
    found = cut(rows, shown)
    names, shapes, colours = verdicts(found)
    legend = alt.Legend(title="verdict", symbolOpacity=1, offset=16)
    colour = alt.Color("verdict:N", scale=alt.Scale(domain=names, range=colours), legend=legend)
    shape = alt.Shape("verdict:N", scale=alt.Scale(domain=names, range=shapes), legend=legend)
    rule = alt.Chart(found.with_columns(loss=pl.col("low"))).mark_rule(strokeWidth=2, opacity=0.85)
    layers = [rule.encode(x=x, x2="high:Q", y=y, color=colour)]
    for flag, edge, way in (
        ("goes_lower", shown.low, "triangle-right"),
        ("goes_higher", shown.high, "triangle-left"),
    ):
        gone = found.filter(pl.col(flag)).with_columns(loss=pl.lit(edge))
        layers.append(
            alt.Chart(gone)
            .mark_point(filled=True, size=40, shape=way, opacity=1)
            .encode(x=x, y=y, color=colour)
        )
    for inside, fill in ((True, None), (False, "white")):
        some = found.filter(pl.col("covered") == inside).with_columns(loss=pl.col("p50"))
        point = alt.Chart(some)
        style = (
            point.mark_point(filled=True, size=75, opacity=1)
            if fill is None
            else point.mark_point(filled=False, fill=fill, size=65, strokeWidth=1.8, opacity=1)
        )
        layers.append(style.encode(x=x, y=y, color=colour, shape=shape))
    return layers


def _words(rows: pl.DataFrame, y: alt.Y, *, right: bool) -> list[alt.Chart]:
    """What came of settings without a number, on a white ground, away from the truth."""
    gone = rows.filter(pl.col("p50").is_null())
    texts = [_short(*pair) for pair in gone.select("outcome", "reasons").iter_rows()]
    said = gone.with_columns(said=pl.Series(texts, dtype=pl.String))
    x = alt.value(WIDTH - 6 if right else 6)
    style: dict[str, Any] = {
        "align": "right" if right else "left",
        "baseline": "middle",
        "fontSize": 11,
    }
    grounds: list[dict[str, Any]] = [{"stroke": "white", "strokeWidth": 4}, {"fill": QUIET}]
    return [
        alt.Chart(said).mark_text(**style, **ground).encode(x=x, y=y, text="said:N")
        for ground in grounds
    ]


def _short(outcome: str, reasons: str) -> str:
    """The first clause of the reason, led by what came of the setting."""
    first = reasons.split(". ", maxsplit=1)[0].split(": ")
    clause = first[1] if first[0].lower() == outcome and len(first) > 1 else first[0]
    clause = clause.rstrip(".")
    text = f"{outcome}: {clause[:1].lower()}{clause[1:]}"
    return (
        text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1].rstrip()}\N{HORIZONTAL ELLIPSIS}"
    )
