"""What the files of a checkpoint say, and what is wrong with them, without loading a model."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from emergecast.errors import LabError
from emergecast.lab.checkpoints._checkpoint import Checkpoint, CheckpointFacts, folder_of
from emergecast.lab.checkpoints._read_config import (
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


def inspect(checkpoint: Checkpoint) -> CheckpointFacts:
    """What the files of a checkpoint say.

    Raises:
        LabError: A file is missing or corrupt, or says what cannot be true.
    """
    folder = folder_of(checkpoint)
    files = weight_files(folder)
    # What is quick comes before hashing the weights.
    tensors, config, tokenizer = stored_tensors(files), read_config(folder), _tokenizer(folder)
    check_fit(config, tensors, folder)
    return CheckpointFacts(
        weights_hash=hash_files(files),
        architecture=architecture_of(config, folder),
        params=sum(each.count for each in tensors.values()),
        tokenizer_hash=hash_files(tokenizer),
        dtype=named_dtype(config) or first_dtype(tensors),
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
