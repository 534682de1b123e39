"""From the loss-like numbers of a fit to those of the axis that a reader knows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from emergecast.forecasts._verdict import Thresholds

if TYPE_CHECKING:
    from emergecast.forecasts._verdict import Sensitivity
    from emergecast.inference import Fit, Posterior
    from emergecast.measurements import Axis

QUANTILES = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}
IN_NATS = ("width", "prior_shift", "few_shot_shift", "law_gap", "influence", "size_effect")
"""Thresholds that are stated in nats."""


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
    p25: float
    p50: float
    p75: float
    p95: float


def default_thresholds(fit: Fit) -> Thresholds:
    """The thresholds of a fit: on another axis than loss, nats become what they are worth there.

    To three digits, since they are printed.
    """
    default, per_nat = Thresholds(), fit.selection.axis.per_nat
    worth = {name: float(f"{getattr(default, name) * per_nat:.3g}") for name in IN_NATS}
    return default.override(worth)


def quantiles_on(axis: Axis, posterior: Posterior) -> dict[str, float]:
    """The quantiles p05 to p95 of the elbow as values of the axis, in rising order."""
    values = sorted(axis.to_axis(posterior.quantile(list(QUANTILES.values()))))
    return dict(zip(QUANTILES, map(float, values), strict=True))


def sensitivity_on(axis: Axis, row: Sensitivity) -> Sensitivity:
    """A row of internal quantiles as values of the axis: mirrored where higher is stronger."""
    p05, p50, p95 = sorted(axis.to_axis(value) for value in (row.p05, row.p50, row.p95))
    return replace(row, p05=p05, p50=p50, p95=p95)
