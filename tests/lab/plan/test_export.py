from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.lab.small_experiment import EXPERIMENT

from emergecast.errors import ExperimentError, LabError
from emergecast.lab.evaluate import Loss, Score
from emergecast.lab.executors import RunOptions, run_all
from emergecast.lab.experiment import RunKind, parse_experiment, read_experiment
from emergecast.lab.ledger import Result
from emergecast.lab.plan import make_table, survey
from emergecast.lab.plan._export import Exported
from emergecast.lab.plan._facts import gather_facts
from emergecast.lab.plan._plan import make_plan
from emergecast.lab.worker._rehearsal import RehearsalMeasurer

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


def test_how_far_the_learning_rate_has_fallen_is_carried_over(write: Write):
    """A series says it for all, a checkpoint for itself; more than the peak is refused."""
    file = write(
        ("    checkpoints:", "    lr_fraction: 1\n    checkpoints:"),
        ("tokens: 4e6", "tokens: 4e6, lr_fraction: 0"),
    )
    frame = exported(file).table.frame
    assert dict(frame.select("checkpoint", "lr_fraction").unique().rows()) == {
        "S-1": 1.0,
        "S-2": 1.0,
        "S-3": 0.0,
    }
    with pytest.raises(ExperimentError, match=r"line 11: .*is too large\. Write at most 1"):
        read_experiment(write(("tokens: 2e6", "tokens: 2e6, lr_fraction: 1.1")))


def test_a_row_says_what_was_measured_of_what():
    """Every cell of a few-shot and of a finetuned row: loss per token, shots of each."""
    text = EXPERIMENT.replace("shots_in_document: 8", "shots_in_document: 8, shots: 2")
    experiment = parse_experiment(text, "small.yaml")
    facts = gather_facts(experiment, RehearsalMeasurer(experiment), None)
    plan = make_plan(experiment, facts, {}, {})
    loss = Loss(
        nats_per_token=3.25,
        stderr=0.02,
        nats_per_byte=0.75,
        byte_stderr=0.005,
        tokens=100,
        bytes=400,
    )
    results = {}
    for run in plan.runs:
        if run.checkpoint != "S-2" or run.examples == 16:
            continue
        score = Score(metric="acc", score=0.5 if run.training else 0.3, stderr=0.04, n_items=64)
        results[run.key] = Result(
            key=run.key,
            kind=str(run.kind),
            title=run.title,
            identity=run.identity,
            loss=loss if run.kind is RunKind.LOSS else None,
            scores=() if run.kind is RunKind.LOSS else (score,),
            training=None,
            started=0.0,
            seconds=1.0,
            timings={},
            versions={},
            machine={},
        )
    few_shot, finetuned = make_table(plan, results).table.frame.to_dicts()
    shared = {
        "series": "v1",
        "checkpoint": "S-2",
        "params": 80614,
        "tokens": 2_000_000,
        "flops": 6 * 80614 * 2e6,
        "tokenizer": "words",
        "loss": 3.25,
        "loss_stderr": 0.02,
        "loss_corpus": "held-out",
        "loss_source": "measured",
        "loss_per_byte": 0.75,
        "loss_per_byte_stderr": 0.005,
        "task": "matching",
        "metric": "acc",
        "stderr": 0.04,
        "n_items": 64,
        "runs": 1,
        "chance": 0.25,
        "snapshot": False,
        "invented": True,
    }
    assert _stated(few_shot) == {**shared, "setting": "few_shot", "shots": 10, "score": 0.3}
    assert _stated(finetuned) == {
        **shared,
        "setting": "finetuned",
        "shots": 8,
        "score": 0.5,
        "examples": 64,
        "epochs": 30.0,
        "subset": "0",
        "seed": "0",
        "method": "full",
    }


def _stated(row: dict[str, Any]) -> dict[str, Any]:
    """The cells that hold something."""
    return {name: cell for name, cell in row.items() if cell is not None}


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
    """The loss and the few-shot score of one checkpoint."""
    found = exported(write(), limit=2)
    assert found.table.frame.select("checkpoint", "setting").rows() == [("S-1", "few_shot")]
    assert found.missing == 13


def test_losses_alone_make_no_table(write: Write):
    """There is nothing to be a row."""
    with pytest.raises(LabError, match="no score with a loss yet"):
        exported(write(), limit=1)


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
