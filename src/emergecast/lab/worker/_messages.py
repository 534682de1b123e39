"""What a worker says while it does runs: records that any executor can carry, and their JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from emergecast.lab.ledger import Attempt, Outcome, Owner
from emergecast.records import from_json


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBegun:
    """A worker has begun a run."""

    key: str
    """That of the run."""
    owner: Owner
    """The process that does it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAdvanced:
    """A run has come so far."""

    key: str
    """That of the run."""
    done: int
    """Steps done."""
    total: int
    """Steps in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDone:
    """A run found something."""

    key: str
    """That of the run."""
    attempt: Attempt
    """Who did it, when, and with what."""
    outcome: Outcome
    """What it found: finite numbers alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailed:
    """A run found nothing."""

    key: str
    """That of the run."""
    attempt: Attempt
    """Who tried it, when, and with what."""
    error: str
    """What went wrong, in a sentence."""
    traceback: str
    """Where it went wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerAlive:
    """A worker gets on; said every `BEAT_SECONDS`, as long as it computes something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStuck:
    """A worker can do no run, and no other could either: a full disk, a file that is wrong."""

    error: str
    """Why, and what to do."""


Message = RunBegun | RunAdvanced | RunDone | RunFailed | WorkerAlive | WorkerStuck
"""What a worker says."""
BEAT_SECONDS: Final = 15.0
"""Seconds between two signs of life."""
_KINDS: Final[Mapping[str, type[Message]]] = {
    kind.__name__: kind
    for kind in (RunBegun, RunAdvanced, RunDone, RunFailed, WorkerAlive, WorkerStuck)
}


def message_to_json(message: Message) -> str:
    """The message on one line; `message_from_json` turns it back, to the last bit.

    Raises:
        ValueError: a number is not finite.
    """
    values = {"kind": type(message).__name__, **_fields(message)}
    return json.dumps(values, default=_fields, allow_nan=False)


def message_from_json(text: str) -> Message:
    """The message that `message_to_json` wrote down."""
    values = json.loads(text)
    return from_json(_KINDS[values["kind"]], values, what="a worker's message")


def _fields(record: Any) -> dict[str, Any]:  # noqa: ANN401  whatever `json` does not know
    """One level of a record: `json` goes through the outcomes of items faster than `as_json`."""
    return {each.name: getattr(record, each.name) for each in fields(record)}
