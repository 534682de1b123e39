"""Command that fits a scaling law to a table of pretraining runs: scaling fit."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from emergecast.cli._from_records import Without, pair
from emergecast.cli._options import JsonOption, out_folder
from emergecast.cli._output import as_text, deliver, progress, say
from emergecast.errors import OptionError, ScalingError
from emergecast.measurements import RunsOptions, read_runs, values_of
from emergecast.scaling import Form, ScalingFit, ScalingFitOptions, fit_scaling_law, scaling_record

_NAME = "loss|params|tokens|flops|run"


def fit(
    runs: Annotated[
        Path, typer.Argument(help="A .csv, .parquet, .jsonl or .ndjson table of runs.")
    ],
    *,
    law: Annotated[
        str | None,
        typer.Option(
            "--law",
            metavar="NAME",
            help="chinchilla, params, tokens or flops: what loss is a function of. Default: "
            "chinchilla where the table gives params and tokens, else what it gives.",
        ),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--columns",
            metavar="NAME=HEADING",
            help="Heading of loss, params, tokens, flops or run where it differs. Repeatable, "
            "or several with commas between.",
        ),
    ] = None,
    table: Annotated[RunsOptions, Without("columns")],
    options: Annotated[ScalingFitOptions, Without("floor_nats", "outlier_z")],
    floor: Annotated[
        float | None, typer.Option("--floor", help="Hold the floor E at this loss (nats).")
    ] = None,
    no_floor: Annotated[bool, typer.Option("--no-floor", help="A law without a floor.")] = False,
    group_by: Annotated[
        str | None,
        typer.Option(
            "--group-by",
            metavar="COLUMN",
            help="One law for each value of this column, such as the text of the losses.",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the resamples; the same seed, the same errors.")
    ] = None,
    out: Annotated[
        Path | None,
        out_folder("Folder for scaling.json and the picture (SVG, PNG)."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Fit a scaling law to a table of pretraining runs.

    Columns: loss (nats per token), two of params, tokens and flops (or one of them), and run where
    several points belong to one training run. Prints every constant with its standard error, by
    bootstrap and by curvature, and whether there are other optima. `scaling convert --law
    FOLDER/scaling.json` uses the result; of several groups each has a folder.

    Example: `emergecast scaling fit runs.csv --columns params="Model Size",flops="Training FLOP"
    -o law`
    """
    if no_floor and floor is not None:
        raise OptionError("--no-floor and --floor exclude each other. Give one of them.")
    options = replace(options, floor_nats=0.0 if no_floor else floor)
    form = _form(law)
    table = replace(table, columns=_columns(columns))
    groups = [None] if group_by is None else values_of(runs, group_by)
    fits: dict[str | None, ScalingFit] = {}
    for value in groups:
        only = [] if group_by is None else [(group_by, str(value))]
        try:
            read = read_runs(runs, replace(table, where=(*table.where, *only)))
            with progress("Refitting", options.bootstraps) as move:
                rng = None if seed is None else np.random.default_rng(seed)
                fits[value] = fit_scaling_law(read, form, options=options, rng=rng, progress=move)
        except ScalingError as error:
            if group_by is None:
                raise
            say(f"No law for {group_by} {value}: {error}")
    if not fits:
        raise ScalingError(f"no value of {group_by} has runs enough for a law of its own.")
    _show(fits, group_by, out, as_json=as_json)


def _form(name: str | None) -> Form | None:
    if name is None:
        return None
    try:
        return Form(name)
    except ValueError:
        raise OptionError(f'there is no law "{name}" to fit. Give {", ".join(Form)}.') from None


def _columns(texts: list[str] | None) -> dict[str, str]:
    """NAME=HEADING pairs; a comma parts two of them only before one of the names."""
    parts = [part for text in texts or () for part in re.split(rf",(?=\s*(?:{_NAME})=)", text)]
    return dict(pair(part, "--columns") for part in parts)


def _show(
    fits: dict[str | None, ScalingFit], group_by: str | None, out: Path | None, *, as_json: bool
) -> None:
    from emergecast.cli.texts.scaling_fits import fit_text

    records = {value: scaling_record(fit) for value, fit in fits.items()}
    texts = [
        f"{fit_text(fit)}" if value is None else f"{group_by} {value}\n\n{fit_text(fit)}"
        for value, fit in fits.items()
    ]
    deliver(
        records[None] if group_by is None else {group_by: records},
        lambda: "\n\n".join(texts),
        None if out is None else lambda: _write(fits, records, out),
        as_json=as_json,
    )


def _write(
    fits: dict[str | None, ScalingFit], records: dict[str | None, dict[str, Any]], out: Path
) -> list[Path]:
    """One folder a law; several stand below it, by the value that they are of."""
    from emergecast.files import save_text
    from emergecast.report import save
    from emergecast.report import scaling as picture

    written: list[Path] = []
    for value, fit in fits.items():
        folder = out if value is None else out / re.sub(r"[^\w.-]", "_", value)
        written.append(save_text(as_text(records[value]), folder, "scaling.json"))
        written += save(picture(fit), folder, "scaling")
    return written
