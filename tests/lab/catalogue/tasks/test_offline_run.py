"""The four tasks from their names to a table, from the hub's cache, without a network."""

from __future__ import annotations

from typing import Any

import pytest
from tests.lab.catalogue.tasks.published import PUBLISHED, write_cache
from tests.lab.executors.in_process import InProcess
from tests.lab.hub_cache import HubCache
from transformers import LlamaConfig, LlamaForCausalLM

from emergecast.cli.texts.experiments import plan_as_json, plan_text
from emergecast.lab.executors import run_all
from emergecast.lab.experiment import read_experiment
from emergecast.lab.plan import estimate, make_table, survey
from emergecast.lab.proving_ground import tokenizer

EXPERIMENT = """\
series: [{name: v1, checkpoints: [{name: a, path: model}]}]
corpora: [{name: words, path: words.txt}]
tasks: [{name: mmlu}, {name: gsm8k}, {name: commonsense_qa}, {name: cola}]
evaluation: {limit: 2}
finetune:
  examples: [8]
  methods: [{name: full, steps: 2, learning_rate: 1e-3}]
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What the plan says, what is left out, the table, and what the finetunings noted."""
    place, home = tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("home")
    for name in PUBLISHED:
        write_cache(name, home)
    words = tokenizer()
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        max_position_embeddings=1024,
        eos_token_id=words.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(place / "model")
    words.save_pretrained(place / "model")
    (place / "words.txt").write_text("A B C D\nthe cat sat\n")
    (place / "paper.yaml").write_text(EXPERIMENT)
    with pytest.MonkeyPatch.context() as patch:
        HubCache(home=home).in_use(patch)
        experiment = read_experiment(place / "paper.yaml")
        plan = survey(experiment).plan
        left = estimate(plan, {}, workers=1)
        run_all(experiment, executor=lambda given, _workers: InProcess(given))
        found = survey(experiment, remember=True)
    rows = make_table(found.plan, found.results).table.frame.to_dicts()
    trained = {each.title: each.training for each in found.results.values() if each.training}
    return [plan_text(plan, left), plan_as_json(plan, left)["training"], rows, trained]


def test_the_plan_says_what_is_left_out(done):
    """Of each task: training items that prompts hold, and that hold an evaluated item."""
    text, training, *_ = done
    assert "  training    mmlu: 40 items; left out 0 that hold an evaluated item\n" in text
    left = training["gsm8k"]
    assert left["items"] + left["held_back"] == 60
    assert (
        f"  training    gsm8k: {left['items']} items; left out {left['held_back']} that few-shot"
        " prompts hold and 0 that hold an evaluated item\n"
    ) in text


def test_each_task_has_its_metrics_in_the_table(done):
    """Few-shot and finetuned; MMLU as one task over all subjects; chance levels beside them."""
    _, _, rows, _ = done
    found = {(row["task"], row["metric"], row["setting"]) for row in rows}
    metrics = {
        "mmlu": ["acc", "choice_prob"],
        "gsm8k": ["exact_match"],
        "commonsense_qa": ["acc", "choice_prob"],
        "cola": ["acc", "choice_prob", "mcc"],
    }
    assert found == {
        (task, metric, setting)
        for task, names in metrics.items()
        for metric in names
        for setting in ("few_shot", "finetuned")
    }
    items = {row["task"]: row["n_items"] for row in rows}
    assert items == {"mmlu": 95, "gsm8k": 2, "commonsense_qa": 2, "cola": 2}
    shots = {(row["task"], row["shots"]) for row in rows if row["setting"] == "few_shot"}
    assert shots == {("mmlu", 5), ("gsm8k", 5), ("commonsense_qa", 6), ("cola", 5)}
    assert {row["chance"] for row in rows if row["metric"] == "mcc"} == {0.0}


def test_what_was_left_out_is_recorded_with_each_finetuning(done):
    """As counts, beside its steps and its loss."""
    _, training, _, trained = done
    for name in ("gsm8k", "commonsense_qa", "cola"):
        (noted,) = (each for title, each in trained.items() if name in title)
        assert noted["held_back"] == training[name]["held_back"] > 0
        assert noted["leaked"] == 0
