"""The harness's backend for generation, which also notes which texts reached the limit of tokens.

It is imported where something is generated alone: it loads torch and the harness.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lm_eval.models.huggingface import HFLM

if TYPE_CHECKING:
    from torch import Tensor


class Backend(HFLM):  # type: ignore[misc]  # the harness has no types
    """Generates text, and stands in for the harness's cache, which is told of every text."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)
        self.cut: set[str] = set()
        """Prompts of the requests whose text reached the limit."""
        self._ends: list[bool] = []

    def _model_generate(
        self, context: Tensor, max_length: int, stop: list[str], **options: object
    ) -> Tensor:
        """The tokens of a batch, [sequences, time], each beginning with its context."""
        tokens: Tensor = super()._model_generate(context, max_length, stop, **options)
        rows = tokens[:, context.shape[1] :].tolist() if tokens.shape[1] >= max_length else []
        self._ends = [
            row[-1] != self.tokenizer.pad_token_id  # which follows a text that ended by itself
            and not any(end in self.tok_decode(row, skip_special_tokens=False) for end in stop)
            for row in rows
        ]
        return tokens

    def add_partial(self, _kind: str, request: tuple[str, Any], _text: str) -> None:
        """Called with each text of a batch, in its order."""
        if self._ends and self._ends.pop(0):
            self.cut.add(request[0])
