"""What a forecast hangs on, and whether its law fits: computed for every forecast given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from emergecast.diagnostics._falls import Fall, find_falls
from emergecast.diagnostics._influence import Influence, Suspect, leave_out, refit
from emergecast.diagnostics._predictive import Check, predictive_checks
from emergecast.diagnostics._residuals import Residual, Trend, residuals
from emergecast.inference import SEED, both, local_optima
from emergecast.records import Count

if TYPE_CHECKING:
    from emergecast.inference import Fit
    from emergecast.measurements import Axis

DRAWS = 1000
AS_GOOD = 2.0
"""Optima within so many units of log likelihood of the best explain the rows about as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Optima:
    """Where local searches for the maximum likelihood of the plain law end; losses in nats."""

    starts: Count
    """Searches, from good places all over the grid."""
    stuck: Count
    """How many ended in a worse optimum."""
    best: float
    """E(D0) of the best end, or of the global search where that is better."""
    low: float
    """Lowest E(D0) among those that explain the rows about as well."""
    high: float
    """Highest E(D0) among them."""
    lucky_low: float
    """Lowest E(D0) among all ends: what an unlucky start would have reported."""
    lucky_high: float
    """Highest E(D0) among all ends."""


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

    def record(self, axis: Axis) -> DiagnosticsRecord:
        """As a file holds it: losses as values of the axis."""
        turned = self.on_axis(axis)
        return DiagnosticsRecord(
            influence=turned.influence,
            residuals=ResidualsRecord(
                checkpoints=turned.residuals, trends=turned.trends, suspects=turned.suspects
            ),
            monotonicity=turned.falls,
            predictive=turned.predictive,
            optima=turned.optima,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualsRecord:
    """Does loss alone tell the story?"""

    checkpoints: tuple[Residual, ...]
    """Mean of score minus law over the rows past their elbow, by checkpoint."""
    trends: tuple[Trend, ...]
    """Residuals against traits of the checkpoints at equal loss."""
    suspects: tuple[Suspect, ...]
    """Checkpoints that lie at least three predictive standard deviations from what the others
    predict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosticsRecord:
    """What is checked of a forecast, as a file holds it: losses are values of its axis."""

    influence: tuple[Influence, ...]
    """The forecast without each checkpoint and data amount, the largest shift first."""
    residuals: ResidualsRecord
    """Does loss alone tell the story?"""
    monotonicity: tuple[Fall, ...]
    """Scores that fall beyond noise with stronger checkpoints, or with more data."""
    predictive: tuple[Check, ...]
    """Posterior predictive checks, the smallest tail probability first."""
    optima: Optima
    """Where local searches for the maximum likelihood of the plain law end."""


def diagnose(fit: Fit) -> Diagnostics:
    """The diagnostics of a fit; about as long as the fit itself."""
    draws = fit.posterior.draws(DRAWS, np.random.default_rng(SEED))
    unseen = refit(fit, fit.data.few_shot) if fit.data.few_shot.any() else None
    (influence, suspects), (predictive, optima) = both(
        lambda: leave_out(fit, unseen), lambda: (predictive_checks(fit, unseen), _optima(fit))
    )
    found, trends = residuals(fit, draws)
    return Diagnostics(
        influence=influence,
        residuals=found,
        trends=trends,
        suspects=suspects,
        falls=find_falls(fit, draws),
        predictive=predictive,
        optima=optima,
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
