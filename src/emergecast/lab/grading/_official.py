"""How APPS's own grader compares: kept to be reported beside ours, never instead of it."""

from __future__ import annotations

import math
from typing import Any, Final

from emergecast.lab.grading._numbers import NumberText, read_json

TEST_SECONDS: Final = 4.0
"""For one test, of its `timeout`."""
PROGRAM_SECONDS: Final = 11.0
"""For all tests of a program together; after that, all of them count as failed."""
_DIGITS: Final = 4300
"""Of an integer that Python reads."""


def officially_same_text(got: str, wanted: str) -> bool:
    """Its rule for standard input, step by step from strict to loose.

    The texts; the stripped lines; lines as numbers, as `numpy.allclose`; at last the set of the
    lines' sets of words, also as numbers rounded to 3 digits: order and repetition do not count.
    """
    lines = got.splitlines()
    texts = {"\n".join(lines).strip(), "\n".join(line.strip() for line in lines).strip()}
    if wanted.strip() in texts:
        return True
    expected = [line.strip() for line in wanted.split("\n") if line]
    if expected == lines:
        return True
    lines = [line for line in lines if line]
    if expected == lines or _all_close(lines, expected):
        return True
    ours = [line.split() for line in lines]
    theirs = [line.split() for line in expected]
    if _sets(ours) == _sets(theirs):
        return True
    try:
        return _rounded(ours) == _rounded(theirs)
    except (ValueError, OverflowError):
        return False


def officially_same_call(got: str, wanted: str) -> bool:
    """Its rule for calls: `==`, with the expected value or with the first of an expected list."""
    try:
        value, expected = _plain(read_json(got)), _plain(read_json(wanted, strict=False))
    except (ValueError, RecursionError):
        return False
    first = isinstance(expected, list) and bool(expected) and value == expected[0]
    return bool(value == expected or first)


def _all_close(got: list[str], wanted: list[str]) -> bool:
    try:
        ours, theirs = [float(each) for each in got], [float(each) for each in wanted]
    except ValueError:
        return False
    return len(ours) == len(theirs) and all(
        one == two or abs(one - two) <= 1e-8 + 1e-5 * abs(two)
        for one, two in zip(ours, theirs, strict=True)
        if not (math.isinf(two) and one != two)
    )


def _sets(lines: list[list[str]]) -> set[frozenset[str]]:
    return {frozenset(line) for line in lines if line}


def _rounded(lines: list[list[str]]) -> set[frozenset[float]]:
    return {frozenset(round(float(word), 3) for word in line) for line in lines if line}


def _plain(value: Any) -> Any:  # noqa: ANN401  any value of JSON
    """A value with Python's numbers; integers that Python would not read stay texts."""
    if isinstance(value, NumberText):
        whole = value.lstrip("-").isdigit()
        return (int(value) if len(value) <= _DIGITS else value) if whole else float(value)
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return value
