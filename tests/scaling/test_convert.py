from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from emergecast.errors import ScalingError
from emergecast.scaling import (
    CHINCHILLA_LAWS,
    Allocation,
    Resource,
    convert_loss,
    convert_run,
    loss_at,
    named_law,
    run_at_loss,
)

EPOCH = CHINCHILLA_LAWS["epoch"]
SNELL: Any = named_law("snell-llama2")
RNG = np.random.default_rng(5)
FLOORS = RNG.normal(EPOCH.floor_nats, 0.02, 4001)


def test_a_loss_and_its_run_convert_into_each_other():
    """Along every kind of allocation, from each amount that is free."""
    for allocation in (None, Allocation.ratio(20), Allocation.at_tokens(1e13)):
        there = convert_loss(EPOCH, 1.95, allocation)
        assert there.interval is None
        assert there.floors == ()
        for name in (Resource.PARAMS, Resource.FLOPS):
            amount = float(getattr(there.run, name))
            back = convert_run(EPOCH, allocation, given={name: amount})
            assert back.loss == pytest.approx(1.95, rel=1e-12)
            assert back.run.tokens == pytest.approx(there.run.tokens, rel=1e-10)


def test_two_amounts_are_the_run():
    """Without an allocation; with one the run would be determined twice."""
    given = {Resource.PARAMS: 70e9, Resource.TOKENS: 1.4e12}
    found = convert_run(EPOCH, given=given)
    assert found.loss == float(EPOCH.loss(70e9, 1.4e12))
    assert found.run.flops == pytest.approx(5.88e23)
    assert found.allocation is None
    with pytest.raises(ScalingError, match=r"params and tokens determine the run, and so does"):
        convert_run(EPOCH, Allocation.ratio(20), given=given)
    with pytest.raises(ScalingError, match="takes params, or tokens and flops"):
        convert_run(SNELL, given=given)


def test_a_loss_past_any_number_is_refused():
    """Rather than printed as infinite."""
    steep = dataclasses.replace(SNELL, a=1e308, alpha=300.0)
    with pytest.raises(ScalingError, match="Give a larger run"):
        convert_run(steep, given={Resource.PARAMS: 1e-3})


def test_an_interval_is_that_of_the_draws():
    """A floor that is normal moves the loss of a run as much, and a quantile of FLOPs with it."""
    draws = dataclasses.replace(EPOCH, floor_nats=FLOORS)
    found = convert_run(EPOCH, given={Resource.FLOPS: 1e24}, draws=draws)
    assert found.interval is not None
    assert found.interval["loss"] == pytest.approx(
        [found.loss - 1.645 * 0.02, found.loss + 1.645 * 0.02], abs=0.002
    )
    there = convert_loss(EPOCH, 2.0, draws=draws)
    assert there.interval is not None
    assert set(there.interval) == {"params", "tokens", "flops"}
    for end, sign in zip(there.interval["flops"], (-1, 1), strict=True):
        shifted = dataclasses.replace(EPOCH, floor_nats=EPOCH.floor_nats + sign * 1.645 * 0.02)
        assert end == pytest.approx(run_at_loss(shifted, 2.0).flops, rel=0.06)


def test_where_draws_do_not_reach_the_loss_the_interval_is_open():
    """A quarter of the floors lies above 1.83: the upper end is infinite, not an error or nan."""
    draws = dataclasses.replace(EPOCH, floor_nats=FLOORS)
    found = convert_loss(EPOCH, 1.83, draws=draws)
    assert found.interval is not None
    low, high = found.interval["flops"]
    assert math.isfinite(low)
    assert high == math.inf


def test_draws_in_which_nothing_falls_are_left_out():
    """A refit with B = 0 has no compute-optimal split; the interval is that of the others."""
    a, b = np.full(100, EPOCH.a), np.full(100, EPOCH.b)
    b[:20] = 0.0
    draws = dataclasses.replace(EPOCH, a=a, b=b)
    found = convert_loss(EPOCH, 2.0, draws=draws)
    assert found.interval is not None
    assert found.interval["params"] == pytest.approx([found.run.params] * 2, rel=1e-12)
    with pytest.raises(ScalingError, match="in any of its draws"):
        convert_loss(EPOCH, 2.0, draws=dataclasses.replace(EPOCH, a=a, b=0.0 * b))
    power = dataclasses.replace(SNELL, a=np.array([SNELL.a, 0.0]))
    assert convert_loss(SNELL, 1.4, draws=power).interval is not None


def test_other_floors():
    """Each with the law it makes and what becomes of the run, or of the loss."""
    there = convert_loss(SNELL, 1.361, floors=(0.0, 0.9, 1.4))
    amounts = [float(each.run.params) for each in there.floors]  # type: ignore[arg-type]
    assert amounts[0] == pytest.approx(there.run.params, rel=1e-10)
    assert amounts[1] > amounts[0]
    assert amounts[2] == math.inf
    back = convert_run(EPOCH, given={Resource.FLOPS: 1e24}, floors=(1.5,))
    assert back.floors[0].loss < back.loss
    assert back.floors[0].loss == float(loss_at(back.floors[0].law, back.floors[0].run))


@pytest.mark.parametrize(("params", "beyond"), [(7e10, 1.0), (14e10, 2.0), (3.5e9, 0.5)])
def test_how_far_beyond_the_span(params, beyond):
    """LLaMA 2 spans 7B to 70B: 1 within, a multiple beyond, a fraction below."""
    assert convert_run(SNELL, given={Resource.PARAMS: params}).beyond_span == pytest.approx(beyond)
    bare = dataclasses.replace(SNELL, span=None)
    assert convert_run(bare, given={Resource.PARAMS: params}).beyond_span is None
