"""The measurer that loads checkpoints, evaluates them, and finetunes copies of them."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Mapping
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from emergecast.errors import LabError
from emergecast.lab import checkpoints, evaluate, finetune, tasks
from emergecast.lab.experiment import Corpus, Experiment, ListedCheckpoint, ListedTask, Recipe, Run
from emergecast.lab.ledger import Loss, Outcome, Score
from emergecast.lab.worker._full_disk import disk_is_full
from emergecast.lab.worker._measurer import CorpusFacts, ModelFacts, Progress, TaskFacts

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

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
_LOGPROB: Final = "logprob"
"""Name of the metric: mean log-probability of the right answer, in nats."""
_LOG: Final = logging.getLogger(__name__)


class ModelMeasurer:
    """Measures the runs of one experiment on the models themselves."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._tasks: dict[tuple[str, int], tasks.Task] = {}
        self._users_own = frozenset(os.environ)

    def prepare(self) -> None:
        """Load torch, transformers and the harness, which takes seconds."""
        import lm_eval.tasks
        import transformers

        _ = self._device, lm_eval.tasks.TaskManager, transformers.Trainer

    def folder(self, checkpoint: ListedCheckpoint) -> Path:
        """Where the files of the checkpoint are, downloaded if needed."""
        return checkpoints.folder_of(_place(checkpoint))

    def model_facts(self, checkpoint: ListedCheckpoint) -> ModelFacts:
        """What the files of the checkpoint say; loads no weights."""
        place = _place(checkpoint)
        found = checkpoints.inspect(place)
        params = checkpoint.params or found.params
        if params is None:
            raise LabError(
                f'the parameters of "{checkpoint.title}" cannot be counted, because its weights are'
                " not safetensors. Add params to the checkpoint."
            )
        return ModelFacts(
            weights_hash=found.weights_hash,
            architecture=found.architecture,
            params=params,
            tokenizer_hash=found.tokenizer_hash,
            half_precision=found.dtype in {"bfloat16", "float16"},
        )

    def task_facts(self, task: ListedTask, limit: int | None) -> TaskFacts:  # noqa: ARG002  the experiment's
        """What the task is; builds its requests."""
        few_shot = self._task(task, task.shots)
        zero_shot = self._task(task, 0)
        return TaskFacts(
            hash=few_shot.hash,
            zero_shot_hash=zero_shot.hash,
            metric=few_shot.metric,
            chance=few_shot.chance,
            items=few_shot.n_items,
            training_size=few_shot.train_size or None,
            item_bytes=few_shot.item_bytes,
            zero_shot_item_bytes=zero_shot.item_bytes,
        )

    def corpus_facts(self, corpus: Corpus) -> CorpusFacts:
        """Hash and size of the file."""
        digest = hashlib.sha256()
        try:
            with corpus.path.open("rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
            size = corpus.path.stat().st_size
        except OSError as error:
            raise LabError(
                f'the corpus "{corpus.path}" cannot be read: {error.strerror or error}. Check the'
                " path; it starts from the folder of this file."
            ) from None
        if size == 0:
            raise LabError(f'the corpus "{corpus.path}" is empty. Give one with text.')
        return CorpusFacts(hash=digest.hexdigest(), bytes=size)

    def versions(self) -> Mapping[str, str]:
        """Versions of the libraries, and the device."""
        return {**_versions(), "device": self._device_name}

    def measure(self, run: Run, folder: Path, progress: Progress) -> Outcome:
        """Do one run.

        Raises:
            LabError: it failed.
        """
        clock = _Stopwatch()
        model, tokenizer = self._load(run)
        clock.stop("load")
        if run.corpus is not None:
            corpus = next(c for c in self._experiment.corpora if c.name == run.corpus)
            found = evaluate.corpus_loss(model, tokenizer, corpus.path)
            clock.stop("loss")
            return Outcome(loss=_loss(found), timings=clock.seconds)
        about = next(task for task in self._experiment.tasks if task.name == run.task)
        task = self._task(about, 0 if run.recipe is not None else about.shots)
        clock.stop("task")
        training: Mapping[str, Any] | None = None
        if run.recipe is not None:
            session = self._session(run, run.recipe, folder, progress)
            trained = self._finetune(run, task, session, (model, tokenizer))
            model = trained.model
            training = {
                "steps": trained.steps,
                "loss": trained.final_loss,
                "resumed_from": trained.resumed_from,
            }
            clock.stop("finetune")
        evaluation = evaluate.evaluate(model, tokenizer, task)
        clock.stop("evaluate")
        return _outcome(evaluation, task, training, clock.seconds)

    def _session(
        self, run: Run, recipe: Recipe, folder: Path, progress: Progress
    ) -> finetune.Session:
        kept = self._experiment.output.absolute() / "trackers"
        for name, value in (
            # Where the trackers themselves look; what the user has set stands.
            ("TENSORBOARD_LOGGING_DIR", str(kept / "tensorboard" / folder.name)),
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
            save_every_seconds=self._experiment.save_every_seconds,
            micro_batch_size=self._experiment.micro_batch_size,
            on_step=lambda step, _loss: progress(step, recipe.steps),
            trackers=tuple(str(tracker) for tracker in self._experiment.trackers),
            title=run.title,
        )

    def _finetune(
        self,
        run: Run,
        task: tasks.Task,
        session: finetune.Session,
        loaded: tuple[PreTrainedModel, PreTrainedTokenizerBase],
    ) -> finetune.Finetuned:
        """Finetune the loaded model, from the session's training checkpoint where there is one.

        What an interrupted run left behind may be damaged in any way; then it starts over.
        """
        recipe, folder = run.recipe, session.folder
        if recipe is None or folder is None or run.examples is None:
            raise AssertionError(run.title)
        subset, seed = run.subset or 0, run.seed or 0
        pairs = task.training_pairs(subset, run.examples)
        method = _method(recipe)
        interrupted = folder.is_dir() and any(folder.iterdir())
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return finetune.finetune(*loaded, pairs, method, seed=seed, session=session)
        except Exception as error:
            if not interrupted or disk_is_full(error):
                raise
            _LOG.warning("%s cannot be resumed (%s) and starts over.", run.title, error)
        shutil.rmtree(folder)
        folder.mkdir(parents=True)
        loaded = self._load(run)
        return finetune.finetune(*loaded, pairs, method, seed=seed, session=session)

    def _load(self, run: Run) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        checkpoint = next(
            each
            for each in self._experiment.checkpoints
            if (each.series, each.name) == (run.series, run.checkpoint)
        )
        return checkpoints.load(_place(checkpoint), device=self._device)

    def _task(self, task: ListedTask, shots: int) -> tasks.Task:
        """The task with its requests; built once, and tokenised once for all checkpoints."""
        key = (task.name, shots)
        if key not in self._tasks:
            self._tasks[key] = tasks.load_task(
                task.name,
                task.include_path,
                shots,
                self._experiment.limit,
                metric=task.metric,
                chance=task.chance.get(""),
            )
        return self._tasks[key]

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


def _place(checkpoint: ListedCheckpoint) -> checkpoints.Checkpoint:
    return checkpoints.Checkpoint(
        name=checkpoint.name,
        series=checkpoint.series,
        path=checkpoint.path,
        repo=checkpoint.repo,
        revision=checkpoint.revision,
        subfolder=checkpoint.subfolder,
    )


def _method(recipe: Recipe) -> finetune.FinetuneMethod:
    return finetune.FinetuneMethod(
        name=recipe.method,
        steps=recipe.steps,
        learning_rate=recipe.learning_rate,
        batch_size=recipe.batch_size,
        schedule=str(recipe.schedule),
        warmup_steps=recipe.warmup_steps,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        train_embeddings=recipe.train_embeddings,
    )


def _loss(found: evaluate.CorpusLoss) -> Loss:
    return Loss(
        nats_per_token=found.nats_per_token,
        stderr=found.nats_per_token_stderr,
        nats_per_byte=found.nats_per_byte,
        byte_stderr=found.nats_per_byte_stderr,
        tokens=found.tokens,
        bytes=found.bytes,
    )


def _outcome(
    evaluation: evaluate.Evaluation,
    task: tasks.Task,
    training: Mapping[str, Any] | None,
    timings: Mapping[str, float],
) -> Outcome:
    scores = [
        Score(
            metric=task.metric,
            score=evaluation.score,
            stderr=evaluation.stderr,
            n_items=evaluation.n_items,
        )
    ]
    if evaluation.logprob is not None:
        scores.append(
            Score(
                metric=_LOGPROB,
                score=evaluation.logprob,
                stderr=evaluation.logprob_stderr,
                n_items=evaluation.n_items,
            )
        )
    return Outcome(
        scores=tuple(scores),
        training=training,
        items=tuple(item._asdict() for item in evaluation.per_item),
        timings=timings,
    )


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found
