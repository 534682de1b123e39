"""The posterior against NUTS, which samples every parameter explicitly and knows no quadrature."""

from __future__ import annotations

import numpy as np
import pytest
from tests.inference.conftest import fit_of
from tests.referees import model, simulate

LEVELS = [0.05, 0.5, 0.95]


@pytest.mark.slow
@pytest.mark.referee
@pytest.mark.parametrize("index", [0, 18])
def test_quantiles_agree_with_nuts(index):
    """Within the larger of 0.004 nats and four Monte Carlo standard errors of the quantile.

    Index 0 is a log power law and 18 a power law; `performance/exactness.py` does 24.
    """
    from tests.referees import nuts

    table = simulate.random_tables(24, seed=1)[index]
    sampled = nuts.believable_nuts(model.problem(table), seed=index)
    assert sampled.ok
    found = fit_of(table).posterior.quantile(LEVELS)
    allowed = np.maximum(0.004, 4 * sampled.quantile_error(LEVELS))
    assert np.all(np.abs(found - sampled.quantile(LEVELS)) <= allowed)
