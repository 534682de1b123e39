"""What an import is asked, and what it answers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emergecast.errors import Problem
from emergecast.measurements._axis import EXAMPLES, LOSS
from emergecast.measurements._table import Measurements


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """How to read a folder of result files."""

    patterns: tuple[str, ...] = ()
    """Patterns of paths below each folder, tried in this order; none: the harness's own folders."""
    checkpoints: str | os.PathLike[str] | None = None
    """Table with one row per checkpoint: its params, tokens, loss and whatever else is known."""
    batch_size: int | None = None
    """Finetuning examples per step."""
    train_size: int | None = None
    """Size of the finetuning set; steps beyond it repeat examples."""
    tokens_per_step: int | None = None
    """Tokens of one pretraining step, where the metadata have no column tokens_per_step."""
    tasks: tuple[str, ...] = ()
    """Tasks and groups to import; none: the task in the path, else the top-level ones of a file."""
    loss_from: str | None = None
    """Constants that estimate a missing loss."""
    method: str | None = None
    """Finetuning method of finetuned rows whose path and metadata do not say."""
    loss_corpus: str | None = None
    """Corpus of the losses where the metadata do not say."""
    chance: tuple[tuple[str | None, float], ...] = ()
    """Chance levels: pairs of a name and a level. The name is TASK/METRIC or TASK, which overrule
    what the files say, or METRIC or None (every accuracy-like metric), which fill gaps only."""
    axis: str = LOSS
    """What will stand for capability, as in `SelectOptions`; if not loss, rows need no loss."""
    shift: str = EXAMPLES
    """What will move the elbow, as in `SelectOptions`."""
    keep_going: bool = False
    """Import the good files where others are broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import read."""

    table: Measurements
    files_read: int
    """Files that matched and whose rows are in the table or wait for metadata."""
    files_unmatched: int
    """Files under the folders that match no pattern."""
    unmatched: tuple[str, ...]
    """The first of those."""
    without_metadata: tuple[str, ...]
    """Checkpoints that are kept out because nothing is known about them."""
    problems: tuple[Problem, ...]
    """What was wrong with files that `keep_going` left out, and with scores that cannot be scores,
    which are always left out."""
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """What was decided on the way, such as why rows count as finetuned, in sentences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One result file that matched a pattern."""

    path: Path
    name: str
    """Relative to the imported folder."""
    fields: Mapping[str, str]
    """Named fields of its path."""
    unnamed: tuple[str, ...]
    """Parts of its path that a star stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One row that a file gives, and what decides between it and another of the same key."""

    row: dict[str, Any]
    fields: Mapping[str, str]
    """Named fields of the path, which are part of what the row measures."""
    limited: bool
    """Whether only some of the items were evaluated."""
    source: Source
    why_finetuned: str | None
    """Why it counts as finetuned; None where it does not."""


@dataclass(slots=True)
class Gathered:
    """What the files gave so far, beside rows."""

    problems: list[Problem] = field(default_factory=list)
    """Of files that cannot be imported."""
    left_out: list[Problem] = field(default_factory=list)
    """Of scores that cannot be scores."""
    without_metadata: dict[str, int] = field(default_factory=dict)
    """Files by checkpoint of which nothing is known."""
    no_chance: dict[tuple[str, str], int] = field(default_factory=dict)
    """Files by metric and task whose chance level is not known."""
    step_zero: int = 0
    untrained: int = 0
    """Files of pretraining step 0 whose loss is not known."""
    pretraining: int = 0
    """Files whose step is one of pretraining although the pattern says {step}."""
    by_folder: list[str] = field(default_factory=list)
    """Revisions, one for each file whose folder names it and that does not name one itself."""
    tasks_found: set[str] = field(default_factory=set)
