from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import norm

from emergecast.errors import OptionError, ScalingError
from emergecast.scaling import (
    CHINCHILLA_LAWS,
    ChinchillaLaw,
    Form,
    PowerLaw,
    Resampled,
    Resource,
    Runs,
    ScalingFitOptions,
    ScalingStatus,
    fit_scaling_law,
    optimal,
    read_law,
    scaling_record,
)
from emergecast.scaling.fitting._curvature import MAD, robust_z
from emergecast.scaling.fitting._resampling import ResamplePlan, refit

TEXT: Any = ["x", 2.0]
ALONE = ScalingFitOptions(bootstraps=0)
FIELDS = {"E": "floor_nats", "A": "a", "B": "b", "alpha": "alpha", "beta": "beta"}
HOFFMANN, EPOCH = CHINCHILLA_LAWS["hoffmann"], CHINCHILLA_LAWS["epoch"]


def amounts(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Sizes and tokens off any line."""
    rng = np.random.default_rng(seed)
    params = np.exp(rng.uniform(np.log(5e7), np.log(2e10), n))
    return params, params * np.exp(rng.uniform(np.log(2), np.log(200), n))


def fitted(runs, form=None, **more) -> Any:
    """A fit whose parts the tests know to be there."""
    return fit_scaling_law(runs, form, **more)


def noisy_runs(n: int = 150, seed: int = 0, sd: float = 0.004, **more) -> Any:
    """Runs of Epoch's law with normal errors of ln L."""
    params, tokens = amounts(n, seed)
    errors = sd * np.random.default_rng(seed + 1).normal(size=n)
    loss = EPOCH.loss(params, tokens) * np.exp(errors)
    return Runs.of(loss, params=params, tokens=tokens, **more)


# ----------------------------------------------------------------------------------- recovery


@pytest.mark.parametrize("law", [HOFFMANN, EPOCH], ids=["hoffmann", "epoch"])
def test_noiseless_runs_give_the_constants_back(law):
    """All five to 1e-8, and standard errors of nothing."""
    params, tokens = amounts(60)
    options = ScalingFitOptions(bootstraps=50)
    fit = fitted(Runs.of(law.loss(params, tokens), params=params, tokens=tokens), options=options)
    for name, field in FIELDS.items():
        wanted = getattr(law, field)
        assert fit.constants[name] == pytest.approx(wanted, rel=1e-8)
        assert fit.stderr_bootstrap[name] < 1e-6 * wanted
        assert fit.stderr_curvature[name] < 1e-6 * wanted
    assert fit.status is ScalingStatus.CONVERGED
    assert fit.optima.same == fit.optima.starts == 64
    assert fit.outliers == ()


@pytest.mark.parametrize("resource", Resource)
@pytest.mark.parametrize("floor", [0.0, 1.69])
def test_noiseless_laws_of_one_resource(resource, floor):
    """With a floor fitted, and without one where it is held at 0."""
    x = np.geomspace(1e7, 1e12, 30)
    loss = floor + 20.0 / x**0.12
    given_one: Any = {resource.value: x}
    runs = Runs.of(loss, **given_one)
    options = dataclasses.replace(ALONE, floor_nats=None if floor else 0.0)
    fit = fitted(runs, options=options)
    assert isinstance(fit.law, PowerLaw)
    assert fit.law.of is resource
    assert fit.law.span == (x[0], x[-1])
    assert fit.constants == pytest.approx({"E": floor, "A": 20.0, "alpha": 0.12}, rel=1e-8)
    assert (fit.stderr_curvature["E"] is None) == (floor == 0.0)


def test_a_floor_that_is_given_stays():
    """And the rest is the best for that floor: L-BFGS from the truth finds nothing lower."""
    runs = noisy_runs()
    fit = fitted(runs, options=dataclasses.replace(ALONE, floor_nats=1.7))
    assert fit.constants["E"] == 1.7
    assert fit.fixed == ("E",)

    def value(x):
        law = 1.7 + np.exp(x[0] - x[2] * np.log(runs.params))
        law = law + np.exp(x[1] - x[3] * np.log(runs.tokens))
        r = np.abs(np.log(law / runs.loss))
        return np.where(r < 1e-3, r**2 / 2, 1e-3 * (r - 5e-4)).sum()

    start = [math.log(482), math.log(2085), 0.348, 0.366]
    theirs = minimize(value, start, method="Nelder-Mead", options={"maxfev": 8000, "xatol": 1e-9})
    assert fit.objective <= theirs.fun * (1 + 1e-9)
    assert fit.objective == pytest.approx(theirs.fun, rel=0.02)


# -------------------------------------------------------------------------------- equivariance


@settings(max_examples=8)
@given(n=st.floats(-12, 3), d=st.floats(-12, 3))
def test_a_change_of_unit_changes_the_numerators_as_algebra_says(n, d):
    """N and D in other units: A and B are multiplied by unit^-exponent, the rest stays."""
    runs = noisy_runs(60)
    unit_n, unit_d = 10.0**n, 10.0**d
    other = Runs.of(runs.loss, params=runs.params * unit_n, tokens=runs.tokens * unit_d)
    one, two = (fitted(each, options=ALONE).constants for each in (runs, other))
    assert two["A"] == pytest.approx(one["A"] * unit_n ** one["alpha"], rel=1e-7)
    assert two["B"] == pytest.approx(one["B"] * unit_d ** one["beta"], rel=1e-7)
    for name in ("E", "alpha", "beta"):
        assert two[name] == pytest.approx(one[name], rel=1e-8)


def test_losses_in_another_unit_scale_floor_and_numerators():
    """Bits instead of nats: E, A and B by 1 / ln 2, and the same exponents and objective."""
    runs = noisy_runs()
    one = fitted(runs, options=ALONE)
    bits = Runs.of(runs.loss / math.log(2), params=runs.params, tokens=runs.tokens)
    two = fitted(bits, options=ALONE)
    for name in ("E", "A", "B"):
        assert two.constants[name] == pytest.approx(one.constants[name] / math.log(2), rel=1e-8)
    assert two.objective == pytest.approx(one.objective, rel=1e-10)


def test_the_order_of_rows_changes_nothing():
    """Neither the constants nor the errors from curvature."""
    runs = noisy_runs()
    order = np.random.default_rng(3).permutation(runs.n)
    one, two = (fitted(each, options=ALONE) for each in (runs, runs.take(order)))
    assert two.constants == pytest.approx(one.constants, rel=1e-9)
    assert two.stderr_curvature == pytest.approx(one.stderr_curvature, rel=1e-6)
    assert two.runs.rows == tuple(order + 1)


def test_the_third_amount_follows_from_two():
    """Flops = 6 N D, whichever of the three is missing."""
    params, tokens = amounts(40)
    loss = EPOCH.loss(params, tokens)
    flops = 6 * params * tokens
    given_two = (
        {"params": params, "tokens": tokens},
        {"params": params, "flops": flops},
        {"tokens": tokens, "flops": flops},
    )
    for two, missing in zip(given_two, ("flops", "tokens", "params"), strict=True):
        runs: Any = Runs.of(loss, **two)
        assert runs.derived == missing
        np.testing.assert_allclose(runs.flops, flops, rtol=1e-12)
        assert fitted(runs, options=ALONE).constants["A"] == pytest.approx(482.006)


# ---------------------------------------------------------------------------------- robustness


def test_outliers_are_named_and_barely_move_the_law():
    """Three losses 30% too high: least squares would move E by much more than its error."""
    runs = noisy_runs(200)
    clean = fitted(runs, options=ALONE)
    loss = runs.loss.copy()
    loss[[10, 20, 30]] *= 1.3
    fit = fitted(dataclasses.replace(runs, loss=loss), options=ALONE)
    assert {each.row for each in fit.outliers} >= {11, 21, 31}
    assert all(each.z > 4 for each in fit.outliers[:3]), "above the law is positive"
    assert fit.outliers[0].predicted < fit.outliers[0].loss
    assert fit.runs.n == 200
    for name in fit.form.constants:
        error = clean.stderr_curvature[name]
        assert abs(fit.constants[name] - clean.constants[name]) < 0.5 * error
    squares = fitted(fit.runs, options=dataclasses.replace(ALONE, delta=10.0))
    moved = abs(squares.constants["E"] - clean.constants["E"])
    assert moved > 2 * abs(fit.constants["E"] - clean.constants["E"])


def test_a_wide_delta_is_least_squares_of_ln_l():
    """As scipy's Levenberg-Marquardt finds it."""
    from scipy.optimize import least_squares

    runs = noisy_runs()
    fit = fitted(runs, options=dataclasses.replace(ALONE, delta=10.0))

    def misfit(x):
        law = x[0] + np.exp(x[1] - x[3] * np.log(runs.params))
        return np.log(law + np.exp(x[2] - x[4] * np.log(runs.tokens))) - np.log(runs.loss)

    start = [1.8, math.log(482), math.log(2085), 0.35, 0.37]
    theirs = least_squares(misfit, start, xtol=1e-15, ftol=1e-15, gtol=1e-15, x_scale="jac").x
    wanted = [theirs[0], math.exp(theirs[1]), math.exp(theirs[2]), *theirs[3:]]
    assert list(fit.constants.values()) == pytest.approx(wanted, rel=1e-5)


def test_least_squares_errors_are_the_textbook_ones():
    """A wide delta and normal errors: sigma^2 (J'J)^-1, to the noise of a sandwich."""
    runs = noisy_runs(3000)
    fit = fitted(runs, options=dataclasses.replace(ALONE, delta=10.0))
    n, d = np.log(runs.params), np.log(runs.tokens)
    c = fit.constants
    one, two = c["A"] * np.exp(-c["alpha"] * n), c["B"] * np.exp(-c["beta"] * d)
    law = c["E"] + one + two
    j = np.stack([np.ones_like(n), one / c["A"], two / c["B"], -n * one, -d * two]) / law
    textbook = 0.004 * np.sqrt(np.diag(np.linalg.inv(j @ j.T)))
    assert list(fit.stderr_curvature.values()) == pytest.approx(list(textbook), rel=0.1)


def test_few_points_widen_the_errors_by_what_the_fit_took():
    """With 15 points and 3 constants: White's covariance times 15 / 12, by textbook algebra.

    A wide delta makes the fit one of least squares. MacKinnon and White 1985, J. Econometrics 29,
    305, call it HC1.
    """
    x = np.geomspace(1e7, 1e12, 15)
    loss = (1.7 + 20 / x**0.12) * np.exp(0.01 * np.random.default_rng(4).normal(size=15))
    fit = fitted(Runs.of(loss, flops=x), options=dataclasses.replace(ALONE, delta=10.0))
    c = fit.constants
    term = c["A"] * x ** -c["alpha"]
    law = c["E"] + term
    j = np.stack([np.ones(15), term / c["A"], -np.log(x) * term]) / law
    r = np.log(law / loss)
    # Columns of length one: the constants are of very different sizes.
    size = np.linalg.norm(j, axis=1)
    j = j / size[:, None]
    inverse = np.linalg.inv(j @ j.T)
    white = inverse @ ((j * r**2) @ j.T) @ inverse * 15 / 12
    wanted = np.sqrt(np.diag(white)) / size
    assert list(fit.stderr_curvature.values()) == pytest.approx(list(wanted), rel=1e-4)


def test_robust_z_of_a_normal_sample():
    """One standard deviation is one; rounding alone is no scale."""
    r = np.random.default_rng(0).normal(3.0, 2.0, 20_000)
    assert robust_z(r)[0] == pytest.approx((r[0] - 3) / 2, abs=0.05)
    assert pytest.approx(1 / 0.6744897501960817, rel=1e-4) == MAD
    assert list(robust_z(np.array([1.0, 1.0, 1.0, 2.0]))) == [0, 0, 0, 1e12]


# ------------------------------------------------------------------------------------ bootstrap


@pytest.mark.parametrize("size", [1, 4])
def test_refits_are_the_optima_of_their_resamples(size):
    """A refit with weights is the fit of a table with the rows of each run drawn repeated."""
    run = [i // size for i in range(40)]
    runs = noisy_runs(40, sd=0.003, run=run)
    count = 40 // size
    fit = fitted(runs, options=ScalingFitOptions(bootstraps=6), rng=np.random.default_rng(5))
    drawn = np.random.default_rng(5).multinomial(count, np.full(count, 1 / count), size=6)
    found = sorted(map(float, fit.draws(6, np.random.default_rng(0)).floor_nats))
    wanted = []
    for counts in drawn:
        again = runs.take(np.repeat(np.arange(40), np.repeat(counts, size)))
        wanted.append(fitted(again, options=ALONE).constants["E"])
    assert found == pytest.approx(sorted(wanted), rel=1e-6)
    assert fit.stderr_bootstrap["E"] == pytest.approx(np.std(wanted, ddof=1), rel=1e-4)


def test_the_better_of_two_optima_is_the_refit():
    """A table with its mirror has two laws without floor, alike but for their exponents' places.

    Begun at either one, refits are the fits of their own rows from many starts: also where the
    other law is the better for these rows, and where a search from afar ends in the worse one.
    """
    params, tokens = amounts(20)
    loss = 1.8 + 25 / params**0.2 + 25 / tokens**0.2
    loss = loss * np.exp(0.004 * np.random.default_rng(2).normal(size=20))
    both = np.concatenate([params, tokens]), np.concatenate([tokens, params])
    runs = Runs.of(np.tile(loss, 2), params=both[0], tokens=both[1])
    options = dataclasses.replace(ALONE, starts=16, floor_nats=0.0)
    fit = fitted(runs, options=options)
    floor, *terms = fit.theta
    smaller = min(terms[2:])
    whole = fit.theta if terms[2] == smaller else np.array([floor, *np.array(terms)[[1, 0, 3, 2]]])
    plan = ResamplePlan(
        by=Resampled.POINT, cluster=np.arange(40), count=8, delta=options.delta, floor=0.0
    )
    found = refit(fit.points, whole, plan, rng=np.random.default_rng(5))
    assert found.moved > 0
    assert found.unequal > 0
    drawn = np.random.default_rng(5).multinomial(40, np.full(40, 1 / 40), size=8)
    wanted = [
        fitted(runs.take(np.repeat(np.arange(40), counts)), options=options).constants["alpha"]
        for counts in drawn
    ]
    np.testing.assert_allclose(found.theta[:, 3], wanted, rtol=1e-6)


def test_the_robust_error_is_half_the_central_68_percent():
    """Of the refits, whose every draw is one: from the 16th to the 84th of a hundred, or nearly."""
    fit = fitted(noisy_runs(60), options=ScalingFitOptions(bootstraps=99, starts=8))
    assert len(fit.refits.theta) == 99
    law = fit.draws(99)
    for name in fit.form.constants:
        low, high = np.quantile(getattr(law, FIELDS[name]), norm.cdf([-1, 1]))
        assert fit.stderr_robust[name] == pytest.approx((high - low) / 2, rel=1e-3)


def test_runs_are_resampled_whole():
    """Five points of each run share their error: the errors are then larger than by point."""
    rng = np.random.default_rng(2)
    params, tokens = (np.repeat(each, 5) for each in amounts(30))
    tokens = tokens * np.tile([0.2, 0.4, 0.6, 0.8, 1.0], 30)
    loss = EPOCH.loss(params, tokens) * np.exp(np.repeat(0.004 * rng.normal(size=30), 5))
    names = np.repeat(np.arange(30), 5).tolist()
    by_run = fitted(
        Runs.of(loss, params=params, tokens=tokens, run=names),
        options=ScalingFitOptions(bootstraps=200),
    )
    by_point = fitted(
        Runs.of(loss, params=params, tokens=tokens), options=ScalingFitOptions(bootstraps=200)
    )
    assert by_run.refits.by is Resampled.RUN
    assert by_point.refits.by is Resampled.POINT
    assert by_run.constants == by_point.constants
    for kind in ("stderr_bootstrap", "stderr_curvature"):
        wide, narrow = getattr(by_run, kind)["E"], getattr(by_point, kind)["E"]
        assert wide > 1.4 * narrow


def test_too_few_runs_are_not_resampled():
    """Four runs: no bootstrap, and draws come from the curvature."""
    runs = noisy_runs(40, run=[i % 4 for i in range(40)])
    fit = fitted(runs, options=ScalingFitOptions(bootstraps=100))
    assert fit.refits is None
    assert set(fit.stderr_bootstrap.values()) == {None}
    assert np.all(np.isfinite(fit.draws(50).a))


def test_draws_without_a_bootstrap_have_the_errors_of_the_curvature():
    """Standard deviations of many draws, of the constants that are not skewed."""
    fit = fitted(noisy_runs(400), options=ALONE)
    law = fit.draws(20_000, np.random.default_rng(1))
    for name in ("E", "alpha", "beta"):
        sd = float(np.std(getattr(law, FIELDS[name])))
        assert sd == pytest.approx(fit.stderr_curvature[name], rel=0.03)


def test_draws_use_each_refit_once_before_any_again():
    """The same seed gives the same draws, in another number more of them."""
    fit = fitted(noisy_runs(), options=ScalingFitOptions(bootstraps=40))
    assert len(np.unique(fit.draws(40).a)) == 40
    _, counts = np.unique(fit.draws(100).a, return_counts=True)
    assert set(counts) == {2, 3}
    assert np.array_equal(fit.draws(30).a, fit.draws(30).a)
    assert np.shape(fit.draws(0).a) == (0,)


@pytest.mark.slow
def test_bootstrap_intervals_hold_the_truth():
    """90% intervals of all five constants, on 40 tables of 120 runs with heavy-tailed errors."""
    held = []
    for seed in range(40):
        params, tokens = amounts(120, seed)
        errors = 0.004 * np.random.default_rng(1000 + seed).standard_t(3, 120)
        loss = EPOCH.loss(params, tokens) * np.exp(errors)
        runs = Runs.of(loss, params=params, tokens=tokens)
        fit = fitted(runs, options=ScalingFitOptions(bootstraps=100, starts=16))
        low, high = fit.quantile(0.05), fit.quantile(0.95)
        held.append([low[name] <= getattr(EPOCH, FIELDS[name]) <= high[name] for name in FIELDS])
    rate = np.mean(held, axis=0)
    # 0.9 less and plus three standard errors of 40 tables, and what a bootstrap of medians lacks.
    assert np.all(rate > 0.74)
    assert np.all(rate <= 1.0)
    assert np.mean(rate) > 0.82


# -------------------------------------------------------------------------------------- status


def test_a_floor_that_wants_to_be_negative_is_zero_and_said_to_be():
    """A loss that falls with the logarithm shows no floor."""
    x = np.geomspace(1e7, 1e11, 30)
    fit = fitted(
        Runs.of(5.0 - 0.15 * np.log(x), params=x), options=ScalingFitOptions(bootstraps=50)
    )
    assert fit.constants["E"] == 0
    assert fit.status is ScalingStatus.FLOOR_AT_ZERO
    assert fit.stderr_curvature["E"] is None
    assert fit.refits.floor_at_zero == 50


def test_a_resource_that_does_nothing_has_a_term_of_zero():
    """Losses that grow with tokens: B = 0, no exponent, no compute-optimal split."""
    params, tokens = amounts(60)
    loss = 1.7 + 400 / params**0.34 + 1e-4 * np.log(tokens)
    fit = fitted(
        Runs.of(loss, params=params, tokens=tokens), options=ScalingFitOptions(bootstraps=20)
    )
    assert fit.constants["B"] == 0
    assert fit.status is ScalingStatus.TERM_AT_ZERO
    assert fit.stderr_curvature["beta"] is None
    assert fit.refits.degenerate > 10
    assert optimal(fit) is None


def test_a_step_is_no_power_law():
    """The exponent would leave its bounds, and the status says so."""
    x = np.geomspace(1e7, 1e11, 41)
    fit = fitted(Runs.of(np.where(x < 1.1e7, 9.0, 2.0), params=x), options=ALONE)
    assert fit.status in {ScalingStatus.EXPONENT_AT_BOUND, ScalingStatus.TERM_AT_ZERO}


def test_every_status_is_a_sentence_with_a_remedy():
    """No status says only that something went wrong."""
    for status in ScalingStatus:
        assert status.sentence.endswith(".")
        assert len(status.sentence) > 60


def test_other_optima_are_counted_and_shown():
    """Two terms without a floor can share the work in two ways; the better one is the fit."""
    runs = noisy_runs()
    fit = fitted(runs, options=dataclasses.replace(ALONE, floor_nats=0.0))
    optima = fit.optima
    assert optima.same + optima.worse + optima.unfinished == optima.starts
    assert optima.worse > 0
    assert optima.next_best["objective"] > fit.objective


def test_a_law_that_the_runs_barely_decide_is_warned_of():
    """Losses at random have a law, but most resamples of them have none."""
    params, tokens = amounts(20)
    loss = np.random.default_rng(0).uniform(1, 5, 20)
    runs = Runs.of(loss, params=params, tokens=tokens, run=[i // 2 for i in range(20)])
    fit = fitted(runs, options=ScalingFitOptions(bootstraps=40))
    text = " ".join(fit.warnings)
    assert f"{fit.refits.degenerate} of 40 refits have no optimum" in text
    assert "only 10 runs" in text
    assert fitted(noisy_runs(), options=ScalingFitOptions(bootstraps=40)).warnings == ()


def test_another_optimum_that_fits_as_well_is_warned_of():
    """Params and tokens change places in half the rows: so they do in the law, at one objective."""
    params, tokens = amounts(80)
    loss = 1.8 + 25 / params**0.2 + 25 / tokens**0.2
    loss = loss * np.exp(0.004 * np.random.default_rng(1).normal(size=80))
    both = np.concatenate([params, tokens]), np.concatenate([tokens, params])
    runs = Runs.of(np.tile(loss, 2), params=both[0], tokens=both[1])
    fit = fitted(runs, options=dataclasses.replace(ALONE, floor_nats=0.0))
    other = fit.optima.next_best
    assert other["objective"] == pytest.approx(fit.objective, rel=1e-9)
    assert (other["A"], other["alpha"]) == pytest.approx((fit.law.b, fit.law.beta), rel=1e-6)
    assert fit.optima.spread_of_constants["alpha"] < 1e-9
    assert "fits as well" in " ".join(fit.warnings)


def test_condition_numbers_know_what_the_unit_does():
    """As printed the constants depend on the unit; at the middle of the table they do not."""
    runs = noisy_runs()
    other = Runs.of(runs.loss, params=runs.params / 1e9, tokens=runs.tokens / 1e9)
    printed, middle = fitted(runs, options=ALONE).condition_numbers
    printed_other, middle_other = fitted(other, options=ALONE).condition_numbers
    assert middle_other == pytest.approx(middle, rel=1e-5)
    assert printed_other < 0.7 * printed
    assert printed > middle > 1


# -------------------------------------------------------------------------------------- refusals


def wrong(n: int = 20, **changed) -> Any:
    """Runs of Epoch's law with some columns replaced."""
    params, tokens = amounts(n)
    columns = {"params": params, "tokens": tokens, **changed}
    return Runs.of(EPOCH.loss(columns["params"], columns["tokens"]), **columns)


@pytest.mark.parametrize(
    ("make", "form", "message"),
    [
        (lambda: wrong(5), None, "5 points for 5 constants. Give at least 6"),
        (lambda: wrong(tokens=np.full(20, 1e9)), None, "1 distinct values of tokens.*--law params"),
        (lambda: wrong(params=np.repeat([1e8, 1e9], 10)), None, "2 distinct values of params"),
        (lambda: wrong(tokens=20 * amounts(20)[0]), None, "one power of params.*--law flops"),
        (lambda: Runs.of([2.0] * 9, params=np.arange(1, 10)), None, "every loss .* is 2"),
        (lambda: Runs.of([3.0, 2.0, 1.5, 1.2], flops=[1, 10, 100, 1e3]), "params", "no params"),
        (lambda: Runs.of([3.0, 2.0], flops=[1, 2, 3]), None, "differ in length: loss 2, flops 3"),
        (lambda: Runs.of([3.0, 2.0]), None, "nothing that it could be a function of"),
        (lambda: Runs.of([3.0, -2.0], flops=[1.0, 2.0]), None, "loss of point 2 is -2"),
        (lambda: Runs.of([3.0, 2.0], flops=[1.0, math.nan]), None, "flops of point 2 is nan"),
        (lambda: Runs.of([3.0, 2.0], flops=TEXT), None, "flops holds something"),
        (lambda: Runs.of([[3.0, 2.0]], flops=[1.0, 2.0]), None, r"shape \(1, 2\)"),
        (lambda: Runs.of([3.0, 2e-20], flops=[1, 2]), None, "point 2 is 2e-20.*Check the unit"),
        (lambda: Runs.of([3.0, 2.0], flops=[1, 1e80]), None, r"point 2 is 1e\+80.*Check the unit"),
        (lambda: wrong().drop_highest(20), None, "20 of 20 points cannot be dropped"),
    ],
)  # fmt: skip
def test_runs_that_decide_no_law_are_refused(make, form, message):
    """What is wrong, the number seen, and what to do."""
    with pytest.raises(ScalingError, match=message):
        fitted(make(), form, options=ALONE)


def test_a_floor_above_the_lowest_loss_is_refused():
    """No law goes below its floor."""
    with pytest.raises(ScalingError, match="not below the lowest loss"):
        fitted(noisy_runs(), options=ScalingFitOptions(floor_nats=2.5))


@pytest.mark.parametrize(
    "wrong_options",
    [{"delta": 0.0}, {"delta": math.nan}, {"floor_nats": -1.0}, {"bootstraps": -1}, {"starts": 0}],
)
def test_impossible_options_are_refused(wrong_options):
    """Before anything is fitted."""
    with pytest.raises(OptionError, match=r"must be"):
        ScalingFitOptions(**wrong_options)


def test_dropping_the_highest_is_remembered():
    """Rows and losses of what was left out, and the rows of what was not."""
    runs = Runs.of([3.0, 5.0, 2.0, 4.0], params=[1.0, 2.0, 3.0, 4.0]).drop_highest(2)
    assert runs.params is not None
    assert runs.dropped == ((2, 5.0), (4, 4.0))
    assert runs.rows == (1, 3)
    assert list(runs.params) == [1.0, 3.0]


# ------------------------------------------------------------------------------------ the record


@pytest.mark.parametrize("form", Form)
def test_a_law_is_read_back_from_its_record(form, tmp_path):
    """Constants, draws and span, bit for bit; JSON without NaN or infinity."""
    fit = fitted(noisy_runs(), form, options=ScalingFitOptions(bootstraps=30))
    path = tmp_path / "scaling.json"
    path.write_text(json.dumps(scaling_record(fit), allow_nan=False))
    law, draws = read_law(path)
    assert type(law) is type(fit.law)
    assert law.span == fit.law.span
    for name in fit.form.constants:
        assert getattr(law, FIELDS[name]) == fit.constants[name]
        assert np.std(getattr(draws, FIELDS[name])) == pytest.approx(
            fit.stderr_bootstrap[name], rel=0.2
        )


def test_a_law_written_by_hand_is_read(tmp_path):
    """Constants alone will do."""
    path = tmp_path / "law.json"
    path.write_text('{"constants": {"E": 0, "A": 2.0, "alpha": 0.07}, "of": "params"}')
    law, draws = read_law(path)
    assert isinstance(law, PowerLaw)
    assert (law.a, law.of, draws) == (2.0, Resource.PARAMS, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no file"),
        ("{", "is not JSON"),
        ("[1]", "holds no scaling law"),
        ('{"kind": "forecast", "constants": {}}', "holds no scaling law"),
        ('{"constants": [1]}', "is not an object"),
        ('{"constants": {"E": 1, "A": 2}}', "lacks B, alpha, beta"),
        ('{"constants": {"E": 1, "A": 2, "alpha": 1, "B": 2}, "of": "params"}', "has B too many"),
        ('{"constants": {"E": 1, "A": 2, "alpha": 1}, "of": "steps"}', "Give params, tokens"),
        ('{"constants": {"E": "x", "A": 2, "alpha": 1}, "of": "params"}', "E of .* is 'x'"),
        ('{"constants": {"E": -1, "A": 2, "alpha": 1}, "of": "params"}', "E of .* is -1"),
        ('{"constants": {"E": 1, "A": 2, "alpha": 1}, "of": "flops", "draws": {"E": 1}}',
         "are not a list"),
    ],
)  # fmt: skip
def test_a_file_that_holds_no_law_is_refused(text, message, tmp_path):
    """With what to give instead, and never a traceback of json."""
    path = tmp_path / "law.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ScalingError, match=message):
        read_law(path)


def test_the_optimal_split_is_where_the_two_slopes_meet():
    """N dL/dN = D dL/dD at the optimum, and its interval holds it."""
    fit = fitted(noisy_runs(), options=ScalingFitOptions(bootstraps=100))
    found: Any = optimal(fit)
    c = fit.constants
    assert found.params_exponent.value == pytest.approx(c["beta"] / (c["alpha"] + c["beta"]))
    draws = fit.draws(2000)
    ends = np.quantile(draws.beta / (draws.alpha + draws.beta), [0.05, 0.95])
    assert (found.params_exponent.p05, found.params_exponent.p95) == pytest.approx(tuple(ends))
    assert found.tokens_exponent.p05 == pytest.approx(1 - ends[1])
    for split in found.splits:
        n, d = split.params.value, split.tokens.value
        assert 6 * n * d == pytest.approx(split.flops)
        slope_n = c["alpha"] * c["A"] / n ** c["alpha"]
        assert slope_n == pytest.approx(c["beta"] * c["B"] / d ** c["beta"])
        assert split.tokens_per_param.p05 < d / n < split.tokens_per_param.p95
    assert isinstance(fit.law, ChinchillaLaw)
