"""Which part of the axes to show. Nothing is estimated here: an interval is only cut to fit."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from emergecast.measurements import Axis
from emergecast.report.drawing._view import ForecastView

# All numbers of this file are shares of a span, tried on pictures of several designs.
_MARGIN = 0.04  # of the window, so that no point sits on its edge


class Window(NamedTuple):
    """What an axis shows, from `low` to `high`."""

    low: float
    high: float
    axis: Axis = Axis()
    """Whose values they are."""

    @property
    def span(self) -> float:
        """Length of the window."""
        return self.high - self.low

    def cut(self, frame: pl.DataFrame, column: str = "loss") -> pl.DataFrame:
        """Rows of `frame` inside the window."""
        return frame.filter(pl.col(column).is_between(self.low, self.high))

    def share(self, loss: float) -> float:
        """Where a loss stands on the axis: 0 at the left edge (weak), 1 at the right (strong)."""
        from_low = (loss - self.low) / self.span
        return from_low if self.axis.higher_is_stronger else (self.high - loss) / self.span


class _Interval(NamedTuple):
    p05: float
    p50: float
    p95: float


class _LossLike:
    """What windows are found from: a view in which lower is stronger, whatever its axis."""

    def __init__(self, view: ForecastView) -> None:
        self.view = view
        self.axis = view.axis
        self.truth = None if view.truth is None else self.axis.from_axis(view.truth)

    @property
    def elbow(self) -> _Interval | None:
        """Quantiles of the elbow, p05 the strongest."""
        found = self.view.elbow
        if found is None:
            return None
        values = (found.p05, found.p50, found.p95)
        return _Interval(*sorted(self.axis.from_axis(value) for value in values))

    def points(self) -> pl.DataFrame:
        """The scores."""
        return self._turned(self.view.points())

    def curves(self) -> pl.DataFrame:
        """The fitted lines."""
        return self._turned(self.view.curves())

    def distribution(self) -> pl.DataFrame:
        """The posterior of the elbow."""
        return self._turned(self.view.distribution())

    def window(self, low: float, high: float) -> Window:
        """The window between two loss-like values, with a margin, in the view's own axis."""
        low, high, _ = _padded(low, high)
        ends = self.axis.to_axis(low), self.axis.to_axis(high)
        return Window(min(ends), max(ends), self.axis)

    def _turned(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(self.axis.from_axis(pl.col("loss")))


def fan_window(forecast: ForecastView) -> Window:
    """Losses that the fan shows.

    Weak checkpoints far before the first elbow are left out: they are at chance. The elbow's
    interval and later checkpoints may widen the picture to the right, up to a limit.
    """
    view = _LossLike(forecast)
    points = view.points()
    seen = points.filter(~pl.col("hidden"))["loss"]
    strongest, weakest = _bounds(seen if len(seen) else points["loss"])
    span = max(weakest - strongest, 1e-3 * view.axis.per_nat)
    wanted = [strongest, *_above(points["loss"], strongest - 1.2 * span)]
    high = weakest
    if view.elbow is not None:
        wanted += [
            max(view.elbow.p05, strongest - 0.75 * span),
            max(view.elbow.p50 - 0.1 * span, strongest - 2.0 * span),
        ]
        high = max(high, min(view.elbow.p95, high + span))
    if view.truth is not None:
        wanted.append(max(view.truth, strongest - 2.0 * span))
    low = min(wanted)
    first = _first_rise(view.curves())
    if first is not None:
        enough = first + max(first - strongest, 0.35 * (first - low))
        if high - low > 1.4 * (enough - low) > 0:
            high = enough
    return view.window(low, high)


def distribution_window(forecast: ForecastView) -> Window:
    """Losses that the distribution shows: nearly all its mass, and few-shot points around it."""
    view = _LossLike(forecast)
    few_shot = view.points().filter(pl.col("setting") == "few-shot")
    losses = few_shot["loss"]
    if view.elbow is None:
        return view.window(*_bounds(losses if len(losses) else view.points()["loss"]))
    curve = view.distribution()
    body = curve.filter(pl.col("cumulative").is_between(0.002, 0.998))["loss"]
    width = view.elbow.p95 - view.elbow.p05
    low, high = _bounds(body) if len(body) else (view.elbow.p05, view.elbow.p95)
    low = max(low, view.elbow.p05 - 0.75 * width)
    high = min(high, view.elbow.p95 + 0.75 * width)
    span = max(high - low, 1e-3 * view.axis.per_nat)
    near = losses.filter((losses > low - span) & (losses < high + 1.5 * span)).to_list()
    # A few checkpoints show where the evidence ends, even where the distribution is narrow.
    strongest = few_shot.filter(~pl.col("hidden"))["loss"].unique().sort().head(4).to_list()
    truth = [] if view.truth is None else [view.truth]
    wanted = [low, high, *near, *strongest, *truth]
    return view.window(max(min(wanted), low - 2.0 * span), min(max(wanted), high + 4.0 * span))


def score_window(view: ForecastView, shown: pl.DataFrame) -> Window:
    """Scores that a picture shows: its points with their standard errors, and chance."""
    error = pl.col("stderr").fill_null(0.0)
    lows = shown.select(pl.col("score") - error).to_series().drop_nulls().to_list()
    highs = shown.select(pl.col("score") + error).to_series().drop_nulls().to_list()
    low, high = min([view.chance, *lows]), max([view.chance, *highs])
    least = 0.4 * abs(view.chance) or 0.05  # a picture of noise must look like noise
    if high - low < least:
        middle = (low + high) / 2
        low, high = middle - least / 2, middle + least / 2
    return _padded(low, high)


def _first_rise(curves: pl.DataFrame) -> float | None:
    """Highest loss at which any fitted line has left its weak-end level; None without one."""
    if curves.is_empty():
        return None
    level = pl.col("score").sort_by("loss").last().over("label")
    height = pl.col("score") - level
    risen = curves.filter(height > 0.01 * height.max())
    return None if risen.is_empty() else _bounds(risen["loss"])[1]


def _above(losses: pl.Series, least: float) -> list[float]:
    """Losses that are at least `least`."""
    return [loss for loss in losses.to_list() if loss >= least]


def _bounds(values: pl.Series) -> tuple[float, float]:
    """Least and greatest of a column without nulls; (0, 1) of an empty one."""
    numbers = [float(value) for value in values.to_list()]
    return (min(numbers), max(numbers)) if numbers else (0.0, 1.0)


def _padded(low: float, high: float) -> Window:
    """A window with a margin on both sides, never of zero length."""
    margin = max(_MARGIN * (high - low), 1e-3 * max(abs(high), 1e-3))
    return Window(low - margin, high + margin)
