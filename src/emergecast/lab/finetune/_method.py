"""How a model is finetuned, and where the work is kept while it goes on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from emergecast.errors import LabError
from emergecast.measurements import DEFAULT_METHOD, lora_rank

DEFAULT_BATCH: Final = 32
"""Examples per step where nobody says."""


class Schedule(StrEnum):
    """How the learning rate changes after the warmup."""

    LINEAR = "linear"
    """Decays to zero."""
    COSINE = "cosine"
    """Decays to zero along half a cosine."""
    CONSTANT = "constant"


class Tracker(StrEnum):
    """Where the Trainer reports its losses as it goes."""

    TENSORBOARD = "tensorboard"
    MLFLOW = "mlflow"
    WANDB = "wandb"


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneMethod:
    """Everything that decides the weights, but for the data and the seed.

    Every field is part of the keys of runs: a new one needs a value that old runs leave out.
    """

    name: str
    """"full", or "lora-" and the rank."""
    steps: int
    """Optimiser steps."""
    learning_rate: float
    """Peak learning rate."""
    batch_size: int = DEFAULT_BATCH
    """Examples per step; all of them where there are fewer."""
    schedule: Schedule = Schedule.LINEAR
    """How the learning rate changes after the warmup."""
    warmup_steps: int = 0
    """Steps until the learning rate is at its peak."""
    weight_decay: float = 0.0
    """Decoupled, as AdamW's."""
    max_grad_norm: float | None = 1.0
    """Longer gradients are cut to this norm; None for none."""
    train_embeddings: bool = True
    """Whether the embeddings of tokens learn too. On tiny models whose output is tied to
    them they should not: an answer pushes every other token down a little, and Adam makes a full
    step of that."""

    def __post_init__(self) -> None:
        """Refuse values that no training can have.

        Raises:
            LabError: Names the value and what it should be.
        """
        self._check("name", is_method(self.name), "full or lora-<rank>")
        self._check("schedule", self.schedule in tuple(Schedule), "linear, cosine or constant")
        self._check("steps", self.steps >= 1, "1 or more")
        self._check("batch_size", self.batch_size >= 1, "1 or more")
        self._check("warmup_steps", 0 <= self.warmup_steps <= self.steps, "0 to the steps")
        rate, decay = self.learning_rate, self.weight_decay
        self._check("learning_rate", math.isfinite(rate) and rate > 0, "above 0")
        self._check("weight_decay", math.isfinite(decay) and decay >= 0, "0 or more")

    @property
    def rank(self) -> int | None:
        """Rank of the LoRA adapters; None for full finetuning."""
        return lora_rank(self.name)

    def epochs(self, examples: int) -> float:
        """How often each of `examples` is seen."""
        return self.steps * self.batch_size / examples

    def _check(self, field: str, fine: bool, wanted: str) -> None:  # noqa: FBT001  a claim
        if not fine:
            raise LabError(
                f"finetuning method: {field} is {getattr(self, field)!r}. Give {wanted}."
            )


def is_method(name: str) -> bool:
    """Whether there is a way of finetuning called so."""
    return name == DEFAULT_METHOD or lora_rank(name) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Where a finetuning keeps its work and reports to; the weights do not depend on it."""

    folder: Path | None = None
    """Where training checkpoints go; None for none."""
    resume: bool = False
    """Go on from the last whole training checkpoint in `folder`, if there is one."""
    save_every_seconds: float | None = None
    """Seconds between training checkpoints; None for none."""
    on_step: Callable[[int, float], None] | None = None
    """Called after every step with the steps done and the loss of the last one."""
    micro_batch_size: int | None = None
    """Examples that pass through the model at a time, so that a batch needs less memory: the
    largest divisor of the batch size that is not above this. None for the whole batch."""
    trackers: tuple[Tracker, ...] = ()
    """Where the Trainer reports its losses."""
    title: str | None = None
    """What the trackers call the run; a name of their own where None."""
