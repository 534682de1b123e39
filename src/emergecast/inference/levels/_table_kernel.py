"""The compiled loops of laws with levels; importing it imports numba."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from emergecast.inference._compiled import compiled, part
from emergecast.inference.levels._response import FIRST, STEP

if TYPE_CHECKING:
    from emergecast.inference._data import Floats, Ints

NEAR = 20.0
"""Cells less likely than the best by more than this, in logarithms, are not refined."""
BENT = 0.3
"""Nor are cells where the log likelihood bends by less than this from one to the next."""
RENORMED = 16
"""Checkpoints after which a product of precisions is turned into a sum of logarithms."""
BEFORE_TOE = 4.5
"""At so many toes before the elbow a curve has risen by less than 1% of a toe."""


class Cells(NamedTuple):
    """The checkpoints of one level, from the weakest on, and the states of its noise."""

    loss: Floats
    """U above the strongest loss, shape (C,), descending."""
    score: Floats
    """Mean above chance, R, shape (C,)."""
    variance: Floats
    """Of that mean by sampling, R^2, shape (C,)."""
    run_share: Floats
    """Share of the variance between runs that the mean has, shape (C,)."""
    checkpoint: Floats
    """omega^2, R^2, shape (K,)."""
    growth: Floats
    """rho^2, shape (K,)."""
    run: Floats
    """tau^2, R^2, shape (K,)."""
    ln_weight: Floats
    """Ln prior probability of the state, and what else hangs on it alone, shape (K,)."""
    level_variance: float
    """Prior variance of the score before the elbow, R^2."""


class Curve(NamedTuple):
    """A response curve and the ceilings it may end at."""

    share: Floats
    """The table of f, shape (m,)."""
    toe: float
    elbow: float
    slope: float
    ceiling: Floats
    """R, shape (Q,)."""
    ln_ceiling: Floats
    """Ln prior probability, shape (Q,)."""


@part
def risen(share: Floats, u: float) -> float:
    """f(u) from its table."""
    at = (u - FIRST) / STEP
    if at <= 0.0:
        return 0.0
    if at >= share.size - 1:
        return 1.0
    below = int(at)
    return float(share[below] + (at - below) * (share[below + 1] - share[below]))


@part
def _flat_sums(cells: Cells) -> Floats:
    """Sums of w, w y, w y^2 and ln w over the first c checkpoints, at chance, (4, C + 1, K)."""
    sums = np.zeros((4, cells.loss.size + 1, cells.run.size))
    for c in range(cells.loss.size):
        for k in range(cells.run.size):
            spread = cells.variance[c] + cells.checkpoint[k] + cells.run[k] * cells.run_share[c]
            w = 1.0 / spread
            sums[0, c + 1, k] = sums[0, c, k] + w
            sums[1, c + 1, k] = sums[1, c, k] + w * cells.score[c]
            sums[2, c + 1, k] = sums[2, c, k] + w * cells.score[c] ** 2
            sums[3, c + 1, k] = sums[3, c, k] + math.log(w)
    return sums


@part
def _ln_states(
    cells: Cells, curve: Curve, flat: Floats, point: tuple[float, float, float], sums: Floats
) -> None:
    """Sums of w, w d, w d^2 and ln w of all checkpoints, d the score above the curve, (4, K).

    The point is the elbow, the slope, and the ceiling.
    """
    elbow, slope, ceiling = point
    steep = slope / (ceiling * curve.slope)
    start = -BEFORE_TOE * curve.toe - curve.elbow
    first, count = 0, cells.loss.size
    while first < count and steep * (elbow - cells.loss[first]) < start:
        first += 1
    states = cells.run.size
    product = np.ones(states)
    sums[:] = flat[:, first]
    for c in range(first, count):
        u = curve.elbow + steep * (elbow - cells.loss[c])
        mean = ceiling * risen(curve.share, u)
        gap, square = cells.score[c] - mean, mean * mean
        known, share = cells.variance[c], cells.run_share[c]
        for k in range(states):
            spread = known + cells.checkpoint[k] + cells.growth[k] * square + cells.run[k] * share
            w = 1.0 / spread
            sums[0, k] += w
            sums[1, k] += w * gap
            sums[2, k] += w * gap * gap
            product[k] *= w
        if (c - first) % RENORMED == RENORMED - 1 or c == count - 1:
            for k in range(states):
                sums[3, k] += math.log(product[k])
                product[k] = 1.0


@part
def _ln_cell(
    cells: Cells, curve: Curve, flat: Floats, point: tuple[float, float], sums: Floats
) -> float:
    """Ln density of the mean scores of a level at an elbow and a slope."""
    total = -np.inf
    for q in range(curve.ceiling.size):
        _ln_states(cells, curve, flat, (point[0], point[1], curve.ceiling[q]), sums)
        for k in range(cells.run.size):
            total = np.logaddexp(total, curve.ln_ceiling[q] + _ln_state(cells, sums, k))
    return total


@part
def _ln_state(cells: Cells, sums: Floats, k: int) -> float:
    """The same for one state of the noise, the score before the elbow integrated out."""
    level = cells.level_variance
    misfit = sums[2, k] - sums[1, k] ** 2 / (sums[0, k] + 1.0 / level)
    inflated = math.log(1.0 + level * sums[0, k])
    return float(0.5 * (sums[3, k] - misfit - inflated) + cells.ln_weight[k])


@compiled
def ln_table(
    cells: Cells, curve: Curve, elbows: Floats, ln_slopes: Floats, finer: tuple[int, int]
) -> Floats:
    """Ln density of a level's mean scores on a fine grid of elbows and slopes.

    Computed on the coarse grid, and on the fine one where that bends; linear in between elsewhere.

    Args:
        cells: the level.
        curve: the response.
        elbows: coarse grid, U above the strongest loss, shape (E,).
        ln_slopes: coarse grid, R / U, shape (A,).
        finer: fine steps in a coarse one, of both.
    """
    flat, sums = _flat_sums(cells), np.empty((4, cells.run.size))
    rows, columns = elbows.size, ln_slopes.size
    coarse, top = np.empty((rows, columns)), -np.inf
    for i in range(rows):
        for j in range(columns):
            at = (elbows[i], math.exp(ln_slopes[j]))
            coarse[i, j] = _ln_cell(cells, curve, flat, at, sums)
            top = max(top, coarse[i, j])
    bent = _bent(coarse, top - NEAR)
    down, across = finer
    fine = np.empty(((rows - 1) * down + 1, (columns - 1) * across + 1))
    for i in range(fine.shape[0]):
        ci = min(i // down, rows - 2)
        fi = i / down - ci
        for j in range(fine.shape[1]):
            cj = min(j // across, columns - 2)
            fj = j / across - cj
            close = bent[ci, cj] or bent[ci + 1, cj] or bent[ci, cj + 1] or bent[ci + 1, cj + 1]
            if close and not (i % down == 0 and j % across == 0):
                elbow = elbows[ci] + fi * (elbows[1] - elbows[0])
                ln_slope = ln_slopes[cj] + fj * (ln_slopes[1] - ln_slopes[0])
                fine[i, j] = _ln_cell(cells, curve, flat, (elbow, math.exp(ln_slope)), sums)
            else:
                upper = (1 - fj) * coarse[ci, cj] + fj * coarse[ci, cj + 1]
                lower = (1 - fj) * coarse[ci + 1, cj] + fj * coarse[ci + 1, cj + 1]
                fine[i, j] = (1 - fi) * upper + fi * lower
    return fine


@part
def _bent(coarse: Floats, least: float) -> Floats:
    """Which cells, likely enough or next to such, bend enough to be refined."""
    rows, columns = coarse.shape
    bent = np.zeros((rows, columns), dtype=np.bool_)
    for i in range(rows):
        for j in range(columns):
            if coarse[i, j] <= least:
                continue
            for a in range(max(i - 1, 0), min(i + 2, rows)):
                for b in range(max(j - 1, 0), min(j + 2, columns)):
                    if 0 < a < rows - 1:
                        bend = coarse[a + 1, b] - 2 * coarse[a, b] + coarse[a - 1, b]
                        bent[a, b] |= abs(bend) > BENT
                    if 0 < b < columns - 1:
                        bend = coarse[a, b + 1] - 2 * coarse[a, b] + coarse[a, b - 1]
                        bent[a, b] |= abs(bend) > BENT
    return bent


@part
def _cubic(t: float, weight: Floats) -> None:
    """Weights of four neighbours of a point a share t past the second (Catmull and Rom)."""
    weight[0] = t * (-0.5 + t * (1.0 - 0.5 * t))
    weight[1] = 1.0 + t * t * (-2.5 + 1.5 * t)
    weight[2] = t * (0.5 + t * (2.0 - 1.5 * t))
    weight[3] = t * t * (-0.5 + 0.5 * t)


@compiled
def sum_levels(
    tables: Floats, state: Ints, elbows: Floats, ln_slopes: Floats, grid: tuple[float, ...]
) -> Floats:
    """Sum over levels of their tables at an elbow and a slope, by cubic interpolation, shape (N,).

    Beyond the grid the value at its end counts.

    Args:
        tables: shape (states, levels, E, A).
        state: which table of every level, shape (N,).
        elbows: U, shape (N, levels).
        ln_slopes: shape (N, levels).
        grid: first elbow, its step, first ln slope, its step.
    """
    rows, columns = tables.shape[2], tables.shape[3]
    down, across, found = np.empty(4), np.empty(4), np.zeros(elbows.shape[0])
    for n in range(elbows.shape[0]):
        for level in range(elbows.shape[1]):
            row = (elbows[n, level] - grid[0]) / grid[1]
            column = (ln_slopes[n, level] - grid[2]) / grid[3]
            row = min(max(row, 1.0), rows - 2.001)
            column = min(max(column, 1.0), columns - 2.001)
            i, j = int(row), int(column)
            _cubic(row - i, down)
            _cubic(column - j, across)
            for a in range(4):
                for b in range(4):
                    value = tables[state[n], level, i - 1 + a, j - 1 + b]
                    found[n] += down[a] * across[b] * value
    return found


@compiled
def draw_elbows(
    ln_fine: Floats,
    curve: Ints,
    centre: Floats,
    sd: Floats,
    grid: tuple[float, ...],
    uniform: Floats,
) -> Floats:
    """One elbow of a level for each vector, given its rows, shape (N,).

    Args:
        ln_fine: ln density on the fine grid of every curve, shape (S, E, A).
        curve: which of them, shape (N,).
        centre: elbow and ln slope that the law gives the level, shape (N, 2).
        sd: by how much the level scatters around both, shape (N, 2).
        grid: first elbow, its step, first ln slope, its step; of the fine grid.
        uniform: numbers from 0 to 1, shape (N,).
    """
    rows, columns = ln_fine.shape[1], ln_fine.shape[2]
    found, mass, slope_weight = np.empty(curve.size), np.empty(rows), np.empty(columns)
    for n in range(curve.size):
        low = int((centre[n, 0] - 5 * sd[n, 0] - grid[0]) / grid[1])
        high = int((centre[n, 0] + 5 * sd[n, 0] - grid[0]) / grid[1]) + 1
        if low < 0 or high >= rows:
            low, high = max(low, 0), min(high, rows - 1)
        if high <= low:
            found[n] = centre[n, 0] + sd[n, 0] * _normal(uniform[n])
            continue
        for j in range(columns):
            z = (grid[2] + j * grid[3] - centre[n, 1]) / sd[n, 1]
            slope_weight[j] = math.exp(-0.5 * z * z)
        top = -np.inf
        for i in range(low, high + 1):
            for j in range(columns):
                if slope_weight[j] > 1e-8:
                    top = max(top, ln_fine[curve[n], i, j])
        total = 0.0
        for i in range(low, high + 1):
            z = (grid[0] + i * grid[1] - centre[n, 0]) / sd[n, 0]
            here = 0.0
            for j in range(columns):
                if slope_weight[j] > 1e-8:
                    here += slope_weight[j] * math.exp(ln_fine[curve[n], i, j] - top)
            total += here * math.exp(-0.5 * z * z)
            mass[i] = total
        target, i = uniform[n] * total, low
        while mass[i] < target and i < high:
            i += 1
        before = mass[i - 1] if i > low else 0.0
        share = (target - before) / (mass[i] - before) if mass[i] > before else 0.5
        found[n] = grid[0] + (i - 0.5 + share) * grid[1]
    return found


@part
def _normal(uniform: float) -> float:
    """A standard normal number from a uniform one, to 5e-4 (Abramowitz and Stegun 26.2.23)."""
    tail = min(uniform, 1.0 - uniform)
    t = math.sqrt(-2.0 * math.log(max(tail, 1e-300)))
    top = 2.515517 + t * (0.802853 + t * 0.010328)
    bottom = 1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308))
    value = t - top / bottom
    return float(-value if uniform < 0.5 else value)
