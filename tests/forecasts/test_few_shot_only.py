"""Tables without finetuned rows: measured where the few-shot rows show it, refused elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from tests import designs

import emergecast
from emergecast.backtests import Backtest, BacktestOptions, BacktestOutcome, Part, backtest
from emergecast.comparison import Comparison
from emergecast.errors import FitError, FrozenError
from emergecast.forecasts import (
    Forecast,
    NoDistribution,
    Verdict,
    forecast_each,
    json_schema,
    read_forecast,
)
from emergecast.inference import FitStatus, fit
from emergecast.measurements import SelectOptions, read_table, select
from emergecast.observed import Estimand, ground_truths
from emergecast.track_record import freeze

ELBOW = 2.4
BAR = 0.02 * 0.75


def rows(**more: object) -> list[designs.Row]:
    """25 losses from 3.0 to 2.0, few-shot alone, with the elbow at 2.4."""
    options: dict[str, object] = {"amounts": (), "at": lambda _: ELBOW}
    return designs.rows(**(options | more))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def seen() -> Forecast:
    """Of all of them."""
    return emergecast.forecast(rows())


def test_what_the_few_shot_rows_show_is_a_measurement(seen: Forecast):
    """Both points of the curve, as `ground_truths` has them; nothing is forecast."""
    truths = ground_truths(select(read_table(rows()), SelectOptions()))
    assert seen.verdict is Verdict.OBSERVED
    assert seen.elbow is None
    assert seen.status is FitStatus.NOT_COMPUTED
    assert seen.observed == truths
    assert truths.elbow is not None
    assert truths.crossing is not None
    assert truths.elbow.loss == pytest.approx(ELBOW, abs=0.02)
    assert truths.crossing.loss == pytest.approx(ELBOW - BAR / designs.SLOPE, abs=0.03)
    for truth in (truths.elbow, truths.crossing):
        assert f"the {truth.target} at {truth.loss:.3f} nats" in seen.reasons[0]
    assert f"few-shot emergence at {truths.elbow.loss:.3f} nats" in seen.title


def test_where_they_show_nothing_it_is_refused_with_what_to_do():
    """From checkpoints at chance, and where only those are looked at."""
    weak = emergecast.forecast(rows(losses=designs.DENSE[:12]))
    hidden = emergecast.forecast(rows(), SelectOptions(at_chance_only=True))
    for made in (weak, hidden):
        assert made.verdict is Verdict.REFUSED
        assert "Finetune these checkpoints on three amounts of data or more" in made.reasons[0]
    assert "are hidden" in hidden.reasons[0]
    (each,) = forecast_each(rows(), SelectOptions(at_chance_only=True))
    assert each.truth is not None
    assert each.truth.loss == pytest.approx(ELBOW, abs=0.02)


def test_its_file_says_it_too(seen: Forecast, tmp_path: Path):
    """By the schema, and read back."""
    jsonschema.Draft202012Validator(json_schema()).validate(seen.to_dict())
    file = tmp_path / "forecast.json"
    file.write_text(json.dumps(seen.to_dict()), "utf-8")
    assert read_forecast(file).observed == seen.observed


def test_nothing_is_inferred_frozen_or_scored(seen: Forecast):
    """Every way to a posterior is a named error, and a scorer gets a reason."""
    for ask in (
        lambda: seen.fit.posterior,
        lambda: seen.fit.mle,
        lambda: seen.fit.log_bayes_factor,
        lambda: seen.fit.prior_sd,
        lambda: fit(rows()),
    ):
        with pytest.raises(FitError, match="no finetuned rows"):
            ask()
    with pytest.raises(FitError, match="has no distribution"):
        seen.quantile(0.5)
    with pytest.raises(FrozenError, match="nothing to freeze"):
        freeze(seen)
    for target in Estimand:
        assert isinstance(seen.distribution_of(target), NoDistribution)


@pytest.fixture(scope="module")
def tested() -> Backtest:
    """All parts of a backtest on few-shot rows alone."""
    return backtest(rows(), options=BacktestOptions(rungs=2))


def test_a_backtest_works_on_them(tested: Backtest):
    """Refused forecasts count as refused; baselines that need few-shot rows only are scored."""
    ladder = [row for row in tested.rows if row.part is Part.LADDER]
    outcomes = {(row.forecaster, row.outcome) for row in ladder}
    assert ("forecast", BacktestOutcome.REFUSED) in outcomes
    assert {("no-change", BacktestOutcome.SCORED), ("prior", BacktestOutcome.SCORED)} <= outcomes
    assert BacktestOutcome.FAILED not in {row.outcome for row in tested.rows}
    tally = next(each for each in tested.tallies if each.forecaster == "forecast")
    assert (tally.scored, tally.refused) == (0, 2)


def test_so_does_a_comparison():
    """Measured elbows beside each other, no probability, and the ranking at one size."""
    table = [
        row | {"series": name, "params": 10**9, "tokens": int(1e11 / row["loss"])}
        for name, at in (("a", 2.4), ("b", 2.3))
        for row in rows(at=lambda _, at=at: at)
    ]
    found: Comparison = emergecast.compare(table)
    assert found.at_equal_loss.probability is None
    assert "nothing is finetuned, and its elbow is measured" in str(found.at_equal_loss.reason)
    assert found.true_difference == pytest.approx(0.1, abs=0.03)
    assert found.rankings
