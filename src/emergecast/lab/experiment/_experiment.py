"""What an experiment is: the records that an experiment file is read into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from emergecast.errors import Mistake
from emergecast.lab.checkpoints import Checkpoint
from emergecast.lab.evaluate import Corpus
from emergecast.lab.experiment._run import Run
from emergecast.lab.experiment._yaml import Spot
from emergecast.lab.finetune import FinetuneMethod, Tracker
from emergecast.lab.tasks import Task


class WorkerKind(StrEnum):
    """Who does the runs."""

    MODELS = "models"
    """Loads the checkpoints, evaluates and finetunes them."""
    REHEARSAL = "rehearsal"
    """Invents scores from an emergence law without loading anything, to try an experiment out."""


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


class Keep(StrEnum):
    """What becomes of checkpoints that were fetched for an experiment."""

    ALL = "all"
    """They stay in the cache."""
    NONE = "none"
    """The weights of each are deleted when its last run is done; settings and tokenizer stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Checkpoints of one pretraining recipe."""

    name: str
    """Unique within the experiment."""
    checkpoints: tuple[Checkpoint, ...]
    """In the order of the file."""
    choice: Choice
    """Which of them are evaluated on tasks."""
    keep: Keep = Keep.ALL
    """What becomes of those that are fetched for the experiment."""
    left_out: tuple[str, ...] = ()
    """Sentences about checkpoints of the catalogue that are left out, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One way of finetuning, settled for every checkpoint and amount of data."""

    name: str
    """As `FinetuneMethod.name`."""
    settled: Mapping[tuple[str, str], Mapping[int, FinetuneMethod]]
    """By checkpoint (its series and name), then by amount of data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finetuning:
    """After how much finetuning scores are measured, and how; by default nothing is finetuned."""

    examples: tuple[int, ...] = ()
    """Amounts of finetuning data, ascending."""
    subsets: Mapping[int, int] = field(default_factory=dict)
    """Random subsets of the training data by amount."""
    seeds: Mapping[int, int] = field(default_factory=dict)
    """Repeats with other seeds by amount."""
    methods: tuple[Method, ...] = ()
    """Ways of finetuning, each on every amount of data."""
    save_every_seconds: float = 300.0
    """Time between two training checkpoints of a finetuning."""
    micro_batch_size: int | None = None
    """Examples of a batch that pass through the model at a time; None for all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """How the invented runs behave."""

    seconds: float = 0.0
    """How long a run takes."""
    fail: tuple[str, ...] = ()
    """Patterns of run titles, like "*/S-108 finetuned*", of runs that fail."""
    training_size: int = 100_000
    """Training examples of every task; 0 for tasks without a training split."""
    items: int = 256
    """Test items of every task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What is needed to turn work into time and money before anything was measured."""

    flops_per_second: float | None = None
    """Of one worker; a cautious guess for its kind of machine where None."""
    per_hour: float | None = None
    """Price of one worker for an hour, in whatever currency; None where nothing is charged."""
    seconds_per_test: float | None = None
    """Of one core, for one test of a program that a model wrote; measured, or 0.1, where None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """What is measured, of which checkpoints, on which tasks, after how much finetuning."""

    name: str
    """For people, and for the trackers."""
    file: Path
    """Where it is described."""
    text: str
    """The file's content; `parse_experiment` makes the same experiment of it again."""
    output: Path
    """Folder of the ledger, the training checkpoints and the logs."""
    worker: WorkerKind
    """Who does the runs."""
    series: tuple[Series, ...]
    """In the order of the file, and so the rest."""
    corpora: tuple[Corpus, ...]
    """The first one is the one by whose loss checkpoints are chosen."""
    tasks: tuple[Task, ...]
    """What is scored, few-shot and after finetuning."""
    few_shot: bool
    """Whether the checkpoints are evaluated as they are."""
    finetuning: Finetuning
    """After how much finetuning, and how."""
    amounts: Mapping[str, tuple[int, ...]]
    """Amounts of finetuning data by task, ascending; those of `finetuning`, or some of them."""
    limit: int | None
    """Test items per evaluation, the first ones; None for all."""
    trackers: tuple[Tracker, ...]
    """Where the finetuning reports its losses."""
    rehearsal: Rehearsal
    """Used by a rehearsal alone."""
    costs: Costs
    """Used by estimates alone."""
    spots: Mapping[tuple[str, ...], Spot]
    """Where the checkpoints, tasks, corpora and trackers stand in the file, by `spot_key`."""

    @property
    def ledger(self) -> Path:
        """The file of the results."""
        return self.output / "ledger.sqlite"

    @property
    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """The checkpoints of all series, in the order of the file."""
        return tuple(each for series in self.series for each in series.checkpoints)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Sentences about checkpoints of the catalogue that are left out, and why."""
        return tuple(each for series in self.series for each in series.left_out)

    def checkpoint(self, run: Run) -> Checkpoint:
        """The checkpoint of a run."""
        return next(
            each
            for each in self.checkpoints
            if (each.series, each.name) == (run.series, run.checkpoint)
        )

    def training_folder(self, key: str) -> Path:
        """Where the training checkpoint of a run is kept until its result is in the ledger."""
        return self.output / "training" / key[:20]

    def mistake(
        self, thing: Checkpoint | Task | Corpus | Tracker, what: str, remedy: str
    ) -> Mistake:
        """A mistake at the line of something that the experiment names."""
        return self.spots[spot_key(thing)].mistake(what, remedy)


def spot_key(thing: Checkpoint | Task | Corpus | Tracker) -> tuple[str, ...]:
    """What tells a checkpoint, task, corpus or tracker from all others of the experiment."""
    series = thing.series if isinstance(thing, Checkpoint) else ""
    return (type(thing).__name__, series, thing.name)
