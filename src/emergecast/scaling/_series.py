"""The law of a series' own checkpoints: an exact posterior of a power law with an unknown floor."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

from emergecast.errors import ScalingError
from emergecast.scaling._laws import PowerLaw
from emergecast.scaling.counting import Resource

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

_NODES: Final = 1601
_LARGEST: Final = 300.0
"""Of the log of a power of X."""
_REACH: Final = 5.0
"""Prior standard deviations of ln alpha on both sides that are looked at."""
_NEGLIGIBLE: Final = 30.0
"""Log units below the highest density of ln alpha that count for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesPrior:
    """What is assumed of a series' law before its checkpoints are seen; all of it proper.

    floor ~ Uniform(0, lowest loss); ln alpha ~ Normal(ln alpha_median, alpha_log_sd); loss above
    the floor at the geometric mean of the amounts ~ Uniform(0, a bound that never matters); scatter
    of the losses about the law, in nats: scaled inverse chi-squared of `scatter_weight` degrees of
    freedom around `scatter_share` of the lowest loss.
    """

    alpha_median: float = 0.15
    """Published exponents of compute are 0.05 without a floor and 0.15 with one."""
    alpha_log_sd: float = 0.7
    scatter_share: float = 0.005
    scatter_weight: float = 2.0

    @property
    def sentence(self) -> str:
        """The priors in words."""
        return (
            f"floor uniform from 0 to the lowest loss; exponent log-normal, median "
            f"{self.alpha_median:g}, sd of its log {self.alpha_log_sd:g}; scatter about "
            f"{self.scatter_share:.1%} of the loss ({self.scatter_weight:g} degrees of freedom)"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesDraws:
    """Draws of a series' law."""

    law: PowerLaw
    """Constants are arrays of shape (n,)."""
    scatter_nats: Floats
    """Standard deviation of a checkpoint's loss about the law, nats, shape (n,)."""


def frontier(amounts: ArrayLike, losses: ArrayLike) -> NDArray[np.bool_]:
    """Which checkpoints no other beats: none has both a lower loss and no larger amount, (n,).

    Of checkpoints that agree in both, the first.

    Args:
        amounts: FLOPs, parameters or tokens, shape (n,).
        losses: nats, shape (n,).
    """
    x, y = np.asarray(amounts, dtype=np.float64), np.asarray(losses, dtype=np.float64)
    order = np.lexsort((y, x))
    before = np.concatenate([[math.inf], np.minimum.accumulate(y[order])[:-1]])
    kept = np.zeros(x.size, dtype=np.bool_)
    kept[order] = y[order] < before
    return kept


@dataclass(frozen=True, kw_only=True)
class SeriesLaw:
    """Posterior of L(X) = E + A X^-alpha from a series' own checkpoints.

    loss_i = E + B (X_i / X0)^-alpha + sigma z_i, z_i standard normal, X0 the geometric mean of the
    amounts, A = B X0^alpha. Given alpha the law is linear in E and B, which integrate out in closed
    form together with sigma under flat priors between bounds and a scaled inverse chi-squared: E
    and then B are Student-t. Only ln alpha is integrated numerically, on a grid that is narrowed
    until it resolves the posterior. B > 0 is kept by rejection. Where `floor_nats` is given, E is
    that.
    """

    FEWEST: ClassVar[int] = 3
    """Checkpoints that a law needs: it has three constants."""

    of: Resource
    """What X is."""
    amounts: Floats
    """X of the checkpoints, shape (n,)."""
    losses: Floats
    """Their losses, nats, shape (n,)."""
    floor_nats: float | None = None
    """E where it is given; None to infer it."""
    prior: SeriesPrior = SeriesPrior()

    def __post_init__(self) -> None:
        for name, values in (("amounts", self.amounts), ("losses", self.losses)):
            if not np.all(np.isfinite(values) & (values > 0)):
                raise ScalingError(f"the {name} of a series must be finite and above 0: {values}.")
        if np.unique(self.amounts).size < self.FEWEST:
            raise ScalingError(
                f"a law of {self.of} needs {self.FEWEST} checkpoints of different {self.of}, and "
                f"there are {np.unique(self.amounts).size}: measure more, or name a published law."
            )
        if self.floor_nats is not None and not 0 <= self.floor_nats < self.lowest_loss:
            raise ScalingError(
                f"a floor of {self.floor_nats:g} nats does not lie between 0 and the lowest loss, "
                f"{self.lowest_loss:g} nats: give one that does."
            )

    @property
    def lowest_loss(self) -> float:
        """The lowest loss, nats."""
        return float(self.losses.min())

    @property
    def scale(self) -> float:
        """X0, the geometric mean of the amounts."""
        return float(np.exp(np.log(self.amounts).mean()))

    def with_floor(self, floor_nats: float) -> SeriesLaw:
        """The same checkpoints under a floor that is given.

        Raises:
            ScalingError: the floor does not lie below all losses.
        """
        return replace(self, floor_nats=floor_nats)

    def draws(self, n: int, rng: np.random.Generator) -> SeriesDraws:
        """`n` independent draws of (E, A, alpha, sigma); alpha is stratified."""
        nodes, cumulative = self._table
        kept: list[Floats] = []
        missing = n
        while missing > 0:
            levels = (rng.permutation(missing) + rng.random(missing)) / missing
            alpha = np.exp(np.interp(levels, cumulative, nodes))
            found = self._rest(alpha, rng)
            kept.append(found[:, found[2] > 0])
            missing -= kept[-1].shape[1]
        alpha, floor, height, scatter = np.concatenate(kept, axis=1)
        with np.errstate(over="ignore"):
            numerator = height * self.scale**alpha
        law = PowerLaw(
            name="own",
            source="the series' own checkpoints",
            of=self.of,
            floor_nats=floor,
            a=numerator,
            alpha=alpha,
            span=(float(self.amounts.min()), float(self.amounts.max())),
        )
        return SeriesDraws(law=law, scatter_nats=scatter)

    # ------------------------------------------------------------------ ln alpha, on a grid

    @cached_property
    def _table(self) -> tuple[Floats, Floats]:
        """Nodes of ln alpha and the cumulative posterior there, both of shape (nodes,)."""
        middle, sd = math.log(self.prior.alpha_median), self.prior.alpha_log_sd
        low, high = middle - _REACH * sd, middle + _REACH * sd
        nodes = np.linspace(low, high, _NODES)
        log_density = self._log_density(nodes)
        for _ in range(4):
            seen = np.flatnonzero(log_density > log_density.max() - _NEGLIGIBLE)
            first, last = max(seen[0] - 1, 0), min(seen[-1] + 1, _NODES - 1)
            if last - first > _NODES // 2:
                break
            nodes = np.linspace(nodes[first], nodes[last], _NODES)
            log_density = self._log_density(nodes)
        density = np.exp(log_density - log_density.max())
        mass = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
        return nodes, mass / mass[-1]

    def _log_density(self, ln_alpha: Floats) -> Floats:
        """Ln of the posterior density of ln alpha, up to a constant, shape of `ln_alpha`.

        B > 0 is left out here: `draws` rejects what breaks it.
        """
        prior = (
            -0.5 * ((ln_alpha - math.log(self.prior.alpha_median)) / self.prior.alpha_log_sd) ** 2
        )
        z = self._powers(np.exp(ln_alpha))
        if self.floor_nats is not None:
            _, squares, rest = self._height(z, np.full(ln_alpha.shape, self.floor_nats))
            return prior - 0.5 * np.log(squares) - 0.5 * (self._dof + 1) * np.log(rest)
        found = self._floor(z)
        with np.errstate(divide="ignore"):
            inside = np.log(_between(self._dof, found.low, found.high)[0])
        return prior + inside - 0.5 * np.log(found.squares) - 0.5 * self._dof * np.log(found.rest)

    def _powers(self, alpha: Floats) -> Floats:
        """(X / X0)^-alpha, shape (alphas, n); absurd powers end where their squares still fit."""
        exponents = -np.outer(alpha, np.log(self.amounts) - math.log(self.scale))
        return np.asarray(np.exp(np.clip(exponents, -_LARGEST, _LARGEST)))

    @property
    def _dof(self) -> float:
        """Degrees of freedom of E given alpha."""
        return self.prior.scatter_weight + self.amounts.size - 2

    @property
    def _prior_squares(self) -> float:
        """What the prior of sigma adds to a sum of squares, nats^2."""
        return self.prior.scatter_weight * (self.prior.scatter_share * self.lowest_loss) ** 2

    # ------------------------------------------------------------------ the rest in closed form

    def _floor(self, z: Floats) -> _Floor:
        """E given alpha, whose powers are `z`, of shape (alphas, n)."""
        y, n = self.losses, self.losses.size
        mean = z.mean(axis=1)
        centred = z - mean[:, None]
        squares = np.sum(centred**2, axis=1)
        slope = centred @ (y - y.mean()) / squares
        left = y - y.mean() - slope[:, None] * centred
        rest = self._prior_squares + np.sum(left**2, axis=1)
        centre = y.mean() - slope * mean
        stderr = np.sqrt(rest / self._dof * (1 / n + mean**2 / squares))
        return _Floor(
            centre=centre,
            stderr=stderr,
            rest=rest,
            squares=squares,
            low=-centre / stderr,
            high=(y.min() - centre) / stderr,
        )

    def _height(self, z: Floats, floor: Floats) -> tuple[Floats, Floats, Floats]:
        """B given alpha and E: its centre, the squares of z, the residual squares; (alphas,)."""
        above = self.losses - floor[:, None]
        squares = np.sum(z**2, axis=1)
        centre = np.sum(z * above, axis=1) / squares
        left = above - centre[:, None] * z
        return centre, squares, self._prior_squares + np.sum(left**2, axis=1)

    def _rest(self, alpha: Floats, rng: np.random.Generator) -> Floats:
        """Draws of (alpha, E, B, sigma) given alpha, shape (4, alphas)."""
        z = self._powers(alpha)
        if self.floor_nats is None:
            found = self._floor(z)
            mass, start, sign = _between(self._dof, found.low, found.high)
            level = np.clip(start + mass * rng.random(alpha.size), 1e-300, 1.0)
            at = np.clip(sign * stdtrit(self._dof, level), found.low, found.high)
            floor = np.clip(found.centre + found.stderr * at, 0.0, self.lowest_loss)
        else:
            floor = np.full(alpha.shape, self.floor_nats)
        centre, squares, rest = self._height(z, floor)
        dof = self._dof + 1
        height = centre + np.sqrt(rest / dof / squares) * rng.standard_t(dof, alpha.size)
        left = self.losses - floor[:, None] - height[:, None] * z
        total = self._prior_squares + np.sum(left**2, axis=1)
        weight = self.prior.scatter_weight + self.amounts.size
        scatter = np.sqrt(total / rng.chisquare(weight, alpha.size))
        return np.stack([alpha, floor, height, scatter])


class _Floor(NamedTuple):
    """Student-t of E given alpha, cut at 0 and the lowest loss; all of shape (alphas,)."""

    centre: Floats
    stderr: Floats
    rest: Floats
    """Residual squares with those of the prior of sigma."""
    squares: Floats
    """Squares of z about its mean."""
    low: Floats
    """0 in units of the Student-t."""
    high: Floats
    """The lowest loss, in the same units."""


def _between(dof: float, low: Floats, high: Floats) -> tuple[Floats, Floats, Floats]:
    """Mass of Student-t between two points, taken in the tail where it keeps its digits.

    Returns the mass, the lower of the two cumulative probabilities in that tail, and the sign of
    the tail; all of the shape of `low`.
    """
    sign = np.where(low > 0, -1.0, 1.0)
    first, last = np.where(low > 0, -high, low), np.where(low > 0, -low, high)
    start = stdtr(dof, first)
    return np.asarray(stdtr(dof, last) - start), np.asarray(start), np.asarray(sign)
