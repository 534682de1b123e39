"""Commands that forecast: fit, demo."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emergecast.cli._app import BAD_INPUT, app
from emergecast.cli._compute import (
    AtFlopsOption,
    AtModelOption,
    ByDateOption,
    ComputeOptimalOption,
    ModelSizeOption,
    NoAnchorOption,
    ScalingLawOption,
    TokenBudgetOption,
    TokensPerParamOption,
    at_compute,
    compute_options,
    runs_asked,
)
from emergecast.cli._table import ChanceOption, JsonOption, LossFromOption
from emergecast.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from emergecast.backtest import GroundTruth
    from emergecast.errors import EmergecastError
    from emergecast.forecast import Forecast
    from emergecast.measurements import Measurements, SelectOptions

FOLDERS_SHOWN = 6
"""Folders that the last line names at most."""
REFUSED = 3
"""Exit status when every forecast asked for is refused."""

OutOption = Annotated[
    Path | None,
    typer.Option("-o", "--out", help="Folder for forecast.json and the pictures (SVG, PNG)."),
]
BootstrapOption = Annotated[
    int, typer.Option("--bootstrap", min=0, help="Resamples of each kind; 0 for none.")
]


AxisOption = Annotated[
    str,
    typer.Option(
        "--axis",
        metavar="NAME[:higher|lower][:log10|linear]",
        help="What stands for capability: loss, flops, params, tokens (log10 unless :linear) or "
        "any column of numbers (higher is stronger unless :lower).",
    ),
]
ShiftOption = Annotated[
    str,
    typer.Option(
        "--shift",
        metavar="NAME[:log10][:xNUMBER]",
        help="What moves the elbow: examples, or any column of numbers that is 0 where nothing "
        "does (shots, a hint fraction, steps of reinforcement learning).",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """One task and series: a forecast, or what stood in its way."""

    name: str
    forecast: Forecast | None
    error: EmergecastError | None
    truth: GroundTruth | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The models to say something about."""

    losses: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()
    runs: tuple[dict[str, float], ...] = ()


@app.command()
def fit(
    table: Annotated[Path, typer.Argument(help="A .csv, .parquet, .jsonl or .ndjson table.")],
    task: Annotated[
        list[str] | None, typer.Option("--task", help="Task to forecast; repeatable. All if none.")
    ] = None,
    series: Annotated[
        list[str] | None,
        typer.Option("--series", help="Series to fit; repeatable. Each on its own if none."),
    ] = None,
    pool: Annotated[bool, typer.Option("--pool", help="Fit several series as one.")] = False,
    at_chance_only: Annotated[
        bool,
        typer.Option(
            "--at-chance-only",
            help="Hide the weakest checkpoint that is above chance few-shot, and all at or below "
            "its loss.",
        ),
    ] = False,
    min_loss: Annotated[
        float | None, typer.Option(help="Leave out checkpoints of lower loss (nats), or --axis.")
    ] = None,
    max_loss: Annotated[
        float | None, typer.Option(help="Leave out checkpoints of higher loss (nats), or --axis.")
    ] = None,
    axis: AxisOption = "loss",
    shift: ShiftOption = "examples",
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", help="Checkpoint to leave out, * and ? allowed; repeatable."),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where", metavar="COLUMN=VALUE", help="Keep rows with this value; repeatable."
        ),
    ] = None,
    metric: Annotated[str | None, typer.Option(help="Metric to fit.")] = None,
    method: Annotated[str | None, typer.Option(help="Finetuning method to fit.")] = None,
    shots: Annotated[int | None, typer.Option(help="Shots of the few-shot rows to fit.")] = None,
    loss_corpus: Annotated[
        str | None, typer.Option(help="Held-out corpus whose losses to use.")
    ] = None,
    few_shot_examples: Annotated[
        float | None,
        typer.Option(
            help="D0, where the few-shot elbow is read off, in the unit of --shift; default: the "
            "shots."
        ),
    ] = None,
    law: Annotated[
        list[str] | None,
        typer.Option(
            "--law",
            help="Emergence law: log-power, power or hill, with +soft, +ceiling, +slopes, "
            "+deviation, +student; repeat it to mix several. Default: a mixture.",
            metavar="LAW",
        ),
    ] = None,
    weights: Annotated[
        str,
        typer.Option(help="Weights of a mixture: fixed, or stacking (by held-out checkpoints)."),
    ] = "fixed",
    prior: Annotated[
        list[str] | None,
        typer.Option("--prior", metavar="NAME=VALUE", help="Override a prior scale; repeatable."),
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            "--threshold", metavar="NAME=VALUE", help="Override a rule of the verdict; repeatable."
        ),
    ] = None,
    lower_is_better: Annotated[
        bool | None,
        typer.Option(
            "--lower-is-better/--higher-is-better", help="Orientation of an unknown metric."
        ),
    ] = None,
    chance: ChanceOption = None,
    loss_from: LossFromOption = None,
    at_loss: Annotated[
        list[float] | None,
        typer.Option(
            "--at-loss",
            help="Say what to expect of a model of this loss, or value of --axis; repeatable.",
        ),
    ] = None,
    score: Annotated[
        list[float] | None,
        typer.Option("--score", help="With --at-loss: probability of a score above this."),
    ] = None,
    scaling_law: ScalingLawOption = None,
    tokens_per_param: TokensPerParamOption = None,
    token_budget: TokenBudgetOption = None,
    model_size: ModelSizeOption = None,
    compute_optimal: ComputeOptimalOption = False,
    no_anchor: NoAnchorOption = False,
    compute_by_date: ByDateOption = None,
    at_model: AtModelOption = None,
    at_flops: AtFlopsOption = None,
    bootstrap: BootstrapOption = 200,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forecast the loss at which few-shot emergence happens.

    Prints the verdict first, then the distribution of that loss, what it means in training compute,
    and what it rests on. Exit status 0 with a forecast, 3 when it is refused, 2 on bad input.

    Example: `emergecast fit table.parquet --task mmlu --at-chance-only -o forecast`
    """
    from emergecast.forecast import Thresholds
    from emergecast.measurements import Axis, SelectOptions, read_table

    asked = replace(
        _asked(at_loss, score, positive=Axis.parse(axis).is_loss),
        runs=runs_asked(at_model, at_flops),
    )
    tasks: list[str | None] = [*task] if task else [None]
    options = SelectOptions(
        series=tuple(series) if series else None,
        pool=pool,
        metric=metric,
        method=method,
        shots=shots,
        loss_corpus=loss_corpus,
        at_chance_only=at_chance_only,
        min_loss=min_loss,
        max_loss=max_loss,
        exclude=tuple(exclude or ()),
        where=tuple(_pair(text, "--where") for text in where or ()),
        lower_is_better=lower_is_better,
        axis=axis,
        shift=shift,
    )
    ways = {
        "law": law or "mixture",
        "weights": weights,
        "few_shot_examples": few_shot_examples,
        "priors": _numbers(prior, "--prior"),
    }
    rules = _numbers(threshold, "--threshold")
    Thresholds().override(rules)  # a wrong name is an error before anything is read
    compute = compute_options(
        scaling_law,
        tokens_per_param=tokens_per_param,
        token_budget=token_budget,
        model_size=model_size,
        compute_optimal=compute_optimal,
        no_anchor=no_anchor,
        by_date=compute_by_date,
    )
    reading = {"bootstraps": bootstrap, "rules": rules, "compute": compute}
    rows = read_table(table, chance=chance, loss_from=loss_from, axis=axis, shift=shift)
    results = _run(rows, [replace(options, task=name) for name in tasks], ways, reading)
    _show(results, asked, out, as_json=as_json)
    _exit(results)


@app.command()
def demo(
    scaling_law: ScalingLawOption = None,
    at_model: AtModelOption = None,
    at_flops: AtFlopsOption = None,
    bootstrap: BootstrapOption = 200,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forecast from a bundled table of real measurements, and compare with what came later.

    The table comes from the proving ground: tiny transformers trained from nothing, in which a
    few-shot skill really does emerge. Only checkpoints that are still at chance are used.

    Example: `emergecast demo -o demo`
    """
    from emergecast.measurements import SelectOptions, proving_ground

    options = SelectOptions(pool=True, at_chance_only=True, exclude=("S-*",))
    asked = _Asked(runs=runs_asked(at_model, at_flops))
    reading = {"bootstraps": bootstrap, "compute": compute_options(scaling_law)}
    results = _run(proving_ground(), [options], {}, reading)
    if not as_json:
        print(
            "The proving ground: transformers of 0.2 and 0.5 million parameters, two seeds each, "
            "trained from nothing\non a synthetic language in which matching words to labels from "
            "eight examples in the prompt is a skill\nthat appears late. The forecast sees only "
            "the checkpoints that do not have it yet.\n"
        )
    _show(results, asked, out, as_json=as_json)
    _exit(results)


# ------------------------------------------------------------------------------------ running


def _run(
    table: Measurements,
    options: list[SelectOptions],
    ways: dict[str, Any],
    reading: dict[str, Any],
) -> list[_Result]:
    """Every fit that the options ask for; an error of one does not stop the others.

    `ways` are arguments of `fit`, `reading` of `Fit.forecast`, with thresholds to override as
    `rules`.
    """
    from emergecast.backtest import ground_truth
    from emergecast.errors import FitError, SelectionError
    from emergecast.fit import fit as fit_law
    from emergecast.forecast import default_thresholds
    from emergecast.measurements import fits_of

    rules = reading.get("rules", {})
    reading = {name: value for name, value in reading.items() if name != "rules"}

    wanted = [each for option in options for each in fits_of(table, option)]
    several = len(wanted) > 1
    results = []
    for each in _progress(wanted):
        name = " / ".join(str(part) for part in (each.task, each.series) if isinstance(part, str))
        try:
            fitted = fit_law(table, select_options=each, **ways)
            truth = ground_truth(fitted.selection) if fitted.selection.hidden else None
            thresholds = default_thresholds(fitted).override(rules)
            forecast = fitted.forecast(thresholds=thresholds, **reading)
            if truth is not None:
                forecast = replace(forecast, truth=forecast.axis.to_axis(truth.elbow))
        except (SelectionError, FitError) as error:
            if not several:
                raise
            results.append(_Result(name=name, forecast=None, error=error, truth=None))
        else:
            results.append(_Result(name=name, forecast=forecast, error=None, truth=truth))
    return results


def _progress(wanted: list[SelectOptions]) -> Iterable[SelectOptions]:
    """A progress bar on standard error, where that is a terminal and there is a wait."""
    if len(wanted) == 1 or not sys.stderr.isatty():
        return wanted
    from rich.console import Console
    from rich.progress import track

    return track(wanted, "Fitting", console=Console(stderr=True), transient=True)


def _exit(results: list[_Result]) -> None:
    forecasts = [result.forecast for result in results if result.forecast is not None]
    if any(forecast.elbow is not None for forecast in forecasts):
        return
    raise typer.Exit(REFUSED if forecasts else BAD_INPUT)


def _asked(losses: list[float] | None, scores: list[float] | None, *, positive: bool) -> _Asked:
    """The losses and scores to say something about; nan and inf have nothing to be said about."""
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
    return _Asked(losses=tuple(losses or ()), scores=tuple(scores or ()))


def _numbers(texts: list[str] | None, option: str) -> dict[str, float]:
    """NAME=NUMBER options as a mapping."""
    pairs = [_pair(text, option) for text in texts or ()]
    return {name: _number(value, f"{option} {name}") for name, value in pairs}


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        message = f"{option} takes NAME=VALUE, not {text!r}."
        raise OptionError(message)
    return name.strip(), value.strip()


def _number(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        message = f"{what} takes a number, not {text!r}."
        raise OptionError(message) from None


# ------------------------------------------------------------------------------------ showing


def _show(results: list[_Result], asked: _Asked, out: Path | None, *, as_json: bool) -> None:
    records = [_record(result, asked) for result in results]
    try:
        written = _write(results, records, out)
    finally:  # a folder that cannot be written must not swallow the forecast
        if not as_json:
            _print_text(results, records)
    if as_json:
        print(json.dumps(records[0] if len(records) == 1 else {"forecasts": records}, indent=2))
    elif written:
        print(f"\n{_written(written)}")


def _written(paths: list[Path]) -> str:
    """What was written where, in a sentence."""
    names = ", ".join(sorted({path.name for path in paths}))
    folders = list(dict.fromkeys(map(str, (path.parent for path in paths))))
    rest = len(folders) - FOLDERS_SHOWN
    where = ", ".join(folders[:FOLDERS_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
    return f"Wrote {names} to {where}"


def _print_text(results: list[_Result], records: list[dict[str, Any]]) -> None:
    """One forecast in full, or a line each for several."""
    from emergecast.cli._text import forecast_text, summary_text

    if len(results) == 1 and results[0].forecast is not None:
        print(forecast_text(results[0].forecast, records[0], results[0].truth))
    else:
        print(summary_text([(each.name, each.forecast, each.error) for each in results]))


def _record(result: _Result, asked: _Asked) -> dict[str, Any]:
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


def _write(results: list[_Result], records: list[dict[str, Any]], out: Path | None) -> list[Path]:
    """forecast.json and the pictures, in one folder a fit where there are several."""
    if out is None:
        return []
    from emergecast.report import compute, distribution, fan, influence, save, save_text

    written: list[Path] = []
    folders = _folder_names([result.name for result in results])
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


def _folder_names(names: list[str]) -> list[str]:
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
