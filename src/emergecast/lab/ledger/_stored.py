"""A result as a row of the ledger, and a row as a result: strictly, since it may be damaged."""

from __future__ import annotations

import hashlib
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from emergecast.lab.evaluate import Loss, Score
from emergecast.lab.experiment import RunKind, canonical
from emergecast.lab.ledger._outcome import Attempt, Outcome, Result

Row = tuple[Any, ...]
"""The values of a table's columns."""

_MOST_BYTES: Final = 1 << 30
"""Of the items of one result when they are unpacked."""


class UnreadableRowError(ValueError):
    """A row is not what the ledger writes; the message says why, without a full stop."""


def row_of(attempt: Attempt, outcome: Outcome) -> Row:
    """A result in the order of the columns.

    Raises:
        ValueError: a number in it is not finite.
    """
    content = canonical(
        {
            "loss": None if outcome.loss is None else asdict(outcome.loss),
            "scores": [asdict(score) for score in outcome.scores],
            "training": None if outcome.training is None else dict(outcome.training),
        }
    )
    items = None
    if outcome.items:
        items = zlib.compress(canonical([dict(item) for item in outcome.items]).encode(), 9)
    return (
        attempt.key,
        attempt.kind,
        attempt.title,
        canonical(dict(attempt.identity)),
        content,
        items,
        float(attempt.started),  # as they come back, and so their digest
        float(attempt.seconds),
        canonical(dict(outcome.timings)),
        canonical(dict(attempt.versions)),
        canonical(dict(attempt.machine)),
    )


def result_of(row: Row) -> Result:
    """The result in a row.

    Raises:
        UnreadableRowError: it holds something that no result holds.
    """
    key, kind, title, identity, content, _, started, seconds, timings, versions, machine = row
    if kind not in set(RunKind):
        raise UnreadableRowError(f"its kind is {kind!r}")
    outcome = _mapping(content, "outcome")
    if set(outcome) != {"loss", "scores", "training"}:
        raise UnreadableRowError(f"its outcome has the entries {', '.join(sorted(outcome))}")
    loss, scores, training = outcome["loss"], outcome["scores"], outcome["training"]
    if not isinstance(scores, list) or not isinstance(training, dict | None):
        raise UnreadableRowError("its scores or its training are of another type")
    if loss is None and not scores:
        raise UnreadableRowError("it holds neither a loss nor a score")
    return Result(
        key=_text(key, "key"),
        kind=kind,
        title=_text(title, "title"),
        identity=_mapping(identity, "identity"),
        loss=None if loss is None else _loss(loss),
        scores=tuple(map(_score, scores)),
        training=training,
        started=_number(started, "start"),
        seconds=_number(seconds, "seconds", least=0.0),
        timings=_mapping(timings, "timings"),
        versions=_mapping(versions, "versions"),
        machine=_mapping(machine, "machine"),
    )


def items_of(row: Row) -> list[dict[str, Any]]:
    """Outcomes of the single test items in a row; empty where it has none.

    Raises:
        UnreadableRowError: they cannot be read.
    """
    packed = row[5]
    if packed is None:
        return []
    unpacker = zlib.decompressobj()
    try:
        found = json.loads(unpacker.decompress(packed, _MOST_BYTES))
    except (zlib.error, ValueError, TypeError, RecursionError) as error:
        raise UnreadableRowError(f"its items cannot be read ({error})") from None
    if not unpacker.eof:
        raise UnreadableRowError("its items are cut short")
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise UnreadableRowError("its items are not a list of records")
    return found


def key_of(row: Row) -> str:
    """The key that the identity in a row makes, whatever key stands in it."""
    return hashlib.sha256(str(row[3]).encode("utf-8", "surrogatepass")).hexdigest()


def same_outcome(one: Row, other: Row) -> bool:
    """Whether two rows of one run found the same, whoever measured it and when."""
    return one[4:6] == other[4:6]


def said(row: Row) -> str:
    """What a result found, in a few words."""
    result = result_of(row)
    if result.loss is not None:
        return f"{result.loss.nats_per_token!r} nats per token"
    return ", ".join(f"{score.metric} {score.score!r}" for score in result.scores)


def _loss(values: object) -> Loss:
    entries = _entries(values, "loss", tuple(Loss.__dataclass_fields__))
    for name in ("nats_per_token", "nats_per_byte"):
        _number(entries[name], name, least=0.0)
    for name in ("stderr", "byte_stderr"):
        if entries[name] is not None:
            _number(entries[name], name, least=0.0)
    for name in ("tokens", "bytes"):
        _count(entries[name], name)
    return Loss(**entries)


def _score(values: object) -> Score:
    entries = _entries(values, "score", tuple(Score.__dataclass_fields__))
    _text(entries["metric"], "metric")
    _number(entries["score"], "score")
    if entries["stderr"] is not None:
        _number(entries["stderr"], "standard error", least=0.0)
    _count(entries["n_items"], "number of items")
    return Score(**entries)


def _entries(values: object, what: str, names: Sequence[str]) -> dict[str, Any]:
    if not isinstance(values, dict) or set(values) != set(names):
        raise UnreadableRowError(f"its {what} is not one: {str(values)[:80]}")
    return values


def _mapping(content: object, what: str) -> Mapping[str, Any]:
    try:
        found = json.loads(_text(content, what))
    except (ValueError, RecursionError) as error:
        raise UnreadableRowError(f"its {what} cannot be read ({error})") from None
    if not isinstance(found, dict):
        raise UnreadableRowError(f"its {what} is {str(found)[:40]}")
    return found


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise UnreadableRowError(f"its {what} is {str(value)[:40]!r}, which is not text")
    return value


def _number(value: object, what: str, *, least: float = -math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnreadableRowError(f"its {what} is {str(value)[:40]!r}, which is not a number")
    if not math.isfinite(value) or value < least:
        raise UnreadableRowError(f"its {what} is {value}")
    return value


def _count(value: object, what: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UnreadableRowError(f"its {what} is {str(value)[:40]!r}")
