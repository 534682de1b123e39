"""What every command has in common: help, options in one form, completion, output."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from tests import designs
from typer.testing import CliRunner

from emergecast import files
from emergecast.cli import _output, app
from emergecast.cli._app import COMMANDS
from emergecast.cli._from_records import OptionForm, Without, from_records
from emergecast.cli._output import as_text
from emergecast.measurements import SelectOptions, read_table
from emergecast.records import docs

CALLS = [
    (*(() if group == "emergecast" else (group,)), name)
    for group, commands in COMMANDS.items()
    for name in commands
]
"""Every command and group, as it is called."""
WIDTH = 80


def helped(*words: str) -> str:
    """The help of a command in a terminal of 80 columns."""
    done = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": str(WIDTH)})
    assert done.exit_code == 0, done.output
    return done.stdout


def params(*words: str) -> list[Any]:
    """The options and arguments of a command."""
    command: Any = typer.main.get_command(app)
    for word in words:
        command = command.get_command(None, word)
    return list(command.params)


@pytest.mark.parametrize("words", [(), *CALLS], ids=" ".join)
def test_help_fits_80_columns_and_cuts_no_name(words: tuple[str, ...]):
    """Every option and every command in full."""
    text = helped(*words)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "…" not in text
    for option in params(*words):
        if not getattr(option, "hidden", False) and option.param_type_name == "option":
            for name in (*option.opts, *option.secondary_opts):
                assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text), name


@pytest.mark.parametrize(
    "words", [each for each in CALLS if each[-1] not in COMMANDS], ids=" ".join
)
def test_every_command_says_what_it_does_and_shows_an_example(words: tuple[str, ...]):
    """The example calls the command itself."""
    text = " ".join(helped(*words).split())
    assert f"Example: `emergecast {' '.join(words)}" in text
    for option in params(*words):
        assert option.help or option.hidden, option.name


def test_an_option_has_one_form_everywhere():
    """One flag, one type, one default, one help, in every command of tables that takes it."""
    forms: dict[str, set[tuple[Any, ...]]] = defaultdict(set)
    named = {each.name for each in fields(SelectOptions)} | {"bootstraps", "priors", "rules"}
    for words in CALLS:
        for option in () if words[-1] in COMMANDS else params(*words):
            if option.name in named and words[0] not in {"scaling", "import"}:
                kind = (option.multiple, str(option.default), option.metavar, option.help)
                forms[option.name].add((*option.opts, *kind))
    several = {name: found for name, found in forms.items() if len(found) > 1}
    assert set(several) == {"series"}, several  # compare names two, in order
    assert set(forms) >= named - {"task"}


@pytest.mark.parametrize(("words", "meant"), [(("fitt",), "fit"), (("scaling", "law"), "laws")])
def test_a_misspelt_command_names_the_one_meant(words: tuple[str, ...], meant: str):
    """At the top and in a group."""
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 2
    assert f"No such command '{words[-1]}'. Did you mean '{meant}'" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_installed(shell: str, tmp_path: Path):
    """Into the shell's own place, and it completes commands and options."""
    program = [sys.executable, "-m", "emergecast"]
    own = {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run(
        [*program, "--install-completion", shell],
        capture_output=True, text=True, check=False, env={**os.environ, **own},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()]


def test_completion_knows_commands_and_options():
    """As a shell asks for them."""
    asked = {
        "_EMERGECAST_COMPLETE": "complete_bash",
        "COMP_WORDS": "emergecast fr",
        "COMP_CWORD": "1",
    }
    code = "import sys; sys.argv = ['emergecast']; from emergecast.cli import main; main()"
    run = [sys.executable, "-c", code]
    done = subprocess.run(
        run, capture_output=True, text=True, check=False, env={**os.environ, **asked}
    )
    assert done.stdout.split() == ["freeze"]
    asked |= {"COMP_WORDS": "emergecast fit --at-ch", "COMP_CWORD": "2"}
    done = subprocess.run(
        run, capture_output=True, text=True, check=False, env={**os.environ, **asked}
    )
    assert done.stdout.split() == ["--at-chance-only"]


# ------------------------------------------------------------------------ options from records


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What a command takes."""

    wanted: int
    """Needed."""
    names: tuple[str, ...] = ("a",)
    """Several."""
    scale: float | None = None
    """One or none."""
    flag: bool = False
    """Yes or no."""
    kept: str = "own"
    """No option."""


def taking(*words: str) -> tuple[Any, str]:
    """What a command was given, and what it printed."""
    given: list[Taken] = []

    def command(taken: Annotated[Taken, Without("kept")]) -> None:
        given.append(taken)

    command.__annotations__ = {"taken": Annotated[Taken, Without("kept")], "return": None}
    single = typer.Typer(rich_markup_mode=None)
    single.command()(from_records(command, {"scale": OptionForm(flag="--size", metavar="S")}))
    done = CliRunner().invoke(single, list(words), env={"COLUMNS": "80"})
    return given[0] if given else None, done.output


def test_a_record_is_what_the_options_say():
    """What is not given has the record's own default."""
    assert taking("--wanted", "3")[0] == Taken(wanted=3)
    found, _ = taking("--wanted", "3", "--names", "b", "--names", "c", "--size", "0", "--flag")
    assert found == Taken(wanted=3, names=("b", "c"), scale=0.0, flag=True)


def test_options_are_the_fields_with_their_docstrings():
    """In help; a field that is left out has none, one without default is required."""
    _, text = taking("--help")
    for option, said in zip(
        ("--wanted", "--names", "--size S", "--flag"), docs(Taken).values(), strict=False
    ):
        assert re.search(rf"{option}.*{said}", text), text
    assert "--kept" not in text
    assert "Missing option '--wanted'" in taking()[1]


# --------------------------------------------------------------------------------- output


def test_lists_of_numbers_take_one_line_in_json():
    """And nothing else is changed."""
    record = {
        "a": [1.5, None, -2e-9, True],
        "b": ["x", "y-1"],
        "c": ["two words"],
        "d": [[1, 2], []],
    }
    text = as_text(record)
    assert json.loads(text) == record
    assert '"a": [1.5, null, -2e-09, true]' in text
    assert '"b": ["x", "y-1"]' in text
    assert text.count("\n") == len(
        ["{", "a", "b", "c [", "two words", "]", "d [", "[1, 2]", "[]", "]", "}"]
    )


def test_a_folder_that_cannot_be_written_is_said_before_any_work(tmp_path: Path):
    """Before the table is even read; of files, their folder counts."""
    (tmp_path / "file").write_text("in the way")
    for words in (
        ("fit", "nosuch.csv", "-o", tmp_path / "file" / "out"),
        ("scaling", "fit", "nosuch.csv", "-o", tmp_path / "file"),
        ("simulate", "--design", "nosuch", "-o", tmp_path / "file" / "t.csv"),
        ("freeze", "nosuch.csv", "-o", tmp_path),
    ):
        done = CliRunner().invoke(app, [str(word) for word in words])
        assert done.exit_code == 2
        assert "emergecast: -o: " in done.stderr


def test_progress_without_a_terminal_is_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """None at first; then what is being done and how much of it."""
    now = iter([0.0, 1.0, 21.0, 21.0, 22.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    with _output.progress("Reading", 50) as move:
        move(1)
        move(7, what="Sorting")
        move(8)
    assert capsys.readouterr().err == "Sorting: 7 of 50\n"


def test_a_result_that_cannot_be_written_is_printed_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """One object, which says so; status 2. As where a disk is full."""

    def full(*_: object) -> Path:
        raise OSError(28, "No space left on device", "file")

    monkeypatch.setattr(files, "save_text", full)
    table = tmp_path / "t.csv"
    rows = designs.rows(losses=designs.DENSE[::4], amounts=(64, 512, 4096))
    read_table(rows).write(table)
    words = ["fit", table, "--law", "log-power", "--bootstrap", 0, "--no-diagnostics", "--json"]
    place = tmp_path / "out"
    done = CliRunner().invoke(app, [str(word) for word in (*words, "-o", place)])
    assert done.exit_code == 2
    found = json.loads(done.stdout)
    assert found["verdict"]
    assert "file" in found["not_written"]
    assert "file" in done.stderr
