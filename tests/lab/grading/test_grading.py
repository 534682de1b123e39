"""Reading tests, keeping grades, the mask of gradable problems, and pass rates."""

from __future__ import annotations

import itertools
import math
import time
from pathlib import Path

import pytest

from emergecast.errors import LabError, OptionError
from emergecast.lab.grading import (
    CheckedTest,
    GradingOptions,
    ProgramGrade,
    ProgramTest,
    ReferenceProblem,
    ReferenceState,
    Submission,
    gradable_mask,
    grade,
    pass_at_k,
    pass_rates,
    read_tests,
)
from emergecast.lab.sandbox import Ending, Limits

ADD = read_tests('{"inputs": ["1 2\\n", "3 4\\n"], "outputs": ["3\\n", "7\\n"]}')
RIGHT = "print(sum(map(int, input().split())))"


@pytest.mark.parametrize(
    ("text", "function", "tests"),
    [
        ("", None, []),
        ('{"inputs": [], "outputs": []}', None, []),
        ('{"inputs": ["1"], "outputs": ["2"]}', None, [("1\n", "2")]),
        ('{"inputs": [["1", "2"]], "outputs": [["3", "4"]]}', None, [("1\n2\n", "3\n4")]),
        (
            '{"fn_name": "f", "inputs": [[1, "a"]], "outputs": [[1.50]]}',
            "f",
            [('[1, "a"]', "[1.50]")],
        ),
        (
            f'{{"fn_name": "f", "inputs": [[{"9" * 6000}]], "outputs": [{"8" * 6000}]}}',
            "f",
            [(f"[{'9' * 6000}]", "8" * 6000)],
        ),
    ],
)
def test_tests_as_they_are_published(text: str, function: str | None, tests: list):
    """JSON in a text that may be empty, with integers of any length."""
    found = read_tests(text)
    assert found.function == function
    assert list(found.tests) == [ProgramTest(given=g, expected=w) for g, w in tests]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "no JSON"),
        ("[1]", "no object"),
        ('{"inputs": ["1"], "outputs": []}', "no list of outputs"),
        ('{"inputs": [1], "outputs": ["1"]}', "in place of a text"),
        ('{"fn_name": "f", "inputs": [1], "outputs": [1]}', "no list"),
        ('{"fn_name": "f(); import os", "inputs": [], "outputs": []}', "no name of a function"),
    ],
)
def test_tests_that_cannot_be_used(text: str, says: str):
    """The message says what is wrong."""
    with pytest.raises(LabError, match=says):
        read_tests(text)


@pytest.mark.usefixtures("bubblewrap")
def test_share_and_verdicts():
    """One of two tests passed is a share of a half and no pass; the official one may differ."""
    half, loose, none = grade(
        [
            Submission(program="print(3)", tests=ADD),
            Submission(program="a, b = input().split()\nprint(b, a, a)", tests=_swap()),
            Submission(program=RIGHT, tests=read_tests("")),
        ],
        GradingOptions(official=True),
    )
    assert (half.passed, half.share, half.official) == (False, 0.5, False)
    assert (loose.passed, loose.share, loose.official) == (False, 0.0, True)
    assert (none.passed, none.share, none.official) == (False, None, False)
    assert grade([Submission(program="print(3)", tests=ADD)])[0].official is None


def test_the_official_eleven_seconds():
    """Three tests of 3.9 s pass by our rule, and are more than 11 s together."""
    test = CheckedTest(
        passed=True, officially=True, ending=Ending.FINISHED, cpu_seconds=3.9, wall_seconds=9.0
    )
    assert ProgramGrade(tests=(test,) * 2).official
    assert not ProgramGrade(tests=(test,) * 3).official
    assert ProgramGrade(tests=(test,) * 3).passed


@pytest.mark.usefixtures("bubblewrap")
def test_a_program_that_hangs_delays_no_other():
    """Eight programs that sleep for 5 s, one place to work, and a right program behind them."""
    one = read_tests('{"inputs": ["1 2"], "outputs": ["3"]}')
    done: list[int] = []
    sleepers = [Submission(program="import time; time.sleep(99)", tests=one)] * 8
    options = GradingOptions(workers=1, limits=Limits(wall_seconds=5))
    began = time.monotonic()
    found = grade(
        [*sleepers, Submission(program=RIGHT, tests=one)], options, lambda n, _: done.append(n)
    )
    assert [each.passed for each in found] == [False] * 8 + [True]
    assert done[0] == 8
    assert time.monotonic() - began < 30  # 40 s one after the other


@pytest.mark.usefixtures("bubblewrap")
def test_giving_up():
    """After so many tests at a limit of time the rest is not run, and has failed."""
    tests = read_tests('{"inputs": ["1", "1", "0"], "outputs": ["1", "1", "0"]}')
    program = "import time\nn = int(input())\ntime.sleep(n * 99)\nprint(n)"
    options = GradingOptions(limits=Limits(wall_seconds=1), give_up_after=1)
    (found,) = grade([Submission(program=program, tests=tests)], options)
    assert [each.ending for each in found.tests] == [Ending.WALL, None, None]
    (found,) = grade(
        [Submission(program=program, tests=tests)], GradingOptions(limits=Limits(wall_seconds=1))
    )
    assert [each.passed for each in found.tests] == [False, False, True]


@pytest.mark.usefixtures("bubblewrap")
def test_grades_are_kept(tmp_path: Path):
    """By all that decides them: the program, the tests, the limits; not what the clock decided."""
    options = GradingOptions(kept=tmp_path)
    submission = Submission(program=RIGHT, tests=ADD)
    (first,) = grade([submission], options)
    (file,) = tmp_path.rglob("*.json")
    file.write_text(file.read_text("utf-8").replace("finished", "failed"), "utf-8")
    assert grade([submission], options)[0].tests[0].ending == Ending.FAILED  # read, not run
    file.write_text("cut sho", "utf-8")
    assert grade([submission], options)[0].passed  # made again
    assert grade([Submission(program=RIGHT + " ", tests=ADD)], options)[0].passed == first.passed
    grade([submission], GradingOptions(kept=tmp_path, limits=Limits(cpu_seconds=2)))
    sleeper = Submission(program="import time; time.sleep(9)", tests=ADD)
    grade([sleeper], GradingOptions(kept=tmp_path, limits=Limits(wall_seconds=0.5)))
    assert len(list(tmp_path.rglob("*.json"))) == 3


@pytest.mark.usefixtures("bubblewrap")
def test_the_mask(tmp_path: Path):
    """References run until one passes; the mask is made once, and says why a problem is out."""
    wrong = "print(4)"
    problems = [
        ReferenceProblem(problem="a", tests=ADD, solutions=(wrong, RIGHT, RIGHT)),
        ReferenceProblem(problem="b", tests=ADD, solutions=(wrong, wrong, wrong, RIGHT)),
        ReferenceProblem(problem="c", tests=ADD, solutions=()),
        ReferenceProblem(problem="d", tests=read_tests(""), solutions=(RIGHT,)),
    ]
    options = GradingOptions(kept=tmp_path)
    found = gradable_mask(problems, options)
    assert [each.state for each in found.problems] == [
        ReferenceState.PASSES,
        ReferenceState.FAILS,
        ReferenceState.NO_REFERENCE,
        ReferenceState.NO_TESTS,
    ]
    assert [each.tried for each in found.problems] == [2, 3, 0, 0]
    assert found.gradable == {"a"}
    assert found.counts == dict.fromkeys(ReferenceState, 1)
    (file,) = tmp_path.glob("mask-*.json")
    file.write_text(file.read_text("utf-8").replace("no reference passes", "no tests"), "utf-8")
    assert gradable_mask(problems, options).problems[1].state == ReferenceState.NO_TESTS
    assert "b" in gradable_mask(problems, options, most=4).gradable


@pytest.mark.parametrize(("samples", "passed"), [(1, 0), (1, 1), (5, 0), (5, 2), (6, 5), (7, 7)])
def test_pass_at_k_counts_draws(samples: int, passed: int):
    """All ways to draw k of the samples, one by one."""
    for k in range(1, samples + 1):
        draws = list(itertools.combinations(range(samples), k))
        hits = sum(min(draw) < passed for draw in draws)
        assert pass_at_k(samples, passed, k) == pytest.approx(hits / len(draws))


def test_pass_at_k_of_many_samples():
    """Where binomial coefficients leave what a float can hold; from their logarithms."""
    n, c, k = 5000, 20, 1000

    def ln_choose(top: int, bottom: int) -> float:
        return math.lgamma(top + 1) - math.lgamma(bottom + 1) - math.lgamma(top - bottom + 1)

    wanted = 1 - math.exp(ln_choose(n - c, k) - ln_choose(n, k))
    assert pass_at_k(n, c, k) == pytest.approx(wanted, rel=1e-9)
    for wrong in ((5, 6, 1), (5, 0, 6), (5, 0, 0)):
        with pytest.raises(OptionError, match="impossible"):
            pass_at_k(*wrong)


def test_pass_rates():
    """Two problems with two samples each, one without tests; worked out by hand."""

    def graded(passed: str) -> ProgramGrade:
        return ProgramGrade(
            tests=tuple(
                CheckedTest(
                    passed=each == "1", officially=True, ending=Ending.FINISHED,
                    cpu_seconds=0.1, wall_seconds=0.1,
                )
                for each in passed
            )
        )  # fmt: skip

    grades = {
        "a": [graded("11"), graded("10")],  # half passes; 3/4 of tests
        "b": [graded("0"), graded("0")],
        "c": [graded(""), graded("")],
    }
    found = pass_rates(grades, ks=(1, 2))
    assert (found.problems, found.without_tests, found.with_one_test) == (2, 1, 1)
    assert (found.samples, found.gradable, found.gradable_accuracy) == (2, None, None)
    assert (found.accuracy, found.share_of_tests) == (0.25, 0.375)
    assert found.pass_at == {1: 0.25, 2: 0.5}
    assert found.official_accuracy == 1.0
    nothing = pass_rates({})
    assert (nothing.accuracy, nothing.pass_at, nothing.problems) == (None, {}, 0)


def _swap():
    """Right only where order and repetition do not count."""
    return read_tests('{"inputs": ["1 2\\n", "3 4\\n"], "outputs": ["1 2\\n", "3 4\\n"]}')
