"""What the files of a checkpoint say, and what is wrong with them, without loading a model."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Final

from emergecast.errors import LabError
from emergecast.lab.checkpoints._checkpoint import (
    Checkpoint,
    CheckpointFacts,
    FileHashes,
    folder_of,
    is_here,
)
from emergecast.lab.checkpoints._read_config import (
    CONFIG,
    architecture_of,
    check_fit,
    named_dtype,
    read_config,
)
from emergecast.lab.checkpoints._weights import (
    first_dtype,
    hash_files,
    read_object,
    stored_tensors,
    weight_files,
)

_TOKENIZERS: Final = (
    ("tokenizer.json",),
    ("tokenizer.model",),
    ("spiece.model",),
    ("vocab.json", "merges.txt"),
    ("vocab.txt",),
)
"""Files that decide which tokens a text becomes; the first that are there count."""
_SETTINGS: Final = (
    CONFIG,
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
        LabError: A file is missing or corrupt, or says what cannot be true.
    """
    folder = folder_of(checkpoint)
    files = weight_files(folder)
    # What is quick comes before hashing the weights.
    tensors, config = stored_tensors(files), read_config(folder)
    check_fit(config, tensors, folder)
    hashes = file_hashes(folder)
    return CheckpointFacts(
        weights_hash=hashes.weights,
        architecture=architecture_of(config, folder),
        params=sum(each.count for each in tensors.values()),
        tokenizer_hash=hashes.tokenizer,
        dtype=named_dtype(config) or first_dtype(tensors),
        config_hash=hashes.config,
    )


def known_params(checkpoint: Checkpoint) -> int | None:
    """Its parameters, where they are stated or its files are here; hashes and fetches nothing.

    Raises:
        LabError: A file is missing or corrupt.
    """
    if checkpoint.params is not None or not is_here(checkpoint):
        return checkpoint.params
    tensors = stored_tensors(weight_files(folder_of(checkpoint)))
    return sum(each.count for each in tensors.values())


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
        tokenizer=hash_files(_tokenizer(folder)),
    )


def _tokenizer(folder: Path) -> tuple[Path, ...]:
    """The files of the tokenizer."""
    for names in _TOKENIZERS:
        files = tuple(folder / name for name in names)
        if all(file.is_file() for file in files):
            for file in files:
                if file.suffix == ".json":
                    read_object(file)
            return files
    raise LabError(
        f'"{folder}" holds no tokenizer (tokenizer.json, tokenizer.model, vocab.json with'
        " merges.txt, ...). Save the tokenizer beside the model."
    )
