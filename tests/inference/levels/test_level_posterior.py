"""Sampled posteriors against brute force: every quantity drawn from its prior, and weighted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logsumexp

from emergecast.inference import FitData
from emergecast.inference.levels import LevelPriors, LevelTables, Shift, level_posterior

UNIT = 0.25
DRAWS = 150_000
ROUNDS = 4


def brute(
    data: FitData, shift: Shift, priors: LevelPriors, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draws of the few-shot elbow from the prior, and the log density of all rows given each."""
    n = DRAWS
    amounts = data.level_amounts
    law = priors.elbows(shift, rng.standard_normal((n, 4)), amounts)
    ln = np.log(amounts)
    time = (ln - ln[1:].mean()) / (ln[-1] - ln[0])
    ln_slope = priors.ln_slope.at(rng.standard_normal((n, 1)))
    ln_slope = ln_slope + priors.trend.at(rng.standard_normal((n, 1))) * time

    def pick(values: object, weights: object) -> np.ndarray:
        return rng.choice(values, n, p=weights)  # type: ignore[call-overload,no-any-return]

    toe, shoulder = pick(*priors.toe), pick(*priors.shoulder)
    elbow = law + pick(*priors.elbow_spread)[:, None] * rng.standard_normal(law.shape)
    ln_slope += pick(*priors.slope_spread)[:, None] * rng.standard_normal(law.shape)
    steep = np.empty((2, n))
    for response, _ in priors.responses:
        own = (toe == response.toe) & (shoulder == response.shoulder)
        steep[:, own] = np.array([[response.elbow], [response.slope]])
    nodes = np.array(priors.noise)
    total = np.zeros(n)
    for level in range(amounts.size):
        ceiling = pick(*priors.ceiling)
        node = nodes[rng.choice(len(nodes), n, p=nodes[:, 3])]
        base = priors.level_sd * rng.standard_normal(n)
        for checkpoint in np.unique(data.checkpoint):
            own = (data.level == level) & (data.checkpoint == checkpoint)
            loss = (data.loss[own][0] - data.strongest_loss) / UNIT
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
    read_off = priors.read_off_sd * rng.standard_normal(n)
    return data.strongest_loss + UNIT * (elbow[:, 0] + read_off), total


@pytest.mark.parametrize("shift", list(Shift))
def test_posterior_is_that_of_brute_force(small: FitData, shift: Shift):
    """Evidence and quantiles; nothing but the priors is shared."""
    priors = LevelPriors()
    rng = np.random.default_rng(3)
    parts = [brute(small, shift, priors, rng) for _ in range(ROUNDS)]
    elbow, ln_weight = (np.concatenate(part) for part in zip(*parts, strict=True))
    weight = np.exp(ln_weight - ln_weight.max())
    assert weight.sum() ** 2 / np.sum(weight**2) > 300
    found = level_posterior(LevelTables(small, priors, UNIT), shift)
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
    more = replace(
        small,
        **{
            name: np.concatenate([getattr(small, name), getattr(at, name)])
            for name in (
                "loss", "score", "level", "sampling_sd", "repeats", "checkpoint", "series", "snapshot",
            )
        },
    )  # fmt: skip
    before, after = (
        level_posterior(LevelTables(data, LevelPriors(), UNIT), Shift.LOG_POWER)
        for data in (small, more)
    )
    assert before.emerged(2.25) > 0.1
    assert after.emerged(2.25) < 0.5 * before.emerged(2.25)


def test_a_level_without_rows_is_where_the_law_puts_it(small: FitData):
    """Without few-shot rows at chance nothing keeps the elbow from lying above them."""
    tables = LevelTables(small.rows(small.level > 0), LevelPriors(), UNIT)
    assert tables.fine[:, 0] == pytest.approx(0)
    found = level_posterior(tables, Shift.LOG_POWER)
    assert found.converged
    assert found.emerged(2.3) > level_posterior(
        LevelTables(small, LevelPriors(), UNIT), Shift.LOG_POWER
    ).emerged(2.3)
