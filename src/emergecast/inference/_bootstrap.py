"""Bootstrap: what the forecast would have been with other runs or other checkpoints.

Every resample is the same table with other row counts, so all of them are judged on one set of
nodes: those of a *tempered* posterior (all variances times `TEMPER`), wide enough to hold the
posterior of each resample. One matrix product per block of resamples replaces a search for each.
tau stays at the median of the full posterior. Each refit gives the mode of its density of E(D0).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.sparse import csr_array

from emergecast.inference._posterior import peaks
from emergecast.inference.exact import Collapsed, box_weights, elbow_cells, integrate, nodes

if TYPE_CHECKING:
    from emergecast.inference._coordinates import Coordinates
    from emergecast.inference._data import FitData, Floats, Ints

BOOTSTRAPS = 200
"""Resamples of each kind."""
TEMPER = 4.0
BLOCK = 50
BINS = 400
FEWEST_CHECKPOINTS = 4
FEWEST_AMOUNTS = 3


class Resample(StrEnum):
    """What is drawn with replacement."""

    RUN = "by_run"
    """Finetuning runs of the same checkpoint and data amount."""
    CHECKPOINT = "by_checkpoint"
    """Checkpoints, each with all its rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """Modes of E(D0) over resamples."""

    resample: Resample
    modes: Floats
    """Nats, shape (n - degenerate,)."""
    degenerate: int
    """Resamples with fewer than four checkpoints or three data amounts, or without any rise."""

    @property
    def n(self) -> int:
        """Resamples drawn."""
        return int(self.modes.size) + self.degenerate

    def quantile(self, probability: Floats | list[float]) -> Floats:
        """Quantiles of the modes, nats."""
        return np.asarray(np.quantile(self.modes, probability))


def bootstrap(
    shared: SharedNodes, resample: Resample, *, n: int, rng: np.random.Generator
) -> Bootstrap | None:
    """`n` refits of resampled tables, or None where there is nothing to resample.

    Args:
        shared: what all resamples of a table share.
        resample: what to draw with replacement.
        n: number of resamples.
        rng: randomness.
    """
    data = shared.data
    counts = _counts(data, resample, n, rng)
    if counts is None:
        return None
    modes, risen = [], []
    for start in range(0, n, BLOCK):
        mode, rise = shared.modes(counts[:, start : start + BLOCK])
        modes.append(mode)
        risen.append(rise)
    usable = _usable(data, counts) & np.concatenate(risen)
    return Bootstrap(
        resample=resample,
        modes=data.to_nats(np.concatenate(modes)[usable]),
        degenerate=int(n - np.count_nonzero(usable)),
    )


class SharedNodes:
    """Modes of E(D0) of many reweighted tables on one set of nodes."""

    def __init__(self, data: FitData, coordinates: Coordinates, noise: float) -> None:
        """Find the nodes.

        Args:
            data: the rows.
            coordinates: law and priors, as in the fit.
            noise: tau, in score.
        """
        tempered = replace(
            data,
            sampling_sd=data.sampling_sd * np.sqrt(TEMPER),
            repeats=data.repeats / TEMPER,
        )
        mass = integrate(tempered, coordinates)
        keep = mass.node_mass.ravel() > 1e-7
        points = nodes(mass.boxes).reshape(-1, 3)[keep]
        self.elbows, prior = coordinates.elbows_and_prior(points)
        self.ln_weight = prior + np.log(box_weights(mass.boxes).ravel()[keep])
        self.data, self.priors = data, coordinates.priors
        self.tau = noise / data.score_range
        centre, width = (part.ravel()[keep] for part in elbow_cells(coordinates, mass.boxes))
        weight = mass.node_mass.ravel()[keep]
        order = np.argsort(centre)
        low, high = np.interp(
            [1e-4, 1 - 1e-4], np.cumsum(weight[order]) / weight.sum(), centre[order]
        )
        self.grid = np.linspace(low, high, BINS)
        step = self.grid[1] - self.grid[0]
        self.spread = _spread_matrix(centre, self.grid)
        self.smooth = float(np.average(width, weights=weight)) / step

    def modes(self, counts: Floats) -> tuple[Floats, Floats]:
        """Modes (standard loss) and whether scores rise at all, both of shape (T,)."""
        tau = np.full(counts.shape[1], self.tau)
        collapsed = Collapsed(self.data, self.priors, tau, counts)
        ln_mass = collapsed.log_likelihood(self.elbows) + self.ln_weight[:, None]
        top = ln_mass.max(axis=0)
        mass = np.exp(ln_mass - top)
        risen = top + np.log(mass.sum(axis=0)) > collapsed.no_rise()
        density = gaussian_filter1d(self.spread @ mass, self.smooth, axis=0, mode="constant")
        return peaks(self.grid, density), np.asarray(risen)


def _spread_matrix(centre: Floats, grid: Floats) -> csr_array:
    """Shares each node's mass between the two nearest grid points, shape (BINS, N)."""
    place = np.clip((centre - grid[0]) / (grid[1] - grid[0]), 0, grid.size - 1.000001)
    left = place.astype(int)
    share = place - left
    column = np.arange(centre.size)
    return csr_array(
        (
            np.concatenate([1 - share, share]),
            (np.concatenate([left, left + 1]), np.concatenate([column, column])),
        ),
        shape=(grid.size, centre.size),
    )


def _counts(data: FitData, resample: Resample, n: int, rng: np.random.Generator) -> Floats | None:
    """How often each row counts in each resample, shape (rows, n); None if nothing can vary."""
    if resample is Resample.CHECKPOINT:
        _, index = np.unique(data.checkpoint, return_inverse=True)
        size = int(index.max()) + 1
        drawn = rng.multinomial(size, np.full(size, 1 / size), size=n).T
        return np.asarray(drawn[index], dtype=np.float64)
    _, cell = np.unique(np.column_stack([data.checkpoint, data.level]), axis=0, return_inverse=True)
    cell = np.asarray(cell).reshape(-1)
    counts = np.ones((data.loss.size, n))
    several = [np.flatnonzero(cell == value) for value in range(int(cell.max()) + 1)]
    several = [rows for rows in several if rows.size > 1 and _separate_runs(data, rows)]
    for rows in several:
        counts[rows] = rng.multinomial(rows.size, np.full(rows.size, 1 / rows.size), size=n).T
    return counts if several else None


def _separate_runs(data: FitData, rows: Ints) -> bool:
    """Whether the rows of a cell are finetuning runs of their own."""
    return bool(data.level[rows[0]] > 0 and not data.snapshot[rows].any())


def _usable(data: FitData, counts: Floats) -> NDArray[np.bool_]:
    """Which resamples hold enough checkpoints and data amounts to say anything, shape (n,)."""
    present = counts > 0

    def distinct(labels: Ints) -> Ints:
        return np.asarray(sum(present[labels == label].any(axis=0) for label in np.unique(labels)))

    finetuned = np.where(data.level > 0, data.level, -1)
    amounts = distinct(finetuned) - present[finetuned == -1].any(axis=0)
    return np.asarray(
        (distinct(data.checkpoint) >= FEWEST_CHECKPOINTS) & (amounts >= FEWEST_AMOUNTS)
    )
