"""What new rows did to a forecast: the old one, from its file, beside the new one."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emergecast.errors import RecordError
from emergecast.files import read_whole
from emergecast.forecasts import Elbow, Verdict, read_forecast
from emergecast.records import Count
from emergecast.track_record._freeze import printed_rows
from emergecast.track_record._frozen import FORMAT
from emergecast.track_record._read_frozen import read_frozen

if TYPE_CHECKING:
    from emergecast.forecasts import Forecast


@dataclass(frozen=True, slots=True, kw_only=True)
class OldForecast:
    """A forecast that was made before."""

    file: str
    """As the user named it."""
    task: str
    """Its task."""
    series: tuple[str, ...]
    """Its series."""
    unit: str
    """Of every number of it: nats, or the unit of another axis."""
    verdict: Verdict
    """Its verdict."""
    interval: tuple[float, float, float] | None
    """5% quantile, median and 95% quantile of the elbow; None where it was refused."""
    rows: tuple[tuple[object, ...], ...]
    """Checkpoint, kind, examples, loss and score of each of its rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What changed from an old forecast to a new one; numbers in nats or the unit of the axis."""

    file: str
    """The old forecast."""
    rows_before: Count
    """Rows it rested on."""
    rows_now: Count
    """Rows of the new one."""
    rows_added: Count
    """Of those, the ones that are not among the old: new, or with another loss or score."""
    rows_gone: Count
    """Old ones that are not among the new."""
    verdict_before: Verdict
    """The old verdict."""
    verdict_now: Verdict
    """The new one."""
    interval_before: tuple[float, float, float] | None
    """5% quantile, median and 95% quantile; null where it was refused."""
    interval_now: tuple[float, float, float] | None
    """The same of the new one."""
    moved: float | None
    """The new median less the old one; null where one of them was refused."""
    widths: float | None
    """That move in widths of the old 90% interval; null as above."""
    unit: str
    """Of these numbers."""


def read_old(path: str | os.PathLike[str]) -> OldForecast:
    """The forecast in a forecast.json that `fit -o` wrote, or in a file that `freeze` wrote.

    Raises:
        RecordError: it is neither.
        FrozenError: it is a frozen forecast, and was edited.
        OSError: it cannot be read.
    """
    name = os.fspath(path)
    try:
        content = json.loads(read_whole(path).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise RecordError(
            f'"{name}" is not JSON ({error}). Give a forecast.json of `emergecast fit -o FOLDER`, '
            "or a file of `emergecast freeze`."
        ) from None
    if isinstance(content, dict) and content.get("format") == FORMAT:
        frozen = read_frozen(path)
        elbow = frozen.elbow
        return OldForecast(
            file=name,
            task=frozen.task,
            series=frozen.series,
            unit=frozen.unit,
            verdict=frozen.verdict,
            interval=None if elbow is None else _three(elbow),
            rows=_rows(frozen.content["rows"]),
        )
    found = read_forecast(name)
    shown = found.rows
    lines = zip(
        *(shown.checkpoint, shown.setting, shown.examples, shown.loss, shown.score, shown.hidden),
        strict=True,
    )
    return OldForecast(
        file=name,
        task=found.task,
        series=(found.series,) if isinstance(found.series, str) else found.series,
        unit=found.axis.unit,
        verdict=found.verdict,
        interval=None if found.elbow is None else _of(found.elbow),
        rows=tuple(
            _row(checkpoint, setting == "few-shot", examples, loss, score)
            for checkpoint, setting, examples, loss, score, hidden in lines
            if not hidden
        ),
    )


def what_changed(old: OldForecast, new: Forecast) -> Change:
    """The new forecast beside the old one of the same task, series and axis.

    Raises:
        RecordError: the old one is of another task, series or axis.
    """
    selection = new.fit.selection
    mine = (selection.task, tuple(selection.series), new.axis.unit)
    if mine != (old.task, old.series, old.unit):
        raise RecordError(
            f'"{old.file}" is a forecast of {old.task} / {", ".join(old.series)} in {old.unit}, '
            f"and this is one of {selection.task} / {', '.join(selection.series)} in "
            f"{new.axis.unit}. Give the old forecast of the same task, series and axis."
        )
    rows = _rows(printed_rows(selection))
    before, now = Counter(old.rows), Counter(rows)
    interval = None if new.elbow is None else _of(new.elbow)
    moved = widths = None
    if interval is not None and old.interval is not None:
        low, median, high = old.interval
        moved = interval[1] - median
        widths = moved / (high - low) if high > low else None
    return Change(
        file=old.file,
        rows_before=before.total(),
        rows_now=now.total(),
        rows_added=(now - before).total(),
        rows_gone=(before - now).total(),
        verdict_before=old.verdict,
        verdict_now=new.verdict,
        interval_before=old.interval,
        interval_now=interval,
        moved=moved,
        widths=widths,
        unit=old.unit,
    )


def _of(elbow: Elbow) -> tuple[float, float, float]:
    return elbow.p05, elbow.p50, elbow.p95


def _three(elbow: Mapping[str, float | None]) -> tuple[float, float, float]:
    return float(elbow["p05"] or 0), float(elbow["p50"] or 0), float(elbow["p95"] or 0)


def _rows(rows: Iterable[Mapping[str, Any]]) -> tuple[tuple[object, ...], ...]:
    names = ("checkpoint", "few_shot", "examples", "loss", "score")
    return tuple(_row(*(row[name] for name in names)) for row in rows)


def _row(*cells: object) -> tuple[object, ...]:
    """One row; numbers to nine digits, so that a file rewritten by another program is the same."""
    return tuple(
        float(f"{cell:.9g}")
        if isinstance(cell, int | float) and not isinstance(cell, bool)
        else cell
        for cell in cells
    )
