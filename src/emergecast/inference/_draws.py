"""Posterior draws of every parameter, and the scores they fit to the rows."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from emergecast.emergence_law import rise
from emergecast.inference._likelihood import by_checkpoint, ln_checkpoints, ln_student

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emergecast.inference._data import FitData, Floats, Ints

SEED = 20241122
"""Of every random step whose seed the caller does not choose."""


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
            if field.name != "effective"
        }
        if law is not None:
            taken["law"] = np.full(len(index), law)
        return Draws(**taken, effective=self.effective)

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
        risen = rise(past, width=self.width[:, None], ceiling_rate=self.ceiling_rate[:, None])
        base = self.chance[:, None] + self.few_shot_offset[:, None] * (level == 0)
        return np.asarray(base + np.take(self.slopes, level, axis=1) * risen)


PLAIN = ("elbow", "elbow_high", "alpha", "k", "c", "slope", "chance", "few_shot_offset", "noise")
"""Parameters that every law has."""


def joined(parts: list[Draws]) -> Draws:
    """Draws of several laws as one."""
    first = parts[0]
    columns = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in fields(first)
        if field.name != "effective"
    }
    return replace(first, **columns, effective=sum(part.effective for part in parts))


def systematic(weight: Floats, n: int, rng: np.random.Generator) -> Ints:
    """Indices of n systematically resampled draws, in rising order, shape (n,)."""
    edges = np.cumsum(weight)
    at = (np.arange(n) + rng.random()) * edges[-1] / n
    return np.asarray(np.minimum(np.searchsorted(edges, at, side="right"), weight.size - 1))
