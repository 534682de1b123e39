"""One item of an evaluation: what is asked, what should be said, and what a model made of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from emergecast.errors import LabError

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.api.task import ConfigurableTask


CHOICE_PROB: Final = "choice_prob"
"""Name of a metric: mean probability of the right choice among the choices."""
PICKING: Final = "multiple_choice"
"""What the harness calls tasks whose answers are chosen."""
GENERATING: Final = "generate_until"
"""Type of a task whose answers a model writes."""

_BEGIN: Final = 12
"""Characters kept of the hash of a prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item of the evaluation and the requests that decide it."""

    id: str
    """Number of its document, with its task before it in a group."""
    part: int
    """Which task of a group it belongs to."""
    requests: tuple[int, ...]
    """Numbers of its requests."""
    choices: tuple[int, ...]
    """Those of its choices, each after the prompt; empty where nothing is chosen."""
    right: int | None
    """Number of the request whose log-probability is that of the right answer; None if unknown."""
    prompt: str
    """What the model is given; several texts where the choices stand in them."""
    prompt_hash: str
    """Begin of its SHA-256, in hexadecimal."""
    target: str
    """What the model should say."""


class ItemScore(NamedTuple):
    """What a model made of one item."""

    id: str
    """That of the item."""
    correct: float
    """The item's score in the metric: 1.0 right, 0.0 wrong for an accuracy."""
    logprob: float | None
    """Log-probability of the right answer in nats; None where the task does not ask for it."""
    prompt: str
    """Begin of the SHA-256 of the prompt, in hexadecimal."""
    completion: str | None
    """What the model says: the text that it generates, or the most likely choice."""
    target: str
    """What it should say."""
    answer: str | None
    """What the task's filters make of the completion; None where they leave it as it is."""
    cut: bool = False
    """Whether the completion ended at the limit of tokens and not by itself."""
    proxy: Mapping[str, float] | None = None
    """Signals of the reference solution by name; None where the task does not ask for them."""
    programs: Sequence[Mapping[str, Any]] | None = None
    """Of a task of programs, each program with the outcome of each test; None for others."""
    masked: str | None = None
    """Why the item does not count in the main metric; None where it does."""


def item_of(
    task: ConfigurableTask,
    requests: Sequence[Instance],
    numbers: tuple[int, ...],
    *,
    part: int,
    several: bool,
) -> Item:
    """The item that these requests ask for.

    Args:
        task: the task of the harness that it belongs to.
        requests: all requests.
        numbers: which of them ask for this item.
        part: number of the task among those of its group.
        several: whether its group has several tasks.
    """
    first = requests[numbers[0]]
    right, choices = None, 0
    if task.OUTPUT_TYPE == PICKING:
        twice = "acc_mutual_info" in task.aggregation()  # each is asked without prompt too
        choices = len(numbers) // (2 if twice else 1)
        gold = right_choice(task, first.doc)
        right = None if gold is None else numbers[gold]
    elif task.OUTPUT_TYPE == "loglikelihood":
        right = numbers[0]
    prompt = "\n".join(dict.fromkeys(filter(None, (str(requests[i].args[0]) for i in numbers))))
    target = target_of(task, first.doc) if right is None else requests[right].args[1]
    return Item(
        id=f"{first.task_name}/{first.doc_id or 0}" if several else str(first.doc_id or 0),
        part=part,
        requests=numbers,
        choices=numbers[:choices],
        right=right,
        prompt=prompt,
        prompt_hash=hashlib.sha256(prompt.encode("utf-8", "replace")).hexdigest()[:_BEGIN],
        target=str(target),
    )


def target_of(part: ConfigurableTask, doc: Any) -> str:  # noqa: ANN401  a document of any data set
    """What a model should say, where no request stands for it."""
    target = part.doc_to_target(doc)
    if isinstance(target, int) and part.config.doc_to_choice is not None:
        choices = part.doc_to_choice(doc)
        target = choices[target] if 0 <= target < len(choices) else target
    return target if isinstance(target, str) else json.dumps(target, default=str)


def reference_of(item: Item, part: ConfigurableTask, asked: Sequence[Instance]) -> tuple[str, str]:
    """The prompt of an item, and the reference solution as it follows it.

    Raises:
        LabError: It has none, or several.
    """
    if item.right is not None:
        prompt, answer = asked[item.right].args
        return str(prompt), str(answer)
    first = asked[item.requests[0]]
    single = isinstance(part.doc_to_target(first.doc), str | int) and item.target
    if part.OUTPUT_TYPE != GENERATING or not single:
        raise LabError(
            f'item {item.id} of task "{first.task_name}" has no answer, or several, and proxy'
            " signals need one. Leave proxy out."
        )
    return str(first.args[0]), f"{part.config.target_delimiter}{item.target}"


def right_choice(part: ConfigurableTask, doc: Any) -> int | None:  # noqa: ANN401  a document of any data set
    """Which choice is right; None where several or none are."""
    target = part.doc_to_target(doc)
    if isinstance(target, str):
        choices = part.doc_to_choice(doc)
        return choices.index(target) if target in choices else None
    return int(target) if isinstance(target, int) and target >= 0 else None


def choices_of(part: ConfigurableTask, doc: Any) -> list[str]:  # noqa: ANN401  a document of any data set
    """The answers to choose from; the right one alone where there is no choice or it is text."""
    if part.config.doc_to_choice is not None:
        return [str(choice) for choice in part.doc_to_choice(doc)]
    return [] if part.OUTPUT_TYPE == "generate_until" else [target_of(part, doc)]
