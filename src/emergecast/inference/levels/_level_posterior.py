"""The posterior of a law with levels."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from emergecast.inference._draws import SEED
from emergecast.inference._from_draws import broken_line, draws_error, smoothing
from emergecast.inference._posterior import Posterior
from emergecast.inference.levels._level_target import LevelTarget
from emergecast.inference.levels._tables import FINE
from emergecast.inference.sampled._sequential import Effort, sample

if TYPE_CHECKING:
    from emergecast.inference._data import Floats
    from emergecast.inference.levels._level_priors import Shift
    from emergecast.inference.levels._tables import LevelTables
    from emergecast.inference.sampled._sequential import Stage

THOROUGH = Effort(particles=16384, chains=256, thinning=0.5, final_steps=256)
KEPT = 16384
"""Draws that are kept of all the states of the last round."""
TOLERANCE = 0.3
"""The largest error, as a share of the posterior's standard deviation, that counts as converged."""


class LevelPosterior(Posterior):
    """Distribution of the few-shot elbow under one shift form.

    The elbow is that of the few-shot level itself: where the law puts it, moved by the scatter of
    levels, given the few-shot rows, and by what reading it off later scores adds.
    """

    def __init__(self, target: LevelTarget, stage: Stage) -> None:
        """A posterior from equally weighted draws; use `level_posterior` to make one."""
        self._target, self._stage = target, stage
        weight = np.full(len(stage), 1 / len(stage))
        self._knots, self._cumulative = broken_line(self.elbow, weight)
        self.bandwidth = smoothing(self, len(stage))

    @cached_property
    def elbow(self) -> Floats:
        """Draws of the few-shot elbow, nats, shape (n,)."""
        from emergecast.inference.levels._table_kernel import draw_elbows

        tables, priors = self._target.tables, self._target.tables.priors
        rng = np.random.default_rng(SEED)
        placed = self._target.placed(self._stage.vectors)
        spreads = np.array(priors.spreads)[placed.spread, :2]
        centre = np.column_stack([placed.elbows[:, 0], placed.ln_slopes[:, 0]])
        few_shot = np.ascontiguousarray(tables.fine[:, 0])
        uniform = rng.random(len(self._stage))
        own = draw_elbows(few_shot, placed.curve, centre, spreads, FINE, uniform)
        own = own + priors.read_off_sd * rng.standard_normal(own.size)
        return np.asarray(tables.strongest_loss + tables.unit * own)

    @property
    def error(self) -> float:
        """Standard error of the 5, 50 and 95% quantiles, the largest, nats."""
        return draws_error(self.elbow, np.full(self.elbow.size, 1 / self.elbow.size))

    @property
    def converged(self) -> bool:
        """Whether the draws pin the quantiles well enough."""
        return 0 < self.error <= TOLERANCE * self.sd

    @property
    def log_evidence(self) -> float:
        """Ln of the marginal likelihood of the (standardised) scores under this law."""
        return self._stage.ln_evidence

    def draws(self, n: int, rng: np.random.Generator) -> Draws:
        raise NotImplementedError


def level_posterior(
    tables: LevelTables, shift: Shift, effort: Effort = THOROUGH, seed: int = SEED
) -> LevelPosterior:
    """The posterior of a law by sequential Monte Carlo from its prior."""
    target = LevelTarget(tables, shift)
    stage = sample(target, np.random.default_rng(seed), effort)[-1]
    return LevelPosterior(target, stage.thinned(KEPT))
