"""The compiled loops of laws with levels; importing it imports numba."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from emergecast.emergence_law import RESPONSE_FIRST, RESPONSE_STEP
from emergecast.inference._compiled import compiled, part

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emergecast.inference._data import Floats, Ints

NEAR = 14.0
"""LevelCells less likely than the best by more than this, in logarithms, are not refined."""
BENT = 0.6
"""Nor are cells where the log likelihood bends by less than this from one to the next."""
RENORMED = 16
"""Checkpoints after which a product of precisions is turned into a sum of logarithms."""
WIDE = 5.0
"""Standard deviations around the law that a level's elbow and slope are drawn from."""
BEFORE_TOE = 4.5
"""At so many toes before the elbow a curve has risen by less than 1% of a toe."""


class LevelCells(NamedTuple):
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


class ResponseCurve(NamedTuple):
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
    at = (u - RESPONSE_FIRST) / RESPONSE_STEP
    if at <= 0.0:
        return 0.0
    if at >= share.size - 1:
        return 1.0
    below = int(at)
    return float(share[below] + (at - below) * (share[below + 1] - share[below]))


@part
def _flat_sums(cells: LevelCells) -> Floats:
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
def _ln_states(  # noqa: C901  one loop over the checkpoints, for speed
    cells: LevelCells,
    curve: ResponseCurve,
    flat: Floats,
    point: tuple[float, float, float],
    sums: Floats,
) -> None:
    """Sums of w, w d, w d^2 and ln w of all checkpoints, d the score above the curve, (6, K).

    The point is the elbow, the slope, and the ceiling; the last two rows of the sums are scratch.
    """
    # loops over names of its own: to look an array up in a tuple would cost more than the sums
    elbow, slope, ceiling = point
    losses, scores, variances, run_shares = cells.loss, cells.score, cells.variance, cells.run_share
    omega, rho, tau, table = cells.checkpoint, cells.growth, cells.run, curve.share
    steep, middle = slope / (ceiling * curve.slope), curve.elbow
    start = -BEFORE_TOE * curve.toe - middle
    first, count, states = 0, losses.size, tau.size
    while first < count and steep * (elbow - losses[first]) < start:
        first += 1
    one, two, three, four = sums[0], sums[1], sums[2], sums[3]
    product, w = sums[4], sums[5]
    for k in range(states):
        one[k], two[k], three[k], four[k] = (
            flat[0, first, k], flat[1, first, k], flat[2, first, k], flat[3, first, k],
        )  # fmt: skip
        product[k] = 1.0
    for c in range(first, count):
        mean = ceiling * risen(table, middle + steep * (elbow - losses[c]))
        gap, square, known, share = scores[c] - mean, mean * mean, variances[c], run_shares[c]
        for k in range(states):
            w[k] = 1.0 / (known + omega[k] + rho[k] * square + tau[k] * share)
        for k in range(states):
            one[k] += w[k]
        for k in range(states):
            two[k] += w[k] * gap
        for k in range(states):
            three[k] += w[k] * (gap * gap)
        for k in range(states):
            product[k] *= w[k]
        if (c - first) % RENORMED == RENORMED - 1 or c == count - 1:
            for k in range(states):
                four[k] += math.log(product[k])
                product[k] = 1.0


@part
def _ln_cell(
    cells: LevelCells, curve: ResponseCurve, flat: Floats, point: tuple[float, float], sums: Floats
) -> float:
    """Ln density of the mean scores of a level at an elbow and a slope."""
    total, top = 0.0, -np.inf
    for q in range(curve.ceiling.size):
        _ln_states(cells, curve, flat, (point[0], point[1], curve.ceiling[q]), sums)
        for k in range(cells.run.size):
            here = curve.ln_ceiling[q] + _ln_state(cells, sums, k)
            if here <= top:
                total += math.exp(here - top)
            else:
                total, top = total * math.exp(top - here) + 1.0, here
    return top + math.log(total)


@part
def _ln_state(cells: LevelCells, sums: Floats, k: int) -> float:
    """The same for one state of the noise, the score before the elbow integrated out."""
    level = cells.level_variance
    misfit = sums[2, k] - sums[1, k] ** 2 / (sums[0, k] + 1.0 / level)
    inflated = math.log(1.0 + level * sums[0, k])
    return float(0.5 * (sums[3, k] - misfit - inflated) + cells.ln_weight[k])


@compiled
def ln_table(
    cells: LevelCells,
    curve: ResponseCurve,
    elbows: Floats,
    ln_slopes: Floats,
    finer: tuple[int, int],
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
    flat, sums = _flat_sums(cells), np.empty((6, cells.run.size))
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
def _bent(coarse: Floats, least: float) -> NDArray[np.bool_]:
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
def draw_levels(
    density: Floats,
    curve: Ints,
    centre: Floats,
    sd: Floats,
    grid: tuple[float, ...],
    random: tuple[Floats, Floats],
) -> Floats:
    """An elbow and a ln slope of a level for each vector, given its rows, shape (N, 2).

    Args:
        density: of the rows on the fine grid, up to a factor for each curve, shape (S, E, A).
        curve: which of them, shape (N,).
        centre: elbow and ln slope that the law gives the level, shape (N, 2).
        sd: by how much the level scatters around both, shape (N, 2).
        grid: first elbow, its step, first ln slope, its step; of the fine grid.
        random: uniform numbers, shape (N, 4), and standard normal ones, shape (N, 2).
    """
    uniform, normal = random
    rows, columns = density.shape[1], density.shape[2]
    found, mass, by_slope = np.empty((curve.size, 2)), np.empty(rows), np.empty(columns)
    for n in range(curve.size):
        low = max(int((centre[n, 0] - WIDE * sd[n, 0] - grid[0]) / grid[1]), 0)
        high = min(int((centre[n, 0] + WIDE * sd[n, 0] - grid[0]) / grid[1]) + 1, rows - 1)
        if high <= low:  # off the grid, where rows say nothing of an elbow
            found[n, 0] = centre[n, 0] + sd[n, 0] * normal[n, 0]
            found[n, 1] = centre[n, 1] + sd[n, 1] * normal[n, 1]
            continue
        first = max(int((centre[n, 1] - WIDE * sd[n, 1] - grid[2]) / grid[3]), 0)
        last = min(int((centre[n, 1] + WIDE * sd[n, 1] - grid[2]) / grid[3]) + 1, columns - 1)
        first, last = min(first, columns - 2), max(last, 1)
        for j in range(first, last + 1):
            z = (grid[2] + j * grid[3] - centre[n, 1]) / sd[n, 1]
            by_slope[j] = math.exp(-0.5 * z * z)
        total, own = 0.0, curve[n]
        for i in range(low, high + 1):
            z = (grid[0] + i * grid[1] - centre[n, 0]) / sd[n, 0]
            here = 0.0
            for j in range(first, last + 1):
                here += by_slope[j] * density[own, i, j]
            total += here * math.exp(-0.5 * z * z)
            mass[i] = total
        target, row = uniform[n, 0] * total, low
        while mass[row] < target and row < high:
            row += 1
        total = 0.0
        for j in range(first, last + 1):
            total += by_slope[j] * density[own, row, j]
        target, column, below = uniform[n, 1] * total, first, 0.0
        while column < last:
            below += by_slope[column] * density[own, row, column]
            if below >= target:
                break
            column += 1
        found[n, 0] = grid[0] + (row - 0.5 + uniform[n, 2]) * grid[1]
        found[n, 1] = grid[2] + (column - 0.5 + uniform[n, 3]) * grid[3]
    return found


@compiled
def draw_states(
    cells: LevelCells,
    curves: tuple[ResponseCurve, ...],
    curve: Ints,
    at: Floats,
    random: tuple[Floats, Floats],
) -> Floats:
    """A ceiling, a state of the noise and a score before the elbow for each vector, shape (N, 3).

    Args:
        cells: the level.
        curves: the responses.
        curve: which of them, shape (N,).
        at: elbow and ln slope, shape (N, 2).
        random: uniform and standard normal numbers, both (N,).
    """
    uniform, normal = random
    states, ceilings = cells.run.size, curves[0].ceiling
    flat = _flat_sums(cells)
    sums = np.empty((ceilings.size, 6, states))
    ln_mass, found = np.empty(ceilings.size * states), np.empty((curve.size, 3))
    for n in range(curve.size):
        own = curves[curve[n]]
        for q in range(ceilings.size):
            point = (at[n, 0], math.exp(at[n, 1]), ceilings[q])
            _ln_states(cells, own, flat, point, sums[q])
            for k in range(states):
                ln_mass[q * states + k] = own.ln_ceiling[q] + _ln_state(cells, sums[q], k)
        mass = np.cumsum(np.exp(ln_mass - ln_mass.max()))
        one = min(int(np.searchsorted(mass, uniform[n] * mass[-1])), mass.size - 1)
        q, k = one // states, one % states
        precision = sums[q, 0, k] + 1.0 / cells.level_variance
        found[n, 0], found[n, 1] = ceilings[q], k
        found[n, 2] = sums[q, 1, k] / precision + normal[n] / math.sqrt(precision)
    return found
