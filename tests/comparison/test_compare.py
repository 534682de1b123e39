"""Two series compared, against closed forms, designs with a known answer, and hand-made tables."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from scipy import stats
from tests import designs

from emergecast.comparison import compare
from emergecast.comparison._first import (
    ElbowCompute,
    _elbow_compute,
    at_equal_loss,
    difference_density,
)
from emergecast.comparison._ranking import Ranking, rankings
from emergecast.compute import Quantiles
from emergecast.errors import OptionError, SelectionError
from emergecast.forecasts import Forecast, Verdict
from emergecast.inference import FitOptions
from emergecast.measurements import Axis, SelectOptions, read_table, select

AMOUNTS = (64, 512, 4096)


def series(name: str, *, at_d0: float = 1.93, params: int = 1000, **options: Any) -> list[Any]:
    """A series whose few-shot elbow is at `at_d0`; tokens such that loss = 20 FLOPs^-0.1."""
    made = designs.rows(
        losses=designs.DENSE[::2],
        amounts=AMOUNTS,
        at=partial(designs.elbow, at_d0=at_d0),
        **options,
    )
    for row in made:
        row |= {"series": name, "params": params}
        row["flops"] = (row["loss"] / 20) ** (-1 / 0.1)
    return made


@dataclass(frozen=True)
class Normal:
    """A forecast whose elbow is normal."""

    mean: float
    sd: float
    axis: Axis

    def quantile(self, probability):
        """Quantiles."""
        return stats.norm.ppf(probability, self.mean, self.sd)

    def cumulative(self, loss):
        """Cumulative probability."""
        return stats.norm.cdf(loss, self.mean, self.sd)


def normals(a: tuple[float, float], b: tuple[float, float], axis: Axis | None = None) -> list[Any]:
    """Two of them, typed as forecasts."""
    axis = axis or Axis()
    return [cast("Forecast", Normal(*each, axis=axis)) for each in (a, b)]


# ------------------------------------------------------------------------------------ equal loss


@pytest.mark.parametrize(
    ("a", "b"),
    [((2.0, 0.1), (1.9, 0.1)), ((1.9, 0.02), (2.0, 0.3)), ((2.0, 0.1), (2.0, 0.001))],
)
def test_two_normals_have_the_closed_form(a: tuple[float, float], b: tuple[float, float]):
    """P(A > B), quantiles and density of A - B, which is normal too."""
    mean, sd = a[0] - b[0], math.hypot(a[1], b[1])
    first, difference = at_equal_loss(normals(a, b), None)
    assert first.probability == pytest.approx(stats.norm.cdf(mean / sd), abs=2e-3)
    assert difference is not None
    for name, share in {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}.items():
        exact = stats.norm.ppf(share, mean, sd)
        assert getattr(difference, name) == pytest.approx(exact, abs=0.01 * sd)
    one, other = normals(a, b)
    grid, density = difference_density(one, other, difference)
    np.testing.assert_allclose(density, stats.norm.pdf(grid, mean, sd), atol=0.02 / sd)


def test_where_higher_is_stronger_the_lower_elbow_is_first():
    """On an axis such as log10 FLOPs."""
    axis = Axis.parse("flops")
    first, _ = at_equal_loss(normals((21.0, 0.1), (22.0, 0.1), axis), None)
    assert first.probability == pytest.approx(1.0, abs=1e-6)


def test_the_series_that_emerges_at_a_higher_loss_comes_first():
    """Elbows at 1.97 and 1.85, frozen nothing: the answer, its sign, and what came true."""
    both = series("a", at_d0=1.85) + series("b", at_d0=1.97, seed=1)
    found = compare(both, fitting=FitOptions(law="log-power"), series=("a", "b"))
    swapped = compare(both, fitting=FitOptions(law="log-power"), series=("b", "a"))
    assert found.at_equal_loss.probability is not None
    assert found.at_equal_loss.probability < 0.05
    assert swapped.at_equal_loss.probability == pytest.approx(
        1 - found.at_equal_loss.probability, abs=1e-3
    )
    assert found.difference is not None
    assert found.difference.p05 < -0.12 < found.difference.p95
    assert swapped.difference is not None
    assert swapped.difference.p50 == pytest.approx(-found.difference.p50, abs=1e-3)
    assert "b first at equal loss" in found.title


def test_each_series_is_forecast_as_it_is_alone():
    """Nothing leaks from one series to the other."""
    both = series("a", at_d0=1.85) + series("b", at_d0=1.97, seed=1)
    found = compare(both, fitting=FitOptions(law="log-power"), series=("a", "b"))
    alone = compare(
        series("a", at_d0=1.85) + series("c"),
        fitting=FitOptions(law="log-power"),
        series=("a", "c"),
    )
    assert found.forecasts[0].elbow == alone.forecasts[0].elbow


def test_what_came_true_stands_beside_both():
    """Later checkpoints show both elbows; the forecasts did not see them."""
    later = tuple(float(loss) for loss in np.linspace(3.0, 1.6, 36))
    both: list[Any] = []
    for name, at in (("a", 1.85), ("b", 1.97)):
        made = designs.rows(
            losses=later,
            amounts=AMOUNTS,
            at=partial(designs.elbow, at_d0=at),
        )
        both += [{**row, "series": name} for row in made]
    found = compare(
        both,
        rows=SelectOptions(at_chance_only=True),
        fitting=FitOptions(law="log-power"),
        series=("a", "b"),
    )
    assert found.truths[0] is not None
    assert found.truths[1] is not None
    assert found.truths[0].loss == pytest.approx(1.85, abs=0.02)
    assert found.truths[1].loss == pytest.approx(1.97, abs=0.02)
    assert found.true_difference == pytest.approx(-0.12, abs=0.03)
    assert found.forecasts[0].fit.data.strongest_loss > 1.8
    assert found.forecasts[0].truth == found.truths[0].loss


# ------------------------------------------------------------------------------------ equal compute


def test_equal_compute_can_turn_the_answer_round():
    """The one with the higher elbow needs 100 times the compute for every loss."""
    both = series("a", at_d0=1.85) + series("b", at_d0=1.97, seed=1)
    for row in both:
        row["flops"] *= 100 if row["series"] == "b" else 1
    found = compare(both, fitting=FitOptions(law="log-power"), series=("a", "b"))
    assert found.at_equal_loss.probability is not None
    assert found.at_equal_loss.probability < 0.05
    assert found.at_equal_compute.probability is not None
    assert found.at_equal_compute.probability > 0.9
    for compute, forecast, times in zip(found.compute, found.forecasts, (1, 100), strict=True):
        assert compute is not None
        assert forecast.elbow is not None
        exact = math.log10(times * (forecast.elbow.p50 / 20) ** -10)
        assert compute.p50 == pytest.approx(exact, abs=0.05)
    assert found.compute[0] is not None
    assert found.compute[0].beyond == pytest.approx(
        float(found.forecasts[0].cumulative(2.0)), abs=0.01
    )


def test_the_probability_is_that_of_independent_draws():
    """Against every pair of draws of the two forecasts, by brute force."""
    both = series("a", at_d0=1.9) + series("b", at_d0=1.94, seed=1)
    found = compare(both, fitting=FitOptions(law="log-power"), series=("a", "b"))
    a, b = (forecast.compute for forecast in found.forecasts)
    assert a is not None
    assert b is not None
    assert a.flops_draws is not None
    assert b.flops_draws is not None
    pairs = float(np.mean(a.flops_draws[:, None] < b.flops_draws))
    assert 0.05 < pairs < 0.95
    assert found.at_equal_compute.probability == pytest.approx(pairs, abs=1e-9)


def test_quantiles_out_of_reach_are_none():
    """Half of the draws lie below the floor of the law: the median is the last that is known."""
    draws = np.array([1e20, 1e21, np.inf, np.inf])
    found: Any = SimpleNamespace(flops=Quantiles.of(draws), flops_draws=draws, strongest_flops=5e20)
    result = _elbow_compute(found)
    assert result == ElbowCompute(p05=20.0, p50=21.0, p95=None, beyond=0.75)


def test_without_compute_the_answer_at_equal_loss_stays():
    """The reason names the series."""
    both = series("a") + [{**row, "flops": None, "params": None} for row in series("b")]
    found = compare(both, fitting=FitOptions(law="log-power"), series=("a", "b"))
    assert found.at_equal_loss.probability is not None
    assert found.at_equal_compute.probability is None
    assert found.at_equal_compute.reason is not None
    assert found.at_equal_compute.reason.startswith("b: the compute of only 0 of 13")


# ------------------------------------------------------------------------------- losses that differ


def marked(a: str | None, b: str | None, column: str, **more: Any) -> list[Any]:
    """Two series with a value of their own in one column."""
    return [
        {**row, column: value, **more}
        for name, value in (("a", a), ("b", b))
        for row in series(name)
    ]


@pytest.mark.parametrize(
    ("column", "what", "remedy"),
    [
        ("tokenizer", "different tokenizers (x and y)", "--per-byte"),
        ("loss_corpus", "different held-out texts (x and y)", "--loss-corpus"),
    ],
)
def test_losses_that_do_not_compare_give_no_probability(column: str, what: str, remedy: str):
    """A warning first, with the way out; equal compute is still answered."""
    found = compare(
        marked("x", "y", column), fitting=FitOptions(law="log-power"), series=("a", "b")
    )
    assert not found.comparable
    assert found.at_equal_loss.probability is None
    assert found.difference is None
    assert found.difference_density().is_empty()
    assert found.true_difference is None
    assert what in str(found.at_equal_loss.reason)
    assert what in found.warnings[0]
    assert remedy in found.warnings[0]
    assert found.at_equal_compute.probability is not None
    assert "at equal compute" in found.title


def test_losses_per_byte_compare_across_tokenizers():
    """The user's word for it."""
    table = marked("x", "y", "tokenizer")
    found = compare(table, fitting=FitOptions(law="log-power"), series=("a", "b"), per_byte=True)
    assert found.comparable
    assert found.at_equal_loss.probability is not None


@pytest.mark.parametrize(("a", "b"), [("x", "x"), ("x", None)])
def test_a_tokenizer_that_is_not_stated_stops_nothing(a: str | None, b: str | None):
    """Nothing says that they differ."""
    found = compare(
        marked(a, b, "tokenizer"), fitting=FitOptions(law="log-power"), series=("a", "b")
    )
    assert found.comparable


def test_estimated_losses_compare_with_a_warning():
    """They are functions of parameters and tokens, not of a tokenizer."""
    table = marked("x", "y", "tokenizer", loss_source="estimated")
    found = compare(table, fitting=FitOptions(law="log-power"), series=("a", "b"))
    assert found.comparable
    assert any("estimated losses stand for different tokenizers" in w for w in found.warnings)


# ------------------------------------------------------------------------------------ the baseline


def scored(rows: list[tuple[str, int, float, int | None, float]]) -> Any:
    """A selection of (checkpoint, millions of params, flops, examples, score) rows."""
    made = [
        {
            "checkpoint": checkpoint, "params": params * 10**6, "flops": flops,
            "loss": 2.0 + i / 100,
            "task": "quiz", "setting": "few_shot" if examples is None else "finetuned",
            "shots": 5 if examples is None else None, "examples": examples, "score": score,
            "stderr": 0.01, "chance": 0.25, "seed": str(i),
        }
        for i, (checkpoint, params, flops, examples, score) in enumerate(rows)
    ]  # fmt: skip
    losses = {row["checkpoint"]: row["loss"] for row in made}
    return select(
        read_table([{**row, "loss": losses[row["checkpoint"]]} for row in made]), SelectOptions()
    )


def test_the_ranking_is_at_the_largest_common_size_and_the_most_compute():
    """Not at the largest size of one series alone, nor at unequal compute."""
    a = scored(
        [
            ("s1", 10, 1e18, None, 0.26), ("m1", 20, 2e18, None, 0.3),
            ("m2", 20, 8e18, None, 0.5), ("l1", 40, 9e18, None, 0.9),
            ("m2", 20, 8e18, 64, 0.6), ("m2", 20, 8e18, 64, 0.7), ("s9", 10, 2e20, None, 0.9),
        ]
    )  # fmt: skip
    b = scored(
        [
            ("t1", 10, 1e18, None, 0.99), ("n1", 20, 2.1e18, None, 0.33),
            ("n2", 20, 7e18, None, 0.48), ("n3", 20, 7e19, None, 0.95),
            ("n2", 20, 7e18, 64, 0.6), ("n2", 20, 7e18, 512, 0.9), ("t9", 10, 2e20, None, 0.1),
        ]
    )  # fmt: skip
    found = rankings(a, b)
    assert not isinstance(found, str)
    few_shot, finetuned = found
    assert few_shot.checkpoints == ("m2", "n2")
    assert few_shot.same_size
    assert few_shot.params == (20 * 10**6, 20 * 10**6)
    assert few_shot.scores == (0.5, 0.48)
    z = (0.5 - 0.48) / math.hypot(0.01, 0.01)
    assert few_shot.first == pytest.approx(stats.norm.cdf(z))
    assert not few_shot.at_chance
    assert finetuned.setting == "finetuned on 64 examples"
    assert finetuned.scores == pytest.approx((0.65, 0.6))
    spread = np.std([0.6, 0.7], ddof=1) / math.sqrt(2)
    assert finetuned.stderrs == pytest.approx((spread, 0.01))


def test_without_a_common_size_the_nearest_compute_is_taken():
    """And the ranking says so."""
    a = scored([("a1", 10, 1e18, None, 0.26), ("a2", 20, 5e18, None, 0.27)])
    b = scored([("b1", 11, 2e18, None, 0.25), ("b2", 30, 4.9e18, None, 0.24)])
    found = rankings(a, b)
    assert not isinstance(found, str)
    (ranking,) = found
    assert isinstance(ranking, Ranking)
    assert ranking.checkpoints == ("a2", "b2")
    assert not ranking.same_size
    assert ranking.at_chance


# ------------------------------------------------------------------------------------ bad input


def refused(**options: Any) -> str:
    """The message of the OptionError."""
    table = series("a") + series("b") + series("c")
    with pytest.raises(OptionError) as error:
        compare(table, fitting=FitOptions(law="log-power"), **options)
    return str(error.value)


def test_fewer_than_two_series_is_an_error():
    """One, or the same twice; the message lists what the table has."""
    assert "takes two series or more, not 1 (a)" in refused(series=("a",))
    assert "takes two series or more, not 1 (a)" in refused(series="a")
    assert '"a" cannot be compared with itself' in refused(series=("a", "a"))
    assert '"b" cannot be compared with itself' in refused(series=("a", "b", "c", "b"))
    assert "The table has a, b, c." in refused(series=("a", "a"))


def test_a_table_of_one_series_is_an_error():
    """With what to do."""
    with pytest.raises(OptionError, match=r"has only a\. Put the rows of all into one table"):
        compare(series("a"), fitting=FitOptions(law="log-power"))


def test_an_unknown_series_is_an_error_with_a_guess():
    """As everywhere."""
    with pytest.raises(SelectionError, match='no row has the series "bb"'):
        compare(series("a") + series("b"), fitting=FitOptions(law="log-power"), series=("a", "bb"))


def test_two_series_need_not_be_named():
    """Where the table has just two."""
    assert compare(series("a") + series("b"), fitting=FitOptions(law="log-power")).series == (
        "a",
        "b",
    )


def test_a_refused_forecast_gives_no_probability():
    """The reason says whose it is."""
    few = [row for row in series("b") if row["examples"] in {None, 64}]
    found = compare(series("a") + few, fitting=FitOptions(law="log-power"), series=("a", "b"))
    assert found.forecasts[1].verdict is Verdict.REFUSED
    for answer in (found.at_equal_loss, found.at_equal_compute):
        assert answer.probability is None
        assert str(answer.reason).startswith("the forecast of b is refused (There is 1 finetun")
    assert found.comparable
    assert found.title == "quiz: no comparison of a and b"
