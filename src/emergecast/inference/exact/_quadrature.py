"""Adaptive quadrature of the posterior over (h, t, a) and tau.

Three steps, each vectorised over all boxes at once:

1. *Scan* (`_scan`): which boxes hold the posterior.
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

from emergecast.inference.exact._boxes import (
    Boxes,
    box_weights,
    cumulative_mass,
    elbow_cells,
    elbow_extent,
    nodes,
)
from emergecast.inference.exact._collapsed import Collapsed, log_half_normal, log_sum
from emergecast.inference.exact._scan import scan

if TYPE_CHECKING:
    from emergecast.inference._coordinates import Coordinates
    from emergecast.inference._data import FitData, Floats, Ints
    from emergecast.inference.exact._boxes import Mask

TOLERANCE = 8e-4
"""Quantiles must move less than this in a refinement, in units of the loss spread S."""
LEVELS = np.array([0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99])
IGNORED = 1e-10
"""Share of the mass below which a node plays no part in a distribution."""
BEND = 0.35
"""Second Legendre coefficient along an axis, over the mean, above which a box is halved."""
REACH = 0.25
"""Half-width in E(D0), over the standard deviation of E(D0), above which a box is halved."""
NORMAL_95 = 1.645
"""95% quantile of a standard normal: how many standard deviations out the outer quantiles lie."""
MOST_ROUNDS = 20
MOST_POINTS = 600_000


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
    """Estimated error of the quantiles of E(D0), units of S: twice how far they moved in the last
    two refinements, plus what spreading the masses of nodes adds to the outer ones."""
    converged: bool
    n_evaluations: int
    """Points (h, t, a) at which the likelihood was computed."""

    @property
    def node_mass(self) -> Floats:
        """Normalised posterior mass of each node, shape (N, 27)."""
        return _node_mass(self.boxes, self.log_density)


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
    boxes, density, error, converged = _refine(coordinates, evaluate, boxes)
    best = float(density.max())
    total = np.sum(np.exp(density - best) * box_weights(boxes))
    no_rise = collapsed.no_rise() + ln_tau
    return Mass(
        boxes=boxes,
        tau=tau,
        log_density=density - best,
        log_evidence=best + float(np.log(total)),
        log_no_rise=float(log_sum(no_rise[None, :])[0]),
        error=2 * error + NORMAL_95 * _blur(coordinates, boxes, density),
        converged=converged,
        n_evaluations=n_scan + evaluate.count,
    )


def _refine(
    coordinates: Coordinates, evaluate: _Evaluator, boxes: Boxes
) -> tuple[Boxes, Floats, float, bool]:
    """Halve strained boxes until quantiles of E(D0) stand still twice in a row.

    Once is not enough: halving a few boxes along one axis may change little though much is wrong.

    Returns:
        Boxes, log density at their nodes, the larger of the last two moves (in S), and whether
        these are within the tolerance.
    """
    density = evaluate(boxes)
    quantiles, spread = _elbow_quantiles(coordinates, boxes, density)
    moves = [np.inf, np.inf]
    for _ in range(MOST_ROUNDS):
        which, along = _strained(coordinates, boxes, density, spread)
        if not which.any():
            if np.isfinite(moves[-1]):
                return boxes, density, moves[-1], True
            which[:] = True  # nothing strains: halve all boxes once, to see what that changes
        if evaluate.count + 54 * np.count_nonzero(which) > MOST_POINTS:
            break
        fresh = boxes.take(which).halved(along[which])
        density = np.concatenate([density[~which], evaluate(fresh)])
        boxes = Boxes.join(boxes.take(~which), fresh)
        previous = quantiles
        quantiles, spread = _elbow_quantiles(coordinates, boxes, density)
        moves.append(float(np.max(np.abs(quantiles - previous)[1:-1])))
        if max(moves[-2:]) < TOLERANCE:
            return boxes, density, max(moves[-2:]), True
    return boxes, density, max(moves[-2:]), False


def _tau_grid(data: FitData, coordinates: Coordinates, boxes: Boxes) -> Floats:
    """An even grid that starts at 0 (or where the posterior does), fit for the trapezoid rule."""
    priors = coordinates.priors
    tau = np.geomspace(0.004, 6.0, 48) * priors.noise_scale
    elbows, prior = coordinates.elbows_and_prior(boxes.centre)
    joint = Collapsed(data, priors, tau).log_likelihood(elbows)
    joint += (prior + np.log(np.prod(boxes.half, axis=1)))[:, None]
    ln_density = log_sum(joint.T) + log_half_normal(tau, priors.noise_scale)
    density = np.exp(ln_density - ln_density.max())
    mass = density * np.gradient(tau)
    width = mass.sum() / (np.sqrt(2 * np.pi) * density.max())
    inside = tau[mass > 1e-6 * mass.sum()]
    step = max(width, inside[-1] / 60)
    first = int(max(inside[0] / step - 1, 0)) if inside[0] > tau[0] else 0
    return np.asarray(step * np.arange(first, int(inside[-1] / step) + 2))


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
        return np.asarray((log_sum(joint) + prior).reshape(len(boxes), 27))


def _node_mass(boxes: Boxes, density: Floats) -> Floats:
    """Normalised mass of each node from log densities there, (N, 27) both."""
    mass = np.exp(density - density.max()) * box_weights(boxes)
    return np.asarray(mass / mass.sum())


def _elbow_quantiles(
    coordinates: Coordinates, boxes: Boxes, density: Floats
) -> tuple[Floats, float]:
    """Quantiles of E(D0) at LEVELS, in S, and half the distance of the outer quartiles."""
    mass = _node_mass(boxes, density)
    used = mass > IGNORED
    centre, width = elbow_cells(coordinates, boxes)
    knots, cumulative = cumulative_mass(centre[used], width[used], mass[used])
    quantiles = np.interp(LEVELS, cumulative, knots)
    return quantiles, float(quantiles[4] - quantiles[2]) / 1.349


def _blur(coordinates: Coordinates, boxes: Boxes, density: Floats) -> float:
    """What spreading each node's mass over a stretch adds to the standard deviation of E(D0), in S.

    The nodes themselves are a Gauss-Legendre rule, exact for the variance of a smooth density.
    """
    mass = _node_mass(boxes, density)
    at = coordinates.few_shot_elbow(*np.moveaxis(nodes(boxes), 2, 0))
    centre, width = elbow_cells(coordinates, boxes)
    sd = [
        np.sqrt(np.sum(mass * ((place - np.sum(mass * place)) ** 2 + extra)))
        for place, extra in ((at, 0.0), (centre, width**2 / 12))
    ]
    return float(abs(sd[1] - sd[0]))


def _strained(
    coordinates: Coordinates, boxes: Boxes, density: Floats, spread: float
) -> tuple[Mask, Ints]:
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
    need = np.maximum(bend / BEND, extent / REACH)
    along = np.argmax(need, axis=1)
    worst = need.max(axis=1)
    return (worst > 1.0) & (mass * np.minimum(worst, 4.0) ** 2 > 2e-5), along
