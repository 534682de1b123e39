"""What methods of finetuning bring out of a model that knows what a task asks for, and at what rate.

`python performance/methods.py --write` pretrains a tiny Llama for some steps of the world of
tests/lab/finetune/latent_skills.py, once to the end and once hardly at all, and finetunes both with
each method, rate and amount of data, in the schema of MMLU and of GSM8K. Then a sweep of the rates.
"""

from __future__ import annotations

import copy
import tempfile
import time
from pathlib import Path
from typing import Any

from _report import arguments, one_core, publish, table

# isort: split

import numpy as np
import torch
from tests.lab.finetune.latent_skills import TEST, pretrained, tokenizer, write_tasks

from emergecast.lab.evaluate import evaluate
from emergecast.lab.finetune import (
    FinetuneMethod,
    Session,
    Sweep,
    choose_and_finetune,
    finetune,
)
from emergecast.lab.tasks import LoadedTask, Task, load_task

TASKS = ("toy_mmlu", "toy_gsm8k")
METHODS = ("full", "lora-1", "lora-8", "prefix-4", "prefix-16")
RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
AMOUNTS = (12, 36)
STEPS = 100


def scored(model: Any, words: Any, task: LoadedTask) -> float:  # noqa: ANN401  a model of any kind
    """In the task's metric."""
    return evaluate(model, words, task).scores[0].score


def tuned(model: Any, words: Any, task: LoadedTask, how: FinetuneMethod, *, amount: int) -> float:  # noqa: ANN401  as above
    """The mean score of two subsets and seeds."""
    found = []
    for seed in range(2):
        pairs = task.training_pairs(seed, amount)
        done = finetune(copy.deepcopy(model), words, pairs, how, seed=seed)
        found.append(scored(done.model, words, task))
    return float(np.mean(found))


def rate_table(model: Any, words: Any, task: LoadedTask, *, amount: int) -> str:  # noqa: ANN401  as above
    """Score by method and rate."""
    rows = []
    for name in METHODS:
        methods = [
            FinetuneMethod(name=name, steps=STEPS, learning_rate=rate, batch_size=16)
            for rate in RATES
        ]
        scores = [tuned(model, words, task, how, amount=amount) for how in methods]
        rows.append([name, *(f"{score:.2f}" for score in scores)])
    return table(["method", *(f"{rate:g}" for rate in RATES)], rows)


def swept(model: Any, words: Any, task: LoadedTask) -> str:  # noqa: ANN401  as above
    """What a sweep of the rates takes, and what it scores."""
    rows = []
    for name in METHODS:
        how = FinetuneMethod(
            name=name,
            steps=STEPS,
            learning_rate=RATES[0],
            batch_size=16,
            validation=0.25,
            sweep=Sweep(learning_rates=RATES),
        )
        pairs = task.training_pairs(0, AMOUNTS[-1])
        done = choose_and_finetune(
            lambda: (copy.deepcopy(model), words), pairs, how, seed=0, session=Session()
        )
        losses = ", ".join(f"{each.held_out_loss:.3f}" for each in done.tried)
        rate = f"{done.method.learning_rate:g}"
        rows.append([name, losses, rate, f"{scored(done.model, words, task):.2f}"])
    return table(["method", "held-out losses, by rate", "chosen", "score"], rows)


def main() -> None:
    """The page."""
    options = arguments(__doc__ or "", steps=250)
    one_core()
    torch.set_num_threads(1)
    began = time.perf_counter()
    words = tokenizer()
    models = {
        f"pretrained for {steps} steps": pretrained(words, steps=steps)
        for steps in (options.steps, options.steps // 10)
    }
    parts = [
        "A Llama of two layers and width 64, in whose pretraining text each word has a colour and a"
        " price, said behind a mark that the tasks do not have"
        " (tests/lab/finetune/latent_skills.py). Scores on"
        f" {TEST} words that no training example is about, mean of two subsets and seeds, after"
        f" {STEPS} steps of 16; chance is 0.25, and for a price that is not among the four right"
        " ones 0. Columns are learning rates.",
    ]
    with tempfile.TemporaryDirectory() as folder:
        write_tasks(Path(folder))
        tasks = [
            load_task(Task(name=name, include_path=Path(folder)), limit=None) for name in TASKS
        ]
        for title, model in models.items():
            for task in tasks:
                zero = scored(model, words, task)
                parts.append(f"## {task.name}, {title}: {zero:.2f} before finetuning")
                for amount in AMOUNTS if model is models[next(iter(models))] else AMOUNTS[-1:]:
                    parts.append(f"{amount} examples:")
                    parts.append(rate_table(model, words, task, amount=amount))
                if model is models[next(iter(models))]:
                    parts.append(
                        f"The rate chosen by a quarter of {AMOUNTS[-1]} examples, from those above:"
                    )
                    parts.append(swept(model, words, task))
    parts.append(f"{(time.perf_counter() - began) / 60:.0f} minutes.")
    also = ("torch", "transformers", "peft")
    publish("methods", "\n\n".join(parts), write=options.write, also=also)


if __name__ == "__main__":
    main()
