"""Maximum likelihood: a global search, then Gauss-Newton on all parameters.

No prior enters. The search covers a wide box, because the likelihood has several optima (one per
way in which elbows can fall between checkpoints) and often none at all: then the estimate runs off
and is reported as unbounded, not as a number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares, minimize_scalar

from emergecast.emergence_law import EmergenceLaw, shift_fraction
from emergecast.inference._coordinates import Coordinates
from emergecast.inference._priors import Priors
from emergecast.inference.exact import CHUNK, STAR, Collapsed

if TYPE_CHECKING:
    from emergecast.emergence_law import LawForm
    from emergecast.inference._data import FitData, Floats

CLIMBERS, CLIMB_ROUNDS, JUMPS = 60, 30, 9
"""Points that search at once, steps that each takes or halves, and jumps each tries in a step."""
GRID, BLOCK = (40, 24, 9), (4, 4, 3)
"""Points along h, ln t and ln alpha from which the search starts, and the blocks of neighbours of
which only the best may climb, so that climbers spread. Each axis is cut into whole blocks."""
ENDS = ((0.0, 1.2), (0.02, 4.0), (0.15, 12.0))
"""Ends of that grid: h from L* to 1.2 ranges of the losses, t from 0.02 S to 4 ranges, alpha."""
STARTS = 3
SAME, WORTH = 0.003, 1.0
"""Log likelihoods this close are one optimum; this far below the best, not worth a polish."""
ROUNDS = 8
FARTHEST = 5.0
"""How many ranges of loss beyond the checkpoints an elbow may lie and still be an estimate."""
LN_FARTHEST = math.log(1e6)
"""Largest ln t that is searched; an estimate there is out of range anyway."""
LN_ALPHA = (math.log(0.02), math.log(40.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class PointEstimate:
    """Maximum likelihood estimate of one law."""

    law: EmergenceLaw
    noise: float
    """tau, score."""
    elbow: float
    """E(D0), nats."""
    log_likelihood: float
    """Of the standardised scores, at the estimate."""


@dataclass(frozen=True, slots=True)
class _LeastSquares:
    """Residuals and their Jacobian in (h, ln t, ln alpha, A, B, Delta), standard units."""

    data: FitData
    form: LawForm
    amounts: Floats
    loss: Floats
    score: Floats

    @classmethod
    def of(cls, data: FitData, form: LawForm) -> _LeastSquares:
        return cls(data, form, data.level_amounts, data.standard_loss, data.standard_score)

    def fraction(self, ln_alpha: float) -> Floats:
        """G at every level, shape (J + 1,)."""
        low, high = float(self.amounts[0]), float(self.amounts[-1])
        alpha = np.array([math.exp(ln_alpha)])
        return np.asarray(
            shift_fraction(self.form, self.amounts, low=low, high=high, alpha=alpha)[0]
        )

    def elbows(self, theta: Floats) -> Floats:
        """Standard loss of the elbow at every level; t is here E(Dmax) - E(D0)."""
        return np.asarray(theta[0] - math.exp(theta[1]) * (1 - self.fraction(theta[2])))

    def residuals(self, theta: Floats, sd: Floats) -> Floats:
        past = np.maximum(self.elbows(theta)[self.data.level] - self.loss, 0.0)
        mean = theta[4] + theta[5] * self.data.few_shot + theta[3] * past
        return np.asarray((self.score - mean) / sd)

    def jacobian(self, theta: Floats, sd: Floats) -> Floats:
        level = self.data.level
        elbows = self.elbows(theta)[level]
        past = np.maximum(elbows - self.loss, 0.0)
        active = theta[3] * (elbows > self.loss)
        step = 1e-6
        bend = (self.fraction(theta[2] + step) - self.fraction(theta[2] - step)) / (2 * step)
        t = math.exp(theta[1])
        columns = [
            active,
            -active * t * (1 - self.fraction(theta[2]))[level],
            active * t * bend[level],
            past,
            np.ones_like(past),
            self.data.few_shot.astype(np.float64),
        ]
        return np.asarray(-np.column_stack(columns) / sd[:, None])

    def sd(self, tau: float) -> Floats:
        """Standard deviation of every row, in R."""
        return np.sqrt(self.data.standard_variance(np.array([tau]))[:, 0])

    def log_likelihood(self, theta: Floats, tau: float) -> float:
        sd = self.sd(tau)
        residuals = self.residuals(theta, sd)
        return float(-0.5 * np.sum(residuals**2) - np.sum(np.log(sd * math.sqrt(2 * math.pi))))


def maximum_likelihood(data: FitData, form: LawForm) -> PointEstimate | None:
    """The global maximum of the likelihood, or None where it leaves every sensible range.

    Sensible: alpha within 0.02-40, E(D0) at most `FARTHEST` ranges of loss past the checkpoints,
    a slope above 0.
    """
    problem = _LeastSquares.of(data, form)
    best: tuple[float, Floats, float] | None = None
    for theta, tau in _starts(data, form, problem):
        found = _polish(problem, theta, tau)
        if best is None or found[0] > best[0]:
            best = found
    if best is None:
        return None
    log_likelihood, theta, tau = best
    elbows = problem.elbows(theta)
    reach = FARTHEST * float(problem.loss.max())
    inside = LN_ALPHA[0] + 1e-3 < theta[2] < LN_ALPHA[1] - 1e-3 and elbows[0] > -reach
    if not inside or theta[3] <= 0 or elbows[-1] > problem.loss.max() + reach:
        return None
    low, high = (float(part) for part in data.to_nats(elbows[[0, -1]]))
    law = EmergenceLaw.through(
        form,
        low=(data.few_shot_examples, low),
        high=(float(data.amounts[-1]), high),
        alpha=math.exp(theta[2]),
        slope=float(theta[3]) * data.score_range / data.loss_unit,
        chance=data.chance + data.score_range * float(theta[4]),
        few_shot_offset=data.score_range * float(theta[5]),
    )
    return PointEstimate(
        law=law, noise=data.score_range * tau, elbow=low, log_likelihood=log_likelihood
    )


def local_optima(data: FitData, form: LawForm, starts: int = 12) -> tuple[Floats, Floats]:
    """Where local searches from `starts` good places all over the grid end, without the jumps.

    E(D0) in nats and log likelihood of each end, best first: what a fit from one start may give.
    """
    problem = _LeastSquares.of(data, form)
    search = _Search(data, form, problem)
    grid, at, column = search.spread()
    ends = []
    for i in at[:: max(1, len(at) // starts)][:starts]:
        tau = float(search.tau[column[i]])
        theta = _linear(problem, np.concatenate([grid[i], np.zeros(3)]), tau)
        value, theta, _ = _polish(problem, theta, tau)
        ends.append((value, float(data.to_nats(problem.elbows(theta)[0]))))
    found = np.array(sorted(ends, reverse=True))
    return found[:, 1], found[:, 0]


class _Search:
    """Profile likelihood of many points (h, ln t, ln alpha) at once, and a search with them."""

    def __init__(self, data: FitData, form: LawForm, problem: _LeastSquares) -> None:
        flat = Priors(level_scale=1e3, slope_scale=1e3)
        self.tau = np.geomspace(0.001, 0.5, 12)
        self.collapsed = Collapsed(data, flat, self.tau)
        self.levels = Coordinates(form=form, priors=flat, amounts=problem.amounts, pivot=0)
        self.top = float(problem.loss.max())

    def value(self, points: Floats) -> tuple[Floats, NDArray[np.int64]]:
        """Highest log likelihood over the linear parameters and tau, and which tau; shape (N,)."""
        fraction = self.levels.fractions(points[:, 2])[0]
        elbows = points[:, :1] - np.exp(points[:, 1:2]) * (1 - fraction)
        total = np.concatenate(
            [self._gain(elbows[start : start + CHUNK]) for start in range(0, len(elbows), CHUNK)]
        )
        total += self.collapsed.constant
        column = np.argmax(total, axis=1)
        return total[np.arange(len(points)), column], column

    def _gain(self, elbows: Floats) -> Floats:
        precision, numerator = self.collapsed.slope(elbows)
        return np.maximum(numerator, 0.0) ** 2 / precision / 2

    def climb(self) -> tuple[Floats, Floats, Floats]:
        """The best points found from a global grid, best first, with their tau and log likelihood.

        The likelihood has kinks, flat stretches and slanted ridges, on which gradients stop short.
        So each point is compared with its six neighbours on an ever finer lattice, and with jumps
        along differences of other points (differential evolution), which know the ridges.
        """
        grid, best_of_blocks, _ = self.spread()
        at = grid[best_of_blocks]
        step = np.tile([axis[1] - axis[0] for axis in self._axes()], (len(at), 1)) / 2
        rng = np.random.default_rng(0)
        for _ in range(CLIMB_ROUNDS):
            pairs = rng.integers(0, len(at), (2, len(at), JUMPS))
            jumps = at[:, None, :] + rng.choice([0.1, 1.0], (len(at), JUMPS, 1)) * (
                at[pairs[0]] - at[pairs[1]]
            )
            around = np.concatenate([at[:, None, :] + STAR * step[:, None, :], jumps], axis=1)
            around[..., 1] = around[..., 1].clip(max=LN_FARTHEST)
            around[..., 2] = around[..., 2].clip(*LN_ALPHA)
            value = self.value(around.reshape(-1, 3))[0].reshape(len(at), -1)
            value[:, 0] += 1e-12  # stay where nothing is better
            best = np.argmax(value, axis=1)
            at = around[np.arange(len(at)), best]
            step[best == 0] /= 2
        value, column = self.value(at)
        order = np.argsort(-value)
        return at[order], self.tau[column[order]], value[order]

    def spread(self) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64]]:
        """Grid points (N, 3), indices of the best of the best blocks, and the best tau of each."""
        grid = np.stack(np.meshgrid(*self._axes(), indexing="ij"), axis=-1).reshape(-1, 3)
        value, column = self.value(grid)
        return grid, self._best_of_blocks(value), column

    def _axes(self) -> list[Floats]:
        h, t, alpha = ENDS
        return [
            np.linspace(h[0], h[1] * self.top, GRID[0]),
            np.log(np.geomspace(t[0], t[1] * self.top, GRID[1])),
            np.log(np.geomspace(*alpha, GRID[2])),
        ]

    def _best_of_blocks(self, value: Floats) -> NDArray[np.int64]:
        """Best grid points of the best blocks, the best first; indices."""
        parts = [part for n, block in zip(GRID, BLOCK, strict=True) for part in (n // block, block)]
        index = np.moveaxis(np.arange(value.size).reshape(parts), (1, 3, 5), (3, 4, 5))
        index = index.reshape(-1, math.prod(BLOCK))
        inside = value[index]
        best = index[np.arange(len(index)), np.argmax(inside, axis=1)]
        return np.asarray(best[np.argsort(-inside.max(axis=1))][:CLIMBERS])


def _starts(data: FitData, form: LawForm, problem: _LeastSquares) -> list[tuple[Floats, float]]:
    """The best points of a global search that are different optima, with tau each."""
    points, tau, value = _Search(data, form, problem).climb()
    chosen: list[tuple[Floats, float]] = []
    last = np.inf
    for point, noise, height in zip(points, tau, value, strict=True):
        if height < value[0] - WORTH or len(chosen) == STARTS:
            break
        if height < last - SAME:
            theta = np.concatenate([point, np.zeros(3)])
            chosen.append((_linear(problem, theta, float(noise)), float(noise)))
            last = height
    return chosen


def _linear(problem: _LeastSquares, theta: Floats, tau: float) -> Floats:
    """The same point with the best A, B and Delta."""
    sd = problem.sd(tau)
    past = np.maximum(problem.elbows(theta)[problem.data.level] - problem.loss, 0.0)
    few = problem.data.few_shot.astype(np.float64)
    design = np.column_stack([past, np.ones_like(past), few]) / sd[:, None]
    theta = theta.copy()
    theta[3:] = np.linalg.lstsq(design, problem.score / sd, rcond=None)[0]
    return theta


def _polish(problem: _LeastSquares, theta: Floats, tau: float) -> tuple[float, Floats, float]:
    """Alternate Gauss-Newton on theta and a line search on tau until neither gains."""
    value = problem.log_likelihood(theta, tau)
    lower = np.array([-np.inf, -np.inf, LN_ALPHA[0], -np.inf, -np.inf, -np.inf])
    upper = np.array([np.inf, 2 * LN_FARTHEST, LN_ALPHA[1], np.inf, np.inf, np.inf])
    for _ in range(ROUNDS):
        # scipy's trust region overflows on rows of absurd errors, and rejects the step itself
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            solution = least_squares(
                problem.residuals,
                theta,
                jac=problem.jacobian,
                bounds=(lower, upper),
                args=(problem.sd(tau),),
                x_scale="jac",
                ftol=1e-14,
                xtol=1e-14,
                gtol=1e-14,
                max_nfev=60,
            )
        theta = solution.x
        line = minimize_scalar(
            lambda ln_tau, at=theta: -problem.log_likelihood(at, math.exp(ln_tau)),
            bounds=(math.log(1e-6), math.log(2.0)),
            method="bounded",
            options={"xatol": 1e-6},
        )
        tau = math.exp(line.x)
        gained = -float(line.fun) - value
        value = -float(line.fun)
        if gained < 1e-7:
            break
    return value, theta, tau
