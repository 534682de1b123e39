"""What is known of a checkpoint, and the folder its files are in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from emergecast.errors import LabError


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueSource:
    """How a checkpoint is read that is fetched when it is needed; its weights are known before."""

    tokenizer: str | None = None
    """Repository of its tokenizer; its own where None."""
    slow_tokenizer: bool = False
    """Whether sentencepiece itself reads tokenizer.model."""
    gated: bool = False
    """Whether conditions are to be accepted on the hub."""
    catalogued: bool = True
    """Whether it is of the catalogue, so that pickled weights are converted, and not refused."""


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
    lr_fraction: float | None = None
    """Learning rate at the checkpoint over the peak of its schedule; 0 where it was annealed."""
    tokenizer: str | None = None
    """Name of the tokenizer, as the table shows it; a hash of its files where None."""
    source: CatalogueSource | None = None
    """How it is read, where it is of the catalogue or not kept; weight files are hashed one by one
    then."""

    def __post_init__(self) -> None:
        """Refuse a checkpoint that is nowhere, or in two places, or beyond its peak.

        Raises:
            LabError: Neither or both of `path` and `repo` are given, a revision of a folder, or an
                `lr_fraction` outside 0 to 1.
        """
        if self.lr_fraction is not None and not 0 <= self.lr_fraction <= 1:
            raise LabError(
                f'checkpoint "{self.name}" has lr_fraction {self.lr_fraction:g}, and a share of the'
                " peak lies between 0 and 1. Correct it, or leave it out."
            )
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
            "lr_fraction": self.lr_fraction,
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
    weight_files: tuple[str, ...]
    """SHA-256 of each weight file, in the order of their names."""
    width: int | None
    """Numbers that a token becomes in the model; None where its configuration does not say it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileHashes:
    """What the files of a checkpoint are, by content; fields as in `CheckpointFacts`."""

    weights: str
    config: str
    tokenizer: str
