"""What a frozen file must hold so that it can be scored: types, ranges, parts that agree.

A hash that is right says only that whoever wrote the file wrote a hash. So every field is checked,
and numbers that follow from others are computed again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emergecast.errors import OptionError
from emergecast.forecasts import ForecastRecord, Thresholds, Verdict
from emergecast.inference import QUANTILES
from emergecast.measurements import Axis, SelectOptions, Shift
from emergecast.records import NotNegative, Place, Some, misfits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

INTERPOLATION: Final = (
    "The cumulative probability is linear between the quantiles, and so is the density between its "
    "values there. Beyond the outermost quantiles both fall off exponentially, at the rate of the "
    "two outermost quantiles."
)
"""The rule by which a table of quantiles is a distribution; part of what is frozen."""
EARLIEST: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""Before this there was no emergecast."""
CLOCKS: Final = timedelta(days=1)
"""How far clocks may be apart: no date lies further in the future."""
CLOSE: Final = 1e-6
"""Relative error at which two statements of one number agree; files keep nine digits or more."""
MASS: Final = 0.1
"""How far the integral of the density may lie from the levels; drawn posteriors have 0.03."""
JUMP: Final = 50.0
"""How many times the density at one level may be that at both levels beside it; 2.7 was seen."""
LONE: Final = 10.0
"""How many times the gap beside it the gap to an outermost quantile may be, where that is also more
than half of what all the others span; 0.8 was seen."""
_SCORED_BY: Final = (
    *("task", "metric", "negated", "series", "method", "loss_corpus", "axis", "elbow", "verdict"),
    *("reasons", "n_rows", "n_checkpoints", "weakest_loss", "strongest_loss", "loss_spread"),
    *("table_hash", "hidden"),
)
"""Keys of the forecast that scoring takes; others may be absent, as in another version's file."""
HASH: Final = re.compile(r"[0-9a-f]{64}")
VERSION: Final = re.compile(r"\d+(\.\d+)*[\w.+-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenQuantiles:
    """The distribution as a file holds it, column by column."""

    interpolation: str
    """What is between the quantiles, and beyond them."""
    level: tuple[float, ...]
    """Rising, above 0 and below 1."""
    loss: tuple[float, ...]
    """Quantile at each level, nats or the unit of the axis."""
    density: tuple[NotNegative, ...]
    """Density there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenRow:
    """One score that the forecast rests on."""

    series: str
    """Its series."""
    checkpoint: str
    """Its checkpoint."""
    few_shot: bool
    """Whether nothing moves the elbow in this row."""
    examples: float | None
    """How much does, in the unit of the shift; null where few-shot."""
    subset: str | None
    """Subset of the finetuning data; null where not stated."""
    seed: str | None
    """Repeat; null where not stated."""
    snapshot: bool | None
    """Whether it is a snapshot of a longer run; null where not stated."""
    loss: float
    """Nats, or the unit of the axis."""
    score: float
    """Oriented so that higher is better."""
    stderr: NotNegative | None
    """Standard error of the score; null where not known."""
    runs: Some
    """Runs that the score is a mean of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenContent:
    """What a frozen file holds beside its format and its hash."""

    frozen_at: str
    """Date and time, UTC."""
    version: str
    """Version of emergecast."""
    note: str | None
    """Anything to remember."""
    target: str
    """What was forecast, in words."""
    forecast: ForecastRecord
    """The forecast, without rows, distribution and lines."""
    thresholds: Thresholds
    """Rules of the verdict."""
    selection: SelectOptions
    """Which rows it was made from."""
    distribution: FrozenQuantiles | None
    """Null where the forecast was refused."""
    rows: tuple[FrozenRow, ...]
    """The scores that it rests on."""


def problems_of(content: Mapping[str, Any]) -> list[str]:
    """What is wrong with the content of a frozen file, a sentence each; the types first."""
    found = [f"{text}." for text in misfits(FrozenContent, _typed(content), needed=_needed)]
    found += _selection_problems(content)
    if found:
        return found
    said = content["forecast"]
    return [
        *_date_problems(content["frozen_at"]),
        *_order_problems(content, ""),
        *_answer_problems(content),
        *_question_problems(content),
        *_row_problems(said, content["rows"]),
    ]


def date_problem(text: str) -> str | None:
    """What is wrong with the date of a frozen forecast; None where nothing is."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return f'its date is "{text[:40]}", which is no date and time.'
    if when.tzinfo is None:
        return f'its date is "{text}", without a time zone.'
    if when > datetime.now(UTC) + CLOCKS:
        return f"its date, {when:%Y-%m-%d}, lies in the future; if not, mend this machine's clock."
    if when < EARLIEST:
        return f"its date, {when:%Y-%m-%d}, lies before there was an emergecast."
    return None


# ------------------------------------------------------------------------------------------- types


def _typed(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content without what `_selection_problems` looks at, or what may be null for infinity."""
    found = dict(content)
    for name in ("thresholds", "selection"):
        part = found.get(name)
        if isinstance(part, Mapping):
            kept = {k: v for k, v in part.items() if k != "where"}
            found[name] = {k: v for k, v in kept.items() if v is not None or name != "thresholds"}
    return found


def _needed(place: Place) -> bool:
    """Whether the key at this place may not be absent."""
    if place[0] == "forecast" and len(place) > 1:
        return place[1] in _SCORED_BY and (len(place) == 2 or place[1] in {"axis", "elbow"})
    return True


def _selection_problems(content: Mapping[str, Any]) -> list[str]:
    """Of the pairs in `where`, whose values may be of any plain type."""
    selection = content.get("selection")
    pairs = selection.get("where", []) if isinstance(selection, Mapping) else []
    good = isinstance(pairs, list) and all(
        isinstance(pair, list)
        and len(pair) == 2
        and isinstance(pair[0], str)
        and not isinstance(pair[1], list | dict)
        for pair in pairs
    )
    return [] if good else ["selection.where: it takes pairs of column and value."]


# ------------------------------------------------------------------------------------- consistency


def _date_problems(text: str) -> list[str]:
    found = date_problem(text)
    return [] if found is None else [f"{found[0].upper()}{found[1:]}"]


def _order_problems(value: object, place: str) -> Iterator[str]:
    """Quantiles that are not in order, wherever they stand."""
    if isinstance(value, Mapping):
        there = [(name, value[name]) for name in QUANTILES if name in value]
        for (low, a), (high, b) in pairwise(there):
            if isinstance(a, int | float) and isinstance(b, int | float) and a > b:
                yield f"{place or 'it'}: {low} is {a:g} and {high} is {b:g}, which is out of order."
        for key, each in value.items():
            yield from _order_problems(each, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list):
        for position, each in enumerate(value):
            yield from _order_problems(each, f"{place}.{position}")


def _answer_problems(content: Mapping[str, Any]) -> Iterator[str]:
    """The verdict, the interval and the distribution against one another."""
    said, table = content["forecast"], content["distribution"]
    refused = said["verdict"] == Verdict.REFUSED
    if refused != (said["elbow"] is None) or refused != (table is None):
        yield (
            f"The verdict is {said['verdict']}, but the forecast has "
            f"{'no' if said['elbow'] is None else 'an'} elbow and "
            f"{'no' if table is None else 'a'} distribution."
        )
        return
    if table is None:
        return
    problem = _table_problem(table)
    if problem is not None:
        yield f"distribution: {problem}"
        return
    width = table["loss"][-1] - table["loss"][0]
    for name, level in QUANTILES.items():
        quantile = float(np.interp(level, table["level"], table["loss"]))
        if abs(said["elbow"][name] - quantile) > CLOSE * max(width, abs(quantile)):
            yield (
                f"forecast.elbow.{name} is {said['elbow'][name]:g}, and the distribution has its "
                f"{level:.0%} quantile at {quantile:g}."
            )
    weights = [each["weight"] for each in said.get("laws", ()) if "weight" in each]
    if weights and not math.isclose(sum(weights), 1, abs_tol=CLOSE):
        yield f"forecast.laws: the weights add up to {sum(weights):g}, not 1."


def _table_problem(table: Mapping[str, Any]) -> str | None:
    """What is wrong with a table of quantiles by itself; None where nothing is."""
    level, loss, density = (
        np.asarray(table[name], dtype=np.float64) for name in ("level", "loss", "density")
    )
    least, most = min(QUANTILES.values()), max(QUANTILES.values())
    found: str | None = None
    if table["interpolation"] != INTERPOLATION:
        found = "its rule of interpolation is not the one that this version knows."
    elif not level.size == loss.size == density.size or level.size < 3:
        found = f"it has {level.size} levels, {loss.size} losses and {density.size} densities."
    elif not (0 < level[0] <= least and most <= level[-1] < 1 and (np.diff(level) > 0).all()):
        found = "its levels do not rise from above 0, past the 90% interval, to below 1."
    elif (np.diff(loss) < 0).any() or not loss[-1] > loss[0]:
        at = int(np.argmin(np.diff(loss)))
        found = f"its quantiles are out of order: {loss[at]:g} and then {loss[at + 1]:g}."
    return found or _density_problem(level, loss, density)


def _density_problem(level: Floats, loss: Floats, density: Floats) -> str | None:
    """Where densities are not those of the quantiles; None where they are. Arrays (levels,)."""
    steps = 0.5 * (density[1:] + density[:-1]) * np.diff(loss)
    apart = float(np.abs(level[0] + np.cumsum(steps) - level[1:]).max())
    if apart > MASS:
        return f"its density and its quantiles disagree by {apart:.2g} in probability."
    padded = np.concatenate([density[1:2], density, density[-2:-1]])
    before, after = padded[:-2], padded[2:]
    if (high := density > JUMP * np.maximum(before, after)).any():
        at = int(np.argmax(high))
        return f"its density at {loss[at]:g} is {density[at]:g}, far above that beside it."
    gaps = np.diff(loss)
    for end, beside, at in ((gaps[0], gaps[1], 0), (gaps[-1], gaps[-2], -1)):
        if end > LONE * beside and end > 0.5 * (loss[-2] - loss[1]):
            return f"its outermost quantile {loss[at]:g} is far from all the others."
    return None


def _question_problems(content: Mapping[str, Any]) -> Iterator[str]:
    """What was asked, in the options, in the forecast and in words."""
    said, options = content["forecast"], content["selection"]
    series = said["series"]
    alike = {
        "task": said["task"],
        "metric": said["metric"],
        "method": said["method"],
        "loss_corpus": said["loss_corpus"],
        "series": [series] if isinstance(series, str) else series,
        "lower_is_better": said["negated"],
    }
    for name, value in alike.items():
        if options.get(name) != value:
            yield f"selection.{name} is {options.get(name)!r}, and the forecast says {value!r}."
    for name in ("task", "metric"):
        if said[name] not in content["target"]:
            yield f'The target does not name the {name}, "{said[name]}".'
    yield from _unlike("axis", options.get("axis", SelectOptions().axis), Axis.parse, said["axis"])
    yield from _unlike(
        "shift", options.get("shift", SelectOptions().shift), Shift.parse, said.get("shift", {})
    )
    if not VERSION.fullmatch(content["version"]):
        yield f'The version is "{content["version"][:20]}", which is none of emergecast.'
    if not HASH.fullmatch(said["table_hash"]):
        yield "forecast.table_hash is not a SHA-256 of 64 hexadecimal digits."


def _unlike(
    which: str, asked: str, parse: Callable[[str], Axis | Shift], stated: Mapping[str, Any]
) -> Iterator[str]:
    """How the axis or the shift of the forecast differs from the one that its options ask for."""
    try:
        found = parse(asked)
    except OptionError as error:
        yield f"selection.{which}: {error}"
        return
    for name in ("name", "unit", "higher_is_stronger", "transform"):
        if name in stated and stated[name] != getattr(found, name):
            yield (
                f"forecast.{which}.{name} is {stated[name]!r}, and the {which} that was asked for, "
                f"{asked}, has {getattr(found, name)!r}."
            )


def _row_problems(said: Mapping[str, Any], rows: list[dict[str, Any]]) -> Iterator[str]:
    """The rows, and what the forecast says of them."""
    for number, row in enumerate(rows, start=1):
        if row["few_shot"] != (row["examples"] is None):
            kind = "few-shot" if row["few_shot"] else "finetuned"
            yield f"Row {number} is {kind}, with examples {row['examples']}."
    places: dict[tuple[str, str], set[float]] = {}
    for row in rows:
        places.setdefault((row["series"], row["checkpoint"]), set()).add(row["loss"])
    higher = said["axis"]["higher_is_stronger"]
    losses = np.unique([loss for each in places.values() for loss in each])
    if not losses.size or (said["axis"]["unit"] == "nats" and losses[0] <= 0):
        yield "It has no rows, or rows without a loss above 0."
        return
    computed = {
        "n_rows": len(rows),
        "n_checkpoints": len(places),
        "strongest_loss": float(losses[-1 if higher else 0]),
        "weakest_loss": float(losses[0 if higher else -1]),
    }
    several = [name for (_, name), each in places.items() if len(each) > 1]
    if several and said["axis"]["unit"] == "nats":
        yield f"The checkpoint {several[0]} has rows of different losses."
    if not several:
        computed["loss_spread"] = float(np.mean(np.abs(losses - np.median(losses))))
    for name, value in computed.items():
        if not math.isclose(said[name], value, rel_tol=CLOSE, abs_tol=1e-12):
            yield f"forecast.{name} is {said[name]:g}, and the rows have {value:g}."
    known = {each["series"] for each in rows}
    stated = {said["series"]} if isinstance(said["series"], str) else set(said["series"])
    if not known <= stated:
        yield f"Rows are of series {', '.join(sorted(known - stated))}, and the forecast is not."
