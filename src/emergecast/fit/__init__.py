"""Inference: likelihood, priors, point estimate, exact posterior, bootstrap.

Takes the rows of one task and returns a `Fit`, which computes what it is asked for and says how
that went. It refuses improper priors, and it never turns a failure into a number.
"""

from emergecast.fit._bootstrap import Bootstrap, Resample
from emergecast.fit._data import FitData
from emergecast.fit._fit import SEED, Fit, FitStatus, fit
from emergecast.fit._point import PointEstimate
from emergecast.fit._posterior import Draws, Posterior
from emergecast.fit._priors import Priors

__all__ = [
    "SEED",
    "Bootstrap",
    "Draws",
    "Fit",
    "FitData",
    "FitStatus",
    "PointEstimate",
    "Posterior",
    "Priors",
    "Resample",
    "fit",
]
