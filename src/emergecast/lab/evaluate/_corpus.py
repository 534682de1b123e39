"""Loss of a model on held-out text, per token and per byte."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from emergecast.errors import LabError
from emergecast.lab.evaluate._logprobs import BATCH_TOKENS, last_logits, max_length

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

LONGEST_WINDOW: Final = 2048
"""Tokens predicted of one window at most, whatever the model could take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Loss on held-out text, every token weighing the same."""

    nats_per_token: float
    """Mean over all tokens."""
    stderr: float | None
    """Sampling error of it over documents; None for a single one."""
    nats_per_byte: float
    """The same nats, shared out over the bytes."""
    byte_stderr: float | None
    """Sampling error of that over documents; None for a single one."""
    tokens: int
    """Tokens predicted."""
    bytes: int
    """Bytes of text that these tokens stand for, in UTF-8."""


class _Document(NamedTuple):
    tokens: tuple[int, ...]
    """The first one is context alone."""
    bytes: int
    """Bytes of the others."""


def corpus_loss(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, corpus_path: Path
) -> Loss:
    """Loss of a model on a held-out corpus.

    A document is cut into windows of what the model takes, each beginning with the last token of
    the one before. The first token of a document is predicted only if the tokenizer puts one before
    it; otherwise it is context, and neither its loss nor its bytes count. With n_i nats on t_i
    tokens, the loss is `sum n_i / sum t_i` and its error that of a ratio of means over documents,
    `sqrt(m / (m - 1) * sum (n_i - loss * t_i)^2) / sum t_i` of m documents.

    Args:
        model: A causal model, in evaluation mode.
        tokenizer: Its tokenizer.
        corpus_path: JSON Lines with the text of a document in the field "text", or a plain text
            file with one document a line.

    Raises:
        LabError: The file cannot be read or holds no text, or the loss is not a finite number.
    """
    documents = _documents(read_corpus(corpus_path), tokenizer)
    if not documents:
        raise LabError(
            f'"{corpus_path}" holds no document of two tokens or more, so nothing can be predicted.'
            " Give a longer corpus."
        )
    nats = _nats(model, documents)
    tokens = np.array([len(document.tokens) - 1 for document in documents])
    size = np.array([document.bytes for document in documents])
    if not np.isfinite(nats).all():
        raise LabError(
            f'the loss on "{corpus_path}" is not a finite number. The weights or the precision of'
            " the model are broken; look at how it was trained or loaded."
        )
    return Loss(
        nats_per_token=float(nats.sum() / tokens.sum()),
        stderr=_ratio_error(nats, tokens),
        nats_per_byte=float(nats.sum() / size.sum()),
        byte_stderr=_ratio_error(nats, size),
        tokens=int(tokens.sum()),
        bytes=int(size.sum()),
    )


def read_corpus(path: Path) -> tuple[str, ...]:
    """The documents of a corpus file.

    Raises:
        LabError: It cannot be read, a line is not a JSON object with text, or there is none.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise LabError(
            f'the loss corpus "{path}" cannot be read: {error.strerror}. Correct its path.'
        ) from None
    return _read(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=4)
def _read(path: Path, _changed: int, _size: int) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(
            f'the loss corpus "{path}" cannot be read: {error}. It should be text in UTF-8.'
        ) from None
    if path.suffix not in {".jsonl", ".ndjson"}:
        texts = [line for line in lines if line.strip()]
    else:
        texts = [_text(path, i, line) for i, line in enumerate(lines, start=1) if line.strip()]
    if not any(text.strip() for text in texts):
        raise LabError(f'the loss corpus "{path}" holds no text. Give one that does.')
    return tuple(texts)


def _text(path: Path, number: int, line: str) -> str:
    try:
        text = json.loads(line)["text"]
    except (ValueError, KeyError, TypeError):
        text = None
    if not isinstance(text, str):
        raise LabError(
            f'"{path}", line {number}: there is no JSON object with text in its field "text", but'
            f" {line[:60]!r}. Correct the line."
        )
    return text


def _documents(texts: tuple[str, ...], tokenizer: PreTrainedTokenizerBase) -> list[_Document]:
    from emergecast.lab.tasks import tokenizer_key

    key = tokenizer_key(tokenizer)
    if key is None:
        return _tokenised(texts, tokenizer)
    if (key, texts) not in _KEPT:
        _KEPT.clear()
        _KEPT[key, texts] = _tokenised(texts, tokenizer)
    return _KEPT[key, texts]


_KEPT: Final[dict[tuple[str, tuple[str, ...]], list[_Document]]] = {}
"""The last corpus as tokens: all checkpoints of a series read the same one."""


def _tokenised(texts: tuple[str, ...], tokenizer: PreTrainedTokenizerBase) -> list[_Document]:
    first = tokenizer.bos_token_id
    documents = []
    for text, row in zip(texts, tokenizer(list(texts))["input_ids"], strict=True):
        tokens = tuple(row)
        if len(tokens) < 2:
            continue
        size = len(text.encode())
        if tokens[0] != first:
            size -= len(str(tokenizer.decode([tokens[0]])).encode())
        documents.append(_Document(tokens, size))
    return documents


def _nats(model: PreTrainedModel, documents: Sequence[_Document]) -> np.ndarray:
    """Nats of each document, [documents]."""
    import torch
    from torch.nn import functional

    reach = min(max_length(model), LONGEST_WINDOW)
    windows = [
        (number, document.tokens[start : start + reach + 1])
        for number, document in enumerate(documents)
        for start in range(0, len(document.tokens) - 1, reach)
    ]
    windows.sort(key=lambda window: -len(window[1]))
    nats = np.zeros(len(documents))
    with torch.inference_mode():
        start = 0
        while start < len(windows):
            width = len(windows[start][1]) - 1
            batch = windows[start : start + max(1, BATCH_TOKENS // width)]
            start += len(batch)
            padded = [tokens + (-1,) * (width + 1 - len(tokens)) for _, tokens in batch]
            rows = torch.tensor(padded, device=model.device)
            logits = last_logits(model, rows[:, :-1].clamp(min=0), width)
            losses = functional.cross_entropy(
                logits.flatten(0, 1), rows[:, 1:].flatten(), ignore_index=-1, reduction="none"
            )
            sums = losses.view(len(batch), width).double().sum(1).cpu().numpy()
            np.add.at(nats, [number for number, _ in batch], sums)
    return nats


def _ratio_error(nats: np.ndarray, weight: np.ndarray) -> float | None:
    count = len(nats)
    if count < 2:
        return None
    rest = nats - weight * (nats.sum() / weight.sum())
    return float(math.sqrt(count / (count - 1) * (rest**2).sum()) / weight.sum())
