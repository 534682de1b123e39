"""What the files of a checkpoint say, and what is wrong with them, without loading a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from emergecast.errors import LabError
from emergecast.lab.checkpoints._checkpoint import Checkpoint, CheckpointFacts, folder_of
from emergecast.lab.checkpoints._weights import count_params, first_dtype, hash_files, weight_files

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
    return CheckpointFacts(
        weights_hash=hash_files(files),
        architecture=_architecture(folder),
        params=count_params(files),
        tokenizer_hash=hash_files(_tokenizer_files(folder)),
        dtype=_dtype(folder) or first_dtype(files),
    )


def _architecture(folder: Path) -> str:
    config = _config(folder / "config.json")
    names = config.get("architectures") or [config.get("model_type")]
    if not isinstance(names[0], str):
        raise LabError(
            f'"{folder / "config.json"}" names neither architectures nor model_type, so nobody can'
            " tell which model this is. Give the folder that save_pretrained wrote."
        )
    return names[0]


def _dtype(folder: Path) -> str | None:
    """As the configuration names it, under the key of today or that of transformers 4."""
    config = _config(folder / "config.json")
    named = config.get("dtype", config.get("torch_dtype"))
    return named.removeprefix("torch.") if isinstance(named, str) else None


def _config(file: Path) -> dict[str, Any]:
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LabError(
            f'there is no "{file}", so "{file.parent}" is not a model folder. Give the folder that'
            " save_pretrained wrote."
        ) from None
    except ValueError as error:
        raise LabError(
            f'"{file}" is not JSON ({error}). Copy or download the folder again.'
        ) from None
    if not isinstance(config, dict):
        raise LabError(f'"{file}" holds no JSON object. Copy or download the folder again.')
    return config


def _tokenizer_files(folder: Path) -> tuple[Path, ...]:
    for names in _TOKENIZERS:
        files = tuple(folder / name for name in names)
        if all(file.is_file() for file in files):
            return files
    raise LabError(
        f'"{folder}" holds no tokenizer (tokenizer.json, tokenizer.model, vocab.json with'
        " merges.txt, ...). Save the tokenizer beside the model."
    )
