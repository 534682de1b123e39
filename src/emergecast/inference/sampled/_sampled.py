"""The posterior of a law with features, from equally weighted draws."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from emergecast.emergence_law import Feature
from emergecast.inference._draws import SEED, Draws, LevelDraws, systematic
from emergecast.inference._from_draws import GROUPS, broken_line, draws_error, smoothing
from emergecast.inference._posterior import Posterior
from emergecast.inference.sampled._explicit import Explicit
from emergecast.inference.sampled._marginal import Marginal
from emergecast.inference.sampled._sequential import (
    Effort,
    Stage,
    Start,
    effective,
    extended,
    sample,
)
from emergecast.inference.sampled._space import Space

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emergecast.emergence_law import Law
    from emergecast.inference._data import FitData, Floats
    from emergecast.inference._likelihood_rows import Linear
    from emergecast.inference._priors import Priors

KEPT = 3072
"""Draws that are kept of all the states of the last round."""
REWEIGHTED = 1024
"""Draws that are reweighted for a slightly different model."""
FEWEST_EFFECTIVE = 100.0
"""Below so many effective ones, weights are not trusted and the posterior is sampled again."""
QUICK = Effort(particles=2048, chains=128, final_steps=48)
"""Then with this effort."""
START = 0.1
"""Share of draws that must stay effective where such a run sets out."""
GOOD, TOLERANCE = 0.16, 0.25
"""Such errors, as shares of the posterior's standard deviation: one that is left as it is, and the
largest that counts as converged."""
MOST_STEPS = 256
"""To so many steps chains are extended while the error is not good."""


class Model:
    """Rows, law and priors as a target for the sampler; standard units."""

    def __init__(
        self, data: FitData, law: Law, priors: Priors, keep: NDArray[np.bool_] | None = None
    ) -> None:
        """A model; `keep` (n,) says which rows to look at."""
        self.data, self.law = data, law
        self.space = Space.of(data, law, priors)
        self.explicit = (
            Explicit(data, self.space, keep) if Feature.STUDENT in law.features else None
        )
        self.marginal = Marginal(data, self.space, keep)

    def sample_prior(self, n: int, rng: np.random.Generator) -> Floats:
        """Independent draws from the prior, shape (n, d)."""
        vectors = self.space.sample_prior(n, rng)
        if self.explicit is None:
            return vectors
        return np.column_stack([vectors, self.explicit.sample_prior(n, rng)])

    def evaluate(self, vectors: Floats) -> tuple[Floats, Floats]:
        """Log prior density and log likelihood, both (N,)."""
        elbows, ln_prior = self.space.elbows_and_prior(vectors)
        if self.explicit is None:
            return ln_prior, self.marginal.log_likelihood(vectors, elbows)
        ln_prior = ln_prior + self.explicit.log_prior(vectors[:, self.space.size :])
        return ln_prior, self.explicit.log_likelihood(vectors, elbows)

    def elbows(self, vectors: Floats) -> Floats:
        """Elbows at every level in S above the strongest loss, few-shot first, (N, J + 1)."""
        return self.space.elbows_and_prior(vectors)[0]

    def linear(self, vectors: Floats, rng: np.random.Generator) -> Linear:
        """One draw of everything linear for each vector."""
        if self.explicit is not None:
            return self.explicit.linear(vectors)
        return self.marginal.linear(vectors, self.elbows(vectors), rng)


class SampledPosterior(Posterior):
    """The posterior of any law, as weighted draws."""

    def __init__(self, model: Model, path: tuple[Stage, ...], weight: Floats) -> None:
        """A posterior from draws; use `sampled` to make one.

        Args:
            model: what was sampled.
            path: draws of the posterior, which come last, and those on the way to them.
            weight: of the last draws, shape (N,), summing to 1.
        """
        self._model, self._path, self._weight = model, path, weight
        self._vectors = path[-1].vectors
        self._elbow = model.data.to_nats(model.elbows(self._vectors)[:, 0])
        self._knots, self._cumulative = broken_line(self._elbow, weight)
        self.bandwidth = smoothing(self, self.effective)

    @property
    def effective(self) -> float:
        """Effective number of draws, as far as weights tell."""
        return float(1 / np.sum(self._weight**2))

    @property
    def error(self) -> float:
        """Standard error of the 5, 50 and 95% quantiles, the largest, nats.

        A jackknife over groups of chains: how much the quantiles move without each of them.
        """
        return draws_error(self._elbow, self._weight)

    @property
    def converged(self) -> bool:
        """Whether the draws pin the quantiles well enough (chains that never moved do not)."""
        return 0 < self.error <= TOLERANCE * self.sd

    @property
    def log_evidence(self) -> float:
        """Ln of the marginal likelihood of the (standardised) scores under this law."""
        return self._path[-1].ln_evidence

    def under(self, model: Model, effort: Effort = QUICK) -> SampledPosterior:
        """The posterior of a slightly different model of the same law: other priors, D0 or rows.

        The draws are weighted by how much likelier they are there. Where too few stay effective,
        that model is sampled with `effort`, from the last stage at which enough do.
        """
        space, other = self._model.space, model.space
        if space.pivot != other.pivot or space.amounts[space.pivot] != other.amounts[other.pivot]:
            return sampled(model, effort)
        last, size = self._path[-1], self._weight.size
        # whole blocks of draws, so that every chain stays equally present
        every = max(1, size // REWEIGHTED)
        some = np.arange(size).reshape(-1, every * GROUPS)[:, :GROUPS].ravel()
        start = _start(model, last.pick(some))
        with np.errstate(divide="ignore"):
            ln_weight = start.ln_weight + np.log(self._weight[some])
        if effective(ln_weight) >= FEWEST_EFFECTIVE:
            total = float(np.logaddexp.reduce(ln_weight))
            ln_evidence = last.ln_evidence + total + math.log(every)
            draws = replace(start.draws, ln_evidence=ln_evidence)
            return SampledPosterior(model, (draws,), np.exp(ln_weight - total))
        stage = self._last_shared(model)
        return sampled(model, effort, None if stage is None else _start(model, stage))

    def _last_shared(self, model: Model) -> Stage | None:
        """The last stage of which enough draws stay effective under the model; by bisection."""
        found, low, high = None, 0, len(self._path) - 1
        while low < high:
            middle = (low + high) // 2
            stage = self._path[middle]
            few = stage.thinned(stage.chains)
            if effective(_start(model, few).ln_weight) >= START * len(few):
                found, low = stage, middle + 1
            else:
                high = middle
        return found

    def draws(self, n: int, rng: np.random.Generator) -> Draws:
        """`n` draws of all parameters, with new draws of what enters linearly."""
        pick = rng.permutation(systematic(self._weight, n, rng))
        model, data = self._model, self._model.data
        vectors = self._vectors[pick]
        space = model.space
        linear = model.linear(vectors, rng)
        elbows = data.to_nats(model.elbows(vectors))
        alpha, half = space.alpha(vectors), space.half(vectors)
        amounts = space.amounts[[0, -1]]
        low, high = (space.law.form.shift(amount, alpha, half) for amount in amounts)
        k = (elbows[:, -1] - elbows[:, 0]) / np.maximum(high - low, 1e-300)
        score, loss = data.score_range, data.loss_unit
        deviations, series = linear.checkpoint, np.zeros((n, data.n_series))
        if linear.series.shape[1]:
            series = linear.series
            of_checkpoint = np.zeros(deviations.shape[1], dtype=np.int64)
            of_checkpoint[data.checkpoint] = data.series
            deviations = deviations + series[:, of_checkpoint]
        return Draws(
            law=np.zeros(n, dtype=np.int64),
            elbow=elbows[:, 0],
            elbow_high=elbows[:, -1],
            alpha=alpha,
            k=k,
            c=elbows[:, 0] - k * low,
            half=half,
            slope=linear.slopes[:, 0] * score / loss,
            chance=data.chance + score * linear.level,
            few_shot_offset=score * linear.offset,
            noise=score * space.scale(vectors, "tau"),
            width=loss * space.scale(vectors, "width"),
            ceiling_rate=space.scale(vectors, "ceiling_rate") / loss,
            deviation_scale=score * space.scale(vectors, "kappa"),
            elbows=elbows,
            slopes=linear.slopes * score / loss,
            deviations=score * deviations,
            series_deviations=score * series,
            toe=np.zeros(n),
            shoulder=np.zeros(n),
            by_level=LevelDraws.shared(
                elbows.shape[1],
                chance=data.chance + score * linear.level,
                few_shot_offset=score * linear.offset,
                noise=score * space.scale(vectors, "tau"),
            ),
            effective=min(float(n), self.effective),
        )


def sampled(
    model: Model, effort: Effort | None = None, start: Start | None = None
) -> SampledPosterior:
    """The posterior of a model by sequential Monte Carlo, from its prior or from a start.

    Without an `effort`, chains are extended as long as the error is not good.
    """
    rng = np.random.default_rng(SEED)
    *path, draws = sample(model, rng, effort, start)
    found = _posterior(model, path, draws)
    steps = len(draws) // draws.chains
    while effort is None and steps < MOST_STEPS and not 0 < found.error <= GOOD * found.sd:
        draws = extended(model, draws, min(steps, MOST_STEPS - steps), rng)
        steps = len(draws) // draws.chains
        found = _posterior(model, path, draws)
    return found


def _start(model: Model, stage: Stage) -> Start:
    """The draws of a stage of another model, weighted as draws of the same stage of this one."""
    ln_prior, ln_likelihood = model.evaluate(stage.vectors)
    ln_weight = ln_prior - stage.ln_prior
    ln_weight += stage.power * (ln_likelihood - stage.ln_likelihood)
    return Start(replace(stage, ln_prior=ln_prior, ln_likelihood=ln_likelihood), ln_weight)


def _posterior(model: Model, path: list[Stage], draws: Stage) -> SampledPosterior:
    kept = draws.thinned(KEPT)
    return SampledPosterior(model, (*path, kept), np.full(len(kept), 1 / len(kept)))
