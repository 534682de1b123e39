"""Comparing answers: worked by hand, and against Python's own numbers."""

from __future__ import annotations

import json
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emergecast.lab.grading import same_call, same_text
from emergecast.lab.grading._official import officially_same_call, officially_same_text


@pytest.mark.parametrize(
    ("got", "wanted", "ours", "theirs"),
    [
        ("1 2\n3\n", "1 2\n3", True, True),
        ("1  2 \r\n3", "1 2\n3", True, True),  # theirs by sets of words
        ("\n\n1\n\n", "1", True, True),
        ("1\n\n2", "1\n2", False, True),
        ("1\n2", "1\n\n2", False, True),
        ("2 1", "1 2", False, True),
        ("2\n1", "1\n2", False, True),
        ("1 1 2", "1 2", False, True),
        ("1\n1\n2", "1\n2", False, True),
        ("YES", "Yes", False, False),
        ("1 2", "1\n2", False, False),
        ("3.0", "3", False, True),
        ("3", "3.0", True, True),
        ("3.0000009", "3.0", True, True),
        ("3.000004", "3.0", False, True),
        ("0.1234", "0.1232", False, True),  # rounded to three digits
        ("1000001", "1000000.0", True, True),
        ("1000002", "1000000.0", False, True),
        (".5", "0.5", True, True),
        ("5e-1", "0.50", True, True),
        ("nan", "1.0", False, False),
        ("inf", "1e400", False, True),  # both are infinite floats
        ("1_0", "10.0", False, True),  # Python reads it as 10
        ("-0.0", "0.0", True, True),
        ("x 0.5", "x 0.50", True, False),
        ("x 0.5", "y 0.50", False, False),
        ("", "", True, True),
        (" \n \n", "", True, True),
        ("1", "", False, False),
        ("", "1", False, False),
        ("1\x0c2", "1 2", True, False),
    ],
)
def test_texts(got: str, wanted: str, ours: bool, theirs: bool):  # noqa: FBT001
    """Ours beside the official one, which passes where order or number differ."""
    assert same_text(got, wanted) == ours
    assert officially_same_text(got, wanted) == theirs


@pytest.mark.parametrize(
    ("got", "wanted", "ours", "theirs"),
    [
        ("3", "3", True, True),
        ("3", "[3]", True, True),
        ("[3]", "[3]", True, True),
        ("[3]", "3", False, False),
        ("3", "[3, 4]", False, True),  # the first of any list
        ("[[3]]", "[3]", False, False),
        ("[1, 2]", "[[1, 2]]", True, True),
        ("3.0", "3", True, True),
        ("3.5", "3", False, False),
        ("0.3333333", "0.33333333", True, False),
        ("true", "1", False, True),
        ("1", "true", False, True),
        ('"3"', "3", False, False),
        ("null", "null", True, True),
        ("null", "false", False, False),
        ("NaN", "NaN", False, False),
        ("1e400", "1e400", True, True),
        ('{"a": 1}', '{"a": 1.0}', True, True),
        ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}', True, True),
        ('{"a": 1}', '{"a": 1, "b": 2}', False, False),
        ('{"a": 1, "a": 2}', '{"a": 2}', False, False),
        ("[1, 2]", "[2, 1]", False, False),
        ("3 3", "3", False, False),
        ("", "3", False, False),
        ("9" * 10**5, "9" * 10**5, True, True),
        ("9" * 10**5 + "8", "9" * 10**5 + "9", False, False),
        ("[" * 10**5, "3", False, False),
    ],
)
def test_calls(got: str, wanted: str, ours: bool, theirs: bool):  # noqa: FBT001
    """JSON against JSON."""
    assert same_call(got, wanted) == ours
    assert officially_same_call(got, wanted) == theirs


@given(st.lists(st.lists(st.from_regex(r"[a-z0-9.]{1,5}", fullmatch=True), min_size=1), max_size=4))
def test_a_text_is_itself_whatever_its_blanks(lines: list[list[str]]):
    """Blanks between tokens and at the ends do not count."""
    wanted = "\n".join(" ".join(line) for line in lines)
    got = "\n \n" + "\r\n".join("  ".join(line) + " " for line in lines) + "\n\n"
    assert same_text(got, wanted)


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(-2, 2))
def test_the_tolerance_is_that_of_floats(wanted: float, step: float):
    """Python's own arithmetic agrees, away from the edge."""
    got = wanted + step * 1e-6 * max(1.0, abs(wanted))
    apart = abs(got - wanted) / max(1.0, abs(wanted))
    if math.isfinite(got) and abs(apart - 1e-6) > 1e-9:
        text = repr(wanted) if set(repr(wanted)) & set(".e") else f"{wanted}.0"
        assert same_text(repr(got), text) == (apart < 1e-6)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(-1e9, 1e9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(json_values, json_values)
def test_equal_calls_are_equal_values(one: object, two: object):
    """What `==` takes for different, apart from the tolerance, we do too."""
    assert same_call(json.dumps(one), json.dumps(one))
    if same_call(json.dumps(one), json.dumps(two)) and "." not in json.dumps(two):
        assert two in (one, [one])


def test_comparing_is_fast():
    """A program cannot keep the grader busy by what it prints."""
    began = time.process_time()
    same_text("1" * 2**23 + ".5", "1" * 2**23 + ".25")
    same_text("1.5 " * 2**20, "1.25 " * 2**20)
    same_call("[" * 2**20 + "]" * 2**20, "[[1]]")
    same_call("1" * 2**23, "1" * 2**23 + "0")
    officially_same_text("1 2 3\n" * 2**18, "3 2 1\n" * 2**18)
    assert time.process_time() - began < 10
