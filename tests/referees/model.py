"""The model of `docs/model.md`, plainly: constants of a table, joint and collapsed density."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.isotonic import IsotonicRegression  # type: ignore[import-untyped]

from .simulate import SimulatedTable, coordinate

Floats = NDArray[np.float64]
Numbers = float | Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Everything the density needs: the rows, the derived constants and the prior scales."""

    law: str
    loss: Floats
    examples: Floats  # D0 on few-shot rows, whose elbow is E(D0)
    few_shot: NDArray[np.bool_]
    score: Floats
    s: Floats  # sampling error of each row
    r: Floats  # runs that each row's tau is divided by
    chance: float
    d0: float
    dmax: float
    dhi: float
    spread: float  # U
    score_range: float  # R
    strongest: float  # L*
    e10_mean: float
    e10_sd: float
    shift_sd: float
    ln_alpha_mean: float
    ln_alpha_sd: float
    slope_sd: float
    level_sd: float
    tau_sd: float


def problem(table: SimulatedTable) -> Problem:
    """The derived constants and default priors of a table whose metric is a proportion."""
    few, y = table.few_shot, table.score
    score_range = 1.0 - table.chance
    strongest = float(table.loss.min())
    n = table.n_items
    p = (n * y + 1) / (n + 2)
    s = np.where(np.isnan(n), 0.0, np.sqrt(p * (1 - p) / n))
    s = np.where(table.stderr > 0, table.stderr, s)
    s = np.maximum(s, 0.0005 * score_range)
    spread = unit(table, (y - table.chance) / score_range, (s / score_range) ** 2)
    dmax = float(np.nanmax(table.examples))
    return Problem(
        law=table.law,
        loss=table.loss,
        examples=np.where(few, table.few_shot_examples, table.examples),
        few_shot=few,
        score=y,
        s=s,
        r=np.where(few, 1.0, table.runs),
        chance=table.chance,
        d0=table.few_shot_examples,
        dmax=dmax,
        dhi=max(dmax, 100.0),
        spread=spread,
        score_range=score_range,
        strongest=strongest,
        e10_mean=strongest - 0.35 * spread,
        e10_sd=0.6 * spread,
        shift_sd=0.5 * spread,
        ln_alpha_mean=float(np.log(2.0 if table.law == "log-power" else 0.3)),
        ln_alpha_sd=0.6,
        slope_sd=2 * score_range / spread,
        level_sd=0.03 * score_range,
        tau_sd=0.05 * score_range,
    )


def unit(table: SimulatedTable, score: Floats, variance: Floats) -> float:
    """U of docs/model.md, by scikit-learn's isotonic regression; the tables know no compute."""
    losses = np.unique(table.loss)
    strongest, half = losses[0], (np.median(losses) - losses[0]) / 2
    tuned = score[~table.few_shot]
    bar = np.clip(0.3 * np.sort(tuned)[-2], 0.06, 0.12)
    found = []
    for amount in np.unique(table.examples[~table.few_shot]):
        own = table.examples == amount
        fitted = IsotonicRegression(increasing=False).fit(
            table.loss[own], score[own], sample_weight=1 / (variance[own] + 1e-4)
        )
        at = np.unique(table.loss[own])
        there = np.flatnonzero(fitted.predict(at) >= bar)
        if at.size < 2 or not there.size:
            continue
        last = there[-1]  # the highest loss that has left chance
        found.append(at[last])
        if last + 1 < at.size:
            two = fitted.predict(at[last : last + 2])
            found[-1] += (two[0] - bar) / (two[0] - two[1]) * (at[last + 1] - at[last])
    if not found:
        return float(max(half, (losses[-1] - strongest) / 2))
    return float(max(max(found) - strongest, half))


def rise(p: Problem, examples: Numbers, ln_alpha: Numbers) -> Floats:
    """[E(D) - E(D0)] / d: nats gained over D0 per nat of shift per tenfold data."""
    alpha = np.exp(np.asarray(ln_alpha, dtype=np.float64))
    top = coordinate(p.law, p.dhi)

    def power(d: Numbers) -> Floats:
        return np.asarray((coordinate(p.law, np.asarray(d)) / top) ** alpha)

    per_decade = (power(p.dhi) - power(10.0)) / np.log10(p.dhi / 10)
    return np.asarray((power(examples) - power(p.d0)) / per_decade)


def elbow(p: Problem, examples: Numbers, e10: Numbers, d: Numbers, ln_a: Numbers) -> Floats:
    """E(D) from the prior's own parameters: the elbow at 10 examples, the shift d and ln alpha."""
    gain = rise(p, examples, ln_a) - rise(p, 10.0, ln_a)
    return np.asarray(np.asarray(e10) + np.asarray(d) * gain)


def log_prior_elbow(p: Problem, e10: Numbers, d: Numbers, ln_alpha: Numbers) -> Floats:
    """Log prior density of (E(10), d, ln alpha)."""
    return np.asarray(
        stats.norm.logpdf(e10, p.e10_mean, p.e10_sd)
        + stats.halfnorm.logpdf(d, scale=p.shift_sd)
        + stats.norm.logpdf(ln_alpha, p.ln_alpha_mean, p.ln_alpha_sd)
    )


def log_joint(
    p: Problem,
    *,
    e10: Numbers,
    d: Numbers,
    ln_alpha: Numbers,
    tau: Numbers,
    level: Numbers,
    offset: Numbers,
    slope: Numbers,
) -> Floats:
    """Log density of (scores, E(10), d, ln alpha, tau, B, Delta, A), with all constants.

    Arrays broadcast. Without few-shot rows there is no Delta and `offset` is not used.
    """
    e10, d, ln_alpha, tau, level, offset, slope = (
        np.asarray(v, dtype=np.float64)[..., None]
        for v in (e10, d, ln_alpha, tau, level, offset, slope)
    )
    excess = np.maximum(elbow(p, p.examples, e10, d, ln_alpha) - p.loss, 0.0)
    mean = level + offset * p.few_shot + slope * excess
    sd = np.sqrt(p.s**2 + tau**2 / p.r)
    likelihood = np.sum(stats.norm.logpdf(p.score, mean, sd), axis=-1)
    prior = (
        log_prior_elbow(p, e10, d, ln_alpha)
        + stats.halfnorm.logpdf(tau, scale=p.tau_sd)
        + stats.norm.logpdf(level, p.chance, p.level_sd)
        + stats.halfnorm.logpdf(slope, scale=p.slope_sd)
    )
    if p.few_shot.any():
        prior = prior + stats.norm.logpdf(offset, 0.0, p.level_sd)
    return np.asarray(likelihood + prior[..., 0])


def collapsed_log_density(p: Problem, e0: float, emax: float, ln_alpha: float, tau: float) -> float:
    """Log density of (scores, E(D0), E(Dmax), ln alpha, tau), A, B and Delta integrated out.

    The scores are one multivariate normal with a dense covariance, times 2 P(A > 0 | scores) for
    the half-normal A. The last term turns the prior of (E(10), d) into one of (E(D0), E(Dmax)).
    """
    d = (emax - e0) / float(rise(p, p.dmax, ln_alpha))
    e10 = e0 + d * float(rise(p, 10.0, ln_alpha))
    excess = np.maximum(elbow(p, p.examples, e10, d, ln_alpha) - p.loss, 0.0)
    noise = np.diag(p.s**2 + tau**2 / p.r)
    few = p.few_shot.astype(np.float64)
    base = p.level_sd**2 * (np.ones_like(noise) + np.outer(few, few))
    covariance = noise + base + p.slope_sd**2 * np.outer(excess, excess)
    y = p.score - p.chance
    gain = p.slope_sd**2 * np.linalg.solve(covariance, excess)
    slope_mean, slope_var = gain @ y, p.slope_sd**2 * (1 - gain @ excess)
    return float(
        stats.multivariate_normal.logpdf(y, cov=covariance)
        + np.log(2)
        + stats.norm.logcdf(slope_mean / np.sqrt(slope_var))
        + log_prior_elbow(p, e10, d, ln_alpha)
        + stats.halfnorm.logpdf(tau, scale=p.tau_sd)
        - np.log(float(rise(p, p.dmax, ln_alpha)))
    )
