"""The later table that a frozen forecast is scored against: its rows, and what to know of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import polars as pl

from emergecast.errors import SelectionError, TableError
from emergecast.measurements import read_table, select
from emergecast.track_record._freeze import printed_rows
from emergecast.track_record._frozen import ROW_KEY

if TYPE_CHECKING:
    from emergecast.measurements import Measurements, Selection, SelectOptions
    from emergecast.observed import GroundTruth
    from emergecast.track_record._frozen import FrozenForecast

BACKTEST, PARTLY = "a backtest, not a forecast", "in part a backtest"
"""Words of the warnings that say the answer was known when the forecast was frozen."""
IGNORE = "--ignore-filters"


def later_rows(
    frozen: FrozenForecast, table: object, chance: float | None, *, ignore_filters: bool
) -> tuple[Selection, tuple[str, ...]]:
    """The rows of the later table that the forecast is of, and warnings on the frozen filters.

    Nothing hides strong checkpoints: `at_chance_only` and the bound on the strong side are dropped,
    `where` and `exclude` only if asked for.

    Raises:
        SelectionError: the table has no such rows; the message says if the filters are the reason.
        TableError: as `read_table` and `select`.
    """
    options = replace(frozen.options, at_chance_only=False)
    if frozen.higher_is_stronger:
        options = replace(options, max_loss=None)
    else:
        options = replace(options, min_loss=None)
    rows = read_table(table, chance=chance, axis=options.axis, shift=options.shift)
    filters = _filters(options)
    kept = _selected(rows, options)
    every = _selected(rows, replace(options, where=(), exclude=())) if filters else kept
    chosen = every if ignore_filters else kept
    if isinstance(chosen, SelectionError):
        raise _nothing(frozen, chosen, filters, every, ignored=ignore_filters)
    if isinstance(chosen, TableError):
        raise chosen
    if not filters or isinstance(every, Exception):
        return chosen, ()
    if ignore_filters:
        return chosen, _ignored(every, kept, filters)
    limit = every.axis.from_axis(strongest_of(frozen))
    return chosen, _left_out(every.all_few_shot.filter(pl.col("loss") < limit), chosen, filters)


def strongest_of(frozen: FrozenForecast) -> float:
    """Loss of the strongest checkpoint that the forecast saw, on its axis."""
    return float(frozen.forecast["strongest_loss"])


def known_already(
    frozen: FrozenForecast, later: Selection | None, found: GroundTruth | None
) -> bool:
    """Whether the frozen table held later checkpoints itself, so that the answer was known."""
    same = later is not None and found is not None and later.table_hash == frozen.table_hash
    return same or bool(frozen.forecast.get("hidden"))


def warnings_of(frozen: FrozenForecast, later: Selection | None) -> tuple[str, ...]:
    """What makes this less than a fair test: rows that changed or went, no new checkpoint."""
    found = [] if later is None else _changed_rows(frozen, printed_rows(later))
    hidden = frozen.forecast.get("hidden") or ()
    if later is not None and later.table_hash == frozen.table_hash:
        found.append(f"This is the table the forecast was made from: {BACKTEST}.")
    elif hidden:
        found.append(
            f"The table it was frozen on already held {len(hidden)} later checkpoints, which the "
            f"forecast did not use: {PARTLY}."
        )
    if later is None:
        return tuple(found)
    limit = later.axis.from_axis(strongest_of(frozen))
    if later.all_few_shot.filter(pl.col("loss") < limit).is_empty():
        found.append(
            "No few-shot score in the later table is of a stronger checkpoint than the forecast "
            f"saw ({strongest_of(frozen):.3f} {frozen.unit})."
        )
    return tuple(found)


# ------------------------------------------------------------------------------------- the filters


def _filters(options: SelectOptions) -> str:
    """The frozen filters as they are typed; nothing where there are none."""
    where = [f"--where {column}={value}" for column, value in options.where]
    return " ".join([*where, *(f"--exclude '{pattern}'" for pattern in options.exclude)])


def _selected(
    rows: Measurements, options: SelectOptions
) -> Selection | SelectionError | TableError:
    try:
        return select(rows, options)
    except (SelectionError, TableError) as error:
        return error


def _nothing(
    frozen: FrozenForecast,
    error: SelectionError,
    filters: str,
    every: Selection | SelectionError | TableError,
    *,
    ignored: bool,
) -> SelectionError:
    """The error where the table does not hold the rows, with the way out if there is one."""
    text = f"the later table does not hold what {frozen.name} was frozen for: {error}"
    if filters and ignored:
        text += f" That is without the frozen filter ({filters}): leave {IGNORE} out to keep it."
    elif filters and not isinstance(every, Exception):
        text += (
            f" That is the frozen filter ({filters}), and without it the table has such rows: "
            f"drop it with {IGNORE} if all of them are models of the kind that was forecast."
        )
    return SelectionError(text)


def _checkpoints(few_shot: pl.DataFrame) -> set[tuple[str, str]]:
    return set(few_shot.select("series", "checkpoint").iter_rows())


def _left_out(stronger: pl.DataFrame, chosen: Selection, filters: str) -> tuple[str, ...]:
    """A warning where the filter alone leaves stronger checkpoints out."""
    gone = len(_checkpoints(stronger) - _checkpoints(chosen.all_few_shot))
    if not gone:
        return ()
    noun, them = ("checkpoint", "it") if gone == 1 else ("checkpoints", "them")
    text = (
        f"The later table has few-shot scores of {gone} stronger {noun}, and only the frozen "
        f"filter ({filters}) leaves {them} out. A filter that chose the kind of model is right to; "
        f"one that hid what came later is dropped with {IGNORE} (in Python ignore_filters=True)."
    )
    return (text,)


def _ignored(
    every: Selection, kept: Selection | SelectionError | TableError, filters: str
) -> tuple[str, ...]:
    """A warning where the truth rests on checkpoints that the frozen filter leaves out."""
    inside = set() if isinstance(kept, Exception) else _checkpoints(kept.all_few_shot)
    gone = len(_checkpoints(every.all_few_shot) - inside)
    if not gone:
        return ()
    text = (
        f"The frozen filter ({filters}) was dropped as asked: few-shot scores of {gone} "
        f"checkpoint{'' if gone == 1 else 's'} that it leaves out count too. Whether they were "
        "there already when the forecast was frozen, its file does not say."
    )
    return (text,)


# ---------------------------------------------------------------------------------- the frozen rows


def _changed_rows(frozen: FrozenForecast, rows: list[dict[str, Any]]) -> list[str]:
    """Sentences on rows that the forecast used and that differ, or are gone, in the later table."""
    later = {_entry(row) for row in rows}
    present = {entry[0] for entry in later}
    changed: list[str] = []
    gone: list[str] = []
    for row in frozen.content["rows"]:
        entry = _entry(row)
        if entry not in later:
            (changed if entry[0] in present else gone).append(str(row["checkpoint"]))
    total = len(frozen.content["rows"])
    what = {
        "have another loss or score in the later table": changed,
        "are not in the later table": gone,
    }
    return [
        f"{len(names)} of the {total} rows the forecast used {sentence} "
        f"({', '.join(sorted(set(names))[:4])}{' ...' if len(set(names)) > 4 else ''})."
        for sentence, names in what.items()
        if names
    ]


def _entry(row: dict[str, Any]) -> tuple[tuple[object, ...], float, float]:
    """Which measurement a row is, its loss and its score."""
    key = tuple(_rounded(v) if isinstance(v, float) else v for v in (row[name] for name in ROW_KEY))
    return key, _rounded(row["loss"]), _rounded(row["score"])


def _rounded(value: float) -> float:
    """Nine significant digits, so that a table rewritten by another program is the same table."""
    return float(f"{value:.9g}")
