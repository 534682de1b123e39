"""What the ledger keeps of a run: what it found, how it was done, or why it failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Self

from emergecast.lab.evaluate import Loss, Score
from emergecast.lab.experiment import Run
from emergecast.lab.ledger._owner import machine

GRADING: Final = "tests"
"""Among the timings: seconds on a core that the tests of programs took, beside everything else."""
HUB: Final = "hub "
"""What names in `versions` begin with that are revisions of the hub; their version is a commit."""
LAST_STEP: Final = "last_step"
"""In what a finetuning says of itself: the step with which it ended, where something was held out;
`steps` are those behind the weights. Results of earlier versions lack it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run found."""

    loss: Loss | None = None
    """None where scores were measured."""
    scores: tuple[Score, ...] = ()
    """The task's own metric first."""
    training: Mapping[str, Any] | None = None
    """What the finetuning says of itself: steps, loss."""
    items: tuple[Mapping[str, Any], ...] = ()
    """Outcome of each test item."""
    timings: Mapping[str, float] = field(default_factory=dict)
    """Seconds by part of the run."""


class State(StrEnum):
    """Where a run stands."""

    DONE = "done"
    FAILED = "failed"
    RUNNING = "running"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A result as the ledger has it, without the outcomes of single items."""

    key: str
    """SHA-256 of the identity, in hexadecimal."""
    kind: str
    """What the run did: a `RunKind`."""
    title: str
    """The run in words."""
    identity: Mapping[str, Any]
    """All that determines the result, by name; the key is made of it."""
    loss: Loss | None
    """None where scores were measured."""
    scores: tuple[Score, ...]
    """The task's own metric first."""
    training: Mapping[str, Any] | None
    """What the finetuning says of itself: steps, loss."""
    started: float
    """Seconds since 1970, UTC."""
    seconds: float
    """How long the run took."""
    timings: Mapping[str, float]
    """Seconds by part of the run."""
    versions: Mapping[str, str]
    """Of the libraries that made it, by name; and what it read of the hub (`HUB`)."""
    machine: Mapping[str, Any]
    """On which it was done, in a few words."""

    @property
    def commits(self) -> Mapping[str, str]:
        """Commits of the revisions of the hub that it read, by repository and revision."""
        found = self.versions.items()
        return {name.removeprefix(HUB): each for name, each in found if name.startswith(HUB)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A run that failed and was not cleared for another try."""

    key: str
    """As in a result."""
    title: str
    """As in a result."""
    error: str
    """What went wrong, in a sentence."""
    traceback: str
    """Empty where the process died."""
    failed: float
    """Seconds since 1970, UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Who did a run, when, and with what; goes into the ledger beside its result."""

    key: str
    kind: str
    title: str
    identity: Mapping[str, Any]
    """As in a result, and so the rest."""
    started: float
    seconds: float
    versions: Mapping[str, str]
    machine: Mapping[str, Any]

    @classmethod
    def here(cls, run: Run, *, started: float, seconds: float, versions: Mapping[str, str]) -> Self:
        """An attempt at a run on this machine."""
        return cls(
            key=run.key,
            kind=str(run.kind),
            title=run.title,
            identity=run.identity,
            started=started,
            seconds=seconds,
            versions=versions,
            machine=machine(),
        )
