"""How many items of a task are longer than a model takes, before any model is loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from emergecast.lab.tasks._encode import encode_pairs, encode_texts
from emergecast.lab.tasks._items import GENERATING

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from transformers import PreTrainedTokenizerBase

    from emergecast.lab.tasks._loaded_task import LoadedTask

_SPECIAL: Final = 8
"""More tokens than a tokenizer adds to a text; no other token is shorter than a byte."""
_AT_A_TIME: Final = 1024
"""Requests that are tokenised at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TooLong:
    """Items of a task that do not fit a model."""

    items: int
    """Items in all."""
    cut: int
    """Items whose prompt loses its beginning, so that the answer fits behind it."""
    lost: int
    """Items that cannot be asked at all: the answer alone, or the tokens that may be generated,
    leave no room for a prompt."""


def too_long(
    task: LoadedTask, rooms: Sequence[int], tokenizer: Callable[[], PreTrainedTokenizerBase]
) -> dict[int, TooLong]:
    """What does not fit, for each number of tokens that there is room for.

    Args:
        task: With its requests.
        rooms: Tokens of the longest sequence, for prompt and answer together.
        tokenizer: Reads the tokenizer; not called where all texts are shorter in bytes.
    """
    least = min(rooms)
    doubted = [each for each in task.requests if _bytes(each) + _SPECIAL > least]
    sizes: dict[int, tuple[int, int]] = {}
    if doubted:
        reader = tokenizer()
        for start in range(0, len(doubted), _AT_A_TIME):
            sizes |= _sizes(doubted[start : start + _AT_A_TIME], reader)
    wholes, answers = [], []
    for item in task.items:
        known = [sizes.get(id(task.requests[number]), (0, 0)) for number in item.requests]
        wholes.append(max(whole for whole, _ in known))
        answers.append(max(answer for _, answer in known))
    found = {}
    for room in rooms:
        lost = sum(answer > room for answer in answers)
        cut = sum(whole > room for whole in wholes) - lost
        found[room] = TooLong(items=task.n_items, cut=cut, lost=lost)
    return found


def _bytes(request: Instance) -> int:
    prompt = len(str(request.args[0]).encode())
    if request.request_type == GENERATING:
        return prompt + _most_generated(request)
    return prompt + len(str(request.args[1]).encode())


def _sizes(
    requests: Sequence[Instance], tokenizer: PreTrainedTokenizerBase
) -> dict[int, tuple[int, int]]:
    """Of each request, by its `id`, the tokens that go through the model, and those of its answer.

    The last token of an answer is not passed through the model: nothing follows it. Of a text that
    is generated the first needs a token before it.
    """
    generated = [each for each in requests if each.request_type == GENERATING]
    scored = [each for each in requests if each.request_type != GENERATING]
    found: dict[int, tuple[int, int]] = {}
    prompts = encode_texts([str(each.args[0]) for each in generated], tokenizer)
    for request, prompt in zip(generated, prompts, strict=True):
        most = _most_generated(request)
        found[id(request)] = (len(prompt) + most, most + 1)
    pairs = encode_pairs([(str(each.args[0]), str(each.args[1])) for each in scored], tokenizer)
    for request, (context, answer) in zip(scored, pairs, strict=True):
        found[id(request)] = (len(context) + len(answer) - 1, len(answer))
    return found


def _most_generated(request: Instance) -> int:
    """The limit of tokens of a text that is generated, as the harness reads it."""
    from lm_eval.models.utils import normalize_gen_kwargs

    return int(normalize_gen_kwargs(request.args[1])["max_gen_toks"])
