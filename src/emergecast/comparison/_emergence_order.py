"""Several series in the order in which they emerge, with the uncertainty of every place."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np

from emergecast.comparison._first import STEPS, middles, no_compute
from emergecast.records import Probability, Some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from emergecast.comparison._series_forecast import SeriesForecast
    from emergecast.comparison._series_pair import SeriesPair
    from emergecast.forecasts import Forecast

    Floats = NDArray[np.float64]

NEARLY_TIED: Final = 0.2
"""Difference of mean places of two series of which one is first with probability 0.6."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A series that takes no part, and why."""

    series: str
    """Its name."""
    reason: str
    """Why, in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedSeries:
    """One series in the order, and how sure its place is."""

    series: str
    """Its name."""
    first: Probability
    """Probability that it emerges before all others."""
    mean_place: float
    """Mean of its place; 1 is the first."""
    earliest_place: Some
    """5% quantile of its place."""
    latest_place: Some
    """95% quantile of its place."""
    places: tuple[Probability, ...]
    """Probability of each place, the first place first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmergenceOrder:
    """The series in the order in which they emerge, the first one first, by mean place.

    The mean place is 1 plus the sum of the probabilities that each of the others comes before.
    """

    placed: tuple[PlacedSeries, ...]
    """Empty where no order can be stated."""
    left_out: tuple[LeftOut, ...]
    """Series that have a forecast or were refused one, and no place in this order."""
    reason: str | None
    """Why no order can be stated, in a sentence; None where it is."""

    @property
    def names(self) -> tuple[str, ...]:
        """The series placed, the first one first."""
        return tuple(each.series for each in self.placed)

    @property
    def leaders(self) -> tuple[PlacedSeries, ...]:
        """The series placed first, and those nearly tied with it; empty where none is placed.

        Nearly tied is a mean place less than `NEARLY_TIED` behind it, or as high a probability of
        being first: a series that is hardly known may well be first, and as well be last.
        """
        if not self.placed:
            return ()
        best, *rest = self.placed
        tied = (
            each
            for each in rest
            if each.mean_place - best.mean_place < NEARLY_TIED or each.first >= best.first
        )
        return (best, *tied)


def order_at_equal_loss(
    found: Sequence[SeriesForecast], pairs: Sequence[SeriesPair]
) -> EmergenceOrder:
    """The order by the elbow itself, of series whose losses compare with one another."""
    able, gone = _with_elbow(found)
    apart = {pair.series: pair.apart for pair in pairs if pair.apart is not None}
    kept, odd = _comparable(able, apart)
    if len(able) > 1 and (len(kept) < 2 or 2 * len(kept) <= len(able)):
        return _none(gone, next(iter(apart.values())), able)
    gone += [LeftOut(series=name, reason=why) for name, why in odd]
    if len(kept) < 2:
        return _none(gone, _too_few(gone), kept)
    levels = middles(STEPS)
    values = [each.forecast.quantile(levels) for each in kept]
    before = [
        np.array([_emerged_before(other.forecast, own) for other in kept if other is not each])
        for each, own in zip(kept, values, strict=True)
    ]
    return _order(kept, [_count(p).mean(axis=1) for p in before], gone)


def order_at_equal_compute(found: Sequence[SeriesForecast]) -> EmergenceOrder:
    """The order by the training FLOPs of the elbow, of series whose compute is known."""
    able, gone = _with_elbow(found)
    drawn = []
    for each in able:
        draws = None if each.forecast.compute is None else each.forecast.compute.flops_draws
        if draws is None:
            gone.append(LeftOut(series=each.series, reason=no_compute(each.forecast)))
        else:
            drawn.append((each, np.sort(np.asarray(draws, dtype=np.float64))))
    if len(drawn) < 2:
        return _none(gone, _too_few(gone), [each for each, _ in drawn])
    places = [
        _places_of_draws(own, [other for j, (_, other) in enumerate(drawn) if j != i])
        for i, (_, own) in enumerate(drawn)
    ]
    return _order([each for each, _ in drawn], places, gone)


# ------------------------------------------------------------------------------ probabilities


def _emerged_before(other: Forecast, values: Floats) -> Floats:
    """P(the other series emerges before a series whose elbow has these values), their shape."""
    below = other.cumulative(values)
    return below if other.axis.higher_is_stronger else 1.0 - below


def _count(before: Floats) -> Floats:
    """Distribution of how many of n independent events happen (Poisson binomial).

    Args:
        before: probability of each event at each of m values, shape (n, m).

    Returns:
        Probability of each count, shape (n + 1, m).
    """
    n, m = before.shape
    found = np.zeros((n + 1, m))
    found[0] = 1.0
    for p in before:
        found[1:] = found[1:] * (1 - p) + found[:-1] * p
        found[0] *= 1 - p
    return found


def _places_of_draws(own: Floats, others: Sequence[Floats]) -> Floats:
    """Probability of each place of a series by its sorted draws, shape (series,).

    Draws are infinite where no compute reaches the elbow. Those that never emerge share the last
    places: with b others before it, a series has each of the places from b + 1 on alike.
    """
    reached = own[np.isfinite(own)]
    before = np.array([_share_below(other, reached) for other in others])
    found = np.asarray(_count(before).sum(axis=1) / own.size)
    ever = np.array([[np.isfinite(other).mean()] for other in others])
    never = 1 - reached.size / own.size
    for b, p in enumerate(_count(ever)[:, 0]):
        found[b:] += never * p / (found.size - b)
    return found


def _share_below(sorted_draws: Floats, values: Floats) -> Floats:
    """Share of the draws below each value; a tie counts half."""
    below = np.searchsorted(sorted_draws, values, side="left")
    up_to = np.searchsorted(sorted_draws, values, side="right")
    return np.asarray((below + up_to) / (2 * sorted_draws.size))


# ------------------------------------------------------------------------------ records


def _order(
    able: Sequence[SeriesForecast], places: Sequence[Floats], gone: list[LeftOut]
) -> EmergenceOrder:
    placed = [_placed(each.series, own) for each, own in zip(able, places, strict=True)]
    placed.sort(key=lambda each: each.mean_place)
    return EmergenceOrder(placed=tuple(placed), left_out=tuple(gone), reason=None)


def _placed(name: str, places: Floats) -> PlacedSeries:
    shares = np.clip(places, 0.0, 1.0)
    up_to = np.cumsum(shares)
    low, high = (int(np.searchsorted(up_to, level * up_to[-1])) + 1 for level in (0.05, 0.95))
    return PlacedSeries(
        series=name,
        first=float(shares[0]),
        mean_place=float(shares @ np.arange(1, shares.size + 1)),
        earliest_place=low,
        latest_place=high,
        places=tuple(map(float, shares)),
    )


def _with_elbow(
    found: Sequence[SeriesForecast],
) -> tuple[list[SeriesForecast], list[LeftOut]]:
    """The series whose forecast is not refused, and the others with the reason."""
    able = [each for each in found if each.forecast.elbow is not None]
    gone = [
        LeftOut(series=each.series, reason=f"the forecast {each.no_place}")
        for each in found
        if each.forecast.elbow is None
    ]
    return able, gone


def _comparable(
    able: list[SeriesForecast], apart: dict[tuple[str, str], str]
) -> tuple[list[SeriesForecast], list[tuple[str, str]]]:
    """Series of which every two compare, and those left out for it with a reason.

    The series that compares with fewest of the others goes first, of equals the later one.
    """
    kept, gone = list(able), list[tuple[str, str]]()
    while True:
        names = [each.series for each in kept]
        against: dict[str, list[str]] = {name: [] for name in names}
        for a, b in combinations(names, 2):
            why = apart.get((a, b))
            if why is not None:
                against[a].append(why)
                against[b].append(why)
        worst = max(reversed(names), key=lambda name: len(against[name]), default="")
        if not worst or not against[worst]:
            return kept, gone
        gone.append((worst, f"{against[worst][0]}."))
        kept = [each for each in kept if each.series != worst]


def _none(gone: Sequence[LeftOut], reason: str, others: Sequence[SeriesForecast]) -> EmergenceOrder:
    """No order; those that could have been in it are left out for the same reason."""
    rest = [LeftOut(series=each.series, reason=reason) for each in others]
    return EmergenceOrder(placed=(), left_out=(*gone, *rest), reason=reason)


def _too_few(gone: Sequence[LeftOut]) -> str:
    first = f"; {gone[0].series}: {gone[0].reason.rstrip('.')}" if gone else ""
    return f"fewer than two series can be placed{first}"
