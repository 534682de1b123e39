"""The posterior by an ensemble sampler (emcee), with A, B and Delta integrated out."""

from __future__ import annotations

import time
from dataclasses import dataclass

import emcee
import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from .brute_force import excesses
from .diagnostics import quantile_errors
from .model import Problem, log_prior_elbow, rise

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsembleResult:
    """Draws of E(D0) after burn-in, and what they are worth."""

    draws: Floats  # [step, walker] nats
    autocorrelation: float  # integrated, steps
    ess: float
    seconds: float  # burn-in and sampling

    @property
    def ok(self) -> bool:
        """At least 50 autocorrelation times, emcee's own rule."""
        return len(self.draws) > 50 * self.autocorrelation

    def quantile(self, levels: list[float]) -> Floats:
        """Quantiles of all draws together, nats."""
        return np.asarray(np.quantile(self.draws, levels))

    def quantile_error(self, levels: list[float]) -> Floats:
        """Monte Carlo standard error of each quantile, nats, each walker taken as a chain."""
        return quantile_errors(self.draws.T, levels)


def log_posterior(p: Problem, points: Floats) -> Floats:
    """Log density of (scores, E(D0), ln d, ln alpha, ln tau) at points [k, 4], constants kept."""
    return _log_posterior(p, points)[0]


def _log_posterior(p: Problem, points: Floats) -> tuple[Floats, Floats, Floats]:
    """Density; mean [k, 3] and covariance [k, 3, 3] of (B - chance, Delta, A) before A > 0."""
    e0, ln_d, ln_alpha, ln_tau = points.T
    d, tau = np.exp(ln_d), np.exp(ln_tau)
    y = p.score - p.chance
    w = 1 / (p.s**2 + tau[:, None] ** 2 / p.r)
    excess = excesses(p, e0, d, ln_alpha)
    ones = np.ones_like(excess)
    design = np.stack([ones, ones * p.few_shot, excess], axis=-1)  # [k, n, 3]
    prior = np.array([p.level_sd, p.level_sd, p.slope_sd]) ** -2.0
    weighted = design * w[..., None]
    precision = np.swapaxes(weighted, 1, 2) @ design + np.diag(prior)
    covariance = np.linalg.inv(precision)
    right = np.einsum("kni,n->ki", weighted, y)
    mean = np.einsum("kij,kj->ki", covariance, right)
    likelihood = 0.5 * (
        np.log(w).sum(-1)
        - len(y) * np.log(2 * np.pi)
        + np.log(prior).sum()
        - np.linalg.slogdet(precision)[1]
        - (w @ y**2 - (right * mean).sum(-1))
    )
    tail = np.log(2) + log_ndtr(mean[:, 2] / np.sqrt(covariance[:, 2, 2]))
    e10 = e0 + d * rise(p, 10.0, ln_alpha)
    tau_prior = np.log(2 / p.tau_sd / np.sqrt(2 * np.pi)) - 0.5 * (tau / p.tau_sd) ** 2
    total = likelihood + tail + log_prior_elbow(p, e10, d, ln_alpha) + ln_d + tau_prior + ln_tau
    return np.where(np.isfinite(total), total, -np.inf), mean, covariance


def prior_draws(p: Problem, n: int, rng: np.random.Generator) -> Floats:
    """Draws [n, 4] of (E(D0), ln d, ln alpha, ln tau) from the prior."""
    ln_alpha = rng.normal(p.ln_alpha_mean, p.ln_alpha_sd, n)
    d = np.abs(rng.normal(0, p.shift_sd, n))
    e0 = rng.normal(p.e10_mean, p.e10_sd, n) - d * rise(p, 10.0, ln_alpha)
    tau = np.abs(rng.normal(0, p.tau_sd, n))
    return np.stack([e0, np.log(d), ln_alpha, np.log(tau)], axis=-1)


def _chosen(p: Problem, n: int, rng: np.random.Generator) -> Floats:
    """Distinct prior draws [n, 4], chosen by a tempered likelihood: spread, not absurd."""
    pool = prior_draws(p, 20_000, rng)
    log_p = np.concatenate([log_posterior(p, part) for part in np.array_split(pool, 40)])
    heat = np.exp((log_p - log_p.max()) / max(1.0, len(p.loss) / 10))
    return np.asarray(pool[rng.choice(len(pool), n, replace=False, p=heat / heat.sum())])


def starting_points(p: Problem, n: int, rng: np.random.Generator) -> list[dict[str, float]]:
    """Points of the full model to start n chains from, spread wider than the posterior."""
    points = _chosen(p, n, rng)
    _, mean, _ = _log_posterior(p, points)
    out = []
    for (e0, ln_d, ln_alpha, ln_tau), (level, offset, slope) in zip(points, mean, strict=True):
        d = float(np.exp(ln_d))
        out.append(
            {
                "e10": float(e0 + d * rise(p, 10.0, ln_alpha)),
                "d": d,
                "ln_alpha": float(ln_alpha),
                "tau": float(np.exp(ln_tau)),
                "level": float(level + p.chance),
                "offset": float(offset if p.few_shot.any() else 0.0),
                "slope": float(max(slope, 0.05 * p.slope_sd)),
            }
        )
    return out


def ensemble(
    p: Problem, *, seed: int, effective: float = 1000.0, walkers: int = 32, max_steps: int = 40_000
) -> EnsembleResult:
    """Runs until the draws of E(D0) are worth `effective` independent ones, a fifth burnt in."""
    began = time.perf_counter()
    rng = np.random.default_rng([seed, 78])
    start = _chosen(p, walkers, rng)
    sampler = emcee.EnsembleSampler(
        walkers, 4, lambda points: log_posterior(p, points), vectorize=True
    )
    sampler.random_state = np.random.RandomState(seed).get_state()
    state = emcee.State(start, random_state=sampler.random_state)
    chain = np.empty((0, walkers))
    tau = ess = float("nan")
    while len(chain) < max_steps:
        state = sampler.run_mcmc(state, max(1000, len(chain) // 2))
        chain = sampler.get_chain()[:, :, 0]
        kept = chain[len(chain) // 5 :]
        tau = float(emcee.autocorr.integrated_time(kept[:, :, None], quiet=True, tol=0)[0])
        ess = kept.size / tau
        if ess > effective and len(kept) > 50 * tau:
            break
    return EnsembleResult(
        draws=chain[len(chain) // 5 :],
        autocorrelation=tau,
        ess=ess,
        seconds=time.perf_counter() - began,
    )
