"""Grading many programs at a time."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, Self

from emergecast.errors import RecordError
from emergecast.files import write_whole
from emergecast.lab.grading._answers import same_call, same_text
from emergecast.lab.grading._driver import driver
from emergecast.lab.grading._grade import CheckedTest, ProgramGrade
from emergecast.lab.grading._official import (
    TEST_SECONDS,
    officially_same_call,
    officially_same_text,
)
from emergecast.lab.grading._problem_tests import ProblemTests, ProgramTest
from emergecast.lab.sandbox import Ending, Interpreter, Limits, interpreter_version, run
from emergecast.records import as_json, from_json

GRADER: Final = 1
"""Version of the rules by which programs are graded: another number, and all are graded again."""
_WAITING: Final = 32
"""Programs that may be there beside those at work, all of them idle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A program, and what it is tested by."""

    program: str
    """Its source."""
    tests: ProblemTests
    """The tests of its problem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GradingOptions:
    """How programs are graded."""

    limits: Limits = field(default_factory=Limits)
    """What a program may use for one test."""
    interpreter: Interpreter = field(default_factory=Interpreter)
    """Which Python runs it."""
    workers: int | None = None
    """Programs at work at a time; as many as there are cores if absent."""
    kept: Path | None = None
    """Folder in which grades are kept by the hash of all that decides them; none if absent."""
    official: bool = False
    """Whether APPS's own comparison is made, too; of long answers it takes seconds."""
    give_up_after: int | None = None
    """Tests at a limit of time after which a program's other tests count as failed without being
    run; all are run if absent."""


class Grader:
    """Grades programs as they come; as many compute at a time as there are workers.

    One that waits for something gives its place to another, so that a program that hangs delays
    none. Leaving the context waits for all that was submitted, unless an error leaves it.
    """

    def __init__(self, options: GradingOptions | None = None) -> None:
        self._options = options or GradingOptions()
        self._version = interpreter_version(self._options.interpreter)
        workers = self._options.workers or len(os.sched_getaffinity(0))
        self._places = threading.Semaphore(workers)
        self._pool = ThreadPoolExecutor(workers + _WAITING, thread_name_prefix="grade")

    def submit(self, submission: Submission) -> Future[ProgramGrade]:
        """Begin to grade a program, or wait for a place; the grade is the future's result."""
        return self._pool.submit(
            _kept_or_made, submission, self._options, self._version, self._places
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._pool.shutdown(cancel_futures=kind is not None)


def grade(
    submissions: Sequence[Submission],
    options: GradingOptions | None = None,
    on_grade: Callable[[int, ProgramGrade], None] | None = None,
) -> tuple[ProgramGrade, ...]:
    """The grades of programs, in their order.

    Args:
        submissions: the programs.
        options: how; `GradingOptions()` if absent.
        on_grade: told of each grade as it is there, with its position, from another thread.

    Raises:
        LabError: there is no working sandbox.
        OSError: a grade cannot be kept.
    """
    if not submissions:
        return ()

    def tell(position: int, job: Future[ProgramGrade]) -> None:
        if on_grade is not None and not job.cancelled() and job.exception() is None:
            on_grade(position, job.result())

    with Grader(options) as grader:
        jobs = [grader.submit(each) for each in submissions]
        for position, job in enumerate(jobs):
            job.add_done_callback(partial(tell, position))
        return tuple(job.result() for job in jobs)


def _kept_or_made(
    submission: Submission, options: GradingOptions, version: str, places: threading.Semaphore
) -> ProgramGrade:
    if options.kept is None:
        return _make(submission, options, places)
    decides = [
        GRADER, version, as_json(options.limits), options.official, options.give_up_after,
        as_json(submission),
    ]  # fmt: skip
    digest = hashlib.sha256(json.dumps(decides).encode()).hexdigest()
    path = options.kept / digest[:2] / f"{digest}.json"
    try:
        return from_json(ProgramGrade, json.loads(path.read_text("utf-8")), what=str(path))
    except (FileNotFoundError, ValueError, RecordError):  # not there, or not whole: make it again
        pass
    found = _make(submission, options, places)
    if found.repeatable:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(as_json(found)))
    return found


def _make(
    submission: Submission, options: GradingOptions, places: threading.Semaphore
) -> ProgramGrade:
    program, function = submission.program, submission.tests.function
    if function is not None:
        program = driver(program, function)
    hung = 0
    made = []
    for test in submission.tests.tests:
        if options.give_up_after is not None and hung >= options.give_up_after:
            made.append(_not_run(options))
            continue
        made.append(_check(program, test, options, places, call=function is not None))
        hung += made[-1].ending in {Ending.CPU, Ending.WALL}
    return ProgramGrade(tests=tuple(made))


def _not_run(options: GradingOptions) -> CheckedTest:
    taken = False if options.official else None
    return CheckedTest(
        passed=False, officially=taken, ending=None, cpu_seconds=0.0, wall_seconds=0.0
    )


def _check(
    program: str,
    test: ProgramTest,
    options: GradingOptions,
    places: threading.Semaphore,
    *,
    call: bool,
) -> CheckedTest:
    place = _Place(places)
    with place:
        outcome = run(
            program, test.given, options.limits,
            interpreter=options.interpreter, on_idle=place.leave,
        )  # fmt: skip
    finished = outcome.ending == Ending.FINISHED
    ours, theirs = (same_call, officially_same_call) if call else (same_text, officially_same_text)
    officially = None
    if options.official:
        in_time = finished and outcome.cpu_seconds <= TEST_SECONDS
        officially = in_time and theirs(outcome.stdout, test.expected)
    return CheckedTest(
        passed=finished and ours(outcome.stdout, test.expected),
        officially=officially,
        ending=outcome.ending,
        cpu_seconds=outcome.cpu_seconds,
        wall_seconds=outcome.wall_seconds,
    )


class _Place:
    """One of the places at work, which is given back once, at the end or earlier."""

    def __init__(self, places: threading.Semaphore) -> None:
        self._places = places
        self._held = False

    def __enter__(self) -> None:
        self._places.acquire()
        self._held = True

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Let another program work."""
        if self._held:
            self._held = False
            self._places.release()
