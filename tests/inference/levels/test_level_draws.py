"""What is drawn, weighted and left out of a posterior with levels, against plain definitions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from emergecast.emergence_law import LEVELLED, LawForm
from emergecast.inference import FitData
from emergecast.inference.levels import (
    LevelPriors,
    LevelTables,
    level_posterior,
    prior_level_elbows,
)

SHARES = [0.1, 0.5, 0.9]


@pytest.mark.parametrize("lost", [0, 2, "checkpoint"])
@pytest.mark.parametrize("form", LEVELLED)
def test_weighted_draws_say_what_sampling_again_says(
    small: FitData, form: LawForm, lost: int | str
):
    """Without the few-shot rows, an amount, or a checkpoint."""
    keep = small.checkpoint != 1 if lost == "checkpoint" else small.level != lost
    tables = LevelTables(small, LevelPriors())
    found = level_posterior(tables, form).under(tables.under(small, keep))
    wanted = level_posterior(LevelTables(small, LevelPriors(), keep), form)
    gap = found.quantile(SHARES) - wanted.quantile(SHARES)
    assert np.max(np.abs(gap)) < 0.25 * wanted.sd
    assert found.log_evidence == pytest.approx(wanted.log_evidence, abs=0.3)


def test_draws_are_of_the_posterior_and_fit_the_rows(small: FitData):
    """Few-shot elbows by both ways agree; residuals have the variance that is said."""
    found = level_posterior(LevelTables(small, LevelPriors()), LawForm.SATURATING)
    draws = found.draws(4000, np.random.default_rng(1))
    gap = np.quantile(draws.elbow, SHARES) - found.quantile(SHARES)
    assert np.max(np.abs(gap)) < 0.1 * found.sd
    residual = (small.score - draws.line(small.level, small.loss)) / np.sqrt(draws.variance(small))
    assert 0.5 < np.sqrt(np.mean(residual**2)) < 1.5
    assert np.all(draws.elbows[:, 1:].mean(axis=0) > draws.elbows[:, :-1].mean(axis=0))


def test_rows_of_a_checkpoint_share_a_deviation_at_each_level_alone(small: FitData):
    """Against one dense normal vector for each checkpoint."""
    found = level_posterior(LevelTables(small, LevelPriors()), LawForm.LOG_POWER)
    draws = found.draws(3, np.random.default_rng(2))
    ours = draws.ln_checkpoints(small, student=False)
    line, levels = draws.line(small.level, small.loss), draws.by_level
    for n in range(3):
        for checkpoint in range(small.n_checkpoints):
            own = np.flatnonzero(small.checkpoint == checkpoint)
            level = small.level[own]
            risen = line[n, own] - levels.base[n, level]
            shared = levels.scatter[n, level] ** 2 + (levels.growth[n, level] * risen) ** 2
            spread = np.where(level[:, None] == level, np.sqrt(np.outer(shared, shared)), 0.0)
            tau = levels.noise[n, level]
            spread += np.diag(small.sampling_sd[own] ** 2 + tau**2 / small.repeats[own])
            wanted = multivariate_normal(line[n, own], spread).logpdf(small.score[own])
            assert ours[n, checkpoint] == pytest.approx(wanted, abs=1e-9)


def test_the_prior_of_the_elbow_is_that_of_the_page(small: FitData):
    """Log power: E(10), the way back to D0, the scatter of levels, and reading off."""
    rng = np.random.default_rng(4)
    n = 200_000
    tables = LevelTables(small, LevelPriors())
    drawn = prior_level_elbows(tables, LawForm.LOG_POWER, n)
    e10 = -0.35 + 0.6 * rng.standard_normal(n)
    length, alpha = (m * np.exp(0.6 * rng.standard_normal(n)) for m in (1.1, 2.0))
    ln5, ln10, top = np.log([5.0, 10.0, 10_000.0])
    share = (ln5**alpha - ln10**alpha) / (top**alpha - ln10**alpha)
    spread = rng.choice([0.03, 0.08, 0.16], n, p=[0.3, 0.4, 0.3])
    own = e10 + length * share + np.hypot(spread, 0.12) * rng.standard_normal(n)
    wanted = np.quantile(2.3 + 0.25 * own, SHARES)
    np.testing.assert_allclose(np.quantile(drawn, SHARES), wanted, atol=0.003)
