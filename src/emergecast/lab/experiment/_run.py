"""One run, and the key made of all that determines its result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from emergecast.lab.evaluate import LOSS_VERSION
from emergecast.lab.finetune import FinetuneMethod
from emergecast.records import from_json


class RunKind(StrEnum):
    """What a run does."""

    LOSS = "loss"
    """Measures the loss of a checkpoint on held-out text."""
    FEW_SHOT = "few_shot"
    """Evaluates a checkpoint on a task as it is."""
    FINETUNED = "finetuned"
    """Finetunes a copy of a checkpoint on a task, and evaluates that."""


PROTOCOL: Final[Mapping[RunKind, int]] = {
    RunKind.LOSS: LOSS_VERSION,
    RunKind.FEW_SHOT: 1,
    RunKind.FINETUNED: 1,
}
"""Version of the code that makes a result of each kind, as far as it moves numbers.

It is part of every key, so a change of the code that changes results raises it, and the runs are
done again. The version of the package is not part of it: months of measurements must not be
thrown away because a message was reworded. It is recorded with each result instead.
"""


HALF_PRECISION: Final = 2
"""The same of the code that finetunes weights of 16 bits, part of the key of such runs alone.

Version 0.1.0, whose keys lack it, rounded numbers that such models keep in 32 bits, and evaluated
finetuned ones in another precision than few-shot ones.
"""


CONFIG: Final = "config"
"""Part of the identity: what the settings of model, tokenizer and generation say."""
DEFINITION: Final = "definition"
"""Part of the identity of a score: what the task's definition is."""
PROXY: Final = "proxy"
"""Part of the identity of a score with proxy signals, and of no other."""
LATER: Final = frozenset({CONFIG, DEFINITION})
"""Parts of the identity that keys of version 0.1.0 lack, and rehearsals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What a copy of a checkpoint is finetuned on, and how."""

    examples: int
    """Unique examples."""
    subset: int
    """Which random subset of the training data."""
    seed: int
    """Which repeat."""
    method: FinetuneMethod
    """Settled for the checkpoint and the amount of data."""

    def identity(self) -> dict[str, Any]:
        """All of it that determines a result, as run keys hold it."""
        return {
            "examples": self.examples,
            "subset": self.subset,
            "seed": self.seed,
            "recipe": self.method.recipe(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One cell of the grid."""

    series: str
    """Name of the series."""
    checkpoint: str
    """Name of the checkpoint within it."""
    corpus: str | None = None
    """Held-out text of a loss; None for a score."""
    task: str | None = None
    """Task of a score; None for a loss."""
    training: Training | None = None
    """None where nothing is finetuned."""
    identity: Mapping[str, Any]
    """All that determines the result, by name."""

    @property
    def kind(self) -> RunKind:
        """What it does."""
        if self.task is None:
            return RunKind.LOSS
        return RunKind.FEW_SHOT if self.training is None else RunKind.FINETUNED

    @property
    def examples(self) -> int | None:
        """Unique finetuning examples; None where nothing is finetuned."""
        return None if self.training is None else self.training.examples

    @property
    def key(self) -> str:
        """SHA-256 of the identity, in hexadecimal: names and folders are not part of it."""
        return hashlib.sha256(canonical(self.identity).encode()).hexdigest()

    @property
    def first_key(self) -> str:
        """The key that version 0.1.0 made, which knew less of what determines a result."""
        known = {name: value for name, value in self.identity.items() if name not in LATER}
        return hashlib.sha256(canonical(known).encode()).hexdigest()

    @property
    def title(self) -> str:
        """The run in words, like "v1/S-108 finetuned matching D=64 subset 0 seed 1 full"."""
        what = self.corpus if self.task is None else self.task
        title = f"{self.series}/{self.checkpoint} {self.kind} {what}"
        if (how := self.training) is not None:
            title += f" D={how.examples} subset {how.subset} seed {how.seed} {how.method.name}"
        return title

    def as_json(self) -> dict[str, Any]:
        """The run as plain values; `run_from_json` turns them back."""
        return asdict(self)


def run_from_json(values: Mapping[str, Any]) -> Run:
    """The run that `Run.as_json` wrote down."""
    training = from_json(Training | None, values["training"], what="a run")  # type: ignore[arg-type]
    return Run(**{**values, "training": training})


def canonical(values: object) -> str:
    """JSON with one spelling for equal values; refuses NaN and infinities."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
