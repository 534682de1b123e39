"""What an experiment is: the records that an experiment file is read into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class WorkerKind(StrEnum):
    """Who does the runs."""

    MODELS = "models"
    """Loads the checkpoints, evaluates and finetunes them."""
    REHEARSAL = "rehearsal"
    """Invents scores from an emergence law without loading anything, to try an experiment out."""


class Schedule(StrEnum):
    """How the learning rate changes after the warmup."""

    LINEAR = "linear"
    COSINE = "cosine"
    CONSTANT = "constant"


class Tracker(StrEnum):
    """Where the finetuning reports its losses as it goes."""

    TENSORBOARD = "tensorboard"
    MLFLOW = "mlflow"
    WANDB = "wandb"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedCheckpoint:
    """One model of a series, as the file describes it."""

    series: str
    name: str
    path: Path | None
    """Local folder; None where the model is in a repository of the hub."""
    repo: str | None
    """Repository of the hub, "organisation/name"."""
    revision: str | None
    """Revision of the repository; None is its main one."""
    subfolder: str | None
    """Folder in the repository or in `path` that holds the model."""
    params: int | None
    """Parameters; counted from the weights where None."""
    tokens: int | None
    """Tokens it was pretrained on."""
    flops: float | None
    """Pretraining compute in FLOP."""
    pretraining_learning_rate: float | None
    """Learning rate of the pretraining at this point."""
    tokenizer: str | None
    """Name of the tokenizer for the table."""
    where: str
    """Path of the entry in the file, like "series[0].checkpoints[2]"."""
    line: int
    """1-based line of the entry."""

    @property
    def title(self) -> str:
        """Series and name."""
        return f"{self.series}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which checkpoints of a series are evaluated on tasks; the loss of all is measured."""

    losses: tuple[float, ...] = ()
    """Take the checkpoint nearest to each of these losses, in nats per token."""
    count: int | None = None
    """Take this many, spread evenly over the losses."""
    below: float | None = None
    """Leave out checkpoints of a higher loss."""
    above: float | None = None
    """Leave out checkpoints of a lower loss."""

    @property
    def takes_all(self) -> bool:
        """Whether every checkpoint is taken, so that no loss needs to be known."""
        return self == Choice()

    def at_most(self, checkpoints: int) -> int:
        """Upper bound of how many of `checkpoints` are taken."""
        if self.losses:
            return min(len(self.losses), checkpoints)
        return checkpoints if self.count is None else min(self.count, checkpoints)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Checkpoints of one pretraining recipe."""

    name: str
    checkpoints: tuple[ListedCheckpoint, ...]
    choice: Choice
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Held-out text on which the loss of every checkpoint is measured."""

    name: str
    path: Path
    where: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedTask:
    """One downstream task in the form of lm-evaluation-harness."""

    name: str
    include_path: Path | None
    """Folder with the task's YAML; None for a task that comes with the harness."""
    shots: int
    """In-context examples that the harness puts before a test item; few-shot only."""
    shots_in_document: int
    """In-context examples that each test item holds already; the table counts them too."""
    metric: str | None
    """Which of the task's metrics is the score; the task's main one where None."""
    examples: tuple[int, ...] | None
    """Amounts of finetuning data for this task, of those of the experiment; None for all."""
    chance: Mapping[str, float]
    """Score of a model that knows nothing, by metric; "" stands for the score's own."""
    where: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One way of finetuning; every value by amount of data."""

    name: str
    """"full", or "lora-" and the rank."""
    steps: Mapping[int, int]
    """Optimiser steps."""
    batch_size: Mapping[int, int]
    """Examples per step; the amount of data where that is less."""
    learning_rate: Mapping[int, float] | None
    """Peak learning rate; None where it is a multiple of the pretraining's."""
    lr_times_pretraining: Mapping[int, float] | None
    """Peak learning rate in units of the checkpoint's pretraining rate."""
    schedule: Mapping[int, Schedule]
    warmup_steps: Mapping[int, int]
    weight_decay: float
    max_grad_norm: float | None
    """Longer gradients are cut to this norm; None for none."""
    train_embeddings: bool
    """Whether the embeddings of tokens learn too."""
    where: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """How the invented runs behave."""

    seconds: float = 0.0
    """How long a run takes."""
    fail: tuple[str, ...] = ()
    """Patterns of run titles, like "*/S-108 finetuned*", of runs that fail."""
    training_size: int | None = 100_000
    """Training examples of every task; None for a task without a training split."""
    items: int = 256
    """Test items of every task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What is needed to turn work into time and money before anything was measured."""

    flops_per_second: float | None = None
    """Of one worker; a cautious guess for its kind of machine where None."""
    per_hour: float | None = None
    """Price of one worker for an hour, in whatever currency; None where nothing is charged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """What is measured, of which checkpoints, on which tasks, after how much finetuning."""

    name: str
    file: Path
    text: str
    """The file's content; `parse_experiment` makes the same experiment of it again."""
    output: Path
    """Folder of the ledger, the training checkpoints and the logs."""
    worker: WorkerKind
    series: tuple[Series, ...]
    corpora: tuple[Corpus, ...]
    """The first one is the one by whose loss checkpoints are chosen."""
    tasks: tuple[ListedTask, ...]
    few_shot: bool
    """Whether the checkpoints are evaluated as they are."""
    examples: tuple[int, ...]
    """Amounts of finetuning data, ascending; empty where nothing is finetuned."""
    subsets: Mapping[int, int]
    """Random subsets of the training data by amount."""
    seeds: Mapping[int, int]
    """Repeats with other seeds by amount."""
    methods: tuple[Method, ...]
    save_every_seconds: float
    """Time between two training checkpoints of a finetuning."""
    micro_batch_size: int | None
    """Examples of a batch that pass through the model at a time; None for all of them."""
    limit: int | None
    """Test items per evaluation, the first ones; None for all."""
    trackers: tuple[Tracker, ...]
    rehearsal: Rehearsal
    costs: Costs
    lines: Mapping[str, int]
    """1-based line of every entry by its path, for messages."""

    @property
    def ledger(self) -> Path:
        """The file of the results."""
        return self.output / "ledger.sqlite"

    @property
    def checkpoints(self) -> tuple[ListedCheckpoint, ...]:
        """The checkpoints of all series, in the order of the file."""
        return tuple(each for series in self.series for each in series.checkpoints)

    def training_folder(self, key: str) -> Path:
        """Where the training checkpoint of a run is kept until its result is in the ledger."""
        return self.output / "training" / key[:20]
