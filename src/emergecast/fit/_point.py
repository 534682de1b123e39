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
from scipy.optimize import least_squares, minimize_scalar

from emergecast.fit._collapsed import Collapsed
from emergecast.fit._coordinates import Coordinates
from emergecast.fit._priors import Priors
from emergecast.law import EmergenceLaw, shift_fraction

if TYPE_CHECKING:
    from emergecast.fit._data import FitData, Floats
    from emergecast.law import LawForm

STARTS = 6
ROUNDS = 30
FARTHEST = 5.0
"""How many ranges of loss beyond the checkpoints an elbow may lie and still be an estimate."""
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
class _Problem:
    """Residuals and their Jacobian in (h, ln t, ln alpha, A, B, Delta), standard units."""

    data: FitData
    form: LawForm
    amounts: Floats
    loss: Floats
    score: Floats

    @classmethod
    def of(cls, data: FitData, form: LawForm) -> _Problem:
        amounts = np.concatenate([[data.few_shot_examples], data.amounts])
        return cls(data, form, amounts, data.standard_loss, data.standard_score)

    def fraction(self, ln_alpha: float) -> Floats:
        """g at every level, shape (J + 1,)."""
        low, high = float(self.amounts[0]), float(self.amounts[-1])
        alpha = np.array([math.exp(ln_alpha)])
        return shift_fraction(self.form, self.amounts, low=low, high=high, alpha=alpha)[0]

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
        sampling = self.data.sampling_sd / self.data.score_range
        return np.asarray(np.sqrt(sampling**2 + tau**2 / self.data.repeats))

    def log_likelihood(self, theta: Floats, tau: float) -> float:
        sd = self.sd(tau)
        residuals = self.residuals(theta, sd)
        return float(-0.5 * np.sum(residuals**2) - np.sum(np.log(sd * math.sqrt(2 * math.pi))))


def maximum_likelihood(data: FitData, form: LawForm) -> PointEstimate | None:
    """The global maximum of the likelihood, or None where it leaves every sensible range.

    Sensible: alpha within 0.02-40, E(D0) at most `FARTHEST` ranges of loss past the checkpoints,
    a slope above 0.
    """
    problem = _Problem.of(data, form)
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
        slope=float(theta[3]) * data.score_range / data.loss_spread,
        chance=data.chance + data.score_range * float(theta[4]),
        few_shot_offset=data.score_range * float(theta[5]),
    )
    return PointEstimate(
        law=law, noise=data.score_range * tau, elbow=low, log_likelihood=log_likelihood
    )


def _starts(data: FitData, form: LawForm, problem: _Problem) -> list[tuple[Floats, float]]:
    """The best points of a global grid that lie apart from each other, with a noise scale each."""
    flat = Priors(level_scale=1e3, slope_scale=1e3)
    tau = np.geomspace(0.002, 0.5, 10)
    collapsed = Collapsed(data, flat, tau)
    top = float(problem.loss.max())
    h = np.linspace(0.0, 1.2 * top, 40)
    t = np.geomspace(0.02, 4 * top, 24)
    a = np.log(np.geomspace(0.15, 12.0, 9))
    grid = np.stack(np.meshgrid(h, t, a, indexing="ij"), axis=-1).reshape(-1, 3)
    levels = Coordinates(form=form, priors=flat, amounts=problem.amounts, pivot=0)
    fraction = levels.fractions(grid[:, 2])[0]
    elbows = grid[:, :1] - grid[:, 1:2] * (1 - fraction)
    precision, numerator = collapsed.slope(elbows)
    value = collapsed.constant + np.where(numerator > 0, numerator**2 / precision / 2, -np.inf)
    column = np.argmax(value, axis=1)
    value = value[np.arange(len(grid)), column]
    chosen: list[tuple[Floats, float]] = []
    taken: list[Floats] = []
    for index in np.argsort(-value):
        if len(chosen) == STARTS or not np.isfinite(value[index]):
            break
        if any(np.max(np.abs(elbows[index] - other)) < 0.15 * top for other in taken):
            continue
        taken.append(elbows[index])
        theta = np.array([grid[index, 0], math.log(grid[index, 1]), grid[index, 2], 0.0, 0.0, 0.0])
        chosen.append((_linear(problem, theta, tau[column[index]]), float(tau[column[index]])))
    return chosen


def _linear(problem: _Problem, theta: Floats, tau: float) -> Floats:
    """The same point with the best A, B and Delta."""
    sd = problem.sd(tau)
    past = np.maximum(problem.elbows(theta)[problem.data.level] - problem.loss, 0.0)
    few = problem.data.few_shot.astype(np.float64)
    design = np.column_stack([past, np.ones_like(past), few]) / sd[:, None]
    theta = theta.copy()
    theta[3:] = np.linalg.lstsq(design, problem.score / sd, rcond=None)[0]
    return theta


def _polish(problem: _Problem, theta: Floats, tau: float) -> tuple[float, Floats, float]:
    """Alternate Gauss-Newton on theta and a line search on tau until neither gains."""
    value = problem.log_likelihood(theta, tau)
    lower = np.array([-np.inf, -np.inf, LN_ALPHA[0], -np.inf, -np.inf, -np.inf])
    upper = np.array([np.inf, math.log(1e6), LN_ALPHA[1], np.inf, np.inf, np.inf])
    for _ in range(ROUNDS):
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
        if gained < 1e-9:
            break
    return value, theta, tau
