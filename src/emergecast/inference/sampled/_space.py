"""The parameters of any law as a vector in which a sampler moves freely, with their prior.

    E(Dp), ln[E(Dmax) - E(Dp)], ln alpha (, ln K), ln tau, then the logarithm of each scale that a
    feature adds (kappa, kappa of series, omega, w, rho)

Dp is the pivot amount of `inference/_coordinates.py`: data pin E(Dp) and E(Dmax) narrowly and
leave the shape wide, so a posterior lies along the axes. All in standard units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from emergecast.emergence_law import Feature, LawForm, shift_fraction
from emergecast.inference._coordinates import HOPELESS, pivot_level
from emergecast.inference._likelihood import ROOT_TWO_PI
from emergecast.inference._priors import Anchors

if TYPE_CHECKING:
    from emergecast.emergence_law import Law
    from emergecast.inference._data import FitData, Floats
    from emergecast.inference._priors import Priors

FARTHEST = 6.0
"""How many prior standard deviations a shape may lie out before it counts as impossible."""
FARTHEST_SCALE = 12.0
"""The same for a half-normal scale."""
SMALLEST_LN = -60.0
"""Logarithm of a scale or rise that is as good as 0."""
FARTHEST_ELBOW = 1e9
"""Elbows beyond this, in S, are cut, so that their squares stay finite."""
LARGEST_LN = 20.0
"""Logarithm of a rise, in S, that no prior allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """Maps vectors to elbows and scales, and knows their prior; vectors have shape (N, size)."""

    law: Law
    priors: Priors
    amounts: Floats
    """Levels at which elbows are read: D0, then the finetuning amounts, shape (J + 1,)."""
    pivot: int
    top: int
    """Index into `amounts` of Dmax; elbows of amounts beyond it (planned ones) extrapolate."""
    scales: tuple[tuple[str, float], ...]
    """Name and half-normal prior scale of each scale parameter, tau first."""

    @classmethod
    def of(cls, data: FitData, law: Law, priors: Priors) -> Space:
        """The space of a law for the rows of a fit."""
        scales = [("tau", priors.noise_scale)]
        if Feature.DEVIATION in law.features:
            scales.append(("kappa", priors.deviation_scale))
            if data.n_series > 1:
                scales.append(("kappa_series", priors.deviation_scale))
        if Feature.SLOPES in law.features:
            scales.append(("omega", priors.slope_spread_scale))
        if Feature.SOFT in law.features:
            scales.append(("width", priors.width_scale))
        if Feature.CEILING in law.features:
            scales.append(("ceiling_rate", priors.ceiling_scale))
        return cls(
            law=law,
            priors=priors,
            amounts=data.level_amounts,
            pivot=pivot_level(data),
            top=data.top_level,
            scales=tuple(scales),
        )

    @property
    def n_shapes(self) -> int:
        """2 for hill (steepness and K), else 1."""
        return 2 if self.law.form is LawForm.HILL else 1

    @property
    def bends(self) -> bool:
        """Whether scores rise in anything but a straight line from a sharp elbow."""
        return bool(self.law.features & {Feature.SOFT, Feature.CEILING})

    @property
    def size(self) -> int:
        """Length of a vector."""
        return 2 + self.n_shapes + len(self.scales)

    @property
    def anchors(self) -> Anchors:
        """Amounts between which the prior shift per tenfold data is taken."""
        return Anchors.of(float(self.amounts[self.top]))

    def sample_prior(self, n: int, rng: np.random.Generator) -> Floats:
        """Independent draws from the prior, shape (n, size)."""
        prior = self.priors
        anchor = prior.elbow_offset + prior.elbow_scale * rng.standard_normal(n)
        shift = prior.shift_scale * np.abs(rng.standard_normal(n))
        shapes = rng.standard_normal((n, self.n_shapes)) * self._shape_sd + self._shape_mean
        anchors = self._fractions(shapes)[1]
        rise = shift * self.anchors.decades / (anchors[:, 1] - anchors[:, 0])
        pivot = anchor - rise * anchors[:, 0]
        widths = np.array([scale for _, scale in self.scales])
        scales = widths * np.abs(rng.standard_normal((n, widths.size)))
        tiny = np.finfo(float).tiny
        return np.column_stack(
            [pivot, np.log(np.maximum(rise, tiny)), shapes, np.log(np.maximum(scales, tiny))]
        )

    def elbows_and_prior(self, vectors: Floats) -> tuple[Floats, Floats]:
        """Elbows at every level (few-shot first), (N, J + 1), and log prior densities, (N,)."""
        prior = self.priors
        pivot, ln_rise = vectors[:, 0], vectors[:, 1]
        shapes = vectors[:, 2 : 2 + self.n_shapes]
        standing = (shapes - self._shape_mean) / self._shape_sd
        ln_scale = vectors[:, 2 + self.n_shapes : self.size]
        widths = np.array([scale for _, scale in self.scales])
        ln_reach = ln_scale - np.log(widths)
        far = (
            np.any(np.abs(standing) > FARTHEST, axis=1)
            | np.any(ln_reach > math.log(FARTHEST_SCALE), axis=1)
            | (ln_rise > LARGEST_LN)
        )
        shapes = np.where(far[:, None], self._shape_mean, shapes)
        rise = np.exp(np.clip(ln_rise, SMALLEST_LN, LARGEST_LN))
        levels, anchors = self._fractions(shapes)
        anchors = anchors.clip(-HOPELESS, HOPELESS)
        anchor = (pivot + rise * anchors[:, 0] - prior.elbow_offset) / prior.elbow_scale
        per_rise = np.maximum((anchors[:, 1] - anchors[:, 0]) / self.anchors.decades, 1 / HOPELESS)
        shift = rise * per_rise / prior.shift_scale
        reach = np.exp(np.clip(ln_reach, SMALLEST_LN, math.log(FARTHEST_SCALE)))
        ln_prior = (
            -0.5 * (anchor**2 + shift**2 + np.sum(standing**2, axis=1))
            - 0.5 * np.sum(reach**2, axis=1)
            + np.sum(ln_reach, axis=1)
            + np.log(per_rise)
            + ln_rise
            + self._constant
        )
        elbows = pivot[:, None] + rise[:, None] * levels.clip(-HOPELESS, HOPELESS)
        return elbows.clip(-FARTHEST_ELBOW, FARTHEST_ELBOW), np.where(far, -np.inf, ln_prior)

    def scale(self, vectors: Floats, name: str) -> Floats:
        """The scale parameter of that name, shape (N,); 0 where the law has none."""
        for i, (known, widest) in enumerate(self.scales):
            if known == name:
                ln_scale = vectors[:, 2 + self.n_shapes + i]
                most = math.log(FARTHEST_SCALE * widest)
                return np.asarray(np.exp(np.clip(ln_scale, SMALLEST_LN, most)))
        return np.zeros(vectors.shape[0])

    def alpha(self, vectors: Floats) -> Floats:
        """Curvature, shape (N,)."""
        return np.asarray(np.exp(vectors[:, 2]))

    def half(self, vectors: Floats) -> Floats:
        """K of a hill law in examples, shape (N,); nan for the others."""
        return np.exp(vectors[:, 3]) if self.n_shapes > 1 else np.full(vectors.shape[0], np.nan)

    @property
    def _shape_mean(self) -> Floats:
        middle = 0.5 * math.log(math.prod(self.anchors))
        return np.array([math.log(self.priors.curvature(self.law.form)), middle])[: self.n_shapes]

    @property
    def _shape_sd(self) -> Floats:
        return np.array([self.priors.alpha_sd_ln, self.priors.half_sd_ln])[: self.n_shapes]

    @property
    def _constant(self) -> float:
        half_normals = 1 + len(self.scales)
        prior = self.priors
        return float(
            half_normals * math.log(2)
            - (1 + self.n_shapes + half_normals) * ROOT_TWO_PI
            - math.log(prior.elbow_scale * prior.shift_scale)
            - np.sum(np.log(self._shape_sd))
        )

    def _fractions(self, shapes: Floats) -> tuple[Floats, Floats]:
        """Share of the way from E(Dp) to E(Dmax) at every level, and at the prior's anchors."""
        both = shift_fraction(
            self.law.form,
            np.concatenate([self.amounts, self.anchors]),
            low=float(self.amounts[self.pivot]),
            high=float(self.amounts[self.top]),
            alpha=np.exp(shapes[:, 0]),
            half=np.exp(shapes[:, 1]) if self.n_shapes > 1 else np.nan,
        )
        return both[:, : self.amounts.size], both[:, self.amounts.size :]


def prior_elbows(data: FitData, law: Law, priors: Priors, n: int = 20_000) -> Floats:
    """Draws of E(D0) under the priors alone, nats, shape (n,)."""
    space = Space.of(data, law, priors)
    vectors = space.sample_prior(n, np.random.default_rng(0))
    return data.to_nats(space.elbows_and_prior(vectors)[0][:, 0])
