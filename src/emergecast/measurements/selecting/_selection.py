"""What to fit: the options that pick the rows of one fit, and the picked rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from emergecast.errors import OptionError
from emergecast.measurements._axis import EXAMPLES, LOSS, Axis, Shift
from emergecast.measurements._metrics import MetricKind
from emergecast.measurements.selecting._doubted_chance import ChanceDoubt

INVENTED_SCORES: Final = (
    "The scores are invented: a rehearsal or a simulation made them up, and nothing here is a "
    "measurement."
)
"""Warning of a selection of such scores."""
ANNEALED: Final = 0.1
"""Largest learning rate, over its peak, of a checkpoint that counts as annealed."""
DEFAULT_SHOTS: Final = 5
"""Shots of the few-shot rows where none says how many it used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectOptions:
    """Which rows of the table make one fit."""

    task: str | None = None
    """Name of the task; default: the only one."""
    series: str | tuple[str, ...] | None = None
    """Series to take; default: all, each on its own unless pooled."""
    pool: bool = False
    """Fit several series as one."""
    metric: str | None = None
    """Name of the metric; default: the only one, or acc where there are several."""
    method: str | None = None
    """Finetuning method; default: the only one."""
    shots: int | None = None
    """In-context examples of the few-shot rows; default: the only number."""
    loss_corpus: str | None = None
    """Held-out corpus of the losses; default: the only one."""
    at_chance_only: bool = False
    """Hide the weakest checkpoint that is above chance few-shot, and all at or below its loss."""
    min_loss: float | None = None
    """Leave out checkpoints of lower loss, nats per token; on another axis, of lower value."""
    max_loss: float | None = None
    """Leave out checkpoints of higher loss, nats per token; on another axis, of higher value."""
    exclude: tuple[str, ...] = ()
    """Checkpoint to leave out: a name, or a pattern with * and ?."""
    where: tuple[tuple[str, str], ...] = ()
    """Keep only rows with this value in this column."""
    lower_is_better: bool | None = None
    """Which way an unknown metric goes; default: as the registry of metrics knows."""
    axis: str = LOSS
    """What stands for capability: loss, flops, params, tokens (log10 unless :linear) or any column
    of numbers (higher is stronger unless :lower)."""
    shift: str = EXAMPLES
    """What moves the elbow: examples, or any column of numbers that is 0 where nothing does (shots,
    a hint fraction, steps of reinforcement learning)."""

    def __post_init__(self) -> None:
        exclude: object = self.exclude
        if isinstance(exclude, str):  # one name, and not its letters
            object.__setattr__(self, "exclude", (exclude,))
        where: Any = self.where
        pairs = tuple(where.items()) if isinstance(where, Mapping) else where
        if not isinstance(pairs, tuple | list) or not all(
            isinstance(each, tuple | list) and len(each) == 2 for each in pairs
        ):
            raise OptionError(
                f"where takes pairs of column and value, or a mapping of them, not {where!r}."
            )
        object.__setattr__(self, "where", tuple((str(name), value) for name, value in pairs))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Selection:
    """The rows of one fit, oriented so that higher is better."""

    task: str
    metric: str
    metric_kind: MetricKind
    negated: bool
    """True where lower is better: `score`, `chance` and `best` are then the table's negated."""
    best: float | None
    """Best attainable score, oriented; None where there is none."""
    series: tuple[str, ...]
    method: str | None
    """Finetuning method; None where no row is finetuned."""
    loss_corpus: str | None
    shots: int | None
    """In-context examples of the few-shot rows; None where not stated, where there are none, or
    where examples are not what moves the elbow."""
    chance: float
    """Score of a model that knows nothing, oriented."""
    rows: pl.DataFrame
    """One row per score, in an order that does not depend on the table's. Columns: series,
    checkpoint, params, tokens, flops, lr_fraction, loss, loss_stderr, loss_source, few_shot,
    examples (null where few-shot), subset, seed, score, stderr, n_items, runs, snapshot. `loss` and
    `examples` are the internal values of `axis` and `shift`, and `few_shot` rows are those that
    nothing shifts."""
    all_few_shot: pl.DataFrame
    """The few-shot rows before checkpoints above chance were hidden, in the columns of `rows`."""
    finetuned_spread: float | None
    """Largest less smallest finetuned score before checkpoints were hidden; None where no row is
    finetuned."""
    warnings: tuple[str, ...]
    """What a reader of the forecast must know, in sentences."""
    suspicions: tuple[str, ...]
    """What in the rows cannot well be right, in sentences; no forecast of them is identified."""
    invented: bool
    """Whether any score was made up: every output then says so."""
    hidden: tuple[str, ...]
    """Checkpoints that `at_chance_only` hid, weakest first; "series/checkpoint" where there are
    several series."""
    hidden_reason: str | None
    """What `at_chance_only` did, in one sentence; None where it was not asked for."""
    table_hash: str
    chance_doubt: ChanceDoubt | None = None
    """What contradicts the chance level, in the table's numbers; None where nothing does."""
    axis: Axis = field(default_factory=Axis)
    """What `loss` stands for, and how to print it."""
    shift: Shift = field(default_factory=Shift)
    """What `examples` stands for, and how to print it."""


def marked(name: str, *, invented: bool) -> str:
    """The name of a fit in a title; where its scores are invented, that stands before it."""
    return f"INVENTED SCORES, {name}" if invented else name


def default_few_shot_examples(shots: int | None, smallest: float = math.inf) -> float:
    """D0 unless another is asked for: the shots, at least 1, else half the smallest amount.

    Args:
        shots: in-context examples of the few-shot rows; None: not stated.
        smallest: smallest amount of finetuning data, which D0 stays below where that leaves 1.
    """
    default = float(DEFAULT_SHOTS if shots is None else max(shots, 1))
    return default if default < smallest else max(1.0, smallest / 2)
