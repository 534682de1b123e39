"""The files beside the models: held-out corpus and tasks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from emergecast.lab.proving_ground._recipe import (
    DOCUMENT,
    HELD_OUT,
    LANGUAGE,
    RECIPES,
    TEST_PROMPTS,
    Preset,
    Quality,
)
from emergecast.lab.proving_ground._skill import ONE_SKILL, Question
from emergecast.lab.proving_ground._vocabulary import text, vocabulary
from emergecast.lab.proving_ground._world import (
    RECALLED,
    CorpusRecipe,
    Domain,
    Ids,
    World,
    documents,
    prompts,
    recalls,
    world,
)

PROBE: Final = "proving_ground_probe"
"""Name of the task in which more data raises the slope and leaves the elbow."""
CORPUS: Final = Path("corpus", "held-out.jsonl")
LANGUAGE_CORPUS: Final = Path("corpus", "language.jsonl")
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
output_type: {kind}
training_split: train
test_split: test
fewshot_split: train
doc_to_text: prompt
{answers}target_delimiter: " "
fewshot_delimiter: " "
metric_list:
  - metric: {metric}
    aggregation: mean
    higher_is_better: true
metadata:
  version: 1.0
"""
_CHOICES: Final = "doc_to_choice: choices\ndoc_to_target: answer\n"
_GENERATED: Final = f"""\
doc_to_target: answer
generation_kwargs:
  until: []
  do_sample: false
  max_gen_toks: {RECALLED}
"""


def write_files(folder: Path, preset: Preset) -> None:
    """Write the held-out corpora and every task of a preset."""
    place = world(preset.plan)
    _write_corpus(folder / CORPUS, place, RECIPES[Quality.HIGH])
    if preset.second_axis:
        _write_corpus(folder / LANGUAGE_CORPUS, place, LANGUAGE)
    for domain in place.domains:
        _write_skill(folder, place, domain, preset.training_prompts)
    if preset.probe:
        write_probe(folder)


def write_matching(folder: Path, training_prompts: int) -> Path:
    """Write the main task of the world of one skill and return the folder of its YAML file."""
    place = world(ONE_SKILL)
    return _write_skill(folder, place, place.domains[0], training_prompts)


def write_probe(folder: Path) -> Path:
    """Write the second task and return the folder of its YAML file.

    A document is one word; the label of its class is asked for, the same label for every document.
    Training and test share no word.
    """
    place = world(ONE_SKILL)
    (domain,) = place.domains
    for split, words in (("train", domain.finetuning_words), ("test", domain.test_words)):
        _write_lines(folder / TASKS / "probe" / f"{split}.jsonl", _probe_rows(domain, words))
    return _write_yaml(folder, PROBE, "probe")


def _write_corpus(path: Path, place: World, recipe: CorpusRecipe) -> None:
    rng = np.random.default_rng(_HELD_OUT_SEED)
    draws = [
        documents(place, recipe, _HALF, DOCUMENT + 1, rng=rng) for _ in range(HELD_OUT // _HALF)
    ]
    _write_lines(path, ({"text": each} for each in text(np.concatenate(draws), place.words)))


def _write_skill(folder: Path, place: World, domain: Domain, training_prompts: int) -> Path:
    """Write the task of a skill and return the folder of its YAML file.

    A document holds eight words with their labels and a word; its label, or its labels, are asked
    for. Training and test prompts share no word.
    """
    skill = domain.skill
    rows = _recall_rows if skill.asked is Question.RECALL else _prompt_rows
    splits = {
        "train": (domain.finetuning_words, training_prompts, _TRAIN_SEED),
        "test": (domain.test_words, TEST_PROMPTS, _TEST_SEED),
    }
    for split, (words, count, seed) in splits.items():
        made = rows(place, domain, words, count, rng=np.random.default_rng(seed))
        _write_lines(folder / TASKS / skill.name / f"{split}.jsonl", made)
    return _write_yaml(folder, skill.task, skill.name, generates=skill.asked is Question.RECALL)


def _prompt_rows(
    place: World, domain: Domain, words: Ids, count: int, *, rng: np.random.Generator
) -> Iterable[Mapping[str, Any]]:
    made = prompts(words, domain, count, rng=rng)
    for prompt, choices, answer in zip(
        text(made.tokens, place.words),
        text(made.labels, place.words),
        made.answer.tolist(),
        strict=True,
    ):
        yield {"prompt": prompt, "choices": choices.split(" "), "answer": answer}


def _recall_rows(
    place: World, domain: Domain, words: Ids, count: int, *, rng: np.random.Generator
) -> Iterable[Mapping[str, Any]]:
    made = recalls(words, domain, count, rng=rng)
    texts = (text(tokens, place.words) for tokens in (made.tokens, made.answer))
    for prompt, answer in zip(*texts, strict=True):
        yield {"prompt": prompt, "answer": answer}


def _probe_rows(domain: Domain, words: Ids) -> Iterable[Mapping[str, Any]]:
    spelling = vocabulary()
    choices = list(spelling[domain.labels : domain.labels + domain.skill.classes])
    for word, answer in zip(words.tolist(), domain.classes(words).tolist(), strict=True):
        yield {"prompt": spelling[word], "choices": choices, "answer": answer}


def _write_yaml(folder: Path, name: str, data: str, *, generates: bool = False) -> Path:
    path = folder / TASKS / f"{data}.yaml"
    filled = _YAML.format(
        name=name,
        folder=data,
        kind="generate_until" if generates else "multiple_choice",
        answers=_GENERATED if generates else _CHOICES,
        metric="exact_match" if generates else "acc",
    )
    path.write_text(filled, encoding="utf-8")
    return path.parent


def _write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
