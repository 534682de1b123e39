"""Scores of a distribution, against closed forms and brute force."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from emergecast.track_record import crps, log_score, pit


@dataclass(frozen=True)
class Scipy:
    """A scipy distribution with the names of a forecast."""

    of: Any

    def quantile(self, probability, /):
        """Quantiles."""
        return self.of.ppf(probability)

    def cumulative(self, loss, /):
        """Cumulative probability."""
        return self.of.cdf(loss)

    def density(self, loss, /):
        """Density."""
        return self.of.pdf(loss)


@dataclass(frozen=True)
class Mixture:
    """Two normals, the narrow one far narrower: a posterior with a spike."""

    weights: tuple[float, float] = (0.3, 0.7)
    means: tuple[float, float] = (1.7, 2.05)
    widths: tuple[float, float] = (0.1, 0.002)

    def quantile(self, probability, /):
        """Quantiles, by a table of the cumulative probability."""
        x = np.linspace(0.5, 3.0, 200_001)
        return np.interp(probability, self.cumulative(x), x)

    def cumulative(self, loss, /):
        """Cumulative probability."""
        loss = np.asarray(loss)[..., None]
        return stats.norm.cdf(loss, self.means, self.widths) @ np.array(self.weights)

    def density(self, loss, /):
        """Density."""
        loss = np.asarray(loss)[..., None]
        return stats.norm.pdf(loss, self.means, self.widths) @ np.array(self.weights)


def normal_crps(mean: float, sd: float, truth: float) -> float:
    """Gneiting and Raftery (2007), equation 21, with the opposite sign."""
    z = (truth - mean) / sd
    spread = z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z)
    return float(sd * (spread - 1 / math.sqrt(math.pi)))


def uniform_crps(truth: float) -> float:
    """Of the uniform distribution on [0, 1]: the integral by hand."""
    if truth < 0:
        return 1 / 3 - truth
    if truth > 1:
        return truth - 2 / 3
    return truth**3 / 3 + (1 - truth) ** 3 / 3


@given(
    mean=st.floats(-3, 5),
    sd=st.floats(1e-4, 2),
    z=st.floats(-30, 30),
)
def test_crps_of_a_normal_is_the_closed_form(mean: float, sd: float, z: float):
    """Wherever the truth lies, thirty standard deviations away too."""
    truth = mean + z * sd
    found = crps(Scipy(stats.norm(mean, sd)), truth)
    assert found == pytest.approx(normal_crps(mean, sd, truth), rel=1e-7, abs=1e-12)


@pytest.mark.parametrize("truth", [-40.0, -0.1, 0.0, 1e-6, 0.3, 0.5, 0.999, 1.0, 1.2, 1e4])
def test_crps_of_a_uniform_is_the_integral_by_hand(truth: float):
    """A density with edges, and a truth far outside a bounded support."""
    found = crps(Scipy(stats.uniform()), truth)
    assert found == pytest.approx(uniform_crps(truth), rel=1e-7)


@pytest.mark.parametrize("truth", [1.2, 1.71, 1.9, 2.049, 2.05, 2.06, 2.4])
def test_crps_of_a_spiky_mixture_is_the_mean_over_pairs(truth: float):
    """CRPS = E|X - y| - E|X - X'| / 2, each expectation a closed form between normals."""
    mixture = Mixture()

    def mean_distance(mean: float, sd: float) -> float:
        return float(stats.foldnorm.mean(abs(mean) / sd, scale=sd))

    parts = list(zip(mixture.weights, mixture.means, mixture.widths, strict=True))
    near = sum(w * mean_distance(m - truth, s) for w, m, s in parts)
    apart = sum(
        w * v * mean_distance(m - n, math.hypot(s, t)) for w, m, s in parts for v, n, t in parts
    )
    assert crps(mixture, truth) == pytest.approx(near - apart / 2, rel=1e-6)


def test_crps_of_a_heavy_tail_agrees_with_the_quantile_form():
    """A Cauchy has no mean, and a CRPS all the same: 2 E[(1[y < q] - u)(q - y)] over u."""
    u = (np.arange(2_000_000) + 0.5) / 2_000_000
    q = stats.cauchy.ppf(u)
    brute = float(np.mean(2 * ((q > 3.0) - u) * (q - 3.0)))
    assert crps(Scipy(stats.cauchy()), 3.0) == pytest.approx(brute, rel=1e-4)


def test_crps_against_an_uncertain_truth_is_the_mean_over_its_draws():
    """One integral for all draws, equal to one for each."""
    distribution = Scipy(stats.norm(2.0, 0.1))
    draws = np.random.default_rng(1).normal(2.1, 0.05, 25)
    one_by_one = np.mean([normal_crps(2.0, 0.1, float(y)) for y in draws])
    assert crps(distribution, draws) == pytest.approx(float(one_by_one), rel=1e-7)


def test_crps_is_proper():
    """Averaged over truths from N(0, 1), no other normal scores better than N(0, 1) itself."""
    truths = stats.norm.ppf((np.arange(400) + 0.5) / 400)
    own = crps(Scipy(stats.norm()), truths)
    others = [(0.3, 1.0), (-0.3, 1.0), (0.0, 0.6), (0.0, 1.6)]
    assert all(own < crps(Scipy(stats.norm(*other)), truths) for other in others)


@given(shift=st.floats(-5, 5), scale=st.floats(0.01, 100))
def test_crps_has_the_unit_of_the_loss(shift: float, scale: float):
    """Shifting both changes nothing, and scaling both scales it."""
    base = crps(Scipy(stats.gumbel_r(0, 1)), 0.7)
    moved = crps(Scipy(stats.gumbel_r(shift, scale)), shift + 0.7 * scale)
    assert moved == pytest.approx(scale * base, rel=1e-6)


def test_the_log_score_is_the_log_density_and_has_no_floor():
    """Minus infinity where the forecast said impossible."""
    assert log_score(Scipy(stats.norm(2, 0.1)), 2.05) == pytest.approx(
        stats.norm.logpdf(2.05, 2, 0.1)
    )
    assert log_score(Scipy(stats.uniform()), 1.5) == -math.inf


def test_the_pit_is_the_probability_below_the_truth():
    """And uniform where truths come from the forecast."""
    assert pit(Scipy(stats.norm(2, 0.1)), 2.1) == pytest.approx(stats.norm.cdf(1.0))
    draws = stats.norm(2, 0.1).rvs(300, random_state=3)
    found = [pit(Scipy(stats.norm(2, 0.1)), float(draw)) for draw in draws]
    assert stats.kstest(found, "uniform").pvalue > 0.01


@pytest.mark.parametrize("bad", [math.nan, math.inf, []])
def test_a_truth_that_is_no_loss_is_an_error(bad):
    """Named in the message."""
    with pytest.raises(ValueError, match="finite loss"):
        crps(Scipy(stats.norm()), bad)
