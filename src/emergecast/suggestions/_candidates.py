"""The runs that could be made next: those of a file, or every checkpoint on a ladder of amounts."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from emergecast.errors import OptionError, Problem, TableError
from emergecast.measurements import COLUMNS, Column, read_records

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from emergecast.measurements import Selection
    from emergecast.suggestions._cost import Cost

STEPS = (1.0, 3.0)
"""Amounts of the ladder within each power of ten."""
FROM, TO = 30.0, 1e5
"""Ends of the ladder where nothing is measured yet, examples."""
BEYOND = 4.0
"""How far beyond the largest measured amount the ladder goes."""
CLOSE = 1.5
"""Amounts of the ladder this close to a measured one, as a ratio, are left out."""
NOT_KNOWN = 1000.0
"""Test items where no row says how many there were."""


def _like(name: str, kind_of: str, doc: str, *, required: bool = False, least: float) -> Column:
    return Column(
        name=name, kind=COLUMNS[kind_of].kind, role=COLUMNS[kind_of].role, doc=doc,
        minimum=least, required=required,
    )  # fmt: skip


CANDIDATE_COLUMNS = (
    COLUMNS["series"],
    COLUMNS["checkpoint"],
    _like(
        "examples",
        "examples",
        "Finetuning examples of the run; 0 for a few-shot evaluation.",
        required=True,
        least=0,
    ),
    _like(
        "runs", "runs", "How often the run may be made, each with new data; 1 if empty.", least=1
    ),
    _like(
        "gpu_hours", "stderr", "What the run takes, GPU-hours; the cost model if empty.", least=0
    ),
    _like("loss", "loss_stderr", "Loss of a checkpoint that the table lacks, nats.", least=0),
    _like("params", "params", "Parameters, where the table does not say.", least=1),
)
"""Columns of a file of candidates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A run that could be made: one checkpoint, finetuned on some examples and evaluated."""

    series: str
    checkpoint: str
    loss: float
    """Nats."""
    examples: int | None
    """Finetuning examples; None where few-shot."""
    runs: int
    """How often it may be made."""
    gpu_hours: float
    """Of one run."""
    flops: float | None
    """Of one run; None where the hours were given."""

    @property
    def amount(self) -> str:
        """The amount of data in words."""
        return "few-shot" if self.examples is None else f"{self.examples:,} examples"


@dataclass(frozen=True, slots=True, kw_only=True)
class _KnownCheckpoint:
    """A checkpoint, as far as the table knows it."""

    loss: float
    params: float | None
    few_shot: bool
    """Whether it has a few-shot score."""


def ladder(selection: Selection, shots: float) -> tuple[int, ...]:
    """Amounts worth considering: those measured, and 1, 3, 10, 30, ... between and beyond them.

    Where nothing is measured, from 30 to 100,000 examples. All lie above `shots`.
    """
    measured = selection.rows["examples"].drop_nulls().unique().sort().to_numpy().astype(float)
    low = min(FROM, float(measured[0])) if measured.size else FROM
    high = BEYOND * float(measured[-1]) if measured.size else TO
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = [step * 10.0**power for power in powers for step in STEPS]
    own = [
        step
        for step in steps
        if low <= step <= high and not np.any(np.abs(np.log(step / measured)) < math.log(CLOSE))
    ]
    return tuple(int(amount) for amount in sorted({*own, *measured}) if amount > 2 * shots)


def ladder_candidates(
    selection: Selection, amounts: Sequence[int], runs: int, cost: Cost
) -> tuple[Candidate, ...]:
    """Every checkpoint on every amount, `runs` times each, and few-shot where that is missing.

    Raises:
        OptionError: the rows have no params for a checkpoint, so nothing says what its runs cost.
    """
    items = typical_items(selection)
    found = []
    for (series, name), model in known_checkpoints(selection).items():
        if model.params is None:
            raise OptionError(
                f"nothing says what a run of {name} costs: the table has no params for it. Add a "
                "column params, or give --candidates FILE with gpu_hours."
            )
        wanted: list[int | None] = [*amounts] if model.few_shot else [None, *amounts]
        found += [
            Candidate(
                series=series,
                checkpoint=name,
                loss=model.loss,
                examples=amount,
                runs=1 if amount is None else runs,
                gpu_hours=cost.hours(model.params, amount, items),
                flops=cost.flops(model.params, amount, items),
            )
            for amount in wanted
        ]
    return tuple(found)


def read_candidates(source: object, selection: Selection, cost: Cost) -> tuple[Candidate, ...]:
    """The candidates of a file (`CANDIDATE_COLUMNS`).

    Raises:
        TableError: a bad row; a checkpoint that neither the table nor the row gives a loss; one
            whose parameters nobody states, so that its cost is unknown; a row that is there twice.
    """
    rows = read_records(source, CANDIDATE_COLUMNS)
    file = str(source) if isinstance(source, str | os.PathLike) else "<candidates>"
    known = known_checkpoints(selection)
    items = typical_items(selection)
    problems: list[Problem] = []
    found: list[Candidate] = []
    first: dict[tuple[str, str, int], int] = {}
    for index, row in enumerate(rows):
        series = _series_of(row, known)
        model = known.get((series, row["checkpoint"]))
        wrong = _wrong(row, model, known)
        key = (series, row["checkpoint"], row["examples"])
        if wrong is None and first.setdefault(key, index) != index:
            wrong = (
                "examples",
                f"the run is there already, in row {first[key] + 1}.",
                "Write one row, and how often it may be made in a column runs.",
            )
        if wrong is None:
            found.append(_candidate(row, series, model, cost, items))
        else:
            column, what, remedy = wrong
            value = None if row[column] is None else str(row[column])
            problems.append(
                Problem(
                    file=file, row=index + 1, column=column, value=value, what=what, remedy=remedy
                )
            )
    if problems:
        raise TableError(problems)
    return tuple(found)


def _candidate(
    row: Mapping[str, Any], series: str, model: _KnownCheckpoint | None, cost: Cost, items: float
) -> Candidate:
    """A row in which nothing is wrong."""
    params = float(row["params"] or (model and model.params) or math.nan)
    amount, given = row["examples"] or None, row["gpu_hours"]
    return Candidate(
        series=series,
        checkpoint=row["checkpoint"],
        loss=row["loss"] if model is None else model.loss,
        examples=amount,
        runs=row["runs"] or 1,
        gpu_hours=cost.hours(params, amount, items) if given is None else given,
        flops=cost.flops(params, amount, items) if given is None else None,
    )


def known_checkpoints(selection: Selection) -> dict[tuple[str, str], _KnownCheckpoint]:
    """The checkpoints of the rows by series and name, weakest first."""
    frame = (
        selection.rows.group_by("series", "checkpoint")
        .agg(pl.col("loss").first(), pl.col("params").first(), pl.col("few_shot").any())
        .sort(["loss", "series", "checkpoint"], descending=[True, False, False])
    )
    return {
        (series, name): _KnownCheckpoint(loss=loss, params=params, few_shot=few_shot)
        for series, name, loss, params, few_shot in frame.iter_rows()
    }


def typical_items(selection: Selection) -> float:
    """Median number of test items of the rows."""
    items = selection.rows["n_items"].drop_nulls()
    return float(np.median(items.to_numpy())) if items.len() else NOT_KNOWN


def _series_of(row: Mapping[str, Any], known: Mapping[tuple[str, str], _KnownCheckpoint]) -> str:
    """The stated series; else that of the only checkpoint of this name, or of the table."""
    if row["series"] is not None:
        return str(row["series"])
    same = [series for series, name in known if name == row["checkpoint"]]
    every = sorted({series for series, _ in known})
    return (same or every)[0]


def _wrong(
    row: Mapping[str, Any],
    model: _KnownCheckpoint | None,
    known: Mapping[tuple[str, str], _KnownCheckpoint],
) -> tuple[str, str, str] | None:
    """Column, what is wrong and the remedy; None where nothing is."""
    name = row["checkpoint"]
    several = [series for series, each in known if each == name]
    if row["series"] is None and len(several) > 1:
        return (
            "checkpoint",
            f"{len(several)} series have a checkpoint of this name: {', '.join(several)}.",
            "Say which in a column series.",
        )
    if model is None and not row["loss"]:
        return (
            "checkpoint",
            "the table has no such checkpoint.",
            "Correct the name, or give its loss (and params) in columns of their own.",
        )
    if model is not None and row["loss"] is not None and not _same(row["loss"], model.loss):
        return (
            "loss",
            f"the table says that {name} has loss {model.loss:g}.",
            "Leave the loss empty, or correct it.",
        )
    if row["gpu_hours"] == 0:
        return ("gpu_hours", "no run is free.", "Give its GPU-hours, or leave the cell empty.")
    if row["gpu_hours"] is None and not (row["params"] or (model and model.params)):
        return (
            "params",
            "nothing says what the run costs.",
            "Give gpu_hours, or params for the cost model.",
        )
    return None


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-6)
