"""The table that comes with the package: what is true of it whatever the exact digits."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from emergecast.measurements import PROVING_GROUND_TASK, RANDOM_WEIGHTS, proving_ground


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
