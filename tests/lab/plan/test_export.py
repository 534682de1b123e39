from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from emergecast.errors import LabError
from emergecast.lab.executors import RunOptions, run_all
from emergecast.lab.experiment import read_experiment
from emergecast.lab.plan import make_table, survey
from emergecast.lab.plan._export import Exported

Write = Callable[..., Path]


def exported(file: Path, *, limit: int | None = None) -> Exported:
    """The table of an experiment, measured as far as the limit goes."""
    experiment = read_experiment(file)
    run_all(experiment, options=RunOptions(workers=1, limit=limit))
    found = survey(experiment, remember=True)
    return make_table(found.plan, found.results)


def test_rows_stand_in_the_order_of_the_file(write: Write):
    """Checkpoint, few-shot before finetuned, then amount, subset and seed."""
    frame = exported(write()).table.frame
    cells = frame.select("checkpoint", "examples", "seed").rows()
    each = [(None, None), (16, "0"), (16, "1"), (64, "0")]
    assert cells == [(name, *cell) for name in ("S-1", "S-2", "S-3") for cell in each]


def test_with_two_corpora_every_score_stands_twice(write: Write):
    """Each time with the loss on one of them."""
    two = "corpora:\n  - {name: other, path: other.jsonl}"
    table = exported(write(("corpora:", two))).table
    assert len(table) == 2 * 3 * 4
    assert set(table.frame["loss_corpus"]) == {"other", "held-out"}
    per_corpus = table.frame.group_by("checkpoint", "loss_corpus").agg(pl.col("loss").n_unique())
    assert set(per_corpus["loss"]) == {1}
    assert table.frame["loss"].n_unique() == 6


def test_scores_without_a_loss_are_left_out_and_counted(write: Write):
    """A loss that failed is no zero."""
    found = exported(write(("{seconds: 0}", '{fail: "*S-2 loss*"}')))
    assert set(found.table.frame["checkpoint"]) == {"S-1", "S-3"}
    assert found.without_loss == 4
    assert found.missing == 1


def test_what_is_not_measured_yet_is_absent(write: Write):
    """Three losses and one few-shot score."""
    found = exported(write(), limit=4)
    assert found.table.frame.select("checkpoint", "setting").rows() == [("S-1", "few_shot")]
    assert found.missing == 11


def test_losses_alone_make_no_table(write: Write):
    """There is nothing to be a row."""
    with pytest.raises(LabError, match="no score with a loss yet"):
        exported(write(), limit=3)


def test_a_metric_without_a_chance_level_is_left_out_by_name(write: Write):
    """The log-probability is measured, and there is no theory of its chance level."""
    assert exported(write()).without_chance == ("logprob of matching",)
    stated = write(("chance: 0.25", "chance: {acc: 0.25, logprob: -1.4}"))
    found = exported(stated)
    assert found.without_chance == ()
    assert set(found.table.frame["metric"]) == {"acc", "logprob"}
    assert len(found.table) == 24


def test_two_methods_are_told_apart(write: Write):
    """By the column method; few-shot rows have none."""
    more = "      warmup_steps: 10\n    - {name: lora-8, epochs: 2, learning_rate: 1e-3}"
    frame = exported(write(("      warmup_steps: 10", more))).table.frame
    assert frame.filter(pl.col("method") == "lora-8")["epochs"].unique().to_list() == [2.0]
    assert frame["method"].null_count() == 3
    assert frame["method"].value_counts().sort("method").rows() == [
        (None, 3),
        ("full", 9),
        ("lora-8", 9),
    ]
