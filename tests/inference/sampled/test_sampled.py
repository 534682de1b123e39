"""Richer laws: collapsed likelihood, sampler and mixtures, against independent referees."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from performance.calibration._laws import data_of
from tests.referees import rich_model, rich_simulate, simulate

import emergecast
from emergecast.emergence_law import Feature, Law
from emergecast.errors import FitError, OptionError
from emergecast.inference import (
    Effort,
    Fit,
    FitOptions,
    Mixture,
    Model,
    Priors,
    Weighting,
    sampled,
)
from emergecast.inference.sampled._space import Space

# the room bears the name of a function, so its files are looked up by their names
_sampled = sys.modules["emergecast.inference.sampled._sampled"]
_sequential = sys.modules["emergecast.inference.sampled._sequential"]
LEVELS = [0.05, 0.5, 0.95]
COLLAPSED = (
    "log-power", "power", "hill", "log-power+soft", "log-power+ceiling", "log-power+slopes",
    "log-power+deviation", "hill+slopes+deviation", "power+soft+ceiling+slopes+deviation",
)  # fmt: skip


def known(law: str, number: int) -> rich_model.RichTable:
    """A random table of a law, every sampling error stated."""
    rng = np.random.default_rng([3, number])
    return rich_simulate.rich_table(rng, law, stderr_known=True)


def as_vector(space: Space, p: rich_model.RichProblem, values: dict) -> np.ndarray:
    """The referee's parameters as a vector of ours, standard units."""
    spread, reach = p.plain.spread, p.plain.score_range
    pivot, high = (float(space.amounts[i]) for i in (space.pivot, -1))
    low, top = (float(rich_model.rich_elbow(p, values, amount)) for amount in (pivot, high))
    shapes = [values["ln_h"], values["ln_k"]] if p.form == "hill" else [values["ln_alpha"]]
    units = {
        "tau": ("tau", reach), "kappa": ("kappa", reach), "kappa_series": ("kappa_s", reach),
        "omega": ("omega", reach / spread), "width": ("width", spread),
        "ceiling_rate": ("rho", 1 / spread),
    }  # fmt: skip
    scales = [values[units[name][0]] / units[name][1] for name, _ in space.scales]
    start = [(low - p.plain.strongest) / spread, np.log((top - low) / spread)]
    return np.array([[*start, *map(float, shapes), *np.log(scales)]])


@pytest.mark.parametrize("law", COLLAPSED)
def test_the_collapsed_likelihood_is_that_of_a_dense_normal(law):
    """Differences of log densities between parameters agree with the referee's dense covariance.

    The referee's density is per (E(10), d, ...) in nats and scores, ours per vector in standard
    units: prior and likelihood together differ by the Jacobian, the likelihood alone by a constant.
    """
    for number in range(3):
        table = known(law, number)
        data, p = data_of(table), rich_model.rich_problem(table, law)
        model = Model(data, Law.parse(law), Priors.default())
        gaps = []
        rng = np.random.default_rng(number)
        for _ in range(6):
            values = rich_model.draw_prior(p, rng)
            wanted = rich_model.rich_collapsed_log_density(p, values)
            wanted -= rich_model.log_prior_curved(p, values)
            vector = as_vector(model.space, p, values)
            gaps.append(float(model.evaluate(vector)[1][0]) - wanted)
        np.testing.assert_allclose(gaps, data.loss.size * np.log(data.score_range), atol=1e-5)


def narrower(fit: Fit) -> Fit:
    """The fit with losses counted in their spread, and a surer alpha: few steps suffice there."""
    data = replace(fit.data, loss_unit=fit.data.loss_spread)
    return replace(fit, data=data, priors=fit.priors.override({"alpha_sd_ln": 0.5}))


@pytest.mark.parametrize("law", ["log-power", "power"])
def test_the_sampler_agrees_with_exact_quadrature(law, simulated_fits):
    """On plain laws, which both can do: quantiles to 0.4 sd, and to 6 of the errors it states."""
    fits = [narrower(fit) for fit in simulated_fits if str(fit.law) == law][:2]
    for fit in fits:
        found = sampled(Model(fit.data, Law.parse(law), fit.priors))
        gap = found.quantile(LEVELS) - fit.posterior.quantile(LEVELS)
        assert np.max(np.abs(gap)) < 0.4 * fit.posterior.sd
        assert np.max(np.abs(gap)) < 6 * found.error
        assert found.converged
        assert found.mode == pytest.approx(fit.posterior.mode, abs=0.5 * fit.posterior.sd)


@pytest.mark.slow
@pytest.mark.referee
@pytest.mark.parametrize("law", ["log-power+student", "log-power+soft+ceiling+deviation"])
def test_the_sampler_agrees_with_nuts(law):
    """Quantiles of E(D0) within 0.25 posterior sd of NUTS, which samples every parameter.

    `performance/exactness.py` does it for more laws.
    """
    assert off_nuts(law, 1) < 0.25


def off_nuts(law: str, number: int) -> float:
    """Largest distance of a quantile of E(D0) from NUTS, in posterior standard deviations."""
    from tests.referees.rich_nuts import believable_rich_nuts

    table = known(law, number)
    referee = believable_rich_nuts(rich_model.rich_problem(table, law), seed=number)
    found = sampled(Model(data_of(table), Law.parse(law), Priors.default()))
    gap = found.quantile(LEVELS) - referee.quantile(LEVELS)
    return float(np.max(np.abs(gap)) / found.sd)


def test_weighting_draws_is_sampling_again():
    """Other priors and another D0: weighted draws agree with a posterior of their own."""
    table = known("log-power+deviation", 4)
    data, law, priors = data_of(table), Law.parse("log-power+deviation"), Priors.default()
    start = sampled(Model(data, law, priors))
    same = start.under(Model(data, law, priors))
    assert same.log_evidence == pytest.approx(start.log_evidence, abs=1e-6)
    assert same.effective == pytest.approx(1024)
    others = (
        Model(data, law, priors.override({"shift_scale": 0.6})),
        Model(replace(data, few_shot_examples=data.few_shot_examples + 1), law, priors),
        Model(data, law, priors, keep=data.checkpoint != data.checkpoint[0]),
    )
    for model in others:
        weighted, again = start.under(model), sampled(model)
        gap = weighted.quantile(LEVELS) - again.quantile(LEVELS)
        assert np.max(np.abs(gap)) < 0.3 * again.sd
        assert weighted.log_evidence == pytest.approx(again.log_evidence, abs=1.5)


@pytest.mark.parametrize("change", ["rows", "priors"])
def test_a_run_may_start_from_a_stage_of_another(change, simulated_fits, monkeypatch):
    """Fewer rows, or wider priors, from draws at a power of the first: quadrature says the same."""
    monkeypatch.setattr(_sampled, "FEWEST_EFFECTIVE", np.inf)  # weights alone never do
    started = []

    def sample(*arguments):
        started.append(arguments[3])
        return _sequential.sample(*arguments)

    for fit in [narrower(fit) for fit in simulated_fits if str(fit.law) == "log-power"][:2]:
        data, keep, priors = fit.data, None, fit.priors
        if change == "rows":
            keep = data.level != data.top_level - 1
        else:
            priors = priors.widened(1.5)
        first = sampled(Model(data, fit.laws[0], fit.priors))
        monkeypatch.setattr(_sampled, "sample", sample)
        found = first.under(Model(data, fit.laws[0], priors, keep))
        monkeypatch.undo()
        monkeypatch.setattr(_sampled, "FEWEST_EFFECTIVE", np.inf)
        wanted = fit.posterior_if(keep=keep, priors=priors)
        gap = found.quantile(LEVELS) - wanted.quantile(LEVELS)
        assert np.max(np.abs(gap)) < 0.4 * wanted.sd
        assert found.log_evidence == pytest.approx(wanted.log_evidence, abs=2.0)
    assert all(start is not None and 0 < start.draws.power < 1 for start in started)


def test_chains_are_extended_where_the_error_is_not_good(simulated_fits, monkeypatch):
    """To 256 steps, from where they stand: the first states are those of the short run."""
    fit = simulated_fits[0]
    model = Model(fit.data, Law.parse("log-power"), fit.priors)
    monkeypatch.setattr(_sampled, "KEPT", 10**6)
    short = sampled(model, Effort())
    monkeypatch.setattr(_sampled, "GOOD", 0.0)
    long = sampled(model)
    n = len(short._elbow)
    assert len(long._elbow) == 256 * 256 > n
    np.testing.assert_array_equal(long._elbow[:n], short._elbow)
    gap = long.quantile(LEVELS) - fit.with_law("log-power").posterior.quantile(LEVELS)
    assert np.max(np.abs(gap)) < 0.15 * long.sd
    assert long.error < short.error


def test_draws_fit_the_rows(simulated_fits):
    """Posterior mean scores of a rich law leave residuals about as large as the noise says."""
    fit = simulated_fits[2].with_law("log-power+slopes+deviation")
    draws = fit.posterior.draws(2000, np.random.default_rng(0))
    fitted = draws.fitted(fit.data).mean(axis=0)
    noise = np.sqrt(fit.data.sampling_sd**2 + np.mean(draws.noise) ** 2 / fit.data.repeats)
    assert 0.5 < np.std((fit.data.score - fitted) / noise) < 1.3
    np.testing.assert_allclose(draws.elbow, draws.elbows[:, 0])
    np.testing.assert_allclose(draws.elbow_high, draws.elbows[:, -1])
    assert {"deviation_scale", "slope"} <= draws.parameters().keys()
    assert "width" not in draws.parameters()


def test_a_mixture_is_the_weighted_sum_of_its_laws(simulated_fits):
    """Cumulative and draws of a mixture are those of its laws, by weight."""
    mixture = Mixture.of(["log-power", "power"], [3, 1])
    fit = replace(simulated_fits[0].with_law(mixture), weighting=Weighting.FIXED)
    one, other = (member.posterior for member in fit.members)
    low, high = fit.posterior.quantile([0.001, 0.999]).tolist()
    at = np.linspace(low, high, 50)
    wanted = 0.75 * one.cumulative(at) + 0.25 * other.cumulative(at)
    np.testing.assert_allclose(fit.posterior.cumulative(at), wanted, atol=1e-3)
    draws = fit.posterior.draws(4000, np.random.default_rng(0))
    assert np.mean(draws.law == 0) == 0.75
    evidence = 0.75 * np.exp(one.log_evidence) + 0.25 * np.exp(other.log_evidence)
    assert np.exp(fit.posterior.log_evidence) == pytest.approx(evidence, rel=1e-9)
    assert abs(one.log_evidence - other.log_evidence) > 0.1
    below = np.mean(draws.elbow <= fit.posterior.quantile(0.5))
    assert below == pytest.approx(0.5, abs=0.03)
    low, high = fit.posterior.quantile([1e-4, 1 - 1e-4]).tolist()
    grid = np.linspace(low, high, 4001)
    assert np.trapezoid(fit.posterior.density(grid), grid) == pytest.approx(1.0, abs=0.02)


def test_the_same_rows_give_the_same_forecast(simulated_fits):
    """Nothing random is left to chance: a second fit gives the same quantiles."""
    fit = simulated_fits[1].with_law("hill+deviation")
    again = simulated_fits[1].with_law("hill+deviation")
    np.testing.assert_array_equal(fit.posterior.quantile(LEVELS), again.posterior.quantile(LEVELS))


def test_an_unknown_law_is_named_with_what_there_is():
    """A typing error in a form, in a feature, or a mixture of the same law twice."""
    with pytest.raises(OptionError, match='Did you mean "power"'):
        Law.parse("powr")
    with pytest.raises(OptionError, match='Did you mean "slopes"'):
        Law.parse("hill+slope")
    with pytest.raises(OptionError, match="different laws"):
        Mixture.of(["hill", "hill"])
    with pytest.raises(OptionError, match="positive weights"):
        Mixture.of(["hill", "power"], [1.0, 0.0])
    assert str(Law.parse("hill+deviation+soft")) == "hill+soft+deviation"
    assert Law.parse("hill+soft").features == {Feature.SOFT}


def test_several_names_make_a_mixture(simulated_tables):
    """`law` may be one name, "mixture", or several names, weighted by evidence^0.3."""
    rows = simulate.as_rows(simulated_tables[0])
    fit = emergecast.fit(
        rows,
        options=FitOptions(
            law=(
                "log-power",
                "power",
            )
        ),
    )
    one, other = (member.posterior.log_evidence for member in fit.members)
    assert fit.weights[0] / fit.weights[1] == pytest.approx(np.exp(0.3 * (one - other)))
    assert sum(fit.weights) == pytest.approx(1.0)
    assert len(emergecast.fit(rows).members) > 2


def test_stacking_finds_the_law_that_predicts():
    """A curve whose elbow saturates: hill predicts held-out checkpoints, the power law does not."""
    rows = []
    rng = np.random.default_rng(0)
    for i, loss in enumerate(np.linspace(3.0, 2.0, 11)):
        for amount in (None, 30, 100, 300, 1000, 3000, 10000):
            d = 5 if amount is None else amount
            elbow = 1.9 + 0.9 * d**2 / (150.0**2 + d**2)
            score = 0.25 + 0.6 * max(elbow - loss, 0.0) + rng.normal(0, 0.004)
            rows.append(
                {
                    "checkpoint": f"c{i}", "loss": loss, "task": "t", "chance": 0.25,
                    "setting": "few_shot" if amount is None else "finetuned", "shots": 5,
                    "examples": amount, "score": score, "stderr": 0.004,
                }
            )  # fmt: skip
    fit = emergecast.fit(
        rows,
        options=FitOptions(
            law=(
                "power",
                "hill",
                "log-power+deviation",
            ),
            weights="stacking",
        ),
    )
    power, hill, log_power = fit.weights
    assert hill > 0.8
    assert sum(fit.weights) == pytest.approx(1.0)
    assert max(power, log_power) < 0.2
    gap = fit.posterior.quantile(LEVELS) - fit.members[1].posterior.quantile(LEVELS)
    assert np.max(np.abs(gap)) < 0.1


def test_weights_that_cannot_be_had_are_refused():
    """An unknown kind of weight, and a table in which nothing has left chance."""
    flat = [
        {
            "checkpoint": f"c{i}", "loss": 3 - 0.1 * i, "task": "t", "chance": 0.25,
            "setting": "finetuned", "examples": amount, "score": 0.25 + 0.001 * (i % 2),
            "stderr": 0.01,
        }
        for i in range(6)
        for amount in (10, 100, 1000)
    ]  # fmt: skip
    with pytest.raises(OptionError, match="fixed or stacking"):
        emergecast.fit(flat, options=FitOptions(weights="even"))
    fit = emergecast.fit(
        flat,
        options=FitOptions(
            law=(
                "power",
                "log-power",
            ),
            weights="stacking",
        ),
    )
    with pytest.raises(FitError, match="use fixed weights"):
        _ = fit.weights
