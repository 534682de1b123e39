"""The priors of laws with levels, in units of U (loss) and R (score)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from emergecast.inference._priors import ANCHOR_EXAMPLES, Anchors
from emergecast.inference.levels._response import Response

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class Choice(NamedTuple):
    """A quantity that takes a few values."""

    values: tuple[float, ...]
    weights: tuple[float, ...]
    """Prior probabilities, summing to 1."""


class Normal(NamedTuple):
    """A normal prior."""

    mean: float
    sd: float

    def at(self, standard: Floats) -> Floats:
        """The value at a standard normal one, any shape."""
        return np.asarray(self.mean + self.sd * standard)


class NoiseNode(NamedTuple):
    """One state of the noise of a level, in R."""

    run: float
    """tau, between runs of one checkpoint."""
    checkpoint: float
    """omega, between checkpoints."""
    growth: float
    """rho: the second grows by this share of the rise."""
    weight: float


class Shift(StrEnum):
    """How the elbow of these laws moves with D examples."""

    LOG_POWER = "log-power"
    """E(D) = c + k (ln D)^alpha."""
    SATURATING = "saturating"
    """E(D) = c + k ln((1 + D / K) / (1 + D / M)), K < M: flat, then straight in ln D, then flat."""


def _noise() -> tuple[NoiseNode, ...]:
    between = ((0.003, 0.02, 0.35), (0.012, 0.05, 0.35), (0.03, 0.1, 0.2), (0.08, 0.15, 0.1))
    return tuple(
        NoiseNode(tau, omega, rho, share * weight)
        for tau, share in ((0.005, 0.4), (0.02, 0.4), (0.06, 0.2))
        for omega, rho, weight in between
    )


@dataclass(frozen=True, kw_only=True)
class LevelPriors:
    """Every prior of a law with levels; docs/model.md says where they come from."""

    elbow: Normal = Normal(-0.4, 0.6)
    """E(10) above the strongest loss, U; of a log power law."""
    top_elbow: Normal = Normal(0.9, 0.5)
    """The elbow of the largest amount above the strongest loss, U; of a saturating law."""
    ln_shift: Normal = Normal(0.1, 0.6)
    """Ln of the shift from E(10) to there, U; of a log power law."""
    ln_shift_saturating: Normal = Normal(0.26, 0.8)
    """The same of a saturating law."""
    ln_alpha: Normal = Normal(0.4, 0.6)
    ln_start: Normal = Normal(-2.5, 1.5)
    """Ln of K over the largest amount."""
    ln_ln_reach: Normal = Normal(1.6, 0.7)
    """Ln of ln(M / K)."""
    ln_slope: Normal = Normal(0.0, 0.8)
    """Ln of the slope in R / U, at the middle of the data amounts."""
    trend: Normal = Normal(-0.2, 1.6)
    """By how much ln slope changes from D0 to the largest amount."""
    toe: Choice = Choice((0.03, 0.08, 0.15, 0.25, 0.4), (0.15, 0.25, 0.25, 0.2, 0.15))
    shoulder: Choice = Choice((0.1, 0.25, 0.5), (0.3, 0.4, 0.3))
    elbow_spread: Choice = Choice((0.03, 0.08, 0.16), (0.3, 0.4, 0.3))
    """By how much the elbows of levels scatter around the law, U."""
    slope_spread: Choice = Choice((0.15, 0.4), (0.5, 0.5))
    """By how much ln slopes scatter around their trend."""
    ceiling: Choice = Choice((0.4, 0.65, 0.95), (0.2, 0.3, 0.5))
    """The rise at which scores of a level end, R."""
    level_sd: float = 0.02
    """Of the score of a level before its elbow, around chance, R."""
    noise: tuple[NoiseNode, ...] = field(default_factory=_noise)
    read_off_sd: float = 0.12
    """By how much the elbow that all later few-shot scores show differs from the one here, U."""

    @property
    def responses(self) -> tuple[tuple[Response, float], ...]:
        """Every curve and its probability."""
        return tuple(
            (Response(toe=toe, shoulder=shoulder), p * q)
            for toe, p in zip(*self.toe, strict=True)
            for shoulder, q in zip(*self.shoulder, strict=True)
        )

    @property
    def spreads(self) -> tuple[tuple[float, float, float], ...]:
        """Every pair of spreads, of elbows and of slopes, and its probability."""
        return tuple(
            (elbow, slope, p * q)
            for elbow, p in zip(*self.elbow_spread, strict=True)
            for slope, q in zip(*self.slope_spread, strict=True)
        )

    def elbows(self, shift: Shift, standard: Floats, amounts: Floats) -> Floats:
        """The law at some amounts, U above the strongest loss, shape (N, J).

        Args:
            shift: the form.
            standard: standard normal coordinates: elbow, shift and shape, shape (N, 4); a log power
                law does not use the last.
            amounts: examples, ascending, shape (J,).
        """
        anchors = Anchors.of(float(amounts[-1]))
        ln = np.log(np.concatenate([[ANCHOR_EXAMPLES, anchors.high], amounts]))
        if shift is Shift.LOG_POWER:
            alpha = np.exp(self.ln_alpha.at(standard[:, 2, None]))
            moved = (ln / ln[1]) ** alpha
        else:
            start = ln[1] + self.ln_start.at(standard[:, 2, None])
            end = start + np.exp(self.ln_ln_reach.at(standard[:, 3, None]))
            moved = np.logaddexp(0.0, ln - start) - np.logaddexp(0.0, ln - end)
        low, high = moved[:, :1], moved[:, 1:2]
        share = (moved[:, 2:] - low) / np.maximum(high - low, 1e-300)
        if shift is Shift.LOG_POWER:
            length = np.exp(self.ln_shift.at(standard[:, 1, None]))
            return np.asarray(self.elbow.at(standard[:, :1]) + length * share)
        length = np.exp(self.ln_shift_saturating.at(standard[:, 1, None]))
        return np.asarray(self.top_elbow.at(standard[:, :1]) + length * (share - 1))
