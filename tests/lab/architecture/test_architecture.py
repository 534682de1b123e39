"""The architecture against a slow one written from its definition, and as transformers' own."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from emergecast.lab.architecture import SmearedKeysConfig, SmearedKeysForCausalLM


def by_definition(model, tokens):
    """Logits [time, vocabulary] of one sequence: loops over positions and heads, float64."""
    w = {name: value.detach().double().numpy() for name, value in model.state_dict().items()}
    config = model.config
    heads, width = config.num_attention_heads, config.hidden_size
    size = width // heads

    def norm(x, weight):
        return (x - x.mean()) / math.sqrt(x.var() + 1e-5) * weight

    def rotate(x, t):
        out = x.copy()
        for i in range(size // 2):
            angle = t * config.rope_theta ** (-i / (size // 2))
            c, s = math.cos(angle), math.sin(angle)
            a, b = x[i], x[i + size // 2]
            out[i], out[i + size // 2] = a * c - b * s, a * s + b * c
        return out

    def gelu(x):
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

    xs = [w["embed_tokens.weight"][token] * math.sqrt(width) for token in tokens]
    for layer in range(config.num_hidden_layers):
        at = f"layers.{layer}."
        qkv = [
            w[at + "attention.qkv_proj.weight"] @ norm(x, w[at + "attention_norm.weight"])
            for x in xs
        ]
        mixed = []
        for t in range(len(xs)):
            out = np.zeros(width)
            for h in range(heads):
                q, k, v = (
                    slice(j * width + h * size, j * width + (h + 1) * size) for j in range(3)
                )
                g = 1 / (1 + math.exp(-w[at + "attention.smear"][h, 0, 0]))
                keys = [
                    qkv[s][k] if s == 0 else (1 - g) * qkv[s][k] + g * qkv[s - 1][k]
                    for s in range(t + 1)
                ]
                scores = np.array(
                    [rotate(qkv[t][q], t) @ rotate(key, s) for s, key in enumerate(keys)]
                ) / math.sqrt(size)
                weights = np.exp(scores - scores.max())
                weights /= weights.sum()
                out[h * size : (h + 1) * size] = sum(
                    weight * qkv[s][v] for s, weight in enumerate(weights)
                )
            mixed.append(w[at + "attention.o_proj.weight"] @ out)
        xs = [x + y for x, y in zip(xs, mixed, strict=True)]
        xs = [
            x
            + w[at + "down_proj.weight"]
            @ gelu(w[at + "up_proj.weight"] @ norm(x, w[at + "mlp_norm.weight"]))
            for x in xs
        ]
    return np.array([w["embed_tokens.weight"] @ norm(x, w["norm.weight"]) for x in xs])


@pytest.fixture
def model(tiny):
    """A tiny model whose heads smear differently."""
    made = tiny()
    with torch.no_grad():
        for layer in made.layers:
            layer.attention.smear.copy_(torch.randn(2, 1, 1))
    return made


TOKENS = torch.tensor([[5, 900, 1350, 17, 5, 1359, 44]])


def test_it_is_what_its_definition_says(model):
    """Logits agree with loops over positions and heads in float64."""
    with torch.no_grad():
        ours = model(TOKENS).logits[0].double().numpy()
    np.testing.assert_allclose(ours, by_definition(model, TOKENS[0].tolist()), atol=2e-5)


def test_the_loss_is_the_mean_over_labels_shifted_by_one(model):
    """And with `num_items_in_batch` it is their sum over that number."""
    labels = TOKENS.clone()
    labels[0, :4] = -100
    with torch.no_grad():
        logits = model(TOKENS).logits[0].double()
        loss = float(model(TOKENS, labels=labels).loss)
        shared = float(model(TOKENS, labels=labels, num_items_in_batch=torch.tensor(12)).loss)
    each = [-logits[t - 1].log_softmax(-1)[TOKENS[0, t]] for t in (4, 5, 6)]
    assert loss == pytest.approx(float(sum(each)) / 3, abs=1e-5)
    assert shared == pytest.approx(float(sum(each)) / 12, abs=1e-5)


def test_no_position_sees_a_later_one(model):
    """Changing a token leaves the logits before it as they are, to the last bit."""
    other = TOKENS.clone()
    other[0, 4] = 77
    with torch.no_grad():
        before, after = model(TOKENS).logits[0], model(other).logits[0]
    assert torch.equal(before[:4], after[:4])
    assert not torch.allclose(before[4], after[4])


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(model, side):
    """A sequence gives the same logits alone and padded, on either side."""
    pad = torch.full((1, 3), 9)
    mask = torch.ones(1, 7, dtype=torch.long)
    none = torch.zeros(1, 3, dtype=torch.long)
    parts = ((pad, TOKENS), (none, mask)) if side == "left" else ((TOKENS, pad), (mask, none))
    tokens, attention_mask = (torch.cat(pair, 1) for pair in parts)
    with torch.no_grad():
        alone = model(TOKENS).logits
        padded = model(tokens, attention_mask=attention_mask).logits
    ours = padded[:, 3:] if side == "left" else padded[:, :7]
    torch.testing.assert_close(ours, alone, atol=2e-6, rtol=0)


def test_only_the_logits_asked_for_are_computed(model):
    """`logits_to_keep` gives the last positions, or those it names."""
    with torch.no_grad():
        every = model(TOKENS).logits
        last = model(TOKENS, logits_to_keep=2).logits
        chosen = model(TOKENS, logits_to_keep=torch.tensor([1, 4])).logits
    torch.testing.assert_close(last, every[:, -2:])
    torch.testing.assert_close(chosen, every[:, [1, 4]])


def test_generation_takes_the_most_likely_token_each_time(model):
    """Greedy generation agrees with one forward pass per token."""
    tokens = TOKENS
    with torch.no_grad():
        for _ in range(4):
            tokens = torch.cat([tokens, model(tokens).logits[:, -1:].argmax(-1)], 1)
    made = model.generate(
        TOKENS, attention_mask=torch.ones_like(TOKENS), max_new_tokens=4, do_sample=False
    )
    assert torch.equal(made, tokens)


def test_a_folder_loads_like_any_other_model(model, tmp_path):
    """Through `AutoModelForCausalLM`, without remote code, tied weights stored once."""
    from safetensors import safe_open

    model.save_pretrained(tmp_path)
    assert not list(tmp_path.glob("*.py"))
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert "lm_head.weight" not in file.keys()  # noqa: SIM118  no mapping
    again = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert type(again) is SmearedKeysForCausalLM
    assert type(AutoConfig.from_pretrained(tmp_path)) is SmearedKeysConfig
    assert again.lm_head.weight is again.embed_tokens.weight
    with torch.no_grad():
        assert torch.equal(again(TOKENS).logits, model(TOKENS).logits)


def test_parameters_are_counted_by_hand():
    """Embeddings once; per block 12 d^2, two norms and a scalar per head; a last norm."""
    config = SmearedKeysConfig(vocab_size=50, hidden_size=8, num_hidden_layers=3)
    made = SmearedKeysForCausalLM(config)
    assert sum(p.numel() for p in made.parameters()) == 50 * 8 + 3 * (12 * 64 + 16 + 4) + 8


def test_a_longer_sequence_than_it_takes_is_refused(model):
    """The message has both lengths."""
    with pytest.raises(ValueError, match="129 tokens, and this model takes 128"):
        model(torch.zeros(1, 129, dtype=torch.long))
