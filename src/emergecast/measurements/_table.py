"""The measurement table: reading it with every rule checked, hashing it, writing it."""

from __future__ import annotations

import hashlib
import html
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from emergecast.errors import OptionError, Problem, SelectionError, near
from emergecast.measurements import _validate as rules
from emergecast.measurements._axis import EXAMPLES, LOSS, Axis, Shift
from emergecast.measurements._onto_axis import OF_SCORES
from emergecast.measurements._plausible import check_plausible, remarks, suspicions
from emergecast.measurements._schema import COLUMNS, INVENTED, Setting
from emergecast.measurements._write import write_frame
from emergecast.measurements.reading import (
    MEMORY,
    Findings,
    RawTable,
    as_text,
    foreign_table,
    read_raw,
    table_error,
    with_known_names,
)

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class Measurements:
    """A table in which every rule holds: one row is one measured score.

    Made by `read_table`, which checks; the constructor does not.
    """

    frame: pl.DataFrame
    """All known columns in the order of the schema, then unknown ones; rows as in the source."""
    name: str
    """The file as the user named it, or "<table>"."""
    hash: str
    """SHA-256 of the content, in hexadecimal: the same for any row order and any file format."""
    warnings: tuple[str, ...] = ()
    """What looks odd but is not an error, in sentences."""

    def __len__(self) -> int:
        return self.frame.height

    @property
    def invented(self) -> bool:
        """Whether any score was made up."""
        return bool(self.frame[INVENTED].any())

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks, sorted."""
        return self._values("task")

    @property
    def series(self) -> tuple[str, ...]:
        """The series, sorted."""
        return self._values("series")

    def to_polars(self) -> pl.DataFrame:
        """The table as a polars frame."""
        return self.frame.clone()

    def to_pandas(self) -> pd.DataFrame:
        """The table as a pandas frame; needs pandas, which emergecast does not install.

        Columns keep missing values as pandas has them: NaN in numbers, so whole numbers with gaps
        become floats.
        """
        import pandas as pd

        return pd.DataFrame(
            {name: pd.Series(self.frame[name].to_list()) for name in self.frame.columns}
        )

    def write(
        self, path: str | os.PathLike[str], *, raw: bool = False, digest: bool = False
    ) -> None:
        """Write the table as CSV, Parquet or JSON Lines, by the extension; whole or not at all.

        Args:
            path: where.
            raw: leave text in a CSV as it is where a spreadsheet would run it as a formula; without
                it such cells begin with a quotation mark, which reading takes away.
            digest: write the SHA-256 of the file beside it, which reading checks. A Parquet file
                holds the digest of its cells anyhow.

        Raises:
            OptionError: the extension is none of these.
            OSError: the file cannot be written.
        """
        write_frame(self.frame, path, raw=raw, digest=digest)

    def _values(self, column: str) -> tuple[str, ...]:
        return tuple(sorted(self.frame[column].drop_nulls().unique().to_list()))

    def _summary(self) -> list[tuple[str, str]]:
        frame = self.frame
        settings = []
        for setting in Setting:
            part = frame.filter(pl.col("setting") == setting.value)
            if part.height:
                amounts = part["examples"].drop_nulls().n_unique()
                detail = f" on {amounts} amounts of data" if amounts else ""
                settings.append(f"{part.height:,} {setting.value}{detail}")
        losses = frame["loss"].drop_nulls().to_list()
        corpora = self._values("loss_corpus")
        return [
            ("rows", f"{frame.height:,} ({', '.join(settings)})"),
            *([("INVENTED", "these scores were made up; nobody measured them")] * self.invented),
            ("series", _few(self.series)),
            ("checkpoints", f"{frame.select('series', 'checkpoint').n_unique():,}"),
            (
                "loss",
                f"{min(losses):.4g} to {max(losses):.4g} nats per token,"
                f" {_few(self._values('loss_source'))}"
                + (f", on {_few(corpora)}" if corpora else "")
                if losses
                else "not stated",
            ),
            ("tasks", _few(self.tasks)),
            ("metrics", _few(self._values("metric"))),
            ("hash", self.hash[:12]),
        ]

    def __repr__(self) -> str:
        lines = [f"Measurements from {self.name}"]
        lines += [f"  {title:<12}{text}" for title, text in self._summary()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{title}</th>"
            f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
            for title, text in self._summary()
        )
        return f"<table><caption>Measurements from {html.escape(self.name)}</caption>{rows}</table>"


def _few(names: Sequence[str], *, shown: int = 4) -> str:
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest:,} more" if rest > 0 else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What is usable in a source and what is wrong with it."""

    table: Measurements | None
    """The rows without a problem; None where there are none."""
    problems: tuple[Problem, ...] = field(default=())


def read_table(
    source: object,
    *,
    chance: float | None = None,
    loss_from: str | None = None,
    axis: str = LOSS,
    shift: str = EXAMPLES,
) -> Measurements:
    """The measurement table in `source`, with defaults filled in and every rule checked.

    Args:
        source: path of a .csv, .parquet, .jsonl or .ndjson file; a polars or pandas frame; a list
            of records; or a mapping from column name to cells. A table that was read already is
            returned as it is.
        chance: chance level of the rows that state none, in the unit of the score.
        loss_from: name of the constants in `emergecast.scaling.CHINCHILLA_LAWS` that estimate a
            missing loss from params and tokens; such rows are marked `loss_source` estimated.
        axis: what will stand for capability, as in `SelectOptions`; if not loss, rows need no loss.
        shift: what will move the elbow, as in `SelectOptions`; if not examples, finetuned rows need
            none, and rows that differ in this column alone are not duplicates.

    Raises:
        TableError: the table has problems; all of them are in `problems`.
        OptionError: `chance` is not finite, there are no constants of that name, or the axis or the
            shift cannot be read.
    """
    if isinstance(source, Measurements):
        return source
    examined = examine(source, chance=chance, loss_from=loss_from, axis=axis, shift=shift)
    if examined.problems or examined.table is None:
        raise table_error(examined.problems)
    return examined.table


def examine(
    source: object,
    *,
    chance: float | None = None,
    loss_from: str | None = None,
    axis: str = LOSS,
    shift: str = EXAMPLES,
) -> Examination:
    """The usable rows of `source` and all its problems; arguments and OptionError as `read_table`.

    Raises:
        TableError: the source cannot be read as a table at all.
    """
    names = Axis.parse(axis).name, Shift.parse(shift).name
    return examine_raw(read_raw(source), chance=chance, loss_from=loss_from, names=names)


def examine_raw(
    raw: RawTable,
    *,
    chance: float | None = None,
    loss_from: str | None = None,
    origins: Sequence[str] | None = None,
    names: tuple[str, str] = (LOSS, EXAMPLES),
) -> Examination:
    """As `examine`, of raw columns; `origins` names the file of each row if from several.

    `names` are the columns of the axis and of the shift; those that they replace are optional.
    """
    if chance is not None and not math.isfinite(chance):
        raise OptionError(f"the chance level {chance} is not a finite number. Give one like 0.25.")
    raw = with_known_names(raw, COLUMNS)
    findings = Findings(raw.name, origins, raw.lines)
    if raw.height == 0:
        findings.add("the table has no rows.", "`emergecast template` writes an example table.")
    if raw.height == 0 and not raw.columns:
        return Examination(table=None, problems=tuple(findings.problems))
    foreign = foreign_table(raw.columns)
    if foreign is not None:
        findings.add(*foreign)
        return Examination(table=None, problems=tuple(findings.problems))
    optional = {LOSS, EXAMPLES} - set(names)
    skip = rules.missing_columns(
        raw, findings, chance=chance, loss_from=loss_from, optional=optional
    )
    findings.bad_cells |= {(row, name) for name in skip for row in range(raw.height)}
    known, unknown = rules.typed_columns(raw, findings)
    _column_is_there(names[1], [*known, *unknown], "--shift")
    rules.fill_defaults(known, findings, chance=chance)
    rules.fill_loss(known, findings, loss_from=loss_from)
    rules.check_rows(known, findings, optional=optional)
    check_plausible(known, findings)
    rules.check_across(known, findings, {n: unknown[n] for n in names[1:] if n in unknown})
    rules.count_flops(known)
    table = None
    if not skip and len(findings.bad_rows) < raw.height:
        keep = [row for row in range(raw.height) if row not in findings.bad_rows]
        table = _assemble(raw, known, unknown, keep)
    return Examination(table=table, problems=tuple(findings.problems))


def _column_is_there(name: str, columns: Sequence[str], option: str) -> None:
    """Before its absence makes every row look like a duplicate."""
    if name not in columns:
        sensible = [column for column in columns if column not in OF_SCORES]
        raise SelectionError(f'{option}: there is no column "{name}". {near(name, sensible)}')


def _assemble(
    raw: RawTable, known: rules.Columns, unknown: rules.Columns, keep: Sequence[int]
) -> Measurements:
    series = [
        pl.Series(name, [known[name][row] for row in keep], dtype=column.dtype)
        for name, column in COLUMNS.items()
    ]
    for name, cells in unknown.items():
        kept = [cells[row] for row in keep]
        empty = all(cell is None for cell in kept)
        series.append(pl.Series(name, kept, dtype=pl.String() if empty else None))
    warnings = tuple(
        f'{raw.name}: the column "{written}" is read as {meant}.'
        for written, meant in raw.renamed.items()
    ) + tuple(
        f'{raw.name}: the column "{written}" is not known and was kept as it is;'
        f" did you mean {meant}?"
        for written, meant in rules.misspelt(raw).items()
    )
    frame = pl.DataFrame(series)
    warnings += (*suspicions(frame), *remarks(frame))
    return Measurements(frame=frame, name=raw.name, hash=content_hash(frame), warnings=warnings)


def content_hash(frame: pl.DataFrame) -> str:
    """SHA-256 of the cells as text, rows sorted; a column without a value counts as absent."""
    columns: dict[str, list[Any]] = {}
    for name in sorted(frame.columns):
        cells = frame[name].to_list()
        if any(cell is not None for cell in cells):
            columns[name] = [None if cell is None else as_text(cell) for cell in cells]
    rows = sorted(json.dumps(row) for row in zip(*columns.values(), strict=True))
    digest = hashlib.sha256(json.dumps(list(columns)).encode())
    for row in rows:
        digest.update(b"\n" + row.encode())
    return digest.hexdigest()


__all__ = [
    "MEMORY",
    "Examination",
    "Measurements",
    "content_hash",
    "examine",
    "examine_raw",
    "read_table",
]
