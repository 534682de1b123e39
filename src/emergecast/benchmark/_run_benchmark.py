"""Run a benchmark: plan what is missing, do it, keep every line, and count it up."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from emergecast.benchmark._answer import Answer, AnswerOutcome, answer
from emergecast.benchmark._cells import CELLS, BundledCell, HeldSplit
from emergecast.benchmark._entrants import DEFAULT_METHODS, entrant, with_references
from emergecast.benchmark._leaderboard import Leaderboard, leaderboard
from emergecast.benchmark._result_lines import LineKey, ResultLine, add_line, read_lines
from emergecast.errors import EmergecastError, OptionError, near

if TYPE_CHECKING:
    from collections.abc import Iterable
    from multiprocessing.queues import Queue

RUNGS = 8
"""Rungs of a ladder, about, for an estimate of time."""

OnLine = Callable[[int, int, ResultLine], None]
"""Called after each line with the lines done, their total, and the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkOptions:
    """What to try on what."""

    methods: tuple[str, ...] = DEFAULT_METHODS
    """Method: a law, laws joined by commas, mixture, a baseline, or MODULE:FUNCTION. Those that
    skill is measured over are always there."""
    cells: tuple[str, ...] = ()
    """Cell to forecast; default: all. --list names them."""
    tables: int = 20
    """Simulated tables of each cell."""
    held: bool = False
    """Also the tasks that are held out: look at them once, when nothing is changed any more."""
    seed: int = 0
    """Of the simulated tables."""
    workers: int = 1
    """Processes, each on a core of its own."""

    def __post_init__(self) -> None:
        for name in self.cells:
            if name not in CELLS:
                raise OptionError(f'there is no cell "{name}". {near(name, list(CELLS))}')
            if CELLS[name].split is HeldSplit.HELD and not self.held:
                raise OptionError(f"cell {name} is held out: add --held to look at it.")
        if min(self.tables, self.workers) < 1 or self.seed < 0:
            raise OptionError("tables and workers are at least 1, and a seed is at least 0.")

    @property
    def chosen(self) -> tuple[str, ...]:
        """The cells to forecast."""
        named = self.cells or tuple(CELLS)
        return tuple(each for each in named if self.held or CELLS[each].split is not HeldSplit.HELD)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Cells that are held out and were not asked for."""
        held = (name for name, cell in CELLS.items() if cell.split is HeldSplit.HELD)
        return () if self.held else tuple(held)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One table, and the methods that have not forecast it yet."""

    cell: str
    number: int
    methods: tuple[str, ...]
    seed: int

    @property
    def table(self) -> str:
        """Its name in the results."""
        return f"{self.cell}/{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkPlan:
    """What a benchmark would do."""

    jobs: tuple[Job, ...]
    known: dict[LineKey, ResultLine]
    """Lines that are there already, of every version."""
    damaged: tuple[int, ...]
    """Lines of the file that cannot be read."""
    seconds: float
    """What the missing lines take, about; measured where the method has lines already."""

    @property
    def lines(self) -> int:
        """Lines that are missing."""
        return sum(len(job.methods) for job in self.jobs)


def planned(options: BenchmarkOptions, folder: Path | None = None) -> BenchmarkPlan:
    """What is missing, in an order that serves all cells alike.

    Raises:
        OptionError: a method or a cell does not exist.
    """
    methods = [entrant(name) for name in with_references(options.methods)]
    known, damaged = read_lines(folder)
    measured: dict[str, list[float]] = {}
    for line in known.values():
        measured.setdefault(line.method, []).extend(each.seconds for each in line.rungs)
    each_takes = {
        each.name: sum(spent) / len(spent) if (spent := measured.get(each.name)) else each.seconds
        for each in methods
    }
    jobs, seconds = [], 0.0
    for number in range(options.tables):
        for cell in options.chosen:
            bundled = isinstance(CELLS[cell], BundledCell)
            if bundled and number:
                continue
            job = Job(cell=cell, number=number, methods=(), seed=options.seed)
            missing = tuple(
                each.name
                for each in methods
                if LineKey(_version(), each.name, job.table, options.seed) not in known
            )
            if missing:
                jobs.append(Job(cell=cell, number=number, methods=missing, seed=options.seed))
                seconds += (RUNGS if bundled else 1) * sum(each_takes[name] for name in missing)
    return BenchmarkPlan(
        jobs=tuple(jobs), known=known, damaged=damaged, seconds=seconds / options.workers
    )


def benchmark(
    options: BenchmarkOptions | None = None,
    folder: Path | None = None,
    *,
    plan: BenchmarkPlan | None = None,
    on_line: OnLine | None = None,
) -> Leaderboard:
    """Every method on every table, each line kept the moment it is done.

    What a folder holds of this version and seed is not done again, and counts too, whatever options
    it was made with. An edited function under its old name is not noticed: give it another name.

    Args:
        options: what to try.
        folder: where `results.jsonl` is; None: nothing is kept.
        plan: what `planned` said of these options and this folder, if it was asked.
        on_line: called with every line.

    Raises:
        OptionError: a method or a cell does not exist.
    """
    options = options or BenchmarkOptions()
    plan = plan or planned(options, folder)
    done = 0
    lines = dict(plan.known)
    with _each(plan.jobs, options.workers) as found:
        for made in found:
            for line in made:
                done += 1
                lines[line.key] = line
                if folder is not None:
                    add_line(folder, line)
                if on_line is not None:
                    on_line(done, plan.lines, line)
    wanted = [
        line
        for line in lines.values()
        if (line.version, line.seed) == (_version(), options.seed)
        and line.cell in CELLS
        and line.cell not in options.left_out
    ]
    return leaderboard(
        wanted,
        version=_version(),
        seed=options.seed,
        left_out=options.left_out,
        damaged=plan.damaged,
    )


def run_job(job: Job) -> list[ResultLine]:
    """The lines of one table; its rows are prepared once for all methods."""
    try:
        rungs = list(CELLS[job.cell].rungs(job.number, job.seed))
    except EmergecastError as error:  # no table, so no method can have an answer
        none = Answer(
            rung="", outcome=AnswerOutcome.ERROR, truth=None, seconds=0.0, reason=str(error)
        )
        return [_line(job, name, (none,)) for name in job.methods]
    methods = [entrant(name) for name in job.methods]
    return [_line(job, one.name, tuple(answer(one, rung) for rung in rungs)) for one in methods]


def _line(job: Job, method: str, rungs: tuple[Answer, ...]) -> ResultLine:
    return ResultLine(
        version=_version(),
        method=method,
        table=job.table,
        seed=job.seed,
        cell=job.cell,
        date=datetime.now(UTC).date().isoformat(),
        rungs=rungs,
    )


@contextmanager
def _each(jobs: Iterable[Job], workers: int) -> Iterator[Iterator[list[ResultLine]]]:
    """The lines of every job, here or in processes of their own."""
    if workers == 1:
        yield map(run_job, jobs)
        return
    context = multiprocessing.get_context("spawn")
    cores: Queue[int] = context.Queue()
    there = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    for number in range(workers):
        cores.put(there[number % len(there)])
    with context.Pool(workers, initializer=_on_one_core, initargs=(cores,)) as pool:
        yield pool.imap_unordered(run_job, jobs)


def _on_one_core(cores: Queue[int]) -> None:
    """A core of its own: else every process would fit the laws of a mixture on all of them."""
    core = cores.get()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


def _version() -> str:
    return version("emergecast")
