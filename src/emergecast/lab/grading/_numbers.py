"""JSON whose numbers are kept as they are written, so that no huge one is ever computed with."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from typing import Any, Final

_TOLERANCE: Final = Decimal("1e-6")
_DIGITS: Final = 40
_ARITHMETIC: Final = Context(prec=_DIGITS, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])
"""Rounds to so many digits: a token of a million takes no longer, and no exponent is too large."""
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


class NumberText(str):
    """A number of a JSON text, as it stands there."""

    __slots__ = ()


def read_json(text: str, *, strict: bool = True) -> Any:  # noqa: ANN401  any value of JSON
    """The value of a JSON text; its numbers are `NumberText`.

    Args:
        text: the JSON.
        strict: whether NaN and infinities, and objects with a key twice, are errors.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deeply.
    """
    return json.loads(
        text,
        parse_int=NumberText,
        parse_float=NumberText,
        parse_constant=_refuse if strict else NumberText,
        object_pairs_hook=_once if strict else dict,
    )


def write_json(value: object) -> str:
    """The JSON text of a value that `read_json` made."""
    if isinstance(value, NumberText):
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(k)}: {write_json(v)}" for k, v in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(write_json, value)) + "]"
    return json.dumps(value)


def has_fraction(text: str) -> bool:
    """Whether a number is written with a point or an exponent."""
    return _NUMBER.fullmatch(text) is not None and not text.lstrip("+-").isdigit()


def close(got: str, wanted: str) -> bool:
    """Whether two texts are finite numbers within 1e-6 of each other, absolute or relative."""
    if not (_NUMBER.fullmatch(got) and _NUMBER.fullmatch(wanted)):
        return False
    one, two = _ARITHMETIC.create_decimal(got), _ARITHMETIC.create_decimal(wanted)
    if not (one.is_finite() and two.is_finite()):
        return False
    apart = _ARITHMETIC.abs(_ARITHMETIC.subtract(one, two))
    most = _ARITHMETIC.multiply(_TOLERANCE, max(Decimal(1), _ARITHMETIC.abs(two)))
    return apart <= most


def equal(got: str, wanted: str) -> bool:
    """Whether two numbers are the same one: 3.0 is 3."""
    if got == wanted:
        return True
    if len(got) > _DIGITS or len(wanted) > _DIGITS:
        return False
    one, two = _ARITHMETIC.create_decimal(got), _ARITHMETIC.create_decimal(wanted)
    return one.is_finite() and one == two


def _refuse(text: str) -> None:
    message = f"{text} is no JSON"
    raise ValueError(message)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        message = "an object has a key twice"
        raise ValueError(message)
    return found
