"""How a score rises past its elbow: a curve that starts in a toe and ends in a shoulder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

FIRST, LAST, STEP = -12.0, 6.0, 0.01
"""Ends and step of the table of a curve, in shares of the rise."""
WEAKEST, STRONGEST = -2.0, 1.0
"""Between these a straight line is fitted, to say where the elbow of a rounded curve is."""
ELBOWS = np.arange(-1.5, 0.5, 0.005)
"""Where that elbow is looked for."""


@dataclass(frozen=True, kw_only=True)
class Response:
    """The share of its ceiling to which a score has risen.

        f(u) = t ln(1 + exp(u / t)) - s ln(1 + exp((u - 1) / s))

    From 0 to 1 as u grows, straight in between. With x past the elbow (in any unit), slope A and
    ceiling c, the score is chance + c f(u), u = elbow + A x / (c slope): `elbow` and `slope` are
    those of the best ReLU, so that E and A mean what they mean for a sharp elbow.
    """

    toe: float
    """t, in shares of the rise; the smaller, the sharper the elbow."""
    shoulder: float
    """s, the same for the ceiling."""

    def share(self, u: ArrayLike) -> Floats:
        """f(u), any shape."""
        at = np.asarray(u, dtype=np.float64)
        risen = self.toe * np.logaddexp(0.0, at / self.toe)
        return np.asarray(risen - self.shoulder * np.logaddexp(0.0, (at - 1) / self.shoulder))

    @cached_property
    def table(self) -> Floats:
        """F from `FIRST` to `LAST` in steps of `STEP`."""
        return self.share(FIRST + STEP * np.arange(round((LAST - FIRST) / STEP) + 1))

    @cached_property
    def _relu(self) -> tuple[float, float]:
        """Elbow and slope of the ReLU that fits f best by least squares, its base free."""
        u = np.arange(WEAKEST, STRONGEST + STEP / 2, STEP)
        share = self.share(u) - np.mean(self.share(u))
        past = np.maximum(u - ELBOWS[:, None], 0.0)
        past -= past.mean(axis=1, keepdims=True)
        along, square = past @ share, np.sum(past**2, axis=1)
        best = int(np.argmax(along**2 / square))
        return float(ELBOWS[best]), float(along[best] / square[best])

    @property
    def elbow(self) -> float:
        """U at the elbow of that ReLU."""
        return self._relu[0]

    @property
    def slope(self) -> float:
        """Its slope, share of the rise per unit of u."""
        return self._relu[1]


@lru_cache(maxsize=256)
def response(toe: float, shoulder: float) -> Response:
    """The curve of a toe and a shoulder, whose elbow is looked for once."""
    return Response(toe=toe, shoulder=shoulder)
