"""The elbow, and what to expect of one loss, in the numbers of the axis that a reader knows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from emergecast.records import Probability

if TYPE_CHECKING:
    from emergecast.forecasts._verdict import Sensitivity
    from emergecast.measurements import Axis


@dataclass(frozen=True, slots=True, kw_only=True)
class Elbow:
    """Where few-shot emergence happens, as a loss in nats, or as a value of another axis.

    Quantiles are of the printed number: p05 is the numerically low one. On loss that is the later
    emergence; on an axis where higher is stronger, such as compute, the earlier.
    """

    mle: float | None
    """Maximum likelihood; None where the likelihood has no maximum in a sensible range."""
    mode: float
    """Highest point of the posterior density."""
    p05: float
    """5% quantile."""
    p25: float
    """25% quantile."""
    p50: float
    """Median."""
    p75: float
    """75% quantile."""
    p95: float
    """95% quantile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exceedance:
    """How likely a score above a given one is."""

    score: float
    """The score."""
    probability: Probability
    """Probability that the model's few-shot score lies above it, without sampling error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AtLoss:
    """What to expect of a model of one loss."""

    loss: float
    """Nats, or the unit of the forecast's axis."""
    emerged: Probability
    """Probability that its few-shot score has left chance."""
    score: float
    """Median of its few-shot score, without sampling error."""
    exceeds: tuple[Exceedance, ...]
    """Of each score that was asked about."""


def sensitivity_on(axis: Axis, row: Sensitivity) -> Sensitivity:
    """A row of internal quantiles as values of the axis: mirrored where higher is stronger."""
    p05, p50, p95 = sorted(axis.to_axis(value) for value in (row.p05, row.p50, row.p95))
    return replace(row, p05=p05, p50=p50, p95=p95)
