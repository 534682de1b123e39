"""The ablations: every setting as a row, its interval against the truth, its verdict as a mark."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import altair as alt
import polars as pl

from emergecast.backtests import Backtest, Part
from emergecast.report.drawing import (
    QUIET,
    TRUTH,
    VERDICTS,
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

_ROW = 19  # px
_LETTERS = 92  # that fit into a panel
_TITLES = {
    Part.ABLATIONS: "experimental design",
    Part.LAWS: "emergence law",
    Part.D0: "amount at which the elbow is read off",
}


def ablations(backtest: Backtest) -> alt.VConcatChart:
    """Draw median and 90% interval of every setting that is not a rung of the ladder.

    Settings without a number say why. Stronger models are on the right, as in every picture.
    """
    rows = backtest.to_frame().filter(pl.col("part").is_in(list(_TITLES)))
    truth, found = backtest.truth, rows.drop_nulls("p50")
    shown = interval_window([truth.p05, truth.p95, *found["p50"]], found)
    parts = [part for part in _TITLES if part in rows["part"]]
    panels = [
        _panel(truth, rows.filter(pl.col("part") == part), shown, part, last=part == parts[-1])
        for part in parts
    ]
    chart = alt.vconcat(*panels, spacing=26).resolve_legend(shape="shared", color="shared")
    return dress(chart, f"{backtest.title}: what the forecast hangs on", backtest.subtitle)


def _panel(
    truth: GroundTruth, rows: pl.DataFrame, shown: Window, part: Part, *, last: bool
) -> alt.LayerChart:
    """One part of the backtest, a row for each of its settings."""
    height, first = _ROW * rows.height, part is Part.ABLATIONS
    x = marks.loss_x(shown, titled=last, title="few-shot elbow, in nats", grid=True)
    y = alt.Y(
        "setting:N",
        sort=rows["setting"].to_list(),
        axis=alt.Axis(title=None, labelLimit=330, ticks=False, grid=True, labelPadding=8),
        scale=alt.Scale(paddingInner=0.0),
    )
    layers = [
        *_truth(truth, x, height, named=first),
        *_intervals(rows, shown, x, y),
        *_words(rows, y, right=shown.share(truth.loss) < 0.5),
    ]
    if last:
        sentence = "Filled: the truth lies in the 90% interval; open: not. Triangles: it goes on."
        layers += marks.note([sentence], height=height, below=50)
    title = alt.TitleParams(
        text=_TITLES[part],
        anchor="start",
        frame="group",
        fontSize=13,
        fontWeight=600,
        offset=22 if first else 8,
    )
    return alt.LayerChart(layer=layers).properties(width=WIDTH, height=height, title=title)


def _truth(truth: GroundTruth, x: alt.X, height: int, *, named: bool) -> list[alt.Chart]:
    """The measured elbow, with its interval and its number above the first panel."""
    span, line, text = truth_marks(truth)
    found = [
        span.encode(x=x, x2="end:Q", y=alt.value(0), y2=alt.value(height)),
        line.encode(x=x),
    ]
    if named:
        name = line.mark_text(baseline="bottom", fontSize=12, fill=TRUTH)
        found.append(name.encode(x=x, y=alt.value(-5), text=alt.value(text)))
    return found


def _intervals(rows: pl.DataFrame, shown: Window, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Intervals and medians."""
    found = cut(rows, shown)
    present = verdicts(found)
    names, looks = [str(each) for each in present], [VERDICTS[each] for each in present]
    legend = alt.Legend(title="verdict", symbolOpacity=1, offset=16)
    shapes = alt.Scale(domain=names, range=[shape for shape, _ in looks])
    colours = alt.Scale(domain=names, range=[colour for _, colour in looks])
    shape = alt.Shape("verdict:N", scale=shapes, legend=legend)
    colour = alt.Color("verdict:N", scale=colours, legend=legend)
    middle = medians(found)
    inside = alt.Chart(middle.filter("covered"))
    outside = alt.Chart(middle.filter(~pl.col("covered")))
    return [
        alt.Chart(found)
        .mark_rule(strokeWidth=2, opacity=0.85)
        .encode(x=x, x2="high:Q", y=y, color=colour),
        *(
            each.encode(x=x, y=y, color=colour)
            for each in triangles(found, shown, ("triangle-right", "triangle-left"), size=40)
        ),
        inside.mark_point(filled=True, size=75, opacity=1).encode(
            x=x, y=y, color=colour, shape=shape
        ),
        outside.mark_point(filled=False, fill="white", size=65, strokeWidth=1.8, opacity=1).encode(
            x=x, y=y, color=colour, shape=shape
        ),
    ]


def _words(rows: pl.DataFrame, y: alt.Y, *, right: bool) -> list[alt.Chart]:
    """What came of settings without a number, on a white ground, away from the truth."""
    gone = rows.filter(pl.col("p50").is_null())
    texts = [_short(*pair) for pair in gone.select("outcome", "reasons").iter_rows()]
    base = alt.Chart(gone.with_columns(said=pl.Series(texts, dtype=pl.String)))
    base = base.encode(x=alt.value(WIDTH - 6 if right else 6), y=y, text="said:N")
    style = partial(
        base.mark_text, align="right" if right else "left", baseline="middle", fontSize=11
    )
    return [style(stroke="white", strokeWidth=4), style(fill=QUIET)]


def _short(outcome: str, reasons: str) -> str:
    """The first clause of the reason, led by what came of the setting."""
    first = reasons.split(". ", maxsplit=1)[0].split(": ")
    clause = first[1] if first[0].lower() == outcome and len(first) > 1 else first[0]
    clause = clause.rstrip(".")
    text = f"{outcome}: {clause[:1].lower()}{clause[1:]}"
    return (
        text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1].rstrip()}\N{HORIZONTAL ELLIPSIS}"
    )
