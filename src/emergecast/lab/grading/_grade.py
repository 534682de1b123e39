"""What tests say about a program."""

from __future__ import annotations

from dataclasses import dataclass

from emergecast.lab.grading._official import PROGRAM_SECONDS
from emergecast.lab.sandbox import Ending


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedTest:
    """One test of one program."""

    passed: bool
    """Whether it finished, and its answer is right."""
    officially: bool | None
    """Whether APPS's own comparison would take the answer, within its 4 s; None where nobody
    asked."""
    ending: Ending | None
    """How the program ended; None where it was not run, as it had hung too often before."""
    cpu_seconds: float
    """Seconds of CPU, the start of Python among them."""
    wall_seconds: float
    """Seconds from start to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramGrade:
    """All tests of one program."""

    tests: tuple[CheckedTest, ...]
    """In the order of the problem's tests."""

    @property
    def passed(self) -> bool:
        """Whether there are tests, and all passed."""
        return bool(self.tests) and all(each.passed for each in self.tests)

    @property
    def share(self) -> float | None:
        """The share of tests that passed; None where there are none."""
        return sum(each.passed for each in self.tests) / len(self.tests) if self.tests else None

    @property
    def official(self) -> bool | None:
        """Whether APPS's own grader would have said so, as far as one run can tell.

        All tests by its loose comparison, within 11 s of CPU in all; None where nobody asked. It
        starts one process for all tests, with numpy and other names imported, and wraps the program
        in a function; that is not done again.
        """
        if any(each.officially is None for each in self.tests):
            return None
        spent = sum(
            each.wall_seconds if each.ending == Ending.WALL else each.cpu_seconds
            for each in self.tests
        )
        all_taken = all(each.officially for each in self.tests)
        return bool(self.tests) and all_taken and spent <= PROGRAM_SECONDS

    @property
    def repeatable(self) -> bool:
        """Whether it says nothing about how busy the machine was."""
        return all(each.ending != Ending.WALL for each in self.tests)
