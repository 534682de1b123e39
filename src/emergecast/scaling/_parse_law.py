"""A law out of what a user wrote: constants in a line, or a name."""

from __future__ import annotations

import math
from typing import Final

from emergecast.errors import ScalingError, meant
from emergecast.scaling._laws import Form, ScalingLaw
from emergecast.scaling._named import named_law
from emergecast.scaling.counting import Resource

_POWER: Final = (*Form.PARAMS.constants, "of")
_CHINCHILLA: Final = Form.CHINCHILLA.constants
_EXAMPLES: Final = "E=1.69,A=406.4,B=410.7,alpha=0.34,beta=0.28 or A=8.04,alpha=0.067,of=params"


def parse_law(text: str) -> ScalingLaw:
    """The law of a name, or of constants written out as `A=8.04,alpha=0.067,of=params`.

    A law with B and beta is of parameters and tokens; one without says what it is `of`. E is 0
    where it is left out of the latter.

    Raises:
        ScalingError: there is no such law; a constant is missing, unknown, given twice, not a
            number, or impossible.
    """
    if "=" not in text:
        return named_law(text.strip())
    given = _pairs(text)
    names = _CHINCHILLA if {"B", "beta"} & set(given) else _POWER
    for name in given:
        if name not in names:
            raise ScalingError(
                f'"{text}": there is no constant {name!r} in a law of {", ".join(names)}.'
                f" {meant(name, names, least=0.5)}".rstrip()
            )
    missing = [name for name in names if name not in given and name != "E"]
    if names is _CHINCHILLA and "E" not in given:
        missing = ["E", *missing]
    if missing:
        raise ScalingError(f'"{text}" lacks {", ".join(missing)}. Write the law like {_EXAMPLES}.')
    of = given.pop("of", Form.CHINCHILLA.value)
    numbers = {"E": 0.0} | {name: _number(text, name, value) for name, value in given.items()}
    if names is _POWER and of not in set(Resource):
        raise ScalingError(f'"{text}": of={of} is unknown. Use {", ".join(Resource)}.')
    form = Form(of)
    return form.law([numbers[each] for each in form.constants], name=text, source="given constants")


def _pairs(text: str) -> dict[str, str]:
    """The constants as written, by name."""
    given: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = (each.strip() for each in part.partition("="))
        if not (name and equals and value):
            raise ScalingError(f'"{text}": {part!r} is not NAME=VALUE. Write like {_EXAMPLES}.')
        if name in given:
            raise ScalingError(f'"{text}": {name} is given twice. Give it once.')
        given[name] = value
    return given


def _number(text: str, name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ScalingError(f'"{text}": {name}={value} is not a finite number. Give one.')
    return number
