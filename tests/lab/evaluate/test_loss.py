"""Held-out loss against a loop that predicts one token at a time."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.lab.tasks.test_tasks import byte_pairs

from emergecast.errors import LabError, OptionError
from emergecast.lab.evaluate import (
    Corpus,
    FirstToken,
    LossOptions,
    _loss,
    corpus_loss,
    facts_of,
    held_out_loss,
    named_corpus,
)
from emergecast.lab.evaluate._corpus import documents_of

BOS = 0
LENGTHS = (2, 5, 30, 31, 140)
"""Characters of the documents, which are about as many tokens; the models take 128."""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents of these lengths, of letters that are no words of the tokenizer."""
    rng = random.Random(3)  # noqa: S311  no secret
    texts = ["".join(rng.choices("bdfgjkpvwxyz", k=length)) for length in LENGTHS]
    file = tmp_path_factory.mktemp("loss") / "text.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return file


def tokenizer_of(kind: str) -> tuple[Any, FirstToken]:
    """One that puts a token before every text, does not, or knows one that it does not put."""
    made = byte_pairs(bos=kind in {"adds", "silenced"})
    if kind == "made to":
        made.bos_token = "<s>"  # noqa: S105  a token of text
    words = {"made to": FirstToken.BOS, "silenced": FirstToken.NONE}
    return made, words.get(kind, FirstToken.TOKENIZER)


def token_by_token(model: Any, tokens: list[int], context: int) -> float:
    """Nats of all tokens but the first, each predicted by a pass of its own, unpadded."""
    nats = 0.0
    for place in range(1, len(tokens)):
        first = (place - 1) // context * context
        with torch.no_grad():
            logits = model(torch.tensor([tokens[first:place]])).logits[0, -1]
        nats -= float(logits.double().log_softmax(-1)[tokens[place]])
    return nats


@pytest.mark.parametrize(
    ("kind", "context", "batch_tokens"),
    [
        ("adds", None, 4096),  # all but one shorter than the window, all in one batch
        ("adds", 16, 48),  # three windows a batch
        ("has none", 7, 4096),
        ("made to", 16, 1),  # each window by itself
        ("silenced", 30, 100),
    ],
)
def test_the_loss_is_that_of_one_token_after_the_other(tiny, path, kind, context, batch_tokens):
    """To 1e-6, per token and per byte, whatever shares a batch and wherever windows end."""
    model, (tokenizer, first) = tiny(), tokenizer_of(kind)
    options = LossOptions(context=context, first_token=first, batch_tokens=batch_tokens)
    found = held_out_loss(model, tokenizer, Corpus(name="t", path=path), options)
    texts = [json.loads(line)["text"] for line in path.read_text().splitlines()]
    with_bos = kind in {"adds", "made to"}
    plain = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    rows = [[BOS, *row] if with_bos else row for row in plain]
    nats = sum(token_by_token(model, row, context or 128) for row in rows)
    tokens = sum(len(row) - 1 for row in rows)
    size = sum(LENGTHS) - (0 if with_bos else len(rows))  # a first token of one letter is context
    assert max(map(len, rows)) > 128
    assert (found.loss.tokens, found.loss.bytes) == (tokens, size)
    assert found.loss.nats_per_token == pytest.approx(nats / tokens, abs=1e-6)
    assert found.loss.nats_per_byte == pytest.approx(nats / size, abs=1e-6)
    assert (found.context, found.documents) == (context or 128, len(rows))
    assert found.bos == tokenizer.bos_token_id
    assert found.bos_documents == (len(rows) if with_bos else 0)
    assert found.begin == tuple(rows[0])
    fed = b"".join(
        len(row).to_bytes(8, "little") + b"".join(i.to_bytes(4, "little") for i in row)
        for row in rows
    )
    assert found.fed_hash == hashlib.sha256(fed).hexdigest()


def test_a_text_that_is_read_in_portions_has_the_same_loss(tiny, path, monkeypatch):
    """And so has one whose tokens were kept; progress ends at all bytes."""
    model, tokenizer = tiny(), byte_pairs(bos=True)
    text = Corpus(name="t", path=path)
    whole = held_out_loss(model, tokenizer, text)
    assert held_out_loss(model, tokenizer, text) == whole
    monkeypatch.setattr(_loss, "_KEPT", {})
    monkeypatch.setattr(_loss, "_AT_A_TIME", 20)
    monkeypatch.setattr(_loss, "_TEXT_AT_A_TIME", 20)
    monkeypatch.setattr(_loss, "_MOST_KEPT", 10)
    told: list[float] = []
    parts = held_out_loss(model, tokenizer, text, on_bytes=told.append)
    assert len(told) >= 3
    assert told == sorted(told)
    assert told[-1] == whole.loss.bytes
    assert not _loss._KEPT
    assert parts.fed_hash == whole.fed_hash
    assert parts.loss.nats_per_token == pytest.approx(whole.loss.nats_per_token, abs=1e-6)
    assert parts.loss.stderr == pytest.approx(whole.loss.stderr, rel=1e-5)


def test_the_corpus_is_not_in_memory(tmp_path):
    """Reading 2 MB takes less than 0.2 MB."""
    path = tmp_path / "large.txt"
    path.write_text("one document of some words\n" * 80_000)
    tracemalloc.start()
    assert sum(1 for _ in documents_of(Corpus(name="l", path=path))) == 80_000
    assert tracemalloc.get_traced_memory()[1] < 2e5
    tracemalloc.stop()


def test_the_hash_is_that_of_the_documents(tmp_path):
    """Whatever the file is called, packed or not; not where a border lies elsewhere."""
    lines = b'{"text": "a b", "url": "x"}\n{"text": "c"}\n'
    (tmp_path / "a.jsonl").write_bytes(lines)
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "c.txt").write_text("a b\n\nc\n")
    (tmp_path / "d.txt").write_text("a\nb c\n")
    (tmp_path / "e.jsonl").write_bytes(lines + b'{"text": "d"}\n')
    by_hand = hashlib.sha256(
        hashlib.sha256(b"a b").digest() + hashlib.sha256(b"c").digest()
    ).hexdigest()
    texts = [
        named_corpus(str(tmp_path / "a.jsonl")),
        named_corpus(f"c4={tmp_path / 'b.json.gz'}", documents=2),
        named_corpus(f"own={tmp_path / 'c.txt'}"),
        named_corpus(str(tmp_path / "e.jsonl"), documents=2),
    ]
    assert [text.name for text in texts] == ["a", "c4-2", "own", "e"]
    for text in texts:
        facts = facts_of(text)
        assert (facts.hash, facts.documents, facts.bytes) == (by_hand, 2, 4)
    assert facts_of(named_corpus(str(tmp_path / "d.txt"))).hash != by_hand
    assert named_corpus("c4").name == "c4-5000"


def test_a_text_that_has_changed_is_read_again(tiny, words, tmp_path):
    """Tokens are kept for a file as it is, and not for its name."""
    path = tmp_path / "text.txt"
    path.write_text("A B C\n")
    first = corpus_loss(tiny(), words, path)
    path.write_text("A B C D\n")
    assert corpus_loss(tiny(), words, path).tokens == first.tokens + 1


def test_what_cannot_be_measured_is_refused(tiny, words, path, tmp_path):
    """With what is wrong, and what to do."""
    model, text = tiny(), Corpus(name="t", path=path)
    with pytest.raises(OptionError, match="context is 0"):
        LossOptions(context=0)
    with pytest.raises(LabError, match=r"context is 256 tokens, and the model takes 128"):
        held_out_loss(model, words, text, LossOptions(context=256))
    bare = byte_pairs(bos=False)
    with pytest.raises(LabError, match="no token for the begin"):
        held_out_loss(model, bare, text, LossOptions(first_token=FirstToken.BOS))
    with pytest.raises(LabError, match=r"holds 5 documents, and 6 are asked for"):
        held_out_loss(model, words, Corpus(name="t", path=path, documents=6))
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(path.read_bytes())[:60])
    with pytest.raises(LabError, match=r"cut\.jsonl\.gz\" cannot be read"):
        facts_of(named_corpus(str(tmp_path / "cut.jsonl.gz")))
    (tmp_path / "half.jsonl").write_text('{"text": "\\ud800"}\n')
    with pytest.raises(LabError, match=r'half\.jsonl", line 1'):
        facts_of(named_corpus(str(tmp_path / "half.jsonl")))
    for wrong in ("=file", "name="):
        with pytest.raises(OptionError, match="is not FILE, NAME=FILE"):
            named_corpus(wrong)
    model.resize_token_embeddings(50)
    with pytest.raises(LabError, match="the model knows 50"):
        held_out_loss(model, byte_pairs(bos=True), text)
