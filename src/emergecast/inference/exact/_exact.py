"""The exact posterior of a plain law, by quadrature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emergecast.inference._draws import Draws, LevelDraws, systematic
from emergecast.inference._likelihood import Conditional, conditional, draw_unknowns
from emergecast.inference._likelihood_rows import LikelihoodRows, RowsUnder
from emergecast.inference._posterior import Posterior
from emergecast.inference.exact._boxes import CELLS, WEIGHTS, cumulative_mass, elbow_cells
from emergecast.inference.exact._collapsed import Collapsed, log_half_normal
from emergecast.inference.exact._quadrature import IGNORED, Mass, integrate

if TYPE_CHECKING:
    from emergecast.inference._coordinates import Coordinates
    from emergecast.inference._data import FitData, Floats

OVERSAMPLE = 4


class ExactPosterior(Posterior):
    """The posterior of a plain law.

    Computed by adaptive quadrature (`_quadrature.py`); `error` is its own estimate of how far a
    quantile may be off, in nats.
    """

    def __init__(self, data: FitData, coordinates: Coordinates) -> None:
        self._data = data
        self._coordinates = coordinates
        self._mass: Mass = integrate(data, coordinates)
        node_mass = self._mass.node_mass.ravel()
        centre, width = (part.ravel() for part in elbow_cells(coordinates, self._mass.boxes))
        keep = node_mass > IGNORED
        knots, self._cumulative = cumulative_mass(centre[keep], width[keep], node_mass[keep])
        self._knots = data.to_nats(knots)
        self.bandwidth = 0.0

    # ------------------------------------------------------------------ how good the integral is

    @property
    def error(self) -> float:
        """Estimated error of the quantiles of E(D0), nats."""
        return float(self._mass.error * self._data.loss_unit)

    @property
    def converged(self) -> bool:
        """Whether that error is within the tolerance of the quadrature."""
        return self._mass.converged

    @property
    def log_evidence(self) -> float:
        """Ln of the marginal likelihood of the (standardised) scores under this law."""
        return self._mass.log_evidence

    @property
    def log_bayes_factor(self) -> float:
        """Ln evidence for this law over the model in which no score ever leaves chance."""
        return self._mass.log_evidence - self._mass.log_no_rise

    @property
    def n_evaluations(self) -> int:
        """Parameter vectors at which the likelihood was computed."""
        return self._mass.n_evaluations

    # ------------------------------------------------------------------ draws of all parameters

    def draws(self, n: int, rng: np.random.Generator) -> Draws:
        """`n` draws of all parameters.

        Nodes are drawn by mass, spread over their cells, and resampled with the exact density, so
        the draws follow the posterior and not the grid.
        """
        points, tau, ln_proposal = self._propose(OVERSAMPLE * n, rng)
        elbows, prior = self._coordinates.elbows_and_prior(points)
        given = self._given(elbows, tau)
        ln_weight = given.ln_likelihood + prior - ln_proposal
        ln_weight += log_half_normal(tau, self._coordinates.priors.noise_scale)
        weight = np.exp(ln_weight - ln_weight.max())
        weight /= weight.sum()
        pick = rng.permutation(systematic(weight, n, rng))
        uniform, (level, offset) = 1.0 - rng.random(n), rng.standard_normal((2, n))
        picked = Conditional(*(part[pick] for part in given))
        unknowns = draw_unknowns(picked, uniform, np.column_stack([offset, level]))
        return self._in_nats(points[pick], elbows[pick], tau[pick], unknowns, 1 / np.sum(weight**2))

    def _given(self, elbows: Floats, tau: Floats) -> Conditional:
        """What the scores say of (Delta, B, A) at points that each have their own tau."""
        data, priors = self._data, self._coordinates.priors
        scales = np.array([priors.level_scale, priors.level_scale, priors.slope_scale])
        none = np.zeros(tau.size)
        under = RowsUnder(
            elbows=elbows,
            noise=tau**2,
            width=none,
            ceiling_rate=none,
            deviation=none,
            precision=np.tile(scales**-2.0, (tau.size, 1)),
        )
        return conditional(LikelihoodRows.of(data), under)

    def _propose(self, n: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
        """Points (n, 3), tau (n,) and the log density they were drawn with (n,)."""
        mass, boxes, grid = self._mass.node_mass, self._mass.boxes, self._mass.tau
        flat = mass.ravel() / mass.sum()
        node = np.searchsorted(np.cumsum(flat), rng.random(n)).clip(max=flat.size - 1)
        box, inner = np.divmod(node, 27)
        axes = np.stack(np.unravel_index(inner, (3, 3, 3)), axis=1)
        offset = CELLS[axes] + WEIGHTS[axes] * rng.uniform(-1, 1, (n, 3))
        points = boxes.centre[box] + boxes.half[box] * offset
        volume = np.prod(2 * WEIGHTS[axes] * boxes.half[box], axis=1)

        unique, back = np.unique(box, return_inverse=True)
        elbows, _ = self._coordinates.elbows_and_prior(boxes.centre[unique])
        priors = self._coordinates.priors
        ln_tau = Collapsed(self._data, priors, grid).log_likelihood(elbows)
        step = grid[1] - grid[0]
        cell = np.full(grid.size, step)
        cell[0] = step / 2 if grid[0] == 0 else step
        ln_tau += log_half_normal(grid, priors.noise_scale) + np.log(cell)
        share = np.exp(ln_tau - ln_tau.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        column = (np.cumsum(share, axis=1)[back] < rng.random((n, 1))).sum(axis=1)
        column = column.clip(max=grid.size - 1)
        tau = np.abs(grid[column] + step * (rng.random(n) - 0.5))
        ln_proposal = np.log(flat[node]) - np.log(volume)
        return points, tau, ln_proposal + np.log(share[back, column] / cell[column])

    def _in_nats(
        self,
        points: Floats,
        elbows: Floats,
        tau: Floats,
        unknowns: Floats,
        effective: float,
    ) -> Draws:
        data, form = self._data, self._coordinates.form
        offset, level, slope = unknowns.T
        alpha = np.exp(points[:, 2])
        low, high = data.to_nats(elbows[:, 0]), data.to_nats(elbows[:, -1])
        x_low, x_high = (
            float(form.abscissa(amount)) ** alpha
            for amount in (data.few_shot_examples, data.amounts[-1])
        )
        k = (high - low) / (x_high - x_low)
        score = data.score_range
        slope = slope * score / data.loss_unit
        none = np.zeros_like(slope)
        return Draws(
            law=np.zeros(slope.size, dtype=np.int64),
            elbow=low,
            elbow_high=high,
            alpha=alpha,
            k=k,
            c=low - k * x_low,
            half=np.full(slope.size, np.nan),
            slope=slope,
            chance=data.chance + score * level,
            few_shot_offset=score * offset,
            noise=score * tau,
            width=none,
            ceiling_rate=none,
            deviation_scale=none,
            elbows=data.to_nats(elbows),
            slopes=np.repeat(slope[:, None], elbows.shape[1], axis=1),
            deviations=np.zeros((slope.size, data.n_checkpoints)),
            series_deviations=np.zeros((slope.size, data.n_series)),
            toe=none,
            shoulder=none,
            by_level=LevelDraws.shared(
                elbows.shape[1],
                chance=data.chance + score * level,
                few_shot_offset=score * offset,
                noise=score * tau,
            ),
            effective=float(effective),
        )
