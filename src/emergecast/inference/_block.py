"""A block of vectors that go through all rows side by side: what the compiled likelihoods share.

Importing this file imports numba. The vectors are the last axis of all that a function works on,
and every inner loop goes along them, so that the processor does several at a time, each in the same
order whatever stands beside it. b counts the vectors of a block, N all vectors, n rows. What is
computed stands in `_likelihood.py`, the arrays in `_likelihood_rows.py`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from emergecast.inference._compiled import part

if TYPE_CHECKING:
    from emergecast.inference._data import Floats, Ints
    from emergecast.inference._likelihood_rows import LikelihoodRows, RowsUnder

BLOCK = 256
"""Vectors of a block: as many as the fastest memory of a processor holds the sums of."""
FACTORS = 16
"""Numbers of which the logarithm of the product is taken: logarithms are slow."""
SMALLEST, LARGEST = 1e-280, 1e280
"""A product outside these may have lost digits."""
TINY = 1e-12
"""As in `emergence_law.rise`: a smaller width or rate is none."""
FARTHEST = 40.0
"""exp(-x) beyond it is lost in the rounding of what it is added to."""
SMALL = 3e-3
"""Below it, five terms of the power series of 1 - exp(-x) are exact to rounding."""
ROOT_TWO, HALF_LN_TWO = math.sqrt(2.0), 0.5 * math.log(2.0)

# ------------------------------------------------------------------------------- functions of one


@part
def _exp_minus(x: float) -> float:
    """exp(-x) for x >= 0 to 1e-14 of it: a power series of x / 64, squared six times.

    Arithmetic alone and without loops, so that loops around it do several numbers at a time.
    """
    y = min(x, FARTHEST) * (1 / 64)
    high = 1 - y * (1 / 11) * (1 - y * (1 / 12) * (1 - y * (1 / 13) * (1 - y * (1 / 14))))
    high = 1 - y * (1 / 8) * (1 - y * (1 / 9) * (1 - y * (1 / 10) * high))
    high = 1 - y * (1 / 5) * (1 - y * (1 / 6) * (1 - y * (1 / 7) * high))
    power = 1 - y * (1 - y * (1 / 2) * (1 - y * (1 / 3) * (1 - y * (1 / 4) * high)))
    power *= power
    power *= power
    power *= power
    power *= power
    power *= power
    return power * power


@part
def _ln_up_to_two(x: float) -> float:
    """ln(x) for 1 <= x <= 2, to 1e-16: ln(2) / 2 and the power series of 2 artanh."""
    share = (x - ROOT_TWO) / (x + ROOT_TWO)
    y = share * share
    high = 1 / 13 + y * (1 / 15 + y * (1 / 17 + y * (1 / 19 + y * (1 / 21 + y * (1 / 23)))))
    series = 1.0 + y * (1 / 3 + y * (1 / 5 + y * (1 / 7 + y * (1 / 9 + y * (1 / 11 + y * high)))))
    return max(HALF_LN_TWO + 2.0 * share * series, 0.0)


# --------------------------------------------------------------------------- functions of a block


class Block(NamedTuple):
    """A block of vectors, and room for what is made of them."""

    elbows: Floats
    """Shape (J + 1, b)."""
    noise: Floats
    """Shape (b,), as the next three: see `RowsUnder`."""
    width: Floats
    ceiling_rate: Floats
    deviation: Floats
    per_width: Floats
    """One over the width, or 1 without one; the same for the rate."""
    per_rate: Floats
    variance: Floats
    """Of the noise of each kind of rows, shape (K, b)."""
    weight: Floats
    """One over it."""
    ln_density: Floats
    """Shape (b,)."""
    risen: Floats
    """P of the cell in hand, shape (b,)."""
    spare: Floats
    """Sums of w and w y of the cell in hand, of w and w y of the checkpoint, and of w over its
    few-shot rows, shape (5, b)."""
    soft: bool
    """Whether the elbow of any is soft."""
    ceiling: bool
    """Whether any has a ceiling."""


@part
def block_of(rows: LikelihoodRows, under: RowsUnder, first: int, count: int) -> Block:
    """The vectors from `first` on, and the weights that they give the rows."""
    n_kinds, n_levels = rows.sampling.size, under.elbows.shape[1]
    made = Block(
        np.empty((n_levels, count)),
        np.empty(count),
        np.empty(count),
        np.empty(count),
        np.empty(count),
        np.ones(count),
        np.ones(count),
        np.empty((n_kinds, count)),
        np.empty((n_kinds, count)),
        np.zeros(count),
        np.empty(count),
        np.empty((5, count)),
        bool(np.any(under.width[first : first + count] > TINY)),
        bool(np.any(under.ceiling_rate[first : first + count] > TINY)),
    )
    for b in range(count):
        made.noise[b] = under.noise[first + b]
        width, rate = under.width[first + b], under.ceiling_rate[first + b]
        made.width[b], made.per_width[b] = (width, 1.0 / width) if width > TINY else (0.0, 1.0)
        made.ceiling_rate[b], made.per_rate[b] = (rate, 1.0 / rate) if rate > TINY else (0.0, 1.0)
        made.deviation[b] = under.deviation[first + b]
        for j in range(n_levels):
            made.elbows[j, b] = under.elbows[first + b, j]
    variance, weight, noise = made.variance, made.weight, made.noise
    for k in range(n_kinds):
        sampling, per_run = rows.sampling[k], rows.per_run[k]
        for b in range(count):
            variance[k, b] = sampling + noise[b] * per_run
            weight[k, b] = 1.0 / variance[k, b]
    return made


@part
def add_ln_product(values: Floats, counts: Ints, factor: float, total: Floats) -> None:
    """Add factor times the sum of counts[i] ln(values[i]) to the total, (m, b) to (b,)."""
    held, found, product = 0, np.zeros(total.size), np.ones(total.size)
    for i in range(counts.size):
        for _ in range(counts[i]):
            for b in range(total.size):
                product[b] *= values[i, b]
            held += 1
            if held == FACTORS:
                _take_ln(product, found)
                held = 0
    _take_ln(product, found)
    for b in range(total.size):
        if math.isnan(found[b]):  # a product of many that only logarithms can hold
            found[b] = 0.0
            for i in range(counts.size):
                found[b] += counts[i] * math.log(values[i, b])
        total[b] += factor * found[b]


@part
def _take_ln(product: Floats, found: Floats) -> None:
    """Add ln of the products, nan where digits may be lost, and begin others."""
    for b in range(found.size):
        inside = SMALLEST < product[b] < LARGEST
        found[b] += math.log(product[b]) if inside else math.nan
        product[b] = 1.0


@part
def rise_in_cell(rows: LikelihoodRows, block: Block, cell: int) -> bool:
    """Fill in P of a cell: `emergence_law.rise`; whether any is above 0."""
    elbows, width, rate, risen = block.elbows, block.width, block.ceiling_rate, block.risen
    per_width, per_rate = block.per_width, block.per_rate
    level, loss, above = rows.cell_level[cell], rows.cell_loss[cell], 0
    for b in range(risen.size):
        past = elbows[level, b] - loss
        risen[b] = past if block.soft else max(past, 0.0)
        above |= past > 0.0
    if block.soft:
        for b in range(risen.size):
            tail = width[b] * _ln_up_to_two(1.0 + _exp_minus(abs(risen[b]) * per_width[b]))
            risen[b] = max(risen[b], 0.0) + tail
            above |= tail > 0.0
    if block.ceiling:
        for b in range(risen.size):
            lost = rate[b] * risen[b]
            series = 1 - lost * (1 / 3) * (1 - lost * (1 / 4) * (1 - lost * (1 / 5)))
            series = risen[b] * (1 - lost * (1 / 2) * series)
            whole = (1.0 - _exp_minus(lost)) * per_rate[b]
            risen[b] = series if lost < SMALL else whole
    return above != 0


@part
def sum_items(rows: LikelihoodRows, weight: Floats, cell: int, spare: Floats) -> None:
    """Fill in the sums of w and w y over the rows of a cell: the first two rows of spare."""
    first, stop = rows.cell_item[cell], rows.cell_item[cell + 1]
    for i in range(first, stop):
        kind, n, y = rows.item_kind[i], rows.item_count[i], rows.item_score[i]
        if i == first:
            for b in range(weight.shape[1]):
                spare[0, b] = n * weight[kind, b]
                spare[1, b] = y * weight[kind, b]
        else:
            for b in range(weight.shape[1]):
                spare[0, b] += n * weight[kind, b]
                spare[1, b] += y * weight[kind, b]
