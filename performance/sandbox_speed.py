"""Programs a minute: graded in the sandbox, beside plain subprocesses that guard against nothing.

Two at a time, as many of each kind as `--programs` says; the two ways are taken in turn, so that a
slow minute of the machine slows both. A test is a process of its own in either.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from _report import arguments, publish, table
from emergecast.lab.grading import (
    GradingOptions,
    ProblemTests,
    ProgramTest,
    Submission,
    grade,
)

WORKERS: Final = 2
PROGRAMS: Final = {
    "adds two numbers": "print(sum(map(int, input().split())))",
    "imports numpy": "import numpy\nprint(numpy.sum([int(w) for w in input().split()]))",
    "computes for 0.2 s": (
        "import time\nwhile time.process_time() < 0.2: pass\nprint(sum(map(int, input().split())))"
    ),
}
TEST: Final = ProgramTest(given="1 2\n", expected="3\n")


def sandboxed(program: str, count: int) -> None:
    """Grades programs of one test each."""
    tests = ProblemTests(function=None, tests=(TEST,))
    found = grade([Submission(program=program, tests=tests)] * count, _OPTIONS)
    if not all(each.passed for each in found):
        raise SystemExit(f"a program failed: {found}")


def plain(program: str, count: int) -> None:
    """Runs the same in subprocesses, with a wall-time limit and nothing else."""

    def one(_: int) -> bool:
        done = subprocess.run(
            [sys.executable, "-c", program],
            input=TEST.given, capture_output=True, text=True, timeout=20, check=False,
            start_new_session=True,  # as the sandbox does: Linux shares cores out by session
        )  # fmt: skip
        return done.stdout == TEST.expected

    with ThreadPoolExecutor(WORKERS) as pool:
        if not all(pool.map(one, range(count))):
            raise SystemExit("a program failed")


def a_minute(way: Callable[[str, int], None], program: str, count: int) -> float:
    """Programs a minute."""
    began = time.perf_counter()
    way(program, count)
    return 60 * count / (time.perf_counter() - began)


def main() -> None:
    """Measures each kind in both ways, in turn."""
    options = arguments(__doc__ or "", programs=40, repeats=5)
    rows = []
    for name, program in PROGRAMS.items():
        found: dict[str, list[float]] = {"sandboxed": [], "plain": []}
        for way in (sandboxed, plain):
            way(program, WORKERS)  # the first makes the sandbox's root and fills the disk cache
        for _ in range(options.repeats):
            for way in (sandboxed, plain):
                found[way.__name__].append(a_minute(way, program, options.programs))
        inside, outside = (statistics.median(found[way]) for way in ("sandboxed", "plain"))
        cost = 60_000 * WORKERS * (1 / inside - 1 / outside)
        rows.append(
            [name, f"{inside:,.0f}", f"{outside:,.0f}", f"{outside / inside:.2f}x", f"{cost:.0f}"]
        )
    head = ["program", "sandboxed, a minute", "plain, a minute", "ratio", "cost of one, core ms"]
    text = f"{WORKERS} programs at a time; medians of {options.repeats} turns.\n\n"
    publish("sandbox_speed", text + table(head, rows), write=options.write)


_OPTIONS: Final = GradingOptions(workers=WORKERS)

if __name__ == "__main__":
    main()
