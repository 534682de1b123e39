"""What the files of a checkpoint say, and what is wrong with them, without loading a model."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from emergecast.errors import LabError
from emergecast.lab.checkpoints._checkpoint import (
    Checkpoint,
    CheckpointFacts,
    FileHashes,
    folder_of,
)
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
_SETTINGS: Final = (
    _CONFIG,
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
"""Files whose content moves scores beside the weights and the vocabulary."""
_SAY_NOTHING: Final = frozenset(
    {"_name_or_path", "name_or_path", "transformers_version", "chat_template"}
)
"""Settings that say who saved a model, and from where, and what is not used here."""


def inspect(checkpoint: Checkpoint) -> CheckpointFacts:
    """What the files of a checkpoint say.

    Raises:
        LabError: A file is missing or corrupt.
    """
    folder = folder_of(checkpoint)
    files = weight_files(folder)
    # What is quick comes before hashing the weights.
    params, config, _ = count_params(files), _config(folder), _tokenizer_files(folder)
    named = config.get("dtype", config.get("torch_dtype"))  # the key of transformers 5, or of 4
    dtype = named.removeprefix("torch.") if isinstance(named, str) else first_dtype(files)
    hashes = file_hashes(folder)
    return CheckpointFacts(
        weights_hash=hashes.weights,
        architecture=_architecture(config, folder),
        params=params,
        tokenizer_hash=hashes.tokenizer,
        dtype=dtype,
        config_hash=hashes.config,
    )


def file_hashes(folder: Path) -> FileHashes:
    """What decides the scores of the checkpoint in a folder; files are read again if they changed.

    Raises:
        LabError: A file is missing or corrupt.
    """
    said = {
        name: {
            key: value
            for key, value in read_object(folder / name).items()
            if key not in _SAY_NOTHING
        }
        for name in _SETTINGS
        if (folder / name).is_file()
    }
    return FileHashes(
        weights=hash_files(weight_files(folder)),
        config=hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest(),
        tokenizer=hash_files(_tokenizer_files(folder)),
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
