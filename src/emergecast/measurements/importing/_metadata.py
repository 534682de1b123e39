"""What is known about each checkpoint, joined to its scores by name."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final

from emergecast.measurements._schema import COLUMNS, LOSS_FACTS, Column, Kind, Role
from emergecast.measurements.importing._revision import (
    first_revision,
    of_pretraining,
    step_in,
    tokens_in,
)
from emergecast.measurements.reading import (
    Findings,
    RawTable,
    as_text,
    coerce,
    coerce_column,
    read_raw,
    table_error,
    with_known_names,
)

TOKENS_PER_STEP: Final = "tokens_per_step"
"""Column of the metadata: tokens of one pretraining step of the model."""
REVISION: Final = "revision"
_OF_ONE_MOMENT: Final = ("tokens", "flops", "lr_fraction", *LOSS_FACTS)
"""Facts of the finished model that its earlier checkpoints do not share."""
_PER_STEP: Final = Column(
    name=TOKENS_PER_STEP,
    kind=Kind.INTEGER,
    role=Role.CHECKPOINT,
    minimum=1,
    doc="Tokens of one pretraining step.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Whose facts are looked up."""

    names: tuple[str, ...]
    """What the checkpoint may be called, the likeliest first."""
    series: str | None = None
    revision: str | None = None
    """Revision of the model; None for the main one."""
    step: int | None = None
    """Its pretraining step, where that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """Rows of a checkpoints table by checkpoint name; None where no table was given."""

    rows: dict[str, list[dict[str, Any]]] | None
    tokens_per_step: int | None = None
    """Tokens of one pretraining step where the table does not say."""

    def of(self, wanted: Wanted) -> list[dict[str, Any]]:
        """The rows of one checkpoint, one per loss corpus; none where nothing is known of it.

        A folder of the harness's own is named after the model with `/` written as `__`, so that
        `org__name` stands for the checkpoint `org/name`, or for `name`. A revision is the
        checkpoint `name@revision`: its own row says what is known of it, or a row of the name with
        that revision in the column revision; else the row of the model, without the facts that an
        earlier checkpoint does not share with the finished model.
        """
        revision = wanted.revision
        for name in wanted.names:
            if self.rows is None:
                rows = [{"checkpoint": name}]
            else:
                named = self.rows.get(name, [])
                rows = [row for row in named if _agrees(row, wanted.series)]
            if revision is not None:
                own = self._named(f"{name}@{revision}", wanted.series)
                own += [
                    {**row, "checkpoint": f"{name}@{revision}"}
                    for row in rows
                    if _text(row.get(REVISION)) == revision
                ]
                if own:
                    return [_bare(row) for row in own]
            found = [row for row in rows if row.get(REVISION) is None]
            if not found and revision is None and len({_text(r[REVISION]) for r in rows}) == 1:
                found = rows  # the only revision there is
            if found:
                return [self._at(row, wanted) for row in found]
        return []

    def _named(self, name: str, series: str | None) -> list[dict[str, Any]]:
        rows = {} if self.rows is None else self.rows
        return [row for row in rows.get(name, []) if _agrees(row, series)]

    def _at(self, row: dict[str, Any], wanted: Wanted) -> dict[str, Any]:
        """The row of a model as that of one of its revisions."""
        revision = wanted.revision
        if revision is None:
            return _bare(row)
        found = {**row, "checkpoint": f"{row['checkpoint']}@{revision}", REVISION: revision}
        if of_pretraining(revision) or wanted.step is not None:
            found = {name: cell for name, cell in found.items() if name not in _OF_ONE_MOMENT}
            step = step_in(revision) if wanted.step is None else wanted.step
            per_step = coerce(row.get(TOKENS_PER_STEP), _PER_STEP) or self.tokens_per_step
            tokens = tokens_in(revision)
            if tokens is None and step is not None and per_step is not None:
                tokens = step * int(per_step)
            if tokens:  # untrained weights have seen none, and 0 is not a count
                found["tokens"] = tokens
        return _bare(found)


def _bare(row: dict[str, Any]) -> dict[str, Any]:
    return {name: cell for name, cell in row.items() if name != TOKENS_PER_STEP}


def _text(cell: object) -> str | None:
    return None if cell is None else as_text(cell)


def _agrees(row: dict[str, Any], series: str | None) -> bool:
    return series is None or row.get("series") is None or as_text(row["series"]) == as_text(series)


def _row(raw: RawTable, number: int) -> dict[str, Any]:
    """The cells of a row that hold something, a revision only where it is not the main one."""
    cells = {name: column[number] for name, column in raw.columns.items()}
    if first_revision((_text(cells.get(REVISION)),)) is None:
        cells[REVISION] = None
    return {name: cell for name, cell in cells.items() if cell is not None}


def read_metadata(
    source: str | os.PathLike[str] | None, *, tokens_per_step: int | None = None
) -> Metadata:
    """The checkpoints table at `source`; cells stay as they are until the whole table is checked.

    `tokens_per_step` is that of the models whose row says nothing of it.

    Raises:
        TableError: it cannot be read, has no checkpoint column, holds scores, or names a checkpoint
        twice.
    """
    if source is None:
        return Metadata(rows=None, tokens_per_step=tokens_per_step)
    raw = with_known_names(read_raw(source), (*COLUMNS, TOKENS_PER_STEP, REVISION))
    findings = Findings(raw.name, lines=raw.lines)
    if "checkpoint" not in raw.columns:
        findings.add(
            "the column is missing.", "Add a column checkpoint with the names.", column="checkpoint"
        )
        raise table_error(findings.problems)
    for name in raw.columns:
        if name in COLUMNS and COLUMNS[name].role in {Role.MEASURED, Role.SOURCE}:
            findings.add(
                "a checkpoints table has no scores.",
                "Delete the column: scores come from the result files.",
                column=name,
            )
    rows: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    seen: dict[tuple[object, ...], int] = {}
    for i in range(raw.height):
        row = _row(raw, i)
        if "checkpoint" not in row:
            findings.add("the checkpoint is missing.", "Name it.", row=i, column="checkpoint")
            continue
        name = str(row["checkpoint"]).strip()
        key = (name, row.get("series"), row.get("loss_corpus"), _text(row.get(REVISION)))
        if seen.setdefault(key, i) != i:
            findings.add(
                f"the checkpoint stands in row {seen[key] + 1} too.",
                "Keep one row per checkpoint (and series, loss_corpus and revision).",
                row=i,
                column="checkpoint",
                value=name,
            )
        rows[name].append({**row, "checkpoint": name})
    if TOKENS_PER_STEP in raw.columns:
        coerce_column(raw.columns[TOKENS_PER_STEP], _PER_STEP, findings)
    if findings.problems:
        raise table_error(findings.problems)
    return Metadata(rows=dict(rows), tokens_per_step=tokens_per_step)
