"""The posterior of E(D0) by brute force: a dense tensor grid over (E(D0), ln alpha, d, tau).

At every grid point B, Delta and A are integrated out in closed form, with plain matrix products
over all rows. In the coordinates (E(D0), d, ln alpha) the prior is the stated one: for fixed d and
alpha, E(10) is E(D0) plus a constant. Each E(D0) has its own window in ln alpha and each
(E(D0), ln alpha) its own window in d, found by zooming: a scan over all that the prior allows, then
again over what lies within a threshold of the best. The thresholds start at 4 n_rows, because tau
makes the tails of the density those of a Student t: a factor e^(4 n) is some 50 widths of a peak.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from .model import Problem, log_prior_elbow, rise

Floats = NDArray[np.float64]
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
DEPTH = 25.0  # what lies below e^-25 of the best is left out
CHUNK = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class BruteForce:
    """Quantiles of E(D0), and how far they moved when a step was halved."""

    levels: tuple[float, ...]
    quantiles: Floats
    moved_by_elbow_step: float  # largest change of the 5, 50, 95% quantiles, nats
    moved_by_inner_step: float  # the same for the steps in ln alpha, d and tau together
    log_evidence: float
    nodes: Floats
    density: Floats
    inner_nodes: int


class Noise(NamedTuple):
    """Per node of tau: weights, and all about B and Delta that does not depend on the elbow."""

    log_weight: Floats  # [T] log prior x Jacobian x step
    w: Floats  # [n, T]
    q_y: Floats  # [n, T] projected weights times (y - chance)
    inverse: Floats  # [3, T] entries 11, 12, 22 of the inverse of (B, Delta)'s precision
    constant: Floats  # [T]


TAU_UNIT = 0.0005  # tau = TAU_UNIT R sinh(u)


def noise_at(p: Problem, u: Floats) -> Noise:
    """Weights on even nodes u of asinh(tau / (0.0005 R)); the trapezoid halves the node u = 0."""
    unit = TAU_UNIT * p.score_range
    tau = unit * np.sinh(u)
    step = u[1] - u[0]
    log_weight = np.log(2 / p.tau_sd / np.sqrt(2 * np.pi)) - 0.5 * (tau / p.tau_sd) ** 2
    log_weight += np.log(unit * np.cosh(u) * step) + np.where(u == 0.0, np.log(0.5), 0.0)
    y, f = p.score - p.chance, p.few_shot.astype(np.float64)
    w = 1 / (p.s[:, None] ** 2 + tau**2 / p.r[:, None])
    precision = 1 / p.level_sd**2
    g11, g12 = w.sum(0) + precision, f @ w
    g22 = g12 + precision
    det = g11 * g22 - g12**2
    inverse = np.stack([g22, -g12, g11]) / det
    b1, b2 = y @ w, (f * y) @ w
    c1, c2 = inverse[0] * b1 + inverse[1] * b2, inverse[1] * b1 + inverse[2] * b2
    q_y = w * (y[:, None] - c1 - f[:, None] * c2)
    fit = (y**2) @ w - b1 * c1 - b2 * c2
    constant = 0.5 * (np.log(w).sum(0) - len(y) * np.log(2 * np.pi) - fit)
    constant += np.log(precision) - 0.5 * np.log(det) + np.log(2) - np.log(p.slope_sd)
    return Noise(log_weight, w, q_y, inverse, constant)


def log_likelihood(p: Problem, noise: Noise, excess: Floats) -> Floats:
    """Log density of the scores, A, B, Delta integrated out: excess [points, n] to [points, T]."""
    h1, h2 = excess @ noise.w, (excess * p.few_shot) @ noise.w
    i11, i12, i22 = noise.inverse
    s = excess**2 @ noise.w - (i11 * h1**2 + 2 * i12 * h1 * h2 + i22 * h2**2)
    s += 1 / p.slope_sd**2
    z = (excess @ noise.q_y) / np.sqrt(s)
    return np.asarray(noise.constant - 0.5 * np.log(s) + 0.5 * z**2 + log_ndtr(z))


def log_sum(values: Floats, axis: int = -1) -> Floats:
    """Log of a sum of exponentials along one axis; -inf where all are."""
    top = np.max(values, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.exp(values - top).sum(axis)) + top.squeeze(axis))


def excesses(p: Problem, e0: Floats, d: Floats, ln_alpha: Floats) -> Floats:
    """max(E(D_i) - L_i, 0): [points, rows]."""
    amounts, level = np.unique(p.examples, return_inverse=True)
    gain = rise(p, amounts, ln_alpha[:, None])
    return np.maximum((e0[:, None] + d[:, None] * gain)[:, level] - p.loss, 0.0)


def log_density(p: Problem, noise: Noise, e0: Floats, d: Floats, ln_alpha: Floats) -> Floats:
    """Log density of (scores, E(D0), d, ln alpha) at each node of tau: [points, T]."""
    e10 = e0 + d * rise(p, 10.0, ln_alpha)
    likelihood = log_likelihood(p, noise, excesses(p, e0, d, ln_alpha))
    return np.asarray(likelihood + log_prior_elbow(p, e10, d, ln_alpha)[:, None])


def _over_tau(
    p: Problem, noise: Noise, e0: float, ln_alpha: Floats, d: Floats
) -> tuple[Floats, Floats]:
    """Sums over all and over every other node of tau at the grid d [na, nd], ln_alpha [na]."""
    flat_a, flat_d = np.repeat(ln_alpha, d.shape[1]), d.ravel()
    fine, coarse = np.empty(flat_d.size), np.empty(flat_d.size)
    for i in range(0, flat_d.size, CHUNK):
        part = slice(i, i + CHUNK)
        at = np.full(flat_d[part].size, e0)
        values = log_density(p, noise, at, flat_d[part], flat_a[part]) + noise.log_weight
        fine[part] = log_sum(values)
        coarse[part] = log_sum(values[:, ::2]) + np.log(2)
    return fine.reshape(d.shape), coarse.reshape(d.shape)


def _trapezoid(log_values: Floats, width: Floats | float) -> Floats:
    """Log of the trapezoid sum of exp(log_values) on even nodes over `width`, last axis."""
    n = log_values.shape[-1]
    weights = np.full(n, 1.0)
    weights[[0, -1]] = 0.5
    return np.asarray(log_sum(log_values + np.log(weights)) + np.log(np.asarray(width) / (n - 1)))


def _window(values: Floats, threshold: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last node within `threshold` of the best, one neighbour more, last axis."""
    keep = values >= values.max(axis=-1, keepdims=True) - threshold
    n = values.shape[-1]
    first, last = keep.argmax(-1), n - 1 - keep[..., ::-1].argmax(-1)
    return np.maximum(first - 1, 0), np.minimum(last + 1, n - 1)


def _schedule(p: Problem) -> list[float]:
    n = len(p.loss)
    return [4 * n + DEPTH, 2 * n + DEPTH, 0.5 * n + DEPTH, DEPTH]


def _shift_windows(
    p: Problem, noise: Noise, e0: float, ln_alpha: Floats
) -> tuple[Floats, Floats, Floats]:
    """Window in d for each ln alpha, and the log integral over it."""
    lo = np.zeros(len(ln_alpha))
    hi = np.full(len(ln_alpha), 8 * p.shift_sd)
    row, total = np.arange(len(ln_alpha)), np.empty(len(ln_alpha))
    for turn, threshold in enumerate(_schedule(p)):
        unit = np.linspace(0, 1, 65 if turn == 0 else 25)
        d = lo[:, None] + (hi - lo)[:, None] * unit
        values, _ = _over_tau(p, noise, e0, ln_alpha, d)
        total = _trapezoid(values, hi - lo)
        first, last = _window(values, threshold)
        lo, hi = d[row, first], d[row, last]
    return lo, hi, total


def _alpha_window(p: Problem, noise: Noise, e0: float) -> tuple[float, float, float]:
    """Window in ln alpha for one E(D0), and the log integral over (ln alpha, d, tau)."""
    lo, hi = p.ln_alpha_mean - 7 * p.ln_alpha_sd, p.ln_alpha_mean + 7 * p.ln_alpha_sd
    total = -np.inf
    for turn, threshold in enumerate(_schedule(p)):
        nodes = np.linspace(lo, hi, 41 if turn == 0 else 21)
        values = _shift_windows(p, noise, e0, nodes)[2]
        total = float(_trapezoid(values, hi - lo))
        first, last = _window(values, threshold)
        lo, hi = float(nodes[first]), float(nodes[last])
    return lo, hi, total


def _slice(p: Problem, scan: Noise, fine: Noise, e0: float, nodes: int) -> tuple[float, float]:
    """Log density of E(D0) by dense grids inside the windows, at full and at double step."""
    lo, hi, _ = _alpha_window(p, scan, e0)
    ln_alpha = np.linspace(lo, hi, nodes)
    d_lo, d_hi, _ = _shift_windows(p, scan, e0, ln_alpha)
    d = d_lo[:, None] + (d_hi - d_lo)[:, None] * np.linspace(0, 1, nodes)
    full, half = _over_tau(p, fine, e0, ln_alpha, d)
    whole = _trapezoid(_trapezoid(full, d_hi - d_lo), hi - lo)
    rough = _trapezoid(_trapezoid(half[::2, ::2], (d_hi - d_lo)[::2]), hi - lo)
    return float(whole), float(rough)


def _quantiles(nodes: Floats, log_values: Floats, levels: tuple[float, ...]) -> Floats:
    """Quantiles of the density that is linear between nodes."""
    density = np.exp(log_values - log_values.max())
    step = nodes[1] - nodes[0]
    cumulative = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2 * step)])
    out = np.empty(len(levels))
    for k, level in enumerate(levels):
        mass = level * cumulative[-1]
        i = int(np.searchsorted(cumulative, mass, side="right")) - 1
        a, b, rest = density[i], density[i + 1], mass - cumulative[i]
        # a t + (b - a) t^2 / (2 step) = rest
        t = 2 * rest / (a + np.sqrt(a**2 + 2 * (b - a) / step * rest))
        out[k] = nodes[i] + t
    return out


def _elbow_range(p: Problem) -> tuple[float, float]:
    """Where the prior lets E(D0) be: the extremes of many draws, and some more."""
    rng = np.random.default_rng(0)
    n = 200_000
    e10 = rng.normal(p.e10_mean, p.e10_sd, n)
    ln_alpha = rng.normal(p.ln_alpha_mean, p.ln_alpha_sd, n)
    e0 = e10 - np.abs(rng.normal(0, p.shift_sd, n)) * rise(p, 10.0, ln_alpha)
    lo, hi = float(e0.min()), float(e0.max())
    return lo - 0.2 * (hi - lo), hi + 0.2 * (hi - lo)


def _tau_window(p: Problem, u: Floats, noise: Noise, e0: Floats) -> tuple[float, float]:
    """Range of u that holds all but e^-DEPTH of the mass at the best points of some slices."""
    best = np.full(len(u), -np.inf)
    for at in e0:
        lo, hi, _ = _alpha_window(p, noise, float(at))
        ln_alpha = np.linspace(lo, hi, 21)
        d_lo, d_hi, _ = _shift_windows(p, noise, float(at), ln_alpha)
        d = d_lo[:, None] + (d_hi - d_lo)[:, None] * np.linspace(0, 1, 25)
        flat = log_density(p, noise, np.full(d.size, at), d.ravel(), np.repeat(ln_alpha, 25))
        values = flat + noise.log_weight
        best = np.maximum(best, (values - values.max()).max(axis=0))
    first, last = _window(best, DEPTH)
    return float(u[first]), float(u[last])


def brute_force(p: Problem, *, tolerance: float = 3e-4, max_nodes: int = 1025) -> BruteForce:
    """Quantiles of E(D0) whose steps were halved until they moved by less than `tolerance` nats."""
    top = float(np.arcsinh(8 * p.tau_sd / (TAU_UNIT * p.score_range)))
    u = np.linspace(0, top, 31)
    noise = noise_at(p, u)
    lo, hi = _elbow_range(p)
    nodes, values = np.empty(0), np.empty(0)
    for turn, threshold in enumerate([*_schedule(p)[:2], DEPTH, 20.0, 16.0]):
        nodes = np.linspace(lo, hi, 33 if turn == 0 else 17)
        values = np.array([_alpha_window(p, noise, float(e))[2] for e in nodes])
        first, last = _window(values, threshold)
        if first == 0 and last == len(nodes) - 1 and turn > 2:
            break
        lo, hi = float(nodes[first]), float(nodes[last])
    heavy = nodes[values > values.max() - 12]
    u_lo, u_hi = _tau_window(p, u, noise, heavy[:: max(1, len(heavy) // 5)])
    step = min(0.2, 0.8 / np.sqrt(2 * len(p.loss)))
    count = 2 * int(np.ceil((u_hi - u_lo) / step / 2)) + 1
    fine = noise_at(p, np.linspace(u_lo, u_hi, count))
    scan = noise_at(p, np.linspace(u_lo, u_hi, max(7, count // 3)))

    inner, grid = 49, np.linspace(lo, hi, 65)
    known: dict[float, tuple[float, float]] = {}
    while True:
        for e0 in grid:
            if float(e0) not in known:
                known[float(e0)] = _slice(p, scan, fine, float(e0), inner)
        both = np.array([known[float(e)] for e in grid])
        quantiles = _quantiles(grid, both[:, 0], LEVELS)
        ends = [0, 2, 4]
        by_elbow = np.abs(_quantiles(grid[::2], both[::2, 0], LEVELS) - quantiles)[ends].max()
        by_inner = np.abs(_quantiles(grid, both[:, 1], LEVELS) - quantiles)[ends].max()
        if by_elbow > tolerance and len(grid) < max_nodes:
            finer = np.empty(2 * len(grid) - 1)
            finer[::2], finer[1::2] = grid, (grid[1:] + grid[:-1]) / 2
            grid = finer
        elif by_inner > tolerance and inner < 193:
            inner, known = 2 * inner - 1, {}
        else:
            break
    log_values = both[:, 0]
    return BruteForce(
        levels=LEVELS,
        quantiles=quantiles,
        moved_by_elbow_step=float(by_elbow),
        moved_by_inner_step=float(by_inner),
        log_evidence=float(_trapezoid(log_values, grid[-1] - grid[0])),
        nodes=grid,
        density=np.exp(log_values - log_values.max()),
        inner_nodes=inner,
    )
