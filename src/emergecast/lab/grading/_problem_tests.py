"""The tests of a problem, as APPS publishes them."""

from __future__ import annotations

from dataclasses import dataclass

from emergecast.errors import LabError
from emergecast.lab.grading._numbers import NumberText, read_json, write_json


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramTest:
    """One test of a program."""

    given: str
    """Its standard input, or the JSON of the list of arguments."""
    expected: str
    """What it must print, or the JSON of what the call must return."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemTests:
    """All tests of a problem."""

    function: str | None
    """Name of the function, or of the method of a class `Solution`, that is called; None where the
    program reads standard input."""
    tests: tuple[ProgramTest, ...]
    """In the order of the data; a problem may have none."""


def read_tests(text: str) -> ProblemTests:
    """The tests in APPS's column `input_output`: JSON in a text that may be empty.

    Lists of lines are joined, and a missing last newline of an input is added. Integers may have
    any number of digits.

    Raises:
        LabError: it is something else; the message says what.
    """
    if not text.strip():
        return ProblemTests(function=None, tests=())
    try:
        content = read_json(text, strict=False)
    except (ValueError, RecursionError) as error:
        raise LabError(f"the tests of a problem are no JSON: {error}") from None
    if not isinstance(content, dict):
        raise LabError(f"the tests of a problem are no object of JSON: {text[:60]}")
    inputs, outputs = content.get("inputs", []), content.get("outputs", [])
    if not isinstance(inputs, list) or not isinstance(outputs, list) or len(inputs) != len(outputs):
        raise LabError("the tests of a problem have no list of outputs for their list of inputs.")
    function = content.get("fn_name")
    if function is not None and not (isinstance(function, str) and function.isidentifier()):
        raise LabError(f"the tests of a problem call {function!r}, which is no name of a function.")
    pairs = zip(inputs, outputs, strict=True)
    if function is not None:
        tests = [_call(given, wanted) for given, wanted in pairs]
    else:
        tests = [
            ProgramTest(given=_ended(_joined(given)), expected=_joined(wanted))
            for given, wanted in pairs
        ]
    return ProblemTests(function=function, tests=tuple(tests))


def _call(given: object, wanted: object) -> ProgramTest:
    if not isinstance(given, list):
        raise LabError(
            f"a test calls its function with {write_json(given)[:60]}, which is no list."
        )
    return ProgramTest(given=write_json(given), expected=write_json(wanted))


def _joined(value: object) -> str:
    """A text, or a list of lines as one."""
    lines = value if isinstance(value, list) else [value]
    texts = [line for line in lines if isinstance(line, str) and type(line) is not NumberText]
    if len(texts) < len(lines):
        raise LabError(f"a test has {write_json(value)[:60]} in place of a text.")
    return "\n".join(texts)


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"
