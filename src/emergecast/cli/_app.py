"""The application: which commands there are, in the order in which `--help` lists them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated

import typer

from emergecast.cli._failures import ErrorsAsMessages
from emergecast.cli.commands import (
    backtest,
    compare,
    demo,
    experiment,
    fit,
    freeze,
    proving_ground,
    scaling,
    scaling_fit,
    simulate,
    suggest,
    table,
)

app = typer.Typer(
    cls=ErrorsAsMessages,
    name="emergecast",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Forecast at which pretraining loss a capability will emerge, from checkpoints at chance.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"emergecast {version('emergecast')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Take the options that stand before the command."""


_COMMANDS: tuple[Callable[..., None], ...] = (
    demo.demo,
    table.template,
    table.check,
    fit.fit,
    suggest.suggest,
    freeze.freeze,
    freeze.score,
    backtest.backtest,
    compare.compare,
    simulate.simulate,
    experiment.plan,
    experiment.run,
    experiment.status,
    experiment.retry,
    experiment.export,
    proving_ground.proving_ground,
)
_IMPORT: tuple[Callable[..., None], ...] = (table.lm_eval,)
_SCALING: tuple[Callable[..., None], ...] = (
    scaling_fit.fit,
    scaling.convert,
    scaling.laws,
    scaling.flops,
)


def _add(to: typer.Typer, commands: tuple[Callable[..., None], ...]) -> None:
    """Each under the name of its function."""
    for command in commands:
        to.command()(command)


def _add_group(
    name: str, about: Callable[[], None], commands: tuple[Callable[..., None], ...]
) -> None:
    group = typer.Typer(no_args_is_help=True)
    group.callback()(about)
    _add(group, commands)
    app.add_typer(group, name=name)


_add(app, _COMMANDS)
_add_group("import", table.importing, _IMPORT)
_add_group("scaling", scaling.scaling, _SCALING)


def main() -> None:
    """Entry point of the command `emergecast`."""
    # Matrices are small: more threads of BLAS wait for one another, most of all on a busy machine.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    app()
