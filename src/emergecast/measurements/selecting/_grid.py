"""What a table holds at a glance: checkpoints down, settings across."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

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
    loss: float
    """Nats per token."""
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


def grid(table: Measurements) -> tuple[Grid, ...]:
    """One grid per task, series, metric and loss corpus, in that order."""
    owner = ["task", "series", "metric", "loss_corpus"]
    parts = table.frame.partition_by(owner, as_dict=True, include_key=True)
    ordered = sorted(parts.items(), key=lambda item: tuple(str(part or "") for part in item[0]))
    return tuple(_grid(key, part) for key, part in ordered)


def _grid(key: tuple[object, ...], part: pl.DataFrame) -> Grid:
    task, series, metric, corpus = key
    amounts = ["setting", "examples", "epochs", "shots", "method"]
    columns = part.select(amounts).unique().sort(amounts, nulls_last=False).rows()
    columns.sort(key=lambda column: column[0] != Setting.FEW_SHOT.value)
    titles = _titles(columns)
    names = tuple(dict.fromkeys(titles))
    title_of = dict(zip(columns, titles, strict=True))
    rows: list[GridRow] = []
    facts = part.group_by("checkpoint").agg(pl.col("loss", "loss_source").first())
    for checkpoint, loss, source in facts.sort(
        ["loss", "checkpoint"], descending=[True, False]
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
    )


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
