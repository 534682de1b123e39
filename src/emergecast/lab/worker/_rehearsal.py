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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from emergecast.emergence_law import EmergenceLaw, LawForm
from emergecast.errors import LabError
from emergecast.files import write_whole
from emergecast.lab.checkpoints import Checkpoint
from emergecast.lab.evaluate import LOGPROB, Loss, Score
from emergecast.lab.experiment import Corpus, Experiment, Run
from emergecast.lab.ledger import Outcome
from emergecast.lab.tasks import Task, TooLong
from emergecast.lab.worker._measurer import CorpusFacts, ModelFacts, OnProgress, TaskFacts

_STEPS: Final = 20
_LONGEST_SLEEP: Final = 10.0
"""Seconds between two reports of progress, at most."""
_FIRST_LOSS: Final = 6.0
_LAST_LOSS: Final = 4.0
"""Losses of the first and the last checkpoint of a series, in nats per token."""
_LAW: Final = EmergenceLaw(
    form=LawForm.LOG_POWER, k=0.12, alpha=1.0, c=4.5, slope=0.6, chance=0.25, few_shot_offset=0.0
)
"""Few-shot scores are those after one example."""


class RehearsalMeasurer:
    """Invents results of the runs of one experiment."""

    def __init__(self, experiment: Experiment) -> None:
        self._options = experiment.rehearsal
        self._size = min(experiment.limit or self._options.items, self._options.items)
        self._position = {
            (series.name, checkpoint.name): index / max(1, len(series.checkpoints) - 1)
            for series in experiment.series
            for index, checkpoint in enumerate(series.checkpoints)
        }

    def prepare(self) -> None:
        """Nothing is needed."""

    def folder(self, checkpoint: Checkpoint) -> Path:
        """Where the file says, whether there is such a folder or not."""
        return Path(checkpoint.path or checkpoint.name)

    def model_facts(self, checkpoint: Checkpoint) -> ModelFacts:
        """Facts made of the checkpoint's name; its folder need not exist."""
        return ModelFacts(
            weights_hash=_hash("weights", checkpoint.title),
            architecture="rehearsal",
            params=checkpoint.params or 1_000_000,
            tokenizer_hash=_hash("tokenizer", checkpoint.tokenizer or ""),
        )

    def task_facts(self, task: Task) -> TaskFacts:
        """Facts made of the task's name and the options of the rehearsal."""
        return TaskFacts(
            hash=_hash("task", task.name, str(self._options.items), str(task.shots)),
            zero_shot_hash=_hash("task", task.name, str(self._options.items), "0"),
            metric="acc",
            chance=_LAW.chance,
            items=self._size,
            training_size=self._options.training_size or None,
        )

    def corpus_facts(self, corpus: Corpus) -> CorpusFacts:
        """Facts made of the corpus's name; the file need not exist."""
        return CorpusFacts(hash=_hash("corpus", corpus.name), bytes=1_000_000)

    def too_long(
        self, task: Task, checkpoint: Checkpoint, *, few_shot: bool, rooms: Sequence[int]
    ) -> Mapping[int, TooLong]:
        """Everything fits."""
        del task, checkpoint, few_shot
        return {room: TooLong(items=self._size, cut=0, lost=0) for room in rooms}

    def versions(self, run: Run) -> Mapping[str, str]:  # noqa: ARG002  it reads nothing
        """Numpy alone."""
        return {"numpy": np.__version__}

    def measure(self, run: Run, folder: Path, progress: OnProgress) -> Outcome:
        """Wait, and invent.

        Raises:
            LabError: the options of the rehearsal say that this run fails.
        """
        for pattern in self._options.fail:
            if fnmatch.fnmatchcase(run.title, pattern):
                raise LabError(f'the run fails because the rehearsal says so ("{pattern}").')
        self._wait(folder, progress)
        position = self._position[run.series, run.checkpoint]
        loss = _FIRST_LOSS + (_LAST_LOSS - _FIRST_LOSS) * position
        rng = np.random.default_rng(int(run.key[:16], 16))
        if run.task is None:
            nats = loss + 0.01 * float(rng.normal())
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
        right = min(1.0, float(_LAW.score(loss, run.examples or 1)))
        size = self._size
        drawn = rng.random(size) < right
        score = float(drawn.mean())
        logprob = np.log(np.where(drawn, 0.6, 0.2)) + 0.1 * rng.normal(size=size)
        stderr = math.sqrt(max(score * (1 - score), 1e-9) / size)
        return Outcome(
            scores=(
                Score(metric="acc", score=score, stderr=stderr, n_items=size),
                Score(
                    metric=LOGPROB,
                    score=float(logprob.mean()),
                    stderr=float(logprob.std(ddof=1) / math.sqrt(size)) if size > 1 else None,
                    n_items=size,
                ),
            ),
            training={"steps": run.training.method.steps, "loss": 1.0} if run.training else None,
            items=tuple(
                {"id": i, "correct": bool(ok), "logprob": float(value)}
                for i, (ok, value) in enumerate(zip(drawn, logprob, strict=True))
            ),
        )

    def _wait(self, folder: Path, progress: OnProgress) -> None:
        """Spend the time of a run in steps, from the last one that was saved."""
        saved = folder / "step.json"
        done = json.loads(saved.read_text("utf-8")) if saved.is_file() else 0
        for step in range(done, _STEPS):
            left = self._options.seconds / _STEPS
            while left >= 0:  # it computes nothing, so it says all the more that it goes on
                progress(step, _STEPS)
                time.sleep(min(left, _LONGEST_SLEEP))
                left -= _LONGEST_SLEEP
            if self._options.seconds and step % 5 == 4:
                folder.mkdir(parents=True, exist_ok=True)
                write_whole(saved, json.dumps(step + 1))
        progress(_STEPS, _STEPS)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
