"""The executor of one machine: worker processes that get orders and answer through pipes."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Final, cast

from emergecast.lab.executors._executor import Heard, WorkerGone
from emergecast.lab.experiment import Experiment, Run
from emergecast.lab.worker import BEAT_SECONDS, LEFT_ALONE, message_from_json

_END_SECONDS: Final = 5.0
"""Seconds that workers have to end by themselves."""

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
        self._processes: dict[int, _WorkerProcess] = {}
        self._heard: queue.SimpleQueue[tuple[_WorkerProcess, Heard]] = queue.SimpleQueue()

    def send(self, worker: int, run: Run) -> None:
        """Have a worker do a run."""
        if worker not in self._processes:
            self._processes[worker] = _WorkerProcess(worker, self._experiment, self._hear)
        self._processes[worker].tell(run.as_json())

    def hear(self, seconds: float) -> Heard | None:
        """The next thing that was heard."""
        end = time.monotonic() + seconds
        while True:
            try:
                process, heard = self._heard.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                return None
            if self._processes.get(heard.worker) is not process:
                continue  # it was stopped
            if isinstance(heard.message, WorkerGone):
                del self._processes[heard.worker]
            return heard

    def stop(self, worker: int) -> None:
        """Kill a worker: it may be past hearing."""
        process = self._processes.pop(worker, None)
        if process is not None:
            process.ask_to_end()
            process.end(0.0)

    def close(self) -> None:
        """End all workers: those that do not end by themselves are killed."""
        for process in self._processes.values():
            process.ask_to_end()
        end = time.monotonic() + _END_SECONDS
        for process in self._processes.values():
            process.end(max(0.0, end - time.monotonic()))

    def _hear(self, process: _WorkerProcess, heard: Heard) -> None:
        self._heard.put((process, heard))


class _WorkerProcess:
    """A worker process, and the threads that carry what it is told and what it says.

    Orders go out from a thread of their own: a process that reads nothing stops nobody else.
    """

    def __init__(
        self, number: int, experiment: Experiment, hear: Callable[[_WorkerProcess, Heard], None]
    ) -> None:
        self._number = number
        self._hear = hear
        self._log = experiment.output / "logs" / f"worker-{number}.log"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._orders: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        with self._log.open("ab") as stream:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "emergecast.lab.worker._worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
                encoding="utf-8",
                env=_environment(number),
                start_new_session=True,  # Ctrl-C is for the session; it ends the workers itself
            )
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._write, daemon=True).start()
        self.tell({"text": experiment.text, "file": str(experiment.file)})

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def tell(self, order: Mapping[str, Any]) -> None:
        """Give an order."""
        self._orders.put(json.dumps(order))

    def ask_to_end(self) -> None:
        """Have it end; what it has not read yet is lost with it."""
        self._orders.put(None)

    def end(self, seconds: float) -> None:
        """Wait for its end for so long, then kill it."""
        try:
            self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # it hangs in the system itself
                self._process.wait(timeout=_END_SECONDS)

    def _write(self) -> None:
        """Pass on orders; an empty line says that the session is still there."""
        stream = cast("IO[str]", self._process.stdin)
        with contextlib.suppress(OSError, ValueError), stream:  # it is gone, as its reader notices
            while True:
                try:
                    order = self._orders.get(timeout=BEAT_SECONDS)
                except queue.Empty:
                    order = ""
                if order is None:
                    return
                stream.write(order + "\n")
                stream.flush()

    def _read(self) -> None:
        """Pass on what the worker says, and that it is gone."""
        stream = cast("IO[str]", self._process.stdout)
        with stream, contextlib.suppress(ValueError):  # a line that was cut short by a kill
            for line in stream:
                self._hear(self, Heard(worker=self._number, message=message_from_json(line)))
        self.ask_to_end()
        status = self._process.wait()
        gone = WorkerGone(
            how=f"signal {-status}" if status < 0 else f"exit status {status}",
            log=str(self._log),
            left_alone=status == LEFT_ALONE,
        )
        self._hear(self, Heard(worker=self._number, message=gone))


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
