"""What is too long for the models is said by the plan: prefixes, prompts, answers, ranks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tests.lab.worker.small_models import GENERATES
from transformers import LlamaConfig, LlamaForCausalLM

from emergecast.lab.experiment import read_experiment
from emergecast.lab.plan import survey
from emergecast.lab.plan._plan import Plan
from emergecast.lab.proving_ground import tokenizer, vocabulary

CONTEXT = 12
ITEMS = 20
SPELT = vocabulary()[:ITEMS]
EXPERIMENT = """\
series: [{name: short, checkpoints: [{name: a, path: a}, {name: b, path: b}]}]
corpora: [{name: held-out, path: held-out.jsonl}]
tasks: [{name: TASK, include_path: tasks, shots: SHOTS, chance: 0.25, leak_check: false}]
finetune: {examples: [4], methods: [METHODS]}
"""
PICKS = """\
task: words
dataset_path: json
dataset_kwargs: {data_files: {train: rows.jsonl, test: rows.jsonl}}
output_type: multiple_choice
training_split: train
test_split: test
doc_to_text: q
doc_to_choice: choices
doc_to_target: 0
metric_list: [{metric: acc}]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models that take 12 tokens, and prompts of 1 to 20 words."""
    folder = tmp_path_factory.mktemp("room")
    words = tokenizer()
    for number, name in enumerate("ab"):
        torch.manual_seed(number)
        config = LlamaConfig(
            vocab_size=len(words), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
            num_attention_heads=2, max_position_embeddings=CONTEXT,
        )  # fmt: skip
        LlamaForCausalLM(config).save_pretrained(folder / name)
        words.save_pretrained(folder / name)
    (folder / "held-out.jsonl").write_text(json.dumps({"text": " ".join(SPELT)}), "utf-8")
    (folder / "tasks").mkdir()
    rows = [
        {"q": " ".join(SPELT[: i + 1]), "choices": SPELT[:2], "a": SPELT[0]} for i in range(ITEMS)
    ]
    (folder / "tasks" / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    (folder / "tasks" / "words.yaml").write_text(PICKS, "utf-8")
    generates = GENERATES.replace("train.jsonl", "rows.jsonl").replace("test.jsonl", "rows.jsonl")
    (folder / "tasks" / "sums.yaml").write_text(generates, "utf-8")
    return folder


def planned(place: Path, methods: str, *, task: str = "words", shots: int = 0) -> Plan:
    """The plan of one task and these methods, each with a learning rate and steps."""
    listed = ", ".join(
        f"{{name: {each}, steps: 2, learning_rate: 1e-3}}" for each in methods.split()
    )
    text = EXPERIMENT.replace("METHODS", listed).replace("TASK", task)
    (place / "room.yaml").write_text(text.replace("SHOTS", str(shots)), "utf-8")
    return survey(read_experiment(place / "room.yaml")).plan


def longer(room: int) -> int:
    """Prompts that lose a token where the model takes so many: its last one is not passed in."""
    words = tokenizer()
    whole = [words(f"{' '.join(SPELT[: i + 1])} {SPELT[0]}")["input_ids"] for i in range(ITEMS)]
    return sum(len(ids) - 1 > room for ids in whole)


def test_prompts_that_lose_their_beginning_are_counted(place: Path):
    """With no prefix and behind each, by hand-made lengths; nothing prevents the start."""
    plan = planned(place, "full prefix-4 lora-16")
    assert plan.problems == ()
    whole, behind = longer(CONTEXT), longer(CONTEXT - 4)
    assert 0 < whole < behind < ITEMS
    few_shot, full, prefix = plan.facts.notes
    assert few_shot.startswith(f'{whole} of {ITEMS} prompts of task "words" lose their beginning')
    assert full.startswith(f'{whole} of {ITEMS} prompts of task "words" after finetuning lose')
    assert prefix == (
        f'{behind} of {ITEMS} prompts of task "words" after finetuning with prefix-4 lose their'
        " beginning, since with their answers they are longer than the 8 tokens that prefix-4"
        ' leaves of the 12 tokens that models of "short" take.'
    )
    assert "with 1 shot lose" in planned(place, "full", shots=1).facts.notes[0]


def test_shots_that_fit_before_no_item_are_refused(place: Path):
    """A score would be called one with twelve shots, and be one with fewer."""
    (problem,) = planned(place, "full", shots=12).problems
    assert problem.what.startswith('all prompts of task "words" with 12 shots are longer than the')
    assert "Ask with fewer shots" in problem.remedy


def test_a_prefix_as_long_as_the_context_is_refused(place: Path):
    """By name, with the range there is; one that leaves two tokens is not."""
    for tokens in (CONTEXT - 1, 999):
        (problem,) = planned(place, f"full prefix-{tokens}").problems
        assert f"prefix-{tokens} leaves no room for text in the 12 tokens" in problem.what
        assert "a prefix of 1 to 10 tokens" in problem.remedy
    assert planned(place, "prefix-10").problems == ()


def test_answers_without_room_for_a_prompt_are_refused(place: Path):
    """Three tokens are generated: with three there is no room for a prompt, with four there is."""
    (problem,) = planned(place, "full prefix-9", task="sums").problems
    assert problem.what.startswith(
        'the answers to 20 of 20 items of task "sums" after finetuning with prefix-9 leave no room'
    )
    assert "Take a shorter prefix" in problem.remedy
    plan = planned(place, "full prefix-8", task="sums")
    assert plan.problems == ()
    assert plan.facts.notes[-1].startswith("19 of 20 prompts")


def test_a_rank_above_the_width_brings_nothing(place: Path):
    """The sentence names the ranks that make sense."""
    notes = planned(place, "full lora-16 lora-999").facts.notes
    assert notes[-1].startswith('lora-999: the matrices of models of "short" have ranks up to 16')
    assert "Sensible ranks are 1 to 16." in notes[-1]
