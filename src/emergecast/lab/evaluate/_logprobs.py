"""Log-probabilities of continuations, with as few positions and passes as they need."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from emergecast.errors import LabError
from emergecast.lab.checkpoints import context_length

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from emergecast.lab.tasks import Encoded

BATCH_TOKENS: Final = 4096
"""Tokens of one pass through the model, padding included."""
MOST_ROWS: Final = 256
"""Sequences of one pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One sequence to pass through the model, and who asks for what of it."""

    tokens: tuple[int, ...]
    """The last token of a continuation is not among them: nothing follows it."""
    askers: tuple[int, ...]
    """Numbers of the requests that this sequence answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One pass through the model, and which of its logits answer which requests."""

    tokens: Tensor
    """[sequences, time]."""
    keep: int
    """Logits are needed at this many last positions."""
    row: Tensor
    """[answers]: sequence of each token that is asked for."""
    place: Tensor
    """[answers]: its position, counted from the first one kept."""
    wanted: Tensor
    """[answers]: the token."""
    owner: Tensor
    """[answers]: number of the request."""


def logprobs(model: PreTrainedModel, requests: Sequence[Encoded]) -> list[tuple[float, bool]]:
    """The log-probability of each continuation in nats, and whether it is the most likely one.

    Contexts are cut on the left to what the model takes, as the harness does.

    Raises:
        LabError: A log-probability is not a number, as with weights that are not.
    """
    import torch

    asked = requests if isinstance(requests, tuple) else tuple(requests)
    sums = torch.zeros(len(asked), dtype=torch.float64)
    greedy = torch.ones(len(asked), dtype=torch.bool)
    with torch.inference_mode():
        for batch in passes(asked, max_length(model)):
            _answer(model, batch, sums, greedy)
    if not bool(torch.isfinite(sums).all()):
        raise LabError(
            "the model gives a log-probability that is not a finite number. Its weights or its"
            " precision are broken; look at how it was trained or loaded."
        )
    return list(zip(sums.tolist(), greedy.tolist(), strict=True))


def max_length(model: PreTrainedModel) -> int:
    """Tokens of the longest sequence the model takes, beside those of a prefix before it."""
    adapters = getattr(model, "active_peft_config", None)
    prefix: int = getattr(adapters, "num_virtual_tokens", 0)
    return context_length(model.config) - prefix


def last_logits(model: PreTrainedModel, tokens: Tensor, keep: int) -> Tensor:
    """Logits of the last `keep` positions, float32 [batch, keep, vocabulary]."""
    wanted: dict[str, Any] = {"logits_to_keep": keep} if _keeps(model) else {}
    logits: Tensor = model(input_ids=tokens, **wanted).logits
    return logits[:, -keep:].float()


def _keeps(model: PreTrainedModel) -> bool:
    """Whether the model can leave out the logits that nobody asks for."""
    get_base: Any = getattr(model, "get_base_model", None)
    base = model if get_base is None else get_base()
    return "logits_to_keep" in inspect.signature(base.forward).parameters


def _rows(requests: Sequence[Encoded], longest: int) -> list[_Row]:
    """The sequences to pass, longest first; requests that differ in their last token share one."""
    askers: dict[tuple[int, ...], list[int]] = {}
    for number, (context, continuation) in enumerate(requests):
        tokens = (context + continuation)[-(longest + 1) :][:-1]
        askers.setdefault(tokens, []).append(number)
    rows = [_Row(tokens=tokens, askers=tuple(who)) for tokens, who in askers.items()]
    return sorted(rows, key=lambda row: -len(row.tokens))


def _batches(rows: list[_Row]) -> list[list[_Row]]:
    """Rows of one length together, so that nothing is padded; else the next shorter ones."""
    batches: list[list[_Row]] = []
    for length, group in groupby(rows, key=lambda row: len(row.tokens)):
        same = list(group)
        most = max(1, min(MOST_ROWS, BATCH_TOKENS // length))
        open_batch = batches[-1] if batches else []
        room = max(1, min(MOST_ROWS, BATCH_TOKENS // len(open_batch[0].tokens))) if batches else 0
        free = max(0, room - len(open_batch))
        if free and len(same) < most:
            open_batch += same[:free]
            same = same[free:]
        batches += [same[i : i + most] for i in range(0, len(same), most)]
    return batches


@lru_cache(maxsize=8)
def passes(requests: tuple[Encoded, ...], longest: int) -> tuple[Batch, ...]:
    """The passes that answer all requests; the same ones for every checkpoint of a series."""
    return tuple(_batch(rows, requests) for rows in _batches(_rows(requests, longest)))


def _batch(rows: list[_Row], requests: tuple[Encoded, ...]) -> Batch:
    import torch

    width = len(rows[0].tokens)
    where: list[int] = []
    places: list[int] = []
    wanted: list[int] = []
    owners: list[int] = []
    for i, row in enumerate(rows):
        for asker in row.askers:
            continuation = requests[asker].continuation
            first = len(row.tokens) - len(continuation)
            where += [i] * len(continuation)
            places += range(first, first + len(continuation))
            wanted += continuation
            owners += [asker] * len(continuation)
    keep = width - min(places)
    return Batch(
        # Padding comes after every token that counts, where causal attention never looks.
        tokens=torch.tensor([row.tokens + (0,) * (width - len(row.tokens)) for row in rows]),
        keep=keep,
        row=torch.tensor(where),
        place=torch.tensor(places) - (width - keep),
        wanted=torch.tensor(wanted),
        owner=torch.tensor(owners),
    )


def _answer(model: PreTrainedModel, batch: Batch, sums: Tensor, greedy: Tensor) -> None:
    """Add what one pass says to the sums of its requests."""
    device = model.device
    logits = last_logits(model, batch.tokens.to(device), batch.keep)
    row, place, wanted = (each.to(device) for each in (batch.row, batch.place, batch.wanted))
    total = logits.logsumexp(-1)[row, place]
    picked = (logits[row, place, wanted] - total).double().cpu()
    best = (logits.argmax(-1)[row, place] == wanted).cpu()
    sums.index_add_(0, batch.owner, picked)
    greedy[batch.owner[~best]] = False
