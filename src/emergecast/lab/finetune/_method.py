"""How a model is finetuned, and where the work is kept while it goes on."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emergecast.errors import LabError

FULL: Final = "full"
_LORA: Final = re.compile(r"lora-([1-9][0-9]*)")
SCHEDULES: Final = {
    "linear": "linear",
    "cosine": "cosine",
    "constant": "constant_with_warmup",
}
"""Schedules by name, and what transformers calls them; all of them after the warmup."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneMethod:
    """Everything that decides the weights, but for the data and the seed."""

    name: str
    """"full", or "lora-" and the rank."""
    steps: int
    """Optimiser steps."""
    learning_rate: float
    """Peak learning rate."""
    batch_size: int = 32
    """Examples per step; all of them where there are fewer."""
    schedule: str = "linear"
    """Linear or cosine decay to zero, or constant."""
    warmup_steps: int = 0
    weight_decay: float = 0.0
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
        self._check("name", self.name == FULL or self.rank is not None, "full or lora-<rank>")
        self._check("schedule", self.schedule in SCHEDULES, "linear, cosine or constant")
        self._check("steps", self.steps >= 1, "1 or more")
        self._check("batch_size", self.batch_size >= 1, "1 or more")
        self._check("warmup_steps", 0 <= self.warmup_steps <= self.steps, "0 to the steps")
        rate, decay = self.learning_rate, self.weight_decay
        self._check("learning_rate", math.isfinite(rate) and rate > 0, "above 0")
        self._check("weight_decay", math.isfinite(decay) and decay >= 0, "0 or more")

    @property
    def rank(self) -> int | None:
        """Rank of the LoRA adapters; None for full finetuning."""
        found = _LORA.fullmatch(self.name)
        return None if found is None else int(found[1])

    def _check(self, field: str, fine: bool, wanted: str) -> None:  # noqa: FBT001  a claim
        if not fine:
            raise LabError(
                f"finetuning method: {field} is {getattr(self, field)!r}. Give {wanted}."
            )


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
    trackers: tuple[str, ...] = ()
    """Where the Trainer reports its losses: tensorboard, mlflow, wandb."""
    title: str | None = None
    """What the trackers call the run; a name of their own where None."""
