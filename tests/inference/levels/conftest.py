"""Small tables of scores that leave chance earlier where there is more data."""

from __future__ import annotations

import numpy as np
import pytest

from emergecast.inference import FitData

AMOUNTS = np.array([100.0, 1000.0, 10000.0])


@pytest.fixture
def small() -> FitData:
    """Four checkpoints, noisy scores, few-shot and three amounts, two runs each at the largest."""
    rng = np.random.default_rng(7)
    losses = np.array([2.6, 2.48, 2.38, 2.3])
    rows = [(c, 0, 1.0) for c in range(4)]
    rows += [(c, level, 1.0) for level in (1, 2) for c in range(4)]
    rows += [(c, 3, 2.0) for c in range(4) for _ in range(2)]
    checkpoint, level, repeats = (np.array(part) for part in zip(*rows, strict=True))
    elbow = np.array([2.2, 2.32, 2.42, 2.52])
    score = 0.25 + 1.2 * np.maximum(elbow[level] - losses[checkpoint], 0)
    score = score + rng.normal(0, 0.08, score.size)
    return FitData(
        loss=losses[checkpoint],
        score=score,
        level=level,
        sampling_sd=np.full(score.size, 0.1),
        repeats=repeats,
        checkpoint=checkpoint,
        series=np.zeros(score.size, dtype=np.int64),
        snapshot=np.zeros(score.size, dtype=np.bool_),
        amounts=AMOUNTS,
        few_shot_examples=5.0,
        chance=0.25,
        score_range=0.75,
        loss_spread=0.1,
        loss_unit=0.25,
        strongest_loss=2.3,
    )
