"""The few-shot elbow that came true, against other fits of the same line."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import curve_fit

from emergecast.measurements import SelectOptions, read_table, select
from emergecast.observed import GroundTruth, ground_truth

CHANCE = 0.25


def relu(loss, elbow, slope, base):
    """The line: base, and slope past the elbow."""
    return base + slope * np.maximum(elbow - loss, 0.0)


def truth_of(loss, score, **options) -> GroundTruth | None:
    """The ground truth of a table of few-shot scores."""
    rows = [
        {
            "checkpoint": f"c{i}", "loss": float(at), "task": "t", "setting": "few_shot",
            "score": float(y), "stderr": 0.001, "chance": CHANCE,
        }
        for i, (at, y) in enumerate(zip(loss, score, strict=True))
    ]  # fmt: skip
    return ground_truth(select(read_table(rows), SelectOptions(**options)))


def drawn(seed: int, n: int = 20) -> tuple[np.ndarray, np.ndarray, float]:
    """Losses, scores with noise 0.02, and the elbow, inside the losses."""
    rng = np.random.default_rng(seed)
    loss = rng.uniform(2.0, 3.0, n)
    elbow = rng.uniform(2.3, 2.8)
    score = relu(loss, elbow, rng.uniform(0.4, 0.9), 0.25) + 0.02 * rng.standard_normal(n)
    return loss, np.clip(score, 0, 1), elbow


@pytest.mark.filterwarnings("ignore:Covariance of the parameters:scipy.optimize.OptimizeWarning")
@pytest.mark.parametrize("seed", range(8))
def test_the_elbow_is_the_least_squares_one(seed: int):
    """curve_fit from every start, and a search over elbows with numpy's own least squares."""
    loss, score, _ = drawn(seed)
    found = truth_of(loss, score)
    assert found is not None
    best, at = np.inf, None
    for start in np.linspace(2.05, 2.95, 40):
        try:
            values, _ = curve_fit(relu, loss, score, p0=(start, 0.6, 0.25), maxfev=4000)
        except RuntimeError:
            continue
        rss = float(np.sum((score - relu(loss, *values)) ** 2))
        if values[1] > 0 and np.sort(loss)[1] <= values[0] <= loss.max() and rss < best:
            best, at = rss, values
    assert at is not None
    assert found.elbow == pytest.approx(at[0], abs=1e-3)
    assert found.slope == pytest.approx(at[1], rel=5e-3)
    assert found.base == pytest.approx(at[2], abs=2e-3)
    assert found.residual == pytest.approx(np.sqrt(best / loss.size), rel=1e-3)
    assert found.n == loss.size
    for elbow in np.linspace(np.sort(loss)[1], loss.max(), 300):
        design = np.column_stack([np.ones_like(loss), np.maximum(elbow - loss, 0.0)])
        fitted, rest, *_ = np.linalg.lstsq(design, score, rcond=None)
        if rest.size and fitted[1] > 0:
            assert rest[0] >= best - 1e-12


@pytest.mark.parametrize("seed", range(4))
def test_the_interval_is_that_of_the_profile(seed: int):
    """p(E) ~ RSS^(-(n - 2) / 2), integrated by the trapezoid rule over numpy's least squares."""
    loss, score, _ = drawn(seed, n=12)
    found = truth_of(loss, score)
    assert found is not None
    grid = np.linspace(np.sort(loss)[1], loss.max(), 3000)
    density = np.zeros_like(grid)
    for i, elbow in enumerate(grid):
        design = np.column_stack([np.ones_like(loss), np.maximum(elbow - loss, 0.0)])
        fitted = np.linalg.lstsq(design, score, rcond=None)[0]
        rss = np.sum((score - design @ fitted) ** 2)
        density[i] = rss ** (-(loss.size - 2) / 2) if fitted[1] > 0 else 0.0
    cumulative = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
    low, high = np.interp([0.05, 0.95], cumulative / cumulative[-1], grid)
    assert (found.p05, found.p95) == pytest.approx((low, high), abs=2e-3)


def test_a_line_without_noise_is_found():
    """To the step of the search, a 4,000th of the range of losses."""
    loss = np.linspace(2.0, 3.0, 11)
    found = truth_of(loss, relu(loss, 2.55, 0.5, 0.25))
    assert found is not None
    assert found.elbow == pytest.approx(2.55, abs=3e-4)
    assert found.p05 <= found.elbow <= found.p95
    assert found.residual < 1e-4


@pytest.mark.parametrize(
    ("loss", "score"),
    [
        ([2.0, 2.2, 2.4, 2.6], [0.7, 0.6, 0.5, 0.25]),
        ([2.0, 2.2, 2.4, 2.6, 2.8], [0.5, 0.4, 0.25, 0.25, 0.25]),
        ([2.0, 2.0, 2.0, 2.4, 2.4, 2.6, 2.8], [0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25]),
        ([2.0, 2.2, 2.4, 2.6, 2.8, 3.0], [0.25, 0.25, 0.25, 0.4, 0.5, 0.6]),
        ([2.0, 2.2, 2.4, 2.6, 2.8, 3.0], [0.5, 0.5, 0.5, 0.5, 0.5, 0.5]),
    ],
    ids=["four scores", "two above chance", "four losses", "falls with loss", "never varies"],
)
def test_where_nothing_is_seen_there_is_no_truth(loss, score):
    """Too few scores, too few above chance, too few losses, the wrong sign, no rise at all."""
    assert truth_of(loss, score) is None


def test_hidden_scores_count():
    """The truth is what a forecast at chance only could not see."""
    loss = np.linspace(2.0, 3.0, 11)
    score = relu(loss, 2.55, 0.5, 0.25)
    whole, hidden = truth_of(loss, score), truth_of(loss, score, at_chance_only=True)
    assert whole is not None
    assert whole == hidden


@pytest.mark.slow
def test_nine_in_ten_intervals_hold_the_elbow():
    """200 series of 15 to 40 scores: 165 to 195 of the 90% intervals hold the elbow drawn."""
    inside = 0
    for seed in range(200):
        loss, score, elbow = drawn(1000 + seed, n=15 + seed % 26)
        found = truth_of(loss, score)
        assert found is not None
        inside += found.p05 <= elbow <= found.p95
    assert 165 <= inside <= 195, inside
