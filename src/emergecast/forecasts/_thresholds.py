"""The rules of the verdict: one number each, with its default."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from emergecast.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emergecast.measurements import Axis

IN_NATS = ("width", "prior_shift", "few_shot_shift", "law_gap", "influence", "size_effect")
"""Thresholds that are stated in nats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """When a forecast counts as identified, and when it is refused."""

    width: float = 0.2
    """Widest 90% interval of an identified forecast, nats."""
    prior_share: float = 0.5
    """Largest posterior standard deviation, as a share of the prior's."""
    prior_shift: float = 0.03
    """How far doubling all prior scales may move the median, nats."""
    law_gap: float = 0.05
    """How far the median of any one law may lie from the forecast's, nats."""
    few_shot_shift: float = 0.3
    """How far reading off at another D0, from 1 to ten times as many examples, may move the median,
    nats."""
    influence: float = 0.05
    """How far leaving out one checkpoint or one data amount may move the median, nats."""
    surprise: float = 4.0
    """How many standard deviations a checkpoint may lie from what the others predict for it."""
    predictive: float = 0.01
    """Smallest tail probability of a posterior predictive check."""
    monotonicity: float = 0.01
    """Smallest probability that noise alone makes scores fall as far as they do."""
    size_effect: float = 0.05
    """How far model size, overtraining or the series may move the elbow at equal loss, nats."""
    significance: float = 0.01
    """Such an effect counts only where chance gives one as strong less often than this."""
    elbows_seen: int = 3
    """Data amounts whose curve must visibly leave chance for the law to be traced."""
    evidence: float = 20.0
    """Smallest Bayes factor of the law over scores that never leave chance; below it, refused."""
    firm_evidence: float = 1e4
    """Smallest such Bayes factor of an identified forecast."""
    observed: float = 0.95
    """Probability that the elbow lies at or above the strongest loss for it to be observed."""
    min_amounts: int = 3
    min_checkpoints: int = 4
    seen_checkpoints: int = 2
    """Checkpoints above chance that make a curve's elbow visible."""

    def override(self, changes: Mapping[str, Any]) -> Thresholds:
        """A copy with some thresholds replaced; an unknown name or a NaN is an OptionError."""
        known = [field.name for field in fields(self)]
        for name, value in changes.items():
            if name not in known:
                message = f"there is no threshold {name!r}; they are {', '.join(known)}."
                raise OptionError(message)
            if not isinstance(value, int | float) or not value >= 0:
                message = f"threshold {name} must be a number of at least 0, not {value!r}."
                raise OptionError(message)
        return replace(self, **changes)


def default_thresholds(axis: Axis) -> Thresholds:
    """The rules on an axis: on another one than loss, nats become what they are worth there.

    To three digits, since they are printed.
    """
    default, per_nat = Thresholds(), axis.per_nat
    worth = {name: float(f"{getattr(default, name) * per_nat:.3g}") for name in IN_NATS}
    return default.override(worth)
