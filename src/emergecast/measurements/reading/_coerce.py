"""From raw cells to typed ones: text that spells a number becomes one, or a problem."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from emergecast.measurements._schema import Column, Kind, Role, method_name
from emergecast.measurements.reading._problems import Findings

_LARGEST_INTEGER: Final = 2**63 - 1
_EXACT: Final = 2**53
"""Beyond this a float no longer holds every integer."""
_LONGEST: Final = 1000
"""Bits of the longest integer worth looking at; Python does not even print much longer ones."""
_ABSENT: Final = frozenset({"nan", "na", "n/a", "none", "null", "<na>", "#n/a"})
"""Ways to write that there is nothing, read so where nothing may be."""
_FLAGS: Final = {
    "true": True,
    "yes": True,
    "1": True,
    "false": False,
    "no": False,
    "0": False,
}


_SHORT: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kKmMbBgGtT])")
_POWERS: Final = {"k": 3, "m": 6, "b": 9, "g": 9, "t": 12}
"""Powers of ten that a letter after a count stands for."""


class NotThatKindError(Exception):
    """A cell is not what its column holds; carries what is wrong and the remedy."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy


def coerce_column(cells: Sequence[Any], column: Column, findings: Findings) -> list[Any]:
    """The typed cells of one known column; a bad cell is reported and becomes None."""
    result: list[Any] = []
    known: dict[tuple[type, object], Any] = {}  # most columns say the same many times
    for row, cell in enumerate(cells):
        plain = isinstance(cell, (str, float, int))
        if plain and (cell.__class__, cell) in known:
            result.append(known[cell.__class__, cell])
            continue
        try:
            value = coerce(cell, column)
        except NotThatKindError as error:
            findings.add(error.what, error.remedy, row=row, column=column.name, value=cell)
            value = None
        else:
            if plain:
                known[cell.__class__, cell] = value
        result.append(value)
    return result


def coerce(cell: object, column: Column) -> Any:  # noqa: ANN401
    """`cell` as the type of `column`, None where it is missing.

    Raises:
        NotThatKindError: the cell is there and is not of that type, or outside the column's range.
    """
    cell = _plain(cell)
    if cell is None or (not column.required and _says_nothing(cell)):
        return None
    match column.kind:
        case Kind.LABEL:
            return _label(cell)
        case Kind.WORD:
            return _word(cell, column)
        case Kind.FLAG:
            return _flag(cell)
        case Kind.DATE:
            return _date(cell)
        case Kind.INTEGER | Kind.NUMBER:
            number = _number(_spelt_out(cell) if column.role is Role.CHECKPOINT else cell)
            whole = column.kind is Kind.INTEGER  # + 0.0 makes a negative zero positive
            return _in_range(_integer(number) if whole else float(number) + 0.0, column)


def _plain(cell: object) -> object:
    """Missing marks as None, text stripped, numbers of numpy and decimals as Python's own."""
    if isinstance(cell, str):
        cell = cell.strip()
        return cell or None
    if isinstance(cell, int) and cell.bit_length() > _LONGEST:
        return math.inf
    if isinstance(cell, (bool, int, float)) or cell is None:
        return cell
    if isinstance(cell, Decimal):
        return float(cell) if cell.is_finite() else math.nan
    if getattr(cell, "shape", None) == () and hasattr(cell, "item"):
        item: object = cell.item()
        return item
    return cell


def _says_nothing(cell: object) -> bool:
    """Whether a cell is one of the marks of a missing value, or a NaN."""
    if isinstance(cell, str):
        return cell.lower() in _ABSENT
    return isinstance(cell, float) and math.isnan(cell)


def _label(cell: object) -> str:
    if isinstance(cell, bool) or not isinstance(cell, (str, int, float)):
        raise NotThatKindError("this is not a name.", "Write text or a number.")
    if isinstance(cell, float):
        if not math.isfinite(cell):
            raise NotThatKindError("this is not a name.", "Leave the cell empty if it is missing.")
        cell = int(cell) if cell.is_integer() and abs(cell) < _EXACT else repr(cell)
    text = str(cell)
    if not writable(text):
        raise NotThatKindError(
            "the name holds characters that no file can hold.", "Write it with plain characters."
        )
    return text


def writable(text: str) -> bool:
    """Whether every table format can hold `text`: no NUL and no half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def _word(cell: object, column: Column) -> str:
    text = _label(cell)
    is_one = text in column.words if column.name != "method" else method_name(text) is not None
    if is_one:
        return text
    words = ", ".join(column.words[:-1]) + f" or {column.words[-1]}"
    raise NotThatKindError(f"this is not a {column.name}.", f"Write {words}.")


def _flag(cell: object) -> bool:
    if isinstance(cell, bool):
        return cell
    text = f"{cell:g}" if isinstance(cell, (int, float)) else str(cell).lower()
    if text not in _FLAGS:
        raise NotThatKindError("this is neither true nor false.", "Write true or false.")
    return _FLAGS[text]


def _date(cell: object) -> str:
    if isinstance(cell, dt.datetime):
        cell = cell.date()
    try:
        return dt.date.fromisoformat(str(cell)).isoformat()
    except ValueError:
        raise NotThatKindError("this is not a date.", "Write 2027-01-31.") from None


def _spelt_out(cell: object) -> object:
    """7B, 1.4T, 405M and 50k as numbers; anything else as it is."""
    found = _SHORT.fullmatch(cell) if isinstance(cell, str) else None
    return cell if found is None else float(Decimal(found[1]).scaleb(_POWERS[found[2].lower()]))


def _number(cell: object) -> int | float:
    number: int | float
    if isinstance(cell, bool) or not isinstance(cell, (int, float, str)):
        raise NotThatKindError("this is not a number.", "Write a number.")
    if isinstance(cell, str):
        try:
            number = int(cell) if cell.lstrip("+-").isdigit() and len(cell) < 20 else float(cell)
        except ValueError:
            raise NotThatKindError(
                "this is not a number.",
                "Write a plain number with a point for decimals, or leave the cell empty.",
            ) from None
        if "_" in cell:
            raise NotThatKindError("this is not a number.", "Write it without underscores.")
    else:
        number = cell
    try:
        finite = math.isfinite(number)
    except OverflowError:
        finite = False
    if not finite:
        raise NotThatKindError(
            "this is not a finite number.", "Leave the cell empty where there is no measurement."
        )
    return number


def _integer(number: float) -> int:
    if not float(number).is_integer():
        raise NotThatKindError("this is not a whole number.", "Write a count.")
    if abs(number) > _EXACT:
        raise NotThatKindError("this count is too large.", "Check the number of digits.")
    return int(number)


def _in_range(number: float, column: Column) -> float:
    unit = f" {column.unit}" if column.unit else ""
    if column.above is not None and number <= column.above:
        raise NotThatKindError(
            f"the {column.name} is not above {column.above:g}.",
            f"Give the {column.name} as a number above {column.above:g}{unit}.",
        )
    if column.minimum is not None and number < column.minimum:
        raise NotThatKindError(
            f"the {column.name} is below {column.minimum:g}.",
            f"Give a value of at least {column.minimum:g}{unit}, or leave the cell empty.",
        )
    if column.maximum is not None and number > column.maximum:
        raise NotThatKindError(
            f"the {column.name} is above {column.maximum:g}.",
            f"Give a value of at most {column.maximum:g}{unit}, or leave the cell empty.",
        )
    return number


def settle(cells: Sequence[Any], name: str, findings: Findings, *, text_only: bool) -> list[Any]:
    """The cells of an unknown column as one type: flags, whole numbers, numbers, or else text.

    Missing is None: an empty text, and a NaN. What is not one of these (lists, mappings) becomes
    its JSON text. With `text_only` (CSV) the type is guessed, and only where writing it again would
    give the same text.
    """
    cells = [_plain_value(cell) for cell in cells]
    for row, cell in enumerate(cells):
        if isinstance(cell, str) and not writable(cell):
            findings.add(
                "the text holds characters that no file can hold.",
                "Write it with plain characters.",
                row=row,
                column=name,
                value=cell,
            )
            cells[row] = None
    present = [cell for cell in cells if cell is not None]
    if text_only and present and all(isinstance(cell, str) for cell in present):
        guesses = [number_in(cell) for cell in present]
        if all(cell in {"true", "false"} for cell in present):
            return [None if cell is None else cell == "true" for cell in cells]
        if all(guess is not None for guess in guesses):
            cells = [None if cell is None else number_in(cell) for cell in cells]
            present = [cell for cell in cells if cell is not None]
    kinds = {type(cell) for cell in present}
    if kinds == {int, float} and all(abs(cell) < _EXACT for cell in present if type(cell) is int):
        return [None if cell is None else float(cell) for cell in cells]
    if kinds == {float} and not all(math.isfinite(cell) for cell in present):
        return [None if cell is None else repr(cell) for cell in cells]
    if len(kinds) <= 1 and not any(type(c) is int and abs(c) > _LARGEST_INTEGER for c in present):
        return cells
    return [None if cell is None else as_text(cell) for cell in cells]


def _plain_value(cell: object) -> object:
    if isinstance(cell, str):
        return cell or None
    cell = _plain(cell)
    if isinstance(cell, float):
        return None if math.isnan(cell) else cell + 0.0
    if cell is None or isinstance(cell, (bool, int)):
        return cell
    if isinstance(cell, dt.datetime):
        return cell.isoformat()
    if isinstance(cell, dt.date):
        return cell.isoformat()
    return as_text(cell)


def number_in(text: str) -> int | float | None:
    """The number that `text` spells, if that number is printed as exactly this text."""
    try:
        whole = int(text)
        if str(whole) == text and abs(whole) <= _LARGEST_INTEGER:
            return whole
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return None
    return number if repr(number) == text and math.isfinite(number) else None


def as_text(cell: object) -> str:
    """One text per value, whatever file the value came from: what a hash is made of."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, str):
        number = number_in(cell)
        return cell if number is None else as_text(number)
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < _EXACT:
        return str(int(cell))
    if isinstance(cell, (int, float)):
        return repr(cell)
    return json.dumps(cell, sort_keys=True, default=str)
