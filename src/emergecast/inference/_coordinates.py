"""The three nonlinear parameters, in coordinates along which a posterior is easy to integrate.

    h = E(Dmax),  t = E(Dmax) - E(Dp) > 0,  a = ln alpha

Dp is a pivot amount. Data pin E(Dmax) and E(Dp) narrowly and leave a wide, so a posterior lies
along the a axis; where data pin nothing, the prior is smooth on the whole box. The few-shot elbow
is E(D0) = h - t / (1 - g(Dp)). All in standard units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from emergecast.emergence_law import LawForm, shift_fraction
from emergecast.inference._priors import Anchors
from emergecast.measurements import CHANCE_STDERRS

if TYPE_CHECKING:
    from emergecast.inference._data import FitData, Floats
    from emergecast.inference._priors import Priors

HOPELESS = 1e100
"""An elbow this far away, in S, has a prior density of 0 in double precision."""
VISIBLE, LEAST_NOISE = 0.05, 0.01
"""How far above chance a score has visibly left it, and the error it has at least; shares of R."""
TAIL = 5.5
"""How many standard deviations of each prior the box reaches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coordinates:
    """Maps points (h, t, a) to elbows and to their prior density."""

    form: LawForm
    priors: Priors
    amounts: Floats
    """Levels at which elbows are read: D0, then the finetuning amounts, shape (J + 1,)."""
    pivot: int
    """Index into `amounts` of the pivot amount."""
    top: int = -1
    """Index into `amounts` of Dmax; elbows of amounts beyond it (planned ones) extrapolate."""

    @classmethod
    def of(cls, data: FitData, form: LawForm, priors: Priors) -> Coordinates:
        """Coordinates for the rows of a fit, with the pivot chosen from the scores."""
        return cls(
            form=form,
            priors=priors,
            amounts=data.level_amounts,
            pivot=pivot_level(data),
            top=data.top_level,
        )

    @property
    def high(self) -> float:
        """Dmax, examples."""
        return float(self.amounts[self.top])

    def fractions(self, log_alpha: Floats) -> tuple[Floats, Floats]:
        """G at every level, shape (N, J + 1), and at (10, Dhi), shape (N, 2)."""
        both = shift_fraction(
            self.form,
            np.concatenate([self.amounts, self.anchors]),
            low=float(self.amounts[0]),
            high=self.high,
            alpha=np.exp(log_alpha),
        )
        return both[:, : self.amounts.size], both[:, self.amounts.size :]

    @property
    def anchors(self) -> Anchors:
        """Amounts between which the prior shift per tenfold data is taken."""
        return Anchors.of(self.high)

    def elbows_and_prior(self, points: Floats) -> tuple[Floats, Floats]:
        """Elbows at every level and the log prior density of (h, t, a).

        Args:
            points: shape (N, 3).

        Returns:
            Elbows of shape (N, J + 1), few-shot first, and log prior densities of shape (N,).
        """
        h, t, a = points.T
        levels, anchors = self.fractions(a)
        stretch = 1.0 / (1.0 - levels[:, self.pivot])
        total = t * stretch
        elbows = h[:, None] - total[:, None] * (1.0 - levels)
        # amounts of a few examples under a large alpha: a law of no density
        with np.errstate(over="ignore", divide="ignore"):
            anchor = h - total * (1.0 - anchors[:, 0])
            per_total = (anchors[:, 1] - anchors[:, 0]) / self.anchors.decades
            ln_prior = self._log_prior(anchor, total * per_total, a) + np.log(per_total * stretch)
        return elbows, ln_prior

    def _log_prior(self, anchor: Floats, shift: Floats, log_alpha: Floats) -> Floats:
        prior = self.priors
        anchor, shift = anchor.clip(-HOPELESS, HOPELESS), shift.clip(max=HOPELESS)
        return np.asarray(
            -0.5 * ((anchor - prior.elbow_offset) / prior.elbow_scale) ** 2
            - 0.5 * (shift / prior.shift_scale) ** 2
            - 0.5 * ((log_alpha - math.log(prior.curvature(self.form))) / prior.alpha_sd_ln) ** 2
            - 1.5 * math.log(2 * math.pi)
            + math.log(2)
            - math.log(prior.elbow_scale * prior.shift_scale * prior.alpha_sd_ln)
        )

    def few_shot_elbow(self, h: Floats, t: Floats, log_alpha: Floats) -> Floats:
        """E(D0) = h - t / (1 - g(Dp)); the three broadcast."""
        alpha = np.exp(log_alpha)
        pivot = self.amounts[self.pivot : self.pivot + 1]
        fraction = shift_fraction(
            self.form, pivot, low=float(self.amounts[0]), high=self.high, alpha=alpha
        )
        return np.asarray(h - t / (1.0 - fraction[..., 0]))

    def box(self) -> tuple[Floats, Floats]:
        """Lower and upper corner of the region outside which the prior mass is below 1e-6."""
        prior = self.priors
        middle = math.log(prior.curvature(self.form))
        a_low, a_high = middle - TAIL * prior.alpha_sd_ln, middle + TAIL * prior.alpha_sd_ln
        a = np.linspace(a_low, a_high, 65)
        levels, anchors = self.fractions(a)
        shift = TAIL * prior.shift_scale
        total = shift * self.anchors.decades / np.maximum(anchors[:, 1] - anchors[:, 0], 1e-150)
        t_high = float(np.max(total * (1.0 - levels[:, self.pivot])))
        h_low = prior.elbow_offset - TAIL * prior.elbow_scale
        h_high = prior.elbow_offset + TAIL * prior.elbow_scale + shift * self.anchors.decades
        return np.array([h_low, 0.0, a_low]), np.array([h_high, t_high, a_high])


def pivot_level(data: FitData) -> int:
    """The smallest amount (as a level) that has visibly left chance, below the largest one.

    Any choice gives the same posterior; this one makes the boxes few.
    """
    noise = np.maximum(data.sampling_sd, LEAST_NOISE * data.score_range)
    above = data.score > data.chance + VISIBLE * data.score_range + CHANCE_STDERRS * noise
    top = data.top_level
    for level in range(1, top):
        if np.count_nonzero(above & (data.level == level)) > 1:
            return level
    return top - 1
