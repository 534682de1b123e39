"""Guesses that need no emergence law, as distributions of the few-shot elbow.

What a forecast must beat. Each is made as good as its idea allows, and says so plainly where the
rows give it nothing to go by.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from scipy.special import ndtr, ndtri

from emergecast.baselines._extrapolations import extrapolated, proxy, through_metrics, two_step
from emergecast.baselines._guess import Guess, NormalMixture, StudentT, Tabulated, no_guess
from emergecast.baselines._rising_curves import Curve, Scale, broken_power_law, line, sigmoid
from emergecast.emergence_law import LawForm, shift_fraction
from emergecast.inference import SEED, Anchors
from emergecast.measurements import CHANCE_MARGIN, CHANCE_STDERRS, above_chance

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from emergecast.inference import Fit

FREEDOM = 3.0
"""Degrees of freedom of no-change."""
SHARE = 0.25
"""Part of the spread of losses S in the scale of no-change."""
NEAREST = 5
"""Strongest losses whose mean gap is the other part."""
NODES = 64
GRID = 4001
"""Losses at which the cut prior is tabulated."""
HALF = float(ndtri(0.75))
"""Median of a half-normal of scale 1."""


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
    CUT_PRIOR = "cut-prior"
    """The prior, given that the strongest checkpoint at chance has not emerged."""
    PROXY = "proxy"
    """A continuous metric as a power law in compute, and the score as a sigmoid in that metric."""


REFERENCES = (Baseline.NO_CHANGE, Baseline.CUT_PRIOR)
"""What skill is measured over: each beats the other on some real table."""


def baselines(
    fit: Fit,
    *,
    continuous: Mapping[str, pl.DataFrame] | None = None,
    which: Sequence[Baseline] = tuple(Baseline),
    seed: int = SEED,
) -> dict[Baseline, Guess]:
    """What each baseline says, from the rows that a fit of the log power law would use.

    Args:
        fit: supplies rows, data and priors; nothing is inferred from it.
        continuous: for two-step and proxy, what `continuous_metrics` found beside the scores.
        which: the baselines wanted.
        seed: of the resampling; each baseline has its own stream.
    """
    few_shot = fit.selection.rows.filter(pl.col("few_shot"))
    loss = few_shot["loss"].to_numpy().astype(np.float64)
    score = few_shot["score"].to_numpy().astype(np.float64)
    chance = fit.selection.chance
    scale = Scale(chance=chance, best=fit.selection.best, bar=chance + CHANCE_MARGIN)

    def curve(family: Curve) -> Callable[[np.random.Generator], Guess]:
        return lambda rng: extrapolated(family, loss, score, scale, rng)

    makers: dict[Baseline, Callable[[np.random.Generator], Guess]] = {
        Baseline.NO_CHANGE: lambda _: no_change(fit),
        Baseline.PRIOR: lambda _: prior(fit),
        Baseline.LINE: curve(line),
        Baseline.SIGMOID: curve(sigmoid),
        Baseline.BROKEN_POWER_LAW: curve(broken_power_law),
        Baseline.TWO_STEP: lambda rng: through_metrics(two_step, continuous or {}, scale, rng),
        Baseline.CUT_PRIOR: lambda _: cut_prior(fit),
        Baseline.PROXY: lambda rng: through_metrics(proxy, continuous or {}, scale, rng),
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
            width=priors.elbow_scale * data.loss_unit,
        ),
        reason="The prior of the elbow; no score was used.",
    )


def cut_prior(fit: Fit) -> Guess:
    """The prior of E(D0), given that the strongest checkpoint at chance was seen at chance.

        P(E) proportional to prior(E) Phi([m + k s - A max(E - L, 0)] / s)

    with L and s the loss and the sampling error of the score of that checkpoint, m and k the margin
    and the standard errors of the rule of what is at chance, and A the slope: the prior's median,
    0.67 x 2 R / U. The second factor is the probability that a score past an elbow E still counts
    as at chance. So the cut is as soft as that one score is uncertain. A is fixed: averaged over
    its prior, slopes near 0 would explain any score at chance, and nothing would be cut.
    """
    data, selection = fit.data, fit.selection
    above = above_chance(selection.rows, selection.metric_kind, selection.chance)
    seen = np.flatnonzero(data.few_shot & ~above)
    before = prior(fit).distribution
    if not seen.size or before is None:
        return no_guess("No few-shot score is at chance, so nothing says where to cut the prior.")
    at = seen[np.lexsort((data.sampling_sd[seen], data.loss[seen]))[0]]
    loss, error = float(data.loss[at]), float(data.sampling_sd[at])
    slope = HALF * fit.priors.slope_scale * data.score_range / data.loss_unit
    low, high = before.quantile([1e-9, 1 - 1e-9])
    reach = (CHANCE_MARGIN + (CHANCE_STDERRS + 8) * error) / slope  # past it nothing is left
    losses = np.unique(np.append(np.linspace(min(low, loss), min(high, loss + reach), GRID), loss))
    gain = slope * np.maximum(losses - loss, 0.0)
    chance = ndtr((CHANCE_MARGIN + CHANCE_STDERRS * error - gain) / error)
    return Guess(
        distribution=Tabulated.of(losses, before.density(losses) * chance),
        reason=f"The prior of the elbow, cut at {loss:.4g}, the strongest checkpoint at chance.",
    )
