"""The same law with another floor."""

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
    PowerLaw,
    PretrainingRun,
    loss_at,
    named_law,
)

# As Any: what kind of law comes back is known here.
with_floor: Any = scaling.with_floor
run_at: Any = scaling.run_at
run_at_loss: Any = scaling.run_at_loss
SNELL: Any = named_law("snell-llama2")
EPOCH: Any = named_law("epoch")
SPANNED = [name for name, law in NAMED_LAWS.items() if law.span is not None]


def ends(law: Any) -> tuple[PretrainingRun, PretrainingRun]:
    """The runs at the ends of the law's span."""
    if isinstance(law, PowerLaw):
        assert law.span is not None
        return PretrainingRun(**{law.of.value: law.span[0]}), PretrainingRun(
            **{law.of.value: law.span[1]}
        )
    return run_at(law, flops=law.span[0]), run_at(law, flops=law.span[1])


@pytest.mark.parametrize("name", SPANNED)
@pytest.mark.parametrize("floor", [0.0, 0.7, 1.4])
def test_the_losses_at_both_ends_stay(name, floor):
    """And the floor is the new one."""
    law: Any = NAMED_LAWS[name]
    other = with_floor(law, floor)
    assert other.floor_nats == floor
    for run in ends(law):
        assert float(loss_at(other, run)) == pytest.approx(float(loss_at(law, run)), rel=1e-12)


@pytest.mark.parametrize("name", SPANNED)
def test_the_law_with_its_own_floor_is_the_law(name):
    """To rounding."""
    law: Any = NAMED_LAWS[name]
    same = with_floor(law, law.floor_nats)
    for field in ("a", "alpha", *(() if isinstance(law, PowerLaw) else ("b", "beta"))):
        assert getattr(same, field) == pytest.approx(getattr(law, field), rel=1e-10)


def test_a_power_law_through_two_points_as_worked_by_hand():
    """L = 4 / sqrt(X) is 2 and 1 at 4 and 16; with E = 0.5, 1.5 and 0.5: alpha = ln 3 / ln 4."""
    law = dataclasses.replace(SNELL, a=4.0, alpha=0.5, span=(4.0, 16.0))
    other = with_floor(law, 0.5)
    assert other.alpha == pytest.approx(math.log(3) / math.log(4), rel=1e-14)
    assert other.a == pytest.approx(1.5 * 3, rel=1e-14)


def test_what_a_floor_does_to_the_published_forecast():
    """325B of LLaMA 2 without a floor; every higher floor asks for more, and 1.361 for too much.

    Oracle: the line through (ln 7e9, ln(L - E)) and (ln 70e9, ln(L - E)), followed by hand.
    """
    l7, l70 = (2.005 * n**-0.067 for n in (7.0, 70.0))
    found = []
    for floor in (0.0, 0.3, 0.6, 0.9, 1.2):
        decades = math.log(l7 - floor) - math.log(l70 - floor)
        share = (math.log(l70 - floor) - math.log(1.361 - floor)) / decades
        found.append(float(run_at_loss(with_floor(SNELL, floor), 1.361).params))
        assert found[-1] == pytest.approx(70e9 * 10**share, rel=1e-10)
    assert found[0] == pytest.approx(325e9, rel=0.005)
    assert np.all(np.diff(found) > 0)
    never = run_at_loss(with_floor(SNELL, 1.361), 1.361, unreachable="inf")
    assert never.params == math.inf


@pytest.mark.parametrize("name", CHINCHILLA_LAWS)
def test_the_compute_optimal_split_survives_another_floor(name):
    """Through two compute-optimal runs every budget keeps its split; only its loss changes."""
    law = CHINCHILLA_LAWS[name]
    flops = np.geomspace(1e17, 1e26, 10)
    old, new = run_at(law, flops=flops), run_at(with_floor(law, 1.2), flops=flops)
    np.testing.assert_allclose(new.params, old.params, rtol=1e-10)


@given(
    floor=st.floats(0, 1.9),
    ln_n=st.floats(math.log(1e7), math.log(1e10)),
    ln_d=st.floats(math.log(1e9), math.log(1e12)),
    up=st.tuples(st.floats(0.1, 5), st.floats(0.1, 5)),
    swap=st.booleans(),
)
def test_any_two_runs_of_which_one_is_larger_will_do(floor, ln_n, ln_d, up, swap):
    """In either order; the stretch of the exponents is what bisection finds."""
    small = PretrainingRun(params=math.exp(ln_n), tokens=math.exp(ln_d))
    large = PretrainingRun(params=math.exp(ln_n + up[0]), tokens=math.exp(ln_d + up[1]))
    losses = [float(loss_at(EPOCH, run)) for run in (small, large)]
    if floor > losses[1] - 1e-3:
        return
    other = with_floor(EPOCH, floor, (large, small) if swap else (small, large))
    assert [float(loss_at(other, run)) for run in (small, large)] == pytest.approx(
        losses, rel=1e-11
    )
    above = losses[0] - EPOCH.floor_nats
    share = EPOCH.a / math.exp(ln_n * EPOCH.alpha) / above

    def gap(t: float) -> float:
        fall = share * math.exp(-t * EPOCH.alpha * up[0])
        fall += (1 - share) * math.exp(-t * EPOCH.beta * up[1])
        return float(fall - (losses[1] - floor) / (losses[0] - floor))

    wanted = brentq(gap, 0.0, 1e4, xtol=1e-13)
    assert other.alpha / EPOCH.alpha == pytest.approx(wanted, rel=1e-8)
    assert other.beta / EPOCH.beta == pytest.approx(wanted, rel=1e-8)


def test_runs_that_differ_in_tokens_alone():
    """Their losses stay under a floor at which the size's own term leaves room, else an error."""
    runs = PretrainingRun(params=1e9, tokens=1e10), PretrainingRun(params=1e9, tokens=1e11)
    other = with_floor(EPOCH, 1.5, runs)
    for run in runs:
        assert float(loss_at(other, run)) == pytest.approx(float(loss_at(EPOCH, run)), rel=1e-12)
    with pytest.raises(ScalingError, match=r"differ in one resource only.*Give a lower floor"):
        with_floor(EPOCH, float(loss_at(EPOCH, runs[1])) - 0.01, runs)


def test_draws_get_another_floor_one_by_one():
    """Constants of shape (n,) as in a loop."""
    rng = np.random.default_rng(4)
    alpha, a = rng.uniform(0.05, 0.1, 6), rng.uniform(7, 9, 6)
    many = with_floor(dataclasses.replace(SNELL, alpha=alpha, a=a), 0.2)
    for i in range(6):
        one = with_floor(dataclasses.replace(SNELL, alpha=float(alpha[i]), a=float(a[i])), 0.2)
        assert many.alpha[i] == pytest.approx(one.alpha, rel=1e-13)
        assert many.a[i] == pytest.approx(one.a, rel=1e-12)


@pytest.mark.parametrize("scale", [1e-9, 1e3])
def test_units_do_not_matter(scale):
    """The law in other units gets the same new floor and the same answers."""
    law = dataclasses.replace(
        EPOCH, a=EPOCH.a / scale**EPOCH.alpha, span=tuple(x / scale for x in EPOCH.span)
    )
    ours, theirs = (run_at_loss(with_floor(each, 1.5), 1.9) for each in (EPOCH, law))
    assert ours.params == pytest.approx(theirs.params * scale, rel=1e-9)
    assert ours.tokens == pytest.approx(theirs.tokens, rel=1e-9)


def test_an_impossible_floor_says_which_are_possible():
    """At or above the loss of the larger run, below 0, and no number."""
    for floor in (1.6, -0.1, math.nan):
        with pytest.raises(ScalingError, match=r"floor of .* loss is 1\.50832 .*at least 0"):
            with_floor(SNELL, floor)


def test_runs_that_do_not_fix_the_law_are_refused():
    """No span, equal runs, one larger here and one there, and an amount that is missing."""
    with pytest.raises(ScalingError, match="Say between which amounts"):
        with_floor(dataclasses.replace(SNELL, span=None), 0.3)
    with pytest.raises(ScalingError, match="neither is the larger in params"):
        with_floor(SNELL, 0.3, (PretrainingRun(params=1e9), PretrainingRun(params=1e9)))
    crossed = PretrainingRun(params=1e9, tokens=1e12), PretrainingRun(params=1e10, tokens=1e11)
    with pytest.raises(ScalingError, match="neither is the larger in params and tokens"):
        with_floor(EPOCH, 1.5, crossed)
    with pytest.raises(ScalingError, match="the run has no tokens"):
        with_floor(EPOCH, 1.5, (PretrainingRun(params=1e9), PretrainingRun(params=1e10)))


@pytest.mark.parametrize("law", [EPOCH, SNELL], ids=["two terms", "one term"])
def test_a_law_that_is_its_floor_has_no_other(law):
    """No exponent makes nothing fall: a numerator of 0, or runs too large for any float."""
    zero = {"a": 0.0, "b": 0.0} if law is EPOCH else {"a": 0.0}
    steep = {"alpha": 99.0, "beta": 99.0} if law is EPOCH else {"alpha": 99.0}
    for changes in (zero, steep):
        nothing = dataclasses.replace(law, floor_nats=1.5, **changes)
        with pytest.raises(ScalingError, match="is its floor already at the smaller"):
            with_floor(nothing, 0.0, ends(law))
