"""Whether an answer is right."""

from __future__ import annotations

from itertools import zip_longest

from emergecast.lab.grading._numbers import NumberText, close, equal, has_fraction, read_json


def same_text(got: str, wanted: str) -> bool:
    """Whether a program printed what is expected, line by line, token by token, in order."""
    ours, theirs = _lines(got), _lines(wanted)
    return len(ours) == len(theirs) and all(
        one == two or _same_tokens(one.split(), two.split())
        for one, two in zip(ours, theirs, strict=True)
    )


def same_call(got: str, wanted: str) -> bool:
    """Whether a call returned what is expected; both are JSON.

    Where `wanted` is a list of one value, that value is right, too: APPS has both forms.
    """
    try:
        value, expected = read_json(got), read_json(wanted, strict=False)
        if _same_value(value, expected):
            return True
        wrapped = isinstance(expected, list) and len(expected) == 1
        return wrapped and _same_value(value, expected[0])
    except (ValueError, RecursionError):
        return False


def _lines(text: str) -> list[str]:
    """The lines without blanks at their ends, from the first to the last that holds anything."""
    lines = [line.rstrip() for line in text.split("\n")]
    filled = [number for number, line in enumerate(lines) if line]
    return lines[filled[0] : filled[-1] + 1] if filled else []


def _same_tokens(got: list[str], wanted: list[str]) -> bool:
    return all(
        one == two
        or (one is not None and two is not None and has_fraction(two) and close(one, two))
        for one, two in zip_longest(got, wanted)
    )


def _same_value(got: object, wanted: object) -> bool:
    if type(got) is not type(wanted):  # a boolean is no number, a number no text
        return False
    if isinstance(got, NumberText) and isinstance(wanted, NumberText):
        return close(got, wanted) if has_fraction(wanted) else equal(got, wanted)
    if isinstance(got, list) and isinstance(wanted, list):
        return len(got) == len(wanted) and all(map(_same_value, got, wanted))
    if isinstance(got, dict) and isinstance(wanted, dict):
        return got.keys() == wanted.keys() and all(
            _same_value(got[key], wanted[key]) for key in got
        )
    return got == wanted
