"""The nineteen experimental ablations of arXiv 2411.16035, table 2, on any table.

    1  the full design
    6  without the 1, 2, 3 smallest or the 1, 2, 3 largest data amounts
    2  one data-subset sample only: the first, the second
    4  the last (strongest) 6, 5, 4, 3 checkpoints only
    2  every other of the last 6: the strongest, third, fifth; the second, fourth, sixth
    4  without the last 1, 2, 3, 4 checkpoints

The paper gives the list and the number nineteen, not the count of each line; this is our reading.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from emergecast.measurements import Setting

if TYPE_CHECKING:
    from emergecast.measurements import Selection

FEW_SHOT = pl.col("setting") == Setting.FEW_SHOT.value
FULL = "full design"
LAST = 6
"""Checkpoints of which every other one is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """One reduced design: which rows of the full one it keeps."""

    name: str
    keep: pl.Expr | None = None
    """Rows of the table's frame; None for all of them, and where the design is not possible."""
    reason: str | None = None
    """Why the table does not allow it; None where it does."""


def ablations(selection: Selection) -> tuple[Ablation, ...]:
    """The nineteen ablations, for the rows that a forecast from checkpoints at chance may use."""
    return (
        Ablation(name=FULL),
        *_amounts(selection),
        *_subsets(selection),
        *_checkpoints(selection),
    )


def _amounts(selection: Selection) -> Iterator[Ablation]:
    amounts = selection.rows["examples"].drop_nulls().unique().sort().to_list()
    for side in ("smallest", "largest"):
        for count in (1, 2, 3):
            what = f"{side} amount" if count == 1 else f"{count} {side} amounts"
            name = f"without the {what}"
            gone = amounts[:count] if side == "smallest" else amounts[-count:]
            if len(gone) == len(amounts):
                yield _impossible(name, f"the rows hold {_counted(len(amounts), 'data amount')}")
            else:
                yield Ablation(name=name, keep=FEW_SHOT | ~pl.col("examples").is_in(gone))


def _subsets(selection: Selection) -> Iterator[Ablation]:
    """One sample only; rows that name no subset stay, since nothing says that they differ."""
    subsets = selection.rows["subset"].drop_nulls().unique().sort().to_list()
    for i, which in enumerate(("first", "second")):
        if len(subsets) < 2:
            why = f"the rows name {_counted(len(subsets), 'data subset')}, not two"
            yield _impossible(f"{which} data subset only", why)
        else:
            keep = FEW_SHOT | pl.col("subset").is_null() | (pl.col("subset") == subsets[i])
            yield Ablation(name=f"{which} data subset only ({subsets[i]})", keep=keep)


def _checkpoints(selection: Selection) -> Iterator[Ablation]:
    """Checkpoints by strength; where several series are pooled, of all of them together."""
    seen = selection.rows.select("series", "checkpoint", "loss").unique()
    order = [(s, c) for s, c, _ in seen.sort("loss", "series", "checkpoint").iter_rows()]
    wanted = [(f"last {n} checkpoints only", n + 1, order[:n]) for n in (6, 5, 4, 3)]
    wanted += [
        (f"every other of the last 6 ({which})", LAST, order[i:LAST:2])
        for i, which in enumerate(("1st, 3rd, 5th", "2nd, 4th, 6th"))
    ]
    for n in (1, 2, 3, 4):
        what = "last checkpoint" if n == 1 else f"last {n} checkpoints"
        wanted.append((f"without the {what}", n + 1, order[n:]))
    for name, needed, kept in wanted:
        if len(order) < needed:
            yield _impossible(name, f"the rows hold {_counted(len(order), 'checkpoint')} at chance")
        else:
            yield Ablation(name=name, keep=_among(kept))


def _among(checkpoints: list[tuple[str, str]]) -> pl.Expr:
    """Rows of these (series, checkpoint)."""
    named = [
        (pl.col("series") == series) & (pl.col("checkpoint") == checkpoint)
        for series, checkpoint in checkpoints
    ]
    return pl.any_horizontal(named)


def _impossible(name: str, why: str) -> Ablation:
    return Ablation(name=name, reason=f"Not possible: {why}.")


def _counted(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}" + ("" if number == 1 else "s")
