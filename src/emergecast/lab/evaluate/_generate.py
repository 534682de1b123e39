"""Texts that a model generates, by the harness's own backend.

It is imported where something is generated alone: it loads torch and the harness.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from emergecast.errors import LabError
from emergecast.lab.evaluate._logprobs import max_length
from emergecast.lab.tasks import GENERATING

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from emergecast.lab.evaluate._backend import Backend
    from emergecast.lab.tasks import LoadedTask

_AT_A_TIME: Final = 16
"""Texts that a model generates in one batch."""


class Generated(NamedTuple):
    """A text, and how it ended."""

    text: str
    """Without the text at which it was stopped."""
    cut: bool
    """Whether it ended at the limit of tokens."""


def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    task: LoadedTask,
    *,
    copies: int = 1,
    on_text: Callable[[str, str], None] | None = None,
) -> list[Generated]:
    """What a model says to each request of a task that generates, each asked so many times.

    With a temperature, what is drawn is decided by the prompt and by which copy it is, not by what
    else is drawn, so that it is the same on resume.

    Args:
        model: A causal model, in evaluation mode.
        tokenizer: Its tokenizer.
        task: What is asked.
        copies: Texts for each request; they follow one another.
        on_text: Called with each prompt and its text as they come.

    Raises:
        LabError: the model has no room for a text.
    """
    longest = max_length(model)
    for request in task.requests:
        asked = request.args[1] if isinstance(request.args[1], dict) else {}
        if asked.get("max_gen_toks", 0) >= longest:
            raise LabError(
                f'task "{task.name}": texts of {asked["max_gen_toks"]:,} tokens are asked for, and'
                f" the model takes {longest:,} with the prompt. Ask for shorter ones."
            )
    mine = [each for each in task.requests if each.request_type == GENERATING]
    wanted = [request for request in mine for _ in range(copies)]
    with _backend(model, tokenizer) as backend:
        backend.on_text = on_text
        said = backend.generate_until(wanted, disable_tqdm=True)
    return [
        Generated(text, (request.args[0], text) in backend.cut)
        for request, text in zip(wanted, said, strict=True)
    ]


def scored_by_harness(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, requests: Sequence[Instance]
) -> list[tuple[float, bool]]:
    """Answers to requests for log-probabilities that stand among those for texts."""
    with _backend(model, tokenizer) as backend:
        said: list[tuple[float, bool]] = backend.loglikelihood(list(requests), disable_tqdm=True)
    return said


@contextlib.contextmanager
def _backend(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Iterator[Backend]:
    from emergecast.lab.evaluate._backend import Backend
    from emergecast.lab.tasks import quiet_harness

    with quiet_harness():
        backend = Backend(
            pretrained=model,
            tokenizer=copy.deepcopy(tokenizer),  # the harness changes how it pads
            batch_size=_AT_A_TIME,
            max_length=max_length(model),
            device=str(model.device),
        )
        backend.set_cache_hook(backend)
        yield backend
