"""Weights of a mixture by how well each law predicts checkpoints that it has not seen.

    maximise  sum over checkpoints c of  ln sum over laws k of  w_k p_k(rows of c | all other rows)

Only finetuned rows of checkpoints past an elbow are predicted, since rows at chance carry almost
nothing about which law is right. Source: Yao, Vehtari, Simpson and Gelman, Using stacking to
average Bayesian predictive distributions (2018); p_k by importance weighting of posterior draws.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import logsumexp
from scipy.stats import norm
from scipy.stats import t as student

from emergecast.emergence_law import Feature, Law
from emergecast.errors import FitError
from emergecast.inference.sampled import FREEDOM

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emergecast.inference._data import Floats
    from emergecast.inference._draws import Draws
    from emergecast.inference._fit import Fit

FEWEST = 3
"""Checkpoints past an elbow that stacking needs."""
DRAWS = 1000
SEED = 20241122
LARGEST = 0.7
"""Importance weights are cut at n^LARGEST times their mean, which bounds their variance."""
STEPS = 500


def stacking_weights(fit: Fit) -> tuple[float, ...]:
    """Weights of the members of a mixture, summing to 1.

    Raises:
        FitError: fewer than three checkpoints have finetuned scores past an elbow.
    """
    past = _past_elbow(fit)
    checkpoints = np.unique(fit.data.checkpoint[past])
    if checkpoints.size < FEWEST:
        raise FitError(
            f"stacking weighs laws by checkpoints past an elbow, and {checkpoints.size} have "
            f"finetuned scores there ({FEWEST} are needed): use fixed weights."
        )
    ln_density = np.array([_held_out(member, past, checkpoints) for member in fit.members])
    weight = np.full(len(fit.members), 1 / len(fit.members))
    density = np.exp(ln_density - ln_density.max(axis=0))
    for _ in range(STEPS):  # expectation-maximisation: every step raises the target
        part = weight[:, None] * density
        weight = np.mean(part / part.sum(axis=0), axis=1)
    return tuple(map(float, weight / weight.sum()))


def _past_elbow(fit: Fit) -> NDArray[np.bool_]:
    """Finetuned rows whose loss lies below the median elbow of their amount, shape (n,)."""
    data = fit.data
    draws = [member.posterior.draws(DRAWS, np.random.default_rng(SEED)) for member in fit.members]
    elbows = np.median(np.concatenate([each.elbows for each in draws]), axis=0)
    return np.asarray((data.level > 0) & (data.loss < elbows[data.level]))


def _held_out(member: Fit, past: NDArray[np.bool_], checkpoints: NDArray[np.int64]) -> Floats:
    """Ln p(rows of c past their elbow | all rows but those of c), one per checkpoint."""
    draws = member.posterior.draws(DRAWS, np.random.default_rng(SEED))
    found = []
    for checkpoint in checkpoints:
        own = member.data.checkpoint == checkpoint
        ln_weight = -_ln_likelihood(member, draws, own)
        ln_weight -= logsumexp(ln_weight)
        ln_weight = np.minimum(ln_weight, -math.log(DRAWS) + LARGEST * math.log(DRAWS))
        ln_weight -= logsumexp(ln_weight)
        found.append(float(logsumexp(ln_weight + _ln_likelihood(member, draws, own & past))))
    return np.array(found)


def _ln_likelihood(member: Fit, draws: Draws, rows: NDArray[np.bool_]) -> Floats:
    """Ln p(rows | draw) for rows of one checkpoint, its deviation integrated out, shape (N,)."""
    data = member.data
    mean = draws.fitted(data)[:, rows]
    checkpoint = int(data.checkpoint[rows][0])
    own = draws.deviations[:, [checkpoint]] - draws.series_deviations[:, [data.series[rows][0]]]
    variance = data.sampling_sd[rows] ** 2 + draws.noise[:, None] ** 2 / data.repeats[rows]
    if isinstance(member.law, Law) and Feature.STUDENT in member.law.features:
        scale = np.sqrt(variance)
        ln_density = np.asarray(student.logpdf(data.score[rows], FREEDOM, mean, scale))
        return np.asarray(ln_density.sum(axis=1))
    residual = data.score[rows] - mean + own
    kappa = draws.deviation_scale**2
    total, pull = (1 / variance).sum(axis=1), (residual / variance).sum(axis=1)
    inflated = 1 + kappa * total
    plain = np.asarray(norm.logpdf(residual, 0.0, np.sqrt(variance))).sum(axis=1)
    return np.asarray(plain - 0.5 * np.log(inflated) + 0.5 * kappa * pull**2 / inflated)
