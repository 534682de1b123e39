"""Waste-free sequential Monte Carlo from a prior to a posterior.

The likelihood is raised to a power that grows from 0 to 1. At each power the particles are
weighted, a few are drawn as starts of short Markov chains, and *every* state of every chain is a
particle of the next power: nothing that was computed is thrown away. Chains move by differences of
two earlier particles, so that proposals take the shape of the posterior, modes included.
Source: Dau and Chopin, Waste-free sequential Monte Carlo, arXiv 2011.02328; the proposal is that of
differential evolution (ter Braak 2006), from a population that is fixed while a chain runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from scipy.optimize import brentq

from emergecast.inference._draws import systematic

if TYPE_CHECKING:
    from emergecast.inference._data import Floats, Ints

FULL_JUMP = 0.1
"""Share of proposals that jump by a whole difference, which carries chains between modes."""
MAX_STAGES = 200
KEPT = 1024
"""Draws that are kept of a stage before the last."""


class Target(Protocol):
    """What is sampled: vectors are rows of an (N, d) array."""

    def sample_prior(self, n: int, rng: np.random.Generator) -> Floats:
        """Independent draws from the prior, shape (n, d)."""
        ...

    def evaluate(self, vectors: Floats) -> tuple[Floats, Floats]:
        """Log prior density and log likelihood, both (N,); -inf prior where impossible."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much a run may cost."""

    particles: int = 4096
    chains: int = 256
    """Chains per stage; each gives particles / chains states."""
    thinning: float = 0.6
    """Share of particles that stay effective from one power to the next."""
    final_steps: int = 48
    """Steps of each chain at the posterior itself; all its states are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Equally weighted draws from the prior times a power of the likelihood."""

    power: float
    chains: int
    """Draw i belongs to chain i % chains."""
    vectors: Floats
    """Shape (N, d)."""
    ln_prior: Floats
    """Shape (N,)."""
    ln_likelihood: Floats
    """Not raised to the power, shape (N,)."""
    ln_evidence: float
    """Log of the integral of prior times likelihood to the power."""
    acceptance: float
    """Share of accepted proposals in the round that gave these draws."""

    def __len__(self) -> int:
        """How many draws there are."""
        return self.ln_prior.size

    def pick(self, index: Ints) -> Stage:
        """The draws of these indices."""
        return replace(
            self,
            vectors=self.vectors[index],
            ln_prior=self.ln_prior[index],
            ln_likelihood=self.ln_likelihood[index],
        )

    def thinned(self, most: int) -> Stage:
        """At most about so many: a state in a few of each chain, whole steps at a time."""
        every = max(1, len(self) // most)
        steps = np.arange(len(self)).reshape(-1, self.chains)[every - 1 :: every]
        return self.pick(steps.ravel())


class Start(NamedTuple):
    """Where a run sets out: draws of another target, weighted."""

    draws: Stage
    """Log prior and log likelihood are those of the new target."""
    ln_weight: Floats
    """Log of the density there over that they were drawn from, shape (N,)."""


def sample(
    target: Target,
    rng: np.random.Generator,
    effort: Effort | None = None,
    start: Start | None = None,
) -> tuple[Stage, ...]:
    """Draws at every power up to the posterior of `target`, which comes last.

    All but the last are thinned to a state in a few of each chain: they are where a run for a
    similar target may start.
    """
    effort = effort or Effort()
    if start is None:
        vectors = target.sample_prior(effort.particles, rng)
        ln_prior, ln_likelihood = target.evaluate(vectors)
        draws = Stage(
            power=0.0,
            chains=effort.chains,
            vectors=vectors,
            ln_prior=ln_prior,
            ln_likelihood=ln_likelihood,
            ln_evidence=0.0,
            acceptance=1.0,
        )
        start = Start(draws, np.zeros(effort.particles))
    draws, ln_weight = start
    path: list[Stage] = []
    while not path or (draws.power < 1.0 and len(path) < MAX_STAGES):
        step = _next_step(ln_weight, draws.ln_likelihood, 1.0 - draws.power, effort.thinning)
        power = 1.0 if step >= 1.0 - draws.power else draws.power + step
        ln_weight = ln_weight + step * draws.ln_likelihood
        top = float(np.max(ln_weight))
        weight = np.exp(ln_weight - top)
        ln_evidence = draws.ln_evidence + top + math.log(float(np.mean(weight)))
        begun = replace(draws, power=power, ln_evidence=ln_evidence, chains=effort.chains)
        first = begun.pick(systematic(weight, effort.chains, rng))
        steps = effort.particles // effort.chains if power < 1.0 else effort.final_steps
        draws = _walked(target, first, begun.pick(_pool(weight, effort.chains, rng)), steps, rng)
        path.append(draws if power == 1.0 else draws.thinned(KEPT))
        ln_weight = np.zeros(len(draws))
    return tuple(path)


def extended(target: Target, draws: Stage, steps: int, rng: np.random.Generator) -> Stage:
    """The draws, and so many more steps of each of their chains."""
    last = draws.pick(np.arange(len(draws) - draws.chains, len(draws)))
    pool = draws.pick(_pool(np.ones(len(draws)), draws.chains, rng))
    added = _walked(target, last, pool, steps + 1, rng)
    new = added.pick(np.arange(draws.chains, len(added)))
    return _joined([draws, new], added.acceptance)


def _joined(parts: list[Stage], acceptance: float) -> Stage:
    """The draws of several rounds of the same chains, one after the other."""
    return replace(
        parts[0],
        vectors=np.concatenate([part.vectors for part in parts]),
        ln_prior=np.concatenate([part.ln_prior for part in parts]),
        ln_likelihood=np.concatenate([part.ln_likelihood for part in parts]),
        acceptance=acceptance,
    )


def _pool(weight: Floats, chains: int, rng: np.random.Generator) -> Ints:
    """Draws between which proposals jump, in random order."""
    return rng.permutation(systematic(weight, 4 * chains, rng))


def _next_step(ln_weight: Floats, ln_likelihood: Floats, rest: float, share: float) -> float:
    """Largest growth of the power that leaves `share` of the effective particles effective."""
    fewest = share * effective(ln_weight)

    def surplus(step: float) -> float:
        return effective(ln_weight + step * ln_likelihood) - fewest

    if surplus(rest) >= 0:
        return rest
    low = rest
    while surplus(low) < 0:
        low /= 4
    return float(brentq(surplus, low, min(4 * low, rest), rtol=1e-3))


def effective(ln_weight: Floats) -> float:
    """Effective number of draws of these weights."""
    weight = np.exp(ln_weight - np.max(ln_weight))
    return float(weight.sum() ** 2 / np.sum(weight**2))


def _walked(
    target: Target, first: Stage, pool: Stage, steps: int, rng: np.random.Generator
) -> Stage:
    """All states of chains that start at `first` and jump by differences of the pool."""
    here, power = first, first.power
    kept = [here]
    n, d = here.vectors.shape
    jump = 2.38 / math.sqrt(2 * d)
    jitter = 0.02 * pool.vectors.std(axis=0)
    accepted = 0
    for _ in range(steps - 1):
        pair = pool.vectors[rng.integers(len(pool), size=(2, n))]
        length = np.where(rng.random(n) < FULL_JUMP, 1.0, jump * np.exp(rng.normal(-0.4, 0.6, n)))
        move = length[:, None] * (pair[0] - pair[1]) + jitter * rng.standard_normal((n, d))
        vectors = here.vectors + move
        ln_prior, ln_likelihood = target.evaluate(vectors)
        with np.errstate(invalid="ignore"):
            gain = ln_prior - here.ln_prior + power * (ln_likelihood - here.ln_likelihood)
        better = np.log(1.0 - rng.random(n)) < gain
        here = replace(
            here,
            vectors=np.where(better[:, None], vectors, here.vectors),
            ln_prior=np.where(better, ln_prior, here.ln_prior),
            ln_likelihood=np.where(better, ln_likelihood, here.ln_likelihood),
        )
        accepted += int(np.count_nonzero(better))
        kept.append(here)
    return _joined(kept, accepted / max(1, (steps - 1) * n))
