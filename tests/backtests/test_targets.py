"""Both points of the few-shot curve as the truth of a backtest."""

from __future__ import annotations

import pytest
from tests.backtests.test_backtest import TRUTH, forecasts, rows_of, run

from emergecast.backtests import Backtest, BacktestOutcome, Part
from emergecast.observed import Estimand


@pytest.fixture(scope="module", params=[False, True], ids=["own", "stand-in"])
def ladder(request: pytest.FixtureRequest) -> tuple[Backtest, bool]:
    """One rung against the crossing, and whether the elbow may stand in for it."""
    stand_in: bool = request.param
    found = run(rows_of(), Part.LADDER, rungs=1, target=Estimand.CROSSING, stand_in=stand_in)
    return found, stand_in


def test_the_truth_is_the_crossing_and_the_elbow_stands_beside_it(ladder: tuple[Backtest, bool]):
    """0.015 of score past the elbow, at 0.6 a nat."""
    found, _ = ladder
    assert found.truth.target is Estimand.CROSSING
    assert found.truth.loss == pytest.approx(TRUTH - 0.015 / 0.6, abs=0.02)
    assert found.other_truth is not None
    assert found.other_truth.target is Estimand.ELBOW
    assert found.other_truth.loss == pytest.approx(TRUTH, abs=0.02)
    assert {row.target for row in found.rows} == {Estimand.CROSSING}
    assert "few-shot crossing measured at" in found.subtitle
    assert set(found.to_frame()["target"]) == {"crossing"}


def test_an_elbow_is_scored_against_it_only_if_asked(ladder: tuple[Backtest, bool]):
    """Elsewhere the row says why it has no score; guesses are of either point."""
    found, stand_in = ladder
    (row,) = forecasts(found, Part.LADDER)
    if stand_in:
        assert (row.outcome, row.stands_in) == (BacktestOutcome.SCORED, True)
        assert row.p50 is not None
        assert row.error == pytest.approx(row.p50 - found.truth.loss)
    else:
        assert (row.outcome, row.stands_in) == (BacktestOutcome.NOT_DEFINED, False)
        assert "no distribution of the crossing" in row.reasons[0]
    rival = next(each for each in found.rows if each.forecaster == "no-change")
    assert (rival.outcome, rival.stands_in) == (BacktestOutcome.SCORED, False)
