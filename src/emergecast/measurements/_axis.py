"""What stands for capability, and what stands for help: the two columns that a law relates.

Inside, an axis is always loss-like (smaller is stronger) and an amount of help is at least 1, as a
number of finetuning examples is. `Axis` and `Shift` turn such numbers into those a reader knows,
and back. Nothing inside depends on the unit or the origin of the axis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
import polars as pl

from emergecast.errors import OptionError, Problem, SelectionError
from emergecast.measurements._problems import near, quoted, table_error
from emergecast.measurements._schema import Setting

if TYPE_CHECKING:
    from numpy.typing import NDArray

    _Value = TypeVar("_Value", float, NDArray[np.float64], pl.Expr)

LOSS: Final = "loss"
EXAMPLES: Final = "examples"
FIRST_AMOUNT: Final = 10.0
"""What the smallest amount of a shift other than examples counts as: the priors stand there."""
LEAST_AMOUNT: Final = 2.0
"""Smallest amount that leaves room for a D0 of at least 1 below it."""
NATS_PER_SPREAD: Final = 0.25
"""What a spread of an axis counts as where the table has no losses to compare it with."""
ROW: Final = "#row"
"""Column of a frame that numbers the table's rows from 1."""
RAW_LOSS: Final = "#loss"
"""Column of a frame that keeps the loss when another axis takes its place."""


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

    def as_dict(self) -> dict[str, Any]:
        """For forecast.json."""
        return {
            "name": self.name,
            "unit": self.unit,
            "higher_is_stronger": self.higher_is_stronger,
            "transform": str(self.transform),
            "per_nat": self.per_nat,
        }


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

    def few_shot_amount(self, amount: float, smallest: float) -> float:
        """D0 as an internal amount, of one in this unit; `smallest` is the least internal amount.

        Raises:
            OptionError: there is no such D0 in this unit.
        """
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

    def as_dict(self) -> dict[str, Any]:
        """For forecast.json."""
        return {
            "name": self.name,
            "unit": self.unit,
            "transform": str(self.transform),
            "scale": self.scale,
        }


def on_axis(frame: pl.DataFrame, axis: Axis, file: str) -> pl.DataFrame:
    """`frame` with the internal values of `axis` in its column loss.

    A value that only some rows of a checkpoint state is taken for all of them.

    Raises:
        SelectionError: no such column, text in it, or checkpoints with no value or with several.
        TableError: a logarithm of a number that is not above 0; every such row is named.
    """
    _numeric(frame, axis.name, "--axis")
    value = pl.col(axis.name).cast(pl.Float64)
    if axis.transform is Transform.LOG10:
        _refuse_rows(frame, axis.name, value <= 0, file, "log10 needs numbers above 0")
        value = value.log10()
    who = ["series", "checkpoint"]
    frame = frame.with_columns(pl.col(LOSS).alias(RAW_LOSS), value.alias(LOSS))
    counted = frame.group_by(who).agg(pl.col(LOSS).drop_nulls().n_unique()).sort(who)
    without = counted.filter(pl.col(LOSS) == 0)["checkpoint"].to_list()
    if without:
        raise SelectionError(
            f"{_few(without)} {'has' if len(without) == 1 else 'have'} no {axis.name}, so no place"
            f" on the axis. Fill in the column, or leave them out with --exclude."
        )
    several = counted.filter(pl.col(LOSS) > 1)["checkpoint"].to_list()
    if several:
        raise SelectionError(
            f"{_few(several)} {'has' if len(several) == 1 else 'have'} several values of"
            f" {axis.name}: a capability axis needs one value per checkpoint. Correct the column,"
            " or choose another."
        )
    internal = axis.from_axis(pl.col(LOSS).drop_nulls().first().over(who))
    return frame.with_columns(internal.alias(LOSS), pl.lit(None, pl.Float64).alias("loss_stderr"))


def with_worth(axis: Axis, frame: pl.DataFrame) -> Axis:
    """`axis` with what a nat is worth on it, from the checkpoints of `frame`.

    Raises:
        SelectionError: every checkpoint has the same value.
    """
    each = frame.unique(["series", "checkpoint"])
    spread = _spread(each[LOSS])
    if not spread > 1e-9 * float(np.max(np.abs(each[LOSS].to_numpy()))):
        value = axis.number(axis.to_axis(float(each[LOSS][0])))
        raise SelectionError(
            f"every checkpoint has the same {axis.label} ({value}): an elbow needs checkpoints that"
            " differ. Choose another --axis."
        )
    known = each[RAW_LOSS].null_count() == 0
    nats = _spread(each[RAW_LOSS]) if known else NATS_PER_SPREAD
    return replace(axis, per_nat=spread / (nats if nats > 0 else NATS_PER_SPREAD))


def shifted(frame: pl.DataFrame, shift: Shift, file: str) -> tuple[pl.DataFrame, Shift]:
    """`frame` with internal amounts in `examples`, null where `few_shot`, and the settled shift.

    Raises:
        SelectionError: no such column, text in it, rows without an amount, no amount above 0, or
            rows of one amount that differ in finetuning examples.
        OptionError: the stated scale leaves no room for a D0.
        TableError: negative amounts, or logarithms that are not above 0; every such row is named.
    """
    finetuned = pl.col("setting") == Setting.FINETUNED.value
    if shift.is_examples:
        return frame.with_columns((~finetuned).alias("few_shot")), shift
    _numeric(frame, shift.name, "--shift")
    if shift.name == EXAMPLES:
        frame = frame.with_columns(pl.when(finetuned).then(EXAMPLES).otherwise(0).alias(EXAMPLES))
    else:
        _amounts_stated(frame, shift)
        _one_amount_of_examples(frame, shift)
    value = pl.col(shift.name).cast(pl.Float64)
    _refuse_rows(frame, shift.name, value < 0, file, "Amounts start at 0")
    if shift.transform is Transform.LOG10:
        _refuse_rows(frame, shift.name, (value > 0) & (value <= 1), file, "log10 starts above 1")
        value = value.log10()
    few_shot = pl.col(shift.name) == 0
    frame = frame.with_columns(few_shot.alias("few_shot"), value.alias(EXAMPLES))
    if frame["few_shot"].all():
        raise SelectionError(
            f"no row has a {shift.name} above 0, so nothing moves the elbow. Choose another"
            " --shift, or add such rows."
        )
    smallest = float(np.min(frame.filter(~pl.col("few_shot"))[EXAMPLES].to_numpy()))
    settled = replace(shift, scale=shift.scale or FIRST_AMOUNT / smallest)
    least = settled.from_shift(smallest)
    if least < LEAST_AMOUNT:
        raise OptionError(
            f"--shift: x{settled.scale:g} makes the smallest {shift.name} count as {least:g}"
            f" examples, but it must be at least {LEAST_AMOUNT:g}. Leave x out, or make it larger."
        )
    internal = pl.when(~pl.col("few_shot")).then(settled.from_shift(pl.col(EXAMPLES)))
    return frame.with_columns(internal.alias(EXAMPLES)), settled


# ------------------------------------------------------------------------------------ checks


def _numeric(frame: pl.DataFrame, name: str, option: str) -> None:
    numbers = [n for n in frame.columns if frame[n].dtype.is_numeric() and not n.startswith("#")]
    if name not in frame.columns:
        raise SelectionError(f'{option}: there is no column "{name}". {near(name, numbers)}')
    if name not in numbers and frame[name].null_count() < frame.height:
        shown = next(cell for cell in frame[name].to_list() if cell is not None)
        raise SelectionError(
            f'{option}: the column "{name}" holds {quoted(shown)}, which is not a number.'
            f" Columns of numbers: {', '.join(numbers)}."
        )


def _refuse_rows(frame: pl.DataFrame, name: str, bad: pl.Expr, file: str, rule: str) -> None:
    """Name every row whose value of `name` is bad."""
    found = frame.filter(bad).select(ROW, name).sort(ROW)
    if found.height:
        raise table_error(
            Problem(
                file=file,
                row=int(row),
                column=name,
                value=quoted(value),
                what=f"the {name} is out of range.",
                remedy=f"{rule}: correct the value, or leave the row out.",
            )
            for row, value in found.iter_rows()
        )


def _amounts_stated(frame: pl.DataFrame, shift: Shift) -> None:
    silent = frame.filter(pl.col(shift.name).is_null())
    if silent.height:
        raise SelectionError(
            f"{silent.height} of {frame.height} rows do not say their {shift.name}, such as those"
            f" of {_few(sorted(silent['checkpoint'].unique().to_list()))}. Write 0 where there is"
            " none, or leave the rows out with --where."
        )


def _one_amount_of_examples(frame: pl.DataFrame, shift: Shift) -> None:
    """Two things that both move the elbow do not make one fit."""
    mixed = frame.group_by(shift.name).agg(pl.col(EXAMPLES).n_unique()).sort(shift.name)
    mixed = mixed.filter(pl.col(EXAMPLES) > 1)
    if mixed.height:
        raise SelectionError(
            f"rows of {shift.name} {mixed[shift.name][0]:g} differ in finetuning examples too, so"
            f" {shift.name} alone does not say what moved the elbow. Choose with --where"
            " setting=few_shot or --where examples=NUMBER."
        )


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


def _spread(values: pl.Series) -> float:
    """Mean absolute deviation of the distinct values from their median, as S of docs/model.md."""
    distinct = np.unique(values.to_numpy().astype(np.float64))
    return float(np.mean(np.abs(distinct - np.median(distinct))))


def _few(names: Sequence[str], shown: int = 6) -> str:
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")
