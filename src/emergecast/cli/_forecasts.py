"""Running and showing forecasts: what the commands that make them share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import typer

from emergecast.cli._compute_options import LossesAsked, at_compute
from emergecast.cli._failures import BAD_INPUT, REFUSED, command_line
from emergecast.cli._output import as_text, deliver, folder_names, progress, say
from emergecast.errors import OptionError
from emergecast.records import as_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from emergecast.forecasts import Elbow, ForecastOptions, ForecastOrError
    from emergecast.inference import Fit, FitOptions
    from emergecast.measurements import Measurements, SelectOptions
    from emergecast.track_record import OldForecast


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The models that are asked about."""

    losses: LossesAsked = field(default_factory=LossesAsked)
    runs: tuple[dict[str, float], ...] = ()
    old: OldForecast | None = None
    """The forecast to compare the new one with."""


def run_forecasts(
    table: Measurements,
    rows: Sequence[SelectOptions],
    fitting: FitOptions,
    options: ForecastOptions,
    *,
    quiet: bool,
) -> tuple[ForecastOrError, ...]:
    """Every forecast that the rows ask for, under a progress bar.

    Unless `quiet`, the answer of a single one stands on standard error before its diagnostics.
    """
    from emergecast.forecasts import forecast_each

    with progress("Fitting") as move:
        total = 0

        def on_fit(done: int, of: int, name: str) -> None:
            nonlocal total
            total = of
            move(done, of, f"Fitting {name}")

        def on_elbow(fitted: Fit, elbow: Elbow) -> None:
            axis = fitted.selection.axis
            move(0, None, "Checking what it hangs on")
            if total == 1 and options.diagnostics and not quiet:
                say(
                    f"Few-shot emergence at {axis.number(elbow.p50)} {axis.unit}, 90% interval "
                    f"{axis.number(elbow.p05)} to {axis.number(elbow.p95)}. Checking what it hangs "
                    "on, for the verdict ..."
                )

        return forecast_each(table, rows, fitting, options, on_fit=on_fit, on_elbow=on_elbow)


def exit_by(results: Sequence[ForecastOrError]) -> None:
    """End with a status other than 0 where there is no forecast at all."""
    forecasts = [result.forecast for result in results if result.forecast is not None]
    if any(forecast.verdict != "refused" for forecast in forecasts):
        return
    raise typer.Exit(REFUSED if forecasts else BAD_INPUT)


def show_forecasts(
    results: Sequence[ForecastOrError], asked: Asked, out: Path | None, *, as_json: bool
) -> None:
    """Print the forecasts, as text or JSON, and write them and their pictures into a folder."""
    if asked.old is not None and len(results) > 1:
        raise OptionError(
            f"--update is for one forecast, and there are {len(results)}: say which with --task "
            "and --series."
        )
    records = [_record(result, asked) for result in results]
    deliver(
        records[0] if len(records) == 1 else {"forecasts": records},
        lambda: _text(results, records),
        None if out is None else lambda: _write(results, records, out),
        as_json=as_json,
    )


def _text(results: Sequence[ForecastOrError], records: list[dict[str, Any]]) -> str:
    """One forecast in full, or a line each for several."""
    from emergecast.cli.texts.forecasts import forecast_text, summary_text

    if len(results) == 1 and results[0].forecast is not None:
        return forecast_text(results[0].forecast, records[0], results[0].truth)
    return summary_text([(each.name, each.forecast, each.error) for each in results])


def _record(result: ForecastOrError, asked: Asked) -> dict[str, Any]:
    """The JSON object of one result."""
    if result.forecast is None:
        return {"name": result.name, "error": str(result.error)}
    forecast, losses = result.forecast, asked.losses
    if forecast.elbow is None:
        asked = Asked(old=asked.old)
    record = forecast.record(
        at_loss=tuple(forecast.at(loss, losses.score) for loss in asked.losses.at_loss),
        at_compute=at_compute(forecast, asked.runs),
        command=command_line(),
    )
    found: dict[str, Any] = as_json(record)
    if asked.old is not None:
        from emergecast.track_record import what_changed

        found["update"] = as_json(what_changed(asked.old, forecast))
    return found


def _write(
    results: Sequence[ForecastOrError], records: list[dict[str, Any]], out: Path
) -> list[Path]:
    """forecast.json and the pictures, in one folder a fit where there are several."""
    from emergecast.files import save_text
    from emergecast.report import compute, distribution, fan, influence, save

    written: list[Path] = []
    folders = folder_names([result.name for result in results])
    for result, record, name in zip(results, records, folders, strict=True):
        if result.forecast is None:
            continue
        folder = out if len(results) == 1 else out / name
        written.append(save_text(as_text(record), folder, "forecast.json"))
        written += save(fan(result.forecast), folder, "fan")
        written += save(distribution(result.forecast), folder, "distribution")
        if not result.forecast.compute_curve().is_empty():
            written += save(compute(result.forecast), folder, "compute")
        if result.forecast.diagnostics is not None:
            written += save(influence(result.forecast), folder, "influence")
    return written
