"""The executor of one machine: worker processes that get orders and answer through pipes."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final, cast

from emergecast.lab.executors._executor import Heard, WorkerGone
from emergecast.lab.experiment import Experiment, Run
from emergecast.lab.worker import message_from_json

_END_SECONDS: Final = 10.0
"""Seconds that a worker has to end by itself."""

_ONE_THREAD: Final = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


def default_workers() -> tuple[int, bool]:
    """How many workers suit this machine, and whether each has a GPU of its own."""
    gpus = len(_gpus())
    if gpus:
        return gpus, True
    allowed = getattr(os, "sched_getaffinity", None)
    return (os.cpu_count() or 1) if allowed is None else len(allowed(0)), False


def _gpus() -> list[str]:
    """GPUs that the workers may use, as CUDA names them; found without loading torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name.strip() not in {"", "-1"}]
    with contextlib.suppress(OSError):
        return sorted(p.name for p in Path("/proc/driver/nvidia/gpus").iterdir())
    return []


class LocalExecutor:
    """Worker processes of this machine: one per GPU, or per CPU core with one thread each."""

    def __init__(self, experiment: Experiment, workers: int | None = None) -> None:
        self.workers = workers or default_workers()[0]
        self._experiment = experiment
        self._processes: dict[int, subprocess.Popen[str]] = {}
        self._heard: queue.SimpleQueue[Heard] = queue.SimpleQueue()

    def send(self, worker: int, run: Run) -> None:
        """Have a worker do a run."""
        process = self._processes.get(worker) or self._start(worker)
        _write(process, run.as_json())

    def hear(self, seconds: float) -> Heard | None:
        """The next thing that was heard."""
        try:
            heard = self._heard.get(timeout=seconds) if seconds else self._heard.get_nowait()
        except queue.Empty:
            return None
        if isinstance(heard.message, WorkerGone):
            self._processes.pop(heard.worker, None)
        return heard

    def close(self) -> None:
        """End all workers: those that do not end by themselves are killed."""
        for process in self._processes.values():
            _close_input(process)
        for process in self._processes.values():
            try:
                process.wait(timeout=_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, worker: int) -> subprocess.Popen[str]:
        """Start the worker of this number; what it prints goes to the end of its log."""
        log = self._experiment.output / "logs" / f"worker-{worker}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "emergecast.lab.worker._worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
                encoding="utf-8",
                env=_environment(worker),
                start_new_session=True,  # Ctrl-C is for the session; it ends the workers itself
            )
        self._processes[worker] = process
        threading.Thread(target=self._read, args=(worker, process, log), daemon=True).start()
        _write(process, {"text": self._experiment.text, "file": str(self._experiment.file)})
        return process

    def _read(self, worker: int, process: subprocess.Popen[str], log: Path) -> None:
        """Pass on what a worker says, and that it is gone."""
        stream = cast("IO[str]", process.stdout)
        with stream, contextlib.suppress(ValueError):  # a line that was cut short by a kill
            for line in stream:
                self._heard.put(Heard(worker=worker, message=message_from_json(line)))
        _close_input(process)
        status = process.wait()
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        self._heard.put(Heard(worker=worker, message=WorkerGone(how=how, log=str(log))))


def _write(process: subprocess.Popen[str], order: Mapping[str, Any]) -> None:
    stream = cast("IO[str]", process.stdin)
    with contextlib.suppress(OSError, ValueError):  # it is gone, which its reader notices
        stream.write(json.dumps(order) + "\n")
        stream.flush()


def _close_input(process: subprocess.Popen[str]) -> None:
    """Have the worker end; what it has not read yet is lost with it."""
    with contextlib.suppress(OSError):
        cast("IO[str]", process.stdin).close()


def _environment(number: int) -> dict[str, str]:
    """One GPU or one thread for a worker."""
    gpus = _gpus()
    if not gpus:
        return {**os.environ, **_ONE_THREAD}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") is not None
    index = number % len(gpus)
    return {
        **os.environ,
        "TOKENIZERS_PARALLELISM": "false",
        "CUDA_VISIBLE_DEVICES": gpus[index] if visible else str(index),
    }
