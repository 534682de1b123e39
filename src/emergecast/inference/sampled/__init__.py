"""The posterior of a richer law, by sequential Monte Carlo from the prior.

What is linear is integrated out in closed form. It says when its weights are too uneven to trust.
"""

from __future__ import annotations

from emergecast.inference.sampled._sampled import QUICK, Model, SampledPosterior, sampled
from emergecast.inference.sampled._sequential import Effort, Stage, effective, sample
from emergecast.inference.sampled._space import prior_elbows

__all__ = [
    "QUICK",
    "Effort",
    "Model",
    "SampledPosterior",
    "Stage",
    "effective",
    "prior_elbows",
    "sample",
    "sampled",
]
