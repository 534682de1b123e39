"""What the catalogue knows of a series."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class StoredAs(StrEnum):
    """How the weights of a series are stored."""

    SAFETENSORS = "safetensors"
    """As they are loaded."""
    PICKLE = "pickle"
    """Pickled by torch: read by a reader that runs nothing, and written as safetensors."""
    HF_OLMO = "hf_olmo"
    """In the names of the package hf_olmo: converted key by key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRevision:
    """A checkpoint that is not what its name says."""

    checkpoint: str
    """Its name within the series."""
    reason: str
    """What is wrong, as the second half of a sentence."""
    source: str
    """Where that was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedCheckpoint:
    """One checkpoint of a catalogued series."""

    name: str
    """Unique within the series, like "step3000"."""
    repository: str
    """On the hub, `owner/name`."""
    revision: str | None
    """Branch or tag; the main branch where None."""
    subfolder: str | None
    """Folder of the model within the repository; its root where None."""
    step: int | None
    """Training steps; None where phases have names alone."""
    tokens: int | None
    """Tokens of pretraining; None where nobody knows."""
    params: int | None
    """Parameters, tied ones once; None where they are counted from the weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CataloguedSeries:
    """A series that an experiment can name."""

    name: str
    """As experiments name it, like "pythia_1.4b"."""
    family: str
    """As people call it."""
    checkpoints: tuple[ListedCheckpoint, ...]
    """In the order of training, bad ones included."""
    architecture: str
    """Class of the model in transformers, or in hf_olmo."""
    tokenizer: str | None
    """Repository of the tokenizer; that of each checkpoint where None."""
    slow_tokenizer: bool
    """Whether sentencepiece itself reads its tokenizer.model."""
    weights: StoredAs
    """How the weights are stored."""
    dtype: str
    """Type that they are stored in."""
    params: int | None
    """Parameters, tied ones once; None where they differ or are not known."""
    params_without_embeddings: int | None
    """The same without input and output embeddings."""
    active_params: int | None
    """Parameters that a token meets, of a mixture of experts; None for other models."""
    tokens_per_step: int | None
    """Where they are constant."""
    context: int
    """Tokens of a training document."""
    licence: str
    """Of the weights."""
    gated: bool
    """Whether conditions are to be accepted on the hub."""
    phase: str
    """Where in its schedule the learning rate is."""
    lr_fraction: float | None
    """Learning rate over its peak, where it is the same at all checkpoints: 0 of annealed ones."""
    bad: tuple[BadRevision, ...]
    """Checkpoints that are not what they say."""
    unverified: tuple[str, ...]
    """What of all this nobody has checked."""
    source: str
    """Where it is from."""

    def flops(self, checkpoint: ListedCheckpoint) -> float | None:
        """Compute of the pretraining, 6 N D; None where N or D is not known.

        N are the parameters that a token meets.
        """
        params = self.active_params or checkpoint.params
        if params is None or checkpoint.tokens is None:
            return None
        return 6.0 * params * checkpoint.tokens
