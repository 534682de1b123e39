"""Scores that contradict the chance level that is stated for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from emergecast.errors import SelectionError
from emergecast.measurements import (
    MetricKind,
    SelectOptions,
    chance_doubts,
    doubted_chance,
    proving_ground,
    read_table,
    select,
)

LOSSES = (3.2, 3.0, 2.8, 2.6, 2.4, 2.2, 2.0)


def table(level: float, chance: float, *, rise: float = 0.1, metric: str = "acc") -> Any:
    """Seven checkpoints at `level`, of which the two strongest rise; finetuned ones earlier."""
    rng = np.random.default_rng(7)
    rows = []
    for i, loss in enumerate(LOSSES):
        for examples, start in ((None, 5), (10, 4), (100, 3), (1000, 2)):
            up = rise * max(i - start + 1, 0)
            noise = rng.normal(0.0, 0.009)
            rows.append(
                {"checkpoint": f"c{i}", "loss": loss, "task": "t", "metric": metric}
                | {"setting": "few_shot" if examples is None else "finetuned"}
                | {"examples": examples, "n_items": 2000, "stderr": 0.01, "chance": chance}
                | {"score": float(np.clip(level + up + noise, 0.0, 1.0))}
            )
    return read_table(rows)


@pytest.mark.parametrize("level", [0.0, 0.25, 0.5])
def test_a_right_level_is_not_doubted(level: float):
    """Whether or not scores rise from it."""
    assert chance_doubts(table(level, level)) == ()
    assert select(table(level, level), SelectOptions()).chance_doubt is None


@pytest.mark.parametrize(("level", "chance"), [(0.0, 0.25), (0.25, 0.5), (0.25, 0.33)])
def test_a_level_that_is_too_high_is_doubted(level: float, chance: float):
    """Few scores can lie that far below it."""
    (sentence,) = chance_doubts(table(level, chance))
    assert "below the chance level" in sentence
    selection = select(table(level, chance), SelectOptions())
    assert selection.chance_doubt is not None
    assert selection.chance_doubt.too_high
    assert selection.chance_doubt.sentence in selection.warnings


@pytest.mark.parametrize(("level", "chance"), [(0.25, 0.0), (0.5, 0.25)])
def test_a_level_that_is_too_low_is_doubted(level: float, chance: float):
    """The weakest checkpoints lie well above it too."""
    (sentence,) = chance_doubts(table(level, chance, rise=0.0))
    assert "well above the chance level" in sentence
    doubt = select(table(level, chance), SelectOptions()).chance_doubt
    assert doubt is not None
    assert not doubt.too_high
    assert (doubt.above, doubt.few_shot) == (7, 7)


def test_a_task_that_has_emerged_for_most_is_not_doubted():
    """Its weakest checkpoints are at chance."""
    losses = np.linspace(3.0, 2.0, 9)
    rows = pl.DataFrame(
        {
            "score": [0.25, 0.26, 0.25, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
            "stderr": [0.01] * 9,
            "n_items": [None] * 9,
            "loss": losses,
            "few_shot": [True] * 9,
        }
    )
    assert doubted_chance(rows, MetricKind.PROPORTION, 0.25) is None
    shifted = rows.with_columns(pl.col("score") + 0.1)
    assert doubted_chance(shifted, MetricKind.PROPORTION, 0.25) is not None


@pytest.mark.parametrize("seed", range(5))
def test_scores_that_scatter_about_chance_tell_of_their_errors(seed: int):
    """Stated fifty times too small, they put half of the scores far below chance, half above."""
    rng = np.random.default_rng(seed)
    rows = pl.DataFrame(
        {
            "score": 0.25 + 0.05 * rng.standard_normal(40),
            "stderr": [0.001] * 40,
            "n_items": [None] * 40,
            "loss": np.linspace(3.0, 2.0, 40),
            "few_shot": [True] * 40,
        }
    )
    assert doubted_chance(rows, MetricKind.PROPORTION, 0.25) is None
    assert doubted_chance(rows, MetricKind.PROPORTION, 0.33) is not None


def test_a_metric_without_sampling_errors_tells_nothing():
    """Unless it is a proportion, whose spread is known."""
    rows = pl.DataFrame(
        {
            "score": [0.0] * 6,
            "stderr": [None] * 6,
            "n_items": [None] * 6,
            "loss": [3.0, 2.9, 2.8, 2.7, 2.6, 2.5],
            "few_shot": [True] * 6,
        },
        schema_overrides={"stderr": pl.Float64, "n_items": pl.Int64},
    )
    assert doubted_chance(rows, MetricKind.CONTINUOUS, 0.25) is None
    assert doubted_chance(rows, MetricKind.PROPORTION, 0.25) is not None


def test_the_side_is_said_as_the_table_has_it():
    """Where lower is better, worse is above."""
    good = table(0.6, 0.6, rise=-0.1, metric="wer")
    assert chance_doubts(good) == ()
    (sentence,) = chance_doubts(table(0.9, 0.6, rise=0.0, metric="wer"))
    assert "three standard errors above the chance level 0.6" in sentence


def test_the_bundled_table_is_not_doubted():
    """Its levels are right."""
    assert chance_doubts(proving_ground()) == ()


def test_an_unknown_metric_goes_as_the_table_says_or_asks():
    """By column, by option, or by a warning that says how."""
    frame = table(0.25, 0.25, metric="surprise").frame
    unsure = select(read_table(frame), SelectOptions())
    assert not unsure.negated
    assert any("--lower-is-better" in warning for warning in unsure.warnings)
    said = read_table(frame.with_columns(pl.lit(value=False).alias("higher_is_better")))
    assert select(said, SelectOptions()).negated
    assert not select(said, SelectOptions(lower_is_better=False)).negated
    mixed = frame.with_columns((pl.col("loss") > 2.5).alias("higher_is_better"))
    with pytest.raises(SelectionError, match="higher_is_better"):
        select(read_table(mixed), SelectOptions())


def test_cases_of_a_wrong_chance(shared_data: Path):
    """The same scores, with the right and the wrong level; and a level of 0 for four choices."""
    cases = shared_data / "cases"
    assert chance_doubts(read_table(cases / "tables" / "lam_right.csv")) == ()
    (wrong,) = chance_doubts(read_table(cases / "tables" / "lam_wrong.csv"))
    assert "74 of 77 scores lie more than three standard errors below" in wrong
    (low,) = chance_doubts(read_table(cases / "frozen" / "small0n.csv"))
    assert "well above the chance level 0" in low
    for name in ("wer", "ppl"):
        found = select(read_table(cases / "tables" / f"{name}.csv"), SelectOptions())
        assert found.negated
        assert found.chance_doubt is None
