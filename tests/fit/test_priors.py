"""The priors: proper, overridable, independent of unit, origin and D0."""

from __future__ import annotations

import numpy as np
import pytest

from emergecast.errors import OptionError
from emergecast.fit import Fit, Priors
from emergecast.fit._boxes import Boxes, box_weights, nodes
from emergecast.fit._coordinates import Coordinates
from emergecast.fit._fit import prior_elbow_sd
from emergecast.law import LawForm

AMOUNTS = np.array([8.0, 32.0, 256.0, 2048.0])


def coordinates(form: LawForm = LawForm.LOG_POWER, amounts=AMOUNTS, pivot: int = 1) -> Coordinates:
    """Coordinates with default priors."""
    return Coordinates(form=form, priors=Priors.default(form), amounts=amounts, pivot=pivot)


@pytest.mark.parametrize("form", LawForm)
@pytest.mark.parametrize("pivot", [1, 2])
def test_the_prior_density_integrates_to_one(form, pivot):
    """Over (h, t, a), Jacobian included, whatever the pivot."""
    found = coordinates(form, pivot=pivot)
    low, high = found.box()
    boxes = Boxes.grid(low, high, (60, 60, 40))
    _, log_prior = found.elbows_and_prior(nodes(boxes).reshape(-1, 3))
    total = np.sum(np.exp(log_prior).reshape(-1, 27) * box_weights(boxes))
    assert total == pytest.approx(1.0, abs=2e-4)


@pytest.mark.parametrize("form", LawForm)
@pytest.mark.parametrize("low", [1.0, 8.0, 24.0])
def test_the_prior_spread_of_the_elbow_agrees_with_draws(form, low):
    """prior_elbow_sd against the plain definition: draw E(10), d and alpha, compute E(D0)."""
    amounts = np.concatenate([[low], AMOUNTS[1:]])
    found = coordinates(form, amounts)
    priors = found.priors
    rng = np.random.default_rng(0)
    n = 400_000
    anchor = priors.elbow_offset + priors.elbow_scale * rng.standard_normal(n)
    shift = np.abs(priors.shift_scale * rng.standard_normal(n))
    alpha = priors.alpha_median * np.exp(priors.alpha_sd_ln * rng.standard_normal(n))
    x = form.abscissa([low, 10.0, 2048.0])[:, None] ** alpha
    k = shift * np.log10(204.8) / (x[2] - x[1])
    elbow = anchor + k * (x[0] - x[1])
    assert prior_elbow_sd(found) == pytest.approx(float(np.std(elbow)), rel=0.01)


@pytest.mark.parametrize("form", LawForm)
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
    """Doubling the scales leaves the offset of the elbow and the median of alpha."""
    wide = Priors().widened(2.0)
    assert wide.elbow_scale == 2 * Priors().elbow_scale
    assert (wide.elbow_offset, wide.alpha_median) == (Priors().elbow_offset, Priors().alpha_median)


def test_another_law_brings_its_own_prior_of_alpha(simulated_fits: list[Fit]):
    """Switching the law keeps overridden scales and swaps the prior of alpha."""
    fit = simulated_fits[0].with_priors(simulated_fits[0].priors.override({"slope_scale": 5.0}))
    other = LawForm.POWER if fit.form is LawForm.LOG_POWER else LawForm.LOG_POWER
    switched = fit.with_law(other).priors
    assert switched.slope_scale == 5.0
    assert switched.alpha_median == Priors.default(other).alpha_median
