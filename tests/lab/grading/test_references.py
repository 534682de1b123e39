"""Right programs pass, and near misses of them fail."""

from __future__ import annotations

import pytest
from tests.lab.grading.references import CASES

from emergecast.lab.grading import ProgramGrade, Submission, grade, read_tests
from emergecast.lab.sandbox import Ending

pytestmark = pytest.mark.usefixtures("bubblewrap")

NAMES = [case.name for case in CASES]


@pytest.fixture(scope="module")
def grades() -> tuple[ProgramGrade, ...]:
    """Of the right programs, then of the wrong ones; all at once."""
    tests = [read_tests(case.tests) for case in CASES]
    programs = [case.right for case in CASES] + [case.wrong for case in CASES]
    return grade([Submission(program=p, tests=t) for p, t in zip(programs, tests * 2, strict=True)])


@pytest.mark.parametrize("number", range(len(CASES)), ids=NAMES)
def test_right_programs_pass(grades: tuple[ProgramGrade, ...], number: int):
    """Each for the reason that is its name."""
    assert grades[number].passed
    assert all(each.ending == Ending.FINISHED for each in grades[number].tests)


@pytest.mark.parametrize(
    "number", range(len(CASES)), ids=[f"{case.name}: {case.miss}" for case in CASES]
)
def test_near_misses_fail(grades: tuple[ProgramGrade, ...], number: int):
    """Each has one fault."""
    assert not grades[len(CASES) + number].passed


def test_there_are_thirty_and_more():
    """In both styles."""
    styles = [read_tests(case.tests).function is None for case in CASES]
    assert len(styles) >= 30
    assert min(styles.count(True), styles.count(False)) >= 10
