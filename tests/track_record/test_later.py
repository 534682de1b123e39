"""Frozen filters, a truth beside a table, and answers that were known on the day of freezing."""

from __future__ import annotations

import numpy as np
import pytest
from tests import designs

import emergecast
from emergecast.errors import OptionError, SelectionError
from emergecast.forecasts import ForecastOptions
from emergecast.inference import FitOptions, fit
from emergecast.measurements import SelectOptions
from emergecast.track_record import (
    FrozenForecast,
    FrozenScore,
    ScoreStatus,
    freeze,
    score_frozen,
    track_record,
)

SEEN = designs.DENSE[::2]
LATER = (*SEEN, *(float(loss) for loss in np.linspace(1.98, 1.5, 13)))


def rows(losses=LATER) -> list[designs.Row]:
    """The design with a column that says which checkpoints come after 2.0 nats."""
    made = designs.rows(losses=losses, amounts=(64, 512, 4096))
    return [
        {**row, "checkpoint": f"at-{row['loss']:.3f}", "future": row["loss"] < 2.0} for row in made
    ]


def frozen_with(table: list[designs.Row], **options) -> FrozenForecast:
    """Frozen on these rows, chosen by these options."""
    chosen = SelectOptions(**options)
    fitted = fit(table, chosen, FitOptions(law="log-power"))
    return freeze(
        emergecast.forecast(fitted, options=ForecastOptions(bootstraps=0)), options=chosen
    )


@pytest.fixture(scope="module")
def by_calendar() -> FrozenForecast:
    """Frozen on the whole table with what comes later hidden, as `simulate` suggests."""
    return frozen_with(rows(), where=(("future", "false"),))


def test_a_filter_that_hides_what_came_later_is_told_with_the_way_out(by_calendar: FrozenForecast):
    """How many, which filter, which flag; and nothing is scored."""
    found = score_frozen(by_calendar, rows())
    assert found.status is ScoreStatus.PENDING
    (told,) = (text for text in found.warnings if "frozen filter" in text)
    assert "few-shot scores of 13 stronger checkpoints" in told
    assert "(--where future=false) leaves them out" in told
    assert "--ignore-filters (in Python ignore_filters=True)" in told


def test_without_the_filter_the_truth_is_that_of_all(by_calendar: FrozenForecast):
    """And the score says what was done."""
    found = score_frozen(by_calendar, rows(), ignore_filters=True)
    plain = score_frozen(frozen_with(rows(SEEN)), rows())
    assert found.status is ScoreStatus.SCORED
    assert (found.truth, found.truth_p05) == (plain.truth, plain.truth_p05)
    assert found.crps == pytest.approx(plain.crps)
    assert any("few-shot scores of 13 checkpoints that it leaves out" in w for w in found.warnings)
    assert not any("stronger" in text for text in found.warnings)


def test_an_excluded_checkpoint_is_counted_once_and_only_if_stronger():
    """A weak one that is left out hides no answer."""
    frozen = frozen_with(rows(SEEN), exclude=("at-2.9*",))
    assert score_frozen(frozen, rows()).warnings == ()
    frozen = frozen_with(rows(), exclude=("at-1.5*", "at-1.[6-9]*"))
    (told,) = (w for w in score_frozen(frozen, rows()).warnings if "frozen filter" in w)
    assert "13 stronger checkpoints" in told
    assert "--exclude 'at-1.5*' --exclude 'at-1.[6-9]*'" in told


def test_a_filter_without_later_checkpoints_behind_it_is_not_blamed(by_calendar: FrozenForecast):
    """Nor is one of several that do not go together without it."""
    table = rows(SEEN)
    assert not any("frozen filter" in text for text in score_frozen(by_calendar, table).warnings)
    assert score_frozen(frozen_with(table), table, ignore_filters=True).warnings == tuple(
        score_frozen(frozen_with(table), table).warnings
    )
    odd = [{**row, "chance": 0.5, "future": True} for row in rows((1.9,))]
    assert not any("filter" in w for w in score_frozen(by_calendar, [*rows(SEEN), *odd]).warnings)


def test_a_later_table_without_the_column_of_the_filter_names_the_flag(by_calendar: FrozenForecast):
    """And with the flag it is scored."""
    table = [{name: row[name] for name in row if name != "future"} for row in rows()]
    says = r'no column "future".*frozen filter \(--where future=false\).*--ignore-filters'
    with pytest.raises(SelectionError, match=says):
        score_frozen(by_calendar, table)
    assert score_frozen(by_calendar, table, ignore_filters=True).status is ScoreStatus.SCORED
    other = [{**row, "task": "other"} for row in table]
    with pytest.raises(SelectionError, match=r'no column "future"') as error:
        score_frozen(by_calendar, other)
    assert "--ignore-filters" not in str(error.value)
    with pytest.raises(SelectionError, match="leave --ignore-filters out"):
        score_frozen(by_calendar, other, ignore_filters=True)


def test_a_given_truth_that_the_table_contradicts_is_told():
    """The score is against the given one; where they agree, nothing is said."""
    frozen = frozen_with(rows(SEEN))
    shown = score_frozen(frozen, rows()).truth
    assert shown is not None
    found = score_frozen(frozen, rows(), truth=1.7)
    assert found.truth == 1.7
    (told,) = found.warnings
    assert f"a few-shot elbow of its own at {shown:.3f} nats" in told
    assert "--truth says 1.700" in told
    assert score_frozen(frozen, rows(), truth=shown).warnings == ()
    assert score_frozen(frozen, rows(SEEN), truth=1.7).truth == 1.7


def test_units_in_errors_are_those_of_the_axis():
    """A forecast along compute is not asked for nats."""
    table = [{**row, "flops": 1e20 * row["loss"] ** -10} for row in rows(SEEN)]
    frozen = frozen_with(table, axis="flops")
    with pytest.raises(OptionError, match="--truth with the elbow in log10 FLOPs"):
        score_frozen(frozen)
    with pytest.raises(OptionError, match="takes an elbow in log10 FLOPs"):
        score_frozen(frozen, truth=float("nan"))


def test_forecasts_whose_answer_was_known_are_told_apart(by_calendar: FrozenForecast):
    """Scored on the very table, or on one that held later checkpoints; a forecast is neither."""
    real = score_frozen(frozen_with(rows(SEEN)), rows())
    same = frozen_with(rows(), at_chance_only=True)
    grown = [*rows(), *rows((1.45,))]
    assert not real.known
    assert score_frozen(same, rows()).known
    assert score_frozen(same, grown).known
    assert score_frozen(same, truth=1.9).known
    assert "in part a backtest" in score_frozen(same, truth=1.9).warnings[0]
    alone = frozen_with(rows(SEEN))
    assert not score_frozen(alone, rows(SEEN)).known  # nothing to know yet
    assert not score_frozen(alone, rows(SEEN), truth=1.9).known
    assert score_frozen(by_calendar, rows(), ignore_filters=True).known


def test_the_tally_counts_known_answers_apart():
    """In all, in each verdict, and as a tally of their own; absent where there are none."""
    real = score_frozen(frozen_with(rows(SEEN)), rows())
    known = score_frozen(frozen_with(rows(), at_chance_only=True), rows())
    tally = track_record([real, known])
    assert (tally.n, tally.known) == (2, 1)
    assert [(name, part.n, part.known) for name, part in tally.by_known.items()] == [
        ("known already", 1, 1),
        ("not known", 1, 0),
    ]
    assert tally.by_known["not known"].mean_crps == real.crps
    assert sum(part.known for part in tally.by_verdict.values()) == 1
    record = tally.to_dict()
    assert record["by_known"]["known already"]["mean_crps"] == known.crps
    assert track_record([real]).by_known == {}


def test_lines_written_before_there_was_a_field_for_it_are_known_by_their_warning():
    """An old tally file is not a list of forecasts all of a sudden."""
    known = score_frozen(frozen_with(rows(), at_chance_only=True), rows())
    old = {name: value for name, value in known.to_dict().items() if name != "known"}
    assert FrozenScore.from_dict(old) == known
    assert not FrozenScore.from_dict({**old, "warnings": []}).known
    assert not FrozenScore.from_dict({**old, "truth": None}).known
