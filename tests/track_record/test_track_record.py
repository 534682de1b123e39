"""Frozen forecasts scored against later tables, and the tally over many."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats
from tests import designs

import emergecast
from emergecast.baselines import baselines
from emergecast.baselines._baselines import Baseline
from emergecast.errors import FrozenError, OptionError, SelectionError
from emergecast.forecasts import ForecastOptions, Verdict
from emergecast.inference import FitOptions, fit
from emergecast.measurements import SelectOptions, read_table, select
from emergecast.observed import ground_truths
from emergecast.track_record import (
    FrozenForecast,
    FrozenScore,
    ScoreStatus,
    crps,
    freeze,
    score_frozen,
    track_record,
)

SEEN = designs.DENSE[::2]
LATER = (*SEEN, *(float(loss) for loss in np.linspace(1.98, 1.5, 13)))
AMOUNTS = (64, 512, 4096)


def rows(losses=LATER, **options) -> list[designs.Row]:
    """The later table: the rows of the design, a checkpoint a loss, whatever else is there."""
    return [
        {**row, "checkpoint": f"at-{row['loss']:.3f}"}
        for row in designs.rows(losses=losses, amounts=AMOUNTS, **options)
    ]


@pytest.fixture(scope="module")
def frozen() -> FrozenForecast:
    """Frozen when the strongest checkpoint had loss 2.0; the elbow is at 1.93."""
    fitted = fit(rows(SEEN), SelectOptions(series="default"), FitOptions(law="log-power"))
    return freeze(emergecast.forecast(fitted, options=ForecastOptions(bootstraps=0)))


def test_the_truth_is_that_of_all_later_few_shot_scores(frozen: FrozenForecast):
    """And every score is that of the frozen distribution there."""
    found = score_frozen(frozen, rows())
    truth = ground_truths(select(read_table(rows()), SelectOptions())).elbow
    assert truth is not None
    assert found.status is ScoreStatus.SCORED
    assert found.truth == pytest.approx(truth.loss)
    assert found.truth == pytest.approx(1.93, abs=0.02)
    assert (found.truth_p05, found.truth_p95) == (truth.p05, truth.p95)
    assert frozen.elbow is not None
    p05, p95 = frozen.elbow["p05"], frozen.elbow["p95"]
    assert p05 is not None
    assert p95 is not None
    assert found.hit is (p05 <= truth.loss <= p95)
    assert found.crps == pytest.approx(crps(frozen, truth.loss))
    assert found.pit == pytest.approx(float(frozen.cumulative(truth.loss)))
    assert found.warnings == ()


def test_no_change_is_the_baseline_of_the_backtest(frozen: FrozenForecast):
    """Rebuilt from the frozen rows alone."""
    fitted = fit(rows(SEEN), options=FitOptions(law="log-power"))
    guess = baselines(fitted, which=(Baseline.NO_CHANGE,))[Baseline.NO_CHANGE].distribution
    assert guess is not None
    assert score_frozen(frozen, truth=1.9).no_change == pytest.approx(crps(guess, 1.9), rel=1e-6)


@pytest.mark.parametrize(("truth", "hit"), [(1.2, False), (1.95, True), (2.9, False)])
def test_a_truth_may_be_given(frozen: FrozenForecast, truth: float, *, hit: bool):
    """Without any table; hit or miss by the 90% interval."""
    found = score_frozen(frozen, truth=truth)
    assert found.hit is hit
    assert found.truth == truth
    assert found.truth_p05 is None


def test_a_truth_that_is_not_visible_yet_is_pending(frozen: FrozenForecast):
    """With what the forecast said of the strongest model there is."""
    found = score_frozen(frozen, rows((*SEEN, 1.97)))
    assert found.status is ScoreStatus.PENDING
    assert found.truth is None
    assert found.crps is None
    said = 1 - float(frozen.cumulative(1.97))
    assert f"1.970 nats, and the forecast gave a model there a probability of {said:.0%}" in (
        found.reason
    )


def test_options_that_hid_strong_checkpoints_do_not_hide_the_truth():
    """at_chance_only and min_loss chose the rows of the forecast; the truth needs the others."""
    options = SelectOptions(at_chance_only=True, min_loss=1.95)
    fitted = fit(rows(), options, FitOptions(law="log-power"))
    found = score_frozen(
        freeze(emergecast.forecast(fitted, options=ForecastOptions(bootstraps=0)), options=options),
        rows(),
    )
    assert found.status is ScoreStatus.SCORED
    assert any("a backtest, not a forecast" in text for text in found.warnings)


def test_a_weak_checkpoint_that_emerged_later_hides_no_row_of_the_forecast():
    """The horizon of the later table is not that of the frozen one."""
    options = SelectOptions(at_chance_only=True)
    fitted = fit(rows(SEEN), options, FitOptions(law="log-power"))
    frozen = freeze(
        emergecast.forecast(fitted, options=ForecastOptions(bootstraps=0)), options=options
    )
    early = {**rows((2.5,))[0], "score": 0.6, "checkpoint": "early"}
    assert score_frozen(frozen, [*rows(), early]).warnings == ()


def test_hidden_checkpoints_in_the_frozen_table_are_told():
    """Half a backtest is told from a forecast."""
    options = SelectOptions(at_chance_only=True)
    fitted = fit(rows(), options, FitOptions(law="log-power"))
    frozen = freeze(
        emergecast.forecast(fitted, options=ForecastOptions(bootstraps=0)), options=options
    )
    found = score_frozen(frozen, rows((*LATER, 1.45)))
    assert any("in part a backtest" in text for text in found.warnings)


def test_changed_and_vanished_rows_are_told(frozen: FrozenForecast):
    """By number and by name; added rows and another order are no change."""
    later = rows()
    assert score_frozen(frozen, later[::-1]).warnings == ()
    later[0] = {**later[0], "score": later[0]["score"] + 0.01}
    gone = [row for row in later if row["checkpoint"] != later[8]["checkpoint"]]
    first, second = score_frozen(frozen, gone).warnings
    total = len(frozen.content["rows"])
    assert f"1 of the {total} rows the forecast used have another loss or score" in first
    assert later[0]["checkpoint"] in first
    assert f"4 of the {total} rows the forecast used are not in the later table" in second
    assert later[8]["checkpoint"] in second


def test_no_stronger_checkpoint_is_told(frozen: FrozenForecast):
    """Scoring the very same rows settles nothing."""
    found = score_frozen(frozen, rows(SEEN))
    assert any("No few-shot score in the later table is of a stronger" in w for w in found.warnings)


def test_a_refused_forecast_is_not_scored_and_counts():
    """Even when the truth is known."""
    few = [row for row in rows(SEEN) if row["examples"] in {None, 64}]
    frozen = freeze(
        emergecast.forecast(
            fit(few, options=FitOptions(law="log-power")), options=ForecastOptions(bootstraps=0)
        )
    )
    found = score_frozen(frozen, rows())
    assert found.status is ScoreStatus.REFUSED
    assert found.crps is None
    assert found.truth == pytest.approx(1.93, abs=0.02)
    assert found.reason.startswith("It was refused: There is 1 finetuning amount")


def test_a_table_of_something_else_is_an_error(frozen: FrozenForecast):
    """It names the forecast and what is missing."""
    other = [{**row, "task": "other"} for row in rows()]
    with pytest.raises(SelectionError, match=r'quiz / default.*no row has the task "quiz"'):
        score_frozen(frozen, other)


@pytest.mark.parametrize("bad", [-1.0, 0.0, math.nan, math.inf])
def test_an_impossible_truth_is_an_error(frozen: FrozenForecast, bad: float):
    """With the value."""
    with pytest.raises(OptionError, match="--truth takes an elbow in nats"):
        score_frozen(frozen, truth=bad)


def test_nothing_to_score_against_is_an_error(frozen: FrozenForecast):
    """Neither table nor truth."""
    with pytest.raises(OptionError, match="needs a later table, or --truth"):
        score_frozen(frozen)


# ------------------------------------------------------------------------------------ the tally


def made(number: int, **changes: Any) -> FrozenScore:
    """A score by hand."""
    base = FrozenScore(
        name="quiz / a",
        verdict=Verdict.IDENTIFIED,
        status=ScoreStatus.SCORED,
        reason="by hand",
        frozen_at="2026-01-01T00:00:00+00:00",
        sha256=f"{number:064x}",
        truth=2.0,
        p05=1.9,
        p50=2.0,
        p95=2.1,
        hit=True,
        crps=0.02,
        log_score=1.0,
        pit=0.55,
        no_change=0.04,
    )
    return replace(base, **changes)


def test_the_tally_counts_by_hand():
    """Four scored, one pending, one refused; every figure worked out on paper."""
    blank: dict[str, Any] = {"hit": None, "crps": None, "log_score": None, "pit": None}
    scores = [
        made(1),
        made(2, hit=False, crps=0.10, log_score=-3.0, pit=1.0),
        made(3, verdict=Verdict.WEAK, crps=0.04, log_score=0.0, pit=0.0, no_change=0.02),
        made(4, verdict=Verdict.WEAK, crps=0.04, log_score=2.0, pit=0.551),
        made(5, status=ScoreStatus.PENDING, **blank),
        made(6, status=ScoreStatus.REFUSED, verdict=Verdict.REFUSED, **blank),
    ]
    found = track_record(scores)
    assert (found.n, found.pending, found.refused, found.hits) == (4, 1, 1, 3)
    assert found.coverage == 0.75
    assert found.mean_crps == pytest.approx(0.05)
    assert found.crps_stderr == pytest.approx(np.std([0.02, 0.1, 0.04, 0.04], ddof=1) / 2)
    assert found.mean_no_change == pytest.approx(0.035)
    assert found.skill == pytest.approx(1 - 0.05 / 0.035)
    assert found.mean_log_score == pytest.approx(0.0)
    assert found.median_log_score == pytest.approx(0.5)
    assert found.pit_counts == (1, 0, 0, 0, 0, 2, 0, 0, 0, 1)
    assert set(found.by_verdict) == {Verdict.IDENTIFIED, Verdict.WEAK, Verdict.REFUSED}
    assert found.by_verdict[Verdict.WEAK].mean_crps == pytest.approx(0.04)
    assert found.by_verdict[Verdict.IDENTIFIED].pending == 1


@pytest.mark.parametrize(("hits", "n"), [(0, 7), (3, 7), (7, 7), (18, 20)])
def test_the_interval_of_coverage_is_the_exact_binomial_one(hits: int, n: int):
    """Against scipy's own exact interval."""
    scores = [made(i, hit=i < hits) for i in range(n)]
    found = track_record(scores)
    exact = stats.binomtest(hits, n).proportion_ci(0.9, "exact")
    assert found.coverage_low == pytest.approx(exact.low, abs=1e-9)
    assert found.coverage_high == pytest.approx(exact.high, abs=1e-9)


def test_the_last_score_of_a_forecast_counts():
    """Pending first, scored later: one forecast."""
    found = track_record([made(1, status=ScoreStatus.PENDING), made(1)])
    assert (found.n, found.pending) == (1, 0)


def test_scores_in_several_units_have_no_mean():
    """Nats and log10 FLOPs do not add; hits and ranks do, and each verdict has its own means."""
    found = track_record([made(1), made(2, unit="log10 FLOPs", verdict=Verdict.WEAK, crps=0.3)])
    assert found.mean_crps is found.skill is found.mean_log_score is found.crps_stderr is None
    assert (found.n, found.hits, sum(found.pit_counts)) == (2, 2, 2)
    assert found.by_verdict[Verdict.WEAK].mean_crps == pytest.approx(0.3)


def test_a_log_score_of_minus_infinity_is_shown_and_not_hidden():
    """In the mean, in the count and in JSON."""
    found = track_record([made(1, log_score=-math.inf), made(2), made(3)])
    assert found.mean_log_score == -math.inf
    assert found.median_log_score == 1.0
    assert found.infinite == 1
    assert found.to_dict()["mean_log_score"] == "-Infinity"


def test_an_empty_tally_has_no_means():
    """Missing is None, not zero."""
    found = track_record([])
    assert found.n == 0
    assert found.coverage is found.mean_crps is found.skill is found.mean_log_score is None


def test_a_score_survives_its_record():
    """Minus infinity too; and a record of something else is an error."""
    for score in (made(1), made(2, log_score=-math.inf, warnings=("a", "b"))):
        assert FrozenScore.from_dict(score.to_dict()) == score
    with pytest.raises(FrozenError, match=r"not a score.*--tally"):
        FrozenScore.from_dict({"verdict": "weak"})
