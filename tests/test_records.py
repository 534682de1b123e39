"""Records as JSON and back, and the schema that they make."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

import emergecast
from emergecast import FitOptions, ForecastOptions
from emergecast.errors import RecordError
from emergecast.forecasts import Forecast, json_schema, read_forecast
from emergecast.records import as_json, docs, finite, from_json, schema
from tests import designs

OLD = Path(__file__).parent / "released" / "v0.1.0" / "forecast.schema.json"


class Colour(StrEnum):
    """A closed set."""

    RED = "red"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Part of a record."""

    size: float | None
    """How large it is,
    in metres."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A record of each kind of field."""

    name: str
    """What it is called."""
    parts: tuple[Part, ...]
    """What it is made of."""
    colour: Colour
    """Its colour."""
    counts: dict[str, int] = field(default_factory=dict)
    """How many of each."""
    day: date | None = None
    """When."""


def wholes() -> st.SearchStrategy[Whole]:
    """Any such record."""
    numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
    return st.builds(
        Whole,
        name=st.text(),
        parts=st.lists(st.builds(Part, size=numbers)).map(tuple),
        colour=st.sampled_from(Colour),
        counts=st.dictionaries(st.text(), st.integers(-(2**53), 2**53)),
        day=st.none() | st.dates(),
    )


@given(wholes())
def test_a_record_comes_back_as_it_was_written(whole: Whole):
    """Through the text of a file, to the last digit."""
    text = json.dumps(as_json(whole), allow_nan=False)
    assert from_json(Whole, json.loads(text), what="it") == whole


@given(wholes())
def test_what_is_written_fits_the_schema(whole: Whole):
    """As another library reads the schema; with a key missing it does not fit."""
    made = schema(Whole, title="t", description="d")
    check = jsonschema.Draft202012Validator(made)
    check.validate(as_json(whole))
    for name in as_json(whole):
        assert not check.is_valid({k: v for k, v in as_json(whole).items() if k != name})


def test_the_schema_says_what_the_fields_say():
    """Docstrings over several lines in one."""
    made = schema(Whole, title="t", description="d")
    assert (made["title"], made["description"]) == ("t", "d")
    assert made["properties"]["name"]["description"] == "What it is called."
    assert made["$defs"]["Part"]["properties"]["size"]["description"] == (
        "How large it is, in metres."
    )
    assert docs(Part) == {"size": "How large it is, in metres."}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_cannot_hold_is_an_error(value: float):
    """`finite` makes it None, where a record may hold None."""
    with pytest.raises(ValueError, match="holds None in its place"):
        as_json(Part(size=value))
    assert finite(value) is None
    assert finite(1.5) == 1.5


def test_what_is_no_record_is_an_error_that_says_where():
    """Every wrong key by its path; more than five are counted."""
    with pytest.raises(RecordError, match=r"x.json is not a record of this version \(parts.0.size"):
        from_json(Whole, {"name": "a", "parts": [{"size": "long"}], "colour": "red"}, what="x.json")
    many = {"name": 3, "parts": [{}] * 6, "colour": "blue"}
    with pytest.raises(RecordError, match="and 3 more"):
        from_json(Whole, many, what="x.json")
    with pytest.raises(RecordError, match="the whole: "):
        from_json(Whole, [1], what="x.json")


def test_keys_of_a_later_version_are_left_out():
    """So that its files can be read."""
    value = {"name": "a", "parts": [], "colour": "red", "weight": 3}
    assert from_json(Whole, value, what="it") == Whole(name="a", parts=(), colour=Colour.RED)


# ----------------------------------------------------------------------------- the forecast's own


@pytest.fixture(scope="module")
def forecast() -> Forecast:
    """A small real one, in compute too."""
    rows = designs.rows(losses=designs.DENSE[::4], amounts=(64, 512, 4096))
    return emergecast.forecast(
        [{**row, "flops": (row["loss"] / 20) ** -10} for row in rows],
        fitting=FitOptions(law="log-power"),
        options=ForecastOptions(bootstraps=5),
    )


def test_a_forecast_comes_back_from_its_file(forecast: Forecast, tmp_path: Path):
    """Given and refused; rows, distribution and lines among it."""
    refused = emergecast.forecast(designs.rows(amounts=(64, 512)))
    assert refused.elbow is None
    for each in (forecast, refused):
        record = each.record(command="emergecast fit t.csv")
        path = tmp_path / "forecast.json"
        path.write_text(json.dumps(as_json(record), allow_nan=False), "utf-8")
        assert read_forecast(path) == record
        jsonschema.Draft202012Validator(json_schema()).validate(as_json(record))


def test_a_record_carries_what_a_report_needs(forecast: Forecast):
    """Every score of the fit, and a distribution that integrates to what it states."""
    record = forecast.record()
    assert record.distribution is not None
    assert record.lines is not None
    assert len(record.rows.score) == record.n_rows
    assert min(record.rows.loss) == record.strongest_loss
    loss, density, emerged = (
        record.distribution.loss,
        record.distribution.density,
        record.distribution.emerged,
    )
    widths = [b - a for a, b in pairwise(loss)]
    heights = [(a + b) / 2 for a, b in pairwise(density)]
    mass = sum(w * h for w, h in zip(widths, heights, strict=True))
    assert mass == pytest.approx(0.999, abs=2e-3)
    half = next(x for x, p in zip(loss, emerged, strict=True) if p <= 0.5)
    assert half == pytest.approx(forecast.elbow.p50, abs=2 * widths[0])  # type: ignore[union-attr]
    assert set(record.lines.examples) == {None, 64, 512, 4096}


def test_no_key_of_an_earlier_version_is_lost():
    """Version 0.1.0 had its schema written by hand."""
    old = json.loads(OLD.read_text("utf-8"))
    assert keys(old, old) - keys(json_schema(), json_schema()) == set()


def test_the_schema_is_as_strict_as_that_of_an_earlier_version(forecast: Forecast):
    """Each value that 0.1.0 forbade, put into a forecast that both allow, is forbidden still."""
    old = json.loads(OLD.read_text("utf-8"))
    record = as_json(forecast.record())
    check = jsonschema.Draft202012Validator(json_schema())
    check.validate(record)
    tried = 0
    for path, wrong in forbidden(old, record):
        broken: Any = json.loads(json.dumps(record))
        place = broken
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = wrong
        assert not jsonschema.Draft202012Validator(old).is_valid(broken), path
        assert not check.is_valid(broken), (path, wrong)
        tried += 1
    assert tried > 100


def forbidden(
    part: dict[str, Any], value: Any, path: tuple[Any, ...] = ()
) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Of a value that a schema allows: places in it, and what the schema forbids there."""
    if "oneOf" in part:
        for other in part["oneOf"]:
            if jsonschema.Draft202012Validator(other).is_valid(value) and value is not None:
                yield from forbidden(other, value, path)
        return
    if path and value is not None:
        yield path, [[]] if isinstance(value, dict) else {}
        for rule, wrong in (
            ("exclusiveMinimum", lambda limit: limit),
            ("minimum", lambda limit: limit - 1),
            ("maximum", lambda limit: limit + 1),
            ("enum", lambda _: "none of them"),
            ("minItems", lambda _: []),
        ):
            if rule in part:
                yield path, wrong(part[rule])
    if isinstance(value, dict):
        for name, each in part.get("properties", {}).items():
            yield from forbidden(each, value[name], (*path, name))
    if isinstance(value, list) and value and isinstance(part.get("items"), dict):
        yield from forbidden(part["items"], value[0], (*path, 0))


def test_every_key_of_a_forecast_is_described():
    """By the docstring of its field."""
    made = json_schema()
    parts = {"ForecastRecord": made, **made["$defs"]}
    bare = [
        f"{part}.{name}"
        for part, each in parts.items()
        for name, entry in each.get("properties", {}).items()
        if not entry.get("description")
    ]
    assert bare == []


def keys(part: dict[str, Any], whole: dict[str, Any], path: str = "") -> set[str]:
    """The path of every key that a schema describes."""
    if "$ref" in part:
        part = {**whole["$defs"][part["$ref"].rpartition("/")[2]], **part}
    found: set[str] = set()
    for other in (*part.get("oneOf", ()), *part.get("anyOf", ())):
        found |= keys(other, whole, path)
    for name, each in part.get("properties", {}).items():
        found |= {f"{path}.{name}"} | keys(each, whole, f"{path}.{name}")
    for name, mark in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(part.get(name), dict):
            found |= keys(part[name], whole, f"{path}{mark}")
    return found


def test_a_file_that_is_no_forecast_is_a_named_error(forecast: Forecast, tmp_path: Path):
    """Not there, not JSON, not a forecast, a forecast with a broken key."""
    path = tmp_path / "forecast.json"
    with pytest.raises(RecordError, match="cannot be read as JSON"):
        read_forecast(path)
    path.write_text("{", "utf-8")
    with pytest.raises(RecordError, match="cannot be read as JSON"):
        read_forecast(path)
    broken = {**as_json(forecast.record()), "verdict": "sure"}
    path.write_text(json.dumps(broken), "utf-8")
    with pytest.raises(RecordError, match=r"verdict: .*'observed'"):
        read_forecast(path)
