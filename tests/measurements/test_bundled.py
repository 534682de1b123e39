"""The tables that come with the package: what is true of them whatever the exact digits."""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl
import pytest

from emergecast.measurements import (
    PROVING_GROUND_TASK,
    RANDOM_WEIGHTS,
    Measurements,
    proving_ground,
    proving_ground_options,
    proving_ground_skills,
    select,
)


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    """It, with the size of each model."""
    frame = proving_ground().frame
    return frame.with_columns(pl.col("checkpoint").str.extract(r"^(\w+)-").alias("size"))


def test_it_is_whole(rows: pl.DataFrame):
    """Every checkpoint has every cell of both tasks: 9 and 7 scores."""
    assert rows.height == 170 * (9 + 7)
    cells = rows.group_by("series", "checkpoint", "task").len()
    counts = cells.group_by("task").agg(pl.col("len").unique()).sort("task")
    assert counts["len"].to_list() == [[9], [7]]
    sizes = rows.group_by("series").agg(pl.col("size").n_unique())
    assert set(sizes["size"]) == {5}


def test_flops_are_six_for_each_parameter_and_token(rows: pl.DataFrame):
    """And nothing is said of those of untrained models."""
    trained = rows.filter(~pl.col("series").str.ends_with(RANDOM_WEIGHTS))
    assert trained.select((pl.col("flops") == 6 * pl.col("params") * pl.col("tokens")).all()).item()
    untrained = rows.filter(pl.col("series").str.ends_with(RANDOM_WEIGHTS))
    assert untrained["flops"].null_count() == untrained.height == 10 * 16


def test_models_with_random_weights_stay_at_chance(rows: pl.DataFrame):
    """On every amount of both tasks, to sampling: no score but by luck above 0.25."""
    controls = rows.filter(pl.col("series").str.ends_with(RANDOM_WEIGHTS))
    off = np.abs((controls["score"].to_numpy() - 0.25) / controls["stderr"].to_numpy())
    assert off.max() < 4
    assert (off < 2).mean() > 0.9


def test_the_skill_emerges_late_and_more_data_brings_it_earlier(rows: pl.DataFrame):
    """At losses of 5.3 few-shot is at chance and 16,384 examples begin to help; at 5.0 all do."""
    main = rows.filter(
        pl.col("task") == PROVING_GROUND_TASK, ~pl.col("series").str.ends_with(RANDOM_WEIGHTS)
    )

    def mean(low: float, high: float, examples: int | None) -> float:
        cell = main.filter(
            pl.col("loss").is_between(low, high), pl.col("examples").eq_missing(examples)
        )
        return float(str(cell["score"].mean()))

    assert mean(5.4, 9.9, 16384) == pytest.approx(0.25, abs=0.02)
    assert mean(5.22, 5.3, None) == pytest.approx(0.25, abs=0.02)
    assert mean(5.22, 5.3, 16) == pytest.approx(0.25, abs=0.02)
    assert mean(5.22, 5.3, 4096) > 0.35
    assert mean(5.22, 5.3, 16384) > mean(5.22, 5.3, 4096) + 0.1
    assert mean(5.0, 5.03, None) > 0.7


# ------------------------------------------------------------------------------ eight skills


@pytest.fixture(scope="module")
def skills() -> Measurements:
    """The table of eight skills."""
    return proving_ground_skills()


def test_the_table_of_skills_is_whole(skills: Measurements):
    """Every checkpoint has every cell: 222 scores, on two axes of loss and of two metrics each."""
    cells = skills.frame.group_by("series", "checkpoint").len()
    assert set(cells["len"]) == {4 * 7 * 2 * 2 + 7 * 2 + 3 * 8 * 2 * 2}
    trained = cells.filter(~pl.col("series").str.ends_with(RANDOM_WEIGHTS))
    assert trained.height == 59


def test_a_skill_has_one_set_of_rows(skills: Measurements):
    """On the loss of what models are trained on, by the skill's own metric."""
    for task in skills.tasks:
        found = select(skills, proving_ground_options(skills, task=task))
        assert found.loss_corpus == "held-out"
        assert found.metric == ("exact_match" if task.endswith("recall") else "acc")


def test_untrained_models_have_no_skill(skills: Measurements):
    """After any finetuning, by the luck of guessing: at chance; `recall` finds one entry in 8."""
    controls = skills.frame.filter(
        pl.col("series").str.ends_with(RANDOM_WEIGHTS), pl.col("loss_corpus") == "held-out"
    )
    choices = controls.filter(pl.col("metric") == "acc")
    assert choices["task"].n_unique() == 7
    off = (choices["score"] - choices["chance"]) / choices["stderr"]
    assert np.abs(off.to_numpy()).max() < 4
    found = controls.filter(pl.col("metric") == "exact_match")["score"].to_numpy()
    assert found.max() < 1 / 8


def test_all_skills_emerge_and_at_least_four_elbows_move(skills: Measurements):
    """Few-shot, every skill leaves chance; with most data, at a higher loss by 0.1 nats or more."""
    above = pl.col("score") - 2 * pl.col("stderr") > pl.col("chance") + 0.02
    moved = []
    for task in skills.tasks:
        options = proving_ground_options(skills, task=task)
        whole = select(skills, dataclasses.replace(options, at_chance_only=False))
        most = whole.rows.filter(pl.col("examples") == whole.rows["examples"].max())
        few, early = (
            rows.with_columns(chance=whole.chance).filter(above)["loss"].to_numpy()
            for rows in (whole.all_few_shot, most)
        )
        assert few.size >= 10
        moved.append(np.quantile(early, 0.8) - np.quantile(few, 0.8))
    assert sum(each > 0.1 for each in moved) >= 4
