"""The referees are checked against slower or simpler definitions before they judge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from . import brute_force, ensemble, model, simulate

Floats = NDArray[np.float64]
pytestmark = pytest.mark.referee

TABLES = simulate.random_tables(6, seed=11)


def small_table() -> simulate.SimulatedTable:
    """A dozen noisy rows, whose posterior is wide enough for an unrefined grid."""
    table = simulate.random_tables(1, seed=5)[0]
    keep = np.random.default_rng(0).permutation(len(table.loss))[:14]
    rows = {
        name: getattr(table, name)[keep]
        for name in (
            "loss", "examples", "few_shot", "score", "stderr", "n_items", "runs", "checkpoint",
            "subset",
        )
    }  # fmt: skip
    return replace(table, **(rows | {"stderr": np.full(14, 0.03)}))


def test_simulated_scores_lie_in_the_unit_interval_and_seeds_are_stable() -> None:
    """Table i of a seed is the same whatever the number of tables, and scores are proportions."""
    again = simulate.random_tables(3, seed=11)
    for one, other in zip(TABLES, again, strict=False):
        np.testing.assert_array_equal(one.score, other.score)
        assert ((one.score >= 0) & (one.score <= 1)).all()


def test_stated_prior_coordinates_agree_with_elbows() -> None:
    """E(10) and d are read back from the elbows of the law itself, also for D0 = 1 (ln D0 = 0)."""
    for table in TABLES:
        p = replace(model.problem(table), d0=1.0)
        e10, d, ln_alpha = p.e10_mean, 0.3, p.ln_alpha_mean + 0.3
        at = [float(model.elbow(p, x, e10, d, ln_alpha)) for x in (10.0, p.dhi)]
        assert at[0] == pytest.approx(e10)
        assert (at[1] - at[0]) / np.log10(p.dhi / 10) == pytest.approx(d)


@pytest.mark.parametrize("few_shot", [True, False])
def test_collapsed_density_is_the_joint_integrated_over_the_linear_parameters(
    few_shot: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Trapezoid sums over B, Delta and A > 0 give the collapsed density to six digits."""
    table = small_table()
    if not few_shot:
        table = replace(table, few_shot=np.zeros(14, bool), examples=np.full(14, 100.0))
        table = replace(table, examples=np.geomspace(16, 4000, 14))
    p = model.problem(table)
    e10, d, ln_alpha, tau = p.strongest + 0.3 * p.spread, 0.4 * p.spread, p.ln_alpha_mean, 0.02
    level = p.chance + p.level_sd * np.linspace(-6, 6, 61)
    offset = p.level_sd * np.linspace(-7, 7, 61) if few_shot else np.zeros(1)
    slope = np.linspace(0, 1.5 * p.slope_sd, 1001 if few_shot else 20_001)
    grid = np.meshgrid(level, offset, slope, indexing="ij")
    values = np.concatenate(
        [
            model.log_joint(
                p, e10=e10, d=d, ln_alpha=ln_alpha, tau=tau, level=b, offset=o, slope=a
            ).reshape(-1)
            for b, o, a in zip(*grid, strict=True)
        ]
    ).reshape(grid[0].shape)
    values[..., 0] += np.log(0.5)
    cell = (level[1] - level[0]) * (slope[1] - slope[0])
    cell *= offset[1] - offset[0] if few_shot else 1.0
    numeric = brute_force.log_sum(values.ravel()) + np.log(cell)
    e0, emax = (float(model.elbow(p, x, e10, d, ln_alpha)) for x in (p.d0, p.dmax))
    collapsed = model.collapsed_log_density(p, e0, emax, ln_alpha, tau)
    collapsed += np.log(float(model.rise(p, p.dmax, ln_alpha)))  # back to a density of (E(10), d)
    assert collapsed == pytest.approx(numeric, abs=1e-4 if few_shot else 2e-6)


def test_fast_densities_equal_the_dense_one() -> None:
    """Both vectorised densities equal the multivariate normal at points drawn widely."""
    for table in TABLES:
        p = model.problem(table)
        u = np.linspace(0, 5, 11)
        noise = brute_force.noise_at(p, u)
        tau = brute_force.TAU_UNIT * p.score_range * np.sinh(u)
        points = ensemble.prior_draws(p, 5, np.random.default_rng(2))
        grid = brute_force.log_density(p, noise, points[:, 0], np.exp(points[:, 1]), points[:, 2])
        for k, (e0, ln_d, ln_alpha, _) in enumerate(points):
            rise = float(model.rise(p, p.dmax, ln_alpha))
            for t in (1, 5, 10):
                dense = model.collapsed_log_density(
                    p, e0, e0 + np.exp(ln_d) * rise, ln_alpha, tau[t]
                ) + np.log(rise)
                tau_prior = np.log(2 / p.tau_sd / np.sqrt(2 * np.pi)) - (tau[t] / p.tau_sd) ** 2 / 2
                assert grid[k, t] + tau_prior == pytest.approx(dense, rel=1e-9, abs=1e-6)
                point = np.array([[e0, ln_d, ln_alpha, np.log(tau[t])]])
                walker = ensemble.log_posterior(p, point)[0] - ln_d - np.log(tau[t])
                assert walker == pytest.approx(dense, rel=1e-9, abs=1e-6)


def test_zooming_loses_nothing() -> None:
    """Where the posterior is wide, a grid over all the prior allows gives the same quantiles."""
    p = model.problem(small_table())
    result = brute_force.brute_force(p, tolerance=2e-3)
    lo, hi = p.e10_mean - 9 * p.e10_sd, p.e10_mean + 5 * p.e10_sd
    e0 = np.linspace(lo, hi, 141)
    ln_alpha = p.ln_alpha_mean + p.ln_alpha_sd * np.linspace(-4.5, 4.5, 25)
    d = p.shift_sd * np.linspace(0, 5, 41)
    noise = brute_force.noise_at(p, np.linspace(0, np.arcsinh(5 * p.tau_sd / 0.0005), 15))
    a, s = (v.ravel() for v in np.meshgrid(ln_alpha, d, indexing="ij"))
    edge = np.where(s == 0, np.log(0.5), 0.0)
    log_p = np.empty(len(e0))
    for i, at in enumerate(e0):
        values = brute_force.log_density(p, noise, np.full(a.size, at), s, a) + noise.log_weight
        log_p[i] = brute_force.log_sum(brute_force.log_sum(values) + edge)
    plain = brute_force._quantiles(e0, log_p, brute_force.LEVELS)
    sd = result.quantiles[4] - result.quantiles[0]
    np.testing.assert_allclose(result.quantiles, plain, atol=0.01 * sd)
