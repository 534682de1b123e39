"""What the files of a checkpoint say, and what is wrong with them, without loading a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from emergecast.errors import LabError
from emergecast.lab.checkpoints._checkpoint import Checkpoint, CheckpointFacts, folder_of
from emergecast.lab.checkpoints._weights import (
    count_params,
    first_dtype,
    hash_files,
    read_object,
    weight_files,
)

_CONFIG: Final = "config.json"
_TOKENIZERS: Final = (
    ("tokenizer.json",),
    ("tokenizer.model",),
    ("spiece.model",),
    ("vocab.json", "merges.txt"),
    ("vocab.txt",),
)
"""Files that decide which tokens a text becomes; the first that are there count."""


def inspect(checkpoint: Checkpoint) -> CheckpointFacts:
    """What the files of a checkpoint say.

    Raises:
        LabError: A file is missing or corrupt.
    """
    folder = folder_of(checkpoint)
    files = weight_files(folder)
    # What is quick comes before hashing the weights.
    params, config, tokenizer = count_params(files), _config(folder), _tokenizer_files(folder)
    named = config.get("dtype", config.get("torch_dtype"))  # the key of transformers 5, or of 4
    dtype = named.removeprefix("torch.") if isinstance(named, str) else first_dtype(files)
    return CheckpointFacts(
        weights_hash=hash_files(files),
        architecture=_architecture(config, folder),
        params=params,
        tokenizer_hash=hash_files(tokenizer),
        dtype=dtype,
    )


def _architecture(config: dict[str, Any], folder: Path) -> str:
    names = config.get("architectures") or [config.get("model_type")]
    if not isinstance(names[0], str):
        raise LabError(
            f'"{folder / _CONFIG}" names neither architectures nor model_type, so nobody can'
            " tell which model this is. Give the folder that save_pretrained wrote."
        )
    return names[0]


def _config(folder: Path) -> dict[str, Any]:
    file = folder / _CONFIG
    if not file.is_file():
        raise LabError(
            f'there is no "{file}", so "{folder}" is not a model folder. Give the folder that'
            " save_pretrained wrote."
        )
    return read_object(file)


def _tokenizer_files(folder: Path) -> tuple[Path, ...]:
    for names in _TOKENIZERS:
        files = tuple(folder / name for name in names)
        if all(file.is_file() for file in files):
            return files
    raise LabError(
        f'"{folder}" holds no tokenizer (tokenizer.json, tokenizer.model, vocab.json with'
        " merges.txt, ...). Save the tokenizer beside the model."
    )
