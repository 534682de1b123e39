"""The priors: proper, overridable, independent of unit, origin and D0."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from emergecast.emergence_law import Feature, Law, LawForm
from emergecast.errors import OptionError
from emergecast.inference import Priors, prior_elbows
from emergecast.inference._coordinates import Coordinates
from emergecast.inference.exact._boxes import Boxes, box_weights, nodes
from emergecast.inference.sampled._space import Space

PLAIN = (LawForm.LOG_POWER, LawForm.POWER)
AMOUNTS = np.array([8.0, 32.0, 256.0, 2048.0])


def coordinates(form: LawForm = LawForm.LOG_POWER, amounts=AMOUNTS, pivot: int = 1) -> Coordinates:
    """Coordinates with default priors."""
    return Coordinates(form=form, priors=Priors.default(), amounts=amounts, pivot=pivot)


@pytest.mark.parametrize("form", PLAIN)
@pytest.mark.parametrize("pivot", [1, 2])
def test_the_prior_density_integrates_to_one(form, pivot):
    """Over (h, t, a), Jacobian included, whatever the pivot."""
    found = coordinates(form, pivot=pivot)
    low, high = found.box()
    boxes = Boxes.grid(low, high, (60, 60, 40))
    _, log_prior = found.elbows_and_prior(nodes(boxes).reshape(-1, 3))
    total = np.sum(np.exp(log_prior).reshape(-1, 27) * box_weights(boxes))
    assert total == pytest.approx(1.0, abs=2e-4)


@pytest.mark.parametrize("form", [*PLAIN, LawForm.HILL])
@pytest.mark.parametrize("low", [1.0, 8.0, 24.0])
def test_prior_draws_are_those_of_the_plain_definition(form, low, simulated_fits):
    """E(D0) under the priors alone: draw E(10), d and the shape, and apply the law."""
    data = simulated_fits[0].data
    bare = np.zeros_like(data.level)  # rows of no amount: all of these are planned
    data = replace(data, amounts=AMOUNTS[1:], level=bare, few_shot_examples=low)
    priors, rng, n = Priors.default(), np.random.default_rng(0), 400_000
    anchor = priors.elbow_offset + priors.elbow_scale * rng.standard_normal(n)
    shift = np.abs(priors.shift_scale * rng.standard_normal(n))
    alpha = priors.curvature(form) * np.exp(priors.alpha_sd_ln * rng.standard_normal(n))
    half = np.sqrt(10 * 2048) * np.exp(priors.half_sd_ln * rng.standard_normal(n))
    if form is LawForm.HILL:
        q = [amount**alpha / (half**alpha + amount**alpha) for amount in (low, 10.0, 2048.0)]
    else:
        q = [float(form.abscissa(amount)) ** alpha for amount in (low, 10.0, 2048.0)]
    elbow = data.to_nats(anchor + shift * np.log10(204.8) * (q[0] - q[1]) / (q[2] - q[1]))
    found = prior_elbows(data, Law(form=form), priors)
    levels = [0.05, 0.25, 0.5, 0.75, 0.95]
    wanted = np.quantile(elbow, levels)
    np.testing.assert_allclose(np.quantile(found, levels), wanted, atol=0.05 * float(np.std(elbow)))


@pytest.mark.parametrize("law", ["log-power", "power", "hill", "hill+slopes+deviation+soft"])
def test_the_density_of_a_space_is_that_of_its_draws(law, simulated_fits):
    """Importance weights p / q of draws from a wider prior average to 1."""
    data = simulated_fits[1].data
    kind = Law.parse(law)
    narrow, wide = (Space.of(data, kind, priors) for priors in (Priors(), Priors().widened(1.3)))
    drawn = wide.sample_prior(400_000, np.random.default_rng(2))
    ln_ratio = narrow.elbows_and_prior(drawn)[1] - wide.elbows_and_prior(drawn)[1]
    ratio = np.exp(ln_ratio)
    assert np.mean(ratio) == pytest.approx(1.0, abs=5 * float(np.std(ratio)) / np.sqrt(ratio.size))
    assert Feature.SOFT not in kind.features or narrow.bends


@pytest.mark.parametrize("form", [*PLAIN, LawForm.HILL])
def test_the_density_of_a_space_integrates_to_one(form, simulated_fits):
    """Over pivot and ln rise it leaves the density of shapes and scales; for any curvature."""
    data, priors = simulated_fits[1].data, Priors.default()
    space = Space.of(data, Law(form=form), priors)
    pivot, ln_rise = np.linspace(-12, 14, 521), np.linspace(-14, 4, 721)
    grid = np.stack(np.meshgrid(pivot, ln_rise, indexing="ij"), axis=-1).reshape(-1, 2)
    half = np.log(np.sqrt(space.anchors.low * space.anchors.high))
    for alpha in (0.3, 1.0, 3.0):
        shapes = [np.log(alpha), *([half] if form is LawForm.HILL else [])]
        tau = 0.02
        rest = np.tile([*shapes, np.log(tau)], (len(grid), 1))
        density = np.exp(space.elbows_and_prior(np.hstack([grid, rest]))[1])
        density = density.reshape(pivot.size, -1)
        found = np.trapezoid(np.trapezoid(density, ln_rise, axis=1), pivot)
        wanted = stats.norm.pdf(np.log(alpha), np.log(priors.curvature(form)), priors.alpha_sd_ln)
        wanted *= stats.halfnorm.pdf(tau, scale=priors.noise_scale) * tau
        if form is LawForm.HILL:
            wanted *= stats.norm.pdf(0.0, scale=priors.half_sd_ln)
        assert found == pytest.approx(wanted, rel=1e-3), alpha


@pytest.mark.parametrize("form", PLAIN)
def test_changing_d0_leaves_the_prior_of_the_law_alone(form):
    """The same law has the same density per (E(10), d, alpha) whatever D0 it is read off at."""
    rng = np.random.default_rng(1)
    h, alpha, total = rng.normal(0.5, 0.3, 50), rng.uniform(0.3, 3, 50), rng.uniform(0.1, 2, 50)

    def log_density(low):
        amounts = np.concatenate([[low], AMOUNTS[1:]])
        found = coordinates(form, amounts)
        x = form.abscissa(amounts)[:, None] ** alpha
        t = total * (x[3] - x[1]) / (x[3] - x[2])  # E(2048) - E(32), from E(2048) - E(256)
        return found.elbows_and_prior(np.column_stack([h, t, np.log(alpha)]))[1]

    np.testing.assert_allclose(log_density(2.0), log_density(20.0), atol=1e-9)


def test_only_proper_known_priors_are_accepted():
    """An unknown name, a scale of 0 and a NaN are errors that say so."""
    with pytest.raises(OptionError, match="the priors are elbow_offset"):
        Priors().override({"elbow": 1.0})
    with pytest.raises(OptionError, match="only proper priors"):
        Priors().override({"elbow_scale": 0.0})
    with pytest.raises(OptionError, match="finite number"):
        Priors().override({"slope_scale": float("nan")})
    assert Priors().override({"slope_scale": 3}).slope_scale == 3


def test_widening_scales_spreads_but_not_middles():
    """Scales of elbow, shift, shape and slope double; offsets, medians and noise stay."""
    narrow, wide = Priors().as_dict(), Priors().widened(2.0).as_dict()
    doubled = {name for name, value in wide.items() if value == 2 * narrow[name]}
    assert doubled == {
        "elbow_scale", "shift_scale", "alpha_sd_ln", "slope_scale", "half_sd_ln", "width_scale",
        "ceiling_scale", "slope_spread_scale", "top_elbow_scale", "shift_sd_ln",
        "shift_sd_ln_saturating", "start_sd_ln", "reach_sd_ln", "slope_sd_ln", "trend_scale",
    }  # fmt: skip
    assert all(wide[name] == narrow[name] for name in wide.keys() - doubled)


def test_another_law_keeps_overridden_priors(simulated_fits):
    """One set of priors serves all laws; each shape has a median of its own."""
    fit = simulated_fits[0].with_priors(simulated_fits[0].priors.override({"slope_scale": 5.0}))
    switched = fit.with_law("power")
    assert switched.priors.slope_scale == 5.0
    assert switched.priors.curvature(LawForm.POWER) == 0.3
    assert switched.coordinates.form is LawForm.POWER
