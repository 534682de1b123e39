from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
import pytest
from scipy.optimize import nnls

from emergecast.scaling.fitting._newton import Box, descend
from emergecast.scaling.fitting._objective import Points, objective, residuals, slopes
from emergecast.scaling.fitting._starts import best_start, exponents, starts

DELTA = 1e-3


def noisy_points(terms: int, n: int = 40, seed: int = 0) -> Points:
    """A table whose residuals lie on both sides of delta."""
    rng = np.random.default_rng(seed)
    amounts = np.exp(rng.uniform(np.log(1e7), np.log(1e11), (terms, n)))
    loss = 1.8 + np.sum(30.0 / amounts**0.25, axis=0)
    return Points.of(amounts, loss * np.exp(0.003 * rng.normal(size=n)))


def coordinates(terms: int) -> np.ndarray:
    """Two sets of coordinates off the optimum."""
    one = [1.8, *[30.0 / 1e9**0.25] * terms, *[0.26, 0.24][:terms]]
    return np.array([one, [x * 1.003 for x in one]])


def slow_objective(points: Points, theta: np.ndarray, weights: np.ndarray) -> float:
    """The definition, term by term, in 40 digits."""
    k = points.terms
    coords = [Decimal(float(x)) for x in theta]
    with localcontext(prec=40):
        total, delta = Decimal(0), Decimal(DELTA)
        for i in range(points.n):
            law = coords[0]
            for j in range(k):
                law += coords[1 + j] * (-coords[1 + k + j] * Decimal(float(points.z[j, i]))).exp()
            r = abs(law.ln() - Decimal(float(points.ln_loss[i])))
            huber = r * r / 2 if r <= delta else delta * (r - delta / 2)
            total += Decimal(float(weights[i])) * huber
        return float(total)


@pytest.mark.parametrize("terms", [1, 2])
def test_the_objective_is_its_definition(terms):
    """A weighted sum of Huber losses of ln L, against 40 digits."""
    points, theta = noisy_points(terms), coordinates(terms)
    weights = np.random.default_rng(1).integers(0, 4, (2, points.n)).astype(float)
    found = objective(points, theta, weights, DELTA).value
    wanted = [slow_objective(points, t, w) for t, w in zip(theta, weights, strict=True)]
    assert found == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("terms", [1, 2])
def test_gradient_and_hessian_against_central_differences(terms):
    """Of the objective and of the gradient, where no point is near the kink of the Huber loss."""
    points, theta = noisy_points(terms), coordinates(terms)[:1]
    weights = np.random.default_rng(2).integers(0, 4, (1, points.n)).astype(float)
    r = np.abs(residuals(points, theta))
    assert np.min(np.abs(r - DELTA)) > 2e-6
    assert 0 < np.sum(r < DELTA) < points.n
    at = objective(points, theta, weights, DELTA)
    h = 1e-7
    for i in range(theta.shape[1]):
        step = np.zeros_like(theta)
        step[0, i] = h
        up = objective(points, theta + step, weights, DELTA)
        down = objective(points, theta - step, weights, DELTA)
        scale = np.abs(at.gradient).max()
        difference = (up.value - down.value) / (2 * h)
        assert at.gradient[0, i] == pytest.approx(difference[0], abs=1e-7 * scale)
        second = (up.gradient - down.gradient)[0] / (2 * h)
        np.testing.assert_allclose(at.hessian[0, i], second, atol=1e-6 * np.abs(at.hessian).max())


def test_slopes_against_differences_of_ln_l():
    """Derivatives of ln L by each coordinate."""
    points, theta = noisy_points(2), coordinates(2)[0]
    found = slopes(points, theta)
    for i in range(5):
        step = np.zeros(5)
        step[i] = 1e-6
        up, down = residuals(points, np.stack([theta + step, theta - step]))
        np.testing.assert_allclose(found[i], (up - down) / 2e-6, atol=1e-8)


def test_blocks_change_nothing():
    """Many sets of coordinates at once give what each gives alone."""
    points = noisy_points(2, n=3000)
    theta = np.repeat(coordinates(2), 40, axis=0) * np.linspace(0.9, 1.1, 80)[:, None]
    weights = np.random.default_rng(3).integers(0, 3, (80, points.n)).astype(float)
    whole = objective(points, theta, weights, DELTA)
    for i in (0, 41, 79):
        alone = objective(points, theta[i : i + 1], weights[i : i + 1], DELTA)
        for all_of_them, one in zip(whole, alone, strict=True):
            np.testing.assert_allclose(all_of_them[i], one[0], rtol=1e-12)


@pytest.mark.parametrize("floor", [None, 0.0, 1.5])
def test_starts_are_non_negative_least_squares(floor):
    """Of the relative error at fixed exponents, as scipy's active-set solver finds them."""
    points = noisy_points(2)
    powers = exponents(2, 25)
    found = starts(points, np.ones((1, points.n)), powers, floor)[0]
    loss = np.exp(points.ln_loss)
    least = 1e-3 * np.exp(points.ln_loss.mean())
    for theta, power in zip(found, powers, strict=True):
        columns = np.exp(-power[:, None] * points.z) / loss
        target = np.ones(points.n)
        if floor is None:
            columns = np.vstack([1 / loss, columns])
        else:
            target = target - floor / loss
        wanted = nnls(columns.T, target)[0]
        if floor is not None:
            wanted = np.concatenate([[floor], wanted])
        wanted[1:] = np.maximum(wanted[1:], least)
        np.testing.assert_allclose(theta[:3], wanted, rtol=1e-5, atol=1e-7)


def test_the_best_start_is_the_one_of_least_squares():
    """For each set of weights its own."""
    points = noisy_points(2)
    powers = exponents(2, 49)
    weights = np.random.default_rng(4).integers(0, 4, (6, points.n)).astype(float)
    best = best_start(points, weights, powers, None)
    every = starts(points, weights, powers, None)
    for w, theta, others in zip(weights, best, every, strict=True):
        r = np.expm1(residuals(points, np.vstack([theta, others])))
        squares = (w * r**2).sum(axis=1)
        assert squares[0] == pytest.approx(squares[1:].min(), rel=1e-6)


@pytest.mark.parametrize("terms", [1, 2])
def test_random_starts_end_at_one_optimum_where_the_gradient_is_zero(terms):
    """100 starts of all coordinates, anywhere: the same objective to 1e-9."""
    points = noisy_points(terms, n=120, seed=5)
    rng = np.random.default_rng(6)
    linear = rng.uniform(0.01, 3.0, (100, 1 + terms))
    powers = np.exp(rng.uniform(np.log(0.02), np.log(2.5), (100, terms)))
    box = Box.of(terms, None)
    start = np.concatenate([linear, powers], axis=1)
    found = descend(points, start, np.ones((1, points.n)), delta=DELTA, box=box)
    assert found.converged.all()
    assert np.ptp(found.value) < 1e-9 * found.value.min()
    at = objective(points, found.theta, np.ones((1, points.n)), DELTA)
    # A step of 1e-5 in any direction, relative to each coordinate, is uphill.
    for _ in range(20):
        nearby = found.theta[:1] * (1 + 1e-5 * rng.normal(size=(1, 1 + 2 * terms)))
        assert objective(points, nearby, np.ones((1, points.n)), DELTA).value[0] > at.value[0]


def test_a_fixed_floor_stays_and_a_bound_holds():
    """The floor that is given; and 0 where a free one would be negative."""
    rng = np.random.default_rng(7)
    x = np.exp(rng.uniform(10, 25, (1, 60)))
    points = Points.of(
        x, 5.0 - 0.15 * np.log(x[0])
    )  # falls like a logarithm, faster than any power
    start = np.array([[0.5, 1.0, 0.1]])
    ones = np.ones((1, 60))
    held = descend(points, start, ones, delta=DELTA, box=Box.of(1, 0.7))
    assert held.theta[0, 0] == 0.7
    free = descend(points, start, ones, delta=DELTA, box=Box.of(1, None))
    assert free.theta[0, 0] == 0.0
    assert free.converged[0]
    none = descend(points, start, ones, delta=DELTA, box=Box.of(1, 0.0))
    assert free.value[0] == pytest.approx(none.value[0], rel=1e-12)
    assert free.value[0] < held.value[0]
