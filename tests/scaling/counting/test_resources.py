"""The third of parameters, tokens and FLOPs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from emergecast.scaling import Resource, complete_amounts

CHINCHILLA = {Resource.PARAMS: 70e9, Resource.TOKENS: 1.4e12, Resource.FLOPS: 5.88e23}
"""By hand: 6 x 70e9 x 1.4e12."""


@pytest.mark.parametrize("missing", Resource)
def test_two_amounts_give_the_third(missing: Resource):
    """Whichever is missing; in the usual order whatever the order given."""
    known = {of: amount for of, amount in reversed(CHINCHILLA.items()) if of is not missing}
    found = complete_amounts(known)
    assert list(found) == [*(of for of in Resource if of is not missing), missing]
    assert found[missing] == pytest.approx(CHINCHILLA[missing], rel=1e-15)
    assert all(found[of] == amount for of, amount in known.items())


def test_one_amount_gives_no_other_and_three_stand_as_they_are():
    """FLOPs that somebody counted otherwise are not touched."""
    assert complete_amounts({Resource.TOKENS: 1e9}) == {Resource.TOKENS: 1e9}
    counted = CHINCHILLA | {Resource.FLOPS: 1e23}
    assert complete_amounts(counted) == counted


def test_amounts_broadcast_and_may_be_infinite():
    """What no run reaches takes infinitely much; what is past any float is infinite."""
    found = complete_amounts({Resource.PARAMS: [[1e9], [np.inf]], Resource.TOKENS: [2e10, 1e300]})
    assert found[Resource.FLOPS].tolist() == [[pytest.approx(1.2e20), math.inf], [math.inf] * 2]
