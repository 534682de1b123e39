"""The application: which commands there are, and how an error reaches a person or a program."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from emergecast.errors import EmergecastError, ExperimentError, LabError, TableError

BAD_INPUT: Final = 2
"""Exit status of bad input: a table, an option, a file that cannot be read or written."""
INTERRUPTED: Final = 130
"""Exit status after Ctrl-C, as shells have it."""
_JSON: Final = "emergecast.json"
_OF_THE_LAB: Final = frozenset(
    {
        "accelerate",
        "datasets",
        "huggingface_hub",
        "lm_eval",
        "peft",
        "safetensors",
        "tokenizers",
        "torch",
        "transformers",
        "yaml",
    }
)
"""What the extra `lab` brings."""


class _Group(TyperGroup):
    """Turns errors raised on purpose, and failing files, into a message and exit status 2."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Remember whether the command was asked for JSON, so that its error is JSON too."""
        ctx.meta[_JSON] = "--json" in args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # noqa: ANN401
        """Run the command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except (EmergecastError, OSError) as error:
            _report(error, as_json=ctx.meta[_JSON])
            raise typer.Exit(BAD_INPUT) from None
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in _OF_THE_LAB:
                raise
            missing = LabError(
                f"this command measures models and needs {error.name}, which is not installed."
                " Install the lab: pip install 'emergecast[lab]'"
            )
            _report(missing, as_json=ctx.meta[_JSON])
            raise typer.Exit(BAD_INPUT) from None


def _report(error: EmergecastError | OSError, *, as_json: bool) -> None:
    message = str(error)
    if isinstance(error, OSError):
        where = f'"{error.filename}": ' if error.filename else ""
        message = f"{where}{error.strerror or error}. Check the path and its permissions."
    if as_json:
        print(json.dumps({"error": message, "problems": problems_as_json(error)}))
    print(f"emergecast: {message}", file=sys.stderr)


def problems_as_json(error: BaseException) -> list[dict[str, Any]]:
    """The problems of a table or an experiment as plain records; none for another error."""
    if isinstance(error, ExperimentError):
        return [dataclasses.asdict(problem) for problem in error.problems]
    if not isinstance(error, TableError):
        return []
    names = ("file", "row", "column", "value", "what", "remedy")
    return [{name: getattr(problem, name) for name in names} for problem in error.problems]


app = typer.Typer(
    cls=_Group,
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


def main() -> None:
    """Entry point of the command `emergecast`."""
    # Matrices are small: more threads of BLAS wait for one another, most of all on a busy machine.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    app()


# Each of these modules adds its commands to `app`, so they come last.
from emergecast.cli import (  # noqa: E402
    _backtest,  # noqa: F401
    _compare,  # noqa: F401
    _demo,  # noqa: F401
    _fit,  # noqa: F401
    _freeze,  # noqa: F401
    _lab,  # noqa: F401
    _proving_ground,  # noqa: F401
    _scaling,  # noqa: F401
    _scaling_fit,  # noqa: F401
    _simulate,  # noqa: F401
    _suggest,  # noqa: F401
    _table,  # noqa: F401
)
