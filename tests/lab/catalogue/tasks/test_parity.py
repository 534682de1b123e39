"""Parity with the harness's own `simple_evaluate`, on invented items in the published schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lm_eval
import numpy as np
import pytest
import torch
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from tests.lab.catalogue.tasks.published import PUBLISHED, write_for_harness, write_published
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from emergecast.lab.catalogue.tasks import catalogued_task, settle, task_names
from emergecast.lab.evaluate import Evaluation, evaluate, logprobs
from emergecast.lab.tasks import LoadedTask, Task, encode_pairs, load_task, quiet_harness

ENDS = {"bos_token": "<s>", "eos_token": "</s>"}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """Pieces of words, with a token before every text, as LLaMA's."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [json.dumps(rows) for make in PUBLISHED.values() for rows in make().values()]
    made.train_from_iterator(texts, trainer)
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=made, **ENDS)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The data as published, and as the harness takes a user's own data."""
    ours, theirs = tmp_path_factory.mktemp("published"), tmp_path_factory.mktemp("harness")
    for name in PUBLISHED:
        write_published(name, ours / name)
    return ours, write_for_harness(theirs, {n: catalogued_task(n).shots for n in task_names()})


@pytest.fixture(scope="module")
def tasks(folders: tuple[Path, Path]) -> dict[str, LoadedTask]:
    """The tasks of the catalogue."""
    return {
        name: load_task(settle(Task(name=name, data=folders[0] / name), ())) for name in PUBLISHED
    }


@pytest.fixture(scope="module")
def model(tokenizer: Any, tasks: dict[str, LoadedTask]) -> Any:
    """A tiny Llama that knows two of the sums and when to end; to the third it says 7 for ever."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=2048,
        initializer_range=0.2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    made = LlamaForCausalLM(config)
    optimiser = torch.optim.AdamW(made.parameters(), lr=1e-2)
    rows: list[tuple[str, str]] = []
    for task in (tasks["gsm8k"], tasks["gsm8k"].zero_shot):
        for prompt, answer in task.references[:2]:
            last = f" {answer[answer.index('####') :]}</s>"
            rows.append((prompt, last))
        rows.append((task.references[2][0], " 7" * 80))
    encoded = encode_pairs(rows, tokenizer)
    for _ in range(30):
        for context, said in encoded:
            row = torch.tensor(context + said)
            labels = row.clone()
            labels[: len(context)] = -100
            made(input_ids=row[None], labels=labels[None]).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    return made.eval()


@pytest.fixture(scope="module", params=["zero_shot", "few_shot"])
def both(
    request: pytest.FixtureRequest,
    model: Any,
    tokenizer: Any,
    folders: tuple[Path, Path],
    tasks: dict[str, LoadedTask],
) -> tuple[dict[str, Any], dict[str, tuple[LoadedTask, Evaluation]]]:
    """What the harness finds, and what we find, with no shots or those of the catalogue."""
    zero = request.param == "zero_shot"
    ours = {}
    for name, loaded in tasks.items():
        task = loaded.zero_shot if zero else loaded
        ours[name] = task, evaluate(model, tokenizer, task)
    with quiet_harness():
        theirs = lm_eval.simple_evaluate(
            HFLM(pretrained=model, tokenizer=tokenizer, batch_size=16, device="cpu"),
            tasks=list(PUBLISHED),
            num_fewshot=0 if zero else None,
            task_manager=TaskManager(include_path=str(folders[1]), include_defaults=False),
            bootstrap_iters=2,
        )
    return theirs, ours


def samples(theirs: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """What the harness notes of each item, the subjects of MMLU in the order of their names."""
    group = sorted(each for each in theirs["samples"] if each.startswith(name))
    return [
        each
        for task in group
        for each in sorted(theirs["samples"][task], key=lambda sample: sample["doc_id"])
        if each["filter"] in {"none", "strict-match"}
    ]


def test_scores_are_those_of_the_harness(both):
    """To the last digit: MMLU over all documents, the first filter of GSM8K, CoLA's Matthews."""
    theirs, ours = both
    scores = {
        name: {score.metric: score for score in evaluation.scores}
        for name, (_, evaluation) in ours.items()
    }
    assert scores["mmlu"]["acc"].score == pytest.approx(theirs["groups"]["mmlu"]["acc,none"], 1e-12)
    results = theirs["results"]
    assert scores["commonsense_qa"]["acc"].score == results["commonsense_qa"]["acc,none"]
    assert scores["cola"]["mcc"].score == pytest.approx(results["cola"]["mcc,none"], 1e-12)
    assert scores["gsm8k"]["exact_match"].score == results["gsm8k"]["exact_match,strict-match"]
    said = [np.argmax([each[0] for each in s["filtered_resps"]]) for s in samples(theirs, "cola")]
    right = [sample["target"] for sample in samples(theirs, "cola")]
    assert scores["cola"]["acc"].score == np.mean(np.array(said) == right)


@pytest.mark.parametrize("name", ["mmlu", "commonsense_qa", "cola"])
def test_log_likelihoods_are_those_of_the_harness(both, model, tokenizer, name):
    """Of every choice of every item, within 1e-4 nats; and so the continuous metrics."""
    theirs, ours = both
    task, evaluation = ours[name]
    expected = [each[0] for sample in samples(theirs, name) for each in sample["filtered_resps"]]
    found = [nats for nats, _ in logprobs(model, task.encoded(tokenizer))]
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)
    prompts = [sample["arguments"][0][0] for sample in samples(theirs, name)]
    assert [item.prompt for item in task.items] == prompts
    rows = np.array(expected).reshape(task.n_items, -1)
    right = np.array([item.right - item.requests[0] for item in task.items])
    prob = np.exp(rows) / np.exp(rows).sum(axis=1, keepdims=True)
    scores = {score.metric: score.score for score in evaluation.scores}
    picked = prob[np.arange(task.n_items), right]
    assert scores["choice_prob"] == pytest.approx(picked.mean(), abs=1e-5)
    assert scores["logprob"] == pytest.approx(rows[np.arange(task.n_items), right].mean(), abs=1e-4)


def test_texts_are_those_of_the_harness(both):
    """GSM8K's, greedy, to the same end; and those that the limit of 256 tokens cut are counted."""
    theirs, ours = both
    _, evaluation = ours["gsm8k"]
    expected = [sample["resps"][0][0] for sample in samples(theirs, "gsm8k")]
    assert [item.completion for item in evaluation.items] == expected
    assert {item.cut for item in evaluation.items} == {True, False}
    assert {item.correct for item in evaluation.items} == {0.0, 1.0}


def test_the_reference_answer_is_scored_per_token(both, model, tokenizer):
    """Brute force: one pass over each whole text, the nats of the answer's tokens averaged."""
    _, ours = both
    task, evaluation = ours["gsm8k"]
    found = []
    for prompt, said in task.references:
        ((context, answer),) = encode_pairs([(prompt, said)], tokenizer)
        with torch.no_grad():
            logits = model(torch.tensor([context + answer])).logits[0].log_softmax(-1)
        places = range(len(context) - 1, len(context) + len(answer) - 1)
        found.append(np.mean([float(logits[i, t]) for i, t in zip(places, answer, strict=True)]))
    assert "<<" in task.references[0][1]
    score = next(each for each in evaluation.scores if each.metric == "logprob_per_token")
    assert score.score == pytest.approx(np.mean(found), abs=1e-5)
