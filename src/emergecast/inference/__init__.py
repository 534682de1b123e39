"""Inference: likelihood, priors, point estimate, exact posterior, bootstrap.

Takes the rows of one task and returns a `Fit`, which computes what it is asked for and says how
that went. It refuses improper priors, and it never turns a failure into a number.
"""

from emergecast.fit._bootstrap import Bootstrap, Resample
from emergecast.fit._data import FitData
from emergecast.fit._draws import Draws
from emergecast.fit._exact import ExactPosterior
from emergecast.fit._fit import SEED, Fit, FitStatus, fit
from emergecast.fit._mixture import DEFAULT_MIXTURE, Mixture, MixturePosterior
from emergecast.fit._point import PointEstimate, local_optima
from emergecast.fit._posterior import Posterior
from emergecast.fit._priors import Priors
from emergecast.fit._sampled import Model, SampledPosterior, sampled
from emergecast.fit._sequential import Effort
from emergecast.fit._space import prior_elbows

__all__ = [
    "DEFAULT_MIXTURE",
    "SEED",
    "Bootstrap",
    "Draws",
    "Effort",
    "ExactPosterior",
    "Fit",
    "FitData",
    "FitStatus",
    "Mixture",
    "MixturePosterior",
    "Model",
    "PointEstimate",
    "Posterior",
    "Priors",
    "Resample",
    "SampledPosterior",
    "fit",
    "local_optima",
    "prior_elbows",
    "sampled",
]
