"""Command that fits a scaling law to a table of pretraining runs: scaling fit."""

from __future__ import annotations

import json
import re
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emergecast.cli._options import JsonOption, WhereOption
from emergecast.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from emergecast.scaling import Form, ScalingFit

_NAME = "loss|params|tokens|flops|run"


def fit(
    runs: Annotated[
        Path, typer.Argument(help="A .csv, .parquet, .jsonl or .ndjson table of runs.")
    ],
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
            help="Heading of loss, params, tokens, flops or run where it differs; repeatable, "
            "or several with commas between.",
        ),
    ] = None,
    where: WhereOption = None,
    drop_highest: Annotated[
        int, typer.Option("--drop-highest", min=0, help="Leave out so many points of highest loss.")
    ] = 0,
    floor: Annotated[
        float | None, typer.Option("--floor", help="Hold the floor E at this loss (nats).")
    ] = None,
    no_floor: Annotated[bool, typer.Option("--no-floor", help="A law without a floor.")] = False,
    delta: Annotated[
        float, typer.Option(help="Residual in ln L from which a point counts linearly.")
    ] = 1e-3,
    bootstrap: Annotated[
        int, typer.Option(min=0, help="Refits to resampled runs, or points; 0 for none.")
    ] = 1000,
    starts: Annotated[
        int, typer.Option(min=1, help="Searches from other exponents, to look for other optima.")
    ] = 64,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the resamples; the same seed, the same errors.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Folder for scaling.json and the picture (SVG, PNG)."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Fit a scaling law to a table of pretraining runs.

    Columns: loss (nats per token), two of params, tokens and flops (or one of them), and run where
    several points belong to one training run. Prints every constant with its standard error, by
    bootstrap and by curvature, and whether there are other optima. `scaling convert --law
    FOLDER/scaling.json` uses the result.

    Example: `emergecast scaling fit runs.csv --columns params="Model Size",flops="Training FLOP"
    -o law`
    """
    import numpy as np

    from emergecast.measurements import RunsOptions, read_runs
    from emergecast.scaling import FitOptions, fit_scaling_law

    if no_floor and floor is not None:
        raise OptionError("--no-floor and --floor exclude each other. Give one of them.")
    form = _form(law)
    options = FitOptions(
        delta=delta,
        floor_nats=0.0 if no_floor else floor,
        bootstraps=bootstrap,
        starts=starts,
    )
    table = RunsOptions(
        columns=_columns(columns),
        where=tuple(_pair(text, "--where") for text in where or ()),
        drop_highest=drop_highest,
    )
    read = read_runs(runs, table)
    with _progress(bootstrap) as progress:
        rng = None if seed is None else np.random.default_rng(seed)
        fit = fit_scaling_law(read, form, options=options, rng=rng, progress=progress)
    _show(fit, out, as_json=as_json)


def _form(name: str | None) -> Form | None:
    from emergecast.scaling import Form

    if name is None:
        return None
    try:
        return Form(name)
    except ValueError:
        raise OptionError(f'there is no law "{name}" to fit. Give {", ".join(Form)}.') from None


def _columns(texts: list[str] | None) -> dict[str, str]:
    """NAME=HEADING pairs; a comma parts two of them only before one of the names."""
    parts = [part for text in texts or () for part in re.split(rf",(?=\s*(?:{_NAME})=)", text)]
    return dict(_pair(part, "--columns") for part in parts)


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise OptionError(f"{option} takes NAME=VALUE, not {text!r}.")
    return name.strip(), value.strip()


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None] | None]:
    """A progress bar on standard error, where that is a terminal."""
    if not total or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Refitting", total=total)
        yield lambda done: bar.update(task, completed=done)


def _show(fit: ScalingFit, out: Path | None, *, as_json: bool) -> None:
    from emergecast.cli.texts.scaling_fits import fit_text
    from emergecast.scaling import scaling_record

    record = scaling_record(fit)
    try:
        written = _write(fit, record, out)
    finally:  # a folder that cannot be written must not swallow the fit
        if not as_json:
            print(fit_text(fit))
    if as_json:
        print(json.dumps(record, indent=2))
    elif written:
        print(f"\nWrote {', '.join(sorted({path.name for path in written}))} to {out}")


def _write(fit: ScalingFit, record: dict[str, Any], out: Path | None) -> list[Path]:
    """scaling.json and the picture."""
    if out is None:
        return []
    from emergecast.files import save_text
    from emergecast.report import save
    from emergecast.report import scaling as picture

    written = [save_text(json.dumps(record, indent=2) + "\n", out, "scaling.json")]
    return [*written, *save(picture(fit), out, "scaling")]
