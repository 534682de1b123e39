"""Worker processes of this machine: how many, and with which GPU or thread each."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emergecast.lab.experiment import Run

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


@dataclass(slots=True, kw_only=True, eq=False)
class WorkerProcess:
    """One worker."""

    number: int
    """Decides its GPU and the name of its log."""
    process: subprocess.Popen[str]
    log: Path
    """What it and its libraries print."""
    run: Run | None = None
    """What it is doing; None while it waits."""
    ready: bool = False
    """Whether it has loaded its libraries."""

    def close_input(self) -> None:
        """Tell the worker to give back its claim and end."""
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):  # what was not yet read is lost with the worker
                self.process.stdin.close()

    def close(self) -> int:
        """Close the pipes to the worker, wait until it ends, and return its exit status."""
        self.close_input()
        status = self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return status


def start_worker(number: int, log: Path) -> WorkerProcess:
    """Start the worker of this number; what it prints goes to the end of `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "emergecast.lab.worker._worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
            encoding="utf-8",
            env=_environment(number),
            start_new_session=True,  # Ctrl-C is for the runner; it stops the workers itself
        )
    return WorkerProcess(number=number, process=process, log=log)


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
