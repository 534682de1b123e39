"""What a forecast hangs on, and whether its law fits: computed for every forecast given."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from emergecast.diagnostics._falls import Fall, find_falls
from emergecast.diagnostics._influence import Influence, Suspect, leave_out
from emergecast.diagnostics._predictive import Check, predictive_checks
from emergecast.diagnostics._residuals import Residual, Trend, residuals
from emergecast.inference import SEED, local_optima

if TYPE_CHECKING:
    from emergecast.inference import Fit
    from emergecast.measurements import Axis

DRAWS = 1000
AS_GOOD = 2.0
"""Optima within so many units of log likelihood of the best explain the rows about as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Optima:
    """Where local searches for the maximum likelihood of the plain law end; losses in nats."""

    starts: int
    """Searches, from good places all over the grid."""
    stuck: int
    """How many ended in a worse optimum."""
    best: float
    """E(D0) of the best end, or of the global search where that is better."""
    low: float
    """Lowest E(D0) among those that explain the rows about as well."""
    high: float
    lucky_low: float
    """Lowest E(D0) among all ends: what an unlucky start would have reported."""
    lucky_high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostics:
    """Everything that is checked of a forecast besides its sensitivity; losses in nats."""

    influence: tuple[Influence, ...]
    """The forecast without each checkpoint and data amount, the largest shift first."""
    residuals: tuple[Residual, ...]
    """Of every checkpoint with rows past their elbow."""
    trends: tuple[Trend, ...]
    """Residuals against model size, overtraining and series."""
    suspects: tuple[Suspect, ...]
    """Checkpoints that the others do not predict."""
    falls: tuple[Fall, ...]
    """Scores that fall beyond noise where they should rise."""
    predictive: tuple[Check, ...]
    """Posterior predictive checks, the smallest tail probability first."""
    optima: Optima

    def most_influential(self, kind: str) -> Influence | None:
        """The checkpoint or amount whose rows move the median most."""
        return next((each for each in self.influence if each.kind == kind), None)

    def to_dict(self, axis: Axis) -> dict[str, Any]:
        """Plain values for forecast.json, losses as values of the axis."""
        sign = -1.0 if axis.higher_is_stronger else 1.0

        def turned(low: float, high: float) -> tuple[float, float]:
            first, second = sorted((axis.to_axis(low), axis.to_axis(high)))
            return first, second

        influence = []
        for each in self.influence:
            p05, p95 = turned(each.p05, each.p95)
            quantiles = {"p05": p05, "p50": axis.to_axis(each.p50), "p95": p95}
            moved = {name: sign * getattr(each, name) for name in ("shift", "shift_sd")}
            influence.append({**asdict(each), **quantiles, **moved})
        optima = asdict(self.optima)
        optima["best"] = axis.to_axis(self.optima.best)
        for prefix in ("", "lucky_"):
            ends = turned(optima[f"{prefix}low"], optima[f"{prefix}high"])
            optima[f"{prefix}low"], optima[f"{prefix}high"] = ends
        return {
            "influence": influence,
            "residuals": {
                "checkpoints": [
                    {**asdict(each), "loss": axis.to_axis(each.loss)} for each in self.residuals
                ],
                "trends": [{**asdict(each), "shift": sign * each.shift} for each in self.trends],
                "suspects": [asdict(each) for each in self.suspects],
            },
            "monotonicity": [asdict(each) for each in self.falls],
            "predictive": [asdict(each) for each in self.predictive],
            "optima": optima,
        }


def diagnose(fit: Fit) -> Diagnostics:
    """The diagnostics of a fit; about as long as the fit itself."""
    draws = fit.posterior.draws(DRAWS, np.random.default_rng(SEED))
    influence, suspects = leave_out(fit)
    found, trends = residuals(fit, draws)
    return Diagnostics(
        influence=influence,
        residuals=found,
        trends=trends,
        suspects=suspects,
        falls=find_falls(fit, draws),
        predictive=predictive_checks(fit),
        optima=_optima(fit),
    )


def _optima(fit: Fit) -> Optima:
    elbow, height = local_optima(fit.data, fit.plain_form)
    starts = elbow.size
    if fit.mle is not None and fit.mle.log_likelihood >= height[0]:
        elbow = np.concatenate([[fit.mle.elbow], elbow])
        height = np.concatenate([[fit.mle.log_likelihood], height])
    good = elbow[height > height[0] - AS_GOOD]
    stuck = elbow.size - good.size
    return Optima(
        starts=starts,
        stuck=stuck,
        best=float(elbow[0]),
        low=float(good.min()),
        high=float(good.max()),
        lucky_low=float(elbow.min()),
        lucky_high=float(elbow.max()),
    )
