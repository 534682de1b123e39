from __future__ import annotations

import math

import pytest

from emergecast.errors import ScalingError
from emergecast.scaling import Allocation, Tie


def test_an_allocation_says_itself_in_words():
    """As reports print it."""
    every = [
        Allocation.compute_optimal(),
        Allocation.ratio(20),
        Allocation.at_tokens(1.4e12),
        Allocation.at_params(70e9),
    ]
    assert [str(each) for each in every] == [
        "compute-optimal",
        "20 tokens per parameter",
        "at 1.40T tokens",
        "at 70.0B parameters",
    ]


@pytest.mark.parametrize("bad", [0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("make", [Allocation.ratio, Allocation.at_tokens, Allocation.at_params])
def test_an_impossible_amount_is_refused(make, bad):
    """Nothing, less than nothing, and what is no number."""
    with pytest.raises(ScalingError, match=r"(tokens|parameter).* must be positive and finite"):
        make(bad)


def test_a_value_and_a_tie_that_do_not_go_together_are_refused():
    """A ratio without a number, and a number with the compute-optimal split."""
    with pytest.raises(ScalingError, match=r"tokens per parameter must be .*None is not"):
        Allocation(tie=Tie.RATIO)
    with pytest.raises(ScalingError, match="has no value, and 20 was given"):
        Allocation(tie=Tie.COMPUTE_OPTIMAL, value=20.0)
