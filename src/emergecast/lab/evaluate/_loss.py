"""Loss of a model on held-out text, per token and per byte."""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emergecast.errors import LabError, OptionError
from emergecast.lab.evaluate._corpus import Corpus, documents_of
from emergecast.lab.evaluate._logprobs import BATCH_TOKENS, last_logits, max_length

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

LOSS_VERSION: Final = 1
"""Of the code that measures a loss, as far as it moves numbers."""
LONGEST_WINDOW: Final = 2048
"""Tokens predicted of one window at most, where nobody asks for more."""
_AT_A_TIME: Final = 1 << 22
"""Tokens that are in memory, and sorted by length, at a time."""
_TEXT_AT_A_TIME: Final = 1 << 22
"""Characters that the tokenizer gets at a time."""
_MOST_KEPT: Final = 1 << 26
"""Tokens of a text that are kept for the next checkpoint, of four bytes each."""
_BEGIN: Final = 8
"""Tokens of the first document that a result shows."""

OnBytes = Callable[[float], None]
"""Called with the bytes of text predicted so far."""


class FirstToken(StrEnum):
    """What stands before the text of each document."""

    TOKENIZER = "tokenizer"
    """What the tokenizer puts there by itself, which may be nothing."""
    BOS = "bos"
    """Its token for the begin of a sequence, whether it puts it there by itself or not."""
    NONE = "none"
    """Nothing: no special token at all, before or after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossOptions:
    """How a loss is measured."""

    context: int | None = None
    """Tokens predicted of one window at most; what the model takes where None, but at most 2048."""
    first_token: FirstToken = FirstToken.TOKENIZER
    """What stands before the text of each document."""
    batch_tokens: int = BATCH_TOKENS
    """Tokens of one pass through the model; it moves no digit that counts."""

    def __post_init__(self) -> None:
        """Refuse numbers below 1.

        Raises:
            OptionError: One of them is.
        """
        for name in ("context", "batch_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise OptionError(f"{name} is {value}. Give 1 or more, or leave it out.")

    def reach(self, model: PreTrainedModel) -> int:
        """Tokens predicted of one window at most.

        Raises:
            LabError: The model does not take as many as are asked for.
        """
        takes = max_length(model)
        if self.context is None:
            return min(takes, LONGEST_WINDOW)
        if self.context > takes:
            raise LabError(
                f"the context is {self.context:,} tokens, and the model takes {takes:,}. Losses"
                " with other contexts do not compare: take the least of all models."
            )
        return self.context


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


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutLoss:
    """A loss, and what exactly the model was given."""

    loss: Loss
    """In nats per token and per byte."""
    documents: int
    """Documents with a token to predict."""
    context: int
    """Tokens predicted of one window at most."""
    bos: int | None
    """The tokenizer's token for the begin of a sequence; None where it has none."""
    bos_documents: int
    """Documents that begin with it."""
    begin: tuple[int, ...]
    """The first tokens of the first document."""
    fed_hash: str
    """SHA-256 over the tokens of each document: their number in 8 bytes, each in 4, the lowest byte
    first."""


class _Document(NamedTuple):
    tokens: NDArray[np.int32]
    """The first one is context alone."""
    bytes: int
    """Bytes of the others."""


def corpus_loss(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, corpus_path: Path
) -> Loss:
    """Loss of a model on a file of held-out text, as experiments measure it.

    Raises:
        LabError: As `held_out_loss`.
    """
    text = Corpus(name=corpus_path.stem, path=corpus_path)
    return held_out_loss(model, tokenizer, text).loss


def held_out_loss(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    text: Corpus,
    options: LossOptions | None = None,
    *,
    on_bytes: OnBytes = lambda _: None,
) -> HeldOutLoss:
    """Loss of a model on held-out text.

    A document is cut into windows of what the model takes, each beginning with the last token of
    the one before. The first token of a document is predicted only if a token stands before it;
    otherwise it is context, and neither its loss nor its bytes count. With n_i nats on t_i
    tokens, the loss is `sum n_i / sum t_i` and its error that of a ratio of means over documents,
    `sqrt(m / (m - 1) * sum (n_i - loss * t_i)^2) / sum t_i` of m documents: tokens of one document
    are not independent, documents are taken to be.

    The text is read as it is measured: some millions of tokens and 24 bytes a document are in
    memory, not the corpus.

    Args:
        model: A causal model, in evaluation mode.
        tokenizer: Its tokenizer.
        text: What is predicted.
        options: How.
        on_bytes: Called after every pass through the model.

    Raises:
        LabError: The text cannot be read or holds no text, a token is not in the model's
            vocabulary, the memory does not suffice, or the loss is not a finite number.
    """
    options = options or LossOptions()
    reach = options.reach(model)
    fed = _Fed(tokenizer.bos_token_id)
    nats: list[NDArray[np.float64]] = []
    for some in _portions(fed.pass_on(_documents(text, tokenizer, options.first_token))):
        _check_vocabulary(model, some, text)
        size = sum(document.bytes for document in some)
        before = fed.size - size
        found = np.zeros(len(some))
        for share in _add_nats(model, some, found, reach, options.batch_tokens):
            on_bytes(before + share * size)
        nats.append(found)
    if not nats:
        raise LabError(
            f"{text} holds no document of two tokens or more, so nothing can be predicted."
            " Give a longer corpus."
        )
    return HeldOutLoss(
        loss=_loss(np.concatenate(nats), np.array(fed.tokens), np.array(fed.bytes), text),
        documents=len(fed.tokens),
        context=reach,
        bos=fed.bos,
        bos_documents=fed.with_bos,
        begin=fed.begin,
        fed_hash=fed.digest.hexdigest(),
    )


def _loss(
    nats: NDArray[np.float64], tokens: NDArray[np.int64], size: NDArray[np.int64], text: Corpus
) -> Loss:
    if not np.isfinite(nats).all():
        raise LabError(
            f"the loss on {text} is not a finite number. The weights or the precision of the model"
            " are broken; look at how it was trained or loaded."
        )
    return Loss(
        nats_per_token=float(nats.sum() / tokens.sum()),
        stderr=_ratio_error(nats, tokens),
        nats_per_byte=float(nats.sum() / size.sum()),
        byte_stderr=_ratio_error(nats, size),
        tokens=int(tokens.sum()),
        bytes=int(size.sum()),
    )


class _Fed:
    """Looks at what a model is given."""

    def __init__(self, bos: int | None) -> None:
        self.bos = bos
        self.tokens = array("q")
        self.bytes = array("q")
        self.size = 0
        self.with_bos = 0
        self.begin: tuple[int, ...] = ()
        self.digest = hashlib.sha256()

    def pass_on(self, documents: Iterable[_Document]) -> Iterator[_Document]:
        """The documents, each looked at."""
        for document in documents:
            self.begin = self.begin or tuple(document.tokens[:_BEGIN].tolist())
            self.tokens.append(len(document.tokens) - 1)
            self.bytes.append(document.bytes)
            self.size += document.bytes
            self.with_bos += document.tokens[0] == self.bos
            self.digest.update(len(document.tokens).to_bytes(8, "little"))
            self.digest.update(document.tokens.astype("<i4").tobytes())
            yield document


def _portions(documents: Iterable[_Document]) -> Iterator[list[_Document]]:
    """Documents of so many tokens together."""
    some: list[_Document] = []
    size = 0
    for document in documents:
        some.append(document)
        size += len(document.tokens)
        if size >= _AT_A_TIME:
            yield some
            some, size = [], 0
    if some:
        yield some


_KEPT: Final[dict[object, tuple[_Document, ...]]] = {}
"""The last text as tokens: all checkpoints of a series read the same one."""


def _documents(
    text: Corpus, tokenizer: PreTrainedTokenizerBase, first: FirstToken
) -> Iterator[_Document]:
    """The documents of two tokens or more."""
    from emergecast.lab.tasks import tokenizer_key

    cut = tokenizer_key(tokenizer)
    key = None if cut is None else (cut, text, text.state(), first)
    if key in _KEPT:
        yield from _KEPT[key]
        return
    kept: list[_Document] = []
    size = 0
    for document in _tokenised(text, tokenizer, first):
        size += len(document.tokens)
        if key is not None and size <= _MOST_KEPT:
            kept.append(document)
        yield document
    if key is not None and size <= _MOST_KEPT:
        _KEPT.clear()
        _KEPT[key] = tuple(kept)


def _tokenised(
    text: Corpus, tokenizer: PreTrainedTokenizerBase, first: FirstToken
) -> Iterator[_Document]:
    bos = tokenizer.bos_token_id
    if first is FirstToken.BOS and bos is None:
        raise LabError(
            "the tokenizer has no token for the begin of a sequence, and one should stand before"
            " every document. Leave it to the tokenizer."
        )
    for some in _together(documents_of(text)):
        rows = tokenizer(some, add_special_tokens=first is not FirstToken.NONE, verbose=False)[
            "input_ids"
        ]
        for document, row in zip(some, rows, strict=True):
            tokens = [bos, *row] if first is FirstToken.BOS and row[:1] != [bos] else row
            if len(tokens) < 2:
                continue
            size = len(document.encode())
            if tokens[0] != bos:
                size -= len(str(tokenizer.decode([tokens[0]])).encode())
            yield _Document(np.array(tokens, dtype=np.int32), size)


def _together(documents: Iterable[str]) -> Iterator[list[str]]:
    """Documents of so many characters together."""
    some: list[str] = []
    size = 0
    for document in documents:
        some.append(document)
        size += len(document)
        if size >= _TEXT_AT_A_TIME:
            yield some
            some, size = [], 0
    if some:
        yield some


def _check_vocabulary(model: PreTrainedModel, documents: Sequence[_Document], text: Corpus) -> None:
    """Refuse tokens that the model lacks, before a GPU does and stays unusable."""
    most = max(int(document.tokens.max()) for document in documents)
    known = int(getattr(model.get_input_embeddings(), "num_embeddings", most + 1))
    if most >= known:
        raise LabError(
            f"the tokenizer makes token {most:,} of {text}, and the model knows {known:,}. Save the"
            " model's own tokenizer beside it."
        )


def _add_nats(
    model: PreTrainedModel,
    documents: Sequence[_Document],
    nats: NDArray[np.float64],
    reach: int,
    batch_tokens: int,
) -> Iterator[float]:
    """Add to the nats of each document, [documents]; the share of windows done, after each pass."""
    import torch
    from torch.nn import functional

    windows = [
        (number, document.tokens[start : start + reach + 1])
        for number, document in enumerate(documents)
        for start in range(0, len(document.tokens) - 1, reach)
    ]
    windows.sort(key=lambda window: -len(window[1]))
    start = 0
    while start < len(windows):
        width = len(windows[start][1]) - 1
        batch = windows[start : start + max(1, batch_tokens // width)]
        start += len(batch)
        # Padding comes after every token that counts, where causal attention never looks.
        padded = np.full((len(batch), width + 1), -1, dtype=np.int64)
        for row, (_, tokens) in zip(padded, batch, strict=True):
            row[: len(tokens)] = tokens
        with torch.inference_mode():
            rows = torch.from_numpy(padded).to(model.device)
            try:
                logits = last_logits(model, rows[:, :-1].clamp(min=0), width)
                losses = functional.cross_entropy(
                    logits.flatten(0, 1), rows[:, 1:].flatten(), ignore_index=-1, reduction="none"
                )
            except torch.OutOfMemoryError as error:
                raise LabError(
                    f"the device's memory does not suffice for the model and {batch_tokens:,}"
                    " tokens a pass. Lower --batch-tokens, or take a device with more."
                ) from error
            sums = losses.view(len(batch), width).double().sum(1).cpu().numpy()
        np.add.at(nats, [number for number, _ in batch], sums)
        yield start / len(windows)


def _ratio_error(nats: NDArray[np.float64], weight: NDArray[np.int64]) -> float | None:
    count = len(nats)
    if count < 2:
        return None
    rest = nats - weight * (nats.sum() / weight.sum())
    return float(math.sqrt(count / (count - 1) * (rest**2).sum()) / weight.sum())
