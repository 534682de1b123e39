"""The exact posterior of a plain law, by quadrature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import log_ndtr, ndtri_exp

from emergecast.inference._draws import Draws
from emergecast.inference._posterior import Posterior
from emergecast.inference.exact._boxes import CELLS, WEIGHTS, cumulative_mass, elbow_cells
from emergecast.inference.exact._collapsed import Collapsed, collapsed_slope, log_half_normal
from emergecast.inference.exact._quadrature import IGNORED, Mass, integrate

if TYPE_CHECKING:
    from emergecast.inference._coordinates import Coordinates
    from emergecast.inference._data import FitData, Floats, Ints

OVERSAMPLE = 4
ROWS_AT_ONCE = 2_000_000


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
        return float(self._mass.error * self._data.loss_spread)

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
        conditional = _Conditional(self._data, self._coordinates, elbows, tau)
        ln_weight = conditional.ln_likelihood + prior - ln_proposal
        ln_weight += log_half_normal(tau, self._coordinates.priors.noise_scale)
        weight = np.exp(ln_weight - ln_weight.max())
        weight /= weight.sum()
        pick = np.searchsorted(np.cumsum(weight), (np.arange(n) + rng.random()) / n)
        pick = rng.permutation(np.minimum(pick, weight.size - 1))
        slope, level, offset = conditional.linear(pick, rng)
        return self._in_nats(
            points[pick], elbows[pick], tau[pick], (slope, level, offset), 1 / np.sum(weight**2)
        )

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
        linear: tuple[Floats, Floats, Floats],
        effective: float,
    ) -> Draws:
        data, form = self._data, self._coordinates.form
        slope, level, offset = linear
        alpha = np.exp(points[:, 2])
        low, high = data.to_nats(elbows[:, 0]), data.to_nats(elbows[:, -1])
        x_low, x_high = (
            float(form.abscissa(amount)) ** alpha
            for amount in (data.few_shot_examples, data.amounts[-1])
        )
        k = (high - low) / (x_high - x_low)
        score = data.score_range
        slope = slope * score / data.loss_spread
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
            effective=float(effective),
        )


class _Conditional:
    """Exact density, and the laws of B, Delta and A, at points that each have their own tau."""

    def __init__(
        self, data: FitData, coordinates: Coordinates, elbows: Floats, tau: Floats
    ) -> None:
        priors = coordinates.priors
        n = tau.size
        sums = np.empty((n, 10))
        chunk = max(1, ROWS_AT_ONCE // data.loss.size)
        for start in range(0, n, chunk):
            part = slice(start, start + chunk)
            sums[part] = _sums(data, elbows[part], tau[part])
        w, wf, wy, wfy, wyy, log_w, h1, h1f, h2, hy = sums.T
        prior = 1 / priors.level_scale**2
        q11, q12, q22 = w + prior, wf, wf + prior
        determinant = q11 * q22 - q12**2
        self.inverse = (q22 / determinant, -q12 / determinant, q11 / determinant)
        self.right = (wy, wfy)
        self.cross = (h1, h1f)
        mean = self._solve(wy, wfy)
        shift = self._solve(h1, h1f)
        self.precision = 1 / priors.slope_scale**2 + np.maximum(
            h2 - h1 * shift[0] - h1f * shift[1], 0.0
        )
        self.numerator = hy - h1 * mean[0] - h1f * mean[1]
        self.ln_likelihood = (
            0.5 * log_w
            - 0.5 * data.loss.size * np.log(2 * np.pi)
            - 0.5 * (wyy - wy * mean[0] - wfy * mean[1])
            + np.log(prior)
            - 0.5 * np.log(determinant)
            - np.log(priors.slope_scale)
            + np.log(2)
            + collapsed_slope(self.precision, self.numerator)
        )

    def _solve(self, first: Floats, second: Floats) -> tuple[Floats, Floats]:
        i11, i12, i22 = self.inverse
        return i11 * first + i12 * second, i12 * first + i22 * second

    def linear(self, pick: Ints, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
        """One draw of (A, B, Delta) at each picked point, standard units."""
        sd = 1 / np.sqrt(self.precision[pick])
        z = self.numerator[pick] * sd
        uniform = 1.0 - rng.random(pick.size)
        slope = sd * (z - ndtri_exp(np.log(uniform) + log_ndtr(z)))
        slope = np.maximum(slope, 0.0)
        i11, i12, i22 = (part[pick] for part in self.inverse)
        b1 = self.right[0][pick] - slope * self.cross[0][pick]
        b2 = self.right[1][pick] - slope * self.cross[1][pick]
        first, second = rng.standard_normal((2, pick.size))
        root = np.sqrt(i11)
        level = i11 * b1 + i12 * b2 + root * first
        rest = np.sqrt(np.maximum(i22 - i12**2 / i11, 0.0))
        offset = i12 * b1 + i22 * b2 + i12 / root * first + rest * second
        return slope, level, offset


def _sums(data: FitData, elbows: Floats, tau: Floats) -> Floats:
    """The ten weighted sums over rows that the conditional laws need, shape (N, 10)."""
    variance = (data.sampling_sd / data.score_range) ** 2 + tau[:, None] ** 2 / data.repeats
    weight = 1 / variance
    score = data.standard_score
    few = data.few_shot
    past = np.maximum(elbows[:, data.level] - data.standard_loss, 0.0)
    weighted = weight * past
    return np.column_stack(
        [
            weight.sum(axis=1),
            weight[:, few].sum(axis=1),
            weight @ score,
            weight[:, few] @ score[few],
            weight @ score**2,
            -np.log(variance).sum(axis=1),
            weighted.sum(axis=1),
            weighted[:, few].sum(axis=1),
            (weighted * past).sum(axis=1),
            weighted @ score,
        ]
    )
