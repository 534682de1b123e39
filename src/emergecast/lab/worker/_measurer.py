"""What the runner asks of a measurer, and what it returns.

The runner knows no model: it plans, claims, records. Measuring is behind one interface with two
implementations, the models themselves and a rehearsal that loads nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from emergecast.lab.checkpoints import Checkpoint
from emergecast.lab.experiment import Corpus, Run
from emergecast.lab.ledger import Outcome
from emergecast.lab.tasks import Task, TooLong


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What a checkpoint is, found without loading its weights."""

    weights_hash: str
    """SHA-256 of the weights, in hexadecimal."""
    architecture: str
    """Class of the model, as transformers calls it."""
    params: int
    """Parameters."""
    tokenizer_hash: str
    """The same for the same vocabulary and rules."""
    half_precision: bool | None = None
    """Whether its weights are of 16 bits; None where version 0.1.0 looked, which did not ask."""
    config_hash: str | None = None
    """SHA-256 over its settings; None where nothing is loaded, or where version 0.1.0 looked."""
    weight_files: Sequence[str] = ()
    """SHA-256 of each of its weight files; none where nothing is loaded, or nobody asked."""
    context: int | None = None
    """Tokens of the longest sequence that it takes; None where nothing is loaded."""
    width: int | None = None
    """Numbers that a token becomes in it; None where nothing is loaded, or nothing says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramFacts:
    """What grading a task's programs takes, and what is not graded."""

    samples: int
    """Programs of each problem."""
    tests: int
    """Tests of all problems."""
    reference_tests: int
    """Tests of the problems that have a reference solution."""
    without_tests: int
    """Problems left out, since no program can pass."""
    without_solutions: int
    """Training problems left out, since there is nothing to learn."""
    masked: int | None
    """Problems of which every reference solution fails; None where they were not run yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFacts:
    """What a task is."""

    hash: str
    """SHA-256 of what the task asks and trains on, as evaluated few-shot, in hexadecimal."""
    zero_shot_hash: str
    """The same without examples in the prompt, and without what is left out of the training split:
    as a model is finetuned and then evaluated."""
    metric: str
    """The metric of the score."""
    chance: float | None
    """Its chance level, where the task itself decides it."""
    items: int
    """Test items."""
    training_size: int | None
    """Training examples that may be used; None where there is no training split."""
    item_bytes: float | None = None
    """Mean size of a test item as evaluated few-shot, prompt and answers; None where unknown."""
    zero_shot_item_bytes: float | None = None
    """The same without examples in the prompt."""
    definition: str | None = None
    """SHA-256 of the task's definition; None where nothing is loaded, or version 0.1.0 looked."""
    zero_shot_definition: str | None = None
    """The same without examples in the prompt."""
    files: Sequence[str] = ()
    """Where the definition lies, as far as that is known."""
    example: str | None = None
    """The prompt of the first test item, whole."""
    zero_shot_example: str | None = None
    """The same without examples in the prompt."""
    example_target: str | None = None
    """What the model should say to it."""
    chances: Mapping[str, float] = field(default_factory=dict)
    """Chance levels of further metrics, where theory gives them."""
    held_back: int = 0
    """Training items left out of `training_size` since few-shot prompts hold them."""
    leaked: int | None = None
    """Further ones left out since they hold an evaluated item; None where nobody looked."""
    programs: ProgramFacts | None = None
    """Of a task whose answers are programs; None for others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusFacts:
    """What a held-out text is."""

    hash: str
    """SHA-256 of the file, in hexadecimal."""
    bytes: int
    """Size of the file."""


OnProgress = Callable[[int, int], None]
"""Called with the steps done and the steps in all."""


class Measurer(Protocol):
    """Looks at checkpoints, tasks and corpora, and does runs."""

    def prepare(self) -> None:
        """Load libraries, so that the first run does not pay for them."""
        ...

    def folder(self, checkpoint: Checkpoint) -> Path:
        """Where the files of `checkpoint` are, downloaded if needed.

        LabError: nowhere, or it is of the catalogue and its weights are not here.
        """
        ...

    def model_facts(self, checkpoint: Checkpoint) -> ModelFacts:
        """What `checkpoint` is. LabError: it cannot be used."""
        ...

    def task_facts(self, task: Task) -> TaskFacts:
        """What `task` is, within the experiment's limit of items. LabError: it cannot be used."""
        ...

    def corpus_facts(self, corpus: Corpus) -> CorpusFacts:
        """What `corpus` is. LabError: it cannot be used."""
        ...

    def too_long(
        self, task: Task, checkpoint: Checkpoint, *, few_shot: bool, rooms: Sequence[int]
    ) -> Mapping[int, TooLong]:
        """Items of `task` that do not fit into each number of tokens.

        They are the items with examples in the prompt, if it is `few_shot`, as the tokenizer of
        `checkpoint` cuts them. LabError: it cannot be used.
        """
        ...

    def versions(self, run: Run) -> Mapping[str, str]:
        """Versions of the libraries that made the result, and commits of what it read (`HUB`)."""
        ...

    def measure(self, run: Run, folder: Path, progress: OnProgress) -> Outcome:
        """Do one run; `folder` keeps its training checkpoint and is taken up again where it exists.

        LabError: the run failed.
        """
        ...
