"""The command that tries the sandbox."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from emergecast.cli._options import JsonOption
from emergecast.cli._output import progress

NOT_HELD = 1
"""Exit status where a program got out, or harmed what it must not."""


def check(
    python: Annotated[
        str | None,
        typer.Option("--python", help="The Python that runs programs; this one if absent."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run programs that try to get out of the sandbox, and say whether it holds on this machine.

    Exit status 0: it held every one; 1: it did not.

    Example: `emergecast sandbox check`
    """
    from emergecast.lab.sandbox import Interpreter, Trial, hostile_programs, try_all
    from emergecast.records import as_json as record

    interpreter = Interpreter() if python is None else Interpreter(executable=python, numpy=False)
    done: list[Trial] = []
    with progress("trying", len(hostile_programs())) as move:

        def tell(trial: Trial) -> None:
            done.append(trial)
            move(len(done), what=trial.name)

        found = try_all(interpreter, tell)
    if as_json:
        print(json.dumps(record(found)))
    else:
        for trial in found.trials:
            verdict = "held" if trial.held else "NOT HELD"
            print(f"{verdict:<8}  {trial.name} (the program: {trial.ending})")
            if trial.why:
                print(f"          {trial.why}")
        held = sum(trial.held for trial in found.trials)
        print(f"{found.interpreter}: the sandbox held {held} of {len(found.trials)} programs.")
    if not found.held:
        raise typer.Exit(NOT_HELD)
