"""The law of a series' own checkpoints: brute force, noiseless series, simulated truth."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from emergecast.errors import ScalingError
from emergecast.scaling import PowerLaw, Resource, SeriesLaw, SeriesPrior, frontier, run_at_loss


def rng() -> np.random.Generator:
    """The same draws in every test."""
    return np.random.default_rng(3)


def series(amounts: Any, losses: Any, **more: Any) -> SeriesLaw:
    """A series of FLOPs."""
    return SeriesLaw(
        of=Resource.FLOPS,
        amounts=np.asarray(amounts, dtype=float),
        losses=np.asarray(losses, dtype=float),
        **more,
    )


def noiseless(floor: float, alpha: float, n: int, low: float = 15, high: float = 24) -> SeriesLaw:
    """Checkpoints on a power law, 1 nat above the floor at 1e20 FLOPs."""
    amounts = np.logspace(low, high, n)
    return series(amounts, floor + (amounts / 1e20) ** -alpha)


def brute_force(data: SeriesLaw, nodes: int = 110) -> tuple[Any, Any, Any, Any]:
    """Nodes and masses of E and of ln alpha by sums over a four-dimensional grid, no algebra.

    Over E (denser towards the lowest loss), ln alpha, the height B at the geometric mean (around
    the best one) and ln sigma; likelihood times prior.
    """
    prior, lowest = data.prior, data.losses.min()
    x = np.log(data.amounts) - np.log(data.amounts).mean()
    place = (np.arange(nodes) + 0.5) / nodes
    floor = lowest * (1 - (1 - place) ** 3)
    ln_alpha = np.linspace(np.log(0.15) - 2.8, np.log(0.15) + 2.8, nodes)
    sigma = np.geomspace(1e-3, 0.8, 60)
    z = np.exp(-np.exp(ln_alpha)[:, None] * x)  # (alphas, n)
    above = data.losses - floor[:, None]  # (floors, n)
    best = above @ z.T / np.sum(z**2, axis=1)  # (floors, alphas)
    reach = np.concatenate([-np.geomspace(12, 1e-3, 30), np.geomspace(1e-3, 12, 30)])
    spread = np.sqrt(np.sum((above[:, None] - best[:, :, None] * z) ** 2, axis=-1) + 1e-3)
    step = np.gradient(reach)
    total = np.zeros(best.shape)
    weight, scale = prior.scatter_weight, (prior.scatter_share * lowest) ** 2
    for r, width in zip(reach, step, strict=True):
        height = best + r * spread
        squares = np.sum((above[:, None] - height[:, :, None] * z) ** 2, axis=-1)
        for s in sigma:
            # The density of ln sigma where weight * scale / sigma^2 is chi-squared of `weight`.
            ln_prior = chi2.logpdf(weight * scale / s**2, weight) - 2 * np.log(s)
            ln_density = ln_prior - 0.5 * squares / s**2 - data.losses.size * np.log(s)
            total += np.where(height > 0, np.exp(ln_density) * spread * width, 0.0)
    total *= (1 - place[:, None]) ** 2 * np.exp(-0.5 * ((ln_alpha - np.log(0.15)) / 0.7) ** 2)
    total /= total.sum()
    return floor, total.sum(axis=1), ln_alpha, total.sum(axis=0)


@pytest.mark.parametrize(
    "losses",
    [
        pytest.param((3.2, 2.9, 2.75, 2.6, 2.55), id="falling"),
        pytest.param((3.0, 2.98, 2.9, 2.4, 2.38), id="in stages"),
        pytest.param((2.62, 2.61, 2.605), id="hardly falling"),
    ],
)
def test_draws_agree_with_brute_force(losses: tuple[float, ...]):
    """Marginal distributions of floor and exponent, against sums over a four-dimensional grid."""
    data = series(np.logspace(19, 22, len(losses)), losses)
    floor, of_floor, ln_alpha, of_alpha = brute_force(data)
    drawn = data.draws(40_000, rng()).law
    for nodes, mass, values in (
        (floor, of_floor, drawn.floor_nats),
        (ln_alpha, of_alpha, np.log(drawn.alpha)),
    ):
        ours = np.mean(np.asarray(values)[:, None] <= nodes, axis=0)
        np.testing.assert_allclose(ours, np.cumsum(mass) - 0.5 * mass, atol=0.012)


@pytest.mark.parametrize(("floor", "alpha"), [(1.7, 0.15), (0.4, 0.3), (2.0, 0.1)])
def test_the_floor_of_a_noiseless_series_is_found(floor: float, alpha: float):
    """Over nine decades: the median is the truth, and the scatter is at most the prior's."""
    drawn = noiseless(floor, alpha, 24).draws(8000, rng())
    assert np.median(drawn.law.floor_nats) == pytest.approx(floor, abs=0.01)
    assert np.median(drawn.law.alpha) == pytest.approx(alpha, rel=0.01)
    assert np.median(drawn.scatter_nats) < 0.005 * noiseless(floor, alpha, 24).lowest_loss


def test_a_short_span_leaves_the_floor_open():
    """Three checkpoints within a factor of three say little: 90% of the floor spans half a nat."""
    drawn = noiseless(1.7, 0.15, 3, low=21, high=21.5).draws(4000, rng())
    low, high = np.quantile(drawn.law.floor_nats, [0.05, 0.95])
    assert high - low > 0.5


def test_a_law_without_floor_keeps_its_floor_low():
    """The paper's exponent on parameters; the floor is pushed to the end of its prior."""
    drawn = noiseless(0.0, 0.067, 24).draws(4000, rng())
    assert np.quantile(drawn.law.floor_nats, 0.95) < 0.25


@given(power=st.integers(-12, 12))
def test_the_unit_of_the_amounts_changes_nothing(power: int):
    """The same draws of floor, exponent and scatter, and losses at the same runs."""
    one = series([1e20, 4e20, 1e21, 9e21], [3.0, 2.8, 2.7, 2.5])
    other = series(one.amounts * 10.0**power, one.losses)
    a, b = (each.draws(50, rng()) for each in (one, other))
    np.testing.assert_allclose(a.law.floor_nats, b.law.floor_nats, rtol=1e-6)
    np.testing.assert_allclose(a.law.loss(1e23), b.law.loss(1e23 * 10.0**power), rtol=1e-6)
    np.testing.assert_allclose(a.scatter_nats, b.scatter_nats, rtol=1e-6)


def test_the_unit_of_the_losses_changes_nothing_else():
    """Bits for nats: floor, height and scatter are so much larger, the exponent is the same."""
    one = series([1e20, 4e20, 1e21, 9e21], [3.0, 2.8, 2.7, 2.5])
    bits = one.losses / np.log(2)
    a, b = (each.draws(50, rng()) for each in (one, series(one.amounts, bits)))
    np.testing.assert_allclose(np.asarray(a.law.floor_nats) / np.log(2), b.law.floor_nats)
    np.testing.assert_allclose(a.law.alpha, b.law.alpha)
    np.testing.assert_allclose(a.scatter_nats / np.log(2), b.scatter_nats)


def test_a_floor_that_is_given_is_kept():
    """And the rest follows it: a lower floor, a smaller exponent."""
    data = noiseless(1.7, 0.15, 12)
    medians = {}
    for floor in (0.0, 1.0, 1.7):
        law = data.with_floor(floor).draws(2000, rng()).law
        assert np.unique(law.floor_nats).tolist() == [floor]
        medians[floor] = float(np.median(law.alpha))
    assert medians[0.0] < medians[1.0] < medians[1.7]
    assert medians[1.7] == pytest.approx(0.15, rel=0.01)


def test_the_scatter_is_drawn_from_its_chi_square():
    """Floor and exponent given: squares about the best height over sigma^2, of n - 1 + 2 freedom.

    The prior adds its two degrees of freedom and as many of its own squares.
    """
    losses = np.array([3.0, 2.86, 2.7, 2.62, 2.5])
    amounts = np.array([1e20, 3e20, 1e21, 4e21, 1e22])
    prior = SeriesPrior(alpha_median=0.2, alpha_log_sd=1e-6)
    drawn = series(amounts, losses, floor_nats=1.5, prior=prior).draws(4000, rng()).scatter_nats
    z = amounts**-0.2
    height = np.sum(z * (losses - 1.5)) / np.sum(z**2)
    squares = np.sum((losses - 1.5 - height * z) ** 2) + 2 * (0.005 * 2.5) ** 2
    for level in (0.05, 0.25, 0.5, 0.75, 0.95):
        exact = np.sqrt(squares / chi2.ppf(1 - level, 6))
        assert np.mean(drawn <= exact) == pytest.approx(level, abs=0.025)


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say():
    """200 series from the prior: 90% intervals of the compute 0.15 nats below the last loss."""
    generator = rng()
    hits = 0
    for _ in range(200):
        alpha = float(np.exp(np.log(0.15) + 0.7 * generator.standard_normal()))
        floor = 3.0 * generator.random()
        height = 3.0 - floor
        amounts = np.logspace(-1.5, 1.5, 8)
        sigma = 0.015 * np.sqrt(2 / generator.chisquare(2))
        truth = PowerLaw(
            name="t", source="", of=Resource.FLOPS, floor_nats=floor, a=height, alpha=alpha
        )
        losses = truth.loss(amounts) + sigma * generator.standard_normal(8)
        if losses.min() <= floor or losses.min() <= 0:  # impossible under the prior
            hits += 1
            continue
        wanted = max(float(truth.loss(amounts[-1])) - 0.15, 0.5)
        drawn = series(amounts, losses).draws(1000, generator).law
        found, true = (
            np.asarray(run_at_loss(law, wanted, unreachable="inf").flops) for law in (drawn, truth)
        )
        low, high = np.quantile(found, [0.05, 0.95], method="inverted_cdf")
        hits += bool(low <= true <= high)
    assert 0.84 <= hits / 200 <= 0.96


@given(
    points=st.lists(
        st.tuples(st.integers(1, 8), st.integers(1, 8)), min_size=1, max_size=12, unique=True
    )
)
def test_the_frontier_is_what_nothing_beats(points: list[tuple[int, int]]):
    """By looking at every pair."""
    x, y = (np.array(column, dtype=float) for column in zip(*points, strict=True))
    kept = frontier(x, y)
    for i in range(x.size):
        beaten = any(
            x[j] <= x[i] and y[j] <= y[i] and (x[j], y[j]) != (x[i], y[i]) for j in range(x.size)
        )
        assert kept[i] == (not beaten)


def test_a_span_of_three_hundred_decades_overflows_nothing():
    """Nor does one of numbers near the largest there are."""
    for amounts in (np.logspace(-150, 150, 7), np.logspace(20, 60, 7)):
        drawn = series(amounts, np.linspace(3, 2, 7)).draws(100, rng())
        assert np.all(np.isfinite(drawn.law.alpha))


@pytest.mark.parametrize(
    ("amounts", "losses", "says"),
    [
        ([1, 2], [3, 2], "needs 3 checkpoints of different flops, and there are 2"),
        ([1, 2, 2], [3, 2, 1], "and there are 2"),
        ([1, 2, -3], [3, 2, 1], "must be finite and above 0"),
        ([1, 2, 3], [3, 2, float("nan")], "must be finite and above 0"),
    ],
)
def test_too_little_is_refused(amounts: list[float], losses: list[float], says: str):
    """With what there is and what to do."""
    with pytest.raises(ScalingError, match=re.escape(says)):
        series(amounts, losses)


@pytest.mark.parametrize("floor", [-0.1, 2.5, 3.0])
def test_a_floor_that_no_law_can_have_is_refused(floor: float):
    """Below 0, or not below the lowest loss."""
    with pytest.raises(ScalingError, match=r"between 0 and the lowest loss, 2\.5 nats"):
        series([1, 2, 3], [3, 2.7, 2.5]).with_floor(floor)


def test_the_priors_are_stated():
    """In numbers, as they are."""
    text = SeriesPrior(alpha_median=0.2, scatter_share=0.01).sentence
    assert "median 0.2" in text
    assert "1.0% of the loss" in text
