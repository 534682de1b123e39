"""The command that shows all of it: demo, from bundled measurements or from scratch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from emergecast.cli._compute_options import AllocationAsked, LawAsked, RunsAsked
from emergecast.cli._failures import INTERRUPTED
from emergecast.cli._forecasts import Asked, exit_by, run_forecasts, show_forecasts
from emergecast.cli._from_records import Without
from emergecast.cli._options import JsonOption, OutOption
from emergecast.cli._output import say
from emergecast.cli._wrap import wrapped
from emergecast.errors import OptionError
from emergecast.forecasts import ForecastOptions
from emergecast.inference import FitOptions
from emergecast.measurements import proving_ground, proving_ground_options, select

if TYPE_CHECKING:
    from emergecast.measurements import Measurements, SelectOptions

FOLDER: Final = Path("demo")
"""Where the experiment goes if no folder is given."""
TABLE: Final = "measurements.csv"
"""The measurements, in the folder of the forecast."""


def demo(
    *,
    from_scratch: Annotated[
        bool,
        typer.Option(
            "--from-scratch",
            help="Make the measurements again: train the models, finetune and evaluate them. Takes "
            "up to 10 minutes on two cores; may be stopped and started again. Needs the extra lab.",
        ),
    ] = False,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="smoke|default|full",
            help="With --from-scratch: how much of it (default; full takes an hour).",
        ),
    ] = None,
    law: Annotated[LawAsked, Without("no_anchor", "compute_by_date")],
    runs: RunsAsked,
    options: Annotated[ForecastOptions, Without("rules", "diagnostics", "compute")],
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forecast from real measurements, and compare with what came later.

    The measurements come from the proving ground: tiny transformers trained from scratch, in which
    a few-shot skill really does emerge. Only checkpoints that are still at chance are used. The
    table of measurements is bundled, unless --from-scratch makes a new one; -o writes it too.

    Example: `emergecast demo -o demo`
    """
    asked = Asked(runs=runs.runs())
    options = replace(options, compute=law.options(AllocationAsked()))
    if preset is not None and not from_scratch:
        raise OptionError("--preset goes with --from-scratch; the bundled table is of preset full.")
    if preset == "skills":
        raise OptionError(
            "preset skills has eight tasks and takes hours. Make it with emergecast proving-ground,"
            " or choose smoke, default or full."
        )
    if from_scratch:
        out = out or FOLDER
        try:
            table = _measure(preset or "default", out)
        except KeyboardInterrupt:
            say(f"Stopped. What is done is kept in {out}; run the same command to continue.")
            raise typer.Exit(INTERRUPTED) from None
    else:
        table = proving_ground()
    chosen = proving_ground_options(table)
    if not as_json:
        print(_introduction(table, chosen), flush=True)
    results = run_forecasts(table, [chosen], FitOptions(), options, quiet=as_json)
    show_forecasts(results, asked, out, as_json=as_json)
    if out is not None:
        table.write(out / TABLE)
        if not as_json:
            print(f"The measurements are in {out / TABLE}")
    exit_by(results)


def _introduction(table: Measurements, chosen: SelectOptions) -> str:
    """What the models are."""
    params = select(table, chosen).all_few_shot["params"].to_list()
    sizes = dict.fromkeys(f"{size / 1e6:.2g}" for size in (min(params), max(params)))
    seeds = len(chosen.series or ())
    text = (
        f"The proving ground: transformers of {' to '.join(sizes)} million parameters,"
        f" {seeds} seed{'s' * (seeds > 1)}, trained"
        " from scratch on a synthetic language in which matching words to labels from eight"
        " examples in the prompt is a skill that appears late. The forecast sees only the"
        " checkpoints that do not have it yet."
    )
    return "\n".join(wrapped(text)) + "\n"


def _measure(preset: str, folder: Path) -> Measurements:
    """Do the whole experiment in a folder, as far as it is not done, and return its table."""
    from emergecast.cli.commands.experiment import run_progress
    from emergecast.cli.commands.proving_ground import training_progress
    from emergecast.lab.executors import run_all
    from emergecast.lab.experiment import read_experiment
    from emergecast.lab.plan import make_table, survey
    from emergecast.lab.proving_ground import make, missing, order

    ground = folder / "proving-ground"
    wanted = order(preset)
    todo = missing(wanted, ground)
    say(f"1. Pretraining: {len(todo)} of {len(wanted.pretrainings)} models are to be trained.")
    with training_progress(todo) as on_progress:
        made = make(wanted, ground, on_progress=on_progress)
    experiment = read_experiment(made.experiment)
    say(f"2. Measuring {made.checkpoints} checkpoints: {made.experiment}")
    with run_progress() as listener:
        report = run_all(experiment, listener=listener)
    found = survey(experiment, remember=True)
    exported = make_table(found.plan, found.results)
    if report.failed:
        say(
            f"{report.failed:,} runs failed; emergecast status {made.experiment} --failed says why."
        )
    say(f"3. Forecasting from {len(exported.table):,} scores.\n")
    return exported.table
