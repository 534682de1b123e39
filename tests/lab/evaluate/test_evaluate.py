"""Scores and losses against the harness's own and against loops written from the definition."""

from __future__ import annotations

import json
import math
import random
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from emergecast.errors import LabError
from emergecast.lab.evaluate import corpus_loss, evaluate, logprobs
from emergecast.lab.proving_ground import MATCHING, PROBE, vocabulary
from emergecast.lab.tasks import Encoded, Task, load_task


def _harness(model, words, batch_size=7):
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=model, tokenizer=words, batch_size=batch_size, device="cpu")


def _requests_of_all_lengths(count=60):
    """Continuations of one to three tokens, shared contexts, contexts beyond the model's length."""
    rng = random.Random(5)  # noqa: S311  no secret
    made: list[Encoded] = []
    while len(made) < count:
        context = tuple(rng.randrange(1363) for _ in range(rng.choice((1, 2, 5, 17, 40, 140))))
        last = tuple(rng.randrange(1363) for _ in range(rng.randrange(1, 4)))
        made += [
            Encoded(context, (*last[:-1], rng.randrange(1363))) for _ in range(rng.choice((1, 4)))
        ]
    return made[:count]


def test_logprobs_are_those_of_the_harness(tiny, words):
    """To 1e-5 for mixed lengths, truncation and shared contexts; and the same are most likely."""
    model = tiny()
    asked = _requests_of_all_lengths()
    with torch.inference_mode():
        asked[0] = Encoded(
            asked[0].context, (int(model(torch.tensor([asked[0].context])).logits[0, -1].argmax()),)
        )
    theirs = _harness(model, words)._loglikelihood_tokens(
        [(("", ""), list(a.context), list(a.continuation)) for a in asked], disable_tqdm=True
    )
    ours = logprobs(model, asked)
    np.testing.assert_allclose([o[0] for o in ours], [t[0] for t in theirs], atol=2e-5, rtol=1e-6)
    assert [o[1] for o in ours] == [t[1] for t in theirs]
    assert sum(o[1] for o in ours) >= 1


def test_logprobs_of_a_model_that_computes_all_logits(tiny):
    """A model without `logits_to_keep` gives the same, and so does one with adapters."""
    from peft import LoraConfig, get_peft_model

    model = tiny()
    asked = _requests_of_all_lengths(20)
    ours = logprobs(model, asked)

    class Plain(torch.nn.Module):
        config = model.config
        device = model.device

        def forward(self, input_ids):
            return model(input_ids)

    adapted: Any = get_peft_model(tiny(), LoraConfig(r=2, target_modules="all-linear"))
    plain: Any = Plain()
    for other in (plain, adapted):
        for (said, _), (expected, _) in zip(logprobs(other, asked), ours, strict=True):
            assert said == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("name", "shots"), [(MATCHING, 0), (PROBE, 0), (PROBE, 5)])
def test_a_score_is_that_of_the_harness(tiny, words, tasks_folder, name, shots):
    """Accuracy, standard error and the answers of every item, through its own evaluator."""
    import contextlib

    from lm_eval import evaluator
    from lm_eval.tasks import TaskManager

    model = tiny()
    task = load_task(Task(name=name, include_path=tasks_folder, shots=shots), limit=80)
    ours = evaluate(model, words, task)
    with contextlib.chdir(tasks_folder):
        theirs = evaluator.simple_evaluate(
            _harness(model, words),
            tasks=[name],
            num_fewshot=shots,
            limit=80,
            task_manager=TaskManager(include_path=str(tasks_folder), include_defaults=False),
            bootstrap_iters=10,
        )
    result = theirs["results"][name]
    accuracy, _, choice = ours.scores
    assert accuracy.score == pytest.approx(result["acc,none"], abs=1e-12)
    assert accuracy.stderr == pytest.approx(result["acc_stderr,none"], abs=1e-12)
    assert (accuracy.metric, accuracy.n_items) == ("acc", 80)
    samples = {str(sample["doc_id"]): sample for sample in theirs["samples"][name]}
    probs = []
    for item in ours.items:
        sample = samples[item.id]
        assert item.correct == sample["acc"]
        right = sample["doc"]["answer"]
        nats = np.array([float(said[0]) for said in sample["filtered_resps"]])
        assert item.logprob == pytest.approx(nats[right], abs=1e-5)
        probs.append(np.exp(nats[right]) / np.exp(nats).sum())
    assert 0 < accuracy.score < 1
    assert choice.metric == "choice_prob"
    assert choice.score == pytest.approx(np.mean(probs), abs=1e-6)
    assert choice.stderr == pytest.approx(np.std(probs, ddof=1) / math.sqrt(80), abs=1e-6)


def test_the_mean_logprob_is_that_of_the_right_answers(tiny, words, matching):
    """Its error is the sample's standard deviation over the root of the count."""
    _, found, _ = evaluate(tiny(), words, matching).scores
    model = tiny()
    by_hand = []
    for item in matching.items:
        prompt, answer = matching.requests[item.right].args
        tokens = torch.tensor([words(prompt)["input_ids"]])
        with torch.no_grad():
            scores = model(tokens).logits[0, -1].log_softmax(-1)
        by_hand.append(float(scores[words(answer)["input_ids"][0]]))
    assert found.score == pytest.approx(np.mean(by_hand), abs=1e-5)
    expected = np.std(by_hand, ddof=1) / math.sqrt(len(by_hand))
    assert found.stderr == pytest.approx(expected, abs=1e-6)


def test_another_model_of_the_same_task_is_scored_by_itself(tiny, words, matching):
    """Responses of one model do not stay for the next."""
    first, other = evaluate(tiny(), words, matching), evaluate(tiny(seed=1), words, matching)
    assert first.items != other.items
    assert evaluate(tiny(), words, matching) == first


def test_one_item_has_no_error(tiny, words, tasks_folder):
    """None, not zero: a single score says nothing about its own error."""
    found = evaluate(
        tiny(), words, load_task(Task(name=MATCHING, include_path=tasks_folder), limit=1)
    )
    assert [each.stderr for each in found.scores] == [None, None, None]


def generating(tasks_folder: Path, folder: Path, *, until: str, most: int, limit: int) -> Any:
    """The proving ground's task as one whose answers are generated, of `most` tokens."""
    folder = shutil.copytree(tasks_folder, folder / "t")
    text = (folder / "matching.yaml").read_text()
    text = text.replace("multiple_choice", "generate_until").replace("doc_to_choice: choices\n", "")
    text = text.replace("doc_to_target: answer", 'doc_to_target: "{{choices[answer]}}"')
    text = text.replace("metric: acc", "metric: exact_match")
    (folder / "matching.yaml").write_text(
        f"{text}generation_kwargs: {{until: [{until}], max_gen_toks: {most}, do_sample: false}}\n"
    )
    return load_task(Task(name=MATCHING, include_path=folder), limit=limit)


def test_generated_answers_are_scored_by_the_harness_too(tiny, words, tasks_folder, tmp_path):
    """A task that generates gives the harness's score and no log-probability."""
    task = generating(tasks_folder, tmp_path, until="' '", most=1, limit=12)
    assert task.generates
    assert task.chance is None
    model = tiny()
    found = evaluate(model, words, task)
    expected = []
    for request in task.requests:
        tokens = torch.tensor([words(request.args[0])["input_ids"]])
        with torch.no_grad():
            said = words.decode(model(tokens).logits[0, -1].argmax())
        expected.append(float(said == request.doc["choices"][request.doc["answer"]]))
    assert [item.correct for item in found.items] == expected
    assert [each.metric for each in found.scores] == ["exact_match"]
    (pair,) = task.training_pairs(0, 1)
    assert pair.ends
    assert pair.completion.strip() in vocabulary()


def _writes(model, tokenizer, said):
    """The model, which writes what is said to each prompt, in a batch as transformers does."""

    def generate(input_ids, max_length, **_):
        room = max_length - input_ids.shape[1]
        asked = tokenizer.batch_decode(input_ids, skip_special_tokens=True)
        rows = [tokenizer(said[prompt])["input_ids"][:room] for prompt in asked]
        longest = max(len(row) for row in rows)
        padded = [row + [tokenizer.pad_token_id] * (longest - len(row)) for row in rows]
        return torch.cat([input_ids, torch.tensor(padded)], dim=1)

    model.generate = generate
    return model


@pytest.mark.parametrize(
    ("texts", "cut"),
    [
        (["A B C D", "A B C", "A B C", "A <eos>"], [True, False, False, False]),
        (["A B C D", "A tesi C D", "A B C <eos>", "D C B A"], [True, False, False, True]),
        (["A B <eos>", "A tesi", "A B", "A <eos>"], [False] * 4),  # none as long as allowed
        (["A B", "B A", "A B", "B A"], [False] * 4),  # ended by a token of their own
    ],
)
def test_a_text_that_ends_at_the_limit_of_tokens_is_cut(
    tiny, words, tasks_folder, tmp_path, texts, cut
):
    """Neither one with a stop text or an end token in it, nor one that ended before the limit."""
    task = generating(tasks_folder, tmp_path, until="tesi", most=4, limit=4)
    prompts = [request.args[0] for request in task.requests]
    found = evaluate(_writes(tiny(), words, dict(zip(prompts, texts, strict=True))), words, task)
    assert [item.cut for item in found.items] == cut
    said = [re.split("tesi|<eos>", text)[0].strip() for text in texts]
    assert [str(item.completion).strip() for item in found.items] == said


def _spoilt(model):
    with torch.no_grad():
        model.norm.weight[0] = float("nan")
    return model


def test_weights_that_are_no_numbers_have_no_score(tiny, words, matching, corpus):
    """Neither a score nor a loss, but an error."""
    with pytest.raises(LabError, match="log-probability that is not a finite number"):
        evaluate(_spoilt(tiny()), words, matching)
    with pytest.raises(LabError, match="not a finite number"):
        corpus_loss(_spoilt(tiny()), words, corpus)


# ------------------------------------------------------------------------------ loss of a corpus


TEXTS = ["dabo A", "B", "C D E F G H I J K L", "A " * 300, "zzz A B"]


@pytest.fixture
def corpus(tmp_path):
    """Documents of 2, 1, 10, 300 and 3 tokens; the models take 128."""
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps({"text": text, "n": 1}) + "\n" for text in TEXTS) + "\n")
    return path


def _by_definition(model, tokens):
    """Nats of each token but the first, each window beginning with the last token of the former."""
    nats = []
    for start in range(0, len(tokens) - 1, 128):
        window = torch.tensor([tokens[start : start + 129]])
        with torch.no_grad():
            scores = model(window[:, :-1]).logits[0].double().log_softmax(-1)
        nats += [-float(scores[t, token]) for t, token in enumerate(window[0, 1:])]
    return nats


def test_the_loss_is_the_mean_over_all_tokens(tiny, words, corpus):
    """Per token and per byte, with the error of a ratio over documents."""
    model = tiny()
    found = corpus_loss(model, words, corpus)
    rows = [words(text)["input_ids"] for text in TEXTS]
    nats = [_by_definition(model, row) for row in rows if len(row) > 1]
    counts = [len(each) for each in nats]
    first = [words.decode(row[0]) for row in rows if len(row) > 1]
    assert first[3] == "<unk>"
    texts = [text for text, row in zip(TEXTS, rows, strict=True) if len(row) > 1]
    size = [len(text) - len(word) for text, word in zip(texts, first, strict=True)]
    total = sum(map(sum, nats))
    assert found.tokens == sum(counts) == 1 + 9 + 299 + 2
    assert found.nats_per_token == pytest.approx(total / sum(counts), rel=1e-6)
    assert found.bytes == sum(size)
    assert found.nats_per_byte == pytest.approx(total / sum(size), rel=1e-6)
    rest = [
        sum(each) - count * total / sum(counts) for each, count in zip(nats, counts, strict=True)
    ]
    error = math.sqrt(4 / 3 * sum(r * r for r in rest)) / sum(counts)
    assert found.stderr == pytest.approx(error, rel=1e-6)


def test_the_error_is_what_resampling_documents_gives(tiny, words, tmp_path):
    """The formula against a bootstrap of 120 documents of different lengths."""
    rng = random.Random(2)  # noqa: S311  no secret
    texts = [" ".join(rng.choices(vocabulary()[:1360], k=rng.randrange(2, 40))) for _ in range(120)]
    path = tmp_path / "many.txt"
    path.write_text("\n".join(texts))
    model = tiny()
    with torch.no_grad():
        model.embed_tokens.weight.mul_(4)  # documents differ more
    found = corpus_loss(model, words, path)
    nats = [_by_definition(model, words(text)["input_ids"]) for text in texts]
    sums, counts = np.array([sum(n) for n in nats]), np.array([len(n) for n in nats])
    draws = np.random.default_rng(0).integers(0, 120, (4000, 120))
    spread = (sums[draws].sum(1) / counts[draws].sum(1)).std()
    assert found.stderr == pytest.approx(spread, rel=0.1)


def test_a_first_token_of_the_tokenizer_makes_all_of_a_text_predicted(tiny, tmp_path):
    """With a token before it, every token and every byte counts."""
    from tests.lab.tasks.test_tasks import byte_pairs

    path = tmp_path / "one.txt"
    path.write_text("the cat sat\n")
    with_first, without = byte_pairs(bos=True), byte_pairs(bos=False)
    tokens = len(without("the cat sat")["input_ids"])
    found, fewer = corpus_loss(tiny(), with_first, path), corpus_loss(tiny(), without, path)
    assert (found.tokens, found.bytes) == (tokens, 11)
    first = without.decode(without("the cat sat")["input_ids"][0])
    assert (fewer.tokens, fewer.bytes) == (tokens - 1, 11 - len(first))
    assert found.stderr is None


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", b'{"text": "A B"}\n{"txt": "A"}\n', 'a.jsonl", line 2: there is no JSON'),
        ("a.jsonl", b'{"text": "A B"}\nnot json\n', "line 2"),
        ("a.jsonl", b'{"text": 3}\n', "line 1"),
        ("a.jsonl", b"[1]\n", "line 1"),
        ("a.jsonl", b'{"text": ""}\n', "holds no text"),
        ("a.txt", b"\n \n", "holds no text"),
        ("a.txt", b"A\n", "no document of two tokens"),
        ("a.txt", b"\xff\xfe", "UTF-8"),
        ("a.txt", None, "cannot be read"),
    ],
)
def test_a_corpus_that_cannot_be_used_is_refused(tiny, words, tmp_path, name, content, said):
    """With the file, the line, and what to do."""
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LabError, match=said):
        corpus_loss(tiny(), words, path)
