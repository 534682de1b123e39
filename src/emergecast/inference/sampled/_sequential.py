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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy.optimize import brentq

from emergecast.inference._draws import systematic

if TYPE_CHECKING:
    from emergecast.inference._data import Floats

FULL_JUMP = 0.1
"""Share of proposals that jump by a whole difference, which carries chains between modes."""
MAX_STAGES = 200


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
class Particles:
    """Equally weighted draws from the posterior."""

    vectors: Floats
    """Shape (N, d)."""
    ln_prior: Floats
    ln_likelihood: Floats
    ln_evidence: float
    """Log probability of the data under prior and likelihood."""
    acceptance: float
    """Share of accepted proposals in the last round."""
    stages: int


def sample(target: Target, rng: np.random.Generator, effort: Effort | None = None) -> Particles:
    """Draws from the posterior of `target`."""
    effort = effort or Effort()
    vectors = target.sample_prior(effort.particles, rng)
    ln_prior, ln_likelihood = target.evaluate(vectors)
    power, ln_evidence, acceptance, stages = 0.0, 0.0, 1.0, 0
    while power < 1.0 and stages < MAX_STAGES:
        step = _next_step(ln_likelihood, 1.0 - power, effort.thinning)
        power = 1.0 if step >= 1.0 - power else power + step
        ln_weight = step * ln_likelihood
        top = float(np.max(ln_weight))
        weight = np.exp(ln_weight - top)
        ln_evidence += top + math.log(float(np.mean(weight)))
        state = (vectors, ln_prior, ln_likelihood)
        steps = effort.particles // effort.chains if power < 1.0 else effort.final_steps
        state, acceptance = _round(target, state, weight, power, (effort.chains, steps), rng)
        vectors, ln_prior, ln_likelihood = state
        stages += 1
    return Particles(
        vectors=vectors,
        ln_prior=ln_prior,
        ln_likelihood=ln_likelihood,
        ln_evidence=ln_evidence,
        acceptance=acceptance,
        stages=stages,
    )


def _next_step(ln_likelihood: Floats, rest: float, share: float) -> float:
    """Largest growth of the power that leaves `share` of the particles effective."""
    centred = ln_likelihood - np.max(ln_likelihood)

    def surplus(step: float) -> float:
        weight = np.exp(step * centred)
        return float(weight.sum() ** 2 / np.sum(weight**2) / centred.size - share)

    if surplus(rest) >= 0:
        return rest
    low = rest
    while surplus(low) < 0:
        low /= 4
    return float(brentq(surplus, low, min(4 * low, rest), rtol=1e-3))


def _round(
    target: Target,
    state: tuple[Floats, Floats, Floats],
    weight: Floats,
    power: float,
    size: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[tuple[Floats, Floats, Floats], float]:
    """Chains at one power; returns all their states, (N, d) and twice (N,), and acceptance.

    `size` is the number of chains and of states of each.
    """
    vectors, ln_prior, ln_likelihood = state
    chains, steps = size
    starts = systematic(weight, chains, rng)
    pool = vectors[systematic(weight, 4 * chains, rng)]
    pool = pool[rng.permutation(pool.shape[0])]
    here, prior_here, likelihood_here = vectors[starts], ln_prior[starts], ln_likelihood[starts]
    kept = [(here, prior_here, likelihood_here)]
    jump = 2.38 / math.sqrt(2 * vectors.shape[1])
    jitter = 0.02 * pool.std(axis=0)
    accepted = 0
    n, d = here.shape
    for _ in range(steps - 1):
        pair = rng.integers(pool.shape[0], size=(2, n))
        length = np.where(rng.random(n) < FULL_JUMP, 1.0, jump * np.exp(rng.normal(-0.4, 0.6, n)))
        move = length[:, None] * (pool[pair[0]] - pool[pair[1]]) + jitter * rng.standard_normal(
            (n, d)
        )
        there = here + move
        prior_there, likelihood_there = target.evaluate(there)
        with np.errstate(invalid="ignore"):
            gain = prior_there - prior_here + power * (likelihood_there - likelihood_here)
        better = np.log(1.0 - rng.random(n)) < gain
        here = np.where(better[:, None], there, here)
        prior_here = np.where(better, prior_there, prior_here)
        likelihood_here = np.where(better, likelihood_there, likelihood_here)
        accepted += int(np.count_nonzero(better))
        kept.append((here, prior_here, likelihood_here))
    columns = [np.concatenate(part) for part in zip(*kept, strict=True)]
    share = accepted / max(1, (steps - 1) * n)
    return (columns[0], columns[1], columns[2]), share
