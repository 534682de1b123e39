"""Guesses that need no emergence law, as distributions of the few-shot elbow.

What a forecast must beat. Each is made as good as its idea allows, and says so plainly where the
rows give it nothing to go by.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from scipy.special import ndtr, ndtri
from scipy.stats import t as student

from emergecast.baselines._rising_curves import (
    RESAMPLES,
    Curve,
    Floats,
    Scale,
    broken_power_law,
    crossings,
    line,
    rises,
    sigmoid,
)
from emergecast.emergence_law import LawForm, shift_fraction
from emergecast.inference import SEED, Anchors
from emergecast.measurements import CHANCE_MARGIN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike

    from emergecast.inference import Fit, LossDistribution

FREEDOM = 3.0
"""Degrees of freedom of no-change."""
SHARE = 0.25
"""Part of the spread of losses S in the scale of no-change."""
NEAREST = 5
"""Strongest losses whose mean gap is the other part."""
FEWEST = 4
"""Few-shot scores at different losses that a curve needs."""
CROSSING = 0.9
"""Share of the resamples that must leave chance at some loss for a curve to say anything."""
FLAT = 0.05
"""p value of the F test against a constant above which scores count as flat."""
NODES = 64


class Baseline(StrEnum):
    """Which guess."""

    NO_CHANGE = "no-change"
    """The elbow is at the strongest checkpoint seen."""
    PRIOR = "prior"
    """The model's prior of E(D0) alone."""
    LINE = "line"
    """The few-shot scores extrapolated by a straight line."""
    SIGMOID = "sigmoid"
    """The few-shot scores extrapolated by a sigmoid from chance to the best score."""
    BROKEN_POWER_LAW = "broken-power-law"
    """The few-shot scores extrapolated by a smoothly broken power law."""
    TWO_STEP = "two-step"
    """A continuous metric as a line in loss, and the score as a sigmoid in that metric."""


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


def baselines(
    fit: Fit,
    *,
    continuous: pl.DataFrame | None = None,
    which: Sequence[Baseline] = tuple(Baseline),
    seed: int = SEED,
) -> dict[Baseline, Guess]:
    """What each baseline says, from the rows that a fit of the log power law would use.

    Args:
        fit: supplies rows, data and priors; nothing is inferred from it.
        continuous: scores of a continuous metric beside those of the fit, for two-step; columns
            loss, few_shot, continuous (higher is better) and score.
        which: the baselines wanted.
        seed: of the resampling; each baseline has its own stream.
    """
    few_shot = fit.selection.rows.filter(pl.col("few_shot"))
    loss = few_shot["loss"].to_numpy().astype(np.float64)
    score = few_shot["score"].to_numpy().astype(np.float64)
    chance = fit.selection.chance
    scale = Scale(chance=chance, best=fit.selection.best, bar=chance + CHANCE_MARGIN)

    def curve(family: Curve) -> Callable[[np.random.Generator], Guess]:
        return lambda rng: _extrapolated(family, loss, score, scale, rng)

    makers: dict[Baseline, Callable[[np.random.Generator], Guess]] = {
        Baseline.NO_CHANGE: lambda _: no_change(fit),
        Baseline.PRIOR: lambda _: prior(fit),
        Baseline.LINE: curve(line),
        Baseline.SIGMOID: curve(sigmoid),
        Baseline.BROKEN_POWER_LAW: curve(broken_power_law),
        Baseline.TWO_STEP: lambda rng: _two_step(continuous, scale, rng),
    }
    names = list(Baseline)
    return {
        name: makers[name](np.random.default_rng([seed, names.index(name)]))
        for name in dict.fromkeys(which)
    }


def no_change(fit: Fit) -> Guess:
    """The elbow is at the strongest checkpoint, with the spread that such a guess deserves.

        Student-t, 3 degrees of freedom, centre L*, scale sqrt((S / 4)^2 + gap^2)

    A quarter of the spread of losses S is about how far off the elbow was found to lie near the
    horizon; gap, the mean distance between the five strongest losses,
    is what a series leaves unseen between two checkpoints. Tails are heavy, because a capability
    may take much longer than the series has been going on.
    """
    losses = np.unique(fit.data.loss)
    gap = float(np.mean(np.diff(losses[:NEAREST])))
    scale = math.hypot(SHARE * fit.data.loss_spread, gap)
    return Guess(
        distribution=StudentT(centre=fit.data.strongest_loss, scale=scale, freedom=FREEDOM),
        reason=f"At the strongest checkpoint, Student-t of scale {scale:.3g} nats.",
    )


def prior(fit: Fit) -> Guess:
    """The prior of E(D0) under the log power law, before a single score is seen.

    E(D0) = E(10) - d w r(alpha), with w the decades between the anchors of the prior and
    r = [g(10) - g(D0)] / [g(Dhi) - g(10)]: given d and alpha it is normal, so a mixture over their
    quantiles is the prior itself.
    """
    data, priors = fit.data, fit.priors
    share = (np.arange(NODES) + 0.5) / NODES
    alpha = priors.alpha_median * np.exp(priors.alpha_sd_ln * ndtri(share))
    anchors = Anchors.of(float(data.amounts.max(initial=0.0)))
    low = data.few_shot_examples
    at = shift_fraction(LawForm.LOG_POWER, anchors, low=low, high=anchors.high, alpha=alpha)
    ratio = anchors.decades * at[:, 0] / (at[:, 1] - at[:, 0])
    shift = priors.shift_scale * ndtri(0.5 + 0.5 * share)
    below = np.sort(np.outer(shift, ratio).ravel()).reshape(2 * NODES, -1).mean(axis=1)
    return Guess(
        distribution=NormalMixture(
            centres=data.to_nats(priors.elbow_offset - below),
            width=priors.elbow_scale * data.loss_spread,
        ),
        reason="The prior of the elbow; no score was used.",
    )


def _extrapolated(
    curve: Curve, loss: Floats, score: Floats, scale: Scale, rng: np.random.Generator
) -> Guess:
    """The loss at which a curve through the few-shot scores reaches chance + `CHANCE_MARGIN`."""
    if np.unique(loss).size < FEWEST:
        return _no_guess(
            f"Only {np.unique(loss).size} few-shot losses, and a curve needs {FEWEST}."
        )
    if curve is sigmoid and scale.best is None:
        return _no_guess("A sigmoid needs the metric's best score, which is not known.")
    flat = rises(curve, loss, score, scale)
    if flat > FLAT:
        return _no_guess(
            f"The few-shot scores are flat: it is no better than a constant (p = {flat:.2f})."
        )
    return _smoothed(crossings(curve, loss, score, scale, rng))


def _two_step(rows: pl.DataFrame | None, scale: Scale, rng: np.random.Generator) -> Guess:
    """A line of the continuous metric in loss, and a sigmoid of the score in that metric.

    The line rests on few-shot rows; the sigmoid on finetuned rows too, because few-shot scores at
    chance say nothing about it.
    """
    if rows is None or rows.is_empty():
        return _no_guess("There is no continuous metric of this task beside the score.")
    if scale.best is None:
        return _no_guess("A sigmoid needs the metric's best score, which is not known.")
    few_shot = rows.filter(pl.col("few_shot"))
    loss = few_shot["loss"].to_numpy().astype(np.float64)
    metric = few_shot["continuous"].to_numpy().astype(np.float64)
    if np.unique(loss).size < FEWEST:
        return _no_guess(f"Only {np.unique(loss).size} few-shot losses with the continuous metric.")
    every = rows["continuous"].to_numpy().astype(np.float64)
    score = rows["score"].to_numpy().astype(np.float64)
    if np.unique(every).size < FEWEST or np.unique(metric).size < FEWEST:
        return _no_guess("The continuous metric hardly varies.")
    # Curves take positive abscissas on which lower is better; how far is left is up to the origin.
    origin = every.max() + 10.0 * np.ptp(every)
    if max(rises(line, loss, metric, scale), rises(sigmoid, origin - every, score, scale)) > FLAT:
        return _no_guess("The continuous metric does not rise, or the score does not follow it.")
    needed = origin - crossings(sigmoid, origin - every, score, scale, rng)
    past = loss - loss.mean()
    slope = past @ metric / np.sum(past**2)
    fitted = metric.mean() + slope * past
    residual = (metric - fitted) * math.sqrt(loss.size / (loss.size - 2))
    again = fitted[:, None] + rng.choice(residual, size=(loss.size, RESAMPLES))
    slopes, bases = past @ again / np.sum(past**2), again.mean(axis=0)
    falling = slopes < 0
    crossing = loss.mean() + (needed - bases) / np.where(falling, slopes, -1.0)
    return _smoothed(np.where(falling & (crossing > 0), crossing, np.nan))


def _smoothed(crossing: Floats) -> Guess:
    """A kernel estimate through resampled crossings, or none where too many never cross."""
    found = crossing[np.isfinite(crossing)]
    if found.size < CROSSING * crossing.size:
        return _no_guess(
            f"Too flat to extrapolate: {crossing.size - found.size} of {crossing.size} resamples "
            "never leave chance at a possible loss."
        )
    quartiles = np.quantile(found, [0.25, 0.75])
    spread = min(float(np.std(found)), float(np.diff(quartiles)[0]) / 1.349)
    width = 0.9 * spread * found.size**-0.2
    return Guess(
        distribution=NormalMixture(
            centres=np.sort(found), width=max(width, 1e-4 * float(found.mean()))
        ),
        reason=f"{found.size} of {crossing.size} resamples leave chance at a possible loss.",
    )


def _no_guess(reason: str) -> Guess:
    return Guess(distribution=None, reason=reason)
