"""Checkpoints of the package hf_olmo against its forward pass, written out in plain torch."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.lab.hf_olmo_files import HF_OLMO, VOCABULARY, hf_olmo_files, hf_olmo_weights
from tests.lab.hub_cache import HubCache, fast_tokenizer
from torch.nn import functional

from emergecast.errors import LabError
from emergecast.lab.catalogue.series import catalogued_series, expand
from emergecast.lab.checkpoints import Checkpoint, folders_of, inspect, load
from emergecast.lab.checkpoints._converted import converted_config

NO_WEIGHTS = {"layer_norm_type": "default", "layer_norm_with_affine": False, "layer_norm_eps": 1e-5}
"""The norms of OLMo 1."""


def forward(config: dict[str, Any], weights: dict[str, torch.Tensor], ids: torch.Tensor) -> Any:
    """Logits as olmo/model.py computes them (OLMoSequentialBlock, RotaryEmbedding, SwiGLU)."""
    width, heads = config["d_model"], config["n_heads"]
    size, shared = width // heads, config["n_kv_heads"] or heads

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        if config["layer_norm_type"] == "rms":
            scaled = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + config["layer_norm_eps"])
            return weights[f"{name}.weight"] * scaled
        return functional.layer_norm(x, (width,), eps=config["layer_norm_eps"])

    def turned(x: torch.Tensor) -> torch.Tensor:
        inverse = 1.0 / config["rope_theta"] ** (torch.arange(0, size, 2).float() / size)
        angles = torch.outer(torch.arange(x.shape[1]).float(), inverse)
        angles = torch.cat((angles, angles), -1)
        first, second = x.chunk(2, -1)
        return x * angles.cos() + torch.cat((-second, first), -1) * angles.sin()

    x = weights["wte.weight"][ids]
    length = len(ids)
    hidden = torch.ones(length, length).triu(1).bool()
    for layer in range(config["n_layers"]):
        block = f"blocks.{layer}"
        fused = norm(x, f"{block}.attn_norm") @ weights[f"{block}.att_proj.weight"].T
        q, k, v = fused.split([width, shared * size, shared * size], -1)
        q = turned(q.view(length, heads, size).transpose(0, 1))
        k = turned(k.view(length, shared, size).transpose(0, 1))
        v = v.view(length, shared, size).transpose(0, 1)
        k, v = (each.repeat_interleave(heads // shared, 0) for each in (k, v))
        scores = (q @ k.transpose(1, 2) / size**0.5).masked_fill(hidden, -torch.inf)
        mixed = (scores.softmax(-1) @ v).transpose(0, 1).reshape(length, width)
        x = x + mixed @ weights[f"{block}.attn_out.weight"].T
        value, gate = (norm(x, f"{block}.ff_norm") @ weights[f"{block}.ff_proj.weight"].T).chunk(
            2, -1
        )
        x = x + (functional.silu(gate) * value) @ weights[f"{block}.ff_out.weight"].T
    last = "wte.weight" if config["weight_tying"] else "ff_out.weight"
    return norm(x, "ln_f") @ weights[last].T


def published(tmp_path: Path, weights: dict[str, Any], config: dict[str, Any] = HF_OLMO) -> Path:
    """A folder as the package saves one, with its tokenizer."""
    folder = hf_olmo_files(tmp_path / "published", weights, config)
    fast_tokenizer().save_pretrained(folder)
    settings = folder / "tokenizer_config.json"
    said = json.loads(settings.read_text("utf-8")) | {"tokenizer_class": "OLMoTokenizer"}
    settings.write_text(json.dumps(said), "utf-8")
    return folder


def first() -> Checkpoint:
    """A checkpoint of DataDecide."""
    return expand(catalogued_series("datadecide_c4_4M")).checkpoints[0]


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, "LlamaForCausalLM"),
        ({"n_kv_heads": 2, "weight_tying": True}, "LlamaForCausalLM"),
        (NO_WEIGHTS, "OlmoForCausalLM"),
        ({**NO_WEIGHTS, "mlp_hidden_size": 48, "rope_theta": 500}, "OlmoForCausalLM"),
    ],
)
def test_a_converted_model_computes_what_the_original_does(
    tmp_path, monkeypatch, caplog, changes, kind
):
    """Logits of a sequence to 1e-5, from the cache under the real names, without a warning."""
    logging.getLogger("transformers").addHandler(caplog.handler)
    config = HF_OLMO | changes
    weights = hf_olmo_weights(config)
    cache = HubCache(home=tmp_path / "home")
    cache.in_use(monkeypatch)
    folder = published(tmp_path, weights, config)
    cache.put("allenai/DataDecide-c4-4M", folder, revision="step1250-seed-default")
    loaded = load(first())
    logging.getLogger("transformers").removeHandler(caplog.handler)
    assert not [each for each in caplog.messages if "hf_olmo" in each]
    assert type(loaded.model).__name__ == kind
    ids = torch.randint(0, VOCABULARY, (40,), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = loaded.model(ids[None]).logits[0]
    wanted = forward(config, weights, ids)
    assert wanted.std() > 0.5
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    assert loaded.tokenizer("the cat")["input_ids"] == fast_tokenizer()("the cat")["input_ids"]


def test_the_hash_is_of_what_was_published(tmp_path, monkeypatch):
    """So that it is the same before and after the conversion, and the one that the hub says."""
    import hashlib

    cache = HubCache(home=tmp_path / "home")
    cache.in_use(monkeypatch)
    folder = published(tmp_path, hf_olmo_weights(HF_OLMO))
    cache.put("allenai/DataDecide-c4-4M", folder, revision="step1250-seed-default")
    facts = inspect(first())
    digest = hashlib.sha256((folder / "pytorch_model.bin").read_bytes()).hexdigest()
    assert (facts.weights_hash, facts.weight_files) == (digest, (digest,))
    assert facts.architecture == "LlamaForCausalLM"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"layer_norm_with_affine": False},
            "layer_norm_type rms with layer_norm_with_affine False",
        ),
        ({"include_bias": True}, "has bias"),
        ({"alibi": True}, "no rotary positions"),
        ({"attention_layer_norm": True}, "norms of queries and keys"),
        ({"activation_type": "gelu"}, "other than SwiGLU"),
        ({"clip_qkv": 8.0}, "clipped queries"),
    ],
)
def test_what_no_class_computes_is_refused(changes, said):
    """By name, before any weights are read."""
    with pytest.raises(LabError, match=said):
        converted_config(HF_OLMO | changes)


def test_bad_weights_leave_nothing_behind(tmp_path, monkeypatch):
    """A tensor without a place, and a pickle that is more than tensors: refused, and no folder."""
    import pickle

    cache = HubCache(home=tmp_path / "home")
    cache.in_use(monkeypatch)
    weights = hf_olmo_weights(HF_OLMO) | {"blocks.0.q_norm.weight": torch.ones(32)}
    folder = published(tmp_path, weights)
    there = cache.put("allenai/DataDecide-c4-4M", folder, revision="step1250-seed-default")
    with pytest.raises(LabError, match=r"q_norm\.weight.*no class of transformers has a place"):
        folders_of(first())
    ran = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (ran,)

    (there / "pytorch_model.bin").write_bytes(pickle.dumps({"a": Evil()}))
    with pytest.raises(LabError, match="cannot be read by a reader that runs nothing"):
        folders_of(first())
    assert not ran.exists()
    assert not list((cache.home / "emergecast" / "converted").iterdir())
