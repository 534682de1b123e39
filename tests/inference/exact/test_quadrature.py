"""The quadrature over the noise, against a sum over a fine grid."""

from __future__ import annotations

import numpy as np
import pytest
from tests import designs

import emergecast
from emergecast.inference import FitOptions
from emergecast.inference.exact import Collapsed, box_weights, integrate, nodes
from emergecast.inference.exact._collapsed import log_half_normal, log_sum


@pytest.mark.parametrize(("noise", "from_zero"), [(0.01, True), (0.03, False)])
def test_the_evidence_is_that_of_a_fine_grid_of_noise(noise, from_zero):
    """On the same boxes, 4,000 noises from 0 to 8 prior scales: to 0.001 in ln evidence.

    The stated error is 0.01: with scores as exact as that, no noise at all is likely, and the grid
    begins at 0 with half a step; with noisier ones it begins where the posterior does.
    """
    table = designs.rows(losses=designs.DENSE[::3], amounts=(16, 256, 4096), noise=noise)
    fit = emergecast.fit(
        [{**row, "stderr": 0.01} for row in table], options=FitOptions(law="log-power")
    )
    mass = integrate(fit.data, fit.coordinates)
    assert (mass.tau[0] == 0.0) == from_zero
    assert mass.tau.size < 100
    tau = np.linspace(0.0, 8 * fit.priors.noise_scale, 4001)
    ln_step = np.full(tau.size, np.log(tau[1]))
    ln_step[[0, -1]] -= np.log(2)
    elbows, prior = fit.coordinates.elbows_and_prior(nodes(mass.boxes).reshape(-1, 3))
    likely = np.argsort(-mass.node_mass.ravel())[:500]
    ln_tau = log_half_normal(tau, fit.priors.noise_scale) + ln_step
    joint = Collapsed(fit.data, fit.priors, tau).log_likelihood(elbows[likely]) + ln_tau
    ln_mass = log_sum(joint) + prior[likely] + np.log(box_weights(mass.boxes).ravel()[likely])
    share = np.log(mass.node_mass.ravel()[likely].sum())
    assert mass.log_evidence + share == pytest.approx(float(log_sum(ln_mass[None])[0]), abs=1e-3)
