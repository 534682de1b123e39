"""Adaptive quadrature of the posterior over (h, t, a) and tau.

Three steps, each vectorised over all boxes at once:

1. *Scan.* The prior's box is halved again and again. A box is dropped when even an optimistic bound
   of its density is negligible; the bound is how much the misfit can shrink if every elbow moves as
   far as the box lets it (a score is Lipschitz in the elbow, so the root of the misfit is too). So
   narrow ridges and distant modes are not missed, whatever the noise.
2. *Noise.* The density is an even analytic function of tau, so the trapezoid rule on an even grid
   that starts at 0 converges geometrically; its step is set by the width of tau's own posterior.
3. *Integrate.* Each box gets a 3 x 3 x 3 Gauss-Legendre rule. Boxes are halved along the direction
   in which the rule strains until the quantiles of E(D0) stop moving. The last move is the error
   estimate: kinks (an elbow passing a checkpoint's loss) only cost more halvings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from emergecast.fit._collapsed import Collapsed, collapsed_slope

if TYPE_CHECKING:
    from emergecast.fit._coordinates import Coordinates
    from emergecast.fit._data import FitData, Floats

Mask = NDArray[np.bool_]

SCAN_TAU = np.array([0.02, 0.06, 0.15, 0.35, 0.8, 1.6, 3.5])
"""Noise scales of the scan, in units of the prior's scale."""
FIRST_GRID = (16, 12, 6)
NEGLIGIBLE = 18.0
"""Log density below the best at which a box is dropped."""
SCAN_STEP = 1.3
"""A box is small enough when no half-width moves the log density by more than about this squared / 2."""
FINE = 4.0
"""Below this strain the density is measured on the faces of a box instead of bounded."""
SAFETY = 1.5
"""By how much a bound exceeds what was measured at the centre and the faces of a box."""
STAR = np.vstack([np.zeros(3), *(sign * axis for axis in np.eye(3) for sign in (-1.0, 1.0))])
SCAN_CHUNK = 256
MIDDLE_TAU = 3
"""Column of SCAN_TAU at which fitted means are compared."""
MAX_SCAN = 400_000
NODES = np.array([-1.0, 0.0, 1.0]) * np.sqrt(0.6)
WEIGHTS = np.array([5.0, 8.0, 5.0]) / 18.0
CELLS = np.array([-13.0, 0.0, 13.0]) / 18.0
"""Centres of the cells of widths 2 * WEIGHTS that tile [-1, 1]."""
TOLERANCE = 5e-4
"""Quantiles must move less than this in a refinement, in units of the loss spread S."""
LEVELS = np.array([0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99])
IGNORED = 1e-10
"""Share of the mass below which a node plays no part in a distribution."""
NARROWEST = 1e-9
"""Least width of a cell, units of S."""
MAX_ROUNDS = 8
MAX_NODES = 600_000


@dataclass(frozen=True, slots=True)
class Boxes:
    """Boxes in (h, t, a): centres and half-widths, both of shape (N, 3)."""

    centre: Floats
    half: Floats

    def __len__(self) -> int:
        return int(self.centre.shape[0])

    def take(self, which: Floats) -> Boxes:
        """The boxes picked by a mask or by indices."""
        return Boxes(self.centre[which], self.half[which])

    def halved(self, along: Floats) -> Boxes:
        """Each box cut in two along one axis (`along`, shape (N,)); shape (2 N,)."""
        rows = np.arange(len(self))
        half = self.half.copy()
        half[rows, along] /= 2
        step = np.zeros_like(half)
        step[rows, along] = half[rows, along]
        return Boxes(
            np.concatenate([self.centre - step, self.centre + step]), np.concatenate([half, half])
        )

    @classmethod
    def grid(cls, low: Floats, high: Floats, counts: tuple[int, int, int]) -> Boxes:
        """An even grid over the box from `low` to `high`."""
        half = (high - low) / (2 * np.asarray(counts))
        axes = [low[i] + half[i] * (2 * np.arange(counts[i]) + 1) for i in range(3)]
        mesh = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        return cls(mesh, np.broadcast_to(half, mesh.shape).copy())

    @classmethod
    def join(cls, *parts: Boxes) -> Boxes:
        """All boxes of several sets."""
        return cls(
            np.concatenate([part.centre for part in parts]),
            np.concatenate([part.half for part in parts]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mass:
    """The posterior as boxes with a 27-node rule each, and what it cost."""

    boxes: Boxes
    tau: Floats
    """Noise grid, units of R, shape (T,)."""
    log_density: Floats
    """Unnormalised, less the best value, at every node, summed over tau: shape (N, 27)."""
    log_evidence: float
    """ln of the integral of likelihood times prior."""
    log_no_rise: float
    """The same for the model in which no score ever leaves chance."""
    error: float
    """How far the quantiles of E(D0) moved in the last refinement, units of S."""
    converged: bool
    n_evaluations: int
    """Points (h, t, a) at which the likelihood was computed."""

    @property
    def node_mass(self) -> Floats:
        """Normalised posterior mass of each node, shape (N, 27)."""
        mass = np.exp(self.log_density) * box_weights(self.boxes)
        return np.asarray(mass / mass.sum())


def integrate(data: FitData, coordinates: Coordinates) -> Mass:
    """The posterior of the nonlinear parameters of one law for one table."""
    priors = coordinates.priors
    boxes, n_scan = scan(data, coordinates)
    tau = _tau_grid(data, coordinates, boxes)
    tau_weight = np.full(tau.size, tau[1] - tau[0] if tau.size > 1 else 1.0)
    if tau[0] == 0.0:
        tau_weight[0] /= 2
    ln_tau = log_half_normal(tau, priors.noise_scale) + np.log(tau_weight)
    collapsed = Collapsed(data, priors, tau)
    evaluate = _Evaluator(coordinates, collapsed, ln_tau)
    density = evaluate(boxes)
    quantiles, spread = _elbow_quantiles(coordinates, boxes, density)
    error, converged = np.inf, False
    for _ in range(MAX_ROUNDS):
        which, along = _strained(coordinates, boxes, density, spread)
        if not which.any():
            error, converged = TOLERANCE / 4, True
            break
        if evaluate.count + 54 * np.count_nonzero(which) > MAX_NODES:
            break
        fresh = boxes.take(which).halved(along[which])
        boxes, density = (
            Boxes.join(boxes.take(~which), fresh),
            np.concatenate([density[~which], evaluate(fresh)]),
        )
        previous = quantiles
        quantiles, spread = _elbow_quantiles(coordinates, boxes, density)
        error = float(np.max(np.abs(quantiles - previous)[1:-1]))
        if error < TOLERANCE:
            converged = True
            break
    best = float(density.max())
    total = np.sum(np.exp(density - best) * box_weights(boxes))
    no_rise = collapsed.no_rise() + ln_tau
    return Mass(
        boxes=boxes,
        tau=tau,
        log_density=density - best,
        log_evidence=best + float(np.log(total)),
        log_no_rise=float(_logsumexp(no_rise[None, :])[0]),
        error=error,
        converged=converged,
        n_evaluations=n_scan + evaluate.count,
    )


# ---------------------------------------------------------------------------------------- 1. scan


def scan(data: FitData, coordinates: Coordinates) -> tuple[Boxes, int]:
    """Boxes that hold all but a negligible part of the posterior, and how many points it took."""
    judge = _ScanJudge(data, coordinates)
    live = Boxes.grid(*coordinates.box(), FIRST_GRID)
    fine = np.zeros(len(live), dtype=bool)
    done: list[Boxes] = []
    bounds: list[Floats] = []
    while len(live) and judge.count < MAX_SCAN:
        bound, strain, fine = judge(live, fine)
        keep = bound > judge.best - NEGLIGIBLE
        small = strain.max(axis=1) <= SCAN_STEP
        done.append(live.take(keep & small))
        bounds.append(bound[keep & small])
        again = keep & ~small
        live = live.take(again).halved(np.argmax(strain[again], axis=1))
        fine = np.tile(fine[again], 2)
    boxes = Boxes.join(*done, live)
    bound = np.concatenate([*bounds, np.full(len(live), np.inf)])
    return boxes.take(bound > judge.best - NEGLIGIBLE), judge.count


class _ScanJudge:
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
        """Optimistic log density of each box, (N,), strain along each axis, (N, 3), and who is fine.

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
        self.best = max(self.best, float((_logsumexp(joint) + prior[:, 0]).max()))
        moved = self._moved_means(elbows)
        misfit = self.collapsed.misfit - numerator**2 / precision - self.noise_floor
        distance = np.sqrt(np.maximum(misfit, 0.0))
        left = np.maximum(distance - SAFETY * moved.sum(axis=1), 0.0)
        hopeful = joint + 0.5 * (distance**2 - left**2)
        prior_gain = np.maximum(prior[:, 1:] - prior[:, :1], 0.0).reshape(-1, 3, 2).max(axis=2)
        bound = _logsumexp(hopeful) + prior[:, 0] + prior_gain.sum(axis=1)
        column = np.argmax(hopeful, axis=1)
        return bound, np.maximum(moved[np.arange(len(boxes)), :, column], prior_gain)

    def _measured(self, boxes: Boxes) -> tuple[Floats, Floats]:
        """Bound and strain from the density at the centre and the faces."""
        elbows, prior = self._stars(boxes)
        self.count += elbows.shape[0]
        likelihood = _logsumexp(self.collapsed.log_likelihood(elbows) + self.ln_tau)
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
        mean = self.collapsed.fitted_mean(elbows, MIDDLE_TAU)
        mean = mean.reshape(-1, 7, mean.shape[1])
        change = (mean[:, 1:] - mean[:, :1]) ** 2
        norm = np.sqrt(change.reshape(-1, mean.shape[2]) @ self.collapsed.weight)
        return np.asarray(norm.reshape(-1, 3, 2, norm.shape[1]).max(axis=2))


def _chunks(index: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [index[start : start + SCAN_CHUNK] for start in range(0, index.size, SCAN_CHUNK)]


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


# --------------------------------------------------------------------------------------- 2. noise


def log_half_normal(tau: Floats, scale: float) -> Floats:
    """Log density of the half-normal prior of tau."""
    return np.asarray(0.5 * np.log(2 / np.pi) - np.log(scale) - 0.5 * (tau / scale) ** 2)


def _tau_grid(data: FitData, coordinates: Coordinates, boxes: Boxes) -> Floats:
    """An even grid that starts at 0 (or where the posterior does), fit for the trapezoid rule."""
    priors = coordinates.priors
    tau = np.geomspace(0.004, 6.0, 48) * priors.noise_scale
    elbows, prior = coordinates.elbows_and_prior(boxes.centre)
    joint = Collapsed(data, priors, tau).log_likelihood(elbows)
    joint += (prior + np.log(np.prod(boxes.half, axis=1)))[:, None]
    ln_density = _logsumexp(joint.T) + log_half_normal(tau, priors.noise_scale)
    density = np.exp(ln_density - ln_density.max())
    mass = density * np.gradient(tau)
    width = mass.sum() / (np.sqrt(2 * np.pi) * density.max())
    inside = tau[mass > 1e-7 * mass.sum()]
    step = max(0.9 * width, inside[-1] / 60)
    first = int(max(inside[0] / step - 1, 0)) if inside[0] > tau[0] else 0
    return np.asarray(step * np.arange(first, int(inside[-1] / step) + 2))


# ----------------------------------------------------------------------------------- 3. integrate


class _Evaluator:
    """Log density at the 27 nodes of boxes, summed over tau."""

    def __init__(self, coordinates: Coordinates, collapsed: Collapsed, ln_tau: Floats) -> None:
        self.coordinates = coordinates
        self.collapsed = collapsed
        self.ln_tau = ln_tau
        self.count = 0

    def __call__(self, boxes: Boxes) -> Floats:
        points = nodes(boxes).reshape(-1, 3)
        self.count += points.shape[0]
        elbows, prior = self.coordinates.elbows_and_prior(points)
        joint = self.collapsed.log_likelihood(elbows) + self.ln_tau
        return np.asarray((_logsumexp(joint) + prior).reshape(len(boxes), 27))


def nodes(boxes: Boxes, offsets: Floats = NODES) -> Floats:
    """The 27 points of each box at `offsets` (in half-widths) along every axis, (N, 27, 3)."""
    mesh = np.stack(np.meshgrid(offsets, offsets, offsets, indexing="ij"), axis=-1).reshape(27, 3)
    return np.asarray(boxes.centre[:, None, :] + mesh * boxes.half[:, None, :])


_RULE = np.einsum("i,j,k->ijk", WEIGHTS, WEIGHTS, WEIGHTS).reshape(27)


def box_weights(boxes: Boxes) -> Floats:
    return np.asarray(8 * np.prod(boxes.half, axis=1)[:, None] * _RULE)


def _logsumexp(values: Floats) -> Floats:
    """ln sum exp along the last axis."""
    top = values.max(axis=-1)
    return np.asarray(top + np.log(np.exp(values - top[..., None]).sum(axis=-1)))


def elbow_extent(coordinates: Coordinates, boxes: Boxes) -> Floats:
    """Half the range of E(D0) along each axis of each box, shape (N, 3)."""
    h, t, a = boxes.centre.T
    dh, dt, da = boxes.half.T
    middle = coordinates.few_shot_elbow(h, t, a)
    stretch = coordinates.few_shot_elbow(np.zeros_like(h), np.ones_like(h), a)
    ends = [coordinates.few_shot_elbow(h, t, a + sign * da) for sign in (-1, 1)]
    along_a = np.maximum(np.abs(ends[0] - middle), np.abs(ends[1] - middle))
    return np.stack([dh, np.abs(stretch) * dt, along_a], axis=1)


def elbow_cells(coordinates: Coordinates, boxes: Boxes) -> tuple[Floats, Floats]:
    """Centre and width in E(D0) of the cell that each of the 27 nodes stands for, (N, 27) each.

    A cell is a uniform stretch with the variance that its three extents give it together.
    """
    h, t, a = np.moveaxis(nodes(boxes, CELLS), 2, 0)
    centre = coordinates.few_shot_elbow(h, t, a)
    extent = elbow_extent(coordinates, boxes)
    share = np.stack(np.meshgrid(WEIGHTS, WEIGHTS, WEIGHTS, indexing="ij"), axis=-1).reshape(27, 3)
    width = 2 * np.sqrt(np.einsum("na,ka->nk", extent**2, share**2))
    return centre, np.maximum(width, NARROWEST)


def cumulative_mass(centre: Floats, width: Floats, mass: Floats) -> tuple[Floats, Floats]:
    """The cumulative distribution of uniform stretches: knots and values, linear in between."""
    low, high = centre - width / 2, centre + width / 2
    edges = np.concatenate([low, high])
    order = np.argsort(edges)
    edges = edges[order]
    height = mass / width
    slope = np.cumsum(np.concatenate([height, -height])[order])
    total = np.concatenate([[0.0], np.cumsum(slope[:-1] * np.diff(edges))])
    return edges, np.maximum.accumulate(total / total[-1])


def _elbow_quantiles(
    coordinates: Coordinates, boxes: Boxes, density: Floats
) -> tuple[Floats, float]:
    """Quantiles of E(D0) at LEVELS, in S, and half the distance of the outer quartiles."""
    mass = np.exp(density - density.max()) * box_weights(boxes)
    used = mass > IGNORED * mass.sum()
    centre, width = elbow_cells(coordinates, boxes)
    knots, cumulative = cumulative_mass(centre[used], width[used], mass[used])
    quantiles = np.interp(LEVELS, cumulative, knots)
    return quantiles, float(quantiles[4] - quantiles[2]) / 1.349


def _strained(
    coordinates: Coordinates, boxes: Boxes, density: Floats, spread: float
) -> tuple[Floats, Floats]:
    """Which boxes to halve, and along which axis.

    A box is strained where the second Legendre coefficient is large along an axis (a narrow peak or
    a kink), or where it spans much of the spread of E(D0); weighted by the mass it holds.
    """
    value = np.maximum(np.exp(density - density.max()), 1e-300).reshape(-1, 3, 3, 3)
    mass = (value.reshape(-1, 27) * box_weights(boxes)).sum(axis=1)
    mass = mass / mass.sum()
    bend = np.empty((len(boxes), 3))
    for axis in range(3):
        line = np.moveaxis(value, axis + 1, 1).reshape(-1, 3, 9)
        second = np.abs(line[:, 0] - 2 * line[:, 1] + line[:, 2]) / 1.8
        bend[:, axis] = second.mean(axis=1) / line.mean(axis=(1, 2))
    extent = elbow_extent(coordinates, boxes) / spread
    need = np.maximum(bend / 0.35, extent / 0.25)
    along = np.argmax(need, axis=1)
    worst = need.max(axis=1)
    return (worst > 1.0) & (mass * np.minimum(worst, 4.0) ** 2 > 2e-5), along
