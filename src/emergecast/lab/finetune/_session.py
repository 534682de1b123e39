"""Where a finetuning keeps its work while it goes on, and who is told of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Tracker(StrEnum):
    """Where the Trainer reports its losses as it goes."""

    TENSORBOARD = "tensorboard"
    MLFLOW = "mlflow"
    WANDB = "wandb"


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
