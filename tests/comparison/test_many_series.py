"""More than two series compared, against counts over draws and against tables of known truth."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import jsonschema
import numpy as np
import polars as pl
import pytest
from scipy import stats
from tests.comparison.test_compare import Normal, scored, series

from emergecast.comparison import (
    ComparedAt,
    Comparison,
    EmergenceOrder,
    First,
    PlacedSeries,
    SeriesPair,
    compare,
    comparison_of,
    comparison_schema,
)
from emergecast.comparison._emergence_order import order_at_equal_compute, order_at_equal_loss
from emergecast.comparison._ranking import _places, loss_ranking, rankings
from emergecast.errors import FitError, OptionError, SelectionError
from emergecast.forecasts import Verdict
from emergecast.inference import FitOptions
from emergecast.measurements import Axis, Measurements, SelectOptions, read_table
from emergecast.simulation import Design, load_design, simulate

LAW = FitOptions(law="log-power")
ELBOWS = {"a": 2.45, "b": 2.2, "c": 2.32, "d": 2.6}
"""Few-shot elbows of the simulated series, nats."""


def placed(order: EmergenceOrder, what: str) -> dict[str, Any]:
    """One field of every series in the order."""
    return {each.series: getattr(each, what) for each in order.placed}


def counted(draws: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Share of draws in which each series has each place, the least value first.

    By sorting every draw, ties in random order; `draws` has a row a series.
    """
    luck = rng.random(draws.shape)
    order = np.lexsort((luck, draws), axis=0)
    n = len(draws)
    return np.array([[np.mean(order[place] == i) for place in range(n)] for i in range(n)])


# ------------------------------------------------------------------------------------ places


def normals(axis: Axis, *moments: tuple[float, float]) -> list[Any]:
    """Series whose elbows are normal."""
    return [
        SimpleNamespace(series=f"s{i}", forecast=cast("Any", known(mean, sd, axis)))
        for i, (mean, sd) in enumerate(moments)
    ]


def known(mean: float, sd: float, axis: Axis) -> Any:
    """A forecast that is not refused."""
    made = Normal(mean, sd, axis=axis)
    return SimpleNamespace(
        quantile=made.quantile, cumulative=made.cumulative, axis=axis, elbow=object()
    )


@pytest.mark.parametrize("name", ["loss", "flops"])
def test_places_are_those_of_a_count_over_draws(name: str):
    """Of normal elbows: every place of every series, whichever way the axis goes."""
    rng, moments = np.random.default_rng(5), ((2.0, 0.1), (1.95, 0.02), (2.1, 0.2), (1.6, 0.1))
    axis = Axis.parse(name)
    order = order_at_equal_loss(normals(axis, *moments), ())
    draws = np.array([stats.norm.rvs(m, sd, 200_000, random_state=rng) for m, sd in moments])
    exact = counted(draws if axis.higher_is_stronger else -draws, rng)
    for i, row in enumerate(exact):
        each = next(one for one in order.placed if one.series == f"s{i}")
        np.testing.assert_allclose(each.places, row, atol=0.005)
        assert each.first == each.places[0]
        assert each.mean_place == pytest.approx(row @ [1, 2, 3, 4], abs=0.01)
        up_to = np.cumsum(row)
        assert up_to[each.earliest_place - 1] >= 0.05 - 0.005
        assert up_to[each.latest_place - 1] >= 0.95 - 0.005
    means = [each.mean_place for each in order.placed]
    assert means == sorted(means)


def test_series_that_no_compute_brings_there_share_the_last_places():
    """Infinite draws tie; counted with ties in random order, and exactly where all are infinite."""
    rng = np.random.default_rng(6)
    draws = 10 ** rng.normal([[21.0], [21.2], [21.5]], 0.3, (3, 4000))
    draws[1, rng.random(4000) < 0.4] = np.inf
    draws[2, rng.random(4000) < 0.7] = np.inf

    def order(*own: np.ndarray) -> EmergenceOrder:
        compute = [SimpleNamespace(flops_draws=each) for each in own]
        return order_at_equal_compute(
            [
                cast("Any", SimpleNamespace(
                    series=f"s{i}", forecast=SimpleNamespace(elbow=object(), compute=each)
                ))
                for i, each in enumerate(compute)
            ]
        )  # fmt: skip

    shuffled = np.array([rng.permutation(np.repeat(each, 50)) for each in draws])
    places = placed(order(*draws), "places")
    for i, row in enumerate(counted(shuffled, rng)):
        np.testing.assert_allclose(places[f"s{i}"], row, atol=0.005)
    never = np.full(100, np.inf)
    for row in placed(order(never, never, never), "places").values():
        np.testing.assert_allclose(row, 1 / 3)


def test_a_series_apart_from_most_others_has_no_place():
    """It is named with the reason; two camps of one size have no order at all."""
    able = normals(Axis(), (2.0, 0.1), (1.9, 0.1), (2.1, 0.1), (2.2, 0.1))

    def pairs(*apart: tuple[str, str]) -> list[SeriesPair]:
        none = cast("Any", None)
        return [
            SeriesPair(
                series=names,
                at_equal_loss=none,
                at_equal_compute=none,
                difference=None,
                true_difference=None,
                apart="different texts" if names in apart else None,
            )
            for names in itertools.combinations(("s0", "s1", "s2", "s3"), 2)
        ]

    one = order_at_equal_loss(able, pairs(("s0", "s1"), ("s1", "s2"), ("s1", "s3")))
    assert one.names == ("s3", "s2", "s0")
    assert [(each.series, each.reason) for each in one.left_out] == [("s1", "different texts.")]
    halves = order_at_equal_loss(
        able, pairs(("s0", "s1"), ("s0", "s3"), ("s1", "s2"), ("s2", "s3"))
    )
    assert halves.placed == ()
    assert halves.reason == "different texts"
    assert len(halves.left_out) == 4


# ------------------------------------------------------------------------------- simulated series


def simulated(**elbows: float) -> Measurements:
    """One table of several series, each drawn from the law with its own few-shot elbow."""
    design = load_design("two-series")
    frames = []
    for i, (name, elbow) in enumerate(elbows.items()):
        own: Design = replace(
            design,
            checkpoints=tuple(
                replace(each, series=name) for each in design.checkpoints if each.series == "a"
            ),
            horizon=None,
        )
        truth = replace(design.truth, elbow=elbow, elbow_max=elbow + 0.4)
        made = simulate(own, truth, rng=np.random.default_rng(40 + i))
        own_axis = pl.col("loss") + 0.01 * i  # so that no two series have one loss
        frames.append(made.table.frame.with_columns(pl.col("flops") * 2.0**i, loss=own_axis))
    return read_table(pl.concat(frames).drop("source_row", strict=False))


@pytest.fixture(scope="module")
def many() -> Comparison:
    """Four series of known elbows, and a fifth whose rows make no fit."""
    frame = simulated(**ELBOWS).frame
    broken = frame.filter(pl.col("series") == "a").with_columns(
        series=pl.lit("e"), chance=pl.when(pl.col("examples").is_null()).then(0.25).otherwise(0.5)
    )
    return compare(
        read_table(pl.concat([frame, broken])),
        rows=SelectOptions(at_chance_only=True),
        fitting=LAW,
    )


def test_the_order_is_that_of_the_truth(many: Comparison):
    """The series with the highest elbow first; each place holds the true one."""
    true = sorted(ELBOWS, key=lambda name: -ELBOWS[name])
    order = many.order_at_equal_loss
    assert order.names[0] == true[0]
    for each in order.placed:
        assert each.earliest_place <= true.index(each.series) + 1 <= each.latest_place
    assert many.title.startswith("INVENTED SCORES, simulated: d first of 4 placed at equal loss")


def ordered(many: Comparison, **chances: tuple[float, float]) -> str | None:
    """The headline where each series has this P(first) and mean place."""
    made = [
        PlacedSeries(
            series=name, first=first, mean_place=mean, earliest_place=1, latest_place=4,
            places=(first, 1 - first, 0.0, 0.0),
        )
        for name, (first, mean) in chances.items()
    ]  # fmt: skip
    order = EmergenceOrder(placed=tuple(made), left_out=(), reason=None)
    found = replace(many, order_at_equal_loss=order).headline(ComparedAt.LOSS)
    return found and found.removesuffix(" (weak)")


def test_the_title_goes_by_the_order_and_names_all_that_lead(many: Comparison):
    """Those hardly behind in mean place, and one that is as likely to be first."""
    task = f"{many.title.split(':')[0]}"
    clear = ordered(many, a=(0.6, 1.5), b=(0.3, 1.9), c=(0.1, 2.6))
    assert clear == f"{task}: a first of 3 placed at equal loss with probability 0.60"
    close = ordered(many, a=(0.384, 1.9), b=(0.379, 1.95), c=(0.2, 2.15))
    assert close is not None
    assert "a and b are close at equal loss, of 3 placed: first with probability 0.38 each" in close
    wide = ordered(many, a=(0.3, 1.6), b=(0.35, 2.3), c=(0.2, 2.5))
    assert wide is not None
    assert "a and b are close" in wide
    assert "first with probability 0.30 and 0.35" in wide
    all_of_them = ordered(many, a=(0.26, 2.4), b=(0.24, 2.5), c=(0.25, 2.55), d=(0.25, 2.55))
    assert all_of_them is not None
    assert "a, b, c and 1 more are close at equal loss, of 4 placed: " in all_of_them
    names = many.order_at_equal_loss.names
    assert f"{names[0]} " in many.title.split(":")[1]


def test_two_that_are_nearly_tied_are_called_close(many: Comparison):
    """Both are named, the likelier one first, with the probability of each."""
    two = comparison_of(many.found[1:3])

    def title(p: float) -> str:
        pair = replace(two.pairs[0], at_equal_loss=First(probability=p, reason=None))
        return replace(two, pairs=(pair,)).title

    assert ": c first at equal loss with probability 0.61" in title(0.39)
    near = title(0.41)
    assert ": c and b are close at equal loss: first with probability 0.59 and 0.41" in near


def test_scores_equal_within_their_error_share_a_place():
    """Each place begins with a score more than a standard error below the best of the one before.

    Worked by hand: of 0.50, 0.45, 0.41 with errors of 0.04, differences up to 0.0566 are none.
    """
    assert _places((0.41, 0.50, 0.45), (0.04, 0.04, 0.04)) == (3, 1, 1)
    assert _places((0.5, 0.5, 0.4), (0.0, 0.0, 0.0)) == (1, 1, 3)
    assert _places((-2.0, -2.1), (0.0, 0.0)) == (1, 2)
    assert _places((0.1, 0.2, 0.3), (0.5, 0.5, 0.5)) == (1, 1, 1)


def test_every_pair_and_place_is_a_count_over_draws_of_the_forecasts(many: Comparison):
    """Brute force over independent draws of each posterior, at equal loss and at equal compute."""
    rng = np.random.default_rng(8)
    levels = rng.random((len(many.series), 100_000))
    loss = np.array([f.quantile(u) for f, u in zip(many.forecasts, levels, strict=True)])
    flops = []
    for forecast in many.forecasts:
        assert forecast.compute is not None
        assert forecast.compute.flops_draws is not None
        flops.append(rng.choice(forecast.compute.flops_draws, 100_000))
    for at, draws in ((ComparedAt.LOSS, -loss), (ComparedAt.COMPUTE, np.array(flops))):
        exact = counted(draws, rng)
        places = placed(many.order(at), "places")
        for i, name in enumerate(many.series):
            np.testing.assert_allclose(places[name], exact[i], atol=0.01)
        for (i, a), (j, b) in itertools.combinations(enumerate(many.series), 2):
            share = np.mean(draws[i] < draws[j])
            assert many.pair(a, b).answer(at).probability == pytest.approx(share, abs=0.01)


def test_two_of_them_compare_as_they_do_alone(many: Comparison):
    """The pair in the comparison of many is the comparison of the two."""
    two = comparison_of(many.found[1:3])
    pair = many.pair("b", "c")
    assert two.pairs == (pair,)
    assert (two.at_equal_loss, two.difference) == (pair.at_equal_loss, pair.difference)
    alone = placed(two.order_at_equal_loss, "first")["b"]
    assert alone == pytest.approx(pair.at_equal_loss.probability, abs=2e-3)
    with pytest.raises(OptionError, match="4 series were compared"):
        _ = many.at_equal_loss


def test_one_that_cannot_be_fitted_is_named_and_stops_no_other(many: Comparison):
    """With its reason; the same error ends the comparison where fewer than two are left."""
    assert many.series == ("a", "b", "c", "d")
    (gone,) = many.left_out
    assert gone.series == "e"
    assert "chance" in gone.reason
    with pytest.raises(SelectionError, match="chance"):
        compare(
            [{**row, "chance": 0.5 if row["examples"] else 0.25} for row in series("a")]
            + [{**row, "series": "b"} for row in series("a")],
            fitting=LAW,
        )
    with pytest.raises(SelectionError, match='no row has the series "bb"'):
        compare(series("a") + series("b") + series("c"), ("a", "bb", "c"), fitting=LAW)


def test_where_nothing_can_be_fitted_every_reason_is_said():
    """Three series of two tasks: the task must be named."""
    rows = [{**row, "task": task} for name in "abc" for task in "xy" for row in series(name)[:4]]
    with pytest.raises((SelectionError, FitError), match="--task"):
        compare(rows, fitting=LAW)


def test_a_refused_forecast_has_no_place():
    """The others are ranked among themselves, at their own largest amount."""
    few = [row for row in series("b") if row["examples"] in {None, 64}]
    found = compare(series("a") + few + series("c", at_d0=1.97, seed=1), fitting=LAW)
    assert found.forecasts[1].verdict is Verdict.REFUSED
    for order in (found.order_at_equal_loss, found.order_at_equal_compute):
        assert set(order.names) == {"a", "c"}
        assert [each.series for each in order.left_out] == ["b"]
        assert "refused" in order.left_out[0].reason
    assert found.pair("a", "b").at_equal_loss.probability is None
    assert [each.setting for each in found.rankings] == ["few-shot", "finetuned on 4,096 examples"]
    assert found.rankings[0].series == ("a", "c")


# ------------------------------------------------------------------------------------ decisions


def test_decisions_are_counted_by_hand(many: Comparison):
    """Each way of ranking against the elbows and the compute that came true."""
    assert {each.by for each in many.decisions} >= {"forecast", "few-shot", "loss"}
    true = dict(zip(many.series, many.found, strict=True))
    for each in many.decisions:
        right = pairs = 0.0
        ranking = next(
            (r for r in (*many.rankings, many.loss_ranking) if r and r.setting == each.by), None
        )
        for a, b in itertools.combinations(many.series, 2):
            one, other = true[a].came_true, true[b].came_true
            assert one is not None
            assert other is not None
            first = one.elbow > other.elbow
            if each.at is ComparedAt.COMPUTE:
                assert one.log10_flops is not None
                assert other.log10_flops is not None
                first = one.log10_flops < other.log10_flops
            if ranking is None:
                p = many.pair(a, b).answer(each.at).probability
                assert p is not None
                said = p > 0.5
            else:
                i, j = ranking.series.index(a), ranking.series.index(b)
                if ranking.scores[i] == ranking.scores[j]:
                    continue
                said = ranking.scores[i] > ranking.scores[j]
            right, pairs = right + (said is first), pairs + 1
        assert (each.right, each.pairs) == (right, pairs)
        assert each.accuracy == pytest.approx(right / pairs)
        assert each.clear_right <= each.clear_pairs <= each.pairs


def test_what_came_true_in_compute_is_read_off_the_checkpoints(many: Comparison):
    """The FLOPs of the series at its true elbow, between those of two checkpoints."""
    frame = simulated(**ELBOWS).frame
    for each in many.found:
        own = frame.filter(pl.col("series") == each.series).unique("checkpoint").sort("loss")
        assert each.came_true is not None
        exact = np.interp(each.came_true.elbow, own["loss"], np.log10(own["flops"].to_numpy()))
        assert each.came_true.log10_flops == pytest.approx(exact, abs=1e-9)


def test_a_given_truth_judges_in_place_of_later_checkpoints(many: Comparison):
    """Known elbows where no checkpoint shows any; wrong ones judge wrong."""
    found = comparison_of([replace(each, came_true=None) for each in many.found])
    assert found.decisions == ()
    judged = found.with_truths({"a": 2.45, "b": 2.2})
    assert {each.pairs for each in judged.decisions} == {1}
    by = {(each.by, each.at): each for each in judged.decisions}
    at_loss = by["forecast", ComparedAt.LOSS]
    assert (at_loss.pairs, at_loss.right, at_loss.clear_pairs) == (1, 1.0, 1)
    p = found.pair("a", "b").at_equal_loss.probability
    assert p is not None
    assert at_loss.stated == pytest.approx(max(p, 1 - p))
    assert judged.pair("a", "b").true_difference == pytest.approx(0.25)
    assert judged.forecasts[0].truth == 2.45
    wrong = found.with_truths({"a": 2.2, "b": 2.45}).decisions[0]
    assert (wrong.right, wrong.accuracy) == (0.0, 0.0)
    with pytest.raises(OptionError, match='no series "bb"'):
        found.with_truths({"bb": 1.9})
    with pytest.raises(OptionError, match="finite"):
        found.with_truths({"a": float("nan")})


# ------------------------------------------------------------------------------------ the baseline


def test_three_series_are_ranked_at_one_size_and_one_compute():
    """The most compute at which all three have a checkpoint of the largest common size."""
    a = scored(
        [("a1", 10, 1e18, None, 0.3), ("a2", 20, 8e18, None, 0.5), ("a3", 40, 9e19, None, 0.9)]
    )
    b = scored(
        [("b1", 20, 2e18, None, 0.3), ("b2", 20, 7e18, None, 0.4), ("b3", 20, 7e19, None, 0.9)]
    )
    c = scored([("c1", 20, 7.5e18, None, 0.6), ("c2", 20, 1.9e18, None, 0.7)])
    found = rankings(a, b, c)
    assert not isinstance(found, str)
    (ranking,) = found
    assert ranking.checkpoints == ("a2", "b2", "c1")
    assert ranking.scores == (0.5, 0.4, 0.6)
    assert ranking.same_size
    assert ranking.first is None
    by_loss = loss_ranking(a, b, c)
    assert by_loss is not None
    assert by_loss.checkpoints == ranking.checkpoints
    assert by_loss.scores == (-2.01, -2.01, -2.0)


def test_pairs_are_chosen_as_by_looking_at_all_of_them():
    """Two series: the most trained pair within a quarter, else the nearest, over random tables."""
    rng = np.random.default_rng(9)
    for _ in range(40):
        made: list[list[tuple[str, int, float, int | None, float]]] = [
            [
                (f"{name}{i}", 20, 10 ** rng.uniform(18, 19), None, 0.3)
                for i in range(rng.integers(1, 6))
            ]
            for name in "ab"
        ]
        found = rankings(*(scored(each) for each in made))
        assert not isinstance(found, str)
        every = [(p[2], q[2]) for p in made[0] for q in made[1]]
        close = [pair for pair in every if max(pair) / min(pair) <= 1.25]
        best = (
            max(close, key=lambda pair: (min(pair), -max(pair)))
            if close
            else min(every, key=lambda pair: max(pair) / min(pair))
        )
        assert found[0].flops == pytest.approx(best)


# ------------------------------------------------------------------------------------ the record


def test_the_json_fits_its_schema(many: Comparison):
    """Of many series and of two; every key is described."""
    schema = comparison_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema)
    record = json.loads(json.dumps(many.to_dict(), allow_nan=False))
    check.validate(record)
    assert all("description" in entry for entry in schema["properties"].values())
    assert record["at_equal_loss"] is None
    assert len(record["pairs"]) == 6
    two = comparison_of(many.found[:2]).to_dict()
    check.validate(json.loads(json.dumps(two, allow_nan=False)))
    assert two["at_equal_loss"] == two["pairs"][0]["at_equal_loss"]
