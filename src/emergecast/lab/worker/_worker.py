"""The process that does runs, one after the other: `python -m emergecast.lab.worker._worker`.

It reads JSON lines from standard input, first the experiment, then one run each, and answers with
JSON lines on standard output. It writes results into the ledger itself, so that they are safe
whatever happens to the runner; it gives its claim back and ends when standard input ends, which is
also how it learns that the runner was killed.
"""

from __future__ import annotations

import contextlib
import gc
import json
import math
import os
import queue
import shutil
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TextIO

from emergecast.errors import EmergecastError, LabError, LedgerError
from emergecast.lab.experiment import Experiment, Run, parse_experiment, run_from_json
from emergecast.lab.ledger import Attempt, Ledger, Outcome, Owner, this_process
from emergecast.lab.worker._full_disk import disk_is_full
from emergecast.lab.worker._measurer import Measurer, OnProgress
from emergecast.lab.worker._measurer_of import measurer_of

_HEARTBEAT_SECONDS: Final = 15.0
"""Seconds between heartbeats."""
_PROGRESS_SECONDS: Final = 0.2
"""Seconds between two messages about the progress of a run, at least."""


class _StandardOutput:
    """Standard output, kept for answers: what libraries print goes to standard error."""

    def __init__(self) -> None:
        self._out: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8")
        self._lock = threading.Lock()
        os.dup2(2, 1)

    def send(self, event: str, **values: object) -> None:
        """Send one answer; a runner that is gone is noticed elsewhere."""
        with self._lock, contextlib.suppress(OSError):
            self._out.write(json.dumps({"event": event, **values}) + "\n")
            self._out.flush()


def main() -> int:
    """Do the runs that standard input names, until it ends."""
    output = _StandardOutput()
    owner = this_process()
    setup = json.loads(sys.stdin.readline())
    orders: queue.Queue[dict[str, Any]] = queue.Queue()
    ledger_path = Path(setup["ledger"])
    threading.Thread(target=_listen, args=(orders, ledger_path, owner), daemon=True).start()
    threading.Thread(target=_send_heartbeats, args=(ledger_path, owner), daemon=True).start()
    try:
        experiment = parse_experiment(setup["text"], setup["file"])
        measurer = measurer_of(experiment)
        measurer.prepare()
        with Ledger.open(ledger_path) as ledger:
            output.send("ready")
            while True:
                run = run_from_json(orders.get())
                if not _do_run(run, _RunContext(experiment, measurer, ledger, owner, output)):
                    gc.collect()  # a failed training leaves a cycle of objects with its weights
    except LedgerError as error:
        output.send("stop", message=str(error))
    except EmergecastError as error:
        output.send("stop", message=f"a worker could not start: {error}")
    return 1


class _Output(Protocol):
    """Where answers go."""

    def send(self, event: str, **values: object) -> None:
        """Send one answer."""
        ...


@dataclass(frozen=True, slots=True)
class _RunContext:
    """What a run needs."""

    experiment: Experiment
    measurer: Measurer
    ledger: Ledger
    owner: Owner
    output: _Output


def _do_run(run: Run, context: _RunContext) -> bool:
    """Do a run, unless another worker is doing it; False where it failed."""
    ledger, output = context.ledger, context.output
    if not ledger.claim(run.key, run.title, context.owner):
        output.send("busy", key=run.key)
        return True
    output.send("begun", key=run.key)
    folder = context.experiment.training_folder(run.key)
    started, clock = time.time(), time.perf_counter()

    def attempt() -> Attempt:
        seconds, versions = time.perf_counter() - clock, context.measurer.versions()
        return Attempt.here(run, started=started, seconds=seconds, versions=versions)

    try:
        outcome = context.measurer.measure(run, folder, _progress(run, output))
        check_outcome(outcome)
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
        ledger.fail(attempt(), shown, traceback.format_exc())
        _remove(folder)
        output.send("failed", key=run.key, error=shown)
        return False
    finished = attempt()
    ledger.record(finished, outcome)
    _remove(folder)
    output.send("done", key=run.key, seconds=finished.seconds)
    return True


def _progress(run: Run, output: _Output) -> OnProgress:
    """Send the steps of a run as they are done, but not all of them."""
    last_sent = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal last_sent
        now = time.perf_counter()
        if now - last_sent > _PROGRESS_SECONDS or done == total:
            last_sent = now
            output.send("progress", key=run.key, done=done, total=total)

    return progress


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


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder, ignore_errors=True)


def _listen(orders: queue.Queue[dict[str, Any]], path: Path, owner: Owner) -> None:
    """Take orders until there are no more, then end the process at once."""
    for text in sys.stdin:
        orders.put(json.loads(text)["run"])
    with contextlib.suppress(LedgerError), Ledger.open(path) as ledger:
        ledger.release(owner)
    os._exit(0)


def _send_heartbeats(path: Path, owner: Owner) -> None:
    """Send heartbeats, for runners in other containers; a failure to send one is harmless."""
    while True:
        time.sleep(_HEARTBEAT_SECONDS)
        with contextlib.suppress(LedgerError), Ledger.open(path) as ledger:
            ledger.beat(owner)


if __name__ == "__main__":
    sys.exit(main())
