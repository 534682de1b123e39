"""The unit of loss is how far one has to look ahead, whatever weak checkpoints are there."""

from __future__ import annotations

import numpy as np
import pytest

from emergecast.inference._unit import loss_unit

LOSSES = np.array([3.0, 2.8, 2.6, 2.4, 2.2])


def unit(losses: np.ndarray, curves: list[np.ndarray], flops: np.ndarray | None = None) -> float:
    """U of curves over the same losses; the first is few-shot."""
    n = len(curves)
    ln_flops = np.full(losses.size, np.nan) if flops is None else np.log(flops)
    return loss_unit(
        np.tile(losses, n),
        np.concatenate(curves),
        np.full(losses.size * n, 1e-4),
        np.repeat(np.arange(n), losses.size),
        np.tile(ln_flops, n),
    )


def test_to_the_highest_loss_at_which_a_finetuned_curve_has_left_chance():
    """By hand: second best score 0.3, bar 0.09; 0.3 at 2.4 and 0 at 2.6, so 0.09 at 2.54."""
    late, early = np.array([0, 0, 0, 0, 0.2]), np.array([0, 0, 0, 0.3, 0.5])
    assert unit(LOSSES, [0 * late, late, early]) == pytest.approx(2.54 - 2.2)


def test_weak_checkpoints_move_nothing():
    """However many, and however weak."""
    early = np.array([0, 0.1, 0.4, 0.6, 0.8])
    before = unit(LOSSES, [0 * early, early])
    weak = np.array([9.0, 8.0, 3.1])
    after = unit(np.concatenate([weak, LOSSES]), [np.zeros(8), np.concatenate([[0, 0, 0], early])])
    assert after == pytest.approx(before)


def test_a_decade_of_compute_where_that_is_longer():
    """Loss 10 - 0.4 log10 C: 0.4 nats a decade."""
    early = np.array([0, 0, 0, 0.05, 0.2])
    flops = 10 ** ((10 - LOSSES) / 0.4)
    assert unit(LOSSES, [0 * early, early], flops) == pytest.approx(0.4)
    assert unit(LOSSES, [0 * early, early]) < 0.35


def test_half_the_way_to_the_median_where_nothing_has_left_chance():
    """Median 2.6, weakest 3.0: 0.2 and 0.4 nats."""
    flat = np.zeros(5)
    assert unit(LOSSES, [flat, flat]) == pytest.approx(0.4)
