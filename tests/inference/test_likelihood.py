"""The likelihood of scores and what it draws again, against scipy and dense normal algebra."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from performance.calibration._laws import data_of
from scipy import stats
from tests import designs
from tests.referees import rich_simulate

import emergecast
from emergecast.emergence_law import Law
from emergecast.inference import (
    Effort,
    FitData,
    FitOptions,
    Model,
    Priors,
    ln_normal,
    ln_student,
    sampled,
)
from emergecast.inference._block import add_ln_product
from emergecast.inference._likelihood import by_checkpoint
from emergecast.inference._stacking import _held_out

SMALL = Effort(particles=256, chains=32, final_steps=8)


def data_for(law: str, *, runs: float = 3.0) -> FitData:
    """A table of one series drawn under a law, its finetuned rows averages of some runs."""
    for number in range(40):
        table = rich_simulate.rich_table(np.random.default_rng([8, number]), law, stderr_known=True)
        if table.few_shot.any() and len(set(table.series)) == 1:
            return data_of(replace(table, runs=np.where(table.few_shot, 1.0, runs)))
    raise LookupError(law)


def test_a_score_of_several_runs_scatters_less():
    """Tau 0.2 and error 0.05: 0.05^2 + 0.2^2 / 4 for the mean of four runs; R = 0.5 divides it."""
    data = replace(
        data_for("log-power"), sampling_sd=np.array([0.05, 0.05]), repeats=np.array([1.0, 4.0]),
        score_range=0.5,
    )  # fmt: skip
    np.testing.assert_allclose(data.variance(np.array([0.2])), [[0.0425, 0.0125]])
    np.testing.assert_allclose(data.standard_variance(np.array([0.4])), [[0.17], [0.05]])


def test_single_scores_are_those_of_scipy():
    """Normal and Student-t with four degrees of freedom, with every constant."""
    residual, variance = np.array([0.0, 0.3, -2.0]), np.array([0.5, 0.01, 0.2])
    sd = np.sqrt(variance)
    np.testing.assert_allclose(ln_normal(residual, variance), stats.norm.logpdf(residual, 0, sd))
    np.testing.assert_allclose(ln_student(residual, variance), stats.t.logpdf(residual, 4, 0, sd))


def test_the_likelihood_of_student_scores_is_that_of_scipy_row_by_row():
    """For draws from the prior, whose mean is worked out here."""
    data, law = data_for("log-power+student"), Law.parse("log-power+student")
    model, rng = Model(data, law, Priors.default()), np.random.default_rng(0)
    vectors = model.sample_prior(20, rng)
    linear, elbows = model.linear(vectors, rng), model.elbows(vectors)
    past = np.maximum(elbows[:, data.level] - data.standard_loss, 0.0)
    mean = linear.level[:, None] + linear.slope[:, None] * past
    mean += linear.offset[:, None] * data.few_shot
    tau = np.exp(vectors[:, 3])
    sd = np.sqrt((data.sampling_sd / data.score_range) ** 2 + tau[:, None] ** 2 / data.repeats)
    wanted = np.asarray(stats.t.logpdf(data.standard_score, 4, mean, sd)).sum(axis=1)
    np.testing.assert_allclose(model.evaluate(vectors)[1], wanted, rtol=1e-10)


def test_what_was_integrated_out_is_drawn_from_its_dense_normal():
    """Level, offset, slope and deviations of one vector: mean and sd of 40,000 draws."""
    data, law = data_for("log-power+deviation"), Law.parse("log-power+deviation")
    priors, rng = Priors.default(), np.random.default_rng(1)
    model = Model(data, law, priors)
    # elbows half way along the losses, so that the slope is far from its cut at 0
    vector = np.array([[0.8, np.log(0.5), 0.7, np.log(0.02), np.log(0.05)]])
    past = np.maximum(model.elbows(vector)[0][data.level] - data.standard_loss, 0.0)
    score = data.standard_score + past  # a slope of about 1 or more
    model = Model(replace(data, score=data.chance + data.score_range * score), law, priors)
    drawn = model.linear(np.repeat(vector, 40_000, axis=0), rng)
    own = np.eye(data.n_checkpoints)[data.checkpoint]
    design = np.column_stack([np.ones(past.size), data.few_shot, past, own])
    weight = 1 / ((data.sampling_sd / data.score_range) ** 2 + 0.02**2 / data.repeats)
    scales = [priors.level_scale] * 2 + [priors.slope_scale] + [0.05] * own.shape[1]
    precision = design.T @ (weight[:, None] * design) + np.diag(1 / np.square(scales))
    covariance = np.linalg.inv(precision)
    mean, sd = covariance @ (design.T @ (weight * score)), np.sqrt(np.diag(covariance))
    assert mean[2] > 5 * sd[2]
    found = np.column_stack([drawn.level, drawn.offset, drawn.slope, drawn.checkpoint])
    np.testing.assert_allclose(found.std(axis=0), sd, rtol=0.03)
    np.testing.assert_allclose(found.mean(axis=0), mean, atol=0.03 * sd.max())


def test_draws_follow_the_unit_of_the_loss():
    """Losses seven times as large: elbows and widths too, slopes and rates a seventh."""
    data, law = data_for("log-power+soft"), Law.parse("log-power+soft+ceiling+slopes")
    larger = replace(
        data, loss=7 * data.loss, loss_unit=7 * data.loss_unit,
        strongest_loss=7 * data.strongest_loss,
    )  # fmt: skip
    one, other = (
        sampled(Model(each, law, Priors.default()), SMALL).draws(50, np.random.default_rng(0))
        for each in (data, larger)
    )
    for name in ("elbow", "elbow_high", "elbows", "width", "k", "c"):
        np.testing.assert_allclose(getattr(other, name), 7 * getattr(one, name), rtol=1e-6)
    for name in ("slope", "slopes", "ceiling_rate"):
        np.testing.assert_allclose(getattr(other, name), getattr(one, name) / 7, rtol=1e-6)
    np.testing.assert_allclose(other.noise, one.noise, rtol=1e-6)
    assert np.all(one.width > 0)


def test_a_held_out_checkpoint_is_predicted_by_the_others():
    """Ln p(its rows | the others) is a difference of two evidences; in all, to half a nat."""
    law = Law.parse("log-power")
    table = designs.rows(losses=designs.DENSE[::2], amounts=(16, 256, 4096), noise=0.02)
    fit = emergecast.fit(table, options=FitOptions(law=law))
    data = fit.data
    elbows = np.median(fit.posterior.draws(500, np.random.default_rng(0)).elbows, axis=0)
    past = (data.level > 0) & (data.loss < elbows[data.level])
    found = _held_out(data, law, fit.posterior, past)
    wanted = []
    for checkpoint in np.unique(data.checkpoint[past]):
        others = data.checkpoint != checkpoint
        with_past, without = (
            fit.posterior_if(keep=keep).log_evidence for keep in (others | past, others)
        )
        rows = np.count_nonzero(past & ~others)
        wanted.append(with_past - without - rows * np.log(data.score_range))
    assert len(wanted) == 9
    assert np.sum(found) == pytest.approx(np.sum(wanted), abs=0.5)


def test_sums_by_checkpoint_are_those_of_a_loop():
    """Rows in any order; a checkpoint without rows has 0."""
    rng = np.random.default_rng(3)
    checkpoint = rng.permutation(np.repeat([0, 1, 3], [4, 1, 6]))
    values = rng.standard_normal((5, checkpoint.size))
    wanted = [values[:, checkpoint == c].sum(axis=1) for c in range(5)]
    np.testing.assert_allclose(by_checkpoint(values, checkpoint, 5), np.transpose(wanted))
    assert not by_checkpoint(values[:, :0], checkpoint[:0], 2).any()


def test_products_of_variances_neither_overflow_nor_underflow():
    """Sums of logarithms are taken from products; absurd errors are not lost."""
    rng = np.random.default_rng(2)
    counts = np.arange(37) % 4
    for scale in (1e-40, 2.5e-7, 1.0, 1e12, 1e40):
        values = scale * rng.uniform(1, 2, (37, 5))
        values[:, 4] *= 1e-30  # each vector has a product of its own
        found = np.ones(5)
        add_ln_product(values, counts, -0.5, found)
        wanted = 1 - 0.5 * (counts[:, None] * np.log(values)).sum(axis=0)
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_a_vector_is_worth_the_same_whatever_stands_beside_it():
    """To the last digit, alone or among others."""
    rng = np.random.default_rng(3)
    for name in ("log-power+student", "log-power+soft+ceiling+slopes+deviation"):
        data = data_for(name)
        model = Model(data, Law.parse(name), Priors.default())
        vectors = model.sample_prior(301, rng)
        together = model.evaluate(vectors)[1]
        alone = [model.evaluate(vectors[i : i + 1])[1][0] for i in range(301)]
        np.testing.assert_array_equal(together, alone)


def test_machine_code_of_another_edition_is_not_read(tmp_path, monkeypatch):
    """A cache that an earlier version left, of classes that are gone, is another folder."""
    from emergecast.inference import _compiled

    monkeypatch.setenv("EMERGECAST_CACHE", str(tmp_path))
    assert _compiled.cache_folder() == tmp_path
    room = tmp_path / "room"
    room.mkdir()
    monkeypatch.setattr(_compiled, "__file__", str(room / "_compiled.py"))
    (room / "_kernel.py").write_text("one")
    first = _compiled._edition()
    assert first == _compiled._edition()
    (room / "_kernel.py").write_text("other")
    assert _compiled._edition() != first
