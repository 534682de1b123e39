"""Prompts and completions as tensors, cut as the evaluation cuts them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from emergecast.errors import LabError
from emergecast.lab.tasks import Pair, encode_pairs, tokenizer_key

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100
"""Label of a token that takes no part in the loss, as everywhere in transformers."""


class Examples(torch.utils.data.Dataset[dict[str, Tensor]]):
    """Training examples, ready as padded tensors; a batch is an index into them."""

    def __init__(
        self, pairs: Sequence[Pair], tokenizer: PreTrainedTokenizerBase, longest: int
    ) -> None:
        """Tokenise the pairs; those longer than the model takes lose their beginning.

        Raises:
            LabError: There are none, or a completion becomes no token.
        """
        if not pairs:
            raise LabError("there are no training examples. Ask for at least one.")
        encoded = encode_pairs([(pair.prompt, pair.completion) for pair in pairs], tokenizer)
        rows, starts = [], []
        for pair, (context, completion) in zip(pairs, encoded, strict=True):
            if not completion:
                raise LabError(
                    f"the completion {pair.completion!r} of a training example becomes no token of"
                    " its own. Give the task another target_delimiter."
                )
            last = tokenizer.eos_token_id if pair.ends else None  # 0 is one, as GPT-NeoX's
            end = () if last is None else (last,)
            whole = (*context, *completion, *end)[-longest:]
            rows.append(torch.tensor(whole))
            starts.append(max(1, len(whole) - len(completion) - len(end)))
        self._lengths = torch.tensor([len(row) for row in rows])
        self._tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        place = torch.arange(self._tokens.shape[1])
        counts = (place >= torch.tensor(starts)[:, None]) & (place < self._lengths[:, None])
        self._labels = self._tokens.where(counts, torch.tensor(IGNORED))

    @property
    def text(self) -> list[int]:
        """The tokens of all examples, one after the other."""
        there = torch.arange(self._tokens.shape[1]) < self._lengths[:, None]
        found: list[int] = self._tokens[there].tolist()
        return found

    @property
    def size(self) -> int:
        """Tokens, padding included."""
        return self._tokens.numel()

    def __len__(self) -> int:
        return len(self._lengths)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.__getitems__([index])

    def __getitems__(self, indices: list[int]) -> dict[str, Tensor]:
        """A batch, padded to its longest example."""
        chosen = torch.tensor(indices)
        lengths = self._lengths[chosen]
        longest = int(lengths.max())
        batch = {
            "input_ids": self._tokens[chosen, :longest],
            "labels": self._labels[chosen, :longest],
        }
        if int(lengths.min()) < longest:
            batch["attention_mask"] = (torch.arange(longest) < lengths[:, None]).long()
        return batch


def examples_of(
    pairs: Sequence[Pair], tokenizer: PreTrainedTokenizerBase, *, longest: int
) -> Examples:
    """`Examples`, tokenised once for all models of one tokenizer: they take turns on the same data.

    Raises:
        LabError: As `Examples`.
    """
    key = tokenizer_key(tokenizer)
    if key is None:
        return Examples(pairs, tokenizer, longest)
    what = (key, tuple(pairs), longest)
    if what not in _KEPT:
        made = Examples(pairs, tokenizer, longest)
        if made.size + sum(kept.size for kept in _KEPT.values()) > _MOST_KEPT:
            _KEPT.clear()
        _KEPT[what] = made
    return _KEPT[what]


_MOST_KEPT: Final = 2**23
"""Tokens that are kept at most, padding included: 128 MiB with their labels."""
_KEPT: Final[dict[tuple[str, tuple[Pair, ...], int], Examples]] = {}


def as_it_is(batch: Any) -> dict[str, Tensor]:  # noqa: ANN401  the Trainer expects a list
    """The collator: `Examples` hands over whole batches."""
    whole: dict[str, Tensor] = batch
    return whole
