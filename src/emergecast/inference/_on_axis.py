"""A posterior of the few-shot elbow as a reader sees it: in the unit of the axis asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from emergecast.inference._posterior import QUANTILES

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from emergecast.inference._posterior import Posterior
    from emergecast.measurements import Axis


@dataclass(frozen=True, slots=True, kw_only=True)
class ElbowOnAxis:
    """The distribution of the few-shot elbow along an axis; arrays of any shape go in and out.

    On loss in nats it is the posterior itself. Where higher is stronger, the lower value is the
    earlier emergence.
    """

    posterior: Posterior
    axis: Axis

    def quantile(self, probability: ArrayLike) -> NDArray[np.float64]:
        """Values of the axis below which these shares of the probability lie."""
        if self.axis.higher_is_stronger:
            probability = 1.0 - np.asarray(probability)
        return self.axis.to_axis(self.posterior.quantile(probability))

    def cumulative(self, value: ArrayLike) -> NDArray[np.float64]:
        """P(elbow <= value)."""
        higher, internal = self.axis.higher_is_stronger, self._internal(value)
        return self.posterior.emerged(internal) if higher else self.posterior.cumulative(internal)

    def density(self, value: ArrayLike) -> NDArray[np.float64]:
        """Density per unit of the axis."""
        return self.posterior.density(self._internal(value))

    def emerged(self, value: ArrayLike) -> NDArray[np.float64]:
        """Probability that a model at this value has emerged.

        P(elbow >= value) on loss; P(elbow <= value) where higher is stronger.
        """
        return self.posterior.emerged(self._internal(value))

    def quantiles(self) -> dict[str, float]:
        """The values of `QUANTILES`, in rising order."""
        values = sorted(self.axis.to_axis(self.posterior.quantile(list(QUANTILES.values()))))
        return dict(zip(QUANTILES, map(float, values), strict=True))

    def _internal(self, value: ArrayLike) -> NDArray[np.float64]:
        return self.axis.from_axis(np.asarray(value, dtype=np.float64))
