"""The measurer that loads checkpoints, evaluates them, and finetunes copies of them."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, NamedTuple

from emergecast.errors import LabError
from emergecast.lab import checkpoints, evaluate, finetune, sandbox, tasks
from emergecast.lab.experiment import DEFINITION, Corpus, Experiment, Run, Training
from emergecast.lab.ledger import GRADING, HUB, LAST_STEP, Outcome
from emergecast.lab.worker._check_files import check_model, check_part
from emergecast.lab.worker._full_disk import disk_is_full
from emergecast.lab.worker._measurer import (
    CorpusFacts,
    ModelFacts,
    OnProgress,
    TaskFacts,
)
from emergecast.lab.worker._offline import keep_to_this_machine
from emergecast.lab.worker._program_facts import pairs_of, program_facts

_LIBRARIES: Final = (
    "emergecast",
    "torch",
    "transformers",
    "tokenizers",
    "peft",
    "accelerate",
    "datasets",
    "lm-eval",
    "numpy",
)
_LOG: Final = logging.getLogger(__name__)


class _Held(NamedTuple):
    """A checkpoint in memory, and where it was read."""

    checkpoint: checkpoints.Checkpoint
    folders: checkpoints.Folders
    loaded: checkpoints.Loaded


class ModelMeasurer:
    """Measures the runs of one experiment on the models themselves."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._tasks: dict[str, tasks.LoadedTask] = {}
        self._held: _Held | None = None
        self._users_own = frozenset(os.environ)
        keep_to_this_machine(experiment)

    def prepare(self) -> None:
        """Load torch, transformers and the harness, which takes seconds."""
        import lm_eval.tasks
        import transformers

        _ = self._device, lm_eval.tasks.TaskManager, transformers.Trainer

    def folder(self, checkpoint: checkpoints.Checkpoint) -> Path:
        """Where the files of the checkpoint are; one of the catalogue is not downloaded for it."""
        if checkpoint.source is None:
            return checkpoints.folder_of(checkpoint)
        found = checkpoints.cached(checkpoint)
        if found is None:
            raise LabError(f'the weights of "{checkpoint.title}" are not here.')
        return found

    def model_facts(self, checkpoint: checkpoints.Checkpoint) -> ModelFacts:
        """What the files of the checkpoint say; loads no weights."""
        found = checkpoints.inspect(checkpoint)
        context = checkpoints.check_loading(checkpoint)
        return ModelFacts(
            weights_hash=found.weights_hash,
            architecture=found.architecture,
            params=checkpoint.params or found.params,
            tokenizer_hash=found.tokenizer_hash,
            half_precision=found.dtype in {"bfloat16", "float16"},
            config_hash=found.config_hash,
            weight_files=found.weight_files,
            context=context,
            width=found.width,
        )

    def task_facts(self, task: tasks.Task) -> TaskFacts:
        """What the task is; builds its requests."""
        try:
            return self._task_facts(task)
        except LabError:
            raise
        except Exception as error:
            # Templates, functions and data of a task may be wrong in any way.
            raise LabError(
                f'the requests of task "{task.name}" cannot be made: {type(error).__name__}:'
                f" {error}. Check its YAML file against its data."
            ) from error

    def _task_facts(self, task: tasks.Task) -> TaskFacts:
        if task.settled is not None and task.settled.programs is not None:
            refusal = sandbox.why_not()
            if refusal is not None:
                raise LabError(f'task "{task.name}": {refusal}')
        few_shot = self._task(task)
        zero_shot = few_shot.zero_shot
        finetuned = bool(self._experiment.amounts[task.name])
        pool = few_shot.pool if finetuned else None
        if task.proxy:
            _ = few_shot.references  # which refuses an item without one
        usable = few_shot.split_size if pool is None else pool.size
        return TaskFacts(
            hash=few_shot.hash,
            zero_shot_hash=zero_shot.finetuning_hash if finetuned else zero_shot.hash,
            metric=few_shot.metric,
            chance=few_shot.chance,
            items=few_shot.n_items,
            training_size=None if few_shot.split_size == 0 else usable,
            item_bytes=few_shot.item_bytes,
            zero_shot_item_bytes=zero_shot.item_bytes,
            definition=few_shot.definition.hash,
            zero_shot_definition=zero_shot.definition.hash,
            files=few_shot.definition.files,
            example=few_shot.example[0],
            zero_shot_example=zero_shot.example[0],
            example_target=few_shot.example[1],
            chances=few_shot.chances,
            held_back=0 if pool is None else pool.shots,
            leaked=None if pool is None else pool.leaked,
            programs=None
            if few_shot.programs is None
            else program_facts(few_shot.programs, self._grades),
        )

    def corpus_facts(self, corpus: Corpus) -> CorpusFacts:
        """Hash and size of the file, or of the documents where they are not all of a file."""
        if corpus.path is None or not corpus.is_file:
            found = evaluate.facts_of(corpus)
            return CorpusFacts(hash=found.hash, bytes=found.bytes)
        try:
            with corpus.path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256")
            size = corpus.path.stat().st_size
        except OSError as error:
            raise LabError(
                f'the corpus "{corpus.path}" cannot be read: {error.strerror or error}. Check the'
                " path; it starts from the folder of this file."
            ) from None
        if size == 0:
            raise LabError(f'the corpus "{corpus.path}" is empty. Give one with text.')
        return CorpusFacts(hash=digest.hexdigest(), bytes=size)

    def too_long(
        self,
        task: tasks.Task,
        checkpoint: checkpoints.Checkpoint,
        *,
        few_shot: bool,
        rooms: Sequence[int],
    ) -> Mapping[int, tasks.TooLong]:
        """Items that do not fit; tokenises those whose text is longer than the room in bytes."""
        asked = self._task(task) if few_shot else self._task(task).zero_shot
        return tasks.too_long(asked, rooms, lambda: checkpoints.load_tokenizer(checkpoint))

    def versions(self, run: Run) -> Mapping[str, str]:
        """Versions of the libraries, the device, and the commits of what was read of the hub."""
        read = {f"{HUB}{name}": commit for name, commit in self._commits(run)}
        return {**_versions(), "device": self._device_name, **read}

    def _commits(self, run: Run) -> Iterator[tuple[str, str]]:
        checkpoint = self._experiment.checkpoint(run)
        if self._held is not None and self._held.checkpoint == checkpoint:
            yield from checkpoints.commits_of(checkpoint, self._held.folders)
        names: tuple[str, ...] = ()
        if run.corpus is None:
            names = tasks.data_sets_of(self._task_of(run))
        elif evaluate.hub_files(self._corpus_of(run)):
            names = (evaluate.C4_REPOSITORY,)
        for name in names:
            if (commit := checkpoints.data_commit(name)) is not None:
                yield f"datasets/{name}", commit

    def _task_of(self, run: Run) -> tasks.Task:
        return next(task for task in self._experiment.tasks if task.name == run.task)

    def _corpus_of(self, run: Run) -> Corpus:
        return next(corpus for corpus in self._experiment.corpora if corpus.name == run.corpus)

    def measure(self, run: Run, folder: Path, progress: OnProgress) -> Outcome:
        """Do one run; the checkpoint stays in memory for the next one.

        Raises:
            LabError: it failed.
        """
        clock = _Stopwatch()
        held = self._hold(run)
        clock.stop("load")
        if run.corpus is not None:
            model, tokenizer = self._load(run)
            corpus = self._corpus_of(run)
            loss = evaluate.held_out_loss(model, tokenizer, corpus).loss
            check_part(run, "corpus", self.corpus_facts(corpus).hash, f"the corpus {corpus}")
            clock.stop("loss")
            return Outcome(loss=loss, timings=clock.seconds)
        task = self._task(self._task_of(run))
        if run.training is not None:
            task = task.zero_shot
        asked = task.hash if run.training is None else task.finetuning_hash
        check_part(run, "task_hash", asked, f'what task "{task.name}" asks')
        check_part(run, DEFINITION, task.definition.hash, f'the definition of task "{task.name}"')
        clock.stop("task")
        said: dict[str, Any] | None = None
        if run.training is not None:
            session = self._session(run, run.training, folder, progress)
            pairs, left_out = pairs_of(task, run.training, held)
            trained = self._resume_or_start(run, run.training, pairs, session)
            model, tokenizer = trained.model, held.tokenizer
            said = _said(trained) | left_out
            if task.pool.size < task.pool.whole:
                said |= {"held_back": task.pool.shots, "leaked": task.pool.leaked}
            clock.stop("finetune")
        else:
            model, tokenizer = self._load(run)
        kept = self._grades
        evaluation = evaluate.evaluate(model, tokenizer, task, kept=kept, tell=progress)
        clock.stop("evaluate")
        if evaluation.core_seconds is not None:
            clock.seconds[GRADING] = evaluation.core_seconds
        return Outcome(
            scores=evaluation.scores,
            training=said,
            items=_kept(evaluation.items, task.example[0]),
            timings=clock.seconds,
        )

    def _session(
        self, run: Run, training: Training, folder: Path, progress: OnProgress
    ) -> finetune.Session:
        kept = self._experiment.output.absolute() / "trackers"
        for name, value in (
            # Where the trackers themselves look; what the user has set stands.
            ("TENSORBOARD_LOGGING_DIR", str(kept / "tensorboard" / _run_folder(run))),
            ("MLFLOW_TRACKING_URI", f"sqlite:///{kept / 'mlflow.db'}"),
            ("MLFLOW_EXPERIMENT_NAME", self._experiment.name),
            ("WANDB_PROJECT", self._experiment.name),
            ("WANDB_DIR", str(kept)),
        ):
            if name not in self._users_own:
                os.environ[name] = value
        if self._experiment.trackers:
            kept.mkdir(parents=True, exist_ok=True)
        return finetune.Session(
            folder=folder,
            resume=True,
            save_every_seconds=self._experiment.finetuning.save_every_seconds,
            micro_batch_size=self._experiment.finetuning.micro_batch_size,
            on_step=lambda step, _loss: progress(step, training.method.all_steps),
            trackers=self._experiment.trackers,
            title=run.title,
        )

    def _resume_or_start(
        self, run: Run, how: Training, pairs: Sequence[tasks.Pair], session: finetune.Session
    ) -> finetune.Finetuned:
        """Finetune the checkpoint, from what an interrupted run has kept if there is something.

        That may be damaged in any way; then it starts over.
        """

        def train() -> finetune.Finetuned:
            return finetune.choose_and_finetune(
                lambda: self._load(run), pairs, how.method, seed=how.seed, session=session
            )

        folder = session.folder or Path()
        interrupted = folder.is_dir() and any(folder.iterdir())
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return train()
        except Exception as error:
            if not interrupted or disk_is_full(error):
                raise
            _LOG.warning("%s cannot be resumed (%s) and starts over.", run.title, error)
        shutil.rmtree(folder)
        folder.mkdir(parents=True)
        return train()

    def _hold(self, run: Run) -> checkpoints.Loaded:
        """The checkpoint of a run as it is on disk, which is read once for runs in a row."""
        checkpoint = self._experiment.checkpoint(run)
        gone = checkpoint.source is not None and checkpoints.cached(checkpoint) is None
        if self._held is None or self._held.checkpoint != checkpoint or gone:
            self._held = None  # never two of them in memory
            folders = checkpoints.folders_of(checkpoint)
            check_model(run, checkpoint, folders)
            self._held = _Held(checkpoint, folders, checkpoints.load(checkpoint))
        check_model(run, checkpoint, self._held.folders)  # not while they were read, or since
        return self._held.loaded

    def _load(self, run: Run) -> checkpoints.Loaded:
        """The checkpoint of a run, where it computes.

        A finetuning gets weights of its own, and so does a GPU: those on the CPU stay as they are.
        """
        held = self._hold(run)
        if run.training is None and self._device == "cpu":
            return held
        return held._replace(model=checkpoints.copy_model(held.model, self._device))

    def _task(self, task: tasks.Task) -> tasks.LoadedTask:
        """The task with its requests; built once, and tokenised once for all checkpoints."""
        if task.name not in self._tasks:
            self._tasks[task.name] = tasks.load_task(task, limit=self._experiment.limit)
        return self._tasks[task.name]

    @property
    def _grades(self) -> Path:
        """Where the grades of programs are kept, for all runs of the experiment."""
        return self._experiment.output / "grades"

    @cached_property
    def _device(self) -> str:
        import torch

        if torch.cuda.is_available():
            return "cuda"
        torch.set_num_threads(1)
        return "cpu"

    @cached_property
    def _device_name(self) -> str:
        import torch

        return torch.cuda.get_device_name() if self._device == "cuda" else "cpu"


def _kept(items: Sequence[tasks.ItemScore], text: str) -> tuple[dict[str, Any], ...]:
    """What the ledger keeps of each item, without what does not apply; of the first, the prompt."""
    kept = [
        {
            n: value
            for n, value in item._asdict().items()
            if value is not None and value is not False
        }
        for item in items
    ]
    return ({**kept[0], "text": text}, *kept[1:])


def _said(trained: finetune.Finetuned) -> dict[str, Any]:
    """What the ledger keeps of a finetuning; what was chosen only where something was."""
    said: dict[str, Any] = {
        "steps": trained.steps,
        "loss": trained.final_loss,
        "resumed_from": trained.resumed_from,
    }
    if trained.held_out_loss is not None:
        said |= {"held_out_loss": trained.held_out_loss, LAST_STEP: trained.last_step}
    if trained.tried:
        chosen = {"steps": trained.method.steps, "learning_rate": trained.method.learning_rate}
        said |= {"chosen": chosen, "tried": [asdict(each) for each in trained.tried]}
    return said


def _run_folder(run: Run) -> str:
    """A folder that bears the run's title: TensorBoard calls a run by its folder."""
    title = "".join(
        letter if letter.isalnum() or letter in " =-_." else "-" for letter in run.title
    )
    return f"{title[:100]} {run.key[:8]}"


class _Stopwatch:
    """Seconds by part of a run."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def stop(self, part: str) -> None:
        """Count the time since the last part as this one's."""
        now = time.perf_counter()
        self.seconds[part] = now - self._since
        self._since = now


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found
