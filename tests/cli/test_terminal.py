"""Text of a file never gives the terminal orders: output, errors, progress bars."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.progress import Progress
from typer.testing import CliRunner

from emergecast.cli import app
from emergecast.cli._console import SafeConsole
from emergecast.cli._terminal import safe_output, spelled
from emergecast.cli._wrap import folded, on_stderr

EVIL = "a\x1b[2J\x07\x9b31m\u202eb\r\x7f"
SPELLED = "a\\x1b[2J\\x07\\x9b31m\\u202eb\\r\\x7f"


class Terminal(io.StringIO):
    """Standard error as a terminal is one."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        """Yes."""
        return True


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (EVIL, SPELLED),
        ("tab\tline\n", "tab\tline\n"),
        ("E(D) ≤ 2·ln", "E(D) ≤ 2·ln"),
        ("\ud800", "\\ud800"),
    ],
)
def test_orders_are_spelled_out_and_text_is_not(text: str, shown: str):
    """Line breaks, tabs and letters of any language stay."""
    assert spelled(text) == shown


def table(path: Path) -> Path:
    """A table whose names are evil."""
    name = EVIL.replace("\r", "")
    rows = [
        {"checkpoint": name + str(n), "loss": 2 + n / 9, "task": name, "setting": "few_shot"}
        | {"score": 0.25, "chance": 0.25, "series": f"{name}{n % 2}"}
        for n in range(3)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.mark.parametrize("words", [("check",), ("fit",), ("fit", "--task", EVIL), (EVIL,)])
def test_no_command_prints_them(tmp_path: Path, words: tuple[str, ...]):
    """Neither in its output nor in its errors, whoever words them."""
    result = CliRunner().invoke(app, [*words, str(table(tmp_path / "t.jsonl"))])
    printed = result.stdout + result.stderr
    assert "a\\x1b[2J" in printed
    assert not set("\x1b\x07\x9b\u202e\r\x7f") & set(printed)


def test_a_bar_moves_the_cursor_and_its_text_does_not(monkeypatch: pytest.MonkeyPatch):
    """On a terminal."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with safe_output(), Progress("{task.description}", console=SafeConsole()) as bar:
        bar.add_task(EVIL)
        bar.console.print(EVIL, markup=False)
    shown = terminal.getvalue()
    assert "\x1b[?25l" in shown  # rich hides the cursor
    assert "a\\x1b" in shown
    assert "\x1b[2J" not in shown
    assert "\x07" not in shown


def test_a_terminal_of_few_letters_ends_in_no_traceback(tmp_path: Path):
    """What it cannot show is spelled out too."""
    path = tmp_path / "t.csv"
    path.write_text(
        "checkpoint,loss,task,setting,score,chance\né,2,t→,few_shot,0.2,0.25\n", "utf-8"
    )
    command = [sys.executable, "-m", "emergecast", "check", str(path)]
    env = {"PYTHONIOENCODING": "ascii", "PATH": "", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(command, capture_output=True, check=True, env=env)
    assert b"t\\u2192" in done.stdout


def test_the_case_of_names_with_escapes_prints_none():
    """Of the folder of inputs that go wrong."""
    case = Path(os.environ.get("EMERGECAST_SHARED", "nowhere")) / "cases/tables/escape_names.csv"
    if not case.is_file():
        pytest.skip("EMERGECAST_SHARED is not set: the cases are not here")
    assert "\x1b" in case.read_text("utf-8")
    done = CliRunner().invoke(app, ["check", str(case)])
    assert "\\x1b" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr


def test_long_messages_are_wrapped_and_no_name_is_broken():
    """What is quoted, a line of a file, and a name that is given stay whole; each indented."""
    name = '"a folder with spaces in it"'
    place = "my table of 2026.csv, line 4, row 3, column score"
    text = f"emergecast: 2 problems:\n  {place}: {'too long ' * 12}for {name}, {name} and {name}."
    quoted = "    | " + "x " * 80
    for whole in ((), (place,)):
        lines = folded(f"{text}\n{quoted}", whole=whole).split("\n")
        assert lines[0] == "emergecast: 2 problems:"
        assert lines[-1] == quoted
        assert max(map(len, lines[:-1])) <= 100
        assert all(line.startswith("    ") for line in lines[2:])
        assert sum(line.count(name) for line in lines) == 3
        assert " ".join(" ".join(lines[:-1]).split()) == " ".join(text.split())
    assert folded(f"  {'x ' * 44}{place}", whole=[place]).split("\n")[1] == f"    {place}"
    path = f'"/{"very/" * 30}long folder"'
    assert path in folded(f"there is no {path}. {'Look again. ' * 10}").split("\n")[1]
    told = f"{'x ' * 40}Go on with: emergecast run experiment.yaml"
    assert folded(told).endswith("\n  emergecast run experiment.yaml")
    assert folded("short") == "short"


def test_lines_are_wrapped_for_people_alone(monkeypatch: pytest.MonkeyPatch):
    """A log is searched, so its messages keep their lines."""
    text = "long " * 40
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    assert on_stderr(text) == text
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert max(map(len, on_stderr(text).splitlines())) <= 100
