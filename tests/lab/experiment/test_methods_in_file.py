"""Prefixes, sweeps and early stopping in the experiment file."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from tests.lab.small_experiment import EXPERIMENT

from emergecast.errors import ExperimentError, Mistake
from emergecast.lab.experiment import Run, Training, canonical, parse_experiment, run_from_json
from emergecast.lab.finetune import (
    PREFIX_LEARNING_RATE,
    EarlyStopping,
    FinetuneMethod,
    Sweep,
)

FIRST = EXPERIMENT[: EXPERIMENT.index("    - name: full")].replace(
    "examples: [16, 64]", "examples: [32, 128]"
)
FIRST = FIRST.replace("seeds: {16: 2, 64: 1}", "seeds: 1")


SOME = "{learning_rates: [1, 2], validation: 0.25}"


def methods(text: str) -> dict[int, FinetuneMethod]:
    """Of the first checkpoint, by amount of data, of a file with this method alone."""
    found = parse_experiment(f"{FIRST}    - {text}\n", "small.yaml").finetuning.methods[0]
    return dict(found.settled["v1", "S-1"])


def mistakes(text: str) -> list[Mistake]:
    """What is wrong with such a file."""
    with pytest.raises(ExperimentError) as caught:
        methods(text)
    return list(caught.value.problems)


def test_a_prefix_has_a_rate_of_its_own():
    """Unless one is stated."""
    for examples, how in methods("{name: prefix-8, epochs: 2}").items():
        assert how.learning_rate == PREFIX_LEARNING_RATE
        assert how.steps == 2 * examples / 32
    assert methods("{name: prefix-8, epochs: 2, learning_rate: 0.3}")[32].learning_rate == 0.3
    relative = methods("{name: prefix-8, epochs: 2, lr_times_pretraining: 50}")
    assert relative[32].learning_rate == pytest.approx(0.05)
    assert "learning_rate" in mistakes("{name: lora-8, epochs: 2}")[0].what


def test_a_sweep_is_read_for_every_amount():
    """Ascending, in steps, and only where there is something to choose."""
    sweep = "{learning_rates: [1e-2, 1e-3], epochs: {32: [4], 128: [4, 1]}, validation: 0.25}"
    found = methods(f"{{name: full, sweep: {sweep}}}")
    assert found[32].sweep == Sweep(learning_rates=(1e-3, 1e-2))
    assert (found[32].steps, found[32].learning_rate, found[32].validation) == (4, 1e-3, 0.25)
    assert found[128].sweep == Sweep(learning_rates=(1e-3, 1e-2), steps=(4, 16))
    settings = [(each.steps, each.learning_rate) for each in found[128].candidates]
    assert settings == [(4, 1e-3), (4, 1e-2), (16, 1e-3), (16, 1e-2)]
    assert all(each.sweep is None for each in found[128].candidates)
    one = "{learning_rates: {32: [1e-3], 128: [1e-3, 1e-2]}}"
    found = methods(f"{{name: full, steps: 8, sweep: {one}}}")
    assert found[32] == FinetuneMethod(name="full", steps=8, learning_rate=1e-3)
    assert (found[128].sweep, found[128].validation) == (Sweep(learning_rates=(1e-3, 1e-2)), 0.1)


def test_early_stopping_looks_after_every_epoch_unless_told():
    """The part that is held out is stated there, or in the sweep."""
    found = methods(
        "{name: lora-2, epochs: 9, learning_rate: 1e-3,"
        " early_stopping: {patience: {32: 2, 128: 3}, validation: 0.25}}"
    )
    assert found[32].early_stopping == EarlyStopping(patience=2, every_steps=1)
    assert found[128].early_stopping == EarlyStopping(patience=3, every_steps=4)
    assert found[128].validation == 0.25
    found = methods(
        "{name: full, epochs: 9, sweep: {learning_rates: [1, 2], validation: 0.25},"
        " early_stopping: {patience: 1, every_steps: 7}}"
    )
    assert found[32].early_stopping == EarlyStopping(patience=1, every_steps=7)
    assert found[32].validation == 0.25


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        ("{name: lora8, steps: 1, learning_rate: 1}", "name", 'Did you mean "lora-8"?'),
        ("{name: prefx-16, steps: 1, learning_rate: 1}", "name", 'Did you mean "prefix-16"?'),
        ("{name: ful, steps: 1, learning_rate: 1}", "name", 'Did you mean "full"?'),
        ("{name: prefix, steps: 1}", "name", 'Did you mean "prefix-8"?'),
        ("{name: prefix-0, steps: 1}", "name", "and prefix-<tokens>; ranks and tokens are whole"),
        ("{name: lora-0, steps: 1, learning_rate: 1}", "name", "numbers from 1 to 999,999,999."),
        ("{name: adapters, steps: 1, learning_rate: 1}", "name", "full, lora-<rank> and prefix-"),
        ("{name: full, steps: 1, sweep: {learning_rates: []}}", "sweep.learning_rates", "is empty"),
        ("{name: full, steps: 1, sweep: {learning_rates: [x]}}", None, '"x" is not a number'),
        ("{name: full, steps: 1, sweep: {learning_rates: [1, 1]}}", None, "stands there twice"),
        ("{name: full, steps: 1, learning_rate: 1, sweep: {}}", "sweep", "nothing to choose from"),
        ("{name: full, steps: 1, learning_rate: 1, sweep: 3}", "sweep", "names with values"),
        ("{name: full, learning_rate: 1, sweep: {epochs: [4], epoch: [1]}}", None, '"epoch"'),
        ("{name: full, learning_rate: 1, sweep: {learning_rates: [1]}, steps: 1}",
         "learning_rate", 'there is also "learning_rates" in the sweep'),
        ("{name: full, learning_rate: 1, steps: 1, sweep: {epochs: [1]}}", "steps",
         'there is also "epochs" in the sweep'),
        ("{name: full, sweep: {epochs: [4, 8]}}", "", '"learning_rate" is missing'),
        ("{name: full, steps: 1, sweep: {learning_rates: [1, 2], validation: 0.05}}",
         "sweep.validation", "0.05 of 32 examples are 2 to choose by, and at least 4"),
        ("{name: full, steps: 1, sweep: {learning_rates: [1, 2]}}", "sweep",
         "0.1 of 32 examples are 3 to choose by"),
        ("{name: full, steps: 1, sweep: {learning_rates: [1, 2], validation: 0.9}}",
         "sweep.validation", "at most 0.5"),
        ("{name: full, steps: 1, learning_rate: 1, early_stopping: {validation: 0.25}}",
         "early_stopping", '"patience" is missing'),
        ("{name: full, steps: 1, learning_rate: 1, early_stopping: {patience: 1}}",
         "early_stopping", "0.1 of 32 examples are 3"),
        (f"{{name: full, steps: 1, sweep: {SOME}, early_stopping: {{patience: 1, validation: 1}}}}",
         "early_stopping.validation",
         "the sweep states it too"),
        ("{name: full, learning_rate: 1, warmup_steps: 2, sweep: {epochs: [1], validation: 0.25}}",
         "warmup_steps", "the warmup is longer"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_quoted_at_its_line(text: str, where: str | None, said: str):
    """One mistake each, with the path of the entry."""
    (found,) = mistakes(text)
    assert found.line == len(FIRST.splitlines()) + 1
    assert said in found.what + " " + found.remedy
    if where is not None:
        path = "finetune.methods[0]" + (f".{where}" if where else "")
        assert found.where == path


def run(method: FinetuneMethod) -> Run:
    """A run of this method."""
    training = Training(examples=32, subset=0, seed=1, method=method)
    identity: dict[str, Any] = training.identity()
    return Run(series="a", checkpoint="b", task="t", training=training, identity=identity)


def test_keys_of_methods_that_know_no_sweep_are_what_they_were():
    """Word for word as version 0.1.0 made them."""
    plain = FinetuneMethod(name="lora-8", steps=8, learning_rate=1e-3)
    assert canonical(run(plain).identity) == (
        '{"examples":32,"recipe":{"batch_size":32,"learning_rate":0.001,"max_grad_norm":1.0,'
        '"method":"lora-8","schedule":"linear","steps":8,"train_embeddings":true,'
        '"warmup_steps":0,"weight_decay":0.0},"seed":1,"subset":0}'
    )


def test_a_run_with_a_sweep_comes_back_from_json():
    """As it goes to a worker; and each setting is part of its key."""
    swept = methods(
        "{name: full, sweep: {learning_rates: [1, 2], epochs: [8, 9], validation: 0.25},"
        " early_stopping: {patience: 1}}"
    )[32]
    mine = run(swept)
    assert run_from_json(json.loads(json.dumps(mine.as_json()))) == mine
    others: list[dict[str, Any]] = [
        {"validation": 0.5},
        {"sweep": Sweep(learning_rates=(1.0, 3.0), steps=(8, 9))},
        {"early_stopping": EarlyStopping(patience=2, every_steps=1)},
        {"early_stopping": None},
    ]
    keys = {run(dataclasses.replace(swept, **each)).key for each in others}
    assert len(keys | {mine.key}) == 5
