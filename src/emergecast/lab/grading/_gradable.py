"""Which problems can be graded at all: those of which a reference solution passes."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from emergecast.errors import RecordError
from emergecast.files import write_whole
from emergecast.lab.grading._grader import GRADER, GradingOptions, Submission, grade
from emergecast.lab.grading._problem_tests import ProblemTests
from emergecast.lab.sandbox import Limits, interpreter_version
from emergecast.records import as_json, from_json


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceProblem:
    """A problem with the solutions that come with it."""

    problem: str
    """Its id."""
    tests: ProblemTests
    """Its tests."""
    solutions: tuple[str, ...]
    """Programs that are said to be right; there may be none."""


class ReferenceState(StrEnum):
    """What its reference solutions say about a problem."""

    PASSES = "a reference passes"
    """The tests can be passed: the problem counts."""
    FAILS = "no reference passes"
    """The tests, the references or this grader are wrong: flagged."""
    NO_REFERENCE = "no reference"
    """Nobody can tell."""
    NO_TESTS = "no tests"
    """No program can pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemState:
    """What is known about one problem."""

    problem: str
    """Its id."""
    state: ReferenceState
    """Whether its references pass."""
    tests: int
    """Tests that it has: with one, a pass means little."""
    tried: int
    """Reference solutions that were run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GradableMask:
    """Which of many problems can be graded."""

    grader: int
    """Version of the rules."""
    interpreter: str
    """Versions of Python and numpy."""
    limits: Limits
    """What a solution could use for a test."""
    most: int
    """Reference solutions that were tried of a problem at most."""
    problems: tuple[ProblemState, ...]
    """In the order of the problems."""

    @property
    def gradable(self) -> frozenset[str]:
        """Ids of the problems of which a reference passes."""
        return frozenset(
            each.problem for each in self.problems if each.state == ReferenceState.PASSES
        )

    @property
    def counts(self) -> dict[ReferenceState, int]:
        """Problems in each state."""
        found = Counter(each.state for each in self.problems)
        return {state: found[state] for state in ReferenceState}


def gradable_mask(
    problems: Sequence[ReferenceProblem], options: GradingOptions | None = None, most: int = 3
) -> GradableMask:
    """Run reference solutions, the next one where the one before fails, up to `most` of a problem.

    With `options.kept`, the mask is kept there and made once for these problems, limits, versions.

    Raises:
        LabError: there is no working sandbox.
        OSError: the mask cannot be kept.
    """
    options = options or GradingOptions()
    known = known_mask(problems, options, most)
    if known is not None:
        return known
    found = GradableMask(
        grader=GRADER,
        interpreter=interpreter_version(options.interpreter),
        limits=options.limits,
        most=most,
        problems=_states(problems, options, most),
    )
    path = _path(problems, options, most)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(as_json(found)))
    return found


def known_mask(
    problems: Sequence[ReferenceProblem], options: GradingOptions, most: int = 3
) -> GradableMask | None:
    """The mask that `gradable_mask` has kept; None where there is none yet.

    Raises:
        LabError: there is no working sandbox.
    """
    path = _path(problems, options, most)
    if path is None:
        return None
    try:
        return from_json(GradableMask, json.loads(path.read_text("utf-8")), what=str(path))
    except (FileNotFoundError, ValueError, RecordError):
        return None


def _path(problems: Sequence[ReferenceProblem], options: GradingOptions, most: int) -> Path | None:
    """The file of a mask, which bears the hash of all that decides it."""
    if options.kept is None:
        return None
    version = interpreter_version(options.interpreter)
    decides = [GRADER, version, as_json(options.limits), most, as_json(tuple(problems))]
    digest = hashlib.sha256(json.dumps(decides).encode()).hexdigest()
    return options.kept / f"mask-{digest[:16]}.json"


def _states(
    problems: Sequence[ReferenceProblem], options: GradingOptions, most: int
) -> tuple[ProblemState, ...]:
    tried = dict.fromkeys(range(len(problems)), 0)
    passed: set[int] = set()
    for turn in range(most):
        left = [
            number
            for number, each in enumerate(problems)
            if number not in passed and each.tests.tests and turn < len(each.solutions)
        ]
        programs = [
            Submission(program=problems[number].solutions[turn], tests=problems[number].tests)
            for number in left
        ]
        for number, found in zip(left, grade(programs, options), strict=True):
            tried[number] += 1
            if found.passed:
                passed.add(number)
    return tuple(
        ProblemState(
            problem=each.problem,
            state=_state(each, passed=number in passed),
            tests=len(each.tests.tests),
            tried=tried[number],
        )
        for number, each in enumerate(problems)
    )


def _state(problem: ReferenceProblem, *, passed: bool) -> ReferenceState:
    if not problem.tests.tests:
        return ReferenceState.NO_TESTS
    if not problem.solutions:
        return ReferenceState.NO_REFERENCE
    return ReferenceState.PASSES if passed else ReferenceState.FAILS
