"""The few-shot elbow that came true, against other fits of the same line; and its crossing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import curve_fit, lsq_linear
from tests.observed.split_halves import agreement, both, bundled, simulated

from emergecast.measurements import SelectOptions, read_table, select
from emergecast.observed import Estimand, GroundTruth, GroundTruths, ground_truths
from emergecast.observed._crossing import crossings
from emergecast.observed._ground_truth import profile_interval
from emergecast.observed._relu import profile

CHANCE = 0.25
WIDEST = {"simulated": 0.25, "bundled": 0.45}
"""Median width of the 90% interval of a half, nats; bundled halves have eight checkpoints."""


def relu(loss, elbow, slope, base):
    """The line: base, and slope past the elbow."""
    return base + slope * np.maximum(elbow - loss, 0.0)


def crossing(loss, score, weight, bar: float) -> float:
    """Where one set of scores crosses the bar."""
    return float(crossings(loss, score[None], weight[None], bar)[0])


def truths_of(loss, score, *, stderr: float = 0.001, **options) -> GroundTruths:
    """What a table of few-shot scores shows."""
    rows = [
        {
            "checkpoint": f"c{i}", "loss": float(at), "task": "t", "setting": "few_shot",
            "score": float(y), "stderr": stderr, "chance": CHANCE,
        }
        for i, (at, y) in enumerate(zip(loss, score, strict=True))
    ]  # fmt: skip
    return ground_truths(select(read_table(rows), SelectOptions(**options)))


def truth_of(loss, score, **options) -> GroundTruth | None:
    """The elbow of a table of few-shot scores."""
    return truths_of(loss, score, **options).elbow


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
    assert found.loss == pytest.approx(at[0], abs=1e-3)
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
    """At least: p(E) ~ RSS^(-(n - 2) / 2), by the trapezoid rule over numpy's least squares."""
    loss, score, _ = drawn(seed, n=12)
    tried = np.linspace(np.sort(loss)[1], loss.max(), 4001)
    rss, slope, _ = profile(loss, score, tried)
    interval = profile_interval(np.where(slope > 0, rss, np.inf), tried, score)
    found = truth_of(loss, score)
    assert found is not None
    assert found.p05 <= interval[0]
    assert found.p95 >= interval[1]
    grid = np.linspace(np.sort(loss)[1], loss.max(), 3000)
    density = np.zeros_like(grid)
    for i, elbow in enumerate(grid):
        design = np.column_stack([np.ones_like(loss), np.maximum(elbow - loss, 0.0)])
        fitted = np.linalg.lstsq(design, score, rcond=None)[0]
        rss = np.sum((score - design @ fitted) ** 2)
        density[i] = rss ** (-(loss.size - 2) / 2) if fitted[1] > 0 else 0.0
    cumulative = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
    low, high = np.interp([0.05, 0.95], cumulative / cumulative[-1], grid)
    assert interval == pytest.approx((low, high), abs=2e-3)


def test_a_line_without_noise_is_found():
    """To the step of the search, a 4,000th of the range of losses."""
    loss = np.linspace(2.0, 3.0, 11)
    found = truth_of(loss, relu(loss, 2.55, 0.5, 0.25))
    assert found is not None
    assert found.loss == pytest.approx(2.55, abs=3e-4)
    assert found.p05 <= found.loss <= found.p95
    assert found.residual is not None
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
    found = truths_of(loss, score)
    assert found.elbow is None
    assert found.crossing is None
    assert found.no_elbow
    assert found.no_crossing


def test_hidden_scores_count():
    """The truth is what a forecast at chance only could not see."""
    loss = np.linspace(2.0, 3.0, 11)
    score = relu(loss, 2.55, 0.5, 0.25)
    whole, hidden = truths_of(loss, score), truths_of(loss, score, at_chance_only=True)
    assert whole.elbow is not None
    assert whole.crossing is not None
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


# ------------------------------------------------------------------------------------ the crossing


def test_the_crossing_by_hand():
    """0.3 and 0.36 pool to 0.33, and 0.29 lies half way from there to 0.25."""
    loss = np.array([1.0, 1.2, 1.4, 1.6, 1.8])
    score = np.array([0.5, 0.3, 0.36, 0.25, 0.25])
    assert crossing(loss, score, np.ones(5), 0.29) == pytest.approx(1.5)
    weighty = np.array([1.0, 3.0, 1.0, 1.0, 1.0])  # the pool is (3 * 0.3 + 0.36) / 4 = 0.315
    assert crossing(loss, score, weighty, 0.28) == pytest.approx(1.4 + 0.2 * 0.035 / 0.065)


def test_a_crossing_beyond_the_losses_is_none():
    """Minus infinity where no score reaches the bar, plus infinity where the last one does."""
    loss, score = np.array([1.0, 1.2, 1.4]), np.array([0.5, 0.4, 0.3])
    assert crossing(loss, score, np.ones(3), 0.6) == -np.inf
    assert crossing(loss, score, np.ones(3), 0.2) == np.inf


@pytest.mark.parametrize("seed", range(4))
def test_the_curve_is_the_closest_one_that_never_rises(seed: int):
    """The crossing of the weighted least squares curve that non-negative falls give."""
    rng = np.random.default_rng(seed)
    loss = np.sort(rng.uniform(2, 3, 9))
    score = relu(loss, 2.6, 0.8, 0.25) + 0.05 * rng.standard_normal(9)
    weight = rng.uniform(0.5, 3, 9)
    steps, root = np.triu(np.ones((9, 9))), np.sqrt(weight)  # a curve is a sum of falls
    falls = lsq_linear(root[:, None] * steps, root * score, bounds=(0, np.inf), tol=1e-14).x
    best = steps @ falls
    at = np.flatnonzero(best >= 0.3).max()
    by_hand = np.interp(0.3, best[[at + 1, at]], loss[[at + 1, at]])
    assert crossing(loss, score, weight, 0.3) == pytest.approx(by_hand, abs=1e-4)


def test_the_bar_is_a_fiftieth_of_the_way_to_the_best_score():
    """0.25 + 0.02 * 0.75 = 0.265: a line of slope 0.5 from 2.55 on reaches it 0.03 later."""
    loss = np.linspace(2.0, 3.0, 1001)
    found = truths_of(loss[::10], relu(loss[::10], 2.55, 0.5, 0.25)).crossing
    assert found is not None
    assert found.bar == pytest.approx(0.265)
    assert found.loss == pytest.approx(2.52, abs=0.002)
    assert found.target is Estimand.CROSSING


def test_without_a_best_score_the_spread_of_the_finetuned_ones_counts():
    """Of a metric that nobody knows: finetuned scores from 10 to 60 put the bar 1 above chance."""
    rows = [
        {
            "checkpoint": f"c{i}", "loss": 3.0 - 0.1 * i, "task": "t", "setting": setting,
            "examples": None if setting == "few_shot" else 64, "metric": "points",
            "score": score, "stderr": 0.01, "chance": 10.0, "higher_is_better": True,
        }
        for i in range(11)
        for setting, score in (
            ("few_shot", 10.0 + 20 * max(0.1 * i - 0.5, 0)), ("finetuned", 10.0 + 5 * i)
        )
    ]  # fmt: skip
    for hide in (False, True):
        options = SelectOptions(at_chance_only=hide)
        found = ground_truths(select(read_table(rows), options)).crossing
        assert found is not None
        assert found.bar == pytest.approx(11.0)
        assert found.loss == pytest.approx(2.45)  # 20 points per nat past 2.5


def test_elbow_and_crossing_say_which_they_are_and_hold_their_own_estimate():
    """On 30 simulated series of every kind."""
    for number in range(30):
        found = ground_truths(simulated(number).scores)
        for target in Estimand:
            truth = found.of(target)
            assert (truth is None) == (found.why_not(target) is not None)
            if truth is not None:
                assert truth.target is target
                assert truth.p05 <= truth.loss <= truth.p95


def test_the_interval_covers_which_models_there_are():
    """Where scores past the elbow alone scatter, it hangs on those few: wider than its profile."""
    loss = np.linspace(2.0, 3.0, 41)
    score = relu(loss, 2.25, 1.0, 0.25) + 0.04 * np.cos(7 * np.arange(41)) * (loss < 2.25)
    tried = np.linspace(np.sort(loss)[1], loss.max(), 4001)
    rss, slope, _ = profile(loss, score, tried)
    low, high = profile_interval(np.where(slope > 0, rss, np.inf), tried, score)
    found = truth_of(loss, score)
    assert found is not None
    assert found.p95 - found.p05 > 1.5 * (high - low)


@pytest.fixture(scope="module")
def cut() -> dict[str, list[tuple[GroundTruths, GroundTruths]]]:
    """What the halves of 60 simulated and of all bundled series show."""
    return {
        "simulated": [both(simulated(number).scores, 0) for number in range(60)],
        "bundled": [both(each.scores, 0) for each in bundled()],
    }


@pytest.mark.parametrize("target", Estimand)
@pytest.mark.parametrize("name", ["simulated", "bundled"])
def test_halves_of_a_series_agree(cut, name: str, target: Estimand):
    """In at least 85% within their 90% intervals (docs/truth.md), which are no wider than usual."""
    found = agreement(cut[name], target)
    assert found.pairs > 10
    assert found.share >= 0.85
    assert found.width < WIDEST[name]
