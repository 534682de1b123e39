"""Which point of the few-shot curve a forecast is of, and what a scorer may take instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from emergecast.observed import Estimand

if TYPE_CHECKING:
    from emergecast.inference import LossDistribution


@dataclass(frozen=True, slots=True, kw_only=True)
class NoDistribution:
    """A forecast says nothing of one point of the few-shot curve."""

    target: Estimand
    """Which point."""
    reason: str
    """Why, and what to do, in a sentence."""


class Targeted(Protocol):
    """What has a distribution of one point of the few-shot curve, or of several."""

    def distribution_of(self, target: Estimand, /) -> LossDistribution | NoDistribution:
        """The distribution of that point, or why there is none."""
        ...


def only_of_the_elbow(target: Estimand) -> NoDistribution:
    """What a forecast of the elbow answers where another point is asked for."""
    return NoDistribution(
        target=target,
        reason=f"The forecast is of the elbow and has no distribution of the {target}. To score "
        f"that of the elbow against the {target}, say so with --stand-in (in Python "
        "stand_in=True).",
    )


def to_score(
    forecast: Targeted, target: Estimand, *, stand_in: bool
) -> LossDistribution | NoDistribution:
    """The distribution that is scored against this target.

    Args:
        forecast: asked for its distribution of the target.
        target: the point that came true.
        stand_in: take the distribution of the elbow where there is none of the target.
    """
    found = forecast.distribution_of(target)
    if stand_in and isinstance(found, NoDistribution):
        return forecast.distribution_of(Estimand.ELBOW)
    return found
