from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from emergecast.errors import ScalingError
from emergecast.scaling import (
    CHINCHILLA_LAWS,
    NAMED_LAWS,
    ChinchillaLaw,
    Form,
    PowerLaw,
    Resource,
    training_flops,
)


def power(**changes: Any) -> PowerLaw:
    """L = 1.5 + 10 / N^0.5, with changes."""
    law = PowerLaw(name="p", source="a test", of=Resource.PARAMS, floor_nats=1.5, a=10.0, alpha=0.5)
    return dataclasses.replace(law, **changes)


def test_hoffmann_predicts_gopher_and_chinchilla_as_worked_by_hand():
    """1.69 + 406.4 / N^0.34 + 410.7 / D^0.28, evaluated with logarithms instead of powers."""
    for params, tokens in [(280e9, 300e9), (70e9, 1.4e12)]:
        by_hand = (
            1.69
            + math.exp(math.log(406.4) - 0.34 * math.log(params))
            + math.exp(math.log(410.7) - 0.28 * math.log(tokens))
        )
        assert float(CHINCHILLA_LAWS["hoffmann"].loss(params, tokens)) == pytest.approx(by_hand)


def test_published_losses_of_gopher_and_chinchilla():
    """Gopher (1.993) and Chinchilla (1.936), as in "chinchilla's wild implications" (2022)."""
    law = CHINCHILLA_LAWS["hoffmann"]
    losses = law.loss(np.array([280e9, 70e9]), np.array([300e9, 1.4e12]))
    assert losses == pytest.approx([1.993, 1.936], abs=1e-3)


def test_epochs_constants_lie_near_hoffmanns_in_the_range_both_fitted():
    """The refit has other exponents, but nearly the same loss for a Chinchilla-sized run."""
    losses = [float(law.loss(70e9, 1.4e12)) for law in CHINCHILLA_LAWS.values()]
    assert losses[0] == pytest.approx(losses[1], abs=0.05)


def test_a_power_law_by_hand():
    """1.5 + 10 / sqrt(N) at N = 100 and 10,000, in the shape that was asked for."""
    assert power().loss([[100.0], [10_000.0]]) == pytest.approx(np.array([[2.5], [1.6]]), rel=1e-15)
    assert float(power(floor_nats=0.0).loss(100)) == pytest.approx(1.0, rel=1e-15)


@pytest.mark.parametrize("name", NAMED_LAWS)
def test_loss_falls_with_size_and_data_towards_the_floor(name):
    """More of anything never hurts, and nothing goes below the floor."""
    law = NAMED_LAWS[name]
    sizes = np.geomspace(1e6, 1e30, 40)
    if not isinstance(law, ChinchillaLaw):
        assert isinstance(law, PowerLaw)
        assert np.all(np.diff(law.loss(sizes)) < 0)
        assert float(law.loss(1e300)) > law.floor_nats
        return
    assert np.all(np.diff(law.loss(sizes, 1e11)) < 0)
    assert np.all(np.diff(law.loss(1e9, sizes)) < 0)
    assert float(law.loss(1e60, 1e60)) == pytest.approx(law.floor_nats)


def test_a_power_past_any_float_leaves_the_floor():
    """An exponent of 10 at 1e300 parameters overflows a float; the loss does not."""
    assert float(power(alpha=10.0).loss(1e300)) == 1.5


@pytest.mark.parametrize("name", NAMED_LAWS)
def test_a_law_lists_what_it_is_made_of(name):
    """Its constants by symbol make it once more, and its terms and floor add up to its loss."""
    law = NAMED_LAWS[name]
    symbols = ["E", "A", "B", "alpha", "beta"] if name in CHINCHILLA_LAWS else ["E", "A", "alpha"]
    assert list(law.constants) == symbols
    made = law.form.law(law.constants.values(), name=law.name, source=law.source, span=law.span)
    assert made == law
    amounts = {Resource.PARAMS: 7e9, Resource.TOKENS: 2e12, Resource.FLOPS: 8.4e22}
    terms = [t.numerator / amounts[t.resource] ** t.exponent for t in law.terms]
    assert float(law.loss_of(amounts)) == pytest.approx(law.floor_nats + sum(terms), rel=1e-15)


@pytest.mark.parametrize(
    ("form", "formula"),
    [
        (Form.CHINCHILLA, "E + A / N^alpha + B / D^beta"),
        (Form.PARAMS, "E + A / N^alpha"),
        (Form.TOKENS, "E + A / D^alpha"),
        (Form.FLOPS, "E + A / C^alpha"),
    ],
)
def test_a_form_prints_as_its_docstring_says(form, formula):
    """With symbols, and with numbers in their place."""
    assert form.formula() == formula
    assert Form.PARAMS.formula({"E": "1.5", "A": "10", "alpha": "0.5"}) == "1.5 + 10 / N^0.5"


def test_draws_are_taken_by_position_or_mask():
    """A constant that is one number is that number for every draw; some draws may not fall."""
    draws = dataclasses.replace(
        CHINCHILLA_LAWS["epoch"], a=np.array([1.0, 0.0, 3.0]), b=np.array([5.0, 6.0, 0.0])
    )
    assert draws.falls.tolist() == [True, False, False]
    assert CHINCHILLA_LAWS["epoch"].falls
    some: Any = draws.take(np.array([2, 0, 2]))
    assert some.a.tolist() == [3.0, 1.0, 3.0]
    assert some.b.tolist() == [0.0, 5.0, 0.0]
    assert some.beta.tolist() == [0.36585] * 3
    falling: Any = draws.take(draws.falls)
    assert falling.a.tolist() == [1.0]


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf, "many", None])
def test_an_impossible_count_is_refused(bad):
    """A loss of a model without parameters does not exist; what is no number is none."""
    for evaluate in (
        lambda: CHINCHILLA_LAWS["epoch"].loss(bad, 1e9),
        lambda: CHINCHILLA_LAWS["epoch"].loss(1e9, bad),
        lambda: power().loss([1e9, bad]),
    ):
        with pytest.raises(ScalingError, match=r"params|tokens"):
            evaluate()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"floor_nats": -0.1}, r'E of "p" is -0.1. It must be finite and at least 0'),
        ({"a": math.nan}, 'A of "p" is nan'),
        ({"alpha": 0.0}, r'alpha of "p" is 0. It must be finite and above 0'),
        ({"a": np.array([1.0, -2.0])}, 'A of "p" is -2'),
        ({"a": np.ones(3), "alpha": np.ones(2)}, r"shapes E \(\), A \(3,\), alpha \(2,\)"),
        ({"a": np.ones((3, 1))}, "in one dimension"),
    ],
)
def test_constants_that_make_no_law_are_refused(changes, message):
    """The constant is named with its value."""
    with pytest.raises(ScalingError, match=message):
        power(**changes)


def test_draws_are_evaluated_as_one_law_each():
    """Constants of shape (n,) and amounts of shape (m, 1) give (m, n) losses."""
    rng = np.random.default_rng(1)
    floor, a, b = rng.uniform(1, 2, 5), rng.uniform(100, 500, 5), rng.uniform(100, 500, 5)
    draws = ChinchillaLaw(
        name="d", source="a test", floor_nats=floor, a=a, b=b, alpha=np.full(5, 0.3), beta=0.3
    )
    sizes = np.array([[1e8], [1e9]])
    found = draws.loss(sizes, 1e10)
    for i in range(5):
        one = ChinchillaLaw(
            name="o", source="a test", floor_nats=floor[i], a=a[i], b=b[i], alpha=0.3, beta=0.3
        )
        assert found[:, i] == pytest.approx(one.loss(sizes[:, 0], 1e10), rel=1e-15)
    assert draws.frontier.loss(1e20) == pytest.approx(
        [
            float(dataclasses.replace(draws, floor_nats=e, a=x, b=y, alpha=0.3).frontier.loss(1e20))
            for e, x, y in zip(floor, a, b, strict=True)
        ],
        rel=1e-14,
    )


@pytest.mark.parametrize("name", CHINCHILLA_LAWS)
@pytest.mark.parametrize("flops", [1e15, 1e21, 5.76e23, 1e30])
def test_the_frontier_is_the_least_loss_that_a_search_finds(name, flops):
    """Golden-section search over the size at fixed FLOPs; closed form against brute force."""
    law = CHINCHILLA_LAWS[name]

    def loss(ln_params: float) -> float:
        params = math.exp(ln_params)
        return float(law.loss(params, flops / (6 * params)))

    middle = 0.5 * math.log(flops / 6)
    found = minimize_scalar(
        loss, bounds=(middle - 8, middle + 8), method="bounded", options={"xatol": 1e-9}
    )
    assert float(law.frontier.loss(flops)) == pytest.approx(found.fun, rel=1e-13)
    assert law.frontier.of is Resource.FLOPS


def test_hoffmanns_frontier_exponent():
    """By hand: gamma = alpha beta / (alpha + beta) = 0.34 * 0.28 / 0.62."""
    assert CHINCHILLA_LAWS["hoffmann"].frontier.alpha == pytest.approx(0.0952 / 0.62, rel=1e-15)


@pytest.mark.parametrize("missing", ["a", "b"])
def test_there_is_no_frontier_where_loss_falls_with_one_resource_only(missing):
    """With A = 0 the best model has no parameters."""
    nothing: Any = {missing: 0.0}
    law = dataclasses.replace(CHINCHILLA_LAWS["epoch"], **nothing)
    with pytest.raises(ScalingError, match=f"has {missing.upper()} = 0.*Fix the tokens"):
        _ = law.frontier


def test_training_flops_of_chinchilla():
    """6 x 70e9 x 1.4e12 = 5.88e23, the compute that the Chinchilla paper states (5.76e23) to 3%."""
    assert float(training_flops(70e9, 1.4e12)) == pytest.approx(5.88e23)
    assert float(training_flops(70e9, 1.4e12)) == pytest.approx(5.76e23, rel=0.03)
