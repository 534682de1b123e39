"""How many pairs of series were ranked right, where later checkpoints say which came first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from emergecast.comparison._ranking import LOSS
from emergecast.comparison._series_pair import ComparedAt
from emergecast.records import Count, NotNegative, Probability

if TYPE_CHECKING:
    from emergecast.comparison._ranking import Ranking
    from emergecast.comparison._series_forecast import CameTrue, SeriesForecast
    from emergecast.comparison._series_pair import SeriesPair

FORECAST = "forecast"
"""What decides where it is no baseline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """Pairs of series that a way of ranking them decided right.

    Source: decision accuracy of DataDecide, arXiv 2504.11393.
    """

    by: str
    """What ranked them: the forecast, or the setting of a ranking at one size."""
    at: ComparedAt
    """What is held equal where the order that came true is read off."""
    pairs: Count
    """Pairs of which the true order is known and an answer is stated."""
    right: NotNegative
    """Pairs ranked right; an answer that favours neither counts half."""
    accuracy: Probability | None
    """Share of the pairs ranked right; None where there are no pairs."""
    clear_pairs: Count
    """Pairs whose true order is itself clear: the 90% intervals of the two do not meet."""
    clear_right: NotNegative
    """Of these, pairs ranked right."""
    stated: Probability | None
    """Mean of the probabilities stated for the answers given, which the accuracy should match;
    None where none are stated."""


class _Truth(NamedTuple):
    """Which of two came first, and whether the intervals leave no doubt."""

    first: bool
    clear: bool


Answer = Callable[[str, str], float | None]
"""Probability that the first of two series emerges before the second; None: not stated."""


def decisions_of(
    found: Sequence[SeriesForecast], pairs: Sequence[SeriesPair], baselines: Sequence[Ranking]
) -> tuple[Decisions, ...]:
    """How many pairs the forecasts and each baseline decided right; none where nothing is known."""
    came_true = {each.series: each.came_true for each in found}
    higher = bool(found) and found[0].forecast.axis.higher_is_stronger
    result = []
    for at in ComparedAt:
        truths = {
            pair.series: truth
            for pair in pairs
            if (truth := _truth(pair, came_true, at, higher=higher)) is not None
        }
        if not truths:
            continue
        result.append(_decided(FORECAST, at, truths, _by_forecast(pairs, at)))
        result += [_decided(each.setting, at, truths, _by(each)) for each in baselines]
    return tuple(each for each in result if each.pairs)


def _by_forecast(pairs: Sequence[SeriesPair], at: ComparedAt) -> Answer:
    own = {pair.series: pair.answer(at).probability for pair in pairs}
    return lambda first, second: own[first, second]


def _by(ranking: Ranking) -> Answer:
    def answer(first: str, second: str) -> float | None:
        there = {first, second} <= set(ranking.series)
        return ranking.better(first, second) if there else None

    return answer


def _truth(
    pair: SeriesPair, came_true: Mapping[str, CameTrue | None], at: ComparedAt, *, higher: bool
) -> _Truth | None:
    """Which came first; None where it is not known, or neither did."""
    a, b = (came_true[name] for name in pair.series)
    if a is None or b is None:
        return None
    if at is ComparedAt.LOSS:
        if pair.apart is not None or a.elbow == b.elbow:
            return None
        clear = a.low > b.high or b.low > a.high
        return _Truth(first=(a.elbow > b.elbow) is not higher, clear=clear)
    ends = (a.log10_flops_low, a.log10_flops_high, b.log10_flops_low, b.log10_flops_high)
    if a.log10_flops is None or b.log10_flops is None or a.log10_flops == b.log10_flops:
        return None
    a_low, a_high, b_low, b_high = (float(end or 0.0) for end in ends)
    return _Truth(first=a.log10_flops < b.log10_flops, clear=a_low > b_high or b_low > a_high)


def _decided(
    by: str, at: ComparedAt, truths: Mapping[tuple[str, str], _Truth], answer: Answer
) -> Decisions:
    stated = [(p, truth) for names, truth in truths.items() if (p := answer(*names)) is not None]
    right = [_right(p, truth) for p, truth in stated]
    clear = [r for r, (_, truth) in zip(right, stated, strict=True) if truth.clear]
    sure = [max(p, 1 - p) for p, _ in stated]
    n = len(right)
    return Decisions(
        by=by,
        at=at,
        pairs=n,
        right=sum(right),
        accuracy=sum(right) / n if n else None,
        clear_pairs=len(clear),
        clear_right=sum(clear),
        stated=sum(sure) / n if n and by != LOSS else None,
    )


def _right(probability: float, truth: _Truth) -> float:
    if probability == 0.5:
        return 0.5
    return float((probability > 0.5) is truth.first)
