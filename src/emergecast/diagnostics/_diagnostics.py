"""What a forecast hangs on, and whether its law fits: computed for every forecast given."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
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

    def on_axis(self, axis: Axis) -> Diagnostics:
        """The same in values of the axis: where higher is stronger, intervals are mirrored."""
        sign = -1.0 if axis.higher_is_stronger else 1.0

        def turned(low: float, high: float) -> tuple[float, float]:
            first, second = sorted((axis.to_axis(low), axis.to_axis(high)))
            return first, second

        influence = []
        for each in self.influence:
            p05, p95 = turned(each.p05, each.p95)
            influence.append(
                replace(
                    each,
                    p05=p05,
                    p50=axis.to_axis(each.p50),
                    p95=p95,
                    shift=sign * each.shift,
                    shift_sd=sign * each.shift_sd,
                )
            )
        low, high = turned(self.optima.low, self.optima.high)
        lucky_low, lucky_high = turned(self.optima.lucky_low, self.optima.lucky_high)
        best = axis.to_axis(self.optima.best)
        return replace(
            self,
            influence=tuple(influence),
            residuals=tuple(replace(each, loss=axis.to_axis(each.loss)) for each in self.residuals),
            trends=tuple(replace(each, shift=sign * each.shift) for each in self.trends),
            optima=replace(
                self.optima,
                best=best,
                low=low,
                high=high,
                lucky_low=lucky_low,
                lucky_high=lucky_high,
            ),
        )

    def to_dict(self, axis: Axis) -> dict[str, Any]:
        """Plain values for forecast.json, losses as values of the axis."""
        turned = self.on_axis(axis)
        return {
            "influence": [asdict(each) for each in turned.influence],
            "residuals": {
                "checkpoints": [asdict(each) for each in turned.residuals],
                "trends": [asdict(each) for each in turned.trends],
                "suspects": [asdict(each) for each in turned.suspects],
            },
            "monotonicity": [asdict(each) for each in turned.falls],
            "predictive": [asdict(each) for each in turned.predictive],
            "optima": asdict(turned.optima),
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
    elbow, height = local_optima(fit.data, fit.coordinates.form)
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
