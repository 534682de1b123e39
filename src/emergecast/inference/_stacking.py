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

from emergecast.emergence_law import Feature
from emergecast.errors import FitError
from emergecast.inference._draws import SEED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from emergecast.emergence_law import Law
    from emergecast.inference._data import FitData, Floats
    from emergecast.inference._posterior import Posterior

FEWEST = 3
"""Checkpoints past an elbow that stacking needs."""
DRAWS = 1000
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
    student = Feature.STUDENT in law.features
    own = draws.ln_checkpoints(data, student=student)
    predicted = draws.ln_checkpoints(data, student=student, rows=past)
    ln_weight = -own - logsumexp(-own, axis=0)
    ln_weight = np.minimum(ln_weight, (LARGEST - 1) * math.log(DRAWS))
    ln_weight -= logsumexp(ln_weight, axis=0)
    return np.asarray(logsumexp(ln_weight + predicted, axis=0)[np.unique(data.checkpoint[past])])
