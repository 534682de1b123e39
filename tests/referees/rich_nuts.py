"""The posterior of a richer law by NUTS (NumPyro): every parameter explicit, 64-bit floats."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from numpyro.infer import NUTS

from .diagnostics import effective_size, quantile_errors, r_hat
from .rich_density import (
    Kind,
    arguments,
    evaluate,
    gains_of_many,
    kind_of,
    linear,
    log_density,
    names,
    natural,
)
from .rich_model import RichProblem

jax.config.update("jax_enable_x64", val=True)

Floats = NDArray[np.float64]
CHAINS = 4
POOL = 4096  # prior draws among which starting points are chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class RichNutsResult:
    """Draws of E(D0) and of every scalar parameter, and what says whether to believe them."""

    law: str
    draws: Floats  # E(D0), [chain, draw] nats
    scalars: dict[str, Floats]  # e10, d, ..., slope, level, offset: [chain, draw] each
    effects: dict[str, Floats]  # delta, u, v: [chain, draw, group] each
    r_hat: float  # the largest, over E(D0) and every scalar
    r_hats: dict[str, float]
    ess_bulk: float  # of E(D0)
    esses: dict[str, float]
    divergences: int
    seconds: float  # compilation where it was needed, warm-up and sampling

    def quantile(self, levels: list[float], name: str = "elbow_at_d0") -> Floats:
        """Quantiles of all draws of one scalar together."""
        return np.asarray(np.quantile(self._chains(name), levels))

    def quantile_error(self, levels: list[float], name: str = "elbow_at_d0") -> Floats:
        """Monte Carlo standard error of each quantile."""
        return quantile_errors(self._chains(name), levels)

    def _chains(self, name: str) -> Floats:
        return self.draws if name == "elbow_at_d0" else self.scalars[name]

    @property
    def ok(self) -> bool:
        """R-hat of all under 1.01, 400 effective draws of E(D0), hardly a divergence."""
        few = self.divergences <= self.draws.size / 1000
        return self.r_hat < 1.01 and self.ess_bulk >= 400 and few


def _prior_theta(p: RichProblem, n: int, rng: np.random.Generator) -> Floats:
    """Prior draws in the sampler's coordinates [n, k]."""
    data, order = arguments(p), names(p)
    theta = np.empty((n, len(order)))
    for i, name in enumerate(order):
        z = rng.normal(0, 1, n)
        theta[:, i] = z if name.endswith("_z") else np.log(np.abs(z))
    # the elbow is drawn as (E(10), d) and then read off at Dmid and Dmax
    e10_z, ln_d = theta[:, 0] * data["sd"]["e10"] / data["spread"], theta[:, 1]
    d = data["sd"]["d"] * np.exp(ln_d) / data["spread"]
    marks = gains_of_many(p, theta)
    theta[:, 0] = e10_z + d * marks[:, 2]
    theta[:, 1] = np.log(np.maximum(d * (marks[:, 2] - marks[:, 1]), 1e-9))
    return theta


def starting_thetas(p: RichProblem, n: int, rng: np.random.Generator) -> Floats:
    """Distinct prior draws [n, k] by a tempered likelihood, each with the slope that suits it."""
    data, kind = arguments(p), kind_of(p)
    pool = _prior_theta(p, POOL, rng)
    pool[:, names(p).index("slope_z")] = 0.0
    value = evaluate(kind, data, pool, np.zeros((POOL, sum(c for _, c in linear(p)))))[0]
    value = np.where(np.isfinite(value), value, -1e9)
    heat = np.exp((value - value.max()) / max(1.0, len(p.plain.loss) / 10)) + 1e-300
    return np.asarray(pool[rng.choice(POOL, n, replace=False, p=heat / heat.sum())])


def _kernel(kind: Kind, data: Any, accept: float) -> NUTS:
    return NUTS(
        potential_fn=lambda z: -log_density(kind, data, z["theta"], z["white"])[0],
        target_accept_prob=accept,
        dense_mass=[("theta",)],
        max_tree_depth=9,
    )


@partial(jax.jit, static_argnames=("kind", "counts"))
def _run(
    kind: Kind, data: Any, keys: Any, starts: Any, accept: Any, counts: tuple[int, int]
) -> Any:
    """Coordinates, divergence and steps of every draw, [chain, draw] each, one chain at a time."""
    warmup, draws = counts

    def chain(at: Any) -> Any:
        kernel = _kernel(kind, data, accept)
        state = kernel.init(at[0], warmup, at[1], (), {})
        state = jax.lax.fori_loop(0, warmup, lambda _, s: kernel.sample(s, (), {}), state)

        def step(state: Any, _: None) -> Any:
            state = kernel.sample(state, (), {})
            return state, (state.z, state.diverging, state.num_steps)

        return jax.lax.scan(step, state, None, length=draws)[1]

    return jax.lax.map(chain, (keys, starts))


def rich_nuts(
    p: RichProblem, *, seed: int, draws: int = 1000, warmup: int = 800, target_accept: float = 0.9
) -> RichNutsResult:
    """Four chains, each started at its own prior draw that the data do not rule out."""
    began = time.perf_counter()
    rng = np.random.default_rng([seed, 79])
    theta = starting_thetas(p, CHAINS, rng)
    white = rng.normal(0, 1, (CHAINS, sum(count for _, count in linear(p))))
    starts = {"theta": jnp.asarray(theta), "white": jnp.asarray(white)}
    data = jax.tree.map(jnp.asarray, arguments(p))
    keys = jax.random.split(jax.random.PRNGKey(seed), CHAINS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        z, diverging, _ = _run(kind_of(p), data, keys, starts, target_accept, (warmup, draws))
    found = natural(p, np.asarray(z["theta"]), np.asarray(z["white"]))
    e0 = found.pop("elbow_at_d0")
    effects = {name: value for name, value in found.items() if value.ndim == 3}
    scalars = {name: value for name, value in found.items() if value.ndim == 2}
    every = {"elbow_at_d0": e0} | scalars
    r_hats = {name: r_hat(value) for name, value in every.items()}
    esses = {name: effective_size(value) for name, value in every.items()}
    return RichNutsResult(
        law=p.law,
        draws=e0,
        scalars=scalars,
        effects=effects,
        r_hat=max(r_hats.values()),
        r_hats=r_hats,
        ess_bulk=esses["elbow_at_d0"],
        esses=esses,
        divergences=int(np.asarray(diverging).sum()),
        seconds=time.perf_counter() - began,
    )


def believable_rich_nuts(p: RichProblem, *, seed: int) -> RichNutsResult:
    """Longer runs with smaller steps until R-hat and divergences are right, or the last one."""
    result = rich_nuts(p, seed=seed)
    for draws, accept in ((3000, 0.97), (8000, 0.99)):
        if result.ok:
            break
        result = rich_nuts(p, seed=seed, draws=draws, warmup=2000, target_accept=accept)
    return result
