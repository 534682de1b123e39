"""The likelihood with level, offset and slope integrated out in closed form.

Given the elbows and tau the law is linear in B, Delta and A. Their Gaussian priors (A cut at 0)
make the integral over them closed: a Gaussian in B and Delta, and one normal tail for A.
Everything here is in standard units: loss as (L - L*) / S, score as (y - chance) / R.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

if TYPE_CHECKING:
    from emergecast.inference._data import FitData, Floats, Ints
    from emergecast.inference._priors import Priors

CHUNK = 2048
"""Elbow vectors evaluated at a time, so that the work stays in the cache."""
SURE = 6.0
"""From here on ln Phi(z) is below 1e-9 and not worth computing."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Rows of the same loss and data amount, merged: only their weighted sums matter."""

    loss: Floats
    """Standard loss of each cell, shape (C,)."""
    level: Ints
    """0 for few-shot, j + 1 for amounts[j], shape (C,)."""
    row_cell: Ints
    """Cell of each row, shape (n,)."""

    @classmethod
    def of(cls, data: FitData) -> Cells:
        """Merge the rows of a fit; cells are ordered by level, then loss."""
        pairs = np.column_stack([data.level.astype(np.float64), data.standard_loss])
        unique, index = np.unique(pairs, axis=0, return_inverse=True)
        return cls(
            loss=unique[:, 1],
            level=unique[:, 0].astype(np.int64),
            row_cell=np.asarray(index).reshape(-1).astype(np.int64),
        )


class Collapsed:
    """Log marginal likelihood of elbow vectors, for several weightings of the rows at once.

    A weighting (a column) is a noise scale tau and, for the bootstrap, how often each row counts.

        y ~ N(X theta, diag(1 / w)),  theta = (B, Delta, A),  A > 0 a priori half-normal
        ln p(y | E) = const + n_A^2 / (2 p_A) - ln(p_A) / 2 + ln Phi(n_A / sqrt(p_A))

    where p_A and n_A are precision and precision-weighted mean of A after B and Delta have been
    integrated out (a Schur complement; B and Delta enter rows in a way no elbow changes).
    """

    def __init__(
        self, data: FitData, priors: Priors, tau: Floats, counts: Floats | None = None
    ) -> None:
        """Prepare the sums over rows.

        Args:
            data: the rows.
            priors: scales in standard units.
            tau: noise scale of each column in units of R, shape (T,).
            counts: how often each row counts in each column, shape (n, T); all once if None.
        """
        self.cells = Cells.of(data)
        self.few_shot_cells = int(np.searchsorted(self.cells.level, 1))
        variance = data.standard_variance(tau)
        times = np.ones_like(variance) if counts is None else counts
        weight = times / variance
        score = data.standard_score[:, None]
        self.weight = self._by_cell(weight)
        self.weighted_score = self._by_cell(weight * score)
        self.raw_misfit = np.sum(weight * score**2, axis=0)
        self._integrate_level_and_offset(priors, self.weight, self.weighted_score)
        self.slope_precision = 1.0 / priors.slope_scale**2
        self.constant = (
            -0.5 * np.sum(times * np.log(2 * np.pi * variance), axis=0)
            - 0.5 * self.misfit
            + self._level_determinant
            + 0.5 * np.log(self.slope_precision)
            + np.log(2.0)
        )

    def _by_cell(self, values: Floats) -> Floats:
        total = np.zeros((self.cells.loss.size, values.shape[1]))
        np.add.at(total, self.cells.row_cell, values)
        return total

    def _integrate_level_and_offset(self, priors: Priors, weight: Floats, moment: Floats) -> None:
        """Solve the 2 x 2 system of B and Delta for every column; they do not depend on elbows."""
        few = slice(0, self.few_shot_cells)
        prior = 1.0 / priors.level_scale**2
        q11 = weight.sum(axis=0) + prior
        q12 = weight[few].sum(axis=0)
        q22 = q12 + prior
        b1, b2 = moment.sum(axis=0), moment[few].sum(axis=0)
        determinant = q11 * q22 - q12**2
        self.inverse = (q22 / determinant, -q12 / determinant, q11 / determinant)
        self.level_mean = (
            (q22 * b1 - q12 * b2) / determinant,
            (q11 * b2 - q12 * b1) / determinant,
        )
        explained = b1 * self.level_mean[0] + b2 * self.level_mean[1]
        self.misfit = self.raw_misfit - explained
        self._level_determinant = np.log(prior) - 0.5 * np.log(determinant)

    def no_rise(self) -> Floats:
        """Log marginal likelihood of each column if no score leaves chance (A = 0), shape (T,)."""
        return np.asarray(self.constant - 0.5 * np.log(self.slope_precision) - np.log(2.0))

    def slope(self, elbows: Floats) -> tuple[Floats, Floats]:
        """Precision p_A and precision-weighted mean n_A of the slope.

        Args:
            elbows: standard loss of the elbow at each level (few-shot first), shape (N, J + 1).

        Returns:
            Two arrays of shape (N, T).
        """
        used, few, past = self._past(elbows)
        weight, moment = self.weight[used], self.weighted_score[used]
        mass = past @ weight
        mass_few = past[:, :few] @ weight[:few]
        numerator = past @ moment - mass * self.level_mean[0] - mass_few * self.level_mean[1]
        np.square(past, out=past)
        i11, i12, i22 = self.inverse
        precision = past @ weight - mass * (i11 * mass + 2 * i12 * mass_few) - i22 * mass_few**2
        return np.maximum(precision, 0.0) + self.slope_precision, numerator

    def _past(self, elbows: Floats) -> tuple[NDArray[np.bool_], int, Floats]:
        """How far each cell lies past its elbow, for the cells past it in any of the vectors.

        Returns which cells these are, how many of them are few-shot, and the distances (N, used).
        """
        used = self.cells.loss < elbows.max(axis=0)[self.cells.level]
        past = elbows[:, self.cells.level[used]]
        past -= self.cells.loss[used]
        np.maximum(past, 0.0, out=past)
        return used, int(np.count_nonzero(used[: self.few_shot_cells])), past

    def fitted_mean(self, elbows: Floats, column: int) -> tuple[Floats, Floats]:
        """Best mean standard score for one column, and the weight of each of its entries.

        Cells before every elbow share the level (finetuned) or the level plus offset (few-shot);
        they are merged into the last two entries. Shapes (N, M) and (M, T).
        """
        used, few, past = self._past(elbows)
        weight, moment = self.weight[used, column], self.weighted_score[used, column]
        mass, mass_few = past @ weight, past[:, :few] @ weight[:few]
        i11, i12, i22 = (part[column] for part in self.inverse)
        level, offset = self.level_mean[0][column], self.level_mean[1][column]
        numerator = past @ moment - mass * level - mass_few * offset
        shift, shift_few = i11 * mass + i12 * mass_few, i12 * mass + i22 * mass_few
        precision = past**2 @ weight - mass * shift - mass_few * shift_few
        slope = np.maximum(numerator, 0.0) / (np.maximum(precision, 0.0) + self.slope_precision)
        base = (level - slope * shift)[:, None]
        base_few = base + (offset - slope * shift_few)[:, None]
        past *= slope[:, None]
        past[:, :few] += base_few
        past[:, few:] += base
        unused = self.weight[~used]
        few_unused = self.few_shot_cells - few
        merged = np.vstack([unused[few_unused:].sum(axis=0), unused[:few_unused].sum(axis=0)])
        return np.hstack([past, base, base_few]), np.vstack([self.weight[used], merged])

    def log_likelihood(self, elbows: Floats) -> Floats:
        """Log marginal likelihood, shape (N, T); `elbows` as in `slope`."""
        if elbows.shape[0] <= CHUNK:
            return np.asarray(self.constant + collapsed_slope(*self.slope(elbows)))
        out = np.empty((elbows.shape[0], self.constant.size))
        for start in range(0, elbows.shape[0], CHUNK):
            part = slice(start, start + CHUNK)
            out[part] = self.constant + collapsed_slope(*self.slope(elbows[part]))
        return out


def collapsed_slope(precision: Floats, numerator: Floats) -> Floats:
    """Ln of the integral of exp(n A - p A^2 / 2) over A > 0, less ln(2 pi) / 2; any shape."""
    z = numerator / np.sqrt(precision)
    out = 0.5 * z * z - 0.5 * np.log(precision)
    unsure = z < SURE
    out[unsure] += log_ndtr(z[unsure])
    return np.asarray(out)


def log_half_normal(tau: Floats, scale: float) -> Floats:
    """Log density of the half-normal prior of tau."""
    return np.asarray(0.5 * np.log(2 / np.pi) - np.log(scale) - 0.5 * (tau / scale) ** 2)


def log_sum(values: Floats) -> Floats:
    """Ln sum exp along the last axis."""
    top = values.max(axis=-1)
    return np.asarray(top + np.log(np.exp(values - top[..., None]).sum(axis=-1)))
