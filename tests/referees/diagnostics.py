"""What Monte Carlo draws are worth: ArviZ's R-hat, effective size and quantile errors."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

with warnings.catch_warnings():  # ArviZ announces its next version at import
    warnings.simplefilter("ignore", FutureWarning)
    import arviz as az

Floats = NDArray[np.float64]


def r_hat(chains: Floats) -> float:
    """Rank-normalised split R-hat of draws [chain, draw]."""
    return float(az.rhat(chains, method="rank"))


def effective_size(chains: Floats) -> float:
    """Bulk effective sample size of draws [chain, draw]."""
    return float(az.ess(chains, method="bulk"))


def quantile_errors(chains: Floats, levels: list[float]) -> Floats:
    """Monte Carlo standard error of each quantile of draws [chain, draw]."""
    return np.array([float(az.mcse(chains, method="quantile", prob=q)) for q in levels])
