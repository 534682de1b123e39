"""What a run found, as the ledger keeps it: a loss, or scores with their items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Held-out loss of a checkpoint."""

    nats_per_token: float
    stderr: float | None
    nats_per_byte: float | None
    byte_stderr: float | None
    tokens: int
    bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Mean of one metric over the test items."""

    metric: str
    score: float
    stderr: float | None
    """Sampling error of the mean; None where it is not known."""
    n_items: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run found."""

    loss: Loss | None = None
    scores: tuple[Score, ...] = ()
    """The task's own metric first."""
    training: Mapping[str, Any] | None = None
    """What the finetuning says of itself: steps, loss."""
    items: tuple[Mapping[str, Any], ...] = ()
    """Outcome of each test item."""
    timings: Mapping[str, float] = field(default_factory=dict)
    """Seconds by part of the run."""
