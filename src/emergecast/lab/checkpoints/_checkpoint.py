"""What is known of a checkpoint, and the folder its files are in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from emergecast.errors import LabError


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """One checkpoint of a pretraining series, in a local folder or on the hub."""

    name: str
    """Unique within its series."""
    series: str
    """Name of its series."""
    path: Path | None = None
    """Local model folder; None where `repo` says where on the hub."""
    repo: str | None = None
    """Repository on the hub, `owner/name`."""
    revision: str | None = None
    """Branch, tag or commit of `repo`; its main branch where None."""
    subfolder: str | None = None
    """Folder of the model within `path` or `repo`."""
    params: int | None = None
    """Parameters, where the user says so; `inspect` counts them otherwise."""
    tokens: int | None = None
    """Tokens of pretraining."""
    flops: float | None = None
    """Compute of pretraining; 6 * params * tokens where None."""
    pretraining_learning_rate: float | None = None
    """Learning rate at the checkpoint, for methods that state theirs as a multiple of it."""
    tokenizer: str | None = None
    """Name of the tokenizer, as the table shows it; a hash of its files where None."""

    def __post_init__(self) -> None:
        """Refuse a checkpoint that is nowhere, or in two places.

        Raises:
            LabError: Neither or both of `path` and `repo` are given, or a revision of a folder.
        """
        if (self.path is None) == (self.repo is None):
            raise LabError(
                f'checkpoint "{self.name}" needs a path or a repo, and not both'
                f" (path {self.path}, repo {self.repo}). Give one of them."
            )
        if self.path is not None and self.revision is not None:
            raise LabError(
                f'checkpoint "{self.name}" asks for revision "{self.revision}" of the local folder'
                f' "{self.path}", and a folder has none: transformers would silently read the same'
                " weights for every revision. Give each revision a folder, or use repo."
            )

    @property
    def title(self) -> str:
        """Series and name."""
        return f"{self.series}/{self.name}"

    def columns(self, *, params: int, tokenizer_hash: str) -> dict[str, str | float | None]:
        """What a table says of it; what its files say stands where the user says nothing."""
        return {
            "series": self.series,
            "checkpoint": self.name,
            "params": self.params or params,
            "tokens": self.tokens,
            "flops": self.flops,
            "tokenizer": self.tokenizer or tokenizer_hash[:12],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointFacts:
    """What the files of a checkpoint say."""

    weights_hash: str
    """SHA-256 over the weight files in the order of their names, in hexadecimal."""
    architecture: str
    """Class of the model as `config.json` names it."""
    params: int
    """Parameters stored, tied ones once."""
    tokenizer_hash: str
    """SHA-256 over the files of the tokenizer, in hexadecimal."""
    dtype: str | None
    """Type that transformers gives the weights, such as "bfloat16"; None where no file says it."""
    config_hash: str
    """SHA-256 over what the settings of model, tokenizer and generation say, in hexadecimal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileHashes:
    """What the files of a checkpoint are, by content; fields as in `CheckpointFacts`."""

    weights: str
    config: str
    tokenizer: str


def folder_of(checkpoint: Checkpoint) -> Path:
    """The folder with the checkpoint's files, downloaded if it is on the hub and not here yet.

    Raises:
        LabError: There is no such folder, repository or revision.
    """
    root = checkpoint.path if checkpoint.path is not None else _downloaded(checkpoint)
    folder = root if checkpoint.subfolder is None else root / checkpoint.subfolder
    if not folder.is_dir():
        raise LabError(
            f'checkpoint "{checkpoint.name}" should be in "{folder}", and there is no such folder.'
            " Correct its path or subfolder in the experiment file."
        )
    return folder


def is_here(checkpoint: Checkpoint) -> bool:
    """Whether its files are on this machine, as far as that is seen without asking a hub."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    inside = "/".join(filter(None, (checkpoint.subfolder, "config.json")))
    if checkpoint.path is not None:
        return (checkpoint.path / inside).is_file()
    try:
        found = try_to_load_from_cache(str(checkpoint.repo), inside, revision=checkpoint.revision)
    except HFValidationError:  # there is none of such a name
        return False
    return isinstance(found, str)


_FILES = ("*.json", "*.safetensors", "*.model", "*.txt")


def _downloaded(checkpoint: Checkpoint) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    patterns = [
        name if checkpoint.subfolder is None else f"{checkpoint.subfolder}/{name}"
        for name in _FILES
    ]
    at = "its main branch" if checkpoint.revision is None else f'revision "{checkpoint.revision}"'
    try:
        found = snapshot_download(
            str(checkpoint.repo), revision=checkpoint.revision, allow_patterns=patterns
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError, OSError) as error:
        raise LabError(
            f'checkpoint "{checkpoint.name}" should be {at} of "{checkpoint.repo}" on the hub, and'
            f" that could not be read ({type(error).__name__}). {hub_advice()}"
        ) from error
    return Path(found)


def hub_advice() -> str:
    """What may be wrong where the hub does not give something, and what decides it here."""
    from huggingface_hub import constants

    said = [
        f"HF_HOME (where the cache lies; {os.environ.get('HF_HOME', 'not set')})",
        f"HF_HUB_OFFLINE ({os.environ.get('HF_HUB_OFFLINE', 'not set')})",
        f"HF_TOKEN ({'set' if 'HF_TOKEN' in os.environ else 'not set'})",
    ]
    return (
        "Either it does not exist or is not yours to read, or there is no connection and it is not"
        f' in the cache "{constants.HF_HUB_CACHE}". Check the names, and the variables'
        f" {', '.join(said)}."
    )
