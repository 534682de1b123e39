"""How a model is finetuned: every setting that decides the weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeVar, cast

from emergecast.errors import LabError
from emergecast.measurements import METHOD_FORMS, MethodKind, MethodName, method_name
from emergecast.records import as_json

_T = TypeVar("_T")

DEFAULT_BATCH: Final = 32
"""Examples per step where nobody says."""
PREFIX_LEARNING_RATE: Final = 1e-2
"""Learning rate of prefix tuning where nobody says: as in P-tuning v2 (arXiv 2110.07602) and the
examples of PEFT. It is far above those of the other methods: keys and values are as large as
activations, and a step moves a number by about the learning rate."""
FEWEST_HELD_OUT: Final = 4
"""Examples that a choice rests on at least."""
MOST_HELD_OUT: Final = 0.5
"""Share of the examples that may be held out at most."""
FEWEST_TOKENS: Final = 2
"""Of an example: something to go by, and something to learn."""
METHODS: Final = tuple(form for form in METHOD_FORMS if form != MethodKind.PREFIX)
"""How methods are called here; a prefix needs its number of tokens."""


class Schedule(StrEnum):
    """How the learning rate changes after the warmup."""

    LINEAR = "linear"
    """Decays to zero."""
    COSINE = "cosine"
    """Decays to zero along half a cosine."""
    CONSTANT = "constant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Settings that a run tries; it takes those of the lowest loss on what is held out."""

    learning_rates: tuple[float, ...] = ()
    """Ascending; that of the method alone where there are none."""
    steps: tuple[int, ...] = ()
    """The same of the steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyStopping:
    """When training ends before its last step; the best weights are kept."""

    patience: int
    """It ends when the loss on what is held out was not lower than before so many times in a
    row."""
    every_steps: int
    """Steps from one look at that loss to the next; the last step is looked at too."""


class Work(NamedTuple):
    """How many examples pass through the model, each as often as it does."""

    trained: int
    """For a step."""
    looked_at: int
    """For a loss alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneMethod:
    """Everything that decides the weights, but for the data and the seed.

    Every field is part of the keys of runs: a new one needs a value that old runs leave out, and
    a place in `_LATER`.
    """

    name: str
    """One of `METHODS`."""
    steps: int
    """Optimiser steps; the fewest of a sweep."""
    learning_rate: float
    """Peak learning rate; the lowest of a sweep."""
    batch_size: int = DEFAULT_BATCH
    """Examples per step; all of them where there are fewer."""
    schedule: Schedule = Schedule.LINEAR
    """How the learning rate changes after the warmup."""
    warmup_steps: int = 0
    """Steps until the learning rate is at its peak."""
    weight_decay: float = 0.0
    """Decoupled, as AdamW's."""
    max_grad_norm: float | None = 1.0
    """Longer gradients are cut to this norm; None for none."""
    train_embeddings: bool = True
    """Whether the embeddings of tokens learn too. On tiny models whose output is tied to
    them they should not: an answer pushes every other token down a little, and Adam makes a full
    step of that."""
    validation: float | None = None
    """Share of the examples that are held out, the last ones; None for none."""
    sweep: Sweep | None = None
    """Settings to choose from; None where they are given."""
    early_stopping: EarlyStopping | None = None
    """When training ends early; None where it does all of its steps."""

    def __post_init__(self) -> None:
        """Refuse values that no training can have.

        Raises:
            LabError: Names the value and what it should be.
        """
        self._check("name", is_method(self.name), f"{', '.join(METHODS[:-1])} or {METHODS[-1]}")
        self._check("schedule", self.schedule in tuple(Schedule), "linear, cosine or constant")
        self._check("steps", self.steps >= 1, "1 or more")
        self._check("batch_size", self.batch_size >= 1, "1 or more")
        self._check("warmup_steps", 0 <= self.warmup_steps <= self.steps, "0 to the steps")
        rate, decay = self.learning_rate, self.weight_decay
        self._check("learning_rate", math.isfinite(rate) and rate > 0, "above 0")
        self._check("weight_decay", math.isfinite(decay) and decay >= 0, "0 or more")
        share = self.validation
        needed = self.sweep is not None or self.early_stopping is not None
        fine = not needed if share is None else 0 < share <= MOST_HELD_OUT
        self._check("validation", fine, f"a share above 0, and at most {MOST_HELD_OUT}")

    @property
    def parsed(self) -> MethodName:
        """What is trained, and of which size."""
        return cast("MethodName", method_name(self.name))  # or the record would not be

    @property
    def settings_known(self) -> bool:
        """Whether nothing of how long it trains is chosen on the way."""
        return self.early_stopping is None and (self.sweep is None or not self.sweep.steps)

    @property
    def candidates(self) -> tuple[FinetuneMethod, ...]:
        """The method with each of the settings of its sweep, fewest steps and lowest rate first."""
        sweep = self.sweep or Sweep()
        return tuple(
            replace(self, sweep=None, steps=steps, learning_rate=rate)
            for steps in sweep.steps or (self.steps,)
            for rate in sweep.learning_rates or (self.learning_rate,)
        )

    @property
    def chosen(self) -> FinetuneMethod:
        """A candidate as it is trained after it was chosen.

        On all examples, unless some of them say when to stop.
        """
        return self if self.early_stopping is not None else replace(self, validation=None)

    @property
    def all_steps(self) -> int:
        """Optimiser steps of all candidates and of the chosen one, at most."""
        each = [candidate.steps for candidate in self.candidates]
        return max(each) if self.sweep is None else sum(each) + max(each)

    def epochs(self, examples: int) -> float:
        """How often each of `examples` is seen."""
        return self.steps * self.batch_size / examples

    def held_out(self, examples: int) -> int:
        """How many of `examples` are held out."""
        return 0 if self.validation is None else round(self.validation * examples)

    def split(self, pairs: Sequence[_T]) -> tuple[Sequence[_T], Sequence[_T]]:
        """What is trained on, and what is held out.

        Raises:
            LabError: Too few are held out.
        """
        held = self.held_out(len(pairs))
        if self.validation is not None and held < FEWEST_HELD_OUT:
            raise LabError(
                f"{self.validation:g} of {len(pairs)} examples are {held} to choose by. Hold at"
                f" least {FEWEST_HELD_OUT} out."
            )
        return pairs[: len(pairs) - held], pairs[len(pairs) - held :]

    def work(self, examples: int) -> Work:
        """What a run on `examples` computes at most, its sweep included."""
        trainings = list(self.candidates)
        if self.sweep is not None:
            trainings.append(max(trainings, key=lambda each: each.steps).chosen)
        looks = [
            each.held_out(examples)
            * (1 if (how := each.early_stopping) is None else -(-each.steps // how.every_steps))
            for each in trainings
        ]
        return Work(self.all_steps * self.batch_size, sum(looks))

    def recipe(self) -> dict[str, Any]:
        """All of it, as keys of runs hold it: what old runs did not know only where it is there."""
        found: dict[str, Any] = as_json(self)
        for name in _LATER:
            if found[name] is None:
                del found[name]
        return {"method": found.pop("name"), **found}

    def _check(self, field: str, fine: bool, wanted: str) -> None:  # noqa: FBT001  a claim
        if not fine:
            raise LabError(
                f"finetuning method: {field} is {getattr(self, field)!r}. Give {wanted}."
            )


_LATER: Final = ("validation", "sweep", "early_stopping")
"""Fields that came after version 0.1.0."""


def is_method(name: str) -> bool:
    """Whether there is a way of finetuning called so."""
    found = method_name(name)
    return found is not None and (found.kind is MethodKind.FULL or found.size is not None)
