"""Prefix tuning: what it starts from, what it trains, that it repeats, and who cannot have one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.lab.finetune.latent_skills import pretrained, tokenizer

from emergecast.errors import LabError
from emergecast.lab.evaluate import max_length
from emergecast.lab.evaluate._backend import Backend
from emergecast.lab.finetune import FinetuneMethod, Session, finetune
from emergecast.lab.tasks import Pair

PAIRS = [Pair(f"What is w{i}?", f" {'ABCD'[i % 4]}", ends=i % 2 == 0) for i in range(12)]
TOKENS = 5
METHOD = FinetuneMethod(name=f"prefix-{TOKENS}", steps=6, learning_rate=1e-2, batch_size=4)


@pytest.fixture(scope="module")
def words() -> Any:
    """The tokenizer."""
    return tokenizer()


@pytest.fixture
def llama(words: Any) -> Callable[[], Any]:
    """Makes a tiny Llama with random weights, the same each time."""
    return lambda: pretrained(words, steps=0, width=16)


def prefix(model: Any) -> torch.Tensor:
    """The only weights that are trained."""
    (trained,) = (each for each in model.parameters() if each.requires_grad)
    found: torch.Tensor = trained.detach().clone()
    return found


def test_it_starts_as_real_text_before_the_text(llama, words):
    """Before the first step the model says what it says after the first tokens of the examples."""
    method = FinetuneMethod(name=f"prefix-{TOKENS}", steps=1, learning_rate=1e-30, batch_size=4)
    tuned = finetune(llama(), words, PAIRS, method, seed=0).model
    start = [*words("What is w0? A")["input_ids"], words.eos_token_id][:TOKENS]
    text = words("What is w7? B")["input_ids"]
    with torch.no_grad():
        wanted = llama()(torch.tensor([start + text])).logits[0, TOKENS:]
        found = tuned(input_ids=torch.tensor([text])).logits[0]
    assert torch.allclose(found, wanted, atol=1e-5)


def test_it_trains_the_prefix_alone(llama, words):
    """A key and a value of every layer for each virtual token; the model takes less text."""
    model = llama()
    before = {name: each.clone() for name, each in model.state_dict().items()}
    tuned: Any = finetune(model, words, PAIRS, METHOD, seed=0).model
    assert prefix(tuned).shape == (TOKENS, 2 * 2 * 16)
    after = tuned.get_base_model().state_dict()
    assert all(torch.equal(after[name], each) for name, each in before.items())
    assert max_length(tuned) == max_length(model) - TOKENS == 48 - TOKENS


def test_the_prefix_of_a_model_of_16_bits_learns_in_32(llama, words):
    """The model stays as it is, and says what it says with the prefix rounded to its precision."""
    model = llama().to(torch.bfloat16)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    small = dataclasses.replace(METHOD, learning_rate=1e-5, steps=60)
    start, end = (
        prefix(finetune(llama().to(torch.bfloat16), words, PAIRS, how, seed=0).model)
        for how in (dataclasses.replace(small, learning_rate=1e-30), small)
    )
    assert end.dtype == torch.float32
    moved = (end - start).abs()
    assert float(moved.max()) > 2e-4, "steps far below the spacing of bfloat16 add up"
    tuned: Any = finetune(model, words, PAIRS, small, seed=0).model
    after = tuned.get_base_model().state_dict()
    assert all(torch.equal(after[name], each) for name, each in before.items())
    assert tuned(input_ids=torch.tensor([[5, 6, 7]])).logits.dtype == torch.bfloat16


@pytest.mark.parametrize("stop", [3, 5])
def test_a_stopped_run_goes_on_to_the_same_prefix(llama, words, tmp_path, stop):
    """To the last bit; another seed gives another one."""
    straight = finetune(llama(), words, PAIRS, METHOD, seed=0)

    def halt(step: int, _loss: float) -> None:
        if step == stop:
            raise InterruptedError

    session = Session(folder=tmp_path, save_every_seconds=0, on_step=halt)
    with pytest.raises(InterruptedError):
        finetune(llama(), words, PAIRS, METHOD, seed=0, session=session)
    torch.manual_seed(99)
    again = Session(folder=tmp_path, resume=True)
    resumed = finetune(llama(), words, PAIRS, METHOD, seed=0, session=again)
    assert resumed.resumed_from == stop - 1
    assert torch.equal(prefix(resumed.model), prefix(straight.model))
    assert resumed.final_loss == straight.final_loss
    other = finetune(llama(), words, PAIRS, METHOD, seed=1)
    assert not torch.equal(prefix(other.model), prefix(straight.model))


def test_a_batch_of_generated_texts_is_what_each_one_is_alone(llama, words):
    """Prompts of different lengths are padded on the left; the prefix stands before all of them."""
    tuned = finetune(llama(), words, PAIRS, METHOD, seed=0).model
    prompts = ["What is w3?", "Question: How much is w3?\nAnswer:", "w1"]
    backend = Backend(pretrained=tuned, tokenizer=tokenizer(), batch_size=3, max_length=30)
    tokens, mask = backend.tok_batch_encode(prompts)
    batch = backend._model_generate(
        tokens, tokens.shape[1] + 6, [], attention_mask=mask, do_sample=False
    )
    for prompt, row in zip(prompts, batch.tolist(), strict=True):
        text = words(prompt)["input_ids"]
        for _ in range(6):
            with torch.no_grad():
                scores = tuned(input_ids=torch.tensor([text])).logits[0, -1]
            text = [*text, int(scores.argmax())]
            if text[-1] == words.eos_token_id:
                break
        said = text[len(words(prompt)["input_ids"]) :]
        assert row[tokens.shape[1] :][: len(said)] == said


def test_a_model_that_takes_no_prefix_is_refused(tiny, words):
    """The proving ground's own architecture keeps no keys and values."""
    with pytest.raises(LabError, match=r"SmearedKeysForCausalLM takes none.*full or lora-<rank>"):
        finetune(tiny(), words, PAIRS, METHOD, seed=0)


def test_a_prefix_that_leaves_no_room_is_refused(llama, words):
    """47 of 48 tokens."""
    method = FinetuneMethod(name="prefix-47", steps=1, learning_rate=1e-2)
    with pytest.raises(LabError, match="prefix-47 leaves no room for text"):
        finetune(llama(), words, PAIRS, method, seed=0)
