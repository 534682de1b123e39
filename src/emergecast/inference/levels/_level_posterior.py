"""The posterior of a law with levels."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from emergecast.inference._draws import SEED, Draws, LevelDraws, systematic
from emergecast.inference._from_draws import broken_line, draws_error, smoothing
from emergecast.inference._posterior import Posterior
from emergecast.inference.levels._level_tables import FINE, curve_of
from emergecast.inference.levels._level_target import LevelTarget
from emergecast.inference.sampled import Effort, effective, sample

if TYPE_CHECKING:
    from emergecast.emergence_law import LawForm
    from emergecast.inference._data import Floats, Ints
    from emergecast.inference.levels._level_tables import LevelTables
    from emergecast.inference.levels._level_target import Placed
    from emergecast.inference.sampled import Stage

THOROUGH = Effort(particles=16384, chains=256, thinning=0.5, final_steps=256)
"""Effort of a fit."""
LIGHT = Effort(particles=8192, chains=256, thinning=0.5, final_steps=96)
"""Effort of a fit without some of its rows."""
FEWEST_EFFECTIVE = 400.0
"""Below so many effective draws, weights are not trusted and the posterior is sampled again."""
RESAMPLED = 4096
"""Draws that are kept of weighted ones."""
KEPT = 8192
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
        self._knots, self._cumulative = broken_line(self.elbow, self._even)
        self.bandwidth = smoothing(self, len(stage))

    @property
    def _even(self) -> Floats:
        return np.full(len(self._stage), 1 / len(self._stage))

    @cached_property
    def elbow(self) -> Floats:
        """Draws of the few-shot elbow, nats, shape (n,)."""
        rng = np.random.default_rng(SEED)
        own = self._level(self._target.placed(self._stage.vectors), 0, rng)[:, 0]
        return self._read_off(own, rng)

    @property
    def error(self) -> float:
        """Standard error of the 5, 50 and 95% quantiles, the largest, nats."""
        return draws_error(self.elbow, self._even)

    @property
    def converged(self) -> bool:
        """Whether the draws pin the quantiles well enough."""
        return 0 < self.error <= TOLERANCE * self.sd

    @property
    def log_evidence(self) -> float:
        """Ln of the marginal likelihood of the (standardised) scores under this law."""
        return self._stage.ln_evidence

    def under(self, tables: LevelTables) -> LevelPosterior:
        """The posterior from other tables: fewer rows, another D0, other priors.

        The draws are weighted by how much likelier they are there. Where too few stay effective,
        it is sampled again, with less effort.
        """
        target, stage = LevelTarget(tables, self._target.form), self._stage
        ln_prior, ln_likelihood = target.evaluate(stage.vectors)
        ln_weight = ln_likelihood - stage.ln_likelihood
        if effective(ln_weight) < FEWEST_EFFECTIVE:
            return level_posterior(tables, self._target.form, LIGHT)
        weight = np.exp(ln_weight - ln_weight.max())
        moved = replace(
            stage,
            ln_prior=ln_prior,
            ln_likelihood=ln_likelihood,
            ln_evidence=stage.ln_evidence + float(ln_weight.max() + np.log(weight.mean())),
        )
        drawn = systematic(weight, RESAMPLED, np.random.default_rng(SEED))
        return LevelPosterior(target, moved.pick(drawn))

    def draws(self, n: int, rng: np.random.Generator) -> Draws:
        """`n` draws of all parameters; what a level has of its own is drawn given its rows."""
        tables, stage = self._target.tables, self._stage
        data, score, unit = tables.data, tables.data.score_range, tables.data.loss_unit
        at = rng.choice(len(stage), n, replace=n > len(stage))
        placed = self._target.placed(stage.vectors[at], data.level_amounts)
        levels = data.level_amounts.size
        own = np.stack([self._level(placed, level, rng) for level in range(levels)], axis=1)
        states = np.stack(
            [self._states(placed.curve, own[:, level], level, rng) for level in range(levels)],
            axis=1,
        )
        node = np.array(tables.priors.noise)[states[..., 1].astype(np.int64)]
        elbows, slopes = data.to_nats(own[..., 0]), np.exp(own[..., 1]) * score / unit
        curves = np.array([(curve.toe, curve.shoulder) for curve, _ in tables.priors.responses])
        base = data.chance + score * states[..., 2]
        none, nothing = np.zeros(n), np.full(n, np.nan)
        return Draws(
            law=np.zeros(n, dtype=np.int64),
            elbow=self._read_off(own[:, 0, 0], rng),
            elbow_high=elbows[:, -1],
            alpha=placed.law.alpha,
            k=nothing,
            c=nothing,
            half=placed.law.half,
            slope=slopes[:, 0],
            chance=base[:, -1],
            few_shot_offset=base[:, 0] - base[:, -1],
            noise=score * np.sqrt(np.mean(node[:, 1:, 0] ** 2, axis=1)),
            width=none,
            ceiling_rate=none,
            deviation_scale=none,
            elbows=elbows,
            slopes=slopes,
            deviations=np.zeros((n, data.n_checkpoints)),
            series_deviations=np.zeros((n, data.n_series)),
            toe=curves[placed.curve, 0],
            shoulder=curves[placed.curve, 1],
            by_level=LevelDraws(
                base=base,
                ceiling=score * states[..., 0],
                noise=score * node[..., 0] * (np.arange(levels) > 0),
                scatter=score * node[..., 1],
                growth=node[..., 2],
            ),
            effective=float(min(n, len(stage))),
        )

    def _read_off(self, own: Floats, rng: np.random.Generator) -> Floats:
        """Few-shot elbows as later scores show them, nats, from those of the level, U."""
        tables = self._target.tables
        spread = tables.priors.scales.read_off_scale
        return tables.data.to_nats(own + spread * rng.standard_normal(own.size))

    def _level(self, placed: Placed, level: int, rng: np.random.Generator) -> Floats:
        """Elbow and ln slope of a level of `placed`, given its rows if there are any, (N, 2)."""
        from emergecast.inference.levels._table_kernel import draw_levels

        tables, n = self._target.tables, placed.curve.size
        spread = np.array(tables.priors.spreads)[placed.spread, :2]
        centre = np.column_stack([placed.law.elbows[:, level], placed.ln_slopes[:, level]])
        uniform, normal = rng.random((n, 4)), rng.standard_normal((n, 2))
        measured = np.flatnonzero(tables.levels == level)
        if not measured.size:
            return np.asarray(centre + spread * normal)
        ln_fine = tables.fine[:, measured[0]]
        density = np.exp(ln_fine - ln_fine.max(axis=(1, 2), keepdims=True))
        random = uniform, normal
        return np.asarray(draw_levels(density, placed.curve, centre, spread, FINE, random))

    def _states(self, curve: Ints, own: Floats, level: int, rng: np.random.Generator) -> Floats:
        """Ceiling, state of the noise, and score before the elbow above chance, R, (N, 3)."""
        from emergecast.inference.levels._table_kernel import draw_states

        tables = self._target.tables
        measured = np.flatnonzero(tables.levels == level)
        cells = tables.cells[measured[0]] if measured.size else tables.no_rows
        curves = tuple(curve_of(each) for each, _ in tables.priors.responses)
        random = rng.random(curve.size), rng.standard_normal(curve.size)
        return np.asarray(draw_states(cells, curves, curve, own, random))


def prior_level_elbows(tables: LevelTables, form: LawForm, n: int) -> Floats:
    """Draws of the few-shot elbow under the priors alone, nats, shape (n,)."""
    rng = np.random.default_rng(SEED)
    target, data = LevelTarget(tables, form), tables.data
    placed = target.placed(target.sample_prior(n, rng), data.level_amounts[:1])
    priors = tables.priors
    spread = np.array(priors.spreads)[placed.spread, 0]
    own = np.hypot(spread, priors.scales.read_off_scale) * rng.standard_normal(n)
    return data.to_nats(placed.law.elbows[:, 0] + own)


def level_posterior(
    tables: LevelTables, form: LawForm, effort: Effort = THOROUGH, seed: int = SEED
) -> LevelPosterior:
    """The posterior of a law by sequential Monte Carlo from its prior."""
    target = LevelTarget(tables, form)
    stage = sample(target, np.random.default_rng(seed), effort)[-1]
    return LevelPosterior(target, stage.thinned(KEPT))
