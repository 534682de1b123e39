"""An experiment on two models with random weights, and the means to make it."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from emergecast.lab.architecture import SmearedKeysConfig, SmearedKeysForCausalLM
from emergecast.lab.experiment import Experiment, read_experiment
from emergecast.lab.proving_ground import tokenizer, vocabulary

EXPERIMENT = """\
output: results
series:
  - name: random
    tokenizer: words
    pretraining_learning_rate: 0.001
    checkpoints:
      - {name: a, path: models/a, tokens: 1000}
      - {name: b, path: models/b, tokens: 2000}
corpora:
  - {name: held-out, path: held-out.jsonl}
tasks:
  - {name: words, include_path: tasks, chance: {acc: 0.25, logprob: -1.39}}
finetune:
  examples: [8, 32]
  save_every_seconds: 1e-9
  methods:
    - {name: full, steps: 12, batch_size: 8, lr_times_pretraining: 3}
    - {name: lora-2, steps: 12, batch_size: 8, learning_rate: 1e-3}
"""
TASK = """\
task: words
dataset_path: json
dataset_kwargs: {data_files: {train: train.jsonl, test: test.jsonl}}
output_type: multiple_choice
training_split: train
test_split: test
doc_to_text: prompt
doc_to_choice: choices
doc_to_target: answer
metric_list: [{metric: acc}]
"""

GENERATES = """\
task: sums
dataset_path: json
dataset_kwargs: {data_files: {train: train.jsonl, test: test.jsonl}}
output_type: generate_until
training_split: train
test_split: test
doc_to_text: "{{q}}"
doc_to_target: "{{a}}"
generation_kwargs: {until: ["."], max_gen_toks: 3, do_sample: false}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""
"""A task that generates three tokens at most."""


def build(folder: Path) -> None:
    """Two models with random weights, a corpus, a task of 32 training and 24 test items."""
    words = tokenizer()
    for number, name in enumerate("ab"):
        torch.manual_seed(number)
        config = SmearedKeysConfig(
            vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2
        )
        SmearedKeysForCausalLM(config).save_pretrained(folder / "models" / name)
        words.save_pretrained(folder / "models" / name)
    spelt = list(vocabulary()[:80])
    lines = [json.dumps({"text": " ".join(spelt[i : i + 20])}) for i in range(40)]
    (folder / "held-out.jsonl").write_text("\n".join(lines), "utf-8")
    (folder / "tasks").mkdir()
    (folder / "tasks" / "words.yaml").write_text(TASK, "utf-8")
    for name, start, count in (("train", 0, 32), ("test", 40, 24)):
        rows = [
            {"prompt": spelt[start + i], "choices": spelt[76:80], "answer": i % 4}
            for i in range(count)
        ]
        text = "\n".join(map(json.dumps, rows))
        (folder / "tasks" / f"{name}.jsonl").write_text(text, "utf-8")
    (folder / "small.yaml").write_text(EXPERIMENT, "utf-8")


def changed(place: Path, *changes: tuple[str, str]) -> Experiment:
    """The experiment with some of its text replaced."""
    text = EXPERIMENT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (place / "small.yaml").write_text(text, "utf-8")
    return read_experiment(place / "small.yaml")
