"""The command that shows one run of an experiment."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from emergecast.cli._options import JsonOption
from emergecast.cli.commands.experiment import FileArgument


def show(
    file: FileArgument,
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Its title, or the first letters of its key.")
    ],
    items: Annotated[
        bool, typer.Option("--items", help="List every test item and what the model said to it.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show one run: its scores, how long it took, and what the model said.

    Example: `emergecast show experiment.yaml 'v1/S-108 few_shot matching' --items`
    """
    from emergecast.cli.texts.runs import run_as_json, run_text
    from emergecast.lab.experiment import read_experiment
    from emergecast.lab.plan import look_up

    found = look_up(read_experiment(file), run)
    if as_json:
        print(json.dumps(run_as_json(found, items=items)))
    else:
        print(run_text(found, items=items))
