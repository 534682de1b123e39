"""Evaluate and invert: the same thing forwards and backwards, for every law and allocation."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from emergecast import scaling
from emergecast.errors import ScalingError
from emergecast.scaling import (
    CHINCHILLA_LAWS,
    NAMED_LAWS,
    Allocation,
    ChinchillaLaw,
    PowerLaw,
    PretrainingRun,
    ScalingLaw,
    least_loss,
    loss_at,
    loss_of,
    named_law,
)

NAMES = ("params", "tokens", "flops")
HEIGHT = 1e-4
"""The identity is claimed where the loss is so far above what can be reached, nats."""
# As Any: an amount of a run may be None, and here it never is.
run_at: Any = scaling.run_at
run_at_loss: Any = scaling.run_at_loss
HOFFMANN: Any
EPOCH: Any
SNELL: Any
HOFFMANN, EPOCH, SNELL = (named_law(name) for name in ("hoffmann", "epoch", "snell-llama2"))
FREE = {
    "compute_optimal": NAMES,
    "ratio": NAMES,
    "tokens": ("params", "flops"),
    "params": ("tokens", "flops"),
}


def chinchilla(**changes: Any) -> ChinchillaLaw:
    """Hoffmann's law with changes."""
    return dataclasses.replace(CHINCHILLA_LAWS["hoffmann"], **changes)


def allocations(law: ScalingLaw) -> list[Any]:
    """Every kind of allocation that the law can take."""
    every = [Allocation.ratio(20), Allocation.at_tokens(2e12), Allocation.at_params(7e9)]
    if isinstance(law, ChinchillaLaw):
        return [Allocation.compute_optimal(), *every]
    return [None, *(each for each in every if each.tie.value != law.form.span_of.value)]


def same(found: PretrainingRun, wanted: PretrainingRun, rel: float, where: Any = ...) -> None:
    """The two runs have the same amounts, and lack the same."""
    for name in NAMES:
        a, b = getattr(found, name), getattr(wanted, name)
        assert (a is None) == (b is None)
        if a is not None:
            a, b = np.broadcast_arrays(a, b)
            np.testing.assert_allclose(a[where], b[where], rtol=rel)


@pytest.mark.parametrize("name", NAMED_LAWS)
@pytest.mark.parametrize("kind", range(4))
def test_inverting_undoes_evaluating_over_ten_decades(name, kind):
    """To 1e-10 of every amount: params from 1e4, tokens from 1e5, FLOPs to match."""
    law = NAMED_LAWS[name]
    if kind >= len(allocations(law)):
        return
    allocation = allocations(law)[kind]
    if isinstance(law, PowerLaw):
        free = law.of.value
    else:
        free = "tokens" if allocation is not None and allocation.tie.value == "params" else "params"
    low = {"params": 1e4, "tokens": 1e5, "flops": 1e10}[free]
    decades = 30 if free == "flops" else 16  # more than ten, down to the height claimed
    amounts = np.geomspace(low, low * 10.0**decades, 1601)
    run = run_at(law, allocation, **{free: amounts})
    loss = loss_at(law, run)
    clear = loss - least_loss(law, allocation) >= HEIGHT
    assert clear.sum() > 300
    same(run_at_loss(law, loss, allocation, unreachable="inf"), run, 1e-10, clear)
    assert loss_at(law, run_at_loss(law, loss[clear], allocation, unreachable="inf")) == (
        pytest.approx(loss[clear], rel=1e-13)
    )


EXPONENTS = st.floats(0.02, 3.0)
LN_HEIGHT = st.floats(math.log(1e-4), math.log(8.0))
LN_SIZE = st.floats(math.log(1e4), math.log(1e14))


@st.composite
def chinchilla_laws(draw: st.DrawFn) -> ChinchillaLaw:
    """Any law whose two terms are worth something at some size between 1e4 and 1e14."""
    alpha, beta = draw(EXPONENTS), draw(EXPONENTS)
    return ChinchillaLaw(
        name="any",
        source="a test",
        floor_nats=draw(st.floats(0, 3)),
        a=math.exp(draw(LN_HEIGHT) + alpha * draw(LN_SIZE)),
        b=math.exp(draw(LN_HEIGHT) + beta * draw(LN_SIZE)),
        alpha=alpha,
        beta=beta,
    )


@given(
    law=chinchilla_laws(),
    ln_height=LN_HEIGHT,
    ratio=st.floats(1e-3, 1e5),
    fixed=LN_SIZE,
    kind=st.integers(0, 3),
)
def test_a_run_at_a_loss_has_that_loss(law, ln_height, ratio, fixed, kind):
    """For any constants and allocation; and no run exists at or below the least loss."""
    allocation = [
        Allocation.compute_optimal(),
        Allocation.ratio(ratio),
        Allocation.at_tokens(math.exp(fixed)),
        Allocation.at_params(math.exp(fixed)),
    ][kind]
    least = float(least_loss(law, allocation))
    if not least < 1e6:  # the fixed resource is far too small for these constants
        return
    loss = least + math.exp(ln_height)
    run = run_at_loss(law, loss, allocation, unreachable="inf")
    assert run.params is not None
    assert run.tokens is not None
    if not (0 < run.params < 1e300 and 0 < run.tokens < 1e300):
        return
    assert float(loss_at(law, run)) == pytest.approx(loss, rel=1e-12)
    never = run_at_loss(law, [least, 0.9 * least, -1.0], allocation, unreachable="inf")
    assert np.all(np.isinf(never.flops))


@given(law=chinchilla_laws(), ln_height=LN_HEIGHT, ln_ratio=st.floats(-12, 12))
def test_newtons_method_at_a_ratio_agrees_with_bisection(law, ln_height, ln_ratio):
    """The bracketing root of scipy for the same equation in ln N, however lopsided."""
    height, ratio = math.exp(ln_height), math.exp(ln_ratio)
    found = run_at_loss(law, law.floor_nats + height, Allocation.ratio(ratio), unreachable="inf")
    # What height remains of the loss after rounding.
    height = float(law.floor_nats + height) - law.floor_nats
    ln_a, ln_b = math.log(law.a), math.log(law.b) - law.beta * ln_ratio

    def gap(ln_params: float) -> float:
        terms = np.logaddexp(ln_a - law.alpha * ln_params, ln_b - law.beta * ln_params)
        return float(terms) - math.log(height)

    ends = [(ln - math.log(height)) / e for ln, e in ((ln_a, law.alpha), (ln_b, law.beta))]
    low = max(ends) - 1.0
    high = max(ends) + 1.0 + math.log(2.0) / min(law.alpha, law.beta)
    wanted = brentq(gap, low, high, xtol=1e-13, rtol=1e-14)
    if not abs(wanted) < 600:
        return
    assert math.log(found.params) == pytest.approx(wanted, rel=1e-12, abs=1e-11)


@pytest.mark.parametrize("ratio", [1e-9, 1.0, 1e9])
def test_newtons_method_ends_for_the_most_lopsided_exponents(ratio):
    """With alpha 0.001 beside beta 20, and every height from 1e-8 to 1e3 at once."""
    law = chinchilla(alpha=1e-3, beta=20.0, a=2.0, b=1e60, floor_nats=0.0)
    loss = np.geomspace(1.95, 1e3, 400)
    run = run_at_loss(law, loss, Allocation.ratio(ratio), unreachable="inf")
    with np.errstate(over="ignore"):
        back = 2.0 * np.exp(-1e-3 * np.log(run.params)) + np.exp(
            math.log(1e60) - 20.0 * np.log(run.tokens)
        )
    assert back == pytest.approx(loss, rel=1e-11)


def test_a_term_of_zero_drops_out():
    """With B = 0 the size alone decides: at a ratio as at fixed tokens; no split, no tokens."""
    law = chinchilla(b=0.0)
    wanted = (406.4 / 0.3) ** (1 / 0.34)
    assert run_at_loss(law, 1.99, Allocation.ratio(20)).params == pytest.approx(wanted, rel=1e-12)
    assert run_at_loss(law, 1.99, Allocation.at_tokens(1e9)).params == pytest.approx(wanted)
    for allocation in (Allocation.compute_optimal(), Allocation.at_params(1e9)):
        with pytest.raises(ScalingError, match=r"does not fall with"):
            run_at_loss(law, 2.2, allocation)
    with pytest.raises(ScalingError, match="is its floor whatever the run"):
        run_at_loss(chinchilla(a=0.0, b=0.0), 1.99, Allocation.ratio(20))


@pytest.mark.parametrize("law", [HOFFMANN, EPOCH], ids=["hoffmann", "epoch"])
def test_the_optimal_split_is_that_of_equation_4(law):
    """N_opt = G (C/6)^a, D_opt = (C/6)^b / G, as printed; neighbours of equal FLOPs are worse."""
    flops = np.geomspace(1e12, 1e30, 19)
    run = run_at(law, flops=flops)
    g = (law.alpha * law.a / (law.beta * law.b)) ** (1 / (law.alpha + law.beta))
    total = law.alpha + law.beta
    np.testing.assert_allclose(run.params, g * (flops / 6) ** (law.beta / total), rtol=1e-12)
    np.testing.assert_allclose(run.tokens, (flops / 6) ** (law.alpha / total) / g, rtol=1e-12)
    best = loss_at(law, run)
    for factor in (0.9, 1.1):
        assert np.all(law.loss(run.params * factor, run.tokens / factor) > best)
    np.testing.assert_allclose(best, law.frontier.loss(flops), rtol=1e-13)


def test_published_optimal_allocations():
    """Approach 3 has exponents 0.46 and 0.54 (table 2); the refit about 20 tokens a parameter.

    The table has unrounded constants; the refit is arXiv 2404.10102, at Chinchilla's budget.
    """
    assert HOFFMANN.beta / (HOFFMANN.alpha + HOFFMANN.beta) == pytest.approx(0.46, abs=0.01)
    run = run_at(EPOCH, flops=5.76e23)
    assert 15 < run.tokens / run.params < 25


@pytest.mark.parametrize("known", NAMES)
def test_a_compute_optimal_run_is_the_same_from_any_of_its_amounts(known):
    """Found by its FLOPs, its size or its tokens."""
    run = run_at(EPOCH, flops=np.geomspace(1e15, 1e27, 7))
    same(run_at(EPOCH, **{known: getattr(run, known)}), run, 1e-12)


@pytest.mark.parametrize("allocation", allocations(HOFFMANN), ids=str)
def test_a_run_along_an_allocation_keeps_it(allocation):
    """Its ratio or its fixed amount is the one asked for, and FLOPs are 6 N D."""
    for free in FREE[allocation.tie.value]:
        run = run_at(HOFFMANN, allocation, **{free: [1e21, 3e21]})
        np.testing.assert_allclose(run.flops, 6 * run.params * run.tokens, rtol=1e-14)
        kept = {"ratio": run.tokens / run.params, "tokens": run.tokens, "params": run.params}
        if allocation.value is not None:
            np.testing.assert_allclose(kept[allocation.tie.value], allocation.value, rtol=1e-14)
        np.testing.assert_allclose(getattr(run, free), [1e21, 3e21], rtol=1e-15)


@pytest.mark.parametrize("allocation", allocations(EPOCH), ids=str)
def test_a_lower_loss_takes_more(allocation):
    """Strictly more FLOPs for every step down, right up to the least loss."""
    least = float(least_loss(EPOCH, allocation))
    losses = least + np.geomspace(3.0, 1e-9, 500)
    assert np.all(np.diff(run_at_loss(EPOCH, losses, allocation).flops) > 0)


@given(
    unit_n=st.floats(-9, 9), unit_d=st.floats(-9, 9), ln_height=st.floats(-6, 1), kind=st.booleans()
)
def test_units_do_not_matter(unit_n, unit_d, ln_height, kind):
    """Sizes in other units with constants to match give the same run in those units."""
    n, d = 10.0**unit_n, 10.0**unit_d
    other = chinchilla(a=406.4 / n**0.34, b=410.7 / d**0.28)
    loss = 1.69 + math.exp(ln_height)
    ours = (
        run_at_loss(HOFFMANN, loss) if kind else run_at_loss(HOFFMANN, loss, Allocation.ratio(20))
    )
    theirs = run_at_loss(
        other, loss, None if kind else Allocation.ratio(20 * n / d), unreachable="inf"
    )
    assert ours.params == pytest.approx(theirs.params * n, rel=1e-10)
    assert ours.tokens == pytest.approx(theirs.tokens * d, rel=1e-10)
    assert ours.flops == pytest.approx(theirs.flops * n * d, rel=1e-10)


def test_a_power_law_in_billions_is_the_same_law():
    """2.005 * N^-0.067 with N in billions, as the published pairs imply it."""
    billions = dataclasses.replace(SNELL, a=2.005, span=None)
    for loss in (1.361, 1.386, 1.324):
        assert run_at_loss(SNELL, loss).params == pytest.approx(
            1e9 * run_at_loss(billions, loss).params, rel=1e-12
        )


@pytest.mark.parametrize("allocation", allocations(HOFFMANN), ids=str)
def test_draws_are_inverted_as_one_law_each(allocation):
    """Shape (m, 1) of losses and (n,) of constants give (m, n), equal to a loop over the draws."""
    rng = np.random.default_rng(2)
    fields = {
        "floor_nats": rng.uniform(1.5, 1.9, 20),
        "a": rng.uniform(200, 600, 20),
        "b": rng.uniform(300, 3000, 20),
        "alpha": rng.uniform(0.3, 0.4, 20),
        "beta": rng.uniform(0.25, 0.4, 20),
    }
    draws = chinchilla(**fields)
    losses = np.array([[2.3], [1.85], [1.7]])
    many = run_at_loss(draws, losses, allocation, unreachable="inf")
    assert many.flops.shape == (3, 20)
    assert np.any(np.isinf(many.flops)), "some of these losses lie below some of these floors"
    for i in range(20):
        one = chinchilla(**{name: float(values[i]) for name, values in fields.items()})
        for j, loss in enumerate(losses[:, 0]):
            alone = run_at_loss(one, loss, allocation, unreachable="inf")
            assert many.flops[j, i] == pytest.approx(alone.flops, rel=1e-12)
            assert many.params[j, i] == pytest.approx(alone.params, rel=1e-12)


def test_where_nothing_reaches_the_loss_it_takes_infinitely_much():
    """At the floor too; what is fixed stays, and reachable neighbours are not disturbed."""
    run = run_at_loss(HOFFMANN, [1.0, 1.69, 2.0], Allocation.ratio(20), unreachable="inf")
    assert np.isinf(run.flops).tolist() == [True, True, False]
    run = run_at_loss(HOFFMANN, 1.0, Allocation.at_tokens(1e12), unreachable="inf")
    assert (run.params, run.tokens, run.flops) == (math.inf, 1e12, math.inf)
    run = run_at_loss(SNELL, 1e-300, unreachable="inf")
    assert run.params == math.inf


def test_single_laws_give_numbers():
    """Not arrays of no dimension, which cannot be formatted."""
    run = run_at_loss(HOFFMANN, 2.0)
    for amount in (run.params, run.tokens, run.flops):
        assert isinstance(amount, float)
    assert f"{run.params:.3g} {run.tokens:.3g} {run.flops:.3g}" == "1.53e+10 1.21e+12 1.11e+23"


def test_laws_of_one_resource_take_an_allocation_for_the_rest():
    """L(N) at a token budget, L(D) at a size, L(C) at a ratio; FLOPs are 6 N D throughout."""
    run = run_at_loss(SNELL, 1.361, Allocation.at_tokens(2e12))
    assert run.flops == pytest.approx(6 * run.params * 2e12, rel=1e-14)
    run = run_at_loss(named_law("kaplan-tokens"), 2.5, Allocation.at_params(1e9))
    assert run.flops == pytest.approx(6e9 * run.tokens, rel=1e-14)
    law = named_law("kaplan-compute")
    run = run_at_loss(law, 2.5, Allocation.ratio(20))
    assert run.tokens == pytest.approx(20 * run.params, rel=1e-14)
    assert loss_of(law, params=run.params, tokens=run.tokens) == pytest.approx(2.5, rel=1e-14)
    assert run_at_loss(law, 2.5) == PretrainingRun(flops=run.flops)


@pytest.mark.parametrize(
    ("amounts", "wanted"),
    [
        ({"params": 70e9, "tokens": 1.4e12}, 1.4e12),
        ({"params": 70e9, "flops": 5.88e23}, 1.4e12),
        ({"tokens": 1.4e12, "flops": 5.88e23}, 1.4e12),
    ],
)
def test_two_amounts_give_the_third(amounts, wanted):
    """Whichever two of params, tokens and FLOPs are given."""
    loss = loss_of(HOFFMANN, **amounts)
    assert float(loss) == pytest.approx(float(HOFFMANN.loss(70e9, wanted)), rel=1e-14)


L, A = run_at_loss, Allocation
REFUSED = {
    "at the floor": (lambda: L(HOFFMANN, 1.69), r"losses all lie above 1\.69,.*Ask for a loss"),
    "below the floor": (lambda: L(EPOCH, [2.0, 1.3]), r"no run reaches a loss of 1\.3 nats"),
    "below at fixed tokens": (
        lambda: L(HOFFMANN, 1.8, A.at_tokens(1e12)),
        r"above 1\.86928.*Ask for a loss above 1\.86928, or .* towards 1\.69",
    ),
    "below at fixed params": (lambda: L(HOFFMANN, 1.7, A.at_params(1e9)), r"above 2\.04396"),
    "less than a parameter": (lambda: L(SNELL, 9.0), r"less than one of params.*at most 8\.03738"),
    "less than a token": (
        lambda: L(HOFFMANN, 500.0, A.at_params(1e9)),
        r"less than one of tokens.*1\.00B parameters.*at most 412\.7",
    ),
    "more than a number holds": (lambda: L(SNELL, 1e-25), "more params .* than a number can hold"),
    "a loss of nan": (lambda: L(HOFFMANN, math.nan), "positive and finite, and nan is not"),
    "a loss of minus one": (lambda: L(HOFFMANN, -1), "-1 is not. Give nats per token"),
    "a loss of inf": (lambda: L(HOFFMANN, math.inf), "inf is not"),
    "a loss in words": (lambda: L(HOFFMANN, "low"), "'low' is not"),
    "unknown mode": (lambda: L(HOFFMANN, 2, unreachable="nan"), 'Use "raise" or "inf"'),
    "a split of L(N)": (
        lambda: L(SNELL, 1.4, A.compute_optimal()),
        "of params alone, so it has no compute-optimal split.*hoffmann or epoch",
    ),
    "L(N) at fixed N": (lambda: L(SNELL, 1.4, A.at_params(1e9)), "which the loss determines"),
    "L(D) at fixed D": (
        lambda: L(named_law("kaplan-tokens"), 2.5, A.at_tokens(1e9)),
        "which the loss determines",
    ),
    "no tie": (lambda: run_at(SNELL, flops=1e20), "Say how parameters and tokens are tied"),
    "no amount": (lambda: run_at(HOFFMANN), "nothing was given"),
    "two amounts": (lambda: run_at(HOFFMANN, params=1, tokens=1), "params and tokens was given"),
    "twice the tokens": (
        lambda: run_at(HOFFMANN, A.at_tokens(1e9), tokens=1e9),
        "the tokens are given twice",
    ),
    "negative tokens": (lambda: run_at(HOFFMANN, tokens=-1e9), "tokens must be positive"),
    "no FLOPs": (lambda: run_at(HOFFMANN, flops=0), "flops must be positive and finite, and 0"),
    "a loss of one amount": (lambda: loss_of(HOFFMANN, params=1e9), "takes two of params, tokens"),
    "a loss of three": (
        lambda: loss_of(HOFFMANN, params=1e9, tokens=1e9, flops=6e18),
        "params and tokens and flops was given",
    ),
    "L(N) of tokens": (lambda: loss_of(SNELL, tokens=1e9), "takes params, or tokens and flops"),
    "L(N) of too much": (lambda: loss_of(SNELL, params=1e9, tokens=1e9), "Give exactly those"),
    "a run without tokens": (
        lambda: loss_at(HOFFMANN, PretrainingRun(params=1e9)),
        "is of params and tokens, and the run has no tokens",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_impossible_request_says_what_is_possible(case):
    """Never a traceback, a nan or a number that means nothing."""
    ask, message = REFUSED[case]
    with pytest.raises(ScalingError, match=message):
        ask()


def test_the_highest_loss_that_is_offered_can_be_had():
    """Asking for the loss that the refusal names gives one parameter or one token."""
    for law in (HOFFMANN, EPOCH):
        for allocation in allocations(law):
            with pytest.raises(ScalingError, match="Ask for a loss of at most") as error:
                run_at_loss(law, 1e5, allocation)
            most = float(str(error.value).split("at most ")[1].rstrip("."))
            run = run_at_loss(law, most * (1 - 1e-5), allocation)
            assert min(run.params, run.tokens) == pytest.approx(1, rel=1e-3)


def test_without_a_law_the_allocation_says_the_rest():
    """FLOPs that are known need none, unless they are to be split for the least loss."""
    assert run_at(None, flops=1e22) == PretrainingRun(flops=1e22)
    run = run_at(None, Allocation.ratio(20), flops=1.2e22)
    assert (run.params, run.tokens) == (pytest.approx(1e10), pytest.approx(2e11))
    assert run_at(None, Allocation.at_params(1e10), flops=1.2e22).tokens == pytest.approx(2e11)
    with pytest.raises(ScalingError, match="without a law there is no compute-optimal split"):
        run_at(None, Allocation.compute_optimal(), flops=1e22)


def test_ten_thousand_runs_take_no_time():
    """No loop over elements: the slow case, two terms at a ratio, for 10,000 draws of a law."""
    rng = np.random.default_rng(3)
    draws = chinchilla(a=rng.uniform(300, 500, 10_000), alpha=rng.uniform(0.3, 0.4, 10_000))
    run = run_at_loss(draws, 2.0, Allocation.ratio(20))
    assert run.params.shape == (10_000,)
    assert loss_at(draws, run) == pytest.approx(2.0, rel=1e-14)
