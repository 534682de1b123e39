"""Where falling exponentials add up to a value: closed forms, and what bisection finds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import logsumexp

from emergecast.scaling._falling_root import falling_root


@pytest.mark.parametrize("terms", [1, 2, 3])
def test_equal_terms_by_hand(terms: int):
    """The k terms k exp(h - s x) are exp(y) where x = (h + ln k - y) / s."""
    found = falling_root([5.0] * terms, [0.3] * terms, -2.0)
    assert float(found) == pytest.approx((7.0 + np.log(terms)) / 0.3, rel=1e-15)


def test_a_term_that_is_zero_or_does_not_fall():
    """Without the one the other decides; beside the other it makes up what is left of the sum."""
    assert float(falling_root([-np.inf, 4.0], [0.5, 2.0], 0.0)) == pytest.approx(2.0, rel=1e-15)
    level = falling_root([np.log(0.25), 4.0], [0.0, 2.0], 0.0)  # exp(4 - 2 x) = 3/4
    assert float(level) == pytest.approx((4.0 - np.log(0.75)) / 2.0, rel=1e-15)


def test_three_terms_of_every_kind_agree_with_bisection():
    """Heights over 60 decades and slopes over 4, many at once."""
    rng = np.random.default_rng(1)
    heights, slopes = rng.uniform(-70, 70, (3, 200)), 10 ** rng.uniform(-3, 1, (3, 200))
    sums = rng.uniform(-20, 5, 200)
    found = falling_root(list(heights), list(slopes), sums)
    for i, x in enumerate(found):

        def gap(at: float, i: int = i) -> float:
            return float(logsumexp(heights[:, i] - slopes[:, i] * at) - sums[i])

        reach = 10 + 200 / slopes[:, i].min()
        assert x == pytest.approx(brentq(gap, -reach, reach, xtol=1e-10, rtol=1e-14), rel=1e-9)
