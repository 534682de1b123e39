"""Diagnostics against refits, planted troubles, and tables drawn from the model itself."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats
from tests import designs
from tests.referees import simulate

import emergecast
from emergecast.diagnostics import Diagnostics, diagnose
from emergecast.diagnostics._falls import find_falls
from emergecast.diagnostics._influence import Sample, leave_out
from emergecast.diagnostics._predictive import few_shot_rise, predictive_checks
from emergecast.diagnostics._residuals import residuals
from emergecast.errors import EmergecastError
from emergecast.forecasts import ForecastOptions, Verdict, forecast
from emergecast.inference import Fit, FitOptions
from emergecast.records import as_json
from emergecast.report import influence, save

LOSSES = designs.DENSE[::2]


def fitted(rows: list[designs.Row], law: str = "log-power") -> Fit:
    """A fit of the plain law, which is fast."""
    return emergecast.fit(rows, options=FitOptions(law=law))


@pytest.fixture(scope="module")
def rows() -> list[designs.Row]:
    """Thirteen checkpoints, six amounts, noise of 0.01."""
    return designs.rows(losses=LOSSES, noise=0.01, seed=3)


@pytest.fixture(scope="module")
def plain(rows: list[designs.Row]) -> Fit:
    """Its plain fit."""
    return fitted(rows)


@pytest.fixture(scope="module")
def found(plain: Fit) -> Diagnostics:
    """Its diagnostics."""
    return diagnose(plain)


# ------------------------------------------------------------------------------------ influence


def test_influence_is_what_refits_without_the_rows_give(plain: Fit, found: Diagnostics):
    """The median, of every amount (to the grid) and checkpoint (to 0.25 posterior sd)."""
    data = plain.data
    names = {f"{int(d):,} examples": j + 1 for j, d in enumerate(data.amounts)} | {"few-shot": 0}
    by_name = dict(zip(plain.selection.rows["checkpoint"], data.checkpoint, strict=True))
    assert len(found.influence) == len(names) + len(LOSSES)
    sd = plain.posterior.sd
    for each in found.influence:
        amount = each.kind == "amount"
        left = data.level != names[each.what] if amount else data.checkpoint != by_name[each.what]
        low, middle, high = plain.posterior_if(keep=left).quantile([0.05, 0.5, 0.95])
        assert each.n_rows == np.count_nonzero(~left)
        assert each.p50 == pytest.approx(middle, abs=1e-9 if amount else 0.25 * sd), each.what
        assert each.p05 == pytest.approx(low, abs=1e-9 if amount else 0.6 * sd), each.what
        assert each.p95 == pytest.approx(high, abs=1e-9 if amount else 0.6 * sd), each.what
        assert each.shift == pytest.approx(each.p50 - float(plain.posterior.quantile(0.5)))
        assert each.shift_sd == pytest.approx(each.shift / sd)
    shifts = [abs(each.shift) for each in found.influence]
    assert shifts == sorted(shifts, reverse=True)


def test_influence_under_deviations_is_what_sampling_again_gives(rows: list[designs.Row]):
    """The deviation of the checkpoint left out is integrated over, not kept."""
    fit = fitted(rows, "log-power+deviation")
    data, sd = fit.data, fit.posterior.sd
    by_name = dict(zip(fit.selection.rows["checkpoint"], data.checkpoint, strict=True))
    for each in [each for each in leave_out(fit)[0] if each.kind == "checkpoint"][:4]:
        other = fit.posterior_if(keep=data.checkpoint != by_name[each.what])
        assert each.p50 == pytest.approx(float(other.quantile(0.5)), abs=0.25 * sd), each.what


def test_the_density_of_a_checkpoint_is_that_of_scipy(rows: list[designs.Row]):
    """Normal about the law, independent noise plus a deviation that its rows share."""
    fit = fitted(rows, "log-power+deviation")
    sample = Sample(fit, fit.posterior)
    found = sample.draws.ln_checkpoints(fit.data, student=False)
    mean, variance = sample.draws.expected(fit.data), fit.data.variance(sample.draws.noise)
    assert np.median(sample.deviation) > 0
    for draw in (0, 700, 1499):
        for checkpoint in (0, 5, 12):
            own = fit.data.checkpoint == checkpoint
            covariance = np.diag(variance[draw, own]) + sample.deviation[draw]
            density = stats.multivariate_normal(mean[draw, own], covariance)
            expected = density.logpdf(fit.data.score[own])
            assert found[draw, checkpoint] == pytest.approx(expected, rel=1e-9)


def test_the_density_of_a_checkpoint_under_student_is_that_of_scipy(rows: list[designs.Row]):
    """Four degrees of freedom."""
    fit = fitted(rows, "log-power+student")
    sample = Sample(fit, fit.posterior)
    own = fit.data.checkpoint == 12
    data = fit.data.rows(own)
    score, scale = data.score, np.sqrt(data.variance(sample.draws.noise))
    expected = stats.t(4, sample.draws.expected(data), scale).logpdf(score).sum(axis=1)
    found = sample.draws.ln_checkpoints(fit.data, student=True)
    np.testing.assert_allclose(found[:, 12], expected, atol=1e-9)


# -------------------------------------------------------------------------- planted in the rows


def test_a_checkpoint_that_saw_task_data_is_named(rows: list[designs.Row]):
    """Few-shot 0.15 too high, 16 examples 0.1: by its name, by those rows, and the verdict says."""
    planted = [dict(row) for row in rows]
    for row in planted:
        if row["checkpoint"] == "c9":
            row["score"] += {None: 0.15, 16: 0.1}.get(row["examples"], 0.0)
    for law in ("log-power", "log-power+deviation"):
        fit = fitted(planted, law)
        suspect = leave_out(fit)[1][0]
        assert suspect.checkpoint == "c9"
        assert suspect.rows in ("light", "few-shot")
        assert suspect.z > 8
        assert suspect.predicted == pytest.approx(designs.CHANCE, abs=0.02)
    verdict = forecast(fitted(planted), options=ForecastOptions(bootstraps=0))
    assert verdict.verdict is Verdict.WEAK
    (said,) = [reason for reason in verdict.reasons if "task data in pretraining" in reason]
    assert "c9" in said
    assert "--exclude" in said


def test_an_overtrained_checkpoint_is_named(rows: list[designs.Row]):
    """Finetuned scores of c11 0.12 too low; nothing is said of a table without trouble."""
    planted = [dict(row) for row in rows]
    for row in planted:
        if row["checkpoint"] == "c11" and row["setting"] == "finetuned":
            row["score"] -= 0.12
    suspect = leave_out(fitted(planted))[1][0]
    assert (suspect.checkpoint, suspect.rows) == ("c11", "finetuned")
    assert suspect.z < -8
    reasons = " ".join(forecast(fitted(planted), options=ForecastOptions(bootstraps=0)).reasons)
    assert "A checkpoint is not predicted by the others: c11" in reasons


def test_nothing_is_found_where_nothing_is_wrong(found: Diagnostics):
    """No suspect, no fall, no failed check; one optimum."""
    assert found.suspects == ()
    assert found.falls == ()
    assert found.predictive[0].p > 0.01
    assert found.optima.high - found.optima.low < 1e-4


def test_falls_are_found_and_named():
    """At 4,096 examples the two strongest of 25 checkpoints lose 0.1 and 0.2; noise is 0.01."""
    rows = designs.rows(noise=0.01, seed=5)
    for row in rows:
        if row["examples"] == 4096:
            row["score"] -= {"c23": 0.1, "c24": 0.2}.get(row["checkpoint"], 0.0)
    fit = fitted(rows)
    falls = find_falls(fit, fit.posterior.draws(1000, np.random.default_rng(0)))
    (fall,) = [each for each in falls if each.kind == "checkpoint"]
    scores = {row["checkpoint"]: row["score"] for row in rows if row["examples"] == 4096}
    assert (fall.where, fall.low) == ("4,096 examples", "c24")
    assert scores[fall.high] == max(scores.values())
    assert fall.fall == pytest.approx(max(scores.values()) - scores["c24"])
    assert fall.p <= 0.01
    reasons = " ".join(forecast(fit, options=ForecastOptions(bootstraps=0)).reasons)
    assert f"beyond noise: from {fall.high} to c24 by" in reasons


def test_a_fall_with_more_data_is_found():
    """At c12, 16,384 examples give 0.2 less than 4,096."""
    rows = designs.rows(losses=LOSSES, noise=0.01, seed=5)
    for row in rows:
        if row["examples"] == 16384 and row["checkpoint"] == "c12":
            row["score"] -= 0.3
    fit = fitted(rows)
    falls = find_falls(fit, fit.posterior.draws(1000, np.random.default_rng(0)))
    (fall,) = [each for each in falls if each.kind == "amount"]
    assert (fall.where, fall.low) == ("c12", "16,384 examples")


def test_falls_of_monotone_truths_are_rare():
    """Noise alone: p below 0.05 in at most 5 of 40 tables (expected 2)."""
    hits = 0
    for seed in range(40):
        fit = fitted(designs.rows(losses=LOSSES, noise=0.01, seed=100 + seed))
        falls = find_falls(fit, fit.posterior.draws(500, np.random.default_rng(0)))
        hits += any(each.kind == "checkpoint" for each in falls)
    assert hits <= 5


# ------------------------------------------------------------------------------- residual trends


def sized(rows: list[designs.Row], effect: float) -> list[designs.Row]:
    """Two sizes of model, in turns, the larger `effect` better past the elbow."""
    out = []
    for row in rows:
        large = int(row["checkpoint"][1:]) % 2
        past = row["score"] > designs.CHANCE + 0.03
        added = effect * (large - 0.5) * past
        out.append({**row, "params": 1e9 * 10**large, "score": row["score"] + added})
    return out


def test_model_size_that_matters_at_equal_loss_is_found(rows: list[designs.Row]):
    """A tenfold is worth 0.06 in score, 0.1 nats at a slope of 0.6; the slope comes back."""
    fit = fitted(sized(rows, 0.06))
    draws = fit.posterior.draws(1000, np.random.default_rng(0))
    per_checkpoint, (trend,) = residuals(fit, draws)
    assert {each.params for each in per_checkpoint} == {1e9, 1e10}
    assert trend.trait == "params"
    assert trend.stderr is not None
    assert trend.slope == pytest.approx(0.06, abs=4 * trend.stderr)
    assert trend.p < 0.01
    assert trend.shift == pytest.approx(trend.slope / designs.SLOPE, rel=0.2)
    said = " ".join(forecast(fit, options=ForecastOptions(bootstraps=0)).reasons)
    assert "Loss alone does not tell the story: larger models score higher at equal loss" in said


def test_size_that_does_not_matter_or_cannot_be_told_from_loss(rows: list[designs.Row]):
    """No trend without an effect; none at all where size follows from loss, or is not known."""
    fit = fitted(sized(rows, 0.0))
    draws = fit.posterior.draws(1000, np.random.default_rng(0))
    assert residuals(fit, draws)[1][0].p > 0.01
    aliased = [{**row, "params": round(10 ** (12 - row["loss"]))} for row in rows]
    assert residuals(fitted(aliased), draws)[1] == ()
    assert residuals(fitted(rows), draws)[1] == ()


# ---------------------------------------------------------------------------- predictive checks


def from_the_model(n: int) -> list[Fit]:
    """Fits of random tables of the plain law that are not refused."""
    fits: list[Fit] = []
    seed = 0
    while len(fits) < n:
        table = simulate.random_table(np.random.default_rng([71, seed]), "log-power")
        seed += 1
        if np.isnan(table.stderr).any() or table.few_shot.sum() < 6:
            continue
        try:
            fit = emergecast.fit(simulate.as_rows(table), options=FitOptions(law="log-power"))
        except EmergecastError:
            continue
        fits.append(fit)
    return fits


def test_checks_are_quiet_on_tables_of_the_model():
    """Of 20 tables: small p values are no more frequent than chance makes them, and p varies."""
    smallest, rises = [], []
    for fit in from_the_model(20):
        checks = predictive_checks(fit)
        smallest.append(checks[0].p * len(checks))
        rise = few_shot_rise(fit)
        assert rise is not None
        rises.append(rise.p)
    assert np.mean(np.array(smallest) < 0.05) <= 0.2
    assert np.mean(np.array(rises) < 0.05) <= 0.2
    assert 0.3 < np.mean(rises) < 0.75


@pytest.mark.parametrize("early", [True, False])
def test_few_shot_rows_that_contradict_the_finetuned_ones_are_noticed(*, early: bool):
    """Few-shot emergence at 2.3 where finetuning says 1.93, or none where it says 2.23."""
    table = designs.rows(
        losses=LOSSES, at=lambda d: designs.elbow(d) + (0.0 if early else 0.3), noise=0.004
    )
    rng = np.random.default_rng(0)
    for row in table:
        if row["setting"] == "few_shot":
            past = max(2.3 - row["loss"], 0.0) if early else 0.0
            row["score"] = designs.CHANCE + designs.SLOPE * past + 0.004 * rng.standard_normal()
    fit = fitted(table)
    rise = few_shot_rise(fit)
    assert rise is not None
    assert rise.p < 0.001
    assert (rise.observed > rise.expected) == early
    found = forecast(fit, options=ForecastOptions(bootstraps=0))
    assert found.verdict is not Verdict.IDENTIFIED
    assert "The few-shot scores contradict the finetuned ones" in " ".join(found.reasons)


def test_too_few_few_shot_rows_give_no_rise(rows: list[designs.Row]):
    """Two rows have no thirds, and a table may have none."""
    two = [r for r in rows if r["setting"] == "finetuned" or r["checkpoint"] in ("c1", "c2")]
    assert few_shot_rise(fitted(two)) is None
    none = [r for r in rows if r["setting"] == "finetuned"]
    assert (
        few_shot_rise(
            emergecast.fit(none, options=FitOptions(law="log-power", few_shot_examples=5))
        )
        is None
    )
    checks = predictive_checks(
        emergecast.fit(none, options=FitOptions(law="log-power", few_shot_examples=5))
    )
    assert not any("few-shot" in check.what for check in checks)


# ---------------------------------------------------------------------------------- the verdict


RULES: dict[str, tuple[float, str]] = {
    "influence": (0.0, "The answer hangs on"),
    "few_shot_shift": (0.0, "Which amount of data is like few-shot matters: read off at D0"),
    "predictive": (1.1, "The law does not fit the rows"),
}


@pytest.mark.parametrize("name", RULES)
def test_each_rule_alone_makes_a_table_weak(name: str):
    """An identified table, and one threshold that no table meets."""
    fit = fitted(designs.rows(losses=LOSSES))
    assert forecast(fit, options=ForecastOptions(bootstraps=0)).verdict is Verdict.IDENTIFIED
    value, says = RULES[name]
    changed: dict[str, Any] = {name: value}
    strict = forecast(fit, options=ForecastOptions(rules=changed, bootstraps=0))
    assert strict.verdict is Verdict.WEAK
    assert any(reason.startswith(says) for reason in strict.reasons)


def test_a_refused_table_is_not_diagnosed(monkeypatch: pytest.MonkeyPatch):
    """It costs nothing and has none."""

    def never(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("emergecast.forecasts._verdict.diagnose", never)
    refused = emergecast.forecast(designs.rows(amounts=(64, 512)))
    assert refused.diagnostics is None
    assert refused.to_dict()["diagnostics"] is None
    with pytest.raises(ValueError, match="refused"):
        influence(refused)


def test_an_axis_where_higher_is_stronger_mirrors_everything(plain: Fit, found: Diagnostics):
    """Shifts change their sign, ends their places."""
    axis = replace(plain.selection.axis, name="index", higher_is_stronger=True)
    here = as_json(found.record(plain.selection.axis))
    there = as_json(found.record(axis))
    for one, other in zip(here["influence"], there["influence"], strict=True):
        assert (other["p05"], other["p95"]) == (-one["p95"], -one["p05"])
        assert other["shift"] == -one["shift"]
    assert there["optima"]["low"] == -here["optima"]["high"]
    json.dumps(there, allow_nan=False)


def test_the_picture_draws_them(rows: list[designs.Row], tmp_path):
    """With and without known sizes."""
    for table in (rows, sized(rows, 0.02)):
        drawn = forecast(fitted(table), options=ForecastOptions(bootstraps=0))
        paths = save(influence(drawn), tmp_path, "influence")
        assert all(path.stat().st_size > 1000 for path in paths)
        svg = paths[0].read_text()
        assert "few-shot elbow without these rows" in svg
