"""Run an experiment by `emergecast run`, read its ledger, compare two ledgers score by score."""

from __future__ import annotations

import os
import subprocess
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from performance._report import ONE_THREAD, table
from performance.kill import EMERGECAST

from emergecast.lab.experiment import read_experiment
from emergecast.lab.ledger import Ledger, Result
from emergecast.lab.plan import estimate, survey

STAGES = ("load", "loss", "task", "finetune", "evaluate")
"""What the lab times within a run."""


def environment(*, gpu: bool) -> dict[str, str]:
    """The environment of a command: as many threads as it likes, with or without the GPU."""
    free = {name: value for name, value in os.environ.items() if name not in ONE_THREAD}
    return free if gpu else {**free, "CUDA_VISIBLE_DEVICES": ""}


def command(file: Path, workers: int | None) -> list[str]:
    """`emergecast run` with so many workers; None for as many as suit the machine."""
    asked = [] if workers is None else ["--workers", str(workers)]
    return [*EMERGECAST, "run", str(file), *asked]


def run(file: Path, *, gpu: bool, workers: int | None = None, status: int = 0) -> float:
    """Seconds that `emergecast run` takes; it must end with this status."""
    began = time.perf_counter()
    done = subprocess.run(
        command(file, workers),
        env=environment(gpu=gpu),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    if done.returncode != status:
        raise RuntimeError(f"emergecast run ended with {done.returncode}: {done.stderr[-1500:]}")
    return time.perf_counter() - began


def expected_seconds(file: Path) -> float:
    """What `emergecast plan` says of one GPU worker."""
    found = survey(read_experiment(file))
    return estimate(found.plan, found.results, workers=1, on_gpu=True).wall_seconds


def open_ledger(file: Path) -> Ledger:
    """The ledger of an experiment, to read."""
    return Ledger.open_to_read(read_experiment(file).ledger)


def results_of(file: Path) -> dict[str, Result]:
    """Results by title, none of them failed."""
    with open_ledger(file) as ledger:
        for failure in ledger.failures().values():
            raise RuntimeError(f"{failure.title} failed: {failure.error}")
        return {result.title: result for result in ledger.results().values()}


def compared(ours: Path, theirs: Path) -> str:
    """A table of how far two measurements of the same runs are apart."""
    a, b = results_of(ours), results_of(theirs)
    if a.keys() != b.keys():
        raise RuntimeError(f"not the same runs: {sorted(a.keys() ^ b.keys())[:4]}")
    apart: dict[tuple[int, str], list[float]] = defaultdict(list)
    changed: dict[tuple[int, str], list[float]] = defaultdict(list)
    for title, mine in a.items():
        other = b[title]
        if mine.loss is not None and other.loss is not None:
            difference = mine.loss.nats_per_token - other.loss.nats_per_token
            apart[-1, "loss, nats"].append(difference)
            continue
        examples = int(title.partition(" D=")[2].partition(" ")[0] or 0)
        kind = f"finetuned on {examples:,}" if examples else "few-shot"
        for x, y in zip(mine.scores, other.scores, strict=True):
            apart[examples, f"{kind}: {x.metric}"].append(x.score - y.score)
        left, right = _items(ours, mine.key), _items(theirs, other.key)
        share = sum(left[each] != right[each] for each in left) / max(1, len(left))
        changed[examples, f"{kind}: acc"].append(share)
    rows = []
    for what in sorted(apart):
        values = np.array(apart[what])
        cells = f"{values.mean():+.2g}", f"{values.std():.2g}", f"{np.abs(values).max():.2g}"
        share = f"{np.mean(changed[what]):.2%}" if what in changed else ""
        rows.append([what[1], len(values), int((values == 0).sum()), *cells, share])
    head = ["", "runs", "equal to the last bit", "mean difference", "standard deviation"]
    return table([*head, "largest difference", "items answered differently"], rows)


def _items(file: Path, key: str) -> dict[str, float]:
    """Whether each item of a run was right, by the item's id."""
    with open_ledger(file) as ledger:
        return {item["id"]: item["correct"] for item in ledger.items(key)}
