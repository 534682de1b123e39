"""Kill -9 of a worker, of the runner, and of all processes, while they use the GPU."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import torch
from performance.kill import Found, Victim, _check_end, _children, _kill, _look
from performance.lab_gpu import _experiments
from performance.lab_gpu._bench import Bench
from performance.lab_gpu._experiments import results_of
from performance.lab_gpu._models import CPU, DEVICE

from emergecast.errors import LedgerError
from emergecast.lab.experiment import read_experiment
from emergecast.lab.ledger._owner import _start_of


def kill(bench: Bench) -> str:
    """Kill three sessions and finish; compared with an undisturbed run."""
    file = bench.copy("killed")
    with file.open("a", encoding="utf-8") as text:
        text.write("  save_every_seconds: 0.3\n")
    experiment = read_experiment(file)
    found, seen, log = Found(), dict[str, float](), []
    for victim in (Victim.WORKER, Victim.RUNNER, Victim.ALL):
        log.append(_killed(file, victim))
        _look(experiment, seen, found)
    seconds = _experiments.run(file, gpu=True, workers=2)
    _look(experiment, seen, found)
    _check_end(experiment, found)
    results = results_of(file).values()
    resumed = sum(bool(r.training and r.training["resumed_from"]) for r in results)
    return (
        f"Two workers on the GPU. Killed: {'; '.join(log)}. The last session took {seconds:.1f} s;"
        f" {resumed} finetunings resumed from a training checkpoint. {len(results)} results; wrong:"
        f" {'; '.join(found.wrong) or 'nothing'}. GPU memory in use afterwards, this process"
        f" included: {_memory_in_use() / 1e9:.1f} GB.\n\nKilled compared with undisturbed:\n\n"
        f"{_experiments.compared(file, bench.shared[0])}"
    )


def _killed(file: Path, victim: Victim) -> str:
    """Kill one session, and say what it was doing."""
    training = read_experiment(file).output / "training"
    process = subprocess.Popen(
        _experiments.command(file, 2),
        env=_experiments.environment(gpu=True),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def wait_for_more() -> int:
        """Wait for four more results and a training checkpoint, or the end; results so far."""
        wanted = _count(file) + 4
        _until(
            lambda: (
                process.poll() is not None
                or (_count(file) >= wanted and any(training.glob("*/checkpoint-*/whole")))
            )
        )
        return _count(file)

    results = wait_for_more()
    said = ""
    if victim is Victim.WORKER and process.poll() is None:
        _kill(_children(process.pid)[0])
        before, results = results, wait_for_more()
        then = "went on" if process.poll() is None else "ENDED"
        said = f"a worker after {before} results, and the runner {then}, then "
    if process.poll() is not None:
        return f"{said}{victim}: the session had ended"
    children = _children(process.pid)
    process.kill()
    for child in children if victim is Victim.ALL else ():
        _kill(child)
    process.wait()
    dead = _until(lambda: all(_start_of(child) in {"", "zombie"} for child in children), 15)
    who = "the runner and its workers" if victim is Victim.ALL else "the runner"
    kept = len(list(training.glob("*/checkpoint-*")))
    return (
        f"{said}{who} after {results} results with training checkpoints on disk: {kept}, and the"
        f" workers were {'gone' if dead else 'STILL THERE'} within 15 s"
    )


def _until(true: Callable[[], bool], longest: float = 60) -> bool:
    end = time.monotonic() + longest
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.02)
    return False


def _count(file: Path) -> int:
    with contextlib.suppress(LedgerError), _experiments.open_ledger(file) as ledger:
        return len(ledger.results())
    return 0


def _memory_in_use() -> int:
    if DEVICE == CPU:
        return 0
    free, total = torch.cuda.mem_get_info()
    return total - free
