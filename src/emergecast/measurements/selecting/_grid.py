"""What a table holds at a glance: checkpoints down, settings across."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from emergecast.errors import SelectionError, near
from emergecast.measurements._axis import EXAMPLES, LOSS, Axis, Shift
from emergecast.measurements._onto_axis import OF_SCORES
from emergecast.measurements._schema import DEFAULT_METHOD, LossSource, Setting
from emergecast.measurements._table import Measurements


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The scores of one checkpoint in one setting."""

    count: int
    """Rows."""
    mean: float
    """Mean of their scores, in the metric's own unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GridRow:
    """One checkpoint."""

    checkpoint: str
    loss: float | None
    """Nats per token; None where it is not stated and another axis was asked for."""
    value: float | None
    """Value of the axis: the loss, or what stands in the column of another axis."""
    estimated: bool
    """Whether the loss is estimated."""
    cells: tuple[Cell | None, ...]
    """One per setting of the grid; None where nothing was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """All scores of one task, series, metric and loss corpus."""

    task: str
    series: str
    metric: str
    loss_corpus: str | None
    settings: tuple[str, ...]
    """Few-shot first, then by amount of data."""
    rows: tuple[GridRow, ...]
    """Weakest checkpoint (highest loss) first."""
    axis: str = LOSS
    """Column that `value` is from."""


def grid(table: Measurements, *, axis: str = LOSS, shift: str = EXAMPLES) -> tuple[Grid, ...]:
    """One grid per task, series, metric and loss corpus, in that order.

    Args:
        table: the measurements.
        axis: what stands for capability, as in `SelectOptions`.
        shift: what moves the elbow, as in `SelectOptions`.

    Raises:
        OptionError: axis or shift cannot be read.
        SelectionError: the axis has no column.
    """
    place, moves = Axis.parse(axis), Shift.parse(shift)
    if place.name not in table.frame.columns or not table.frame[place.name].dtype.is_numeric():
        columns = [name for name in table.frame.columns if name not in OF_SCORES]
        raise SelectionError(
            f'--axis: there is no column of numbers "{place.name}". {near(place.name, columns)}'
        )
    owner = ["task", "series", "metric", "loss_corpus"]
    parts = table.frame.partition_by(owner, as_dict=True, include_key=True)
    ordered = sorted(parts.items(), key=lambda item: tuple(str(part or "") for part in item[0]))
    return tuple(_grid(key, part, place, moves.name) for key, part in ordered)


def _grid(key: tuple[object, ...], part: pl.DataFrame, axis: Axis, shift: str) -> Grid:
    task, series, metric, corpus = key
    amounts = ["setting", shift, *(n for n in ("epochs", "shots", "method") if n != shift)]
    columns = part.select(amounts).unique().sort(amounts, nulls_last=False).rows()
    columns.sort(key=lambda column: column[0] != Setting.FEW_SHOT.value)
    titles = _titles(columns) if shift == EXAMPLES else _shifted(columns, shift)
    names = tuple(dict.fromkeys(titles))
    title_of = dict(zip(columns, titles, strict=True))
    rows: list[GridRow] = []
    facts = part.group_by("checkpoint").agg(
        pl.col("loss", "loss_source").first(),
        pl.col(axis.name).drop_nulls().first().alias("value"),
    )
    for checkpoint, loss, source, value in facts.sort(
        ["value", "checkpoint"], descending=[not axis.higher_is_stronger, False]
    ).rows():
        scores: dict[str, list[float]] = {}
        own = part.filter(pl.col("checkpoint") == checkpoint)
        for column, score in zip(own.select(amounts).rows(), own["score"].to_list(), strict=True):
            scores.setdefault(title_of[column], []).append(score)
        cells = [
            Cell(count=len(found), mean=sum(found) / len(found))
            if (found := scores.get(name))
            else None
            for name in names
        ]
        rows.append(
            GridRow(
                checkpoint=checkpoint,
                loss=loss,
                value=value,
                estimated=source == LossSource.ESTIMATED.value,
                cells=tuple(cells),
            )
        )
    return Grid(
        task=str(task),
        series=str(series),
        metric=str(metric),
        loss_corpus=None if corpus is None else str(corpus),
        settings=names,
        rows=tuple(rows),
        axis=axis.name,
    )


def _shifted(columns: list[tuple[object, ...]], shift: str) -> list[str]:
    """Names of settings by the amount of what moves the elbow."""
    return ["few-shot" if not column[1] else f"{shift}={column[1]}" for column in columns]


def _titles(
    columns: list[tuple[str, int | None, float | None, int | None, str | None]],
) -> list[str]:
    """Short names of settings; epochs, shots and method only where they tell two settings apart."""
    finetuned = [column for column in columns if column[0] == Setting.FINETUNED.value]
    several_methods = len({column[4] for column in finetuned}) > 1
    epochs = {
        examples: {c[2] for c in finetuned if c[1] == examples} for _, examples, *_ in finetuned
    }
    titles: list[str] = []
    for setting, examples, passes, shots, method in columns:
        if setting == Setting.FEW_SHOT.value:
            titles.append("few-shot" if shots is None else f"{shots}-shot")
            continue
        title = f"D={examples}"
        if len(epochs[examples]) > 1 and passes is not None:
            title += f" x{passes:.3g}"
        if several_methods:
            title += f" {method or DEFAULT_METHOD}"
        titles.append(title)
    return titles
