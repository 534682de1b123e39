"""What a result of version 0.1.0 proves of itself: its parts are compared with each other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

from emergecast.lab.evaluate import LOGPROB
from emergecast.lab.experiment import RunKind
from emergecast.lab.ledger._outcome import Result
from emergecast.lab.ledger._stored import (
    Row,
    UnreadableRowError,
    items_of,
    key_of,
    result_of,
)

_SAME: Final = 1e-9
"""How much a number may differ from what the items say."""


def check_without_digest(row: Row) -> None:
    """What can be said of a result of version 0.1.0, which has no digest.

    The key is the SHA-256 of the identity, which the title speaks of too; items are packed with a
    checksum, and each score is a mean over them, with its standard error; the loss in nats is the
    same by tokens and by bytes. A change of a loss's standard error, a time, the machine, or the
    training's own words remains unnoticed.

    Raises:
        UnreadableRowError: it is damaged.
    """
    result, items = result_of(row), items_of(row)
    if (result.loss is not None) != (result.kind == RunKind.LOSS):
        raise UnreadableRowError("it holds a loss in place of scores, or the reverse")
    if key_of(row) != result.key:
        raise UnreadableRowError("its key is not the one of what it says it measured")
    if not result.title.endswith(_end_of_title(result)):
        raise UnreadableRowError("its title is not the one of what it says it measured")
    if (loss := result.loss) is not None and not math.isclose(
        loss.nats_per_token * loss.tokens, loss.nats_per_byte * loss.bytes, rel_tol=_SAME
    ):
        raise UnreadableRowError("its losses by token and by byte are not of the same text")
    _check_scores(result, items)


def _check_scores(result: Result, items: Sequence[dict[str, Any]]) -> None:
    """Each is a mean over the items, with its standard error."""
    if result.scores and result.scores[0].metric != result.identity.get("metric"):
        raise UnreadableRowError("its metric is not the one that was asked for")
    for score in result.scores if items else ():
        name = "logprob" if score.metric == LOGPROB else "correct"
        values: list[Any] = [item.get(name) for item in items]
        if score.n_items != len(values):
            raise UnreadableRowError(f"it has {len(values)} items, not {score.n_items}")
        try:
            mean = math.fsum(values) / len(values)
        except TypeError:
            raise UnreadableRowError(f"its items have no {name}") from None
        if not math.isclose(mean, score.score, rel_tol=_SAME, abs_tol=_SAME):
            raise UnreadableRowError(
                f"its {score.metric} is {score.score:g}, but its items say {mean:g}"
            )
        errors = tuple(_errors_of(values, mean))
        if not any(_alike(score.stderr, error) for error in errors):
            raise UnreadableRowError(
                f"its standard error is {score.stderr}, but its items say {errors[0]}"
            )


def _errors_of(values: Sequence[float], mean: float) -> Iterator[float | None]:
    """Standard errors of a mean: as evaluations state it, and as rehearsals do."""
    n = len(values)
    squares = math.fsum((value - mean) ** 2 for value in values)
    yield math.sqrt(squares / (n - 1) / n) if n > 1 else None
    yield math.sqrt(max(mean * (1 - mean), 1e-9) / n) if 0 <= mean <= 1 else None


def _alike(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=_SAME, abs_tol=_SAME)


def _end_of_title(result: Result) -> str:
    """What the title of a score says of its identity; of a loss it says names alone."""
    if result.kind == RunKind.LOSS:
        return ""
    known = result.identity
    end = f" {result.kind} {known.get('task')}"
    if result.kind == RunKind.FINETUNED:
        recipe = known.get("recipe")
        method = recipe.get("method") if isinstance(recipe, dict) else None
        end += f" D={known.get('examples')} subset {known.get('subset')}"
        end += f" seed {known.get('seed')} {method}"
    return end
