"""Putting the rows of one fit onto their axis and their shift, and refusing what has no place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import polars as pl

from emergecast.errors import OptionError, Problem, SelectionError, near
from emergecast.measurements._axis import EXAMPLES, LOSS, Axis, Shift, Transform
from emergecast.measurements._schema import Setting
from emergecast.measurements.reading import quoted, table_error

FIRST_AMOUNT: Final = 10.0
"""What the smallest amount of a shift other than examples counts as: the priors stand there."""
LEAST_AMOUNT: Final = 2.0
"""Smallest amount that leaves room for a D0 of at least 1 below it."""
NATS_PER_SPREAD: Final = 0.25
"""What a spread of an axis counts as where the table has no losses to compare it with."""
OF_SCORES: Final = ("score", "stderr", "chance", "n_items", "loss_stderr")
"""Columns of numbers that are never suggested, since they tell of a measurement, not a model."""
ROW: Final = "#row"
"""Column of a frame that numbers the table's rows from 1."""
RAW_LOSS: Final = "#loss"
"""Column of a frame that keeps the loss when another axis takes its place."""


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
    value = pl.col(shift.name).cast(pl.Float64)
    _refuse_rows(frame, shift.name, value < 0, file, "Amounts start at 0")
    if (frame[shift.name] == 0).all():
        raise SelectionError(
            f"no row has a {shift.name} above 0, so nothing moves the elbow. Choose another"
            " --shift, or add such rows."
        )
    if shift.name != EXAMPLES:
        _one_amount_of_examples(frame, shift)
    if shift.transform is Transform.LOG10:
        _refuse_rows(frame, shift.name, (value > 0) & (value <= 1), file, "log10 starts above 1")
        value = value.log10()
    few_shot = pl.col(shift.name) == 0
    frame = frame.with_columns(few_shot.alias("few_shot"), value.alias(EXAMPLES))
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
    sensible = [n for n in numbers if n not in OF_SCORES]
    if name not in frame.columns:
        raise SelectionError(f'{option}: there is no column "{name}". {near(name, sensible)}')
    if name not in numbers and frame[name].null_count() < frame.height:
        shown = next(cell for cell in frame[name].to_list() if cell is not None)
        raise SelectionError(
            f'{option}: the column "{name}" holds {quoted(shown)}, which is not a number.'
            f" Columns of numbers: {', '.join(sensible)}."
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


def _spread(values: pl.Series) -> float:
    """Mean absolute deviation of the distinct values from their median, as S of docs/model.md."""
    distinct = np.unique(values.to_numpy().astype(np.float64))
    return float(np.mean(np.abs(distinct - np.median(distinct))))


def _few(names: Sequence[str], shown: int = 6) -> str:
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")
