"""Finetuning a model that knows what the task asks for, in the schema of MMLU and of GSM8K."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.lab.finetune.latent_skills import pretrained, tokenizer, write_tasks

from emergecast.lab.evaluate import evaluate
from emergecast.lab.finetune import PREFIX_LEARNING_RATE, FinetuneMethod, finetune
from emergecast.lab.tasks import LoadedTask, Task, load_task

LORA_RATE = 2e-3
STEPS = {"toy_mmlu": 40, "toy_gsm8k": 100}


@pytest.fixture(scope="module")
def words() -> Any:
    """The tokenizer."""
    return tokenizer()


@pytest.fixture(scope="module")
def knowing(words: Any) -> Any:
    """The pretrained model."""
    torch.set_num_threads(1)
    return pretrained(words, steps=190)


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LoadedTask]:
    """Both tasks."""
    folder: Path = tmp_path_factory.mktemp("toys")
    write_tasks(folder)
    return {name: load_task(Task(name=name, include_path=folder), limit=None) for name in STEPS}


def score(model: Any, words: Any, task: LoadedTask) -> float:
    """In the task's metric."""
    return evaluate(model, words, task).scores[0].score


@pytest.mark.parametrize("name", STEPS)
def test_every_method_brings_out_what_the_model_knows(words, knowing, toys, name):
    """From chance, 1 in 4, to above 0.9 on words that it was not finetuned on; a prefix too.

    At the rate of LoRA a prefix learns nothing: it stays where the model was.
    """
    task = toys[name]
    at_chance = score(knowing, words, task)
    assert at_chance < 0.35

    def tuned(method: str, rate: float) -> float:
        how = FinetuneMethod(name=method, steps=STEPS[name], learning_rate=rate, batch_size=16)
        pairs = task.training_pairs(0, 36)
        done = finetune(copy.deepcopy(knowing), words, pairs, how, seed=0)
        return score(done.model, words, task)

    assert tuned("full", 1e-3) > 0.9
    assert tuned("lora-4", LORA_RATE) > 0.9
    assert tuned("prefix-4", PREFIX_LEARNING_RATE) > 0.75
    assert tuned("prefix-4", LORA_RATE) < 0.35
