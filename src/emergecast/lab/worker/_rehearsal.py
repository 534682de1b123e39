"""A measurer that loads nothing: it invents scores from an emergence law, the same ones each time.

For trying an experiment file out before it costs anything, and for the tests of the runner: runs
take time, keep a training checkpoint, take it up again, and fail where they are told to.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import math
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from emergecast.errors import LabError
from emergecast.files import write_whole
from emergecast.lab.experiment import Corpus, Experiment, ListedCheckpoint, ListedTask, Run, RunKind
from emergecast.lab.ledger import Loss, Outcome, Score
from emergecast.lab.worker._measurer import CorpusFacts, ModelFacts, Progress, TaskFacts

_STEPS = 20
_CHANCE = 0.25
_FEW_SHOT_ELBOW = 0.75
"""Where in the series, from 0 (first checkpoint) to 1 (last), few-shot scores leave chance."""
_EARLIER_BY = 0.06
"""How much earlier, for each factor e of finetuning data."""


class RehearsalMeasurer:
    """Invents results of the runs of one experiment."""

    def __init__(self, experiment: Experiment) -> None:
        self._options = experiment.rehearsal
        self._limit = experiment.limit
        self._position = {
            (series.name, checkpoint.name): index / max(1, len(series.checkpoints) - 1)
            for series in experiment.series
            for index, checkpoint in enumerate(series.checkpoints)
        }

    def prepare(self) -> None:
        """Nothing is needed."""

    def folder(self, checkpoint: ListedCheckpoint) -> Path:
        """Where the file says, whether there is such a folder or not."""
        return Path(checkpoint.path or checkpoint.name)

    def model_facts(self, checkpoint: ListedCheckpoint) -> ModelFacts:
        """Facts made of the checkpoint's name; its folder need not exist."""
        return ModelFacts(
            weights_hash=_hash("weights", checkpoint.title),
            architecture="rehearsal",
            params=checkpoint.params or 1_000_000,
            tokenizer_hash=_hash("tokenizer", checkpoint.tokenizer or ""),
        )

    def task_facts(self, task: ListedTask, limit: int | None) -> TaskFacts:
        """Facts made of the task's name and the options of the rehearsal."""
        return TaskFacts(
            hash=_hash("task", task.name, str(self._options.items), str(task.shots)),
            zero_shot_hash=_hash("task", task.name, str(self._options.items), "0"),
            metric="acc",
            chance=_CHANCE,
            items=min(limit or self._options.items, self._options.items),
            training_size=self._options.training_size,
        )

    def corpus_facts(self, corpus: Corpus) -> CorpusFacts:
        """Facts made of the corpus's name; the file need not exist."""
        return CorpusFacts(hash=_hash("corpus", corpus.name), bytes=1_000_000)

    def versions(self) -> Mapping[str, str]:
        """Numpy alone."""
        return {"numpy": np.__version__}

    def measure(self, run: Run, folder: Path, progress: Progress) -> Outcome:
        """Wait, and invent.

        Raises:
            LabError: the options of the rehearsal say that this run fails.
        """
        for pattern in self._options.fail:
            if fnmatch.fnmatchcase(run.title, pattern):
                raise LabError(f'the run fails because the rehearsal says so ("{pattern}").')
        self._wait(folder, progress)
        position = self._position[run.series, run.checkpoint]
        rng = np.random.default_rng(int(run.key[:16], 16))
        if run.kind is RunKind.LOSS:
            nats = 6.0 - 2.0 * position + 0.01 * float(rng.normal())
            return Outcome(
                loss=Loss(
                    nats_per_token=nats,
                    stderr=0.004,
                    nats_per_byte=nats / 4,
                    byte_stderr=0.001,
                    tokens=250_000,
                    bytes=1_000_000,
                )
            )
        elbow = _FEW_SHOT_ELBOW - _EARLIER_BY * math.log(run.examples or 1)
        right = min(1.0, _CHANCE + 1.2 * max(0.0, position - elbow))
        size = min(self._limit or self._options.items, self._options.items)
        drawn = rng.random(size) < right
        score = float(drawn.mean())
        logprob = np.log(np.where(drawn, 0.6, 0.2)) + 0.1 * rng.normal(size=size)
        stderr = math.sqrt(max(score * (1 - score), 1e-9) / size)
        return Outcome(
            scores=(
                Score(metric="acc", score=score, stderr=stderr, n_items=size),
                Score(
                    metric="logprob",
                    score=float(logprob.mean()),
                    stderr=float(logprob.std(ddof=1) / math.sqrt(size)) if size > 1 else None,
                    n_items=size,
                ),
            ),
            training={"steps": run.recipe.steps, "loss": 1.0} if run.recipe else None,
            items=tuple(
                {"id": i, "correct": bool(ok), "logprob": float(value)}
                for i, (ok, value) in enumerate(zip(drawn, logprob, strict=True))
            ),
        )

    def _wait(self, folder: Path, progress: Progress) -> None:
        """Spend the time of a run in steps, from the last one that was saved."""
        saved = folder / "step.json"
        done = json.loads(saved.read_text("utf-8")) if saved.is_file() else 0
        for step in range(done, _STEPS):
            progress(step, _STEPS)
            time.sleep(self._options.seconds / _STEPS)
            if self._options.seconds and step % 5 == 4:
                folder.mkdir(parents=True, exist_ok=True)
                write_whole(saved, json.dumps(step + 1))
        progress(_STEPS, _STEPS)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
