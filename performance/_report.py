"""What the benchmarks share: Markdown tables, the line about the machine, and the import path."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeVar

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")
# Before NumPy and JAX are imported: a ratio on one core needs every method on one core.
for _name in ONE_THREAD:
    os.environ[_name] = "1"
os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # run as a script: the referees live in tests/referees
    sys.path.insert(0, str(ROOT))


def one_core() -> None:
    """Pins this process, and what it starts, to one core where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def machine(also: Iterable[str] = ()) -> str:
    """One line: processor, system, Python and the versions that matter."""
    names = ("emergecast", "numpy", "scipy", "polars", "jax", "numpyro", "emcee", *also)
    return f"One process on one core of: {system()}; {versions(names)}."


def system() -> str:
    """Processor, operating system and Python."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor() or platform.machine()
    return f"{processor}, {platform.system()}, Python {platform.python_version()}"


def versions(names: Iterable[str]) -> str:
    """Distributions with their installed versions."""
    parts = []
    for name in names:
        try:
            parts.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            parts.append(f"{name} not installed")
    return ", ".join(parts)


def table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    head = list(header)
    lines = [head, ["---"] * len(head), *([str(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def timed(function: Callable[[], T], *, repeats: int = 5) -> tuple[float, T]:
    """Median seconds of some calls after one that does not count, and the last result."""
    result = function()
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds), result


def arguments(description: str, **numbers: int) -> argparse.Namespace:
    """Command line: one integer option for each number, and --write."""
    parser = argparse.ArgumentParser(description=description)
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--write", action="store_true", help="write performance/results/<name>.md")
    return parser.parse_args()


def publish(name: str, text: str, *, write: bool, also: Iterable[str] = ()) -> None:
    """Prints a result, and writes it where it is kept."""
    page = f"# {name}\n\n{machine(also)}\n\n{text}\n"
    print(page)
    if write:
        folder = ROOT / "performance" / "results"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.md").write_text(page, encoding="utf-8")
