"""Finetune a copy of a checkpoint on a number of examples of a task.

transformers' Trainer with a batch of our own: a prompt and its completion as the evaluation cuts
them, the loss on the completion alone. The same seed gives the same weights to the last bit on one
machine, interrupted or not. It refuses a training whose loss is no longer a number.
"""

from __future__ import annotations

from emergecast.lab.finetune._adapters import no_prefix, takes_prefix
from emergecast.lab.finetune._finetune import Finetuned, Tried, finetune, room, tokens_of
from emergecast.lab.finetune._method import (
    DEFAULT_BATCH,
    FEWEST_HELD_OUT,
    FEWEST_TOKENS,
    METHODS,
    MOST_HELD_OUT,
    PREFIX_LEARNING_RATE,
    EarlyStopping,
    FinetuneMethod,
    Schedule,
    Sweep,
    is_method,
)
from emergecast.lab.finetune._session import Session, Tracker
from emergecast.lab.finetune._sweep import choose_and_finetune

__all__ = [
    "DEFAULT_BATCH",
    "FEWEST_HELD_OUT",
    "FEWEST_TOKENS",
    "METHODS",
    "MOST_HELD_OUT",
    "PREFIX_LEARNING_RATE",
    "EarlyStopping",
    "FinetuneMethod",
    "Finetuned",
    "Schedule",
    "Session",
    "Sweep",
    "Tracker",
    "Tried",
    "choose_and_finetune",
    "finetune",
    "is_method",
    "no_prefix",
    "room",
    "takes_prefix",
    "tokens_of",
]
