"""A model's score on a task, with what it made of every item."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from emergecast.errors import LabError
from emergecast.lab.evaluate._graded_programs import OnPrograms, graded_programs
from emergecast.lab.evaluate._logprobs import logprobs
from emergecast.lab.evaluate._proxies import PROXIES, reference_signals
from emergecast.lab.evaluate._scores import Score, matthews, mean_score
from emergecast.lab.tasks import CHOICE_PROB, GENERATING, BesideMetric

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from emergecast.lab.evaluate._proxies import Signals
    from emergecast.lab.tasks import ItemScore, LoadedTask


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
    core_seconds: float | None = None
    """Seconds on a core that the tests of its programs took; None where there are none."""


def evaluate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    task: LoadedTask,
    *,
    kept: Path | None = None,
    tell: OnPrograms = lambda _done, _all: None,
) -> Evaluation:
    """Score a model on a task.

    Args:
        model: A causal model, in evaluation mode, adapters included if it has some.
        tokenizer: Its tokenizer.
        task: What to score it on.
        kept: Folder in which grades of programs are kept; none if absent.
        tell: Called while grades of programs are waited for.

    Raises:
        LabError: A score or a log-probability is not a finite number, or programs cannot be run.
    """
    if task.programs is not None:
        found = graded_programs(model, tokenizer, task, task.programs, kept=kept, tell=tell)
        return Evaluation(scores=found.scores, items=found.items, core_seconds=found.core_seconds)
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
    """Answers of a task that generates.

    With the numbers of the requests whose text reached the limit of tokens.
    """
    from emergecast.lab.evaluate._generate import generate, scored_by_harness

    responses: list[tuple[float, bool] | str] = [""] * len(task.requests)
    asked = list(enumerate(task.requests))
    texts = [i for i, request in asked if request.request_type == GENERATING]
    others = [i for i, request in asked if request.request_type != GENERATING]
    said = generate(model, tokenizer, task)
    for i, text in zip(texts, said, strict=True):
        responses[i] = text.text
    scored = scored_by_harness(model, tokenizer, [task.requests[i] for i in others])
    for i, pair in zip(others, scored, strict=True):
        responses[i] = pair
    return responses, frozenset(i for i, text in zip(texts, said, strict=True) if text.cut)
