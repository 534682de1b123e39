"""How an error reaches a person or a program: messages, problems as records, exit statuses."""

from __future__ import annotations

import dataclasses
import errno
import json
import shlex
import sys
from contextvars import ContextVar
from typing import Any, Final

import typer
from typer.core import TyperGroup

from emergecast.cli._terminal import safe_output
from emergecast.cli._wrap import on_stderr
from emergecast.errors import EmergecastError, ExperimentError, LabError, TableError

BAD_INPUT: Final = 2
"""Exit status of bad input: a table, an option, a file that cannot be read or written."""
REFUSED: Final = 3
"""Exit status when every forecast asked for is refused."""
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
_WITH_REMEDY: Final = frozenset({errno.EFBIG, errno.EINVAL})
"""Of errors of the system, those that `files` raises with a remedy."""


_COMMAND_LINE: ContextVar[tuple[str, ...]] = ContextVar("_COMMAND_LINE")


def command_line() -> str:
    """The command line that is running, as it is typed into a shell."""
    return shlex.join(_COMMAND_LINE.get())


class ErrorsAsMessages(TyperGroup):
    """Turns errors raised on purpose, and failing files, into a message and exit status 2."""

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  as click has it
        """Run the whole command line; no text of a file gives the terminal orders."""
        with safe_output():
            return super().main(*args, **kwargs)

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Remember whether the command was asked for JSON, so that its error is JSON too."""
        ctx.meta[_JSON] = "--json" in args
        if ctx.parent is None:
            _COMMAND_LINE.set(("emergecast", *args))
        return super().parse_args(ctx, args)

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # noqa: ANN401
        """Run the command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except (EmergecastError, OSError) as error:
            report(error, as_json=ctx.meta[_JSON])
            raise typer.Exit(BAD_INPUT) from None
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in _OF_THE_LAB:
                raise
            missing = LabError(
                f"this command measures models and needs {error.name}, which is not installed."
                " Install the lab: pip install 'emergecast[lab]'"
            )
            report(missing, as_json=ctx.meta[_JSON])
            raise typer.Exit(BAD_INPUT) from None


def message_of(error: EmergecastError | OSError) -> str:
    """What happened and what to do, for a person."""
    if not isinstance(error, OSError):
        return str(error)
    where = f'"{error.filename}": ' if error.filename else ""
    remedy = "" if error.errno in _WITH_REMEDY else " Check the path and its permissions."
    return f"{where}{error.strerror or error}.{remedy}"


def report(error: EmergecastError | OSError, *, as_json: bool) -> None:
    """Print what went wrong, for a person, and before that for a program that asked for JSON."""
    message = message_of(error)
    if as_json:
        print(json.dumps({"error": message, "problems": problems_as_json(error)}))
    print(on_stderr(f"emergecast: {message}", whole=_places(error)), file=sys.stderr)


def _places(error: EmergecastError | OSError) -> set[str]:
    """Where the problems are, as the message says it."""
    problems = error.problems if isinstance(error, TableError | ExperimentError) else ()
    return {problem.place for problem in problems}


def problems_as_json(error: BaseException) -> list[dict[str, Any]]:
    """The problems of a table or an experiment as plain records; none for another error."""
    if isinstance(error, ExperimentError):
        return [dataclasses.asdict(problem) for problem in error.problems]
    if not isinstance(error, TableError):
        return []
    names = ("file", "row", "column", "value", "what", "remedy")
    return [{name: getattr(problem, name) for name in names} for problem in error.problems]
