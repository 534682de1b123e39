"""Two of the series: which of them emerges first."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import TYPE_CHECKING

from emergecast.comparison._first import Difference, First, at_equal_compute, at_equal_loss
from emergecast.comparison._series_forecast import losses_apart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emergecast.comparison._series_forecast import SeriesForecast

DECIDED = 0.95
"""Probability from which an answer counts as decided: the 90% interval of the difference then
leaves 0 out."""


class ComparedAt(StrEnum):
    """What is held equal."""

    LOSS = "loss"
    """The loss, or another axis."""
    COMPUTE = "compute"
    """Training FLOPs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesPair:
    """Two series, the first and the second, and which emerges first."""

    series: tuple[str, str]
    """Their names."""
    at_equal_loss: First
    """At equal loss, or at an equal value of another axis."""
    at_equal_compute: First
    """At equal training FLOPs."""
    difference: Difference | None
    """None where a forecast is refused or the losses do not compare."""
    true_difference: float | None
    """Difference of the elbows that came true, nats; None unless both are known and compare."""
    apart: str | None
    """Why a loss of one series does not mean the same in the other; None where it does."""

    def answer(self, at: ComparedAt) -> First:
        """Which emerges first where this is held equal."""
        return self.at_equal_loss if at is ComparedAt.LOSS else self.at_equal_compute


def pairs_of(found: Sequence[SeriesForecast], *, per_byte: bool) -> tuple[SeriesPair, ...]:
    """Every two of the series, in their order."""
    return tuple(_pair(a, b, per_byte=per_byte) for a, b in combinations(found, 2))


def _pair(a: SeriesForecast, b: SeriesForecast, *, per_byte: bool) -> SeriesPair:
    both, refused = [a.forecast, b.forecast], refusal((a, b))
    apart, _ = losses_apart([a.sources, b.sources], per_byte=per_byte)
    first, difference = at_equal_loss(both, refused or apart)
    return SeriesPair(
        series=(a.series, b.series),
        at_equal_loss=first,
        at_equal_compute=at_equal_compute(both, refused),
        difference=difference,
        true_difference=None if apart else true_difference(a, b),
        apart=apart,
    )


def true_difference(a: SeriesForecast, b: SeriesForecast) -> float | None:
    """Difference of the elbows that came true, nats; None unless both are known."""
    if a.came_true is None or b.came_true is None:
        return None
    return a.came_true.elbow - b.came_true.elbow


def refusal(found: Sequence[SeriesForecast]) -> str | None:
    """Which forecasts are refused, and why; None where none is."""
    said = [
        f"the forecast of {each.series} {each.no_place.replace(': ', ' (', 1).rstrip('.')})"
        for each in found
        if each.forecast.elbow is None
    ]
    return "; ".join(said) or None
