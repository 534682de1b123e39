"""The application: which commands there are, in the order in which `--help` lists them."""

from __future__ import annotations

import ast
import os
import re
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand

from emergecast.cli._failures import ErrorsAsMessages

COMMANDS: Final = {
    "emergecast": {
        "demo": "demo",
        "template": "table",
        "check": "table",
        "join": "table",
        "fit": "fit",
        "suggest": "suggest",
        "freeze": "freeze",
        "score": "freeze",
        "backtest": "backtest",
        "benchmark": "benchmark",
        "compare": "compare",
        "simulate": "simulate",
        "series": "Public series of checkpoints by name: list, show, verify.",
        "recipe": "recipe",
        "fetch": "fetch",
        "plan": "experiment",
        "run": "experiment",
        "status": "experiment",
        "show": "show",
        "retry": "experiment",
        "export": "experiment",
        "loss": "loss",
        "ledger": "Look after the results of an experiment: check, backup, repair, merge.",
        "sandbox": "The sandbox for programs that a model wrote: does it hold here?",
        "proving-ground": "proving_ground",
        "import": "Make a table from the results of other tools.",
        "scaling": "Scaling laws: from a loss to parameters, tokens and FLOPs, and back.",
    },
    "import": {"lm-eval": "table"},
    "ledger": {"check": "ledger", "backup": "ledger", "repair": "ledger", "merge": "ledger"},
    "series": {"list": "series", "show": "series", "verify": "series"},
    "sandbox": {"check": "sandbox"},
    "scaling": {
        "fit": "scaling_fit",
        "convert": "scaling",
        "laws": "scaling",
        "flops": "scaling",
    },
}
"""Of every group, its commands and the file of each; of a group inside it, what it is for."""


VALUES: Final = {
    "str": "NAME",
    "int": "N",
    "int range": "N",
    "float": "NUMBER",
    "path": "FILE",
    "Path": "FILE",
}
"""What stands for a value of each type in help."""
_TYPE: Final = re.compile(rf"<(?:list\[)?({'|'.join(VALUES)})\]?>")


class GroupedOptions(TyperCommand):
    """A command whose help lists its options by the record that they belong to."""

    def format_options(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]  # noqa: ANN401
        """One section for each record, after the arguments."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for each in self.get_params(ctx):
            line = each.get_help_record(ctx)
            if line is not None:
                heading = "Arguments" if each.param_type_name == "argument" else "Options"
                heading = getattr(each, "rich_help_panel", None) or heading
                names = _TYPE.sub(lambda found: VALUES[found[1]], line[0])
                sections.setdefault(heading, []).append((names, line[1]))
        last = sections.pop("Options", [])  # of the command itself, and --help
        for heading, lines in [*sections.items(), ("Options", last)]:
            with formatter.section(heading):
                formatter.write_dl(lines, col_max=34)


class Commands(ErrorsAsMessages):
    """A group whose commands are imported when they are called, so that help answers at once."""

    def list_commands(self, _ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Their names, in order."""
        return list(COMMANDS[self.name or ""])

    def get_command(self, _ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]  # noqa: ANN401
        """The command, or the group, of this name; None where there is none."""
        place = COMMANDS[self.name or ""].get(cmd_name)
        if place is None:
            return None
        if cmd_name in COMMANDS:
            return _group(cmd_name, place)
        from emergecast.cli._from_records import from_records
        from emergecast.cli._options import FORMS

        command = getattr(import_module(f"emergecast.cli.commands.{place}"), _function(cmd_name))
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(name=cmd_name, cls=GroupedOptions)(from_records(command, FORMS))
        return typer.main.get_command(single)

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> Any:  # type: ignore[override]  # noqa: ANN401
        """The command that the words call; an error names the one that may be meant."""
        if args[0] not in COMMANDS[self.name or ""]:
            self.commands = dict.fromkeys(self.list_commands(ctx))  # type: ignore[assignment]
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]  # noqa: ANN401
        """Each with the first sentence of its docstring, which is read without importing it."""
        group = COMMANDS[self.name or ""]
        lines = [
            (name, place if name in COMMANDS else _about(place, _function(name)))
            for name, place in group.items()
        ]
        with formatter.section("Commands"):
            formatter.write_dl(lines)


def _group(name: str, about: str) -> Any:  # noqa: ANN401  click's own type has two names
    group = typer.Typer(
        cls=Commands, name=name, help=about, no_args_is_help=True, add_completion=False,
        rich_markup_mode=None, pretty_exceptions_enable=False,
    )  # fmt: skip
    group.callback()(lambda: None)
    return typer.main.get_command(group)


def _function(name: str) -> str:
    return name.replace("-", "_")


def _about(place: str, function: str) -> str:
    """The first line of a command's docstring."""
    source = Path(__file__).with_name("commands") / f"{place}.py"
    for each in ast.parse(source.read_text("utf-8")).body:
        if isinstance(each, ast.FunctionDef) and each.name == function:
            return (ast.get_docstring(each) or "").partition("\n")[0]
    message = f"{source} has no command {function}"
    raise LookupError(message)


app = typer.Typer(
    cls=Commands,
    name="emergecast",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
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
