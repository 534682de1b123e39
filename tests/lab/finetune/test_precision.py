"""Precision and memory of a finetuning as on a GPU: mixed precision that leaves nothing behind."""

from __future__ import annotations

import copy
import gc
import weakref

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from emergecast.lab.finetune import FinetuneMethod, finetune
from emergecast.lab.finetune import _finetune as room

METHOD = FinetuneMethod(name="full", steps=3, learning_rate=1e-3, batch_size=8)


@pytest.fixture
def pairs(matching):
    """Sixteen training examples."""
    return matching.training_pairs(0, 16)


@pytest.fixture
def autocast(monkeypatch):
    """As on a GPU that knows bfloat16, with the arithmetic on the CPU."""
    monkeypatch.setattr(room, "_knows_bf16", lambda _model: True)


def _llama(words):
    """A tiny Llama stored in bfloat16; the frequencies of its rotary positions are in 32 bits."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=128,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = LlamaForCausalLM(config)
    for weight in model.parameters():
        weight.data = weight.data.bfloat16()
    return model.eval()


def test_numbers_that_16_bits_would_round_stay_as_they_are(words, pairs):
    """Weights come back in their type, and nothing else is put into it."""
    model = _llama(words)
    before = copy.deepcopy(model.model.rotary_emb.inv_freq)
    assert before.dtype == torch.float32
    after = finetune(model, words, pairs, METHOD, seed=0).model
    assert torch.equal(after.model.rotary_emb.inv_freq, before)
    assert after.model.rotary_emb.inv_freq.dtype == torch.float32
    assert {weight.dtype for weight in after.parameters()} == {torch.bfloat16}


@pytest.mark.usefixtures("autocast")
@pytest.mark.parametrize("name", ["full", "lora-4"])
def test_mixed_precision_ends_with_the_training(words, pairs, name):
    """The trained model computes as the checkpoint does: by its own types alone."""
    model = _llama(words)
    seen = set()
    model.model.norm.register_forward_hook(lambda *_: seen.add(torch.is_autocast_enabled("cpu")))
    method = FinetuneMethod(name=name, steps=3, learning_rate=1e-3, batch_size=8)
    done = finetune(model, words, pairs, method, seed=0)
    assert seen == {True}
    seen.clear()
    done.model(input_ids=torch.tensor([[1, 2, 3]]))
    assert seen == {False}


def test_the_optimiser_goes_with_the_training(words, pairs, tiny, monkeypatch):
    """Twice the weights: on a GPU they would be missing in the evaluation that follows."""
    optimizers = []
    begin = torch.optim.AdamW.__init__

    def watched(self, *args, **kwargs):
        begin(self, *args, **kwargs)
        optimizers.append(weakref.ref(self))

    monkeypatch.setattr(torch.optim.AdamW, "__init__", watched)
    gc.disable()
    try:
        finetune(tiny(), words, pairs, METHOD, seed=0)
        assert [each() for each in optimizers] == [None]
    finally:
        gc.enable()


def test_a_model_is_trained_where_it_is(words, pairs, tiny, monkeypatch):
    """The Trainer would take a model on the CPU to any GPU there is."""
    asked = []
    made = room._arguments

    def watched(*args, **kwargs):
        asked.append(made(*args, **kwargs))
        return asked[-1]

    monkeypatch.setattr(room, "_arguments", watched)
    finetune(tiny(), words, pairs, METHOD, seed=0)
    assert asked[0].use_cpu


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_padding_on_the_left_works_in_16_bits(words, tiny, dtype):
    """As generation asks for it: padding changes nothing but by rounding."""
    model = tiny().to(dtype)
    there = torch.tensor([[0, 1, 1, 1]])
    padded = torch.tensor([[words.pad_token_id, 1, 2, 3]])
    with torch.no_grad():
        left = model(input_ids=padded, attention_mask=there).logits[0, -1]
        alone = model(input_ids=padded[:, 1:]).logits[0, -1]
    assert left.dtype == dtype
    assert torch.allclose(left.float(), alone.float(), atol=0.05)
