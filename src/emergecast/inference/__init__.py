"""Priors, likelihood, posterior and its quantiles, mixture of laws, bootstrap: the `Fit`.

Takes the rows of one task and returns a `Fit`, which computes what it is asked for and says how
that went. It refuses improper priors, and it never turns a failure into a number.
"""

from __future__ import annotations

from emergecast.inference._bootstrap import BOOTSTRAPS, Bootstrap, Resample
from emergecast.inference._data import FitData
from emergecast.inference._distribution import LossDistribution
from emergecast.inference._draws import SEED, Draws
from emergecast.inference._fit import Fit, FitStatus, fit
from emergecast.inference._fit_options import FitOptions
from emergecast.inference._likelihood import ln_normal, ln_student
from emergecast.inference._mixture import (
    DEFAULT_LAW,
    DEFAULT_MIXTURE,
    Mixture,
    MixturePosterior,
    Weighting,
)
from emergecast.inference._on_axis import ElbowOnAxis
from emergecast.inference._point import PointEstimate, local_optima
from emergecast.inference._posterior import INTERVAL, QUANTILES, Posterior
from emergecast.inference._priors import Anchors, Priors
from emergecast.inference._side_by_side import both, side_by_side
from emergecast.inference.exact._exact import ExactPosterior
from emergecast.inference.sampled._sampled import Model, SampledPosterior, sampled
from emergecast.inference.sampled._sequential import Effort
from emergecast.inference.sampled._space import prior_elbows

__all__ = [
    "BOOTSTRAPS",
    "DEFAULT_LAW",
    "DEFAULT_MIXTURE",
    "INTERVAL",
    "QUANTILES",
    "SEED",
    "Anchors",
    "Bootstrap",
    "Draws",
    "Effort",
    "ElbowOnAxis",
    "ExactPosterior",
    "Fit",
    "FitData",
    "FitOptions",
    "FitStatus",
    "LossDistribution",
    "Mixture",
    "MixturePosterior",
    "Model",
    "PointEstimate",
    "Posterior",
    "Priors",
    "Resample",
    "SampledPosterior",
    "Weighting",
    "both",
    "fit",
    "ln_normal",
    "ln_student",
    "local_optima",
    "prior_elbows",
    "sampled",
    "side_by_side",
]
