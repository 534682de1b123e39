"""What methods of finetuning bring out of a model that knows the answers, and at what rate.

`python performance/methods.py --write` pretrains a tiny Llama for some steps of the world of
tests/lab/finetune/latent_skills.py, once to the end and once hardly at all, and finetunes both with
each method, rate and amount of data, in the schema of MMLU and of GSM8K. Then a sweep of the rates.
"""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

from _report import arguments, publish, table

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
EXAMPLES = 36
STEPS = 100


def scored(model: Any, words: Any, task: LoadedTask) -> float:  # noqa: ANN401  a model of any kind
    """In the task's metric."""
    return evaluate(model, words, task).scores[0].score


def tuned(model: Any, words: Any, task: LoadedTask, how: FinetuneMethod) -> float:  # noqa: ANN401  as above
    """The mean score of two subsets and seeds."""
    found = []
    for seed in range(2):
        pairs = task.training_pairs(seed, EXAMPLES)
        done = finetune(copy.deepcopy(model), words, pairs, how, seed=seed)
        found.append(scored(done.model, words, task))
    return float(np.mean(found))


def rate_table(model: Any, words: Any, task: LoadedTask) -> str:  # noqa: ANN401  as above
    """Score by method and rate."""
    rows = []
    for name in METHODS:
        methods = [
            FinetuneMethod(name=name, steps=STEPS, learning_rate=rate, batch_size=16)
            for rate in RATES
        ]
        scores = [tuned(model, words, task, how) for how in methods]
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
        pairs = task.training_pairs(0, EXAMPLES)
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
    torch.set_num_threads(1)
    words = tokenizer()
    models = {
        f"pretrained for {steps} steps": pretrained(words, steps=steps)
        for steps in (options.steps, options.steps // 10)
    }
    about = (
        "A Llama of two layers and width 64, in whose pretraining text each word has a colour and a"
        " price, said behind a mark that the tasks do not have"
        f" (tests/lab/finetune/latent_skills.py). Scores on {TEST} words that no training example"
        f" is about, mean of two subsets and seeds, after {STEPS} steps of 16 on {EXAMPLES}"
        " examples. Chance is 0.25, and a price that is none of the four right ones scores 0."
        " Columns are learning rates."
    )
    parts = [about]
    with tempfile.TemporaryDirectory() as folder:
        write_tasks(Path(folder))
        tasks = [load_task(Task(name=n, include_path=Path(folder)), limit=None) for n in TASKS]
        for title, model in models.items():
            for task in tasks:
                zero = scored(model, words, task)
                parts.append(f"## {task.name}, {title}: {zero:.2f} before finetuning")
                parts.append(rate_table(model, words, task))
        parts.append("## Rates chosen by a quarter of the examples, then trained on all of them")
        for task in tasks:
            parts += [f"{task.name}:", swept(models[next(iter(models))], words, task)]
    also = ("torch", "transformers", "peft")
    publish("methods", "\n\n".join(parts), write=options.write, also=also)


if __name__ == "__main__":
    main()
