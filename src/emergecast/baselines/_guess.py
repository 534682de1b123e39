"""What a baseline says: a distribution of the few-shot elbow, or why there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import t as student

from emergecast.baselines._rising_curves import Floats

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from emergecast.inference import LossDistribution


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """What a baseline says."""

    distribution: LossDistribution | None
    """None where the rows give it nothing to go by."""
    reason: str
    """How it was made, or why there is none, in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentT:
    """Student's t distribution of a loss."""

    centre: float
    scale: float
    """Nats."""
    freedom: float

    def quantile(self, probability: ArrayLike, /) -> Floats:
        """Quantiles in nats, any shape."""
        z = student.ppf(np.asarray(probability, float), self.freedom)
        return np.asarray(self.centre + self.scale * z)

    def cumulative(self, loss: ArrayLike, /) -> Floats:
        """P(elbow <= loss), any shape."""
        return np.asarray(student.cdf(self._standard(loss), self.freedom))

    def density(self, loss: ArrayLike, /) -> Floats:
        """Density per nat, any shape."""
        return np.asarray(student.pdf(self._standard(loss), self.freedom) / self.scale)

    def _standard(self, loss: ArrayLike) -> Floats:
        return np.asarray((np.asarray(loss, float) - self.centre) / self.scale)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NormalMixture:
    """Equally weighted normal distributions of one width."""

    centres: Floats
    """Nats, shape (k,)."""
    width: float
    """Standard deviation of each, nats."""

    def quantile(self, probability: ArrayLike, /) -> Floats:
        """Quantiles in nats, any shape, by bisection to 1e-12 of the bracket."""
        wanted = np.asarray(probability, float)
        reach = self.width * np.abs(ndtri(np.clip(wanted, 1e-300, 1 - 1e-16)))
        low, high = self.centres.min() - reach, self.centres.max() + reach
        for _ in range(45):
            middle = 0.5 * (low + high)
            below = self.cumulative(middle) < wanted
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.asarray(0.5 * (low + high))

    def cumulative(self, loss: ArrayLike, /) -> Floats:
        """P(elbow <= loss), any shape."""
        return np.asarray(np.mean(ndtr(self._standard(loss)), axis=-1))

    def density(self, loss: ArrayLike, /) -> Floats:
        """Density per nat, any shape."""
        peak = np.exp(-0.5 * self._standard(loss) ** 2)
        return np.asarray(np.mean(peak, axis=-1) / (self.width * math.sqrt(2 * math.pi)))

    def _standard(self, loss: ArrayLike) -> Floats:
        return np.asarray((np.asarray(loss, float)[..., None] - self.centres) / self.width)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tabulated:
    """A distribution given by its density on a grid, a constant between two neighbours."""

    losses: Floats
    """Ascending, nats, shape (k,)."""
    cumulated: Floats
    """P(elbow <= loss) there, from 0 to 1, shape (k,)."""

    @classmethod
    def of(cls, losses: Floats, density: Floats) -> Tabulated:
        """From a density that need not integrate to 1, by the trapezoid rule."""
        mass = 0.5 * (density[1:] + density[:-1]) * np.diff(losses)
        cumulated = np.concatenate([[0.0], np.cumsum(mass)])
        return cls(losses=losses, cumulated=cumulated / cumulated[-1])

    def quantile(self, probability: ArrayLike, /) -> Floats:
        """Quantiles in nats, any shape."""
        return np.asarray(np.interp(np.asarray(probability, float), self.cumulated, self.losses))

    def cumulative(self, loss: ArrayLike, /) -> Floats:
        """P(elbow <= loss), any shape."""
        return np.asarray(np.interp(np.asarray(loss, float), self.losses, self.cumulated))

    def density(self, loss: ArrayLike, /) -> Floats:
        """Density per nat, any shape; 0 outside the grid."""
        at = np.searchsorted(self.losses, np.asarray(loss, float), side="right")
        steps = np.diff(self.cumulated) / np.diff(self.losses)
        return np.asarray(np.concatenate([[0.0], steps, [0.0]])[at])


def no_guess(reason: str) -> Guess:
    """A baseline that these rows do not allow."""
    return Guess(distribution=None, reason=reason)
