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
from emergecast.lab.evaluate._proxies import PROXIES, reference_signals
from emergecast.lab.evaluate._scores import Score, matthews, mean_score
from emergecast.lab.tasks import CHOICE_PROB, BesideMetric

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from emergecast.lab.evaluate._proxies import Signals
    from emergecast.lab.tasks import ItemScore, LoadedTask


_GENERATED_AT_A_TIME: Final = 16
"""Texts that a model generates in one batch."""
LOGPROB: Final = "logprob"
"""Name of the metric: mean log-probability of the right answer, in nats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a model scores on a task."""

    scores: tuple[Score, ...]
    """In the task's metric, then in `LOGPROB` where the task asks for log-probabilities and in
    `CHOICE_PROB` where for those of choices, then in what the catalogue measures beside them, then
    in `PROXIES` where it asks for proxy signals."""
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
    main = mean_score(task.metric, [item.correct for item in items])
    if not math.isfinite(main.score):
        raise LabError(
            f'task "{task.name}" scores {main.score}, which is not a finite number. Look at its'
            f' metric "{task.metric}".'
        )
    known = [item.logprob for item in items if item.logprob is not None]
    more = [mean_score(LOGPROB, known)] if len(known) == len(items) else []
    if all(item.right in item.choices for item in task.items):
        more.append(mean_score(CHOICE_PROB, _choice_probs(task, responses)))
    signals: list[Signals] = []
    if task.proxy or BesideMetric.LOGPROB_PER_TOKEN in task.besides:
        signals = reference_signals(model, task.encoded_references(tokenizer))
    for metric in task.besides:
        if metric is BesideMetric.MCC:
            more.append(matthews([(item.target, str(item.completion)) for item in items]))
        else:
            more.append(mean_score(metric, [each.logprob for each in signals]))
    if task.proxy:
        items = tuple(
            item._replace(proxy=each._asdict()) for item, each in zip(items, signals, strict=True)
        )
        columns = zip(*signals, strict=True)
        next(columns)  # the tokens
        more += [mean_score(name, values) for name, values in zip(PROXIES, columns, strict=True)]
    return Evaluation(scores=(main, *more), items=items)


def _choice_probs(task: LoadedTask, responses: Sequence[tuple[float, bool] | str]) -> list[float]:
    """Of each item with one right choice: exp(l_right) / sum over its choices of exp(l)."""
    nats = [-math.inf if isinstance(said, str) else said[0] for said in responses]
    return [
        math.exp(nats[item.right] - np.logaddexp.reduce([nats[i] for i in item.choices]))
        for item in task.items
        if item.right is not None
    ]


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
