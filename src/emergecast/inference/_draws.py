"""Posterior draws of every parameter, and the scores they fit to the rows."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from emergecast.emergence_law import response, rise
from emergecast.inference._likelihood import by_checkpoint, ln_checkpoints, ln_student

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emergecast.inference._data import FitData, Floats, Ints

SEED = 20241122
"""Of every random step whose seed the caller does not choose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelDraws:
    """What every level has of its own; score, shape (n, J + 1), few-shot first."""

    base: Floats
    """Score before the elbow."""
    ceiling: Floats
    """Rise at which scores end; infinite where they do not."""
    noise: Floats
    """tau, between runs."""
    scatter: Floats
    """omega, by which a checkpoint deviates at this level alone; 0 for laws without levels."""
    growth: Floats
    """rho: the scatter grows by this share of the rise (no unit)."""

    def pick(self, index: Ints) -> LevelDraws:
        """Of these draws."""
        return LevelDraws(**{each.name: getattr(self, each.name)[index] for each in fields(self)})

    @classmethod
    def shared(cls, levels: int, *, chance: Floats, few_shot_offset: Floats, noise: Floats) -> Self:
        """Of a law whose levels have nothing of their own; arguments of shape (n,)."""
        base = np.repeat(chance[:, None], levels, axis=1)
        base[:, 0] += few_shot_offset
        none = np.zeros_like(base)
        return cls(
            base=base,
            ceiling=np.full_like(base, np.inf),
            noise=np.repeat(noise[:, None], levels, axis=1),
            scatter=none,
            growth=none,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """Posterior draws of every parameter; arrays of shape (n,) where no other is given."""

    law: Ints
    """Which law of a mixture the draw comes from; 0 for a single law."""
    elbow: Floats
    """E(D0), nats."""
    elbow_high: Floats
    """E(Dmax), nats."""
    alpha: Floats
    k: Floats
    """Nats per unit of q(D)."""
    c: Floats
    """Nats."""
    half: Floats
    """K of a hill law, examples; nan for the others."""
    slope: Floats
    """Of few-shot rows, score per nat."""
    chance: Floats
    """Score before the elbow, B."""
    few_shot_offset: Floats
    """Delta, score."""
    noise: Floats
    """tau, score."""
    width: Floats
    """w, nats; 0 for a sharp elbow."""
    ceiling_rate: Floats
    """rho, per nat; 0 without a ceiling."""
    deviation_scale: Floats
    """kappa, score; 0 without deviations."""
    elbows: Floats
    """E(D0), then E of every data amount, nats, shape (n, J + 1)."""
    slopes: Floats
    """Slope of few-shot rows, then of every data amount, score per nat, shape (n, J + 1)."""
    deviations: Floats
    """Deviation of every checkpoint from the law, series included, score, (n, checkpoints)."""
    series_deviations: Floats
    """The part of it that the rows of a series share, score, (n, series)."""
    toe: Floats
    """Toe of the response of a law with levels, in shares of the rise; 0 for other laws."""
    shoulder: Floats
    """Its shoulder."""
    by_level: LevelDraws
    """What every level has of its own."""
    effective: float
    """Effective number of independent draws."""

    def __len__(self) -> int:
        """How many draws there are."""
        return self.elbow.size

    def parameters(self) -> dict[str, Floats]:
        """Name to draws of shape (n,), without what the law does not have."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: value
            for name, value in found.items()
            if isinstance(value, np.ndarray)
            and value.ndim == 1
            and not np.all(np.isnan(value))
            and (name in PLAIN or np.any(value != 0))
        }

    def pick(self, index: Ints, *, law: int | None = None) -> Draws:
        """The draws of these indices, marked as those of one law of a mixture."""
        taken = {
            field.name: getattr(self, field.name)[index]
            for field in fields(self)
            if field.name not in ("effective", "by_level")
        }
        if law is not None:
            taken["law"] = np.full(len(index), law)
        return Draws(**taken, by_level=self.by_level.pick(index), effective=self.effective)

    def fitted(self, data: FitData) -> Floats:
        """Noiseless score of every row under every draw, shape (n, rows)."""
        return self.line(data.level, data.loss) + self.deviations[:, data.checkpoint]

    def expected(self, data: FitData, *, series: bool = True) -> Floats:
        """The same without the deviations of checkpoints, perhaps with those of series."""
        mean = self.line(data.level, data.loss)
        return mean + self.series_deviations[:, data.series] if series else mean

    def ln_checkpoints(
        self, data: FitData, *, student: bool, rows: NDArray[np.bool_] | None = None
    ) -> Floats:
        """Log density of the rows of each checkpoint under every draw, shape (n, checkpoints).

        The deviation of the checkpoint is integrated out. Under Student-t scores that has no closed
        form: there it is the deviation of the draw.

        Args:
            data: the rows; checkpoints are numbered as there.
            student: whether scores are Student-t.
            rows: which rows count, shape (rows,); all if None.
        """
        n = self.deviations.shape[1]
        data = data if rows is None else data.rows(rows)
        if np.any(self.toe > 0):
            return self._ln_groups(data, n)
        variance = data.variance(self.noise)
        if student:
            return by_checkpoint(
                ln_student(data.score - self.fitted(data), variance), data.checkpoint, n
            )
        residual = data.score - self.expected(data)
        return ln_checkpoints(
            residual, variance, checkpoint=data.checkpoint, kappa=self.deviation_scale, n=n
        )

    def line(self, level: Ints, loss: Floats) -> Floats:
        """Noiseless score of a checkpoint that does not deviate, shape (n, points).

        Args:
            level: 0 for few-shot, j for data amount j, shape (points,).
            loss: nats, shape (points,).
        """
        past = np.take(self.elbows, level, axis=1) - loss
        base = np.take(self.by_level.base, level, axis=1)
        slopes = np.take(self.slopes, level, axis=1)
        risen = slopes * rise(
            past, width=self.width[:, None], ceiling_rate=self.ceiling_rate[:, None]
        )
        for toe, shoulder in {*zip(self.toe, self.shoulder, strict=True)} - {(0.0, 0.0)}:
            own = np.flatnonzero((self.toe == toe) & (self.shoulder == shoulder))
            curve = response(float(toe), float(shoulder))
            ceiling = np.take(self.by_level.ceiling[own], level, axis=1)
            u = curve.elbow + slopes[own] * past[own] / (ceiling * curve.slope)
            risen[own] = ceiling * curve.share(u)
        return np.asarray(base + risen)

    def variance(self, data: FitData) -> Floats:
        """Variance of every row around the law, but for shared deviations, score^2, (n, rows)."""
        tau = np.take(self.by_level.noise, data.level, axis=1)
        return data.sampling_sd**2 + tau**2 / data.repeats + self.scatter(data.level, data.loss)

    def scatter(self, level: Ints, loss: Floats) -> Floats:
        """Variance of what a checkpoint deviates by at one level alone, score^2, (n, points).

        Args:
            level: 0 for few-shot, j for data amount j, shape (points,).
            loss: nats, shape (points,).
        """
        own = self.by_level
        omega, rho = (np.take(each, level, axis=1) for each in (own.scatter, own.growth))
        if not np.any(rho):
            return np.asarray(omega**2)
        risen = self.line(level, loss) - np.take(own.base, level, axis=1)
        return np.asarray(omega**2 + (rho * risen) ** 2)

    def _ln_groups(self, data: FitData, n: int) -> Floats:
        """`ln_checkpoints` of a law with levels: a checkpoint deviates at each level by itself."""
        tau = np.take(self.by_level.noise, data.level, axis=1)
        variance = data.sampling_sd**2 + tau**2 / data.repeats
        residual = data.score - self.line(data.level, data.loss)
        scatter, found = self.scatter(data.level, data.loss), np.zeros((len(self), n))
        for level in np.unique(data.level):
            at = data.level == level
            checkpoint = data.checkpoint[at]
            weight = 1 / variance[:, at]
            known, moment, square = (
                by_checkpoint(part, checkpoint, n)
                for part in (weight, weight * residual[:, at], weight * residual[:, at] ** 2)
            )
            count = np.bincount(checkpoint, minlength=n)
            shared = by_checkpoint(scatter[:, at], checkpoint, n) / np.maximum(count, 1)
            inflated = 1 + shared * known
            found += 0.5 * by_checkpoint(np.log(weight / (2 * np.pi)), checkpoint, n)
            found -= 0.5 * (square - shared * moment**2 / inflated + np.log(inflated))
        return found


PLAIN = ("elbow", "elbow_high", "alpha", "k", "c", "slope", "chance", "few_shot_offset", "noise")
"""Parameters that every law has."""


def joined(parts: list[Draws]) -> Draws:
    """Draws of several laws as one."""
    first = parts[0]
    columns = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in fields(first)
        if field.name not in ("effective", "by_level")
    }
    levels = {
        field.name: np.concatenate([getattr(part.by_level, field.name) for part in parts])
        for field in fields(LevelDraws)
    }
    return replace(
        first,
        **columns,
        by_level=LevelDraws(**levels),
        effective=sum(part.effective for part in parts),
    )


def systematic(weight: Floats, n: int, rng: np.random.Generator) -> Ints:
    """Indices of n systematically resampled draws, in rising order, shape (n,)."""
    edges = np.cumsum(weight)
    at = (np.arange(n) + rng.random()) * edges[-1] / n
    return np.asarray(np.minimum(np.searchsorted(edges, at, side="right"), weight.size - 1))
