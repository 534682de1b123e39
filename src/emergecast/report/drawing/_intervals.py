"""Marks that the pictures of a backtest share: verdicts, intervals as far as they fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import altair as alt
import polars as pl

from emergecast.report.drawing._look import BAND_TEXT, QUIET
from emergecast.report.drawing._window import Window

if TYPE_CHECKING:
    from collections.abc import Sequence

FORECAST = "forecast"
VERDICTS = {
    "identified": ("circle", "#1b7a6b"),
    "observed": ("square", "#3b528b"),
    "weak": ("diamond", BAND_TEXT),
}
"""Shape and colour of each verdict that comes with a number."""
# How far past what must be seen a window may go for long intervals, in its span.
_OWN_REACH = 3.0
_OTHERS_REACH = 0.4


class TruthView(Protocol):
    """The few-shot elbow that the whole table shows, in nats."""

    @property
    def elbow(self) -> float:
        """Estimate."""
        ...

    @property
    def p05(self) -> float:
        """5% quantile."""
        ...

    @property
    def p95(self) -> float:
        """95% quantile."""
        ...


class BacktestView(Protocol):
    """A backtest as the pictures see it."""

    @property
    def title(self) -> str:
        """Task and series."""
        ...

    @property
    def subtitle(self) -> str:
        """Truth, law and D0 in a few words."""
        ...

    @property
    def truth(self) -> TruthView:
        """What the forecasts are scored against."""
        ...

    def to_frame(self) -> pl.DataFrame:
        """One row per forecast or baseline.

        Columns: part ("ladder", "ablations", "laws", "d0"), setting, forecaster, outcome, verdict,
        reasons, strongest_loss, ahead_nats, ahead_flops, p05, p50, p95, covered; null where there
        is nothing to say.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Title and subtitle of a picture."""

    title: str
    subtitle: str


def window(must: Sequence[float], own: Sequence[float], others: Sequence[float] = ()) -> Window:
    """Losses to show: all that must be seen, and of long intervals what does not dwarf it.

    Intervals of forecasts (`own`) may widen the window more than those of baselines (`others`).
    """
    low, high = min(must), max(must)
    for wish, reach in ((own, _OWN_REACH), (others, _OTHERS_REACH)):
        span = max(high - low, 0.02)
        low, high = (
            max(low - reach * span, min([low, *wish])),
            min(high + reach * span, max([high, *wish])),
        )
    margin = 0.05 * max(high - low, 0.02)
    return Window(low - margin, high + margin)


def cut(frame: pl.DataFrame, shown: Window) -> pl.DataFrame:
    """Scored rows with `low` and `high`, the interval as far as the window shows it."""
    inside = frame.drop_nulls("p50").with_columns(
        low=pl.col("p05").clip(shown.low, shown.high),
        high=pl.col("p95").clip(shown.low, shown.high),
    )
    return inside.with_columns(
        goes_lower=pl.col("p05") < shown.low, goes_higher=pl.col("p95") > shown.high
    )


def verdicts(frame: pl.DataFrame) -> tuple[list[str], list[str], list[str]]:
    """Verdicts that occur beside a number, with their shapes and colours."""
    present = set(frame["verdict"].drop_nulls().to_list())
    names = [name for name in VERDICTS if name in present]
    return names, [VERDICTS[name][0] for name in names], [VERDICTS[name][1] for name in names]


def remarks(sentences: list[str], *, top: float) -> list[alt.Chart]:
    """Small remarks below a panel, one line each."""
    return [
        alt.Chart(alt.InlineData(values=[{}]))
        .mark_text(align="left", baseline="top", fontSize=11, fill=QUIET)
        .encode(x=alt.value(0), y=alt.value(top + 15 * i), text=alt.value(sentence))
        for i, sentence in enumerate(sentences)
    ]
