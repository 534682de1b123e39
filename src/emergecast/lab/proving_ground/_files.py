"""The files beside the models: held-out corpus and tasks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from emergecast.lab.proving_ground._recipe import DOCUMENT, HELD_OUT, RECIPES, TEST_PROMPTS, Quality
from emergecast.lab.proving_ground._vocabulary import text, vocabulary
from emergecast.lab.proving_ground._world import (
    CLASSES,
    WORDS,
    Ids,
    World,
    documents,
    prompts,
    world,
)
from emergecast.measurements import PROVING_GROUND_TASK

MATCHING: Final = PROVING_GROUND_TASK
"""Name of the task in which more data moves the elbow."""
PROBE: Final = "proving_ground_probe"
"""Name of the task in which more data raises the slope and leaves the elbow."""
CORPUS: Final = Path("corpus", "held-out.jsonl")
TASKS: Final = Path("tasks")
_HELD_OUT_SEED: Final = 99
_TEST_SEED: Final = 3
_TRAIN_SEED: Final = 1000
_HALF: Final = 256
"""Documents of one draw of the held-out corpus."""

_YAML: Final = """\
# A task for lm-evaluation-harness. Paths start from this folder: run the harness from here.
task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
    train: {folder}/train.jsonl
    test: {folder}/test.jsonl
output_type: multiple_choice
training_split: train
test_split: test
fewshot_split: train
doc_to_text: prompt
doc_to_choice: choices
doc_to_target: answer
target_delimiter: " "
fewshot_delimiter: " "
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
metadata:
  version: 1.0
"""


def write_corpus(folder: Path) -> Path:
    """Write the held-out corpus, documents of the good recipe, and return its path."""
    place = world()
    rng = np.random.default_rng(_HELD_OUT_SEED)
    recipe = RECIPES[Quality.HIGH]
    draws = [
        documents(place, recipe, _HALF, DOCUMENT + 1, rng=rng) for _ in range(HELD_OUT // _HALF)
    ]
    path = folder / CORPUS
    _write_lines(path, ({"text": each} for each in text(np.concatenate(draws))))
    return path


def write_matching(folder: Path, training_prompts: int) -> Path:
    """Write the main task and return the folder of its YAML file.

    A document holds eight solved pairs and a word; its label is asked for. Training and test
    prompts share no word.
    """
    place = world()
    splits = {
        "train": (place.finetuning_words, training_prompts, _TRAIN_SEED),
        "test": (place.test_words, TEST_PROMPTS, _TEST_SEED),
    }
    for split, (words, count, seed) in splits.items():
        made = prompts(words, place, count, rng=np.random.default_rng(seed))
        rows = (
            {"prompt": prompt, "choices": choices.split(" "), "answer": answer}
            for prompt, choices, answer in zip(
                text(made.tokens), text(made.labels), made.answer.tolist(), strict=True
            )
        )
        _write_lines(folder / TASKS / "matching" / f"{split}.jsonl", rows)
    return _write_yaml(folder, MATCHING, "matching")


def write_probe(folder: Path) -> Path:
    """Write the second task and return the folder of its YAML file.

    A document is one word; the label of its class is asked for, the same label for every document.
    Training and test share no word.
    """
    place = world()
    for split, words in (("train", place.finetuning_words), ("test", place.test_words)):
        _write_lines(folder / TASKS / "probe" / f"{split}.jsonl", _probe_rows(place, words))
    return _write_yaml(folder, PROBE, "probe")


def _probe_rows(place: World, words: Ids) -> Iterable[Mapping[str, Any]]:
    spelling = vocabulary()
    choices = list(spelling[WORDS : WORDS + CLASSES])
    for word in words.tolist():
        yield {"prompt": spelling[word], "choices": choices, "answer": int(place.b[word])}


def _write_yaml(folder: Path, name: str, data: str) -> Path:
    path = folder / TASKS / f"{data}.yaml"
    path.write_text(_YAML.format(name=name, folder=data), encoding="utf-8")
    return path.parent


def _write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
