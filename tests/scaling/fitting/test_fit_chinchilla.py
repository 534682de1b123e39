"""Figure 4 of the Chinchilla paper, against the refit by Epoch (needs EMERGECAST_SHARED)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emergecast.measurements import RunsOptions, read_runs
from emergecast.scaling import ScalingFitOptions, ScalingStatus, fit_scaling_law, optimal
from emergecast.scaling.fitting._newton import Box, descend
from emergecast.scaling.fitting._objective import Points

EPOCH = {"A": 482.01, "B": 2085.43, "E": 1.8169, "alpha": 0.3478, "beta": 0.3658}
ERRORS = {"A": 124.5, "B": 1293.3, "E": 0.0257, "alpha": 0.0154, "beta": 0.0206}
"""Besiroglu et al. 2024, arXiv 2404.10102, table 1: 240 points, 4,000 resamples."""


@pytest.fixture(scope="module")
def runs(shared_data: Path) -> Any:
    """245 points without the five of highest loss, as Epoch took them; tokens from 6 N D."""
    path = shared_data / "data" / "chinchilla" / "svg_extracted_data.csv"
    columns = {"params": "Model Size", "flops": "Training FLOP"}
    return read_runs(path, RunsOptions(columns=columns, drop_highest=5))


@pytest.fixture(scope="module")
def fit(runs: Any) -> Any:
    """The fit, with half as many resamples as theirs."""
    return fit_scaling_law(runs, options=ScalingFitOptions(bootstraps=2000))


def test_all_points_but_five_count(runs: Any, fit: Any):
    """240, and the five are named."""
    assert (runs.n, len(runs.dropped)) == (240, 5)
    assert min(loss for _, loss in runs.dropped) > runs.loss.max()
    assert fit.status is ScalingStatus.CONVERGED
    assert 0 < len(fit.outliers) < 12


def test_the_constants_are_epochs_within_one_standard_error(fit: Any):
    """Nearer still: within a tenth of one."""
    for name, wanted in EPOCH.items():
        assert abs(fit.constants[name] - wanted) < 0.1 * ERRORS[name]


def test_the_bootstrap_errors_are_epochs_within_30_percent(fit: Any):
    """Standard deviations of the refits, every refit with an optimum."""
    for name, wanted in ERRORS.items():
        assert fit.stderr_bootstrap[name] == pytest.approx(wanted, rel=0.3)
    for name in ("E", "A", "alpha"):
        wanted = ERRORS[name]
        assert fit.stderr_robust[name] == pytest.approx(wanted, rel=0.3)
        assert fit.stderr_curvature[name] == pytest.approx(wanted, rel=0.3)
    assert fit.refits.degenerate == 0
    assert fit.refits.moved == fit.refits.unequal == 0


def test_from_any_start_the_same_optimum(runs: Any, fit: Any):
    """300 starts of all five constants, drawn wide: one objective to 1e-9, one set of constants."""
    assert fit.optima.same == fit.optima.starts
    points = Points.of(np.stack([runs.params, runs.tokens]), runs.loss)
    rng = np.random.default_rng(8)
    linear = np.exp(rng.uniform(np.log(0.01), np.log(10), (300, 3)))
    powers = np.exp(rng.uniform(np.log(0.01), np.log(3), (300, 2)))
    start = np.concatenate([linear, powers], axis=1)
    ones = np.ones((1, points.n))
    found = descend(points, start, ones, delta=1e-3, box=Box.of(2, None))
    assert found.converged.all()
    assert np.ptp(found.value) < 1e-9 * fit.objective
    np.testing.assert_allclose(found.theta, np.tile(fit.theta, (300, 1)), rtol=1e-8)


def test_the_objective_is_no_worse_than_at_epochs_constants(runs: Any, fit: Any):
    """The sum of Huber losses, worked out here."""
    law = EPOCH["E"] + EPOCH["A"] / runs.params ** EPOCH["alpha"]
    r = np.abs(np.log((law + EPOCH["B"] / runs.tokens ** EPOCH["beta"]) / runs.loss))
    theirs = np.where(r <= 1e-3, r**2 / 2, 1e-3 * (r - 5e-4)).sum()
    assert theirs * 0.99 < fit.objective < theirs


def test_twenty_tokens_a_parameter(fit: Any):
    """Epoch's conclusion: about 20 tokens per parameter at Chinchilla's compute."""
    found: Any = optimal(fit)
    split = min(found.splits, key=lambda each: abs(np.log(each.flops / 5.76e23)))
    assert split.tokens_per_param.p05 < 20 < split.tokens_per_param.p95
    assert found.params_exponent.value == pytest.approx(0.512, abs=0.01)
