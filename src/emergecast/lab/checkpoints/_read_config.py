"""What `config.json` says of a model, and whether it can be true of the weights beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from emergecast.errors import LabError
from emergecast.lab.checkpoints._safetensors import StoredTensor
from emergecast.lab.checkpoints._weights import read_object

CONFIG: Final = "config.json"
_WIDTHS: Final = ("hidden_size", "n_embd", "d_model", "dim")
_LAYERS: Final = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_HEADS: Final = ("num_attention_heads", "n_head", "n_heads", "num_heads")
_SIZES: Final = (
    *_WIDTHS,
    *_LAYERS,
    *_HEADS,
    "vocab_size",
    "num_key_value_heads",
    "head_dim",
    "intermediate_size",
    "n_inner",
    "max_position_embeddings",
    "n_positions",
)
"""Numbers that are whole and above 0, in any architecture that has them."""
_CONTEXTS: Final = ("max_position_embeddings", "n_positions", "n_ctx")
_USUAL_CONTEXT: Final = 2048
"""Tokens that a model takes where its configuration does not say it."""
_LARGEST: Final = 10**9
"""Above the largest size of anything that was ever trained."""
_NUMBERS: Final = (
    "rms_norm_eps",
    "layer_norm_eps",
    "layer_norm_epsilon",
    "initializer_range",
    "rope_theta",
)
"""Numbers that are finite and not below 0."""
_DTYPES: Final = frozenset({"float64", "float32", "float16", "bfloat16", "auto"})


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of the model in a folder.

    Raises:
        LabError: there is none, or a value in it has the wrong type or is absurd.
    """
    file = folder / CONFIG
    if not file.is_file():
        raise LabError(
            f'there is no "{file}", so "{folder}" is not a model folder. Give the folder that'
            " save_pretrained wrote."
        )
    config = read_object(file)
    for name in _SIZES:
        _check_size(file, name, config.get(name))
    for name in _NUMBERS:
        value = config.get(name)
        if value is not None and not (_is_number(value) and 0 <= value < math.inf):
            raise _wrong(file, name, value, "a number from 0 on")
    for name in ("model_type", "dtype", "torch_dtype"):
        value = config.get(name)
        if value is not None and not isinstance(value, str):
            raise _wrong(file, name, value, "a word")
    named = config.get("architectures")
    if named is not None and not (
        isinstance(named, list) and all(isinstance(each, str) and each for each in named)
    ):
        raise _wrong(file, "architectures", named, "a list of names")
    dtype = named_dtype(config)
    if dtype is not None and dtype not in _DTYPES and not dtype.startswith("float8"):
        raise _wrong(file, "dtype", dtype, f"one of {', '.join(sorted(_DTYPES))}")
    return config


def named_dtype(config: Mapping[str, Any]) -> str | None:
    """Type of the weights as a configuration states it, under the key of transformers 5 or 4."""
    named = config.get("dtype", config.get("torch_dtype"))
    return named.removeprefix("torch.") if isinstance(named, str) else None


def width_of(config: Mapping[str, Any]) -> int | None:
    """Numbers that a token becomes in the model; None where the configuration does not say it."""
    stated = (config.get(name) for name in _WIDTHS)
    return next((width for width in stated if isinstance(width, int)), None)


def context_length(config: object) -> int:
    """Tokens of the longest sequence that a model takes, by its configuration in transformers."""
    stated = (getattr(config, name, None) for name in _CONTEXTS)
    return next((length for length in stated if isinstance(length, int)), _USUAL_CONTEXT)


def architecture_of(config: Mapping[str, Any], folder: Path) -> str:
    """Class of the model.

    Raises:
        LabError: the configuration does not name it.
    """
    names = config.get("architectures") or [config.get("model_type")]
    if not isinstance(names[0], str):
        raise LabError(
            f'"{folder / CONFIG}" names neither architectures nor model_type, so nobody can'
            " tell which model this is. Give the folder that save_pretrained wrote."
        )
    return names[0]


def check_fit(config: Mapping[str, Any], tensors: Mapping[str, StoredTensor], folder: Path) -> None:
    """Refuse a configuration of a model that needs more than what is stored.

    Necessary conditions alone, true of every architecture: a tensor for each layer, and an
    embedding of the whole vocabulary.

    Raises:
        LabError: they are not met.
    """
    stored = sum(each.count for each in tensors.values())
    width, layers, heads, vocabulary = (
        next((config[name] for name in names if isinstance(config.get(name), int)), None)
        for names in (_WIDTHS, _LAYERS, _HEADS, ("vocab_size",))
    )
    said = None
    if layers is not None and layers > len(tensors):
        said = f"{layers:,} layers, and {len(tensors):,} tensors are stored"
    elif vocabulary is not None and vocabulary > stored:
        said = f"a vocabulary of {vocabulary:,}, and {stored:,} numbers are stored"
    elif width is not None and width > stored:
        said = f"a width of {width:,}, and {stored:,} numbers are stored"
    elif heads is not None and width is not None and not config.get("head_dim") and heads > width:
        said = f"{heads:,} heads in a width of {width:,}"
    if said is not None:
        raise LabError(
            f'"{folder / CONFIG}" describes a model of {said}: it does not belong to the weights'
            " beside it. Copy or download the folder again."
        )


def _check_size(file: Path, name: str, value: object) -> None:
    """A size is a whole number; some architectures give one for each layer."""
    for each in value if isinstance(value, list) else [value]:
        if each is None:
            continue
        if not isinstance(each, int) or isinstance(each, bool) or not 1 <= each <= _LARGEST:
            raise _wrong(file, name, value, f"a whole number from 1 to {_LARGEST:,}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _wrong(file: Path, name: str, value: object, wanted: str) -> LabError:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return LabError(
        f'"{file}": {name} is {shown}, and should be {wanted}. Copy or download the folder again.'
    )
