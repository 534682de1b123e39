"""Records as JSON and back, and the schema that their fields and docstrings make.

A record is a frozen dataclass. Its JSON has one key for each field. A number that JSON cannot hold
is an error here: what is missing is None, and says why in a field of its own.
"""

from __future__ import annotations

import ast
import inspect
import json
import math
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

from annotated_types import Ge, Gt, Interval, MinLen

from emergecast.errors import RecordError

T = TypeVar("T")

Count = Annotated[int, Ge(0)]
"""Of things that may be none."""
Some = Annotated[int, Ge(1)]
"""Of things of which there is at least one."""
Positive = Annotated[float, Gt(0)]
"""A number above 0."""
NotNegative = Annotated[float, Ge(0)]
"""A number of at least 0."""
Probability = Annotated[float, Interval(ge=0, le=1)]
"""A number from 0 to 1."""
Sentences = Annotated[tuple[str, ...], MinLen(1)]
"""At least one sentence."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def as_json(value: object) -> Any:  # noqa: ANN401  anything that JSON holds
    """A record, or a collection of them, as `json` writes it: a key for each field.

    Raises:
        ValueError: a number is not finite.
    """
    found: Any
    if is_dataclass(value) and not isinstance(value, type):
        found = {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
    elif isinstance(value, Mapping):
        found = {str(key): as_json(each) for key, each in value.items()}
    elif isinstance(value, tuple | list):
        found = [as_json(each) for each in value]
    elif isinstance(value, Enum):
        found = value.value
    elif isinstance(value, date):
        found = value.isoformat()
    elif isinstance(value, Path):
        found = str(value)
    elif value is None or isinstance(value, str | int):
        found = value
    elif isinstance(value, float):
        found = float(value)
        if not math.isfinite(found):
            message = f"JSON has no number {found}: a record holds None in its place."
            raise ValueError(message)
    else:
        message = f"a record holds {type(value).__name__}, which JSON cannot."
        raise TypeError(message)
    return found


def finite(value: float | None) -> float | None:
    """The value, or None where there is none that JSON can hold."""
    return None if value is None or not math.isfinite(value) else float(value)


def from_json(kind: type[T], value: object, *, what: str) -> T:
    """The record that `as_json` wrote; `what` names its file in errors.

    Keys that the record does not know are left out, so that a file of a later version can be read.

    Raises:
        RecordError: keys are missing, or hold something else than the record's fields; all of them
            are listed.
    """
    from pydantic import ValidationError

    try:
        # A class can be hashed, whatever the type checker makes of type[T].
        found: T = _adapter(kind).validate_python(value)  # type: ignore[arg-type]
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, each['loc'])) or 'the whole'}: {each['msg']}"
            for each in error.errors(include_url=False)
        ]
        shown = "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" * (len(problems) > 5))
        raise RecordError(
            f"{what} is not a record of this version ({shown}). Write it again, or read it with "
            "the version that wrote it."
        ) from None
    return found


def misfits(kind: type[Any], value: object, *, needed: Callable[[Place], bool]) -> list[str]:
    """What in a value of JSON is not what the fields of a record hold, a sentence each.

    Strict: a number as text is no number. Keys that the record does not know are let be, so that a
    file of a later version can be read; so are keys that are absent, unless `needed` says otherwise
    of their place, so that one of an earlier version can.
    """
    from pydantic import ValidationError

    if huge := list(_huge(value, "")):
        return [f"{place}: no such number is worked with" for place in huge]
    try:
        _adapter(cast("Any", kind)).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        return [
            f"{'.'.join(map(str, each['loc'])) or 'the whole'}: {each['msg']}"
            for each in error.errors(include_url=False, include_input=False)
            if each["type"] != "missing" or needed(each["loc"])
        ]
    return []


Place = tuple[int | str, ...]
"""Where in a value of JSON: keys and positions."""


def _huge(value: object, place: str) -> Iterator[str]:
    """Places of numbers that are not finite, or that no float holds."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _huge(each, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list):
        for position, each in enumerate(value):
            yield from _huge(each, f"{place}.{position}")
    elif isinstance(value, int | float) and not abs(value) <= sys.float_info.max:
        yield place


@cache
def _adapter(kind: type[Any]) -> Any:  # noqa: ANN401  pydantic's TypeAdapter, imported when needed
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def schema(kind: type[Any], *, title: str, description: str) -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a record, with the docstring of each field."""
    from pydantic import TypeAdapter
    from pydantic.json_schema import GenerateJsonSchema

    class WithDocstrings(GenerateJsonSchema):
        def dataclass_schema(self, schema: Any) -> Any:  # noqa: ANN401  pydantic's own types
            made = super().dataclass_schema(schema)
            texts = docs(schema["cls"])
            for name, entry in made["properties"].items():
                entry.pop("title", None)
                if name in texts:
                    entry["description"] = texts[name]
            made["required"] = list(made["properties"])  # `as_json` writes them all
            return made

    found = TypeAdapter(kind).json_schema(schema_generator=WithDocstrings, mode="serialization")
    return {"$schema": DIALECT, **found, "title": title, "description": description}


def docs(record: type[Any]) -> dict[str, str]:
    """The docstring of every field of a dataclass, those it inherits among them; one line each."""
    found: dict[str, str] = {}
    for base in reversed(record.__mro__[:-1]):
        body = cast("ast.ClassDef", ast.parse(textwrap.dedent(inspect.getsource(base))).body[0])
        for field, after in pairwise(body.body):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            ):
                found[field.target.id] = " ".join(after.value.value.split())
    return found
