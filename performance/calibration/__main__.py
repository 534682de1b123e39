"""`python -m performance.calibration PART [--tables N] [--processes N]`: see the package."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from multiprocessing import Pool
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ[_name] = "1"
ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from performance.calibration import _laws, _tables  # noqa: E402

from emergecast.simulation import Departure  # noqa: E402  the environment comes first

RESULTS = Path(__file__).resolve().parents[1] / "results" / "calibration"
FULL = {"laws": 1000, "mixture": 200, "departures": 200, "ablations": 20, "horizons": 50}
"""Tables per law, per law of the mixture, per departure, per task, per ratio."""


def work(part: str, tables: int) -> Iterator[tuple[str, str, int]]:
    """Every job of a part: part, what, number; in an order that serves all alike."""
    whats: dict[str, tuple[Any, ...]] = {
        "laws": _laws.LAWS,
        "mixture": _tables.laws_of_the_mixture(),
        "departures": ("none", *Departure),
        "ablations": _tables.TASKS,
        "horizons": _tables.RATIOS,
    }
    for number in range(tables):
        for what in whats[part]:
            yield part, str(what), number


def run(job: tuple[str, str, int]) -> tuple[str, Any]:
    """One job's key and record."""
    part, what, number = job
    how: dict[str, Callable[[], Any]] = {
        "laws": lambda: _laws.one(what, number),
        "mixture": lambda: _laws.mixed(_tables.laws_of_the_mixture(), what, number),
        "departures": lambda: _tables.departure(what, number),
        "ablations": lambda: _tables.ablation(what, number),
        "horizons": lambda: _tables.horizon(float(what), number),
    }
    return f"{what}/{number}", how[part]()


def main() -> None:
    """Run what is missing of a part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=FULL)
    parser.add_argument("--tables", type=int, help="per law, departure, task or ratio")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    path = RESULTS / f"{options.part}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    done = {json.loads(line)["key"] for line in path.open()} if path.exists() else set()
    jobs = [
        job
        for job in work(options.part, options.tables or FULL[options.part])
        if f"{job[1]}/{job[2]}" not in done
    ]
    with path.open("a", encoding="utf-8") as out, Pool(options.processes) as pool:
        for i, (key, record) in enumerate(pool.imap_unordered(run, jobs), start=1):
            out.write(json.dumps({"key": key, "record": record}) + "\n")
            out.flush()
            if i % 50 == 0 or i == len(jobs):
                print(f"{options.part}: {i} of {len(jobs)}", flush=True)


if __name__ == "__main__":
    main()
