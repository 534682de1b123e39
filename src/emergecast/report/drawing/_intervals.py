"""What the pictures of a backtest share: verdicts, the truth, intervals as far as they fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import polars as pl

from emergecast.forecasts import Verdict
from emergecast.report.drawing import marks
from emergecast.report.drawing._look import BAND_TEXT, TRUTH
from emergecast.report.drawing._window import Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emergecast.observed import GroundTruth

VERDICTS = {
    Verdict.IDENTIFIED: ("circle", "#1b7a6b"),
    Verdict.OBSERVED: ("square", "#3b528b"),
    Verdict.WEAK: ("diamond", BAND_TEXT),
}
"""Shape and colour of each verdict that comes with a number."""
# How far past what must be seen a window may go for long intervals, in its span.
_OWN_REACH = 3.0
_OTHERS_REACH = 0.4


def interval_window(
    must: Sequence[float], own: pl.DataFrame, others: pl.DataFrame | None = None
) -> Window:
    """Losses to show: all that must be seen, and of long intervals what does not dwarf it.

    Intervals of forecasts (`own`) may widen the window more than those of baselines (`others`).
    """
    low, high = min(must), max(must)
    for rows, reach in ((own, _OWN_REACH), (others, _OTHERS_REACH)):
        ends = [] if rows is None else [*rows["p05"], *rows["p95"]]
        span = max(high - low, 0.02)
        low, high = (
            max(low - reach * span, min([low, *ends])),
            min(high + reach * span, max([high, *ends])),
        )
    margin = 0.05 * max(high - low, 0.02)
    return Window(low - margin, high + margin)


def cut(frame: pl.DataFrame, shown: Window) -> pl.DataFrame:
    """Scored rows with `loss` and `high`, the interval as far as the window shows it."""
    return frame.drop_nulls("p50").with_columns(
        loss=pl.col("p05").clip(shown.low, shown.high),
        high=pl.col("p95").clip(shown.low, shown.high),
        goes_lower=pl.col("p05") < shown.low,
        goes_higher=pl.col("p95") > shown.high,
    )


def medians(found: pl.DataFrame) -> pl.DataFrame:
    """The same rows with the median as `loss`."""
    return found.with_columns(loss=pl.col("p50"))


def triangles(
    found: pl.DataFrame, shown: Window, shapes: tuple[str, str], *, size: int
) -> list[alt.Chart]:
    """Where intervals go on below and above the window, at its edges, still without a place."""
    return [
        alt.Chart(found.filter(flag).with_columns(loss=pl.lit(edge))).mark_point(
            filled=True, size=size, shape=shape, opacity=1
        )
        for flag, edge, shape in (
            ("goes_lower", shown.low, shapes[0]),
            ("goes_higher", shown.high, shapes[1]),
        )
    ]


def truth_marks(truth: GroundTruth) -> tuple[alt.Chart, alt.Chart, str]:
    """The truth's 90% interval and a line at its estimate, still without a place; and its name."""
    span = marks.one(loss=truth.p05, end=truth.p95).mark_rect(fill=TRUTH, opacity=0.10, clip=True)
    line = marks.one(loss=truth.loss)
    line = line.mark_rule(stroke=TRUTH, strokeWidth=1.8, strokeDash=[7, 3])
    return span, line, f"truth {truth.loss:.3f}"


def verdicts(frame: pl.DataFrame) -> list[Verdict]:
    """Verdicts that occur beside a number."""
    return [verdict for verdict in VERDICTS if verdict in set(frame["verdict"])]
