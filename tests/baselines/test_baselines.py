"""Guesses without a law: closed forms, fits against scipy, and silence where scores are flat."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import integrate, stats
from scipy.optimize import curve_fit
from scipy.special import expit
from tests import designs

from emergecast.baselines import Baseline, baselines, continuous_metrics
from emergecast.baselines._baselines import cut_prior, no_change, prior
from emergecast.baselines._guess import NormalMixture, StudentT, Tabulated
from emergecast.baselines._rising_curves import (
    Scale,
    broken_power_law,
    crossings,
    line,
    power_law,
    rises,
    sigmoid,
)
from emergecast.inference import Fit, fit
from emergecast.measurements import SelectOptions, read_table
from emergecast.track_record import crps, log_score

SCALE = Scale(chance=0.25, best=1.0, bar=0.27)
LOSS = np.linspace(2.2, 3.0, 12)


def fit_of(rows: list[designs.Row], **more: Any) -> Fit:
    """The plain fit whose rows the baselines use."""
    return fit(rows, *designs.asked(law="log-power", **more))


@pytest.fixture(scope="module")
def flat() -> Fit:
    """A table whose few-shot scores are all at chance."""
    return fit_of(designs.rows())


@pytest.mark.parametrize("truth", [1.9, 2.0, 2.4])
def test_scores_of_a_normal_baseline_are_the_closed_form(truth: float):
    """CRPS of N(m, s): s [z (2 Phi(z) - 1) + 2 phi(z) - 1/sqrt(pi)] (Gneiting and Raftery 2007)."""
    mean, sd = 2.1, 0.15
    z = (truth - mean) / sd
    closed = sd * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / math.sqrt(math.pi))
    distribution = NormalMixture(centres=np.array([mean]), width=sd)
    assert crps(distribution, truth) == pytest.approx(closed, rel=1e-6)
    assert log_score(distribution, truth) == pytest.approx(stats.norm.logpdf(truth, mean, sd))


@pytest.mark.parametrize(
    "distribution",
    [
        StudentT(centre=2.1, scale=0.05, freedom=3.0),
        NormalMixture(centres=np.array([1.5, 2.0, 2.05, 3.0]), width=0.1),
        Tabulated.of(np.array([0.5, 1.5, 2.0, 3.0, 4.5]), np.array([0.1, 0.5, 2.0, 1.0, 0.2])),
    ],
)
def test_a_baseline_is_one_distribution(distribution: StudentT | NormalMixture | Tabulated):
    """Density integrates to the cumulative, and the quantile inverts it, for any shape."""
    for low, high in [(1.0, 1.9), (1.9, 2.2), (2.2, 4.0)]:
        mass = integrate.quad(
            lambda x: float(distribution.density(x)), low, high, points=[1.5, 2.0, 2.1, 3.0]
        )[0]
        gap = distribution.cumulative(high) - distribution.cumulative(low)
        assert mass == pytest.approx(float(gap), abs=1e-7)
    shares = np.array([[0.001, 0.05, 0.3], [0.5, 0.95, 0.999]])
    assert distribution.quantile(shares).shape == shares.shape
    np.testing.assert_allclose(distribution.cumulative(distribution.quantile(shares)), shares)


def test_no_change_stands_at_the_strongest_checkpoint(flat: Fit):
    """Student-t with the stated scale: a quarter of S, and the mean of the five strongest gaps."""
    guess = no_change(flat).distribution
    losses = np.array(designs.DENSE)
    spread = np.mean(np.abs(losses - np.median(losses)))
    scale = math.hypot(spread / 4, 1.0 / 24)
    expected = stats.t(3, loc=2.0, scale=scale)
    assert guess is not None
    np.testing.assert_allclose(guess.quantile([0.05, 0.5, 0.95]), expected.ppf([0.05, 0.5, 0.95]))
    np.testing.assert_allclose(guess.density([1.8, 2.0]), expected.pdf([1.8, 2.0]))


def test_no_change_does_not_look_at_scores(flat: Fit):
    """The same checkpoints with other scores, the same guess."""
    other = fit_of(designs.rows(slope=0.3, seed=3))
    mine, theirs = no_change(flat).distribution, no_change(other).distribution
    assert mine == theirs


@pytest.mark.parametrize("examples", [1.0, 5.0, 12.0])
def test_the_prior_is_that_of_the_model(flat: Fit, examples: float):
    """Against draws of E(10), d and alpha put through the law, and the fit's own prior_sd."""
    model = flat.with_few_shot_examples(examples)
    guess = prior(model).distribution
    assert guess is not None
    rng = np.random.default_rng(0)
    n, spread = 200_000, model.data.loss_unit
    first = 2.0 + spread * (-0.35 + 0.6 * rng.standard_normal(n))
    shift = 0.5 * spread * np.abs(rng.standard_normal(n))
    alpha = 2.0 * np.exp(0.6 * rng.standard_normal(n))
    x0, x10, x1 = (np.log(d) ** alpha for d in (examples, 10.0, 16384.0))
    drawn = first + shift * np.log10(1638.4) * (x0 - x10) / (x1 - x10)
    for share in (0.05, 0.5, 0.95):
        assert float(guess.quantile(share)) == pytest.approx(
            float(np.quantile(drawn, share)), abs=0.02 * spread
        )
    middle = float(guess.quantile(0.5))
    grid = np.linspace(middle - 12 * spread, middle + 12 * spread, 4001)
    mass = guess.density(grid)
    mean = np.average(grid, weights=mass)
    sd = math.sqrt(np.average((grid - mean) ** 2, weights=mass))
    assert sd == pytest.approx(model.prior_sd, rel=0.02)


def test_the_line_crosses_where_scipy_says():
    """Least squares of every column, and the loss at which it reaches the bar."""
    rng = np.random.default_rng(1)
    scores = 0.25 - 0.05 * (LOSS[:, None] - 2.5) + 0.01 * rng.standard_normal((12, 3))
    fitted, crossing = line(LOSS, scores, SCALE)
    for j in range(3):
        found = stats.linregress(LOSS, scores[:, j])
        np.testing.assert_allclose(fitted[:, j], found.intercept + found.slope * LOSS)
        assert crossing[j] == pytest.approx((0.27 - found.intercept) / found.slope)
    assert np.isnan(line(LOSS, 0.25 + 0.1 * LOSS[:, None], SCALE)[1][0])


def test_the_f_test_is_that_of_a_regression():
    """For a line, its p value is that of the slope's t test."""
    rng = np.random.default_rng(2)
    score = 0.25 - 0.01 * LOSS + 0.01 * rng.standard_normal(12)
    expected = stats.linregress(LOSS, score).pvalue
    assert rises(line, LOSS, score, SCALE) == pytest.approx(expected)


def test_the_sigmoid_is_that_of_scipy():
    """The same least squares as curve_fit from a good start."""
    rng = np.random.default_rng(3)

    def curve(x: np.ndarray, middle: float, width: float) -> np.ndarray:
        return np.asarray(0.25 + 0.75 * expit((middle - x) / width))

    score = curve(LOSS, 2.0, 0.1) + 0.004 * rng.standard_normal(12)
    found, _ = curve_fit(curve, LOSS, score, p0=[2.0, 0.1])
    fitted, crossing = sigmoid(LOSS, score[:, None], SCALE)
    np.testing.assert_allclose(fitted[:, 0], curve(LOSS, *found), atol=1e-6)
    assert crossing[0] == pytest.approx(found[0] + found[1] * math.log(0.75 / 0.02 - 1), abs=1e-5)


def test_the_broken_power_law_recovers_its_own_curve():
    """Noiseless scores of the family itself: fitted within the steps of its grid."""
    u = -np.log(LOSS)
    bend, power = -math.log(2.5), 12.0
    height = (1 + np.exp((u - bend) / 0.1)) ** (power * 0.1) - 1
    score = 0.24 + 0.01 * height
    fitted, crossing = broken_power_law(LOSS, score[:, None], SCALE)
    assert np.max(np.abs(fitted[:, 0] - score)) < 0.003
    truth = brentq_loss(lambda x: 0.24 + 0.01 * ((1 + np.exp((x - bend) / 0.1)) ** 1.2 - 1) - 0.27)
    assert crossing[0] == pytest.approx(truth, abs=0.02)


def brentq_loss(gap: Any) -> float:
    """The loss whose -ln is the zero of `gap`."""
    from scipy.optimize import brentq

    return float(np.exp(-brentq(gap, -2.0, 0.0)))


def test_resampled_crossings_spread_as_the_theory_says():
    """For a steep line, their standard deviation is that of the delta method."""
    rng = np.random.default_rng(4)
    loss = np.linspace(2.0, 3.0, 40)
    score = 0.25 - 0.3 * (loss - 2.4) + 0.01 * rng.standard_normal(40)
    found = crossings(line, loss, score, SCALE, np.random.default_rng(0))
    slope, base = np.polyfit(loss, score, 1)
    sd = np.sqrt(np.sum((score - base - slope * loss) ** 2) / 38)
    at = (0.27 - base) / slope
    delta = sd / abs(slope) * math.sqrt(1 / 40 + (at - 2.5) ** 2 / np.sum((loss - 2.5) ** 2))
    assert np.std(found) == pytest.approx(delta, rel=0.2)
    assert np.median(found) == pytest.approx(at, abs=delta)


def test_residuals_are_widened_for_the_freedom_of_the_fit():
    """Five scores: those redrawn lie sqrt(5/3) times as far from scipy's line as those measured."""
    loss = np.array([2.0, 2.3, 2.5, 2.9, 3.0])
    score = 0.25 - 0.1 * (loss - 2.5) + np.array([0.03, -0.02, 0.01, -0.04, 0.02])
    found = stats.linregress(loss, score)
    fitted = found.intercept + found.slope * loss

    def first(losses: np.ndarray, scores: np.ndarray, scale: Scale, /) -> tuple[Any, Any]:
        """A curve whose crossing is the first of the scores it is fitted to."""
        return line(losses, scores, scale)[0], scores[0]

    drawn = np.unique(crossings(first, loss, score, SCALE, np.random.default_rng(0)))
    wanted = np.sort(fitted[0] + math.sqrt(5 / 3) * (score - fitted))
    np.testing.assert_allclose(drawn, wanted)


def test_flat_scores_say_nothing(flat: Fit):
    """No curve, but a reason; and no two-step without a continuous metric."""
    found = baselines(flat)
    assert list(found) == list(Baseline)
    for name in (Baseline.LINE, Baseline.SIGMOID, Baseline.BROKEN_POWER_LAW):
        assert found[name].distribution is None
        assert "flat" in found[name].reason
    assert found[Baseline.TWO_STEP].distribution is None
    assert "no continuous metric" in found[Baseline.TWO_STEP].reason
    assert found[Baseline.NO_CHANGE].distribution is not None
    assert found[Baseline.PRIOR].distribution is not None
    assert found[Baseline.CUT_PRIOR].distribution is not None


def test_few_scores_say_nothing():
    """Three few-shot losses are too few for any curve."""
    found = baselines(fit_of(designs.rows(losses=(3.0, 2.5, 2.0))))
    for name in (Baseline.LINE, Baseline.SIGMOID, Baseline.BROKEN_POWER_LAW):
        assert "3 few-shot losses" in found[name].reason


def test_a_sigmoid_needs_a_best_score():
    """A metric without one has a line all the same."""
    rows = [row | {"metric": "reward", "stderr": None} for row in designs.rows(at=lambda _: 3.5)]
    found = baselines(fit_of(rows))
    assert "best score" in found[Baseline.SIGMOID].reason
    assert found[Baseline.LINE].distribution is not None


def test_two_step_finds_the_elbow_of_its_own_world():
    """Log-probability linear in loss, accuracy a sigmoid of it: it crosses where that says."""
    rng = np.random.default_rng(5)
    loss = np.linspace(2.2, 3.0, 15)
    metric = 1.0 - 1.0 * loss
    middle, width = -0.9, 0.1
    reach = middle - width * math.log(0.75 / 0.02 - 1)  # the metric at which accuracy is 0.27
    seen = np.concatenate([metric, np.linspace(-2.0, -0.5, 20)])
    rows = pl.DataFrame(
        {
            "loss": [*loss, *([2.5] * 20)],
            "few_shot": [True] * 15 + [False] * 20,
            "continuous": seen + 0.002 * rng.standard_normal(35) * ([1] * 15 + [0] * 20),
            "score": 0.25 + 0.75 * expit((seen - middle) / width),
        }
    )
    model = fit_of(designs.rows())
    guess = baselines(model, continuous={"logprob": rows}, which=[Baseline.TWO_STEP])[
        Baseline.TWO_STEP
    ].distribution
    assert guess is not None
    low, half, high = guess.quantile([0.05, 0.5, 0.95])
    assert half == pytest.approx(1.0 - reach, abs=0.01)
    assert low < half < high < low + 0.05


def test_two_step_does_not_say_that_the_weakest_checkpoint_has_emerged():
    """Finetuned rows that reach the bar at a metric which all few-shot rows have: no answer."""
    rng = np.random.default_rng(5)
    loss = np.linspace(2.2, 3.0, 15)
    metric = np.concatenate([0.26 - 0.01 * (loss - 2.2), np.linspace(0.2, 0.9, 20)])
    rows = pl.DataFrame(
        {
            "loss": [*loss, *([2.5] * 20)],
            "few_shot": [True] * 15 + [False] * 20,
            "continuous": metric + 0.0005 * rng.standard_normal(35),
            "score": [*([0.25] * 15), *(0.25 + 0.75 * expit((metric[15:] - 0.1) / 0.1))],
        }
    )
    guess = baselines(
        fit_of(designs.rows()), continuous={"choice_prob": rows}, which=[Baseline.TWO_STEP]
    )[Baseline.TWO_STEP]
    assert guess.distribution is None
    assert "never leave chance at a possible loss" in guess.reason


def test_the_same_seed_gives_the_same_guess():
    """And each baseline has its own stream: asking for fewer changes none."""
    model = fit_of(designs.rows(at=lambda examples: designs.elbow(examples) + 0.35))
    every, one = baselines(model), baselines(model, which=[Baseline.SIGMOID])
    assert list(one) == [Baseline.SIGMOID]
    mine, theirs = every[Baseline.SIGMOID].distribution, one[Baseline.SIGMOID].distribution
    assert mine is not None
    assert theirs is not None
    shares = np.array([0.1, 0.5, 0.9])
    np.testing.assert_array_equal(mine.quantile(shares), theirs.quantile(shares))


def test_the_cut_prior_is_bayes_rule_on_one_score(flat: Fit):
    """Against draws of the prior, kept with the probability that the strongest is seen at chance.

    Probability by drawing that score: chance + slope (E - L) + noise, at chance where two standard
    errors below it lie within 0.02 of chance. Slope: 0.6745 x 2 x 0.75 / U.
    """
    guess = cut_prior(flat).distribution
    before = prior(flat).distribution
    assert guess is not None
    assert isinstance(before, NormalMixture)
    rng = np.random.default_rng(0)
    drawn = rng.choice(before.centres, 200_000) + before.width * rng.standard_normal(200_000)
    past = np.maximum(drawn - 2.0, 0.0)
    score = 0.25 + 0.6745 * 2 * 0.75 / flat.data.loss_unit * past
    seen = score + 0.003 * rng.standard_normal(drawn.size) - 2 * 0.003 <= 0.27
    shares = [0.05, 0.25, 0.5, 0.75, 0.95]
    expected = np.quantile(drawn[seen], shares)
    np.testing.assert_allclose(guess.quantile(shares), expected, atol=0.01 * flat.data.loss_unit)


def test_the_cut_is_as_soft_as_the_score_is_uncertain(flat: Fit):
    """A strongest checkpoint known to 0.1 leaves more beyond it than one known to 0.003."""
    vague = fit_of([row | {"stderr": 0.1} for row in designs.rows()])
    beyond = []
    for model in (flat, vague):
        guess = cut_prior(model).distribution
        assert guess is not None
        beyond.append(1 - float(guess.cumulative(2.05)))
    assert beyond[0] < 0.001
    assert beyond[1] > 0.02


def test_nothing_is_cut_where_no_score_is_at_chance():
    """And the reason says so."""
    rows = [row | {"score": 0.9} if row["examples"] is None else row for row in designs.rows()]
    guess = cut_prior(fit_of(rows))
    assert guess.distribution is None
    assert "at chance" in guess.reason


def test_the_power_law_recovers_its_own_curve():
    """Noiseless a - b x^c: fitted within the steps of its grid, and it crosses each own bar."""
    less = np.geomspace(10.0, 0.1, 15)
    score = 1.2 - 0.5 * less**0.4
    bars = np.array([1.0, 1.1, 1.3])
    fitted, crossing = power_law(
        less, np.tile(score[:, None], 3), Scale(chance=0, best=1, bar=bars)
    )
    assert np.max(np.abs(fitted - score[:, None])) < 0.005
    np.testing.assert_allclose(crossing[:2], ((1.2 - bars[:2]) / 0.5) ** 2.5, rtol=0.05)
    assert np.isnan(crossing[2])


def metric_rows() -> list[designs.Row]:
    """Accuracy at chance few-shot, and two metrics: one goes with the accuracy, one is noise.

    choice_prob is a power law in compute, compute one in loss, and accuracy a sigmoid of it.
    """
    rng = np.random.default_rng(7)
    out = []
    for row in designs.rows(losses=tuple(np.linspace(3.0, 2.2, 12)), amounts=(16, 256, 4096)):
        loss = float(row["loss"])
        flops = 1e21 * (loss / 2.5) ** -20
        prob = 0.6 - 0.3 * (flops / 1e21) ** -0.15 + (0.02 if row["examples"] else 0)
        prob += 0.02 * math.log(row["examples"]) if row["examples"] else 0
        score = 0.25 + 0.75 * expit((prob - 0.55) / 0.02) + 1e-4 * rng.standard_normal()
        shared = {"flops": flops, "stderr": 0.01}
        out.append(row | shared | {"metric": "acc", "score": score})
        noisy = prob + 1e-4 * rng.standard_normal()
        out.append(row | shared | {"metric": "choice_prob", "score": noisy})
        out.append(row | shared | {"metric": "proxy_top5", "score": rng.random()})
    return out


def test_the_proxy_finds_the_elbow_of_its_own_world():
    """From whichever metric the scores follow, without being told which it is."""
    rows = metric_rows()
    model = fit_of(rows, metric="acc")
    table = read_table(rows)
    beside = continuous_metrics(table, SelectOptions(metric="acc"), model.selection)
    assert list(beside) == ["choice_prob", "proxy_top5"]
    found = baselines(model, continuous=beside, which=[Baseline.PROXY, Baseline.TWO_STEP])
    guess = found[Baseline.PROXY]
    assert guess.distribution is not None
    assert "choice_prob" in guess.reason
    needed = 0.55 - 0.02 * math.log(0.75 / 0.02 - 1)
    flops = ((0.6 - needed) / 0.3) ** (-1 / 0.15)
    assert float(guess.distribution.quantile(0.5)) == pytest.approx(2.5 * flops**-0.05, abs=0.01)
    assert "choice_prob" in found[Baseline.TWO_STEP].reason


def test_the_proxy_needs_compute():
    """A table without FLOPs: not defined, with the reason."""
    rows = [row | {"flops": None} for row in metric_rows()]
    model = fit_of(rows, metric="acc")
    beside = continuous_metrics(read_table(rows), SelectOptions(metric="acc"), model.selection)
    guess = baselines(model, continuous=beside, which=[Baseline.PROXY])[Baseline.PROXY]
    assert guess.distribution is None
    assert "compute" in guess.reason
