"""Reading a table of pretraining runs, for a scaling law to be fitted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from emergecast.errors import SelectionError, near, nearest
from emergecast.measurements._schema import FEWEST_COUNTED, HIGHEST_LOSS, Column, Kind, Role
from emergecast.measurements.reading._coerce import NotThatKindError, as_text, coerce
from emergecast.measurements.reading._problems import MISSPELT, Findings, table_error
from emergecast.measurements.reading._read import RawTable, read_raw
from emergecast.scaling import RUN_LIMITS, Resource, Runs, complete_amounts

_LOSS: Final = "loss"
_RUN: Final = "run"
_AMOUNTS: Final = tuple(resource.value for resource in Resource)
_KNOWN: Final = {
    name: Column(
        name=name,
        kind=Kind.NUMBER,
        role=Role.CHECKPOINT,
        doc=doc,
        unit=unit,
        above=0,
        required=True,  # where the column is there at all: a row with "NaN" has no place in a fit
    )
    for name, doc, unit in (
        (_LOSS, "held-out loss", "nats per token"),
        ("params", "parameters", ""),
        ("tokens", "training tokens", ""),
        ("flops", "training FLOPs", ""),
    )
} | {_RUN: Column(name=_RUN, kind=Kind.LABEL, role=Role.KEY, doc="training run")}
RUN_COLUMNS: Final = tuple(_KNOWN)
"""What a table of runs may say: loss, and what it is a function of; and which run it is."""

_COUNTS: Final = ("params", "tokens")
_CHECKPOINT: Final = "checkpoint"
_OWNERS: Final = ("series", _CHECKPOINT, "loss_corpus")
"""Columns of a table of measurements that say whose loss a row repeats."""
_REPEATS: Final = ("seed", "repeat", "replicate")
"""Columns that tell repeats of one run apart."""
_REPEATED_WITHIN: Final = 0.1
"""Nats between the losses of such repeats, at most."""

_WANTED: Final = (
    "Give one row for each run and the columns loss (nats per token) and two of params, tokens and "
    "flops, or one of them."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsOptions:
    """Which cells of a table are what, and which rows count."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """Heading of each of `RUN_COLUMNS` that is not headed by its own name."""
    where: Sequence[tuple[str, str]] = ()
    """Only rows with these values, by heading."""
    drop_highest: int = 0
    """Points of the highest loss to leave out."""


def read_runs(source: object, options: RunsOptions | None = None) -> Runs:
    """The runs of a path (CSV, Parquet, JSON Lines), a polars or pandas frame, or records.

    Columns: loss (nats per token), two of params, tokens and flops (or one), and run where several
    points belong to one training run. Others are left alone, unless fewer than two amounts are
    known and one looks like a misspelt one. Every row needs a loss.

    Raises:
        TableError: the table cannot be read, lacks a column or a cell, or holds a bad one; every
            problem is listed.
        SelectionError: a column named in the options is not there, or no row is left.
        ScalingError: more points are to be dropped than there are.
    """
    options = RunsOptions() if options is None else options
    raw = read_raw(source, if_empty=_WANTED)
    headings = _headings(raw, options)
    rows = _kept(raw, options)
    findings = Findings(raw.name, lines=raw.lines)
    if not rows:
        findings.add("the table has no rows.", "Add one row for each run, below the header.")
    _suggest_names(raw, headings, findings)
    if _LOSS not in headings:
        findings.add(
            "the column is missing.",
            "Add a column loss, or say which holds it with --columns loss=HEADING. "
            + near(_LOSS, list(raw.columns)),
            column=_LOSS,
        )
    if not any(name in headings for name in _AMOUNTS):
        findings.add(
            "there is none of the columns params, tokens and flops.",
            "Add one or two of them, or name them with --columns params=HEADING.",
        )
    cells = {name: _cells(raw, name, title, rows, findings) for name, title in headings.items()}
    _fill(cells)
    for name, column in cells.items():
        title = headings[name]
        for row, cell in zip(rows, column, strict=True):
            if cell is None and (row, title) not in findings.bad_cells:
                findings.add(
                    f"the {name} is missing.",
                    "Fill it in, delete the row, or keep other rows with --where.",
                    row=row,
                    column=title,
                )
    if findings.problems:
        raise table_error(findings.problems)
    kept = _once(raw, rows, cells)
    _refuse_mixture(raw, headings, rows, kept, cells)
    columns = {name: [column[i] for i in kept] for name, column in cells.items()}
    runs = Runs.of(columns.pop(_LOSS), name=raw.name, **columns)
    runs = replace(runs, rows=tuple(rows[i] + 1 for i in kept), repeated=len(rows) - len(kept))
    return runs.drop_highest(options.drop_highest)


def values_of(source: object, column: str) -> list[str]:
    """The distinct values of a column as text, in the table's order.

    Raises:
        SelectionError: there is no such column.
    """
    raw = read_raw(source, if_empty=_WANTED)
    if column not in raw.columns:
        raise SelectionError(
            f'there is no column "{column}" to group by. {near(column, list(raw.columns))}'
        )
    return list(dict.fromkeys(as_text(cell) for cell in raw.columns[column] if cell is not None))


def _once(raw: RawTable, rows: Sequence[int], cells: Mapping[str, list[Any]]) -> list[int]:
    """Positions among the rows that count: of a table of measurements one for each checkpoint."""
    owners = [name for name in _OWNERS if name in raw.columns]
    if _CHECKPOINT not in owners:
        return list(range(len(rows)))
    first: dict[tuple[Any, ...], int] = {}
    for i, row in enumerate(rows):
        owner = (as_text(raw.columns[name][row]) for name in owners)
        first.setdefault((*owner, *(column[i] for column in cells.values())), i)
    return list(first.values())


def _refuse_mixture(
    raw: RawTable,
    headings: Mapping[str, str],
    rows: Sequence[int],
    kept: Sequence[int],
    cells: Mapping[str, list[Any]],
) -> None:
    """Several losses at equal params and tokens belong to one law only where they are repeats."""
    amounts = [column for name, column in cells.items() if name in _AMOUNTS]
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i in kept:
        groups.setdefault(tuple(column[i] for column in amounts), []).append(i)
    mixed = [group for group in groups.values() if len({cells[_LOSS][i] for i in group}) > 1]
    if not mixed:
        return
    at, names = mixed[0], [name for name in _AMOUNTS if name in cells]
    where = ", ".join(f"{name} {cells[name][at[0]]:.4g}" for name in names)
    shown = ", ".join(f"{cells[_LOSS][i]:.4g}" for i in at[:4])
    several = f"{raw.name} has several losses at {where}: {shown}"
    for title, column in raw.columns.items():
        if title in headings.values() or title in _REPEATS:
            continue
        values = [[as_text(column[rows[i]]) for i in group] for group in mixed]
        few = len({as_text(column[rows[i]]) for i in kept}) <= len(kept) / 2
        if few and all(len(set(each)) == len(each) for each in values):
            raise SelectionError(
                f'{several}. They differ in the column "{title}": one law each with --group-by '
                f"{title}, or choose with --where {title}={values[0][0]}."
            )
    gaps = [max(cells[_LOSS][i] for i in g) - min(cells[_LOSS][i] for i in g) for g in mixed]
    if sorted(gaps)[len(gaps) // 2] > _REPEATED_WITHIN:
        raise SelectionError(
            f"{several}, too far apart for repeats of one run, and no column says why. Keep the "
            "rows of one text and one recipe."
        )


def _headings(raw: RawTable, options: RunsOptions) -> dict[str, str]:
    """The heading of each known column that the table has."""
    found = {name: name for name in _KNOWN if name in raw.columns}
    for name, title in options.columns.items():
        if name not in _KNOWN:
            raise SelectionError(
                f'a table of runs has no "{name}". {near(name, RUN_COLUMNS)} Write NAME=HEADING.'
            )
        if title not in raw.columns:
            raise SelectionError(
                f'{raw.name} has no column "{title}" for the {name}. '
                f"{near(title, list(raw.columns))}"
            )
        found[name] = title
    return found


def _suggest_names(raw: RawTable, headings: Mapping[str, str], findings: Findings) -> None:
    """Report columns that look like misspelt amounts, where fewer than two are known."""
    absent = [name for name in _AMOUNTS if name not in headings]
    if len(absent) <= 1:  # two of them give the third
        return
    for title in (title for title in raw.columns if title not in headings.values()):
        alike = nearest(title.lower(), absent, least=MISSPELT)
        if alike:
            findings.add(
                f'the column "{title}" is not known.',
                f"Rename it to {alike}, or give --columns {alike}={title}, if that is what "
                "it holds; else rename it to something else.",
                column=title,
            )


def _kept(raw: RawTable, options: RunsOptions) -> list[int]:
    """0-based rows that have every value asked for."""
    rows = list(range(raw.height))
    for title, value in options.where:
        if title not in raw.columns:
            raise SelectionError(
                f'there is no column "{title}" to filter by. {near(title, list(raw.columns))}'
            )
        column, wanted = raw.columns[title], as_text(value)
        texts = {row: as_text(column[row]) for row in rows if column[row] is not None}
        rows = [row for row in rows if texts.get(row) == wanted]
        if not rows:
            seen = sorted(set(texts.values()))
            raise SelectionError(f'no row left has {title} "{value}". {near(value, seen)}')
    return rows


def _cells(
    raw: RawTable, name: str, title: str, rows: Sequence[int], findings: Findings
) -> list[Any]:
    """The typed cells of a column in these rows; a bad one is reported and becomes None."""
    found: list[Any] = []
    for row in rows:
        cell = raw.columns[title][row]
        try:
            found.append(_sensible(coerce(cell, _KNOWN[name]), name))
        except NotThatKindError as error:
            findings.add(error.what, error.remedy, row=row, column=title, value=cell)
            found.append(None)
    return found


def _sensible(value: Any, name: str) -> Any:  # noqa: ANN401  a label, a number or None
    low, high = RUN_LIMITS[_LOSS if name == _LOSS else "amount"]
    if isinstance(value, float) and not low <= value <= high:
        raise NotThatKindError(
            f"nothing outside {low:g} to {high:g} is fitted.", f"Check the unit of {name}."
        )
    if isinstance(value, float) and name in _COUNTS and value < FEWEST_COUNTED:
        raise NotThatKindError(
            f"no run has so few {name}.", "Write the count itself: 7e9 or 7B, not 7."
        )
    if isinstance(value, float) and name == _LOSS and value > HIGHEST_LOSS:
        raise NotThatKindError(
            f"no language model has a loss above {HIGHEST_LOSS:g} nats per token.",
            "Write nats per token: of a perplexity, its natural logarithm.",
        )
    return value


def _fill(cells: dict[str, list[Any]]) -> None:
    """Fill the gaps of one column from the two others, by flops = 6 * params * tokens."""
    if not all(name in cells for name in _AMOUNTS):
        return
    for i, row in enumerate(zip(*(cells[name] for name in _AMOUNTS), strict=True)):
        known = {of: cell for of, cell in zip(Resource, row, strict=True) if cell is not None}
        if len(known) < len(Resource):
            for of, amount in complete_amounts(known).items():
                cells[of][i] = float(amount)
