"""Signals that move below the elbow: what a model makes of reference solutions, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from emergecast.errors import LabError
from emergecast.lab.evaluate._logprobs import last_logits, max_length, passes

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from emergecast.lab.tasks import Encoded

PROXY_VERSION: Final = 1
"""Of the code below, as far as it moves numbers: part of the key of runs with proxy signals."""
_TOP: Final = (1, 5)
_AT_A_TIME: Final = 512
"""Tokens whose logits are compared at a time."""


class Signals(NamedTuple):
    """What a model makes of one reference solution, each token weighing the same."""

    tokens: int
    """Tokens of the solution."""
    logprob: float
    """Mean log-probability of a token, in nats."""
    top1: float
    """Share of tokens that are the most likely one."""
    top5: float
    """Share of tokens among the five most likely ones."""
    rank: float
    """Mean rank of a token among all, 1 for the most likely one."""
    reciprocal_rank: float
    """Mean of 1 / rank."""


PROXIES: Final = tuple(f"proxy_{name}" for name in Signals._fields[1:])
"""Names of the metrics: each the mean over items of the signal of that name."""


def reference_signals(model: PreTrainedModel, references: Sequence[Encoded]) -> list[Signals]:
    """What a model makes of reference solutions, in one pass with the solution as its input.

    A token's rank is `1 + (tokens more likely) + (others as likely) / 2`, and of tokens equally
    likely the ones in the top k are drawn: both are what breaking ties by lot gives on average. A
    solution is cut on the left to what the model takes. Uniform weights over the tokens of a
    solution: the cores of Patel et al. 2026, arXiv 2605.18607, without their other weights, and
    over all tokens, not the last 1,000.

    Args:
        model: A causal model, in evaluation mode.
        references: Prompt and solution of each item.

    Raises:
        LabError: A log-probability is not a number.
    """
    import torch

    longest = max_length(model)
    asked = tuple(_within(each, longest) for each in references)
    sums = torch.zeros(len(asked), len(PROXIES), dtype=torch.float64)
    with torch.inference_mode():
        for batch in passes(asked, longest):
            logits = last_logits(model, batch.tokens.to(model.device), batch.keep)
            row, place, wanted = (
                each.to(model.device) for each in (batch.row, batch.place, batch.wanted)
            )
            for i in range(0, len(wanted), _AT_A_TIME):
                some = slice(i, i + _AT_A_TIME)
                found = _of_tokens(logits[row[some], place[some]], wanted[some])
                sums.index_add_(0, batch.owner[some], found.cpu())
    if not bool(torch.isfinite(sums).all()):
        raise LabError(
            "the model gives a reference solution a log-probability that is not a finite number."
            " Its weights or its precision are broken; look at how it was trained or loaded."
        )
    counts = [len(each.continuation) for each in asked]
    means = (sums / torch.tensor(counts)[:, None]).tolist()
    return [Signals(n, *values) for n, values in zip(counts, means, strict=True)]


def _of_tokens(logits: Tensor, wanted: Tensor) -> Tensor:
    """All signals of each token, [tokens, signals], of its logits, [tokens, vocabulary]."""
    import torch

    own = logits.gather(1, wanted[:, None])
    logprob = (own[:, 0] - logits.logsumexp(1)).double().clamp(max=0)
    above = (logits > own).sum(1).double()
    level = (logits == own).sum(1).double()  # itself among them
    rank = above + (level + 1) / 2
    top = [((k - above) / level).clamp(0, 1) for k in _TOP]
    return torch.stack([logprob, *top, rank, 1 / rank], dim=1)


def _within(asked: Encoded, longest: int) -> Encoded:
    """The solution as far as it fits the model, with the token before it."""
    if len(asked.continuation) <= longest:
        return asked
    whole = asked.context + asked.continuation
    return asked._replace(context=whole[:-longest], continuation=whole[-longest:])
