"""Grades for programs that a model wrote, by the tests of their problems.

A program runs in `emergecast.lab.sandbox`, in a process of its own for every test, which sees the
test's input and never what is expected; answers are compared here, outside. So all that a program
can do to pass is to answer right.

* Standard input: the program's lines against the expected ones: blanks at their ends and blank
  lines at both ends of the text do not count, the numbers of lines must be equal, and so must the
  tokens of each line, in order. Where the expected token has a point or an exponent, a decimal
  within 1e-6 of it, absolute or relative, is as good.
* Calls: arguments go in as JSON, the result comes back as JSON, and is compared as a value. The
  expected value may be wrapped in a list of one, as in APPS. Tuples are lists. Booleans are no
  numbers; 3.0 is 3; NaN, sets and what else is no JSON are wrong answers.
* Time: CPU seconds for each test, with no limit on their sum.

It refuses to compare lines or tokens as sets, as APPS's own grader does; its verdict stands beside
ours as `official` where it is asked for. Source of what is official: APPS (Hendrycks et al. 2021),
github.com/hendrycks/apps, `eval/testing_util.py`.
"""

from emergecast.lab.grading._answers import same_call, same_text
from emergecast.lab.grading._gradable import (
    GradableMask,
    ProblemState,
    ReferenceProblem,
    ReferenceState,
    gradable_mask,
    known_mask,
)
from emergecast.lab.grading._grade import CheckedTest, ProgramGrade
from emergecast.lab.grading._grader import GRADER, Grader, GradingOptions, Submission, grade
from emergecast.lab.grading._pass_rates import PassRates, pass_at_k, pass_rates
from emergecast.lab.grading._problem_tests import ProblemTests, ProgramTest, read_tests

__all__ = [
    "GRADER",
    "CheckedTest",
    "GradableMask",
    "Grader",
    "GradingOptions",
    "PassRates",
    "ProblemState",
    "ProblemTests",
    "ProgramGrade",
    "ProgramTest",
    "ReferenceProblem",
    "ReferenceState",
    "Submission",
    "gradable_mask",
    "grade",
    "known_mask",
    "pass_at_k",
    "pass_rates",
    "read_tests",
    "same_call",
    "same_text",
]
