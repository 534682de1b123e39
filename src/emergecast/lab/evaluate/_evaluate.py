"""A model's score on a task, with what it made of every item."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from emergecast.errors import LabError
from emergecast.lab.evaluate._logprobs import logprobs, max_length

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from emergecast.lab.tasks import ItemScore, LoadedTask


_GENERATED_AT_A_TIME: Final = 16
"""Texts that a model generates in one batch."""
LOGPROB: Final = "logprob"
"""Name of the metric: mean log-probability of the right answer, in nats."""
CHOICE_PROB: Final = "choice_prob"
"""Name of the metric: mean probability of the right choice among the choices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Mean of one metric over the test items."""

    metric: str
    """Its name."""
    score: float
    """In the unit of the metric."""
    stderr: float | None
    """Sampling error of the mean; None for a single item."""
    n_items: int
    """Test items."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a model scores on a task."""

    scores: tuple[Score, ...]
    """In the task's metric, then in `LOGPROB` where the task asks for log-probabilities, and in
    `CHOICE_PROB` where it asks for those of choices."""
    items: tuple[ItemScore, ...]
    """What it made of each item."""


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
    responses: Sequence[tuple[float, bool] | str]
    cut: frozenset[int] = frozenset()
    if task.generates:
        responses, cut = _generated(model, tokenizer, task)
    else:
        responses = logprobs(model, task.encoded(tokenizer))
    items = tuple(
        score._replace(cut=not cut.isdisjoint(item.requests))
        for item, score in zip(task.items, task.score(responses), strict=True)
    )
    main = _mean(task.metric, [item.correct for item in items])
    if not math.isfinite(main.score):
        raise LabError(
            f'task "{task.name}" scores {main.score}, which is not a finite number. Look at its'
            f' metric "{task.metric}".'
        )
    known = [item.logprob for item in items if item.logprob is not None]
    more = [_mean(LOGPROB, known)] if len(known) == len(items) else []
    if all(item.right in item.choices for item in task.items):
        more.append(_mean(CHOICE_PROB, _choice_probs(task, responses)))
    return Evaluation(scores=(main, *more), items=items)


def _choice_probs(task: LoadedTask, responses: Sequence[tuple[float, bool] | str]) -> list[float]:
    """Of each item with one right choice: exp(l_right) / sum over its choices of exp(l)."""
    nats = [-math.inf if isinstance(said, str) else said[0] for said in responses]
    return [
        math.exp(nats[item.right] - np.logaddexp.reduce([nats[i] for i in item.choices]))
        for item in task.items
        if item.right is not None
    ]


def _mean(metric: str, values: Sequence[float]) -> Score:
    """Mean and its standard error, the sample's standard deviation (n - 1) / sqrt(n)."""
    data = np.asarray(values, dtype=float)
    error = float(data.std(ddof=1) / math.sqrt(len(data))) if len(data) > 1 else None
    return Score(metric=metric, score=float(data.mean()), stderr=error, n_items=len(data))


def _generated(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, task: LoadedTask
) -> tuple[list[tuple[float, bool] | str], frozenset[int]]:
    """Answers of a task that generates: the harness's own backend does that.

    With the numbers of the requests whose text reached the limit of tokens.
    """
    from emergecast.lab.evaluate._backend import Backend
    from emergecast.lab.tasks import quiet_harness

    with quiet_harness():
        backend = Backend(
            pretrained=model,
            tokenizer=copy.deepcopy(tokenizer),  # the harness changes how it pads
            batch_size=_GENERATED_AT_A_TIME,
            max_length=max_length(model),
            device=str(model.device),
        )
        backend.set_cache_hook(backend)
        responses: list[tuple[float, bool] | str] = [""] * len(task.requests)
        for kind in {request.request_type for request in task.requests}:
            mine = [i for i, request in enumerate(task.requests) if request.request_type == kind]
            said = getattr(backend, kind)([task.requests[i] for i in mine], disable_tqdm=True)
            for i, response in zip(mine, said, strict=True):
                responses[i] = response
    cut = [i for i, request in enumerate(task.requests) if request.args[0] in backend.cut]
    return responses, frozenset(cut)
