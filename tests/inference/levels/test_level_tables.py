"""A table holds the density of the rows of a level, whatever is integrated out of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from emergecast.inference import FitData
from emergecast.inference.levels import LevelPriors, LevelTables
from emergecast.inference.levels._level_priors import CEILING
from emergecast.inference.levels._level_tables import (
    ELBOWS,
    FINER,
    LN_SLOPES,
    fine_grid,
    level_rows,
)


def ln_density(data: FitData, level: int, curve: int, elbow: float, ln_slope: float) -> float:
    """All rows of a level as one normal vector, for every ceiling and state of the noise."""
    priors = LevelPriors()
    response = priors.responses[curve][0]
    own = data.level == level
    loss = (data.loss[own] - data.strongest_loss) / data.loss_unit
    same = data.checkpoint[own][:, None] == data.checkpoint[own]
    found = []
    for ceiling, share in zip(*CEILING, strict=True):
        steep = math.exp(ln_slope) / (ceiling * response.slope)
        mean = ceiling * response.share(response.elbow + steep * (elbow - loss))
        for node in priors.noise:
            run = node.run**2 / data.repeats[own] * (level > 0)
            sampling = (data.sampling_sd[own] / data.score_range) ** 2
            between = node.checkpoint**2 + node.growth**2 * np.outer(mean, mean)
            spread = np.diag(sampling + run) + same * between + priors.scales.level_scale**2
            density = multivariate_normal(mean, spread).logpdf(data.standard_score[own])
            found.append(density + math.log(share * node.weight))
    return float(logsumexp(found))


@pytest.mark.parametrize("level", [0, 1, 3])
def test_a_table_is_the_density_of_the_rows(small: FitData, level: int):
    """Of repeated rows too, against one dense normal vector."""
    tables = LevelTables(small, LevelPriors())
    elbows, ln_slopes = fine_grid()
    rng = np.random.default_rng(level)
    for curve in (0, 7, 14):
        ln_fine = tables.fine[curve, level]
        likely = np.argwhere(ln_fine > ln_fine.max() - 10)
        for i, j in likely[rng.choice(len(likely), 12, replace=False)]:
            exact = ln_density(small, level, curve, elbows[i], ln_slopes[j])
            on_grid = i % FINER[0] == 0 and j % FINER[1] == 0
            assert ln_fine[i, j] == pytest.approx(exact, abs=0.01 if on_grid else 0.15)


def test_scatter_is_integrated_out(small: FitData):
    """A smooth table is a mean over normal elbows and slopes, here by Gauss and Hermite."""
    priors = LevelPriors()
    tables = LevelTables(small, priors)
    node, weight = np.polynomial.hermite_e.hermegauss(9)
    ln_weight = np.log(weight / weight.sum())
    curve, level, i, j = 4, 2, 62, 9
    for number, (elbow_sd, slope_sd, _) in enumerate(priors.spreads):
        exact = logsumexp(
            [
                one + two + ln_density(small, level, curve, elbow, ln_slope)
                for one, elbow in zip(ln_weight, ELBOWS[i] + elbow_sd * node, strict=True)
                for two, ln_slope in zip(ln_weight, LN_SLOPES[j] + slope_sd * node, strict=True)
            ]
        )
        found = tables.smooth[curve * len(priors.spreads) + number, level, i, j]
        assert found == pytest.approx(exact, abs=0.02)


def test_rows_of_a_checkpoint_are_one_group(small: FitData):
    """Two runs of four checkpoints at the largest amount, the weakest first."""
    rows = level_rows(small, 3)
    assert rows.size.tolist() == [2] * 4
    assert np.all(np.diff(rows.loss) < 0)
    own = (small.level == 3) & (small.checkpoint == 0)
    assert rows.mean[0] == pytest.approx(small.standard_score[own].mean())
    assert rows.scatter[0] == pytest.approx(2 * small.standard_score[own].var())
    assert rows.run_share.tolist() == [0.5] * 4
