"""Every command and every piece of Python in the README works."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import typer
from typer.testing import CliRunner

from emergecast.cli import app

README = Path(__file__).parents[2] / "README.md"
TABLE = "table.csv"
"""The one file that commands in the README may read: the template."""
FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
TEXT = README.read_text("utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language."""
    return [code for name, code in FENCE.findall(TEXT) if name == language]


def commands() -> list[str]:
    """The lines of bash blocks that call emergecast; continued lines joined, prompts left out."""
    lines = "\n".join(blocks("bash")).replace("\\\n", " ").splitlines()
    stripped = [line.strip().removeprefix("$ ") for line in lines]
    return [line for line in stripped if line.split()[:1] == ["emergecast"]]


def resolve(arguments: list[str]) -> tuple[Any, list[str]]:
    """The command that the words name, and the words after its name."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "list_commands") and arguments and not arguments[0].startswith("-"):
        name, *arguments = arguments
        assert name in command.list_commands(None), f"there is no command {name}"
        command = command.get_command(None, name)
    return command, arguments


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder where the template stands."""
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["template", "-o", TABLE]).exit_code == 0
    return tmp_path


def test_the_readme_shows_commands_and_python():
    """So that the tests below do not pass because there is nothing to test."""
    shown = {line.split()[1] for line in commands()}
    assert shown >= {"demo", "template", "check", "fit", "import"}
    assert blocks("python")


@pytest.mark.parametrize("line", commands())
def test_every_command_has_the_options_it_is_shown_with(line: str):
    """Parsed by the application itself, without running; placeholders may stand for files."""
    command, rest = resolve(shlex.split(line, comments=True)[1:])
    try:
        context = command.make_context("emergecast", rest, resilient_parsing=False)
    except (click.exceptions.Exit, SystemExit):  # --help and --version end here, and are valid
        return
    assert not context.args


def files_meant(line: str) -> list[str]:
    """Words that look like a file or a placeholder to read, apart from what -o names."""
    words = shlex.split(line, comments=True)[2:]
    out = {words[i + 1] for i, word in enumerate(words[:-1]) if word in {"-o", "--out"}}
    return [
        word
        for word in words
        if word not in out and (word.isupper() or re.search(r"\.(csv|parquet|jsonl)$", word))
    ]


@pytest.mark.parametrize("line", [line for line in commands() if {*files_meant(line)} <= {TABLE}])
def test_every_command_that_needs_no_other_data_runs(line: str, folder: Path):
    """Those on bundled or template data: status 0, or 3 where the forecast is refused."""
    words = shlex.split(line, comments=True)[1:]
    if words[0] == "template":
        (folder / TABLE).unlink()
    if words[0] in {"fit", "demo"} and "--bootstrap" not in words:
        words += ["--bootstrap", "20"]
    if words[0] == "benchmark":
        words += ["--method", "no-change", "--cell", "1.5x-ahead", "--tables", "1"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code in ({0, 3} if words[0] == "fit" else {0}), result.output


@pytest.mark.parametrize("code", blocks("python"))
def test_every_piece_of_python_runs(code: str, folder: Path):
    """As it stands, and it says something where it prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, str(README), "exec"), {"__name__": "readme"})  # noqa: S102  our own file
    assert ("print(" in code) == bool(printed.getvalue())
    assert folder.is_dir()
