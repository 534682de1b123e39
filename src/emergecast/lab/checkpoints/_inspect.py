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
)
from emergecast.lab.checkpoints._converted import converted_config, is_hf_olmo
from emergecast.lab.checkpoints._hub import (
    Folders,
    cached,
    folder_of,
    folders_of,
    is_here,
    listing,
    published_params,
)
from emergecast.lab.checkpoints._read_config import (
    CONFIG,
    architecture_of,
    check_fit,
    named_dtype,
    read_config,
    width_of,
)
from emergecast.lab.checkpoints._sentencepiece import sentencepiece_model
from emergecast.lab.checkpoints._weights import (
    first_dtype,
    hash_each,
    hash_files,
    hash_of_hashes,
    named_weights,
    read_object,
    refuse_pickled,
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
_OF_MODEL: Final = (CONFIG, "generation_config.json")
"""Files whose content moves scores beside the weights."""
_OF_TOKENIZER: Final = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
"""The same beside the vocabulary."""
_SAY_NOTHING: Final = frozenset(
    {"_name_or_path", "name_or_path", "transformers_version", "chat_template"}
)
"""Settings that say who saved a model, and from where, and what is not used here."""


def inspect(checkpoint: Checkpoint) -> CheckpointFacts:
    """What the files of a checkpoint say; those of one of the catalogue are asked of the hub.

    Weights of the catalogue that are not here are not downloaded for this.

    Raises:
        LabError: A file is missing or corrupt, or says what cannot be true.
    """
    if checkpoint.source is not None and cached(checkpoint) is None:
        return _asked(checkpoint)
    folders = folders_of(checkpoint)
    folder = folders.model
    files = weight_files(folder)
    # What is quick comes before hashing the weights.
    tensors, config = stored_tensors(files), read_config(folder)
    check_fit(config, tensors, folder)
    hashes = file_hashes(folders)
    return CheckpointFacts(
        weights_hash=hashes.weights,
        architecture=architecture_of(config, folder),
        params=sum(each.count for each in tensors.values()),
        tokenizer_hash=hashes.tokenizer,
        dtype=named_dtype(config) or first_dtype(tensors),
        config_hash=hashes.config,
        weight_files=hash_each(_published(folders)),
        width=width_of(config),
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


def _asked(checkpoint: Checkpoint) -> CheckpointFacts:
    """The same of weights that are on the hub alone: nothing but settings is downloaded."""
    folders = folders_of(checkpoint, weights=False)
    folder = folders.published
    files = listing(checkpoint).weights(checkpoint.subfolder, folder)
    if checkpoint.source is not None and not checkpoint.source.catalogued:
        refuse_pickled(str(checkpoint.repo), [file.name for file in files])
    each = tuple(file.sha256 for file in files if file.sha256 is not None)
    if not files or len(each) < len(files):
        raise LabError(
            f'the hub does not say the SHA-256 of the weights of checkpoint "{checkpoint.name}" in'
            f' "{checkpoint.repo}". Fetch it: emergecast fetch.'
        )
    config = read_object(folder / CONFIG)
    config = converted_config(config) if is_hf_olmo(config) else read_config(folder)
    params = checkpoint.params or published_params(checkpoint)
    two_bytes = sum(file.size for file in files) < 3 * params
    return CheckpointFacts(
        weights_hash=hash_of_hashes(each),
        architecture=architecture_of(config, folder),
        params=params,
        tokenizer_hash=_tokenizer_hash(folders),
        dtype=named_dtype(config) or ("float16" if two_bytes else "float32"),
        config_hash=_config_hash(folders),
        weight_files=each,
        width=width_of(config),
    )


def file_hashes(folders: Folders) -> FileHashes:
    """What decides the scores of a checkpoint; files are read again if they changed.

    Raises:
        LabError: A file is missing or corrupt.
    """
    files = _published(folders)
    each = hash_of_hashes(hash_each(files)) if folders.file_by_file else hash_files(files)
    return FileHashes(
        weights=each, config=_config_hash(folders), tokenizer=_tokenizer_hash(folders)
    )


def _published(folders: Folders) -> tuple[Path, ...]:
    """The weight files as they were published."""
    if folders.published == folders.model:
        return weight_files(folders.model)
    return tuple(folders.published / name for name in named_weights(folders.published))


def _config_hash(folders: Folders) -> str:
    places = dict.fromkeys(_OF_MODEL, folders.published)
    places |= dict.fromkeys(_OF_TOKENIZER, folders.tokenizer)
    said = {
        name: {
            key: value
            for key, value in read_object(folder / name).items()
            if key not in _SAY_NOTHING
        }
        for name, folder in places.items()
        if (folder / name).is_file()
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _tokenizer_hash(folders: Folders) -> str:
    """Of its files; another one where sentencepiece itself reads them, which makes other tokens."""
    if not folders.slow_tokenizer:
        return hash_files(_tokenizer(folders.tokenizer))
    model = hash_files((sentencepiece_model(folders.tokenizer),))
    return hashlib.sha256(f"sentencepiece {model}".encode()).hexdigest()


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
