"""Checkpoints as the package hf_olmo saves them: small, with random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

VOCABULARY = 304
HF_OLMO: dict[str, Any] = {
    "architectures": ["OLMoForCausalLM"],
    "model_type": "hf_olmo",
    "d_model": 32,
    "n_heads": 4,
    "n_kv_heads": None,
    "n_layers": 2,
    "mlp_ratio": 8,
    "mlp_hidden_size": None,
    "activation_type": "swiglu",
    "block_type": "sequential",
    "rope": True,
    "rope_theta": 10000,
    "alibi": False,
    "include_bias": False,
    "bias_for_layer_norm": False,
    "layer_norm_type": "rms",
    "layer_norm_with_affine": True,
    "layer_norm_eps": 1e-6,
    "attention_layer_norm": False,
    "weight_tying": False,
    "max_sequence_length": 8192,
    "vocab_size": 300,
    "embedding_size": VOCABULARY,
    "eos_token_id": 0,
    "pad_token_id": 1,
}
"""As scripts/ladder.py of allenai/OLMo makes DataDecide's models, smaller."""


def hf_olmo_weights(config: dict[str, Any], *, seed: int = 3) -> dict[str, torch.Tensor]:
    """Random weights under the names of hf_olmo; norms that are not all ones."""
    torch.manual_seed(seed)
    width = config["d_model"]
    hidden = config["mlp_hidden_size"] or config["mlp_ratio"] * width
    shared = width // config["n_heads"] * (config["n_kv_heads"] or config["n_heads"])

    def some(*shape: int) -> torch.Tensor:
        return torch.randn(*shape) * 0.3

    weights = {"wte.weight": some(VOCABULARY, width)}
    if not config["weight_tying"]:
        weights["ff_out.weight"] = some(VOCABULARY, width)
    norms = ["ln_f"]
    for layer in range(config["n_layers"]):
        block = f"blocks.{layer}"
        weights[f"{block}.att_proj.weight"] = some(width + 2 * shared, width)
        weights[f"{block}.attn_out.weight"] = some(width, width)
        weights[f"{block}.ff_proj.weight"] = some(hidden, width)
        weights[f"{block}.ff_out.weight"] = some(width, hidden // 2)
        norms += [f"{block}.attn_norm", f"{block}.ff_norm"]
    if config["layer_norm_with_affine"]:
        weights |= {f"{norm}.weight": 1 + some(width) for norm in norms}
    return weights


def hf_olmo_files(
    folder: Path, weights: dict[str, torch.Tensor], config: dict[str, Any] = HF_OLMO
) -> Path:
    """A folder with the settings and the pickled weights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    stored = {f"model.transformer.{name}": each for name, each in weights.items()}
    torch.save(stored, folder / "pytorch_model.bin")
    return folder
