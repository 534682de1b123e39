"""Which part of the axes to show. Nothing is estimated here: an interval is only cut to fit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from emergecast.diagnostics import FEW_SHOT
from emergecast.measurements import Axis

if TYPE_CHECKING:
    from emergecast.forecasts import Forecast

# All numbers of this file are shares of a span, tried on pictures of several designs.
_MARGIN = 0.04  # of the window, so that no point sits on its edge


class Window(NamedTuple):
    """What an axis shows, from `low` to `high`."""

    low: float
    high: float
    axis: Axis = Axis()
    """Whose values they are."""
    logarithmic: bool = False
    """Whether equal ratios are equally wide."""

    @property
    def span(self) -> float:
        """Length of the window."""
        return self.high - self.low

    def holds(self, value: float) -> bool:
        """Whether a value lies inside."""
        return self.low <= value <= self.high

    def cut(self, frame: pl.DataFrame, column: str = "loss") -> pl.DataFrame:
        """Rows of `frame` inside the window."""
        return frame.filter(pl.col(column).is_between(self.low, self.high))

    def share(self, value: float) -> float:
        """Where a value stands on the axis: 0 at the left edge (weak), 1 at the right (strong)."""
        if self.logarithmic:
            from_low = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            from_low = (value - self.low) / self.span
        return from_low if self.axis.higher_is_stronger else 1.0 - from_low

    def filled(self, distribution: pl.DataFrame) -> pl.DataFrame:
        """A distribution inside the window, drawn on to edges that it runs out before."""
        ordered = distribution.sort("loss")
        ends = [(ordered.head(1), self.low), (ordered.tail(1), self.high)]
        beyond = [
            end.with_columns(loss=pl.lit(edge), density=pl.lit(0.0))
            for end, edge in ends
            if self.low < end["loss"].item() < self.high
        ]
        return self.cut(pl.concat([ordered, *beyond], how="vertical_relaxed").sort("loss"))


class _LossLike(NamedTuple):
    """A forecast in which lower is stronger, whatever its axis."""

    axis: Axis
    points: pl.DataFrame
    quantiles: tuple[float, float, float] | None
    """Of the elbow at 5, 50 and 95%, the strongest first."""
    truth: tuple[float, ...]
    """The elbow that was measured later, if any was."""

    @classmethod
    def of(cls, forecast: Forecast) -> _LossLike:
        """What windows are found from."""
        axis, elbow, truth = forecast.axis, forecast.elbow, forecast.truth
        quantiles = None
        if elbow is not None:
            low, middle, high = sorted(map(axis.from_axis, (elbow.p05, elbow.p50, elbow.p95)))
            quantiles = low, middle, high
        return cls(
            axis=axis,
            points=_turned(axis, forecast.points()),
            quantiles=quantiles,
            truth=() if truth is None else (axis.from_axis(truth),),
        )

    def window(self, low: float, high: float) -> Window:
        """The window between two loss-like values, with a margin, on the forecast's own axis."""
        shown = _padded(low, high)
        ends = self.axis.to_axis(shown.low), self.axis.to_axis(shown.high)
        return Window(min(ends), max(ends), self.axis)


def fan_window(forecast: Forecast) -> Window:
    """Losses that the fan shows.

    Weak checkpoints far before the first elbow are left out: they are at chance. The elbow's
    interval and later checkpoints may widen the picture to the right, up to a limit.
    """
    found = _LossLike.of(forecast)
    losses = found.points["loss"]
    seen = found.points.filter(~pl.col("hidden"))["loss"]
    strongest, weakest = _bounds(seen if len(seen) else losses)
    span = max(weakest - strongest, 1e-3 * found.axis.per_nat)
    wanted = [strongest, *losses.filter(losses >= strongest - 1.2 * span)]
    high = weakest
    if found.quantiles is not None:
        p05, p50, p95 = found.quantiles
        wanted += [
            max(p05, strongest - 0.75 * span),
            max(p50 - 0.1 * span, strongest - 2.0 * span),
        ]
        high = max(high, min(p95, high + span))
    wanted += [max(truth, strongest - 2.0 * span) for truth in found.truth]
    low = min(wanted)
    first = _first_rise(_turned(found.axis, forecast.curves()))
    if first is not None:
        enough = first + max(first - strongest, 0.35 * (first - low))
        if high - low > 1.4 * (enough - low) > 0:
            high = enough
    return found.window(low, high)


def distribution_window(forecast: Forecast) -> Window:
    """Losses that the distribution shows: nearly all its mass, and few-shot points around it."""
    found = _LossLike.of(forecast)
    few_shot = found.points.filter(pl.col("setting") == FEW_SHOT)
    losses = few_shot["loss"]
    if found.quantiles is None:
        return found.window(*_bounds(losses if len(losses) else found.points["loss"]))
    p05, _, p95 = found.quantiles
    curve = _turned(found.axis, forecast.distribution())
    body = curve.filter(pl.col("cumulative").is_between(0.002, 0.998))["loss"]
    low, high = _bounds(body) if len(body) else (p05, p95)
    low = max(low, p05 - 0.75 * (p95 - p05))
    high = min(high, p95 + 0.75 * (p95 - p05))
    span = max(high - low, 1e-3 * found.axis.per_nat)
    near = losses.filter((losses > low - span) & (losses < high + 1.5 * span))
    # A few checkpoints show where the evidence ends, even where the distribution is narrow.
    strongest = few_shot.filter(~pl.col("hidden"))["loss"].unique().sort().head(4)
    wanted = [low, high, *near, *strongest, *found.truth]
    return found.window(max(min(wanted), low - 2.0 * span), min(max(wanted), high + 4.0 * span))


def score_window(forecast: Forecast, shown: pl.DataFrame) -> Window:
    """Scores that a picture shows: its points with their standard errors, and chance."""
    error, chance = pl.col("stderr").fill_null(0.0), forecast.chance
    low = min([chance, *shown.select(pl.col("score") - error).to_series().drop_nulls()])
    high = max([chance, *shown.select(pl.col("score") + error).to_series().drop_nulls()])
    least = 0.4 * abs(chance) or 0.05  # a picture of noise must look like noise
    if high - low < least:
        middle = (low + high) / 2
        low, high = middle - least / 2, middle + least / 2
    return _padded(low, high)


def _turned(axis: Axis, frame: pl.DataFrame) -> pl.DataFrame:
    """The same rows with losses such that lower is stronger."""
    return frame.with_columns(axis.from_axis(pl.col("loss")))


def _first_rise(curves: pl.DataFrame) -> float | None:
    """Highest loss at which any fitted line has left its weak-end level; None without one."""
    if curves.is_empty():
        return None
    level = pl.col("score").sort_by("loss").last().over("label")
    height = pl.col("score") - level
    risen = curves.filter(height > 0.01 * height.max())
    return None if risen.is_empty() else _bounds(risen["loss"])[1]


def _bounds(values: pl.Series) -> tuple[float, float]:
    """Least and greatest of a column without nulls; (0, 1) of an empty one."""
    numbers = [float(value) for value in values]
    return (min(numbers), max(numbers)) if numbers else (0.0, 1.0)


def _padded(low: float, high: float) -> Window:
    """A window with a margin on both sides, never of zero length."""
    margin = max(_MARGIN * (high - low), 1e-3 * max(abs(high), 1e-3))
    return Window(low - margin, high + margin)
