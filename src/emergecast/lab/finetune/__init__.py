"""Finetune a copy of a checkpoint on a number of examples of a task.

transformers' Trainer with a batch of our own: a prompt and its completion as the evaluation cuts
them, the loss on the completion alone. The same seed gives the same weights to the last bit on one
machine, interrupted or not. It refuses a training whose loss is no longer a number.
"""

from __future__ import annotations

from emergecast.lab.finetune._finetune import Finetuned, finetune
from emergecast.lab.finetune._method import (
    DEFAULT_BATCH,
    FinetuneMethod,
    Schedule,
    Session,
    Tracker,
    is_method,
)
from emergecast.lab.finetune._within_memory import within_memory

__all__ = [
    "DEFAULT_BATCH",
    "FinetuneMethod",
    "Finetuned",
    "Schedule",
    "Session",
    "Tracker",
    "finetune",
    "is_method",
    "within_memory",
]
