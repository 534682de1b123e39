from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from emergecast.suggestions._information import FEWEST_EFFECTIVE, Outlook, Predicted

N = 6000


def normal(mean, sd) -> Predicted:
    """A run with normal noise."""
    mean = np.asarray(mean, dtype=np.float64)
    return Predicted(mean=mean, sd=np.full(mean.size, sd), heavy=np.zeros(mean.size, dtype=bool))


@pytest.fixture
def rng() -> np.random.Generator:
    """The same draws each time."""
    return np.random.default_rng(4)


@pytest.mark.parametrize(("slope", "sd"), [(0.3, 1.0), (1.0, 1.0), (3.0, 1.0), (1.0, 0.4)])
def test_a_linear_normal_score_says_half_the_log_of_the_signal(slope, sd, rng):
    """I = ln(1 + slope^2 / sd^2) / 2 nats: a textbook formula (elbow standard normal)."""
    elbow = rng.standard_normal(N)
    found = Outlook(elbow, rng).information(normal(slope * elbow, sd))
    exact = 0.5 * math.log(1 + (slope / sd) ** 2)
    assert found == pytest.approx(exact, rel=0.07)  # 24 bins lose a few percent


def test_what_the_score_does_not_depend_on_is_noise(rng):
    """A nuisance in the mean counts as noise: I = ln(1 + 1 / (0.25 + 0.75)) / 2."""
    elbow, nuisance = rng.standard_normal((2, N))
    run = normal(elbow + math.sqrt(0.75) * nuisance, 0.5)
    assert Outlook(elbow, rng).information(run) == pytest.approx(0.5 * math.log(2), rel=0.05)


def test_after_a_run_the_next_says_only_what_is_left(rng):
    """Two equal runs: I(2 given 1) = I(both) - I(1), with I of n runs ln(1 + n s) / 2."""
    elbow = rng.standard_normal(N)
    outlook, run = Outlook(elbow, rng), normal(elbow, 0.7)
    signal = 1 / 0.49
    outlook.take(run)
    left = 0.5 * math.log((1 + 2 * signal) / (1 + signal))
    assert outlook.information(run) == pytest.approx(left, rel=0.12)
    narrowed = 2 * 1.6449 / math.sqrt(1 + signal)
    assert outlook.width == pytest.approx(narrowed, rel=0.06)
    assert outlook.mean_sd(elbow)[1] == pytest.approx(1 / math.sqrt(1 + signal), rel=0.06)


def test_a_score_that_says_nothing_says_nothing(rng):
    """Neither before nor after another run; small samples do not look like information."""
    elbow = rng.standard_normal(N)
    outlook = Outlook(elbow, rng)
    silent = normal(rng.standard_normal(N), 0.3)
    assert outlook.information(silent) < 0.004
    outlook.take(normal(elbow, 1.0))
    assert outlook.information(silent) < 0.02


def test_on_which_side_of_a_kink(rng):
    """Score 0 above 0 and -elbow below: against numerical integration over elbow and score."""
    elbow = rng.standard_normal(30_000)
    found = Outlook(elbow, rng).information(normal(np.maximum(-elbow, 0.0), 0.5))
    grid = np.linspace(-6, 6, 1201)
    prior = stats.norm.pdf(grid)
    score = np.linspace(-3, 9, 1501)
    given = stats.norm.pdf(score[None, :], np.maximum(-grid, 0.0)[:, None], 0.5)
    joint = given * prior[:, None]
    marginal = integrate.trapezoid(joint, grid, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        inner = np.where(joint > 1e-300, joint * np.log(given / marginal), 0.0)
    exact = integrate.trapezoid(integrate.trapezoid(inner, score, axis=1), grid)
    assert found == pytest.approx(float(exact), rel=0.07)


def test_heavy_tails_are_students():
    """Cells hold what scipy's Student-t with 4 degrees of freedom gives them; so do densities."""
    run = Predicted(
        mean=np.array([0.2, 0.2]), sd=np.array([0.1, 0.1]), heavy=np.array([True, False])
    )
    grid = run.grid()
    assert grid.sum(axis=1) == pytest.approx([1.0, 1.0], abs=1e-6)
    edges = np.linspace(0.2 - 0.45, 0.2 + 0.45, grid.shape[1] + 1)[1:-1]
    for row, law in zip(grid, (stats.t(4, 0.2, 0.1), stats.norm(0.2, 0.1)), strict=True):
        assert np.cumsum(row)[:-1] == pytest.approx(law.cdf(edges), abs=1e-5)
        assert law.cdf(edges).size == grid.shape[1] - 1
    at = np.array([0.1, 0.45])
    ln = run.ln_density(at)
    assert ln[:, 0] == pytest.approx(stats.t(4, 0.2, 0.1).logpdf(at))
    assert ln[:, 1] == pytest.approx(stats.norm(0.2, 0.1).logpdf(at))


def test_neither_units_nor_the_order_of_the_draws_matter(rng):
    """Information has no unit."""
    elbow = rng.standard_normal(N)
    mean = np.maximum(1.0 - elbow, 0.0)
    first = Outlook(elbow, np.random.default_rng(1)).information(normal(mean, 0.5))
    other = Outlook(2 + 7 * elbow, np.random.default_rng(1))
    assert other.information(normal(100 * mean, 50.0)) == pytest.approx(first, abs=1e-6)
    order = rng.permutation(N)
    shuffled = Outlook(elbow[order], np.random.default_rng(1))
    assert shuffled.information(normal(mean[order], 0.5)) == pytest.approx(first, abs=2e-3)


def test_an_imagined_truth_does_not_find_itself(rng):
    """A world's score comes from one of the draws, which must not count among those it weighs.

    With 400 draws and noise as wide as a twentieth of them, it would make itself the surest.
    """
    elbow = rng.standard_normal(400)
    outlook = Outlook(elbow, rng)
    truth = outlook._truth
    outlook.take(normal(elbow, 0.05))
    assert np.all(outlook.weights[np.arange(truth.size), truth] == 0)
    assert outlook.width == pytest.approx(2 * 1.6449 * 0.05, rel=0.1)


def test_when_few_draws_are_left_it_says_so(rng):
    """Each precise run leaves fewer draws that agree with it."""
    elbow, other = rng.standard_normal((2, N))
    outlook = Outlook(elbow, rng)
    assert outlook.effective == pytest.approx(N)
    assert not outlook.exhausted
    outlook.take(normal(elbow, 0.05))
    outlook.take(normal(other, 0.05))
    assert outlook.effective < FEWEST_EFFECTIVE
    assert outlook.exhausted
