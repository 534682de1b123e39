"""A model's score on a task, with what it made of every item."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from emergecast.errors import LabError
from emergecast.lab.evaluate._logprobs import logprobs, max_length

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from emergecast.lab.tasks import ItemScore, LoadedTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a model scores on a task."""

    score: float
    """Mean over the items, in the unit of the task's metric."""
    stderr: float | None
    """Sampling error of the mean; None for a single item."""
    n_items: int
    logprob: float | None
    """Mean log-probability of the right answer in nats; None where the task does not ask for it."""
    logprob_stderr: float | None
    """Sampling error of that mean."""
    per_item: tuple[ItemScore, ...]


def evaluate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, task: LoadedTask
) -> Evaluation:
    """Score a model on a task.

    Args:
        model: A causal model, in evaluation mode, adapters included if it has some.
        tokenizer: Its tokenizer.
        task: What to score it on.

    Raises:
        LabError: A score or a log-probability is not a finite number.
    """
    responses = (
        _generated(model, tokenizer, task)
        if task.generates
        else logprobs(model, task.encoded(tokenizer))
    )
    items = task.score(responses)
    score, stderr = _mean([item.correct for item in items])
    if not math.isfinite(score):
        raise LabError(
            f'task "{task.name}" scores {score}, which is not a finite number. Look at its metric'
            f' "{task.metric}".'
        )
    known = [item.logprob for item in items if item.logprob is not None]
    logprob, logprob_stderr = _mean(known) if len(known) == len(items) else (None, None)
    return Evaluation(
        score=score,
        stderr=stderr,
        n_items=len(items),
        logprob=logprob,
        logprob_stderr=logprob_stderr,
        per_item=items,
    )


def _mean(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and its standard error, the sample's standard deviation (n - 1) / sqrt(n)."""
    data = np.asarray(values, dtype=float)
    if len(data) < 2:
        return float(data.mean()), None
    return float(data.mean()), float(data.std(ddof=1) / math.sqrt(len(data)))


def _generated(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, task: LoadedTask
) -> list[tuple[float, bool] | str]:
    """Answers of a task that generates: the harness's own backend does that."""
    from lm_eval.models.huggingface import HFLM

    from emergecast.lab.tasks import quiet_harness

    with quiet_harness():
        backend = HFLM(
            pretrained=model,
            tokenizer=tokenizer,
            batch_size=16,
            max_length=max_length(model),
            device=str(model.device),
        )
        responses: list[tuple[float, bool] | str] = [""] * len(task.requests)
        for kind in {request.request_type for request in task.requests}:
            mine = [i for i, request in enumerate(task.requests) if request.request_type == kind]
            said = getattr(backend, kind)([task.requests[i] for i in mine], disable_tqdm=True)
            for i, response in zip(mine, said, strict=True):
                responses[i] = response
    return responses
