"""Where a sum of falling exponentials has a given value."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

_STEPS: Final = 100
"""More than ever needed: the error falls at least by e a step while far away (36 of those span all
floats near 1), then quadratically."""
_ROUNDING: Final = 2 * np.finfo(np.float64).eps
"""Relative size of a step that changes nothing more."""


def falling_root(
    ln_height: Sequence[ArrayLike], slope: Sequence[ArrayLike], ln_sum: ArrayLike
) -> NDArray[np.float64]:
    """The x at which sum_k exp(ln_height_k - slope_k x) = exp(ln_sum), elementwise.

    The log of the sum is convex in x and falls. Where the largest term alone makes up the sum it
    lies between ln_sum and ln_sum + ln k, k the number of terms; from there each step of Newton's
    method ends left of the root again, so the steps are monotone for any constants.

    Args:
        ln_height: log of each term at x = 0; -inf for a term that is 0.
        slope: of each term, at least 0; where one is 0, ln_height is below ln_sum.
        ln_sum: log of the sum. All of these broadcast.
    """
    heights, slopes = ([np.asarray(each) for each in every] for every in (ln_height, slope))
    with np.errstate(divide="ignore", under="ignore"):
        alone = [(ln - ln_sum) / k for ln, k in zip(heights, slopes, strict=True)]
        x = reduce(np.maximum, alone)
        for _ in range(_STEPS):
            terms = [ln - k * x for ln, k in zip(heights, slopes, strict=True)]
            total = reduce(np.logaddexp, terms)
            fall = sum(k * np.exp(ln - total) for ln, k in zip(terms, slopes, strict=True))
            step = np.maximum((total - ln_sum) / fall, 0.0)
            x = x + step
            if np.all(step <= _ROUNDING * np.abs(x)):
                break
    return np.asarray(x)
