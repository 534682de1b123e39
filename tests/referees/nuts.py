"""The posterior by NUTS (NumPyro): B, Delta, A, tau sampled explicitly, four chains, 64-bit floats.

The elbow is sampled as (E(Dmid), E(Dmax), ln alpha), Dmid a finetuned amount in the middle of the
table: data pin the first two, nearly independently of the third, and E(D0) follows. At fixed alpha
the change of variables from (E(10), d) is linear.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpy.typing import NDArray
from numpyro.infer import NUTS
from numpyro.infer.util import potential_energy

from .diagnostics import effective_size, quantile_errors, r_hat
from .ensemble import starting_points
from .model import Problem, elbow, rise

jax.config.update("jax_enable_x64", val=True)

Floats = NDArray[np.float64]
CHAINS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class NutsResult:
    """Draws of E(D0) and what says whether to believe them."""

    draws: Floats  # [chain, draw] nats
    r_hat: float
    ess_bulk: float
    divergences: int
    first_seconds: float  # compilation, warm-up and sampling
    again_seconds: float  # the same run with everything compiled; nan when not asked for
    sampling_seconds: float  # sampling alone, compiled; nan when not asked for

    def quantile(self, levels: list[float]) -> Floats:
        """Quantiles of all draws together, nats."""
        return np.asarray(np.quantile(self.draws, levels))

    def quantile_error(self, levels: list[float]) -> Floats:
        """Monte Carlo standard error of each quantile, nats."""
        return quantile_errors(self.draws, levels)

    @property
    def ok(self) -> bool:
        """R-hat under 1.01 and no divergence."""
        return self.r_hat < 1.01 and self.divergences == 0


def middle_amount(p: Problem) -> float:
    """A finetuned amount in the middle of the table, below the largest."""
    amounts = np.unique(p.examples[~p.few_shot])
    return float(amounts[(len(amounts) - 1) // 2])


def _arguments(p: Problem) -> dict[str, Any]:
    """The numbers the model is called with; amounts as ln x(D) - ln x(Dhi), -inf where x is 0."""
    amounts = np.unique(p.examples)

    def ln_ratio(d: Any) -> Floats:
        x, top = (np.log(v) if p.law == "log-power" else np.asarray(v) for v in (d, p.dhi))
        return np.asarray(np.log(np.maximum(x / top, 1e-300)))

    return {
        "ln_x": ln_ratio(amounts),
        "level_of": np.searchsorted(amounts, p.examples),
        "marks": ln_ratio(np.array([p.d0, 10.0, middle_amount(p), p.dmax, p.dhi])),
        "decades": np.log10(p.dhi / 10),
        "loss": p.loss,
        "few": p.few_shot.astype(float),
        "score": p.score,
        "s2": p.s**2,
        "r": p.r,
        "at": np.array([p.chance, p.e10_mean, p.ln_alpha_mean]),
        "scale": np.array(
            [p.level_sd, p.e10_sd, p.ln_alpha_sd, p.shift_sd, p.slope_sd, p.tau_sd, p.spread]
        ),
    }


def _model(
    ln_x: Any, level_of: Any, marks: Any, decades: Any, loss: Any, few: Any, score: Any, s2: Any,
    r: Any, at: Any, scale: Any,
) -> None:  # fmt: skip
    chance, e10_mean, ln_alpha_mean = at
    level_sd, e10_sd, ln_alpha_sd, shift_sd, slope_sd, tau_sd, spread = scale
    level = chance + level_sd * numpyro.sample("level_z", dist.Normal(0, 1))
    offset = level_sd * numpyro.sample("offset_z", dist.Normal(0, 1))
    slope = slope_sd * numpyro.sample("slope_z", dist.HalfNormal(1))
    tau = tau_sd * numpyro.sample("tau_z", dist.HalfNormal(1))
    alpha_z = numpyro.sample("alpha_z", dist.Normal(0, 1))
    flat = dist.ImproperUniform(dist.constraints.real, (), ())
    mid = e10_mean + spread * numpyro.sample("mid_z", flat)
    ln_gap = numpyro.sample("ln_gap", flat)
    gap = spread * jnp.exp(ln_gap)  # E(Dmax) - E(Dmid)

    alpha = jnp.exp(ln_alpha_mean + ln_alpha_sd * alpha_z)
    power0, power10, power_mid, power_max, power_hi = jnp.exp(alpha * marks)
    per_decade = (power_hi - power10) / decades
    d = gap * per_decade / (power_max - power_mid)
    e0 = mid - d * (power_mid - power0) / per_decade
    e10 = mid - d * (power_mid - power10) / per_decade
    # density of (E(10), d), times |d(E(10), d) / d(mid, gap)| = d / gap, times d gap / d ln_gap
    prior = dist.Normal(e10_mean, e10_sd).log_prob(e10) + dist.HalfNormal(shift_sd).log_prob(d)
    numpyro.factor("elbow", prior + jnp.log(d / gap) + ln_gap)

    elbows = e0 + d * (jnp.exp(alpha * ln_x) - power0) / per_decade
    mean = level + offset * few + slope * jnp.maximum(elbows[level_of] - loss, 0.0)
    numpyro.sample("score", dist.Normal(mean, jnp.sqrt(s2 + tau**2 / r)), obs=score)


def _unconstrained(p: Problem, start: dict[str, float]) -> dict[str, float]:
    """A point of the full model as the sampler's own coordinates."""
    where = start["e10"], start["d"], start["ln_alpha"]
    mid, top = (float(elbow(p, a, *where)) for a in (middle_amount(p), p.dmax))
    return {
        "level_z": (start["level"] - p.chance) / p.level_sd,
        "offset_z": start["offset"] / p.level_sd,
        "slope_z": float(np.log(start["slope"] / p.slope_sd)),
        "tau_z": float(np.log(start["tau"] / p.tau_sd)),
        "alpha_z": (start["ln_alpha"] - p.ln_alpha_mean) / p.ln_alpha_sd,
        "mid_z": (mid - p.e10_mean) / p.spread,
        "ln_gap": float(np.log(max(top - mid, 1e-6 * p.spread) / p.spread)),
    }


def believable_nuts(p: Problem, *, seed: int) -> NutsResult:
    """Longer runs with smaller steps until R-hat and divergences are right, or the last one."""
    result = nuts(p, seed=seed)
    for draws, accept in ((6000, 0.98), (16000, 0.995)):
        if result.ok:
            break
        result = nuts(p, seed=seed, draws=draws, warmup=4000, target_accept=accept)
    return result


def _kernel(data: dict[str, Any], accept: float) -> NUTS:
    return NUTS(
        potential_fn=lambda z: potential_energy(_model, (), data, z),
        target_accept_prob=accept,
        dense_mass=True,
        max_tree_depth=10,
    )


@partial(jax.jit, static_argnames=("warmup", "accept"))
def _warm_up(keys: Any, starts: Any, data: Any, warmup: int, accept: float) -> Any:
    """The states of all chains after warm-up; the chains run one after the other."""

    def chain(at: Any) -> Any:
        kernel = _kernel(data, accept)
        state = kernel.init(at[0], warmup, at[1], (), {})
        return jax.lax.fori_loop(0, warmup, lambda _, s: kernel.sample(s, (), {}), state)

    return jax.lax.map(chain, (keys, starts))


@partial(jax.jit, static_argnames=("warmup", "accept", "draws"))
def _sample(states: Any, data: Any, warmup: int, accept: float, draws: int) -> Any:
    """What E(D0) is made of and whether the step diverged, [chain, draw] each."""
    kernel = _kernel(data, accept)
    first = jax.tree.map(lambda leaf: leaf[0], states)
    kernel.init(first.rng_key, warmup, first.z, (), {})  # sets the kernel up; the state is dropped

    def step(state: Any, _: None) -> Any:
        state = kernel.sample(state, (), {})
        return state, ({k: state.z[k] for k in ("mid_z", "ln_gap", "alpha_z")}, state.diverging)

    return jax.lax.map(lambda s: jax.lax.scan(step, s, None, length=draws)[1], states)


def _elbow_draws(p: Problem, z: dict[str, Any]) -> Floats:
    """E(D0) from the sampler's coordinates."""
    mid, ln_gap, alpha_z = (np.asarray(z[k]) for k in ("mid_z", "ln_gap", "alpha_z"))
    ln_alpha = p.ln_alpha_mean + p.ln_alpha_sd * alpha_z
    below, above = (rise(p, amount, ln_alpha) for amount in (middle_amount(p), p.dmax))
    gap = p.spread * np.exp(ln_gap)
    return np.asarray(p.e10_mean + p.spread * mid - gap * below / (above - below))


def nuts(
    p: Problem,
    *,
    seed: int,
    draws: int = 2000,
    warmup: int = 1500,
    target_accept: float = 0.97,
    time_again: bool = False,
) -> NutsResult:
    """Four chains, each started at its own prior draw that the data do not rule out."""
    rng = np.random.default_rng([seed, 77])
    points = [_unconstrained(p, s) for s in starting_points(p, CHAINS, rng)]
    starts = {k: jnp.array([s[k] for s in points]) for k in points[0]}
    data = {k: jnp.asarray(v) for k, v in _arguments(p).items()}
    keys = jax.random.split(jax.random.PRNGKey(seed), CHAINS)

    def run() -> tuple[Any, float, float]:
        began = time.perf_counter()
        states = jax.block_until_ready(_warm_up(keys, starts, data, warmup, target_accept))
        warm = time.perf_counter()
        out = jax.block_until_ready(_sample(states, data, warmup, target_accept, draws))
        return out, time.perf_counter() - began, time.perf_counter() - warm

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (z, diverging), first, _ = run()
        again = sampling = float("nan")
        if time_again:
            _, again, sampling = run()
    e0 = _elbow_draws(p, z)
    return NutsResult(
        draws=e0,
        r_hat=r_hat(e0),
        ess_bulk=effective_size(e0),
        divergences=int(np.asarray(diverging).sum()),
        first_seconds=first,
        again_seconds=again,
        sampling_seconds=sampling,
    )
