"""Sampled posteriors against brute force: every quantity drawn from its prior, and weighted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.special import logsumexp

from emergecast.emergence_law import LEVELLED, LawForm
from emergecast.inference import FitData
from emergecast.inference.levels import LevelPriors, LevelTables, level_posterior
from emergecast.inference.levels._level_priors import (
    CEILING,
    ELBOW_SPREAD,
    SHOULDER,
    SLOPE_SPREAD,
    TOE,
)

DRAWS = 150_000
ROUNDS = 4


def brute(
    data: FitData, form: LawForm, priors: LevelPriors, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draws of the few-shot elbow from the prior, and the log density of all rows given each."""
    n = DRAWS
    amounts = data.level_amounts
    law = priors.law(form, rng.standard_normal((n, 4)), amounts, float(amounts[-1])).elbows
    ln = np.log(amounts)
    time = (ln - ln[1:].mean()) / (ln[-1] - ln[0])
    ln_slope = priors.ln_slopes(rng.standard_normal((n, 2)), time)

    def pick(values: object, weights: object) -> np.ndarray:
        return rng.choice(values, n, p=weights)  # type: ignore[call-overload,no-any-return]

    toe, shoulder = pick(*TOE), pick(*SHOULDER)
    elbow = law + pick(*ELBOW_SPREAD)[:, None] * rng.standard_normal(law.shape)
    ln_slope += pick(*SLOPE_SPREAD)[:, None] * rng.standard_normal(law.shape)
    steep = np.empty((2, n))
    for response, _ in priors.responses:
        own = (toe == response.toe) & (shoulder == response.shoulder)
        steep[:, own] = np.array([[response.elbow], [response.slope]])
    nodes = np.array(priors.noise)
    total = np.zeros(n)
    for level in range(amounts.size):
        ceiling = pick(*CEILING)
        node = nodes[rng.choice(len(nodes), n, p=nodes[:, 3])]
        base = priors.scales.level_scale * rng.standard_normal(n)
        for checkpoint in np.unique(data.checkpoint):
            own = (data.level == level) & (data.checkpoint == checkpoint)
            loss = (data.loss[own][0] - data.strongest_loss) / data.loss_unit
            u = steep[0] + np.exp(ln_slope[:, level]) * (elbow[:, level] - loss) / (
                ceiling * steep[1]
            )
            risen = toe * np.logaddexp(0, u / toe)
            risen -= shoulder * np.logaddexp(0, (u - 1) / shoulder)
            mean = base + ceiling * risen
            sampling = (data.sampling_sd[own][0] / data.score_range) ** 2
            run = node[:, 0] ** 2 / data.repeats[own][0] * (level > 0)
            shared = node[:, 1] ** 2 + (node[:, 2] * ceiling * risen) ** 2
            score = data.standard_score[own]
            # rows that share a deviation: their mean, and what is left around it
            k, each = score.size, sampling + run
            spread = shared + each / k
            total -= 0.5 * (np.log(2 * np.pi * spread) + (score.mean() - mean) ** 2 / spread)
            within = ((score - score.mean()) ** 2).sum()
            total -= 0.5 * ((k - 1) * np.log(2 * np.pi * each) + np.log(k) + within / each)
    read_off = priors.scales.read_off_scale * rng.standard_normal(n)
    return data.strongest_loss + data.loss_unit * (elbow[:, 0] + read_off), total


@pytest.mark.parametrize("form", LEVELLED)
def test_posterior_is_that_of_brute_force(small: FitData, form: LawForm):
    """Evidence and quantiles; nothing but the priors is shared."""
    priors = LevelPriors()
    rng = np.random.default_rng(3)
    parts = [brute(small, form, priors, rng) for _ in range(ROUNDS)]
    elbow, ln_weight = (np.concatenate(part) for part in zip(*parts, strict=True))
    weight = np.exp(ln_weight - ln_weight.max())
    assert weight.sum() ** 2 / np.sum(weight**2) > 300
    found = level_posterior(LevelTables(small, priors), form)
    assert found.log_evidence == pytest.approx(logsumexp(ln_weight) - np.log(elbow.size), abs=0.25)
    for loss in found.quantile([0.1, 0.3, 0.5, 0.7, 0.9]):
        expected = weight[elbow <= loss].sum() / weight.sum()
        assert float(found.cumulative(loss)) == pytest.approx(expected, abs=0.04)


def test_rows_at_chance_past_an_elbow_speak_against_it(small: FitData):
    """A few-shot score at chance from a stronger model moves the forecast past it."""
    at = replace(
        small.rows(small.level == 0),
        loss=np.full(4, 2.2) + 0.001 * np.arange(4),
        score=np.full(4, 0.25),
        sampling_sd=np.full(4, 0.02),
        checkpoint=4 + np.arange(4),
    )
    names = ("loss", "score", "level", "sampling_sd", "repeats", "checkpoint", "series", "snapshot")
    rows: dict[str, Any] = {
        name: np.concatenate([getattr(small, name), getattr(at, name)]) for name in names
    }
    more = replace(small, **rows)
    before, after = (
        level_posterior(LevelTables(data, LevelPriors()), LawForm.LOG_POWER)
        for data in (small, more)
    )
    assert before.emerged(2.25) > 0.1
    assert after.emerged(2.25) < 0.5 * before.emerged(2.25)


def test_a_level_without_rows_is_where_the_law_puts_it(small: FitData):
    """Without few-shot rows at chance nothing keeps the elbow from lying above them."""
    tables = LevelTables(small.rows(small.level > 0), LevelPriors())
    assert tables.fine[:, 0] == pytest.approx(0)
    found = level_posterior(tables, LawForm.LOG_POWER)
    assert found.converged
    assert found.emerged(2.3) > level_posterior(
        LevelTables(small, LevelPriors()), LawForm.LOG_POWER
    ).emerged(2.3)
