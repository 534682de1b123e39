"""The likelihood of a law with Student-t scores, in which nothing can be integrated out.

A vector is that of `Space`, followed by what enters linearly, each in units of its prior:
ln A, B, Delta, then a standard normal for every series, level and checkpoint that deviates.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from emergecast.inference._likelihood import ROOT_TWO_PI, ln_student_rows
from emergecast.inference._likelihood_arrays import Linear
from emergecast.inference.sampled._marginal import Marginal
from emergecast.inference.sampled._space import FARTHEST_SCALE, SMALLEST_LN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emergecast.inference._data import FitData, Floats
    from emergecast.inference.sampled._space import Space


class Explicit:
    """Log prior and log likelihood of vectors that hold every parameter; standard units."""

    def __init__(self, data: FitData, space: Space, keep: NDArray[np.bool_] | None = None) -> None:
        """Prepare what no vector changes; arguments as of `Marginal`."""
        self.rows = Marginal(data, space, keep)
        self.space, priors = space, space.priors
        rows = self.rows
        self._parts = {
            "level": rows.n_level,
            "series": rows.n_series,
            "slopes": rows.n_levels if rows.slopes else 0,
            "checkpoint": rows.n_checkpoints if rows.deviation else 0,
        }
        self._ln_slope_scale = math.log(priors.slope_scale)

    @property
    def size(self) -> int:
        """Length of a vector beyond that of the space."""
        return int(1 + sum(self._parts.values()))

    def sample_prior(self, n: int, rng: np.random.Generator) -> Floats:
        """The explicit part of n prior draws, shape (n, size)."""
        tiny = np.finfo(float).tiny
        slope = np.log(np.maximum(np.abs(rng.standard_normal(n)), tiny)) + self._ln_slope_scale
        return np.column_stack([slope, rng.standard_normal((n, self.size - 1))])

    def log_prior(self, explicit: Floats) -> Floats:
        """Log prior density of the explicit part, shape (N,)."""
        ln_reach = explicit[:, 0] - self._ln_slope_scale
        reach = np.exp(np.clip(ln_reach, SMALLEST_LN, math.log(FARTHEST_SCALE)))
        ln_density = (
            math.log(2)
            + ln_reach
            - 0.5 * reach**2
            - 0.5 * np.sum(explicit[:, 1:] ** 2, axis=1)
            - self.size * ROOT_TWO_PI
        )
        return np.where(ln_reach > math.log(FARTHEST_SCALE), -np.inf, ln_density)

    def linear(self, vectors: Floats) -> Linear:
        """What enters linearly, from whole vectors."""
        rows, priors = self.rows, self.space.priors
        parts = dict(self._split(vectors))
        n = vectors.shape[0]
        most = self._ln_slope_scale + math.log(FARTHEST_SCALE)
        slope = np.exp(np.clip(vectors[:, self.space.size], SMALLEST_LN, most))
        slopes = np.repeat(slope[:, None], rows.n_levels, axis=1)
        if rows.slopes:
            slopes = slopes + self.space.scale(vectors, "omega")[:, None] * parts["slopes"]
        level = priors.level_scale * parts["level"]
        kappa = self.space.scale(vectors, "kappa")[:, None]
        series = self.space.scale(vectors, "kappa_series")[:, None] * parts["series"]
        return Linear(
            level=level[:, 0],
            offset=level[:, 1] if rows.any_few_shot else np.zeros(n),
            slope=slope,
            slopes=slopes,
            series=series,
            checkpoint=kappa * parts["checkpoint"]
            if rows.deviation
            else np.zeros((n, rows.n_checkpoints)),
        )

    def log_likelihood(self, vectors: Floats, elbows: Floats) -> Floats:
        """Log p(scores | vector), shape (N,)."""
        rows = self.rows
        return ln_student_rows(rows.rows, rows.under(vectors, elbows), self.linear(vectors))

    def _split(self, vectors: Floats) -> list[tuple[str, Floats]]:
        start, parts = self.space.size + 1, []
        for name, size in self._parts.items():
            parts.append((name, vectors[:, start : start + size]))
            start += size
        return parts
