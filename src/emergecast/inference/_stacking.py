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

from emergecast.emergence_law import Feature
from emergecast.errors import FitError
from emergecast.inference.sampled import FREEDOM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from emergecast.emergence_law import Law
    from emergecast.inference._data import FitData, Floats
    from emergecast.inference._draws import Draws
    from emergecast.inference._posterior import Posterior

FEWEST = 3
"""Checkpoints past an elbow that stacking needs."""
DRAWS = 1000
SEED = 20241122
LARGEST = 0.7
"""Importance weights are cut at n^LARGEST times their mean, which bounds their variance."""
STEPS = 500


def stacking_weights(
    data: FitData, laws: Sequence[Law], posteriors: Sequence[Posterior]
) -> tuple[float, ...]:
    """Weights of the laws of a mixture, summing to 1; a posterior for each of them.

    Raises:
        FitError: fewer than three checkpoints have finetuned scores past an elbow.
    """
    past = _past_elbow(data, posteriors)
    checkpoints = np.unique(data.checkpoint[past])
    if checkpoints.size < FEWEST:
        raise FitError(
            f"stacking weighs laws by checkpoints past an elbow, and {checkpoints.size} have "
            f"finetuned scores there ({FEWEST} are needed): use fixed weights."
        )
    ln_density = np.array(
        [
            _held_out(data, law, posterior, past)
            for law, posterior in zip(laws, posteriors, strict=True)
        ]
    )
    weight = np.full(len(laws), 1 / len(laws))
    density = np.exp(ln_density - ln_density.max(axis=0))
    for _ in range(STEPS):  # expectation-maximisation: every step raises the target
        part = weight[:, None] * density
        weight = np.mean(part / part.sum(axis=0), axis=1)
    return tuple(map(float, weight / weight.sum()))


def _past_elbow(data: FitData, posteriors: Sequence[Posterior]) -> NDArray[np.bool_]:
    """Finetuned rows whose loss lies below the median elbow of their amount, shape (n,)."""
    draws = [each.draws(DRAWS, np.random.default_rng(SEED)) for each in posteriors]
    elbows = np.median(np.concatenate([each.elbows for each in draws]), axis=0)
    return np.asarray((data.level > 0) & (data.loss < elbows[data.level]))


def _held_out(data: FitData, law: Law, posterior: Posterior, past: NDArray[np.bool_]) -> Floats:
    """Ln p(rows of c past their elbow | all rows but those of c), one per such checkpoint."""
    draws = posterior.draws(DRAWS, np.random.default_rng(SEED))
    found = []
    for checkpoint in np.unique(data.checkpoint[past]):
        own = data.checkpoint == checkpoint
        ln_weight = -_ln_likelihood(data, law, draws, own)
        ln_weight -= logsumexp(ln_weight)
        ln_weight = np.minimum(ln_weight, -math.log(DRAWS) + LARGEST * math.log(DRAWS))
        ln_weight -= logsumexp(ln_weight)
        found.append(float(logsumexp(ln_weight + _ln_likelihood(data, law, draws, own & past))))
    return np.array(found)


def _ln_likelihood(data: FitData, law: Law, draws: Draws, rows: NDArray[np.bool_]) -> Floats:
    """Ln p(rows | draw) for rows of one checkpoint, its deviation integrated out, shape (N,)."""
    mean = draws.fitted(data)[:, rows]
    checkpoint = int(data.checkpoint[rows][0])
    own = draws.deviations[:, [checkpoint]] - draws.series_deviations[:, [data.series[rows][0]]]
    variance = data.sampling_sd[rows] ** 2 + draws.noise[:, None] ** 2 / data.repeats[rows]
    if Feature.STUDENT in law.features:
        scale = np.sqrt(variance)
        ln_density = np.asarray(student.logpdf(data.score[rows], FREEDOM, mean, scale))
        return np.asarray(ln_density.sum(axis=1))
    residual = data.score[rows] - mean + own
    kappa = draws.deviation_scale**2
    total, pull = (1 / variance).sum(axis=1), (residual / variance).sum(axis=1)
    inflated = 1 + kappa * total
    plain = np.asarray(norm.logpdf(residual, 0.0, np.sqrt(variance))).sum(axis=1)
    return np.asarray(plain - 0.5 * np.log(inflated) + 0.5 * kappa * pull**2 / inflated)
