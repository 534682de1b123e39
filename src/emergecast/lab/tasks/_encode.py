"""Contexts and continuations as tokens, exactly as lm-evaluation-harness cuts them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Encoded(NamedTuple):
    """A context and its continuation as tokens."""

    context: tuple[int, ...]
    """Never empty: a text without context follows the tokenizer's first or end token."""
    continuation: tuple[int, ...]
    """What is scored, or trained on."""


def encode_pairs(
    pairs: Sequence[tuple[str, str]], tokenizer: PreTrainedTokenizerBase
) -> list[Encoded]:
    """Contexts and continuations as tokens.

    Both are tokenised together, since a token may span what looks like a border, and cut after as
    many tokens as the context has alone; spaces at the end of a context move to the continuation.
    Special tokens are the tokenizer's own, unless the context begins with the first one already.
    The rule is that of `HFLM` of lm-evaluation-harness 0.4.13.
    """
    moved = [_move_spaces(context, continuation) for context, continuation in pairs]
    wholes = encode_texts([context + continuation for context, continuation in moved], tokenizer)
    contexts = encode_texts([context for context, _ in moved], tokenizer)
    encoded = []
    for (text, continuation), whole, context in zip(moved, wholes, contexts, strict=True):
        if text:
            encoded.append(Encoded(context, whole[len(context) :]))
        else:
            encoded.append(_without_context(continuation, tokenizer))
    return encoded


def tokenizer_key(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """Equal for tokenizers that cut every text the same way; None where that cannot be told."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    described = f"{backend.to_str()}{tokenizer.bos_token_id}{tokenizer.eos_token_id}"
    return hashlib.sha256(described.encode()).hexdigest()


def _move_spaces(context: str, continuation: str) -> tuple[str, str]:
    stripped = context.rstrip()
    return stripped, context[len(stripped) :] + continuation


def encode_texts(
    texts: list[str], tokenizer: PreTrainedTokenizerBase, *, special: bool = True
) -> list[tuple[int, ...]]:
    """Texts as tokens, with the special tokens of the tokenizer unless they are there already."""
    first = _first(tokenizer)
    begins = tokenizer.decode(first) if first is not None else None
    plain = [not special or (bool(begins) and text.startswith(str(begins))) for text in texts]
    encoded: list[tuple[int, ...]] = [()] * len(texts)
    for without in (False, True):
        chosen = [i for i, is_plain in enumerate(plain) if is_plain == without]
        if not chosen:
            continue
        ids = tokenizer([texts[i] for i in chosen], add_special_tokens=not without)["input_ids"]
        for i, row in zip(chosen, ids, strict=True):
            encoded[i] = tuple(row)
    return encoded


def _first(tokenizer: PreTrainedTokenizerBase) -> int | None:
    if tokenizer.bos_token_id is not None:
        return int(tokenizer.bos_token_id)
    return None if tokenizer.eos_token_id is None else int(tokenizer.eos_token_id)


def _without_context(continuation: str, tokenizer: PreTrainedTokenizerBase) -> Encoded:
    (ids,) = encode_texts([continuation], tokenizer, special=False)
    first = _first(tokenizer)
    if first is None or (ids and ids[0] == first):
        return Encoded(ids[:1], ids[1:])
    return Encoded((first,), ids)
