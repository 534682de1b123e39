"""Which point of the few-shot curve a frozen forecast is scored against."""

from __future__ import annotations

import pytest
from tests.track_record.test_track_record import SEEN, rows

import emergecast
from emergecast.errors import FrozenError, OptionError
from emergecast.forecasts import ForecastOptions
from emergecast.inference import FitOptions, fit
from emergecast.measurements import SelectOptions, read_table, select
from emergecast.observed import Estimand, ground_truths
from emergecast.track_record import (
    Against,
    FrozenForecast,
    FrozenScore,
    ScoreStatus,
    crps,
    freeze,
    score_frozen,
    track_record,
)

CROSSING = Against(target=Estimand.CROSSING)
STAND_IN = Against(target=Estimand.CROSSING, stand_in=True)


@pytest.fixture(scope="module")
def frozen() -> FrozenForecast:
    """Frozen when the strongest checkpoint had loss 2.0."""
    fitted = fit(rows(SEEN), options=FitOptions(law="log-power"))
    options = ForecastOptions(bootstraps=0, diagnostics=False)
    return freeze(emergecast.forecast(fitted, options=options))


def test_an_elbow_is_not_scored_as_a_crossing_unasked(frozen: FrozenForecast):
    """The forecast says that it has no distribution of it, and the error what to do."""
    with pytest.raises(OptionError, match=r"no distribution of the crossing.*--stand-in"):
        score_frozen(frozen, rows(), against=CROSSING)


def test_asked_for_it_is_and_says_so(frozen: FrozenForecast):
    """The truth is the crossing, the distribution that of the elbow, and a warning says it."""
    truth = ground_truths(select(read_table(rows()), SelectOptions())).crossing
    assert truth is not None
    found = score_frozen(frozen, rows(), against=STAND_IN)
    assert (found.target, found.stands_in) == (Estimand.CROSSING, True)
    assert (found.truth, found.truth_p05, found.truth_p95) == (truth.loss, truth.p05, truth.p95)
    assert found.crps == pytest.approx(crps(frozen, truth.loss))
    assert "the few-shot crossing came at" in found.reason.lower()
    assert any("scored against the crossing" in text for text in found.warnings)
    plain = score_frozen(frozen, rows())
    assert (plain.target, plain.stands_in) == (Estimand.ELBOW, False)
    assert not plain.warnings


def test_a_crossing_that_is_not_visible_yet_is_pending(frozen: FrozenForecast):
    """As for the elbow."""
    found = score_frozen(frozen, rows((*SEEN, 1.97)), against=STAND_IN)
    assert found.status is ScoreStatus.PENDING
    assert found.target is Estimand.CROSSING


def test_a_line_without_a_target_is_of_the_elbow(frozen: FrozenForecast):
    """Written before there was another; a line with a target keeps it, a wrong one is refused."""
    record = score_frozen(frozen, rows()).to_dict()
    old = {key: value for key, value in record.items() if key not in {"target", "stands_in"}}
    assert FrozenScore.from_dict(old) == FrozenScore.from_dict(record)
    crossed = score_frozen(frozen, rows(), against=STAND_IN)
    assert FrozenScore.from_dict(crossed.to_dict()) == crossed
    with pytest.raises(FrozenError, match="target"):
        FrozenScore.from_dict({**record, "target": "knee"})


def test_a_tally_is_of_one_target(frozen: FrozenForecast):
    """Scores against the other do not count, and it says how many there are."""
    scores = [score_frozen(frozen, rows()), score_frozen(frozen, rows(), against=STAND_IN)]
    for target, score in zip(Estimand, scores, strict=True):
        found = track_record(scores, target=target)
        assert found.target is target
        assert (found.n, found.mean_crps) == (1, score.crps)
        assert all(each.target is target for each in found.by_verdict.values())
        assert "another target do not count here: 1 of 2" in found.repeated[0]
