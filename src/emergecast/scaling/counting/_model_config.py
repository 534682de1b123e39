"""Reads the architecture out of a model's config.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from emergecast.errors import ScalingError
from emergecast.files import read_whole
from emergecast.scaling.counting._architecture import Architecture

_LLAMA: Final[Mapping[str, str]] = MappingProxyType(
    {
        "layers": "num_hidden_layers",
        "d_model": "hidden_size",
        "heads": "num_attention_heads",
        "d_ff": "intermediate_size",
        "vocab": "vocab_size",
        "context": "max_position_embeddings",
    }
)
_GPT2: Final[Mapping[str, str]] = MappingProxyType(
    {
        "layers": "n_layer",
        "d_model": "n_embd",
        "heads": "n_head",
        "d_ff": "n_inner",
        "vocab": "vocab_size",
        "context": "n_positions",
    }
)
_RMS: Final = MappingProxyType({"gated_mlp": True, "norm_vectors": 1})
_BIASED: Final = MappingProxyType(
    {"norm_vectors": 2, "qkv_bias": True, "projection_bias": True, "mlp_bias": True}
)
_KNOWN: Final[Mapping[str, tuple[Mapping[str, str], Mapping[str, int | bool]]]] = MappingProxyType(
    {
        "llama": (_LLAMA, _RMS),
        "mistral": (_LLAMA, _RMS),
        "qwen2": (_LLAMA, {**_RMS, "qkv_bias": True}),
        "gemma": (_LLAMA, {**_RMS, "tied": True}),
        "gpt_neox": (_LLAMA, _BIASED),
        "gpt2": (_GPT2, {**_BIASED, "tied": True}),
    }
)
"""Model types: what their numbers are called, and what the type decides itself."""
_REQUIRED: Final = frozenset({"layers", "d_model", "heads", "d_ff", "vocab", "context"})


def read_architecture(path: str | Path, context: int | None = None) -> Architecture:
    """The architecture in a config.json, as Hugging Face writes them or with our own names.

    Known model types are llama, mistral, qwen2, gemma, gpt_neox and gpt2. A file without
    `model_type` takes the names of the fields of `Architecture`; `head_dim` and `kv_heads` follow
    from the others where absent.

    Args:
        path: the file.
        context: tokens of a training sequence; None takes the longest the model is configured for.

    Raises:
        ScalingError: the file is not such a config; names the key, its value and what is possible.
        OSError: the file cannot be read.
    """
    where = f'"{path}"'
    try:
        config = json.loads(read_whole(path))
    except (ValueError, RecursionError) as error:
        raise ScalingError(f"{where} is not JSON: {error}. Give a model's config.json.") from None
    if not isinstance(config, dict):
        raise ScalingError(f"{where} holds no JSON object. Give a model's config.json.")
    if context is not None and context < 1:
        raise ScalingError(f"a context of {context} tokens is not possible. Use 1 or more.")
    found = _own(config, where) if "model_type" not in config else _hugging_face(config, where)
    if context is not None:
        found["context"] = context
    try:
        architecture = Architecture(**found)
    except ScalingError as error:
        raise ScalingError(f"{where}: {error}") from None
    window = config.get("sliding_window") if config.get("use_sliding_window", True) else None
    if isinstance(window, int) and window < architecture.context:
        raise ScalingError(
            f"{where}: attention reaches {window} tokens back (sliding_window) and the context is "
            f"{architecture.context}, which is not counted here. Give a context of at most "
            f"{window}."
        )
    return architecture


def _own(config: dict[str, Any], where: str) -> dict[str, Any]:
    """Our own names."""
    names = {each.name for each in fields(Architecture)}
    if not names & set(config):
        raise ScalingError(
            f'{where} has no "model_type". Give the config.json of a model, or the keys '
            f"{', '.join(sorted(_REQUIRED))}."
        )
    if unknown := sorted(set(config) - names):
        raise ScalingError(
            f'{where}: there is no key "{unknown[0]}". Use {", ".join(sorted(names))}; a file with '
            '"model_type" is read as Hugging Face writes it.'
        )
    found = dict(config)
    _require(found, {name: name for name in _REQUIRED}, where)
    _heads(found, "heads", where)
    return found


def _hugging_face(config: dict[str, Any], where: str) -> dict[str, Any]:
    """The names of a known model type."""
    kind = config["model_type"]
    if not isinstance(kind, str) or kind not in _KNOWN:
        raise ScalingError(
            f"{where}: how a model of type {kind!r} is built is not known here. Known are "
            f"{', '.join(_KNOWN)}; for another dense decoder write a file without model_type and "
            f"with {', '.join(sorted(_REQUIRED))}."
        )
    names, decided = _KNOWN[kind]
    found: dict[str, Any] = {ours: config.get(theirs) for ours, theirs in names.items()}
    if kind == "gpt2":
        found["context"] = found["context"] or config.get("n_ctx")
        if found["d_ff"] is None and isinstance(found["d_model"], int):
            found["d_ff"] = 4 * found["d_model"]
        found["positions"] = found["context"]
    _require(found, names, where)
    found |= decided
    for ours, theirs in (("head_dim", "head_dim"), ("kv_heads", "num_key_value_heads")):
        if config.get(theirs) is not None:
            found[ours] = config[theirs]
    _heads(found, names["heads"], where)
    if config.get("tie_word_embeddings") is not None:
        found["tied"] = config["tie_word_embeddings"]
    if kind in {"llama", "mistral"} and config.get("attention_bias"):
        found |= {"qkv_bias": True, "projection_bias": True}
    if kind == "gpt_neox" and config.get("attention_bias") is False:
        found |= {"qkv_bias": False, "projection_bias": False}
    if kind == "llama" and config.get("mlp_bias"):
        found["mlp_bias"] = True
    return found


def _require(found: dict[str, Any], names: Mapping[str, str], where: str) -> None:
    """Refuse a missing number, all of them at once."""
    missing = sorted(theirs for ours, theirs in names.items() if found.get(ours) is None)
    if missing:
        raise ScalingError(
            f"{where} lacks {', '.join(missing)}. Add {'it' if len(missing) == 1 else 'them'}."
        )


def _heads(found: dict[str, Any], name: str, where: str) -> None:
    """Fill in the width and the number of key and value heads."""
    width, heads = found["d_model"], found["heads"]
    found["kv_heads"] = found.get("kv_heads") or heads
    if found.get("head_dim") is None:
        if not isinstance(width, int) or not isinstance(heads, int) or heads < 1 or width % heads:
            raise ScalingError(
                f"{where}: a width of {width!r} does not divide into {heads!r} heads ({name}). "
                "Correct either, or give head_dim."
            )
        found["head_dim"] = width // heads
