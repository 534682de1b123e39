"""The posterior: exact, equivariant, and consistent with its own draws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.referees import brute_force, model, simulate

import emergecast
from emergecast.inference import Fit, FitOptions
from emergecast.measurements import SelectOptions

LEVELS = [0.05, 0.5, 0.95]


def quantiles(rows, **options) -> np.ndarray:
    """5, 50 and 95% quantiles of the few-shot elbow, nats."""
    return emergecast.fit(rows, SelectOptions(task="t"), FitOptions(**options)).posterior.quantile(
        LEVELS
    )


@pytest.mark.slow
def test_quantiles_equal_brute_force_integration(simulated_tables, simulated_fits):
    """5, 50 and 95% quantiles within 0.001 nats of a fine fixed grid, on a table drawn widely.

    `performance/exactness.py` does it for 24.
    """
    for table, fit in list(zip(simulated_tables, simulated_fits, strict=True))[:1]:
        referee = brute_force.brute_force(model.problem(table))
        wanted = np.interp(LEVELS, referee.levels, referee.quantiles)
        found = fit.posterior.quantile(LEVELS)
        assert np.max(np.abs(found - wanted)) < 1e-3


def test_the_error_estimate_is_small_and_the_integral_converged(simulated_fits):
    """On every table the quadrature says it met its tolerance, below 0.001 nats."""
    for fit in simulated_fits:
        assert fit.posterior.converged
        assert 0 < fit.posterior.error < 1e-3


def test_draws_follow_the_quadrature(simulated_fits):
    """The empirical distribution of 20,000 draws lies within 0.025 of the integral everywhere."""
    for fit in simulated_fits[:6]:
        draws = fit.posterior.draws(20_000, np.random.default_rng(0))
        assert draws.effective > 20_000
        empirical = np.arange(1, 20_001) / 20_000
        gap = fit.posterior.cumulative(np.sort(draws.elbow)) - empirical
        assert np.max(np.abs(gap)) < 0.025


def test_draws_obey_the_law(simulated_fits):
    """Every draw's k, c and alpha give back its elbows, and its slope is above 0."""
    for fit in simulated_fits:
        draws = fit.posterior.draws(200, np.random.default_rng(1))
        x = fit.coordinates.form.abscissa([fit.data.few_shot_examples, fit.data.amounts[-1]])
        low, high = (draws.c + draws.k * at**draws.alpha for at in x)
        np.testing.assert_allclose(low, draws.elbow, atol=1e-6)
        np.testing.assert_allclose(high, draws.elbow_high, atol=1e-6)
        assert np.all(draws.slope > 0)
        assert np.all(draws.noise >= 0)


def test_density_and_cumulative_belong_together(simulated_fits):
    """The density integrates to 1, its integral is the cumulative, and quantiles invert that."""
    for fit in simulated_fits:
        posterior = fit.posterior
        low, high = posterior.quantile([1e-4, 1 - 1e-4])
        grid = np.linspace(low - 0.1 * (high - low), high + 0.1 * (high - low), 4001)
        density = posterior.density(grid)
        assert np.trapezoid(density, grid) == pytest.approx(1.0, abs=2e-3)
        probability = np.linspace(0.01, 0.99, 25)
        np.testing.assert_allclose(
            posterior.cumulative(posterior.quantile(probability)), probability, atol=1e-6
        )
        assert np.all(np.diff(posterior.cumulative(grid)) >= 0)
        np.testing.assert_allclose(posterior.emerged(grid), 1 - posterior.cumulative(grid))
        assert low < posterior.mode < high


def test_row_order_does_not_matter(simulated_tables):
    """Shuffled rows give the same posterior and estimate to the last digit."""
    for table in simulated_tables[:4]:
        rows = simulate.as_rows(table)
        shuffled = [rows[i] for i in np.random.default_rng(2).permutation(len(rows))]
        options = {"law": table.law, "few_shot_examples": table.few_shot_examples}
        np.testing.assert_array_equal(quantiles(rows, **options), quantiles(shuffled, **options))
        one, other = (
            emergecast.fit(each, SelectOptions(task="t"), FitOptions(**options)).mle
            for each in (rows, shuffled)
        )
        assert one == other


@pytest.mark.parametrize(("unit", "shift"), [(1 / np.log(2), 0.0), (1.0, 0.7), (0.1, 1.0)])
def test_the_posterior_follows_the_loss_axis(simulated_tables, unit, shift):
    """Losses in other units, or shifted, give the same quantiles in those units, to 1e-6."""
    for table in simulated_tables[:4]:
        options = {"law": table.law, "few_shot_examples": table.few_shot_examples}
        moved = replace(table, loss=unit * table.loss + shift)
        wanted = unit * quantiles(simulate.as_rows(table), **options) + shift
        found = quantiles(simulate.as_rows(moved), **options)
        np.testing.assert_allclose(found, wanted, atol=1e-6 * unit)


def test_a_metric_where_lower_is_better_is_the_negative_of_one_where_higher_is(simulated_tables):
    """Scores, chance and orientation turned round give the same forecast."""
    rows = simulate.as_rows(simulated_tables[0])
    options = FitOptions(few_shot_examples=simulated_tables[0].few_shot_examples)
    up = [{**row, "metric": "gain", "n_items": None} for row in rows]
    down = [{**row, "score": -row["score"], "chance": -row["chance"]} for row in up]
    one = emergecast.fit(up, options=options)
    other = emergecast.fit(down, SelectOptions(lower_is_better=True), options)
    assert other.selection.negated
    np.testing.assert_allclose(
        one.posterior.quantile(LEVELS), other.posterior.quantile(LEVELS), atol=1e-12
    )


def test_a_pivot_changes_nothing_but_the_boxes(simulated_fits):
    """The coordinates are a choice of convenience: every pivot gives the same quantiles."""
    from emergecast.inference import ExactPosterior
    from emergecast.inference._coordinates import Coordinates

    fit: Fit = next(fit for fit in simulated_fits if fit.data.amounts.size >= 4)
    found = []
    for pivot in range(1, fit.data.amounts.size):
        coordinates = Coordinates(
            form=fit.coordinates.form,
            priors=fit.priors,
            amounts=np.concatenate([[fit.data.few_shot_examples], fit.data.amounts]),
            pivot=pivot,
        )
        found.append(ExactPosterior(fit.data, coordinates).quantile(LEVELS))
    assert np.max(np.ptp(found, axis=0)) < 1e-3


def test_without_scores_past_the_elbow_the_prior_comes_back():
    """Scores so noisy that they say nothing: quantiles of E(D0) are those of prior draws."""
    rng = np.random.default_rng(3)
    rows = []
    for i, loss in enumerate(np.linspace(3.0, 2.0, 8)):
        for amount in (None, 32, 256, 2048):
            few = amount is None
            rows.append(
                {
                    "checkpoint": f"c{i}", "loss": loss, "task": "t", "metric": "mcc",
                    "chance": 0.25,
                    "setting": "few_shot" if few else "finetuned", "shots": 8 if few else None,
                    "examples": amount, "score": float(np.clip(rng.normal(0.25, 0.01), 0, 1)),
                    "stderr": 50.0,
                }
            )  # fmt: skip
    fit = emergecast.fit(rows, SelectOptions(task="t"), FitOptions(law="log-power"))
    priors, n = fit.priors, 400_000
    anchor = priors.elbow_offset + priors.elbow_scale * rng.standard_normal(n)
    shift = np.abs(priors.shift_scale * rng.standard_normal(n))
    alpha = 2.0 * np.exp(priors.alpha_sd_ln * rng.standard_normal(n))
    x8, x10, x2048 = (np.log(amount) ** alpha for amount in (8, 10, 2048))
    elbow = fit.data.to_nats(anchor + shift * np.log10(204.8) * (x8 - x10) / (x2048 - x10))
    wanted = np.quantile(elbow, LEVELS)
    np.testing.assert_allclose(fit.posterior.quantile(LEVELS), wanted, atol=0.01)
    assert fit.log_bayes_factor == pytest.approx(0.0, abs=0.05)
