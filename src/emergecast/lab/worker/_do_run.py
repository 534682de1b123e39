"""One run from its beginning to what is said of it, whoever listens."""

from __future__ import annotations

import gc
import math
import time
import traceback
from collections.abc import Callable

from emergecast.errors import EmergecastError, LabError, LedgerError
from emergecast.lab.experiment import Experiment, Run
from emergecast.lab.ledger import Attempt, Outcome, Owner
from emergecast.lab.worker._full_disk import disk_is_full
from emergecast.lab.worker._measurer import Measurer
from emergecast.lab.worker._messages import Message, RunAdvanced, RunBegun, RunDone, RunFailed

Tell = Callable[[Message], None]
"""Called with each message, as things happen. ValueError: a number in it is not finite."""


def do_run(
    run: Run, experiment: Experiment, measurer: Measurer, *, owner: Owner, tell: Tell
) -> None:
    """Do a run and tell what became of it; its training checkpoint stays where it is.

    Args:
        run: what to do.
        experiment: which it belongs to.
        measurer: what does it; keeps the checkpoint for the next run.
        owner: the process that does it.
        tell: who listens.

    Raises:
        LedgerError: the disk is full, which is not the run's fault.
    """
    tell(RunBegun(key=run.key, owner=owner))
    started, clock = time.time(), time.perf_counter()

    def attempt() -> Attempt:
        seconds = time.perf_counter() - clock
        return Attempt.here(run, started=started, seconds=seconds, versions=measurer.versions(run))

    def progress(done: int, total: int) -> None:
        tell(RunAdvanced(key=run.key, done=done, total=total))

    try:
        outcome = measurer.measure(run, experiment.training_folder(run.key), progress)
        check_outcome(outcome)
        tell(RunDone(key=run.key, attempt=attempt(), outcome=outcome))
    except LedgerError:
        raise
    except Exception as error:
        if disk_is_full(error):
            raise LedgerError(
                f"the disk is full: {error}. Nothing that was recorded is lost. Free some space,"
                " and run again."
            ) from error
        ours = isinstance(error, EmergecastError)
        shown = str(error) if ours else f"{type(error).__name__}: {error}"
        said = traceback.format_exc()
        tell(RunFailed(key=run.key, attempt=attempt(), error=shown, traceback=said))
    else:
        return
    gc.collect()  # a failed training leaves a cycle of objects with its weights


def check_outcome(outcome: Outcome) -> None:
    """Refuse what is not a measurement.

    Raises:
        LabError: a loss or a score is not a finite number.
    """
    numbers: dict[str, float | None] = {}
    if outcome.loss is not None:
        numbers["loss"] = outcome.loss.nats_per_token
        numbers["standard error of the loss"] = outcome.loss.stderr
        numbers["loss per byte"] = outcome.loss.nats_per_byte
    for score in outcome.scores:
        numbers[score.metric] = score.score
        numbers[f"standard error of {score.metric}"] = score.stderr
    if not numbers:
        raise LabError("the run came back with neither a loss nor a score.")
    for name, value in numbers.items():
        if value is not None and not math.isfinite(value):
            raise LabError(
                f"the {name} is {value}, which is not a measurement. The model's numbers overflow;"
                " try another checkpoint, or a smaller learning rate."
            )
