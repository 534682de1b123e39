"""Running and showing forecasts: what the commands that make them share."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from emergecast.cli._compute_options import at_compute
from emergecast.cli._failures import BAD_INPUT, REFUSED
from emergecast.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from emergecast.errors import EmergecastError
    from emergecast.forecasts import Forecast
    from emergecast.measurements import Measurements, SelectOptions
    from emergecast.observed import GroundTruth

FOLDERS_SHOWN: Final = 6
"""Folders that the last line names at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastOrError:
    """One task and series: a forecast, or the error that prevented it."""

    name: str
    forecast: Forecast | None
    error: EmergecastError | None
    truth: GroundTruth | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The models that are asked about."""

    losses: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()
    runs: tuple[dict[str, float], ...] = ()


# ------------------------------------------------------------------------------------ running


def run_forecasts(
    table: Measurements,
    options: list[SelectOptions],
    ways: dict[str, Any],
    reading: dict[str, Any],
) -> list[ForecastOrError]:
    """Every fit that the options ask for; an error of one does not stop the others.

    `ways` are arguments of `fit`, `reading` of `forecast`.
    """
    from emergecast.errors import FitError, SelectionError
    from emergecast.forecasts import forecast as forecast_of
    from emergecast.inference import fit as fit_law
    from emergecast.measurements import fits_of
    from emergecast.observed import ground_truth

    wanted = [each for option in options for each in fits_of(table, option)]
    several = len(wanted) > 1
    results = []
    for each in _progress(wanted):
        name = " / ".join(str(part) for part in (each.task, each.series) if isinstance(part, str))
        try:
            fitted = fit_law(table, select_options=each, **ways)
            truth = ground_truth(fitted.selection) if fitted.selection.hidden else None
            forecast = forecast_of(fitted, **reading)
            if truth is not None:
                forecast = replace(forecast, truth=forecast.axis.to_axis(truth.elbow))
        except (SelectionError, FitError) as error:
            if not several:
                raise
            results.append(ForecastOrError(name=name, forecast=None, error=error, truth=None))
        else:
            results.append(ForecastOrError(name=name, forecast=forecast, error=None, truth=truth))
    return results


def _progress(wanted: list[SelectOptions]) -> Iterable[SelectOptions]:
    """A progress bar on standard error, where that is a terminal and there is a wait."""
    if len(wanted) == 1 or not sys.stderr.isatty():
        return wanted
    from rich.console import Console
    from rich.progress import track

    return track(wanted, "Fitting", console=Console(stderr=True), transient=True)


def exit_by(results: list[ForecastOrError]) -> None:
    """End with a status other than 0 where there is no forecast at all."""
    forecasts = [result.forecast for result in results if result.forecast is not None]
    if any(forecast.elbow is not None for forecast in forecasts):
        return
    raise typer.Exit(REFUSED if forecasts else BAD_INPUT)


def asked_for(losses: list[float] | None, scores: list[float] | None, *, positive: bool) -> Asked:
    """The losses and scores that are asked about; nan and inf are refused."""
    for option, values in (("--at-loss", losses), ("--score", scores)):
        for value in values or ():
            if not math.isfinite(value):
                message = f"{option} takes finite numbers, not {value:g}."
                raise OptionError(message)
    for loss in losses or ():
        if positive and loss <= 0:
            message = f"--at-loss takes a loss above 0, not {loss:g}."
            raise OptionError(message)
    if scores and not losses:
        message = "--score needs --at-loss, the loss of the model whose score is meant."
        raise OptionError(message)
    return Asked(losses=tuple(losses or ()), scores=tuple(scores or ()))


# ------------------------------------------------------------------------------------ showing


def show_forecasts(
    results: list[ForecastOrError], asked: Asked, out: Path | None, *, as_json: bool
) -> None:
    """Print the forecasts, as text or JSON, and write them and their pictures into a folder."""
    records = [_record(result, asked) for result in results]
    try:
        written = _write(results, records, out)
    finally:  # a folder that cannot be written must not swallow the forecast
        if not as_json:
            _print_text(results, records)
    if as_json:
        print(json.dumps(records[0] if len(records) == 1 else {"forecasts": records}, indent=2))
    elif written:
        print(f"\n{written_where(written)}")


def written_where(paths: list[Path]) -> str:
    """What was written where, in a sentence."""
    names = ", ".join(sorted({path.name for path in paths}))
    folders = list(dict.fromkeys(map(str, (path.parent for path in paths))))
    rest = len(folders) - FOLDERS_SHOWN
    where = ", ".join(folders[:FOLDERS_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
    return f"Wrote {names} to {where}"


def _print_text(results: list[ForecastOrError], records: list[dict[str, Any]]) -> None:
    """One forecast in full, or a line each for several."""
    from emergecast.cli.texts.forecasts import forecast_text, summary_text

    if len(results) == 1 and results[0].forecast is not None:
        print(forecast_text(results[0].forecast, records[0], results[0].truth))
    else:
        print(summary_text([(each.name, each.forecast, each.error) for each in results]))


def _record(result: ForecastOrError, asked: Asked) -> dict[str, Any]:
    """The JSON object of one result."""
    if result.forecast is None:
        return {"name": result.name, "error": str(result.error)}
    record = result.forecast.to_dict()
    if asked.runs and result.forecast.elbow is not None:
        record["at_compute"] = at_compute(result.forecast, asked.runs)
    if asked.losses and result.forecast.elbow is not None:
        found = [result.forecast.at(loss, asked.scores) for loss in asked.losses]
        record["at_loss"] = [
            {
                "loss": each.loss,
                "emerged": each.emerged,
                "score": each.score,
                "exceeds": [{"score": x, "probability": p} for x, p in each.exceeds.items()],
            }
            for each in found
        ]
    return record


def _write(
    results: list[ForecastOrError], records: list[dict[str, Any]], out: Path | None
) -> list[Path]:
    """forecast.json and the pictures, in one folder a fit where there are several."""
    if out is None:
        return []
    from emergecast.files import save_text
    from emergecast.report import compute, distribution, fan, influence, save

    written: list[Path] = []
    folders = folder_names([result.name for result in results])
    for result, record, name in zip(results, records, folders, strict=True):
        if result.forecast is None:
            continue
        folder = out if len(results) == 1 else out / name
        text = json.dumps(record, indent=2) + "\n"
        written.append(save_text(text, folder, "forecast.json"))
        written += save(fan(result.forecast), folder, "fan")
        written += save(distribution(result.forecast), folder, "distribution")
        if not result.forecast.compute_curve().is_empty():
            written += save(compute(result.forecast), folder, "compute")
        if result.forecast.diagnostics is not None:
            written += save(influence(result.forecast), folder, "influence")
    return written


def folder_names(names: list[str]) -> list[str]:
    """Names that every file system takes, no two of them the same."""
    folders: list[str] = []
    for name in names:
        kept = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)
        kept = folder = kept.strip(".-") or "forecast"
        taken = {other.lower() for other in folders}
        number = 1
        while folder.lower() in taken:
            number += 1
            folder = f"{kept}-{number}"
        folders.append(folder)
    return folders
