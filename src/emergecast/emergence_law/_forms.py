"""How the elbow moves with finetuning data, and the score that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Floats = NDArray[np.float64]

TINY = 1e-12
"""A width or rate below this is none: what it changes is lost in rounding."""
LARGEST_LN = 600.0
"""Logarithm of the largest shift or share that is computed; beyond it doubles overflow."""


class LawForm(StrEnum):
    """The functional form of E(D)."""

    LOG_POWER = "log-power"
    """E(D) = c + k (ln D)^alpha, the default of arXiv 2411.16035."""
    POWER = "power"
    """E(D) = c + k D^alpha, the paper's ablation."""
    HILL = "hill"
    """E(D) = c + k D^alpha / (K^alpha + D^alpha), which saturates."""
    SATURATING = "saturating"
    """E(D) = c + k ln((1 + D / K) / (1 + D / M)), M = K exp(alpha): flat, straight, flat."""

    def abscissa(self, examples: ArrayLike) -> Floats:
        """x(D): ln D for the log power law, D otherwise; same shape as `examples`."""
        amounts = np.asarray(examples, dtype=np.float64)
        return np.log(amounts) if self is LawForm.LOG_POWER else amounts

    def shift(self, examples: ArrayLike, alpha: ArrayLike, half: ArrayLike = np.nan) -> Floats:
        """q(D) in E(D) = c + k q(D); the three broadcast.

        Args:
            examples: counts, at least 1.
            alpha: curvature, > 0 (for hill, its steepness; for saturating, ln(M / K)).
            half: K, examples at which a hill law is half way and a saturating one starts; unused by
                the others.
        """
        x = self.abscissa(examples)
        if self is LawForm.HILL:
            return np.asarray(expit(np.asarray(alpha) * (np.log(x) - np.log(half))))
        if self is LawForm.SATURATING:
            ratio = x / np.asarray(half)
            return np.asarray(np.log1p(ratio) - np.log1p(ratio * np.exp(-np.asarray(alpha))))
        with np.errstate(divide="ignore"):
            ln_shift = np.asarray(alpha, dtype=np.float64) * np.log(x)
        return np.asarray(np.exp(np.minimum(ln_shift, LARGEST_LN)))


@dataclass(frozen=True, slots=True, kw_only=True)
class EmergenceLaw:
    """One emergence law with its parameters.

        E(D) = c + k q(D)
        y    = chance (+ few_shot_offset) + slope P(E(D) - L)

    with q of `LawForm.shift` and P(x) = max(x, 0) unless `width` or `ceiling_rate` is above 0.
    Source: arXiv 2411.16035, section 4, in the notation of docs/model.md.
    """

    form: LawForm
    k: float
    """Nats per unit of x(D)^alpha, > 0."""
    alpha: float
    """Curvature, > 0."""
    c: float
    """Nats; the limit of the elbow as x(D) goes to 0."""
    slope: float
    """Score per nat past the elbow, > 0."""
    chance: float
    """Score before the elbow."""
    few_shot_offset: float
    """Shift of the pre-elbow score of few-shot rows, in score."""
    half: float = np.nan
    """K of a hill or saturating law, examples; unused by the others."""
    width: float = 0.0
    """Nats over which the elbow is rounded; 0 for a sharp one."""
    ceiling_rate: float = 0.0
    """Share of its slope that the score loses per nat past the elbow; 0 for none."""

    def elbow(self, examples: ArrayLike) -> Floats:
        """E(D) in nats; `examples` counts, any shape, at least 1."""
        return np.asarray(self.c + self.k * self.form.shift(examples, self.alpha, self.half))

    def score(self, loss: ArrayLike, examples: ArrayLike, *, few_shot: bool = False) -> Floats:
        """Noiseless score at `loss` (nats) after `examples`; the two broadcast together.

        With `few_shot`, `examples` is the amount D0 at which the few-shot elbow is read off.
        """
        past = rise(
            self.elbow(examples) - np.asarray(loss, dtype=np.float64),
            width=self.width,
            ceiling_rate=self.ceiling_rate,
        )
        base = self.chance + (self.few_shot_offset if few_shot else 0.0)
        return np.asarray(base + self.slope * past)

    @classmethod
    def through(  # noqa: PLR0913  two points, a curvature and three linear parameters define it
        cls,
        form: LawForm,
        *,
        low: tuple[float, float],
        high: tuple[float, float],
        alpha: float,
        slope: float,
        chance: float,
        few_shot_offset: float = 0.0,
        half: float = np.nan,
    ) -> EmergenceLaw:
        """The law of curvature `alpha` through two points (examples, elbow in nats)."""
        x_low, x_high = (float(form.shift(point[0], alpha, half)) for point in (low, high))
        k = (high[1] - low[1]) / (x_high - x_low)
        return cls(
            form=form,
            k=k,
            alpha=alpha,
            c=low[1] - k * x_low,
            slope=slope,
            chance=chance,
            few_shot_offset=few_shot_offset,
            half=half,
        )


def rise(past: Floats, *, width: ArrayLike = 0.0, ceiling_rate: ArrayLike = 0.0) -> Floats:
    """P(x), by which a score rises at x = E(D) - L, per unit of slope; the arguments broadcast.

        H = max(x, 0), or width ln(1 + exp(x / width)) where width > 0
        P = H, or (1 - exp(-ceiling_rate H)) / ceiling_rate where ceiling_rate > 0

    Args:
        past: nats past the elbow, negative before it.
        width: nats, >= 0.
        ceiling_rate: per nat, >= 0.
    """
    width, rate = np.asarray(width, dtype=np.float64), np.asarray(ceiling_rate, dtype=np.float64)
    if np.any(width > 0):
        safe = np.maximum(width, TINY)
        risen = np.maximum(past, 0.0) + safe * np.log1p(np.exp(-np.abs(past) / safe))
    else:
        risen = np.maximum(past, 0.0)
    if np.any(rate > 0):
        safe = np.maximum(rate, TINY)
        risen = -np.expm1(-safe * risen) / safe
    return np.asarray(risen)


def shift_fraction(
    form: LawForm,
    examples: ArrayLike,
    *,
    low: float,
    high: float,
    alpha: ArrayLike,
    half: ArrayLike = np.nan,
) -> Floats:
    """g(D) = (q(D) - q(low)) / (q(high) - q(low)), with q of `LawForm.shift`.

    The share of the way from E(low) to E(high) that D examples have moved the elbow: 0 at `low`,
    1 at `high`; beyond them it extrapolates. Written with expm1, so it is exact to rounding for
    small alpha too (its limit is ln(x/x_low) / ln(x_high/x_low)).

    Args:
        form: the law.
        examples: counts >= 1, shape (J,).
        low: count >= 1.
        high: count > low.
        alpha: > 0, shape (N,).
        half: K of a hill or saturating law, > 0, shape (N,).

    Returns:
        Array of shape (N, J).
    """
    curvature = np.asarray(alpha, dtype=np.float64)[..., None]
    x = form.abscissa(examples)
    x_low, x_high = float(form.abscissa(low)), float(form.abscissa(high))
    if form is LawForm.HILL:
        # expit(b) - expit(a) = expit(b) expit(-a) (1 - exp(a - b)), so the share is a ratio in
        # which nothing cancels
        ln_half = np.log(np.asarray(half, dtype=np.float64))[..., None]
        u, u_low, u_high = (curvature * (np.log(value) - ln_half) for value in (x, x_low, x_high))
        gap = u_low - u
        ln_above = np.minimum(log_expit(u) - log_expit(u_high), LARGEST_LN)
        above = np.exp(ln_above) * np.expm1(np.minimum(gap, 0.0))
        ln_below = np.minimum(log_expit(-u) + u_low - log_expit(u_high), LARGEST_LN)
        below = np.exp(ln_below) * -np.expm1(-np.maximum(gap, 0.0))
        return np.asarray(np.where(gap > 0, below, above) / np.expm1(u_low - u_high))
    if form is LawForm.SATURATING:
        ends = np.array([low, high])
        moved, at_ends = (
            form.shift(at, curvature, np.asarray(half)[..., None]) for at in (examples, ends)
        )
        first, last = at_ends[..., :1], at_ends[..., 1:]
        return np.asarray((moved - first) / np.maximum(last - first, TINY**2))
    with np.errstate(divide="ignore"):
        ratio = np.log(x / x_high)
        ratio_low = np.log(x_low / x_high)
    shrunk_low = np.expm1(curvature * ratio_low)
    grown = np.expm1(np.minimum(curvature * ratio, LARGEST_LN))
    return np.asarray((grown - shrunk_low) / -shrunk_low)
