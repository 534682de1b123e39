"""The harness's backend for generation, which also notes which texts reached the limit of tokens.

It is imported where something is generated alone: it loads torch and the harness.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from lm_eval.models.huggingface import HFLM
from transformers import LogitsProcessor, LogitsProcessorList

if TYPE_CHECKING:
    from torch import Tensor


class Backend(HFLM):  # type: ignore[misc]  # the harness has no types
    """Generates text, and stands in for the harness's cache, which is told of every text."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)
        self.cut: set[tuple[str, str]] = set()
        """Prompts and their texts that reached the limit."""
        self.on_text: Callable[[str, str], None] | None = None
        """Called with each prompt and its text."""
        self._ends: list[bool] = []
        self._prompts: Sequence[str] = ()
        self._asked: Counter[str] = Counter()

    def tok_batch_encode(self, strings: list[str], *arguments: Any, **options: Any) -> Any:  # noqa: ANN401  as the harness has it
        """The tokens of a batch; its prompts are remembered."""
        self._prompts = list(strings)
        return super().tok_batch_encode(strings, *arguments, **options)

    def _model_generate(
        self,
        context: Tensor,
        max_length: int,
        stop: list[str],
        **options: Any,  # noqa: ANN401  as above
    ) -> Tensor:
        """The tokens of a batch, [sequences, time], each beginning with its context."""
        if options.get("do_sample") is False and (heat := options.pop("temperature", 0.0)):
            draw = DrawEach(list(map(self._seed, self._prompts)), heat)
            options["logits_processor"] = LogitsProcessorList([draw])
            options["temperature"] = 0.0
        tokens: Tensor = super()._model_generate(context, max_length, stop, **options)
        rows = tokens[:, context.shape[1] :].tolist() if tokens.shape[1] >= max_length else []
        self._ends = [
            row[-1] != self.tokenizer.pad_token_id  # which follows a text that ended by itself
            and not any(end in self.tok_decode(row, skip_special_tokens=False) for end in stop)
            for row in rows
        ]
        return tokens

    def _seed(self, prompt: str) -> int:
        """What decides the draws of a text: its prompt, and how often that was asked before."""
        turn = self._asked[prompt]
        self._asked[prompt] += 1
        digest = hashlib.sha256(f"{turn} {prompt}".encode(errors="replace")).digest()
        return int.from_bytes(digest[:7])

    def add_partial(self, _kind: str, request: tuple[str, Any], text: str) -> None:
        """Called with each text of a batch, in its order."""
        if self._ends and self._ends.pop(0):
            self.cut.add((request[0], text))
        if self.on_text is not None:
            self.on_text(request[0], text)


class DrawEach(LogitsProcessor):
    """Makes the most likely token a drawn one, each sequence by a seed of its own.

    The largest of `logit / temperature + g`, with g of a standard Gumbel distribution, is token i
    with probability `softmax(logits / temperature)[i]` (Gumbel 1954). What is drawn for a sequence
    does not depend on those beside it.
    """

    def __init__(self, seeds: Sequence[int], temperature: float) -> None:
        self._draws = [torch.Generator().manual_seed(each) for each in seeds]
        self._temperature = temperature

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002  as transformers calls it
        """Noisy scores, [sequences, vocabulary]; `input_ids` [sequences, time] is of no account."""
        size = scores.shape[-1]
        drawn = torch.stack(
            [-torch.empty(size).exponential_(generator=g).log() for g in self._draws]
        )
        return scores.float() / self._temperature + drawn.to(scores.device)
