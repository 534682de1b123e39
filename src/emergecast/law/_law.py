"""How the elbow moves with finetuning data, and the score that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Floats = NDArray[np.float64]


class LawForm(StrEnum):
    """The functional form of E(D)."""

    LOG_POWER = "log-power"
    """E(D) = c + k (ln D)^alpha, the default of arXiv 2411.16035."""
    POWER = "power"
    """E(D) = c + k D^alpha, the paper's ablation."""

    def abscissa(self, examples: ArrayLike) -> Floats:
        """x(D): ln D for the log power law, D for the power law; same shape as `examples`."""
        amounts = np.asarray(examples, dtype=np.float64)
        return np.log(amounts) if self is LawForm.LOG_POWER else amounts


@dataclass(frozen=True, slots=True, kw_only=True)
class EmergenceLaw:
    """One emergence law with its parameters.

        E(D) = c + k x(D)^alpha
        y    = chance (+ few_shot_offset) + slope max(E(D) - L, 0)

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

    def elbow(self, examples: ArrayLike) -> Floats:
        """E(D) in nats; `examples` counts, any shape, at least 1."""
        return np.asarray(self.c + self.k * self.form.abscissa(examples) ** self.alpha)

    def score(self, loss: ArrayLike, examples: ArrayLike, *, few_shot: bool = False) -> Floats:
        """Noiseless score at `loss` (nats) after `examples`; the two broadcast together.

        With `few_shot`, `examples` is the amount D0 at which the few-shot elbow is read off.
        """
        past = np.maximum(self.elbow(examples) - np.asarray(loss, dtype=np.float64), 0.0)
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
    ) -> EmergenceLaw:
        """The law of curvature `alpha` through two points (examples, elbow in nats)."""
        x_low, x_high = (float(form.abscissa(point[0])) ** alpha for point in (low, high))
        k = (high[1] - low[1]) / (x_high - x_low)
        return cls(
            form=form,
            k=k,
            alpha=alpha,
            c=low[1] - k * x_low,
            slope=slope,
            chance=chance,
            few_shot_offset=few_shot_offset,
        )


def shift_fraction(
    form: LawForm, examples: ArrayLike, *, low: float, high: float, alpha: ArrayLike
) -> Floats:
    """g(D) = (x(D)^alpha - x(low)^alpha) / (x(high)^alpha - x(low)^alpha).

    The share of the way from E(low) to E(high) that D examples have moved the elbow: 0 at `low`,
    1 at `high`; beyond them it extrapolates. Written with expm1, so it is exact to rounding for
    small alpha too (its limit is ln(x/x_low) / ln(x_high/x_low)).

    Args:
        form: the law.
        examples: counts >= 1, shape (J,).
        low: count >= 1.
        high: count > low.
        alpha: > 0, shape (N,).

    Returns:
        Array of shape (N, J).
    """
    curvature = np.asarray(alpha, dtype=np.float64)[..., None]
    x = form.abscissa(examples)
    x_low, x_high = float(form.abscissa(low)), float(form.abscissa(high))
    with np.errstate(divide="ignore"):
        ratio = np.log(x / x_high)
        ratio_low = np.log(x_low / x_high)
    shrunk_low = np.expm1(curvature * ratio_low)
    return np.asarray((np.expm1(curvature * ratio) - shrunk_low) / -shrunk_low)
