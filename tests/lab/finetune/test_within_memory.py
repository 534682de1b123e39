"""A GPU without memory left: fewer examples at once, the same batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from emergecast.errors import LabError
from emergecast.lab.finetune import Finetuned, FinetuneMethod, Session
from emergecast.lab.finetune._finetune import micro_batch
from emergecast.lab.finetune._within_memory import within_memory

METHOD = FinetuneMethod(name="full", steps=3, batch_size=12, learning_rate=1e-3)


def gpu(fits: int) -> Any:
    """A training that takes so many examples at once, and what it was asked for."""
    asked: list[tuple[str, int]] = []

    def train(model: str, session: Session) -> Finetuned:
        size = micro_batch(METHOD, session)
        asked.append((model, size))
        if size > fits:
            raise torch.OutOfMemoryError
        whole: Any = model
        return Finetuned(
            model=whole,
            method=METHOD,
            steps=3,
            last_step=3,
            resumed_from=0,
            seconds=0.0,
            final_loss=1.0,
        )

    return train, asked


def test_what_fits_is_trained_at_once():
    """With the model that was given."""
    train, asked = gpu(12)
    assert within_memory(train, METHOD, Session(), "first", again=lambda: "again").steps == 3
    assert asked == [("first", 12)]


def test_the_examples_at_once_are_halved_until_they_fit():
    """Each time from fresh weights; sizes divide the batch of 12: 12, 6, 3."""
    train, asked = gpu(3)
    session = replace(Session(), micro_batch_size=12)
    within_memory(train, METHOD, session, "first", again=lambda: "again")
    assert asked == [("first", 12), ("again", 6), ("again", 3)]


def test_one_example_that_does_not_fit_is_a_failed_run():
    """Named, with what could be done; other errors pass."""
    train, asked = gpu(0)
    with pytest.raises(LabError, match="no memory for a single example"):
        within_memory(train, METHOD, Session(), "first", again=lambda: "again")
    assert [size for _, size in asked] == [12, 6, 3, 1]

    def broken(_model: str, _session: Session) -> Finetuned:
        raise RuntimeError("other")

    with pytest.raises(RuntimeError, match="other"):
        within_memory(broken, METHOD, Session(), "first", again=lambda: "again")
