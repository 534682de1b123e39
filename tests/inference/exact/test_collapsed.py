"""The closed-form likelihood against a dense multivariate normal, and the scan's noise floor."""

from __future__ import annotations

import numpy as np
import pytest
from tests.referees import model

from emergecast.inference import ExactPosterior
from emergecast.inference._coordinates import Coordinates
from emergecast.inference.exact._collapsed import Collapsed, log_half_normal
from emergecast.inference.exact._scan import _noise_floor


def point_and_density(fit, rng):
    """A random point, and the product's log joint density of scores and point there."""
    coordinates = Coordinates.of(fit.data, fit.coordinates.form, fit.priors)
    point = np.array([[rng.uniform(0, 2), rng.uniform(0.1, 1.5), rng.normal(0.4, 0.4)]])
    tau = np.array([rng.uniform(0.005, 0.08)])
    elbows, prior = coordinates.elbows_and_prior(point)
    likelihood = Collapsed(fit.data, fit.priors, tau).log_likelihood(elbows)[0, 0]
    return elbows, tau, prior[0], likelihood


def test_density_equals_the_dense_definition_up_to_a_constant(simulated_tables, simulated_fits):
    """Differences of log density between points equal those of the dense referee, to 1e-8.

    The referee integrates B, Delta and A out of a dense covariance, in (E(D0), E(Dmax), ln alpha,
    tau); the product's coordinates differ from these by a Jacobian, written out here.
    """
    rng = np.random.default_rng(3)
    for table, fit in zip(simulated_tables, simulated_fits, strict=True):
        p = model.problem(table)
        data = fit.data
        gaps = []
        for _ in range(4):
            elbows, tau, prior, likelihood = point_and_density(fit, rng)
            coordinates = fit.coordinates
            h, e0 = elbows[0, -1], elbows[0, 0]
            pivot = coordinates.pivot
            t = h - elbows[0, pivot]
            jacobian = np.log((h - e0) / t)  # d(h, t) / d(E(Dmax), E(D0)) is (h - e0) / t inverted
            ln_alpha = _alpha_of(coordinates, elbows[0])
            dense = model.collapsed_log_density(
                p,
                float(data.to_nats(e0)),
                float(data.to_nats(h)),
                ln_alpha,
                float(tau[0] * data.score_range),
            )
            ours = likelihood + prior - jacobian
            ours += float(log_half_normal(tau, fit.priors.noise_scale)[0])
            gaps.append(dense - ours)
        assert np.ptp(gaps) < 1e-7 * max(1.0, abs(np.mean(gaps)))


def _alpha_of(coordinates, elbows):
    """Ln alpha of a point, found again from its elbows by bisection on a middle amount."""
    share = (elbows[coordinates.pivot] - elbows[0]) / (elbows[-1] - elbows[0])
    low, high = -6.0, 6.0
    for _ in range(200):
        middle = (low + high) / 2
        fraction = coordinates.fractions(np.array([middle]))[0][0, coordinates.pivot]
        low, high = (middle, high) if fraction > share else (low, middle)
    return (low + high) / 2


def test_the_two_likelihoods_of_the_product_agree(simulated_fits):
    """The vectorised likelihood over columns of tau, and the one with a tau for every point."""
    rng = np.random.default_rng(4)
    for fit in simulated_fits:
        elbows, tau, _, likelihood = point_and_density(fit, rng)
        other = ExactPosterior(fit.data, fit.coordinates)._given(elbows, tau).ln_likelihood[0]
        assert likelihood == pytest.approx(other, abs=1e-8 * max(1, abs(other)))


def test_a_count_of_two_is_a_row_written_twice(simulated_fits):
    """Reweighting rows for the bootstrap equals repeating them."""
    from dataclasses import replace

    fit = simulated_fits[1]
    data, rng = fit.data, np.random.default_rng(5)
    elbows, tau, _, _ = point_and_density(fit, rng)
    counts = rng.integers(0, 3, data.loss.size)
    rows = np.repeat(np.arange(data.loss.size), counts)
    repeated = replace(
        data,
        **{
            name: getattr(data, name)[rows]
            for name in (
                "loss",
                "score",
                "level",
                "sampling_sd",
                "repeats",
                "checkpoint",
                "snapshot",
            )
        },
    )
    counted = Collapsed(data, fit.priors, tau, counts[:, None].astype(float))
    written = Collapsed(repeated, fit.priors, tau)
    assert counted.log_likelihood(elbows)[0, 0] == pytest.approx(
        written.log_likelihood(elbows)[0, 0], rel=1e-10
    )
    assert counted.no_rise()[0] == pytest.approx(written.no_rise()[0], rel=1e-10)


def test_no_parameters_fit_better_than_the_noise_floor(simulated_fits):
    """Isotonic regression bounds the misfit of every law from below: 2,000 points a table."""
    rng = np.random.default_rng(6)
    for fit in simulated_fits:
        tau = np.array([0.002, 0.02, 0.1])
        collapsed = Collapsed(fit.data, fit.priors, tau)
        low, high = fit.coordinates.box()
        points = low + (high - low) * rng.random((2000, 3))
        elbows, _ = fit.coordinates.elbows_and_prior(points)
        precision, numerator = collapsed.slope(elbows)
        rising = numerator > 0
        misfit = collapsed.misfit - np.where(rising, numerator, 0.0) ** 2 / precision
        assert np.all(misfit >= _noise_floor(collapsed) - 1e-6 * collapsed.raw_misfit)
