"""What every distribution of an elbow can say: posteriors, baselines and frozen forecasts alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


class LossDistribution(Protocol):
    """A distribution of a loss; arrays of any shape in, the same shape out, losses in nats."""

    def quantile(self, probability: ArrayLike, /) -> NDArray[np.float64]:
        """The losses below which these shares of the probability lie."""
        ...

    def cumulative(self, loss: ArrayLike, /) -> NDArray[np.float64]:
        """P(elbow <= loss)."""
        ...

    def density(self, loss: ArrayLike, /) -> NDArray[np.float64]:
        """Probability density per nat."""
        ...
