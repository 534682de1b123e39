"""The priors of laws with levels: those that can be overridden, and those that take few values."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from emergecast.emergence_law import LawForm, Response, response, shift_fraction
from emergecast.inference._priors import Anchors, Priors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class FewValues(NamedTuple):
    """A quantity that takes a few values."""

    values: tuple[float, ...]
    weights: tuple[float, ...]
    """Prior probabilities, summing to 1."""


class NoiseNode(NamedTuple):
    """One state of the noise of a level, in R."""

    run: float
    """tau, between runs of one checkpoint."""
    checkpoint: float
    """omega, between checkpoints."""
    growth: float
    """rho: the second grows by this share of the rise."""
    weight: float
    """Prior probability."""


class LawDraws(NamedTuple):
    """A law for each vector."""

    elbows: Floats
    """U above the strongest loss, shape (N, J)."""
    alpha: Floats
    """Curvature, or ln(M / K), shape (N,)."""
    half: Floats
    """K of a saturating law, examples; nan for a log power law, shape (N,)."""


TOE = FewValues((0.03, 0.08, 0.15, 0.25, 0.4), (0.15, 0.25, 0.25, 0.2, 0.15))
SHOULDER = FewValues((0.1, 0.25, 0.5), (0.3, 0.4, 0.3))
ELBOW_SPREAD = FewValues((0.03, 0.08, 0.16), (0.3, 0.4, 0.3))
"""By how much the elbows of levels scatter around the law, U."""
SLOPE_SPREAD = FewValues((0.15, 0.4), (0.5, 0.5))
"""By how much ln slopes scatter around their trend."""
CEILING = FewValues((0.4, 0.65, 0.95), (0.2, 0.3, 0.5))
"""The rise at which scores of a level end, R."""
RUN = FewValues((0.1, 0.4, 1.2), (0.4, 0.4, 0.2))
"""tau, in `noise_scale`."""
BETWEEN = ((0.1, 0.02, 0.35), (0.4, 0.05, 0.35), (1.0, 0.1, 0.2), (2.7, 0.15, 0.1))
"""omega in `deviation_scale`, rho, and their probability."""


@dataclass(frozen=True, kw_only=True)
class LevelPriors:
    """Every prior of a law with levels, in U and R; docs/model.md says where they come from."""

    scales: Priors = field(default_factory=Priors.default)

    @property
    def responses(self) -> tuple[tuple[Response, float], ...]:
        """Every curve and its probability."""
        return tuple(
            (response(toe, shoulder), p * q)
            for toe, p in zip(*TOE, strict=True)
            for shoulder, q in zip(*SHOULDER, strict=True)
        )

    @property
    def spreads(self) -> tuple[tuple[float, float, float], ...]:
        """Every pair of spreads, of elbows and of slopes, and its probability."""
        return tuple(
            (elbow, slope, p * q)
            for elbow, p in zip(*ELBOW_SPREAD, strict=True)
            for slope, q in zip(*SLOPE_SPREAD, strict=True)
        )

    @property
    def noise(self) -> tuple[NoiseNode, ...]:
        """Every state of the noise of a level."""
        run, own = self.scales.noise_scale, self.scales.deviation_scale
        return tuple(
            NoiseNode(run * tau, own * omega, rho, p * q)
            for tau, p in zip(*RUN, strict=True)
            for omega, rho, q in BETWEEN
        )

    def same_tables(self, other: LevelPriors) -> bool:
        """Whether tables are the same under other priors."""
        return all(
            getattr(self.scales, name) == getattr(other.scales, name)
            for name in ("level_scale", "noise_scale", "deviation_scale")
        )

    def law(self, form: LawForm, standard: Floats, amounts: Floats, largest: float) -> LawDraws:
        """The law at some amounts.

        Args:
            form: log power or saturating.
            standard: standard normal coordinates: elbow, shift and shape, shape (N, 4); a log power
                law does not use the last.
            amounts: examples, shape (J,).
            largest: the largest amount with rows, where a saturating law is anchored.
        """
        priors, (low, high) = self.scales, Anchors.of(largest)
        elbow, shift, shape, reach = standard.T
        if form is LawForm.SATURATING:
            alpha = priors.reach_median * np.exp(priors.reach_sd_ln * reach)
            half = high * priors.start_median * np.exp(priors.start_sd_ln * shape)
            share = shift_fraction(form, amounts, low=low, high=high, alpha=alpha, half=half)
            at = priors.top_elbow_offset + priors.top_elbow_scale * elbow
            length = priors.shift_median_saturating * np.exp(priors.shift_sd_ln_saturating * shift)
            return LawDraws(at[:, None] + length[:, None] * (share - 1), alpha, half)
        alpha = priors.alpha_median * np.exp(priors.alpha_sd_ln * shape)
        share = shift_fraction(form, amounts, low=low, high=high, alpha=alpha)
        at = priors.elbow_offset + priors.elbow_scale * elbow
        length = priors.shift_median * np.exp(priors.shift_sd_ln * shift)
        half = np.full(alpha.size, np.nan)
        return LawDraws(at[:, None] + length[:, None] * share, alpha, half)

    def ln_slopes(self, standard: Floats, time: Floats) -> Floats:
        """Ln slope of every level, R / U, shape (N, J).

        Args:
            standard: coordinates of slope and trend, shape (N, 2).
            time: 0 at the middle of the amounts, 1 the whole way from D0 to the largest, (J,).
        """
        priors = self.scales
        middle = math.log(priors.slope_median) + priors.slope_sd_ln * standard[:, :1]
        return np.asarray(
            middle + (priors.trend_offset + priors.trend_scale * standard[:, 1:]) * time
        )
