"""What stands for capability, and what stands for help: the two columns that a law relates.

Inside, an axis is always loss-like (smaller is stronger) and an amount of help is at least 1, as a
number of finetuning examples is. `Axis` and `Shift` turn such numbers into those a reader knows,
and back. Nothing inside depends on the unit or the origin of the axis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeVar

from emergecast.errors import OptionError
from emergecast.records import Positive

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    _Value = TypeVar("_Value", float, NDArray[np.float64], pl.Expr)

LOSS: Final = "loss"
EXAMPLES: Final = "examples"


class Transform(StrEnum):
    """What is done to a column before anything else."""

    LINEAR = "linear"
    """Nothing."""
    LOG10 = "log10"
    """Its decimal logarithm."""


_UNITS: Final = {LOSS: "nats", "flops": "FLOPs", "params": "parameters", "tokens": "tokens"}
_LOGARITHMIC: Final = frozenset({"flops", "params", "tokens"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """The capability axis: a column, which way it goes, and how its numbers are printed.

    Internal values are loss-like. `to_axis` gives what a reader sees: transformed, in the axis' own
    orientation.
    """

    name: str = LOSS
    """Column of the table."""
    higher_is_stronger: bool = False
    transform: Transform = Transform.LINEAR
    per_nat: float = 1.0
    """How much of this axis one nat of loss is worth on the rows of the fit: the ratio of the
    spreads. Thresholds of the verdict, which are stated in nats, are multiplied by it."""

    @classmethod
    def parse(cls, text: str) -> Axis:
        """The axis that NAME[:higher|lower][:log10|linear] asks for.

        Compute, parameters and tokens are taken as log10 if nothing is said, and only loss is
        stronger where lower.

        Raises:
            OptionError: the text is not of this form.
        """
        name, words = _name_and_words(text, "--axis", ("higher", "lower", *Transform))
        orientation = words.get("higher") or words.get("lower")
        default = Transform.LOG10 if name in _LOGARITHMIC else Transform.LINEAR
        if name == LOSS and orientation == "higher":
            raise OptionError(f"--axis {text}: a higher loss is never stronger. Leave :higher out.")
        return cls(
            name=name,
            higher_is_stronger=(orientation or ("lower" if name == LOSS else "higher")) == "higher",
            transform=_transform(words, default),
        )

    @property
    def is_loss(self) -> bool:
        """Whether this is the loss in nats."""
        return self.name == LOSS and self.transform is Transform.LINEAR

    @property
    def label(self) -> str:
        """What a value is called in a sentence: "loss", "log10 FLOPs"."""
        return f"{_prefix(self.transform)}{LOSS}" if self.name == LOSS else self.unit

    @property
    def unit(self) -> str:
        """What stands behind a number: "nats", "log10 FLOPs"; the column's name if not known."""
        return f"{_prefix(self.transform)}{_UNITS.get(self.name, self.name)}"

    @property
    def title(self) -> str:
        """What is written at the axis of a picture."""
        return f"pretraining {LOSS}, in {self.unit}" if self.is_loss else self.label

    @property
    def later(self) -> str:
        """Which end of an interval is the later emergence."""
        value = LOSS if self.is_loss else "value"
        return f"the {'higher' if self.higher_is_stronger else 'lower'} {value} is the later"

    def to_axis(self, internal: _Value) -> _Value:
        """The value that a reader knows, of an internal one; any shape."""
        return -internal + 0.0 if self.higher_is_stronger else internal

    def from_axis(self, value: _Value) -> _Value:
        """The internal value of one that a reader knows; any shape."""
        return -value + 0.0 if self.higher_is_stronger else value

    def number(self, value: float, places: int = 3) -> str:
        """A value of this axis as text; very large and very small ones in powers of ten."""
        if self.is_loss or value == 0 or 0.1 <= abs(value) < 1e5:
            return f"{value:.{places}f}"
        return f"{value:.{places + 1}g}"

    def places(self, width: float, usual: int) -> int:
        """Decimals that show an interval of this width; `usual` at least, and for loss just so."""
        if self.is_loss or not width > 0:
            return usual
        return max(usual, math.ceil(1.0 - math.log10(width)))

    def record(self) -> AxisRecord:
        """As a file holds it."""
        return AxisRecord(
            name=self.name,
            unit=self.unit,
            higher_is_stronger=self.higher_is_stronger,
            transform=self.transform,
            per_nat=self.per_nat,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """What moves the elbow to weaker checkpoints: a column, and how its numbers are printed.

    Internal amounts are `scale` times those a reader knows. Examples are taken as they are. Of any
    other column the smallest amount above 0 counts as 10, so that its unit changes nothing.
    """

    name: str = EXAMPLES
    """Column of the table."""
    transform: Transform = Transform.LINEAR
    scale: float | None = 1.0
    """Internal amount of 1 of this unit; None until the rows of the fit settle it."""

    @classmethod
    def parse(cls, text: str) -> Shift:
        """The shift that NAME[:log10|linear][:xNUMBER] asks for; x10 makes 1 count as 10 examples.

        Raises:
            OptionError: the text is not of this form, or the number is not above 0.
        """
        name, words = _name_and_words(text, "--shift", ("xNUMBER", *Transform))
        transform = _transform(words, Transform.LINEAR)
        plain = name == EXAMPLES and transform is Transform.LINEAR
        scale = 1.0 if plain else None
        if "xNUMBER" in words:
            scale = _number(words["xNUMBER"][1:])
            if scale is None or not (math.isfinite(scale) and scale > 0):
                raise OptionError(f"--shift {text}: x takes a number above 0, as in {name}:x100.")
        return cls(name=name, transform=transform, scale=scale)

    @property
    def is_examples(self) -> bool:
        """Whether this is the number of finetuning examples."""
        return self == Shift()

    @property
    def label(self) -> str:
        """What the amounts are called in a legend."""
        return "finetuning examples" if self.is_examples else self.unit

    @property
    def unit(self) -> str:
        """What stands behind an amount: "examples", or the column's name."""
        return f"{_prefix(self.transform)}{self.name}"

    def to_shift(self, internal: _Value) -> _Value:
        """The amount that a reader knows, of an internal one; any shape."""
        return internal if self.scale in {None, 1.0} else internal / self.scale

    def from_shift(self, amount: _Value) -> _Value:
        """The internal amount of one that a reader knows; any shape."""
        return amount if self.scale in {None, 1.0} else amount * self.scale

    def number(self, internal: float) -> str:
        """An internal amount as text, in this shift's own unit."""
        return f"{internal:,.0f}" if self.is_examples else f"{self.to_shift(internal):.6g}"

    def few_shot_amount(self, amount: float | None, smallest: float) -> float:
        """D0 as an internal amount, of one in this unit; `smallest` is the least internal amount.

        Raises:
            OptionError: none is given, or there is no such D0 in this unit.
        """
        if amount is None:
            raise OptionError(
                f"which {self.unit} is like few-shot? Say where the elbow is read off with"
                " --few-shot-examples (few_shot_examples in Python), between"
                f" {self.number(1.0)} and the smallest amount of the fit, {self.number(smallest)}."
            )
        internal = self.from_shift(amount)
        if self.is_examples:
            return internal  # the fit itself checks it, in this very unit
        if not 1 <= internal <= smallest * (1 + 1e-9):
            raise OptionError(
                f"few_shot_examples is {amount:g} {self.unit}, but must be at least"
                f" {self.number(1.0)} and at most the smallest amount of the fit,"
                f" {self.number(smallest)}."
            )
        return min(internal, smallest)

    def record(self) -> ShiftRecord:
        """As a file holds it."""
        return ShiftRecord(
            name=self.name, unit=self.unit, transform=self.transform, scale=self.scale
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisRecord:
    """What stands for capability, as a file holds it."""

    name: str
    """Column of the table."""
    unit: str
    """Unit of every value of the axis, e.g. nats or log10 FLOPs."""
    higher_is_stronger: bool
    """False for loss. Where true, p05 is the earlier emergence."""
    transform: Transform
    """What is done to the column first."""
    per_nat: Positive
    """What a nat of the verdict's thresholds counts as on this axis; 1 for loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftRecord:
    """What moves the elbow to weaker checkpoints, as a file holds it."""

    name: str
    """Column of the table."""
    unit: str
    """Unit of its amounts."""
    transform: Transform
    """What is done to the column first."""
    scale: Positive | None
    """How many finetuning examples one unit counts as in the law and the priors; 1 for examples,
    null before the rows have decided."""


# ------------------------------------------------------------------------------------ words


def _name_and_words(text: str, option: str, allowed: Sequence[str]) -> tuple[str, dict[str, str]]:
    """The name before the first colon, and the words after it by kind."""
    name, *given = (part.strip() for part in text.split(":"))
    words: dict[str, str] = {}
    for word in given:
        kind = "xNUMBER" if "xNUMBER" in allowed and word[:1] == "x" else word
        if kind not in allowed:
            raise OptionError(
                f'{option} {text}: after the name there may be {", ".join(allowed)}, not "{word}".'
            )
        words[kind] = word
    if not name:
        raise OptionError(f"{option} takes the name of a column, not {text!r}.")
    for pair in (("higher", "lower"), tuple(Transform)):
        if len(words.keys() & set(pair)) > 1:
            raise OptionError(f"{option} {text}: say {pair[0]} or {pair[1]}, not both.")
    return name, words


def _transform(words: dict[str, str], default: Transform) -> Transform:
    return next((each for each in Transform if each in words), default)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _prefix(transform: Transform) -> str:
    return "log10 " if transform is Transform.LOG10 else ""
