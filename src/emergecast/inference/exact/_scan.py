"""The scan: where the posterior is, found from the prior's box down.

The box is halved again and again. A box is dropped when even an optimistic bound of its density is
negligible. The misfit above a noise floor that no law can beat behaves like a squared distance, and
a box can hardly shrink that distance by more than its fitted mean moves from the centre to the
faces. That move is measured at seven points and not proven to be the largest: the bound is a guess
with a margin (`SAFETY`), checked against brute force. It is what finds narrow ridges and distant
modes at any noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import isotonic_regression

from emergecast.inference.exact._boxes import STAR, Boxes
from emergecast.inference.exact._collapsed import (
    Collapsed,
    collapsed_slope,
    log_half_normal,
    log_sum,
)

if TYPE_CHECKING:
    from emergecast.inference._coordinates import Coordinates
    from emergecast.inference._data import FitData, Floats, Ints
    from emergecast.inference.exact._boxes import Mask

SCAN_TAU = np.array([0.02, 0.06, 0.15, 0.35, 0.8, 1.6, 3.5])
"""Noise scales of the scan, in units of the prior's scale."""
MIDDLE_TAU = 3
"""Column of SCAN_TAU at which fitted means are compared."""
FIRST_GRID = (12, 8, 4)
NEGLIGIBLE = 17.0
"""Log density below the best at which a box is dropped."""
FORGOTTEN = 1e-6
"""Share of the mass that may be dropped with the boxes that hold least."""
SCAN_STEP = 1.8
"""A box is small enough when its half-widths are below this many standard deviations."""
FINE = 4.0
"""Below this strain the density is measured on the faces of a box instead of bounded."""
SAFETY = 1.2
"""By how much a bound exceeds what was measured at the centre and the faces of a box."""
CHUNK = 256
MOST_POINTS = 400_000
"""Points after which the scan stops with the boxes it has."""


def scan(data: FitData, coordinates: Coordinates) -> tuple[Boxes, int]:
    """Boxes that hold all but a negligible part of the posterior, and how many points it took."""
    density = _DensityBounds(data, coordinates)
    live = Boxes.grid(*coordinates.box(), FIRST_GRID)
    fine = np.zeros(len(live), dtype=bool)
    done: list[Boxes] = []
    bounds: list[Floats] = []
    while len(live) and density.count < MOST_POINTS:
        bound, strain, fine = density(live, fine)
        keep = bound > density.best - NEGLIGIBLE
        small = strain.max(axis=1) <= SCAN_STEP
        done.append(live.take(keep & small))
        bounds.append(bound[keep & small])
        again = keep & ~small
        live = live.take(again).halved(np.argmax(strain[again], axis=1))
        fine = np.tile(fine[again], 2)
    boxes = Boxes.join(*done, live)
    bound = np.concatenate([*bounds, np.full(len(live), np.inf)])
    return boxes.take(_holding_mass(boxes, np.minimum(bound, density.best))), density.count


def _holding_mass(boxes: Boxes, ln_density: Floats) -> Mask:
    """The boxes that together hold all but a share of FORGOTTEN of the mass, shape (N,)."""
    ln_mass = ln_density + np.log(boxes.half).sum(axis=1)
    mass = np.exp(ln_mass - ln_mass.max())
    order = np.argsort(mass)
    held = np.cumsum(mass[order]) > FORGOTTEN * mass.sum()
    keep = np.empty(len(boxes), dtype=bool)
    keep[order] = held
    return keep


class _DensityBounds:
    """Bounds the density of boxes and says along which axis each is still too wide."""

    def __init__(self, data: FitData, coordinates: Coordinates) -> None:
        priors = coordinates.priors
        tau = SCAN_TAU * priors.noise_scale
        self.coordinates = coordinates
        self.collapsed = Collapsed(data, priors, tau)
        self.ln_tau = log_half_normal(tau, priors.noise_scale) + np.log(np.gradient(tau))
        self.noise_floor = _noise_floor(self.collapsed)
        self.best = -np.inf
        self.count = 0

    def __call__(self, boxes: Boxes, fine: Mask) -> tuple[Floats, Floats, Mask]:
        """Optimistic log density (N,), strain along each axis (N, 3), and which boxes are fine.

        Strain is about the half-width in standard deviations of the density around the box. A fine
        box is so small that its density is measured, not bounded; so are the boxes cut from it.
        """
        bound, strain = np.empty(len(boxes)), np.empty((len(boxes), 3))
        fine = fine.copy()
        coarse = np.flatnonzero(~fine)
        for part in _chunks(coarse):
            bound[part], strain[part] = self._bounded(boxes.take(part))
        fine[coarse] = strain[coarse].max(axis=1) < FINE
        for part in _chunks(np.flatnonzero(fine)):
            bound[part], strain[part] = self._measured(boxes.take(part))
        return bound, strain, fine

    def _stars(self, boxes: Boxes) -> tuple[Floats, Floats]:
        """Elbows (7 N, J + 1) and log prior (N, 7) at the centre and the six faces of each box."""
        points = boxes.centre[:, None, :] + np.einsum("na,fa->nfa", boxes.half, STAR)
        elbows, prior = self.coordinates.elbows_and_prior(points.reshape(-1, 3))
        return elbows, prior.reshape(-1, 7)

    def _bounded(self, boxes: Boxes) -> tuple[Floats, Floats]:
        """Bound and strain from how far the fitted mean moves between the centre and the faces."""
        elbows, prior = self._stars(boxes)
        precision, numerator = self.collapsed.slope(elbows[::7])
        self.count += elbows.shape[0]
        joint = self.collapsed.constant + collapsed_slope(precision, numerator) + self.ln_tau
        self.best = max(self.best, float((log_sum(joint) + prior[:, 0]).max()))
        moved = self._moved_means(elbows)
        misfit = self.collapsed.misfit - numerator**2 / precision - self.noise_floor
        distance = np.sqrt(np.maximum(misfit, 0.0))
        left = np.maximum(distance - SAFETY * moved.sum(axis=1), 0.0)
        hopeful = joint + 0.5 * (distance**2 - left**2)
        prior_gain = np.maximum(prior[:, 1:] - prior[:, :1], 0.0).reshape(-1, 3, 2).max(axis=2)
        bound = log_sum(hopeful) + prior[:, 0] + prior_gain.sum(axis=1)
        column = np.argmax(hopeful, axis=1)
        return bound, np.maximum(moved[np.arange(len(boxes)), :, column], prior_gain)

    def _measured(self, boxes: Boxes) -> tuple[Floats, Floats]:
        """Bound and strain from the density at the centre and the faces."""
        elbows, prior = self._stars(boxes)
        self.count += elbows.shape[0]
        likelihood = log_sum(self.collapsed.log_likelihood(elbows) + self.ln_tau)
        density = likelihood.reshape(-1, 7) + prior
        self.best = max(self.best, float(density.max()))
        centre, around = density[:, :1], density[:, 1:].reshape(-1, 3, 2)
        gain = np.maximum(around.max(axis=2) - centre, 0.0).sum(axis=1)
        bound = centre[:, 0] + SAFETY * gain + 1.0
        return bound, np.sqrt(np.abs(around.sum(axis=2) - 2 * centre))

    def _moved_means(self, elbows: Floats) -> Floats:
        """How far the fitted mean moves from the centre to the faces, per axis, shape (N, 3, T).

        In standard errors (the norm in which misfit is measured).
        """
        mean, weight = self.collapsed.fitted_mean(elbows, MIDDLE_TAU)
        mean = mean.reshape(-1, 7, mean.shape[1])
        change = (mean[:, 1:] - mean[:, :1]).reshape(-1, mean.shape[2])
        norm = np.sqrt(np.square(change, out=change) @ weight)
        return np.asarray(norm.reshape(-1, 3, 2, norm.shape[1]).max(axis=2))


def _chunks(index: Ints) -> list[Ints]:
    return [index[start : start + CHUNK] for start in range(0, index.size, CHUNK)]


def _noise_floor(collapsed: Collapsed) -> Floats:
    """Misfit of each column that no parameters can remove, shape (T,).

    Whatever the law, the mean score of a level falls as loss rises. So isotonic regression of each
    level on loss fits at least as well; and since the monotone functions form a convex cone, the
    misfit above this floor behaves like a squared distance.
    """
    cells = collapsed.cells
    fitted = np.empty_like(collapsed.weight)
    for column in range(collapsed.weight.shape[1]):
        weight = collapsed.weight[:, column]
        mean = collapsed.weighted_score[:, column] / weight
        for level in np.unique(cells.level):
            at = cells.level == level
            monotone = isotonic_regression(mean[at], weights=weight[at], increasing=False)
            fitted[at, column] = monotone.x
    explained = 2 * fitted * collapsed.weighted_score - fitted**2 * collapsed.weight
    return np.asarray(collapsed.raw_misfit - explained.sum(axis=0))
