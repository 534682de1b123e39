"""What runs that nobody has made yet would say about the few-shot elbow.

Everything is read off draws of the posterior. A run's score has, under each draw, a normal
distribution (Student-t under a law that says so); what the score says about E(D0) is their mutual
information, in nats,

    I = sum over bins b of E(D0) and scores y of p(b, y) ln[p(b, y) / (p(b) p(y))]

summed over a grid of scores, so that no score needs to be drawn. A batch is built one run at a
time: the scores of the runs already taken are drawn in a number of worlds, each world weighs the
draws by how well they predict its scores, and the next run is judged in each world. Small samples
make two unrelated things look related, so what the same draws seem to say about a shuffled elbow
is taken off.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, ndtri, stdtr

from emergecast.emergence_law import STUDENT_FREEDOM
from emergecast.inference import INTERVAL, ln_normal, ln_student

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Singles = NDArray[np.float32]
    Ints = NDArray[np.int64]

BINS = 24
"""Equally heavy bins of E(D0)."""
WORLDS = 48
"""Imagined outcomes of the runs already taken."""
REACH = 4.5
"""How many standard deviations of noise the grid of scores goes beyond the outermost mean."""
FINENESS = 0.6
"""Width of its cells, in standard deviations of the least noise, unless there are too many."""
FEWEST_CELLS, MOST_CELLS = 24, 96
FEWEST_EFFECTIVE = 64.0
"""Below so many effective draws in the middle world, nothing more is judged."""
SMALLEST = 1e-18
"""A weight or probability below this is none; products of two stay normal in single precision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """The score of one possible run, under each draw; arrays of shape (N,)."""

    mean: Floats
    """Noiseless score."""
    sd: Floats
    """Sampling error and run-to-run noise, score; a scale where `heavy`."""
    heavy: NDArray[np.bool_]
    """Whether the score is Student-t rather than normal."""

    def ln_density(self, score: Floats) -> Floats:
        """Log density of scores, shape (M,), under each draw: shape (M, N)."""
        residual, variance = score[:, None] - self.mean, self.sd**2
        return np.where(self.heavy, ln_student(residual, variance), ln_normal(residual, variance))

    def grid(self) -> Singles:
        """Probability of each of G cells of the score, under each draw: shape (N, G)."""
        mean, sd, heavy = self.mean, self.sd, self.heavy
        low, high = float(np.min(mean - REACH * sd)), float(np.max(mean + REACH * sd))
        wanted = (high - low) / (FINENESS * float(np.quantile(sd, 0.05)))
        count = int(np.clip(np.ceil(wanted), FEWEST_CELLS, MOST_CELLS))
        edges = np.linspace(low, high, count + 1)
        z = (edges - mean[:, None]) / sd[:, None]
        below = ndtr(z)
        if heavy.any():
            below[heavy] = stdtr(STUDENT_FREEDOM, z[heavy])
        below[:, 0], below[:, -1] = 0.0, 1.0
        return _singles(np.diff(below, axis=1))

    def drawn(self, of: Ints, rng: np.random.Generator) -> Floats:
        """One score under each of the draws `of`, spread evenly over their noise; (M,)."""
        ranks = rng.permutation((np.arange(of.size) + 0.5) / of.size)
        noise = np.where(
            self.heavy[of],
            rng.standard_t(STUDENT_FREEDOM, of.size),
            ndtri(ranks),
        )
        return np.asarray(self.mean[of] + self.sd[of] * noise)


class Outlook:
    """What is known of E(D0) if some runs have been made, judged by draws of the posterior now."""

    def __init__(self, elbow: Floats, rng: np.random.Generator) -> None:
        """Nothing is taken yet.

        Args:
            elbow: draws of E(D0), nats, shape (N,).
            rng: draws the scores of runs that are taken.
        """
        self._elbow, self._rng = elbow, rng
        n = elbow.size
        self._order = np.argsort(elbow, kind="stable")
        self._shuffled = rng.permutation(n)
        self._starts = np.round(np.linspace(0, n, BINS + 1)).astype(np.int64)[:-1]
        worlds = np.round((np.arange(WORLDS) + 0.5) * n / WORLDS - 0.5).astype(np.int64)
        self._truth = self._order[worlds]
        self._ln_weight = np.zeros((1, n))

    @property
    def weights(self) -> Floats:
        """Weight of each draw in each world, (M, N); one world as long as nothing is taken."""
        weight = np.exp(self._ln_weight - self._ln_weight.max(axis=1, keepdims=True))
        return np.asarray(weight / weight.sum(axis=1, keepdims=True))

    @property
    def effective(self) -> float:
        """Effective draws in the middle world; few mean that nothing more can be judged."""
        return float(np.median(1 / np.sum(self.weights**2, axis=1)))

    @property
    def exhausted(self) -> bool:
        """Whether too few draws are left to judge another run."""
        return self.effective < FEWEST_EFFECTIVE

    @property
    def width(self) -> float:
        """Expected width of the 90% interval of E(D0), nats."""
        cumulative = np.cumsum(self.weights[:, self._order], axis=1)
        ends = [
            np.sum(cumulative < tail, axis=1).clip(max=self._elbow.size - 1)
            for tail in INTERVAL[::2]
        ]
        low, high = (self._elbow[self._order[end]] for end in ends)
        return float(np.mean(high - low))

    def mean_sd(self, values: Floats) -> tuple[float, float]:
        """Expected mean and standard deviation of any quantity of a draw, (N,), over worlds."""
        weight = self.weights
        mean = weight @ values
        variance = np.maximum(weight @ values**2 - mean**2, 0.0)
        return float(np.mean(mean)), float(np.mean(np.sqrt(variance)))

    def information(self, run: Predicted) -> float:
        """Information about E(D0) in the score of a run, nats, given those taken."""
        weight, grid = _singles(self.weights), run.grid()
        found = self._mutual(weight, grid, self._order) - self._mutual(weight, grid, self._shuffled)
        return max(found, 0.0)

    def take(self, run: Predicted) -> None:
        """Suppose that the run is made: its score is drawn in every world."""
        if self._ln_weight.shape[0] == 1:
            self._ln_weight = np.zeros((WORLDS, self._elbow.size))
            self._ln_weight[np.arange(WORLDS), self._truth] = -np.inf
        self._ln_weight = self._ln_weight + run.ln_density(run.drawn(self._truth, self._rng))

    def _mutual(self, weight: Singles, grid: Singles, order: Ints) -> float:
        """Mean over worlds of the mutual information of the bins of `order` and the score."""
        edges = [*self._starts, self._elbow.size]
        joint = np.stack(
            [weight[:, order[low:high]] @ grid[order[low:high]] for low, high in pairwise(edges)],
            axis=1,
        )
        joint = joint.astype(np.float64)
        bins, scores = joint.sum(axis=2, keepdims=True), joint.sum(axis=1, keepdims=True)
        tiny = np.finfo(float).tiny
        ratio = np.log(np.maximum(joint, tiny)) - np.log(np.maximum(bins * scores, tiny))
        return float(np.mean(np.sum(joint * ratio, axis=(1, 2))))


def _singles(values: Floats) -> Singles:
    """In single precision; what is as good as 0 is 0, because subnormal numbers are slow."""
    return np.where(values < SMALLEST, 0.0, values).astype(np.float32)
