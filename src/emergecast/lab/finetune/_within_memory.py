"""Going on with smaller batches where a GPU has no memory left."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from emergecast.errors import LabError
from emergecast.lab.finetune._finetune import Finetuned, micro_batch

if TYPE_CHECKING:
    from emergecast.lab.finetune._method import FinetuneMethod
    from emergecast.lab.finetune._session import Session

Model = TypeVar("Model")
_LOG: Final = logging.getLogger(__name__)


def within_memory(
    train: Callable[[Model, Session], Finetuned],
    method: FinetuneMethod,
    session: Session,
    model: Model,
    *,
    again: Callable[[], Model],
) -> Finetuned:
    """Finetune with half as many examples at once, as often as the memory of the GPU asks for it.

    The batch stays what it is: it is taken in more parts, which moves the result by rounding. A
    training checkpoint that was written meanwhile is gone on from.

    Args:
        train: finetunes a model, with a session that says how many examples go in at once.
        method: how the batch is made.
        session: the session to begin with.
        model: what is finetuned first.
        again: the model as it was, from its weights on disk or on the CPU.

    Raises:
        LabError: there is no memory for a single example.
    """
    import torch

    while True:
        try:
            return train(model, session)
        except torch.OutOfMemoryError as error:
            size = micro_batch(method, session)
            if size == 1:
                raise LabError(
                    "the GPU has no memory for a single example. Finetune with LoRA, or on a GPU "
                    "with more memory."
                ) from error
            session = replace(session, micro_batch_size=size // 2)
            _LOG.warning("no memory for %d examples at once: going on with %d.", size, size // 2)
        del model
        gc.collect()  # what the failed step held
        torch.cuda.empty_cache()
        model = again()
