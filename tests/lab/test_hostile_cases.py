"""Inputs of the lab that went wrong, as they were found: each ends at once, with a message."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emergecast.cli.texts.next_fit import next_command
from emergecast.measurements import read_table


def emergecast(*arguments: object) -> subprocess.CompletedProcess[str]:
    """A command whose input stays open, as that of a worker does."""
    with subprocess.Popen(
        [sys.executable, "-m", "emergecast", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        said, errors = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, said, errors)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("yaml_merge_bomb.yaml", "line 37: the aliases of this file stand for"),
        ("yaml_nul_output.yaml", "line 7: the text here holds the character U+0000"),
    ],
)
def test_yaml_that_is_no_experiment(shared_data: Path, case: str, said: str):
    """Within seconds, start of Python included."""
    began = time.monotonic()
    ended = emergecast("plan", shared_data / "cases" / "lab" / case)
    assert time.monotonic() - began < 30
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_checkpoint_with_code_of_its_own(shared_data: Path, tmp_path: Path):
    """Refused by its name before any run, and nothing of it was run."""
    place = tmp_path / "case"
    shutil.copytree(shared_data / "cases" / "lab" / "remote_code_hang", place)
    ended = emergecast("run", place / "e.yaml", "--limit", 1, "--workers", 1)
    assert ended.returncode == 2
    assert "it brings Python code of its own, which is never run" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not list(tmp_path.rglob("executed"))
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    ("case", "options"),
    [
        ("tab", "--task colors --method full"),
        ("hub", "--task colors --loss-corpus held"),
        ("reh", "--task matching"),
    ],
)
def test_the_next_command_of_a_table(shared_data: Path, case: str, options: str):
    """With the choices that `fit` would ask for."""
    table = shared_data / "cases" / "lab" / f"{case}.csv"
    assert next_command(read_table(table), "t.csv") == f"emergecast fit t.csv {options}"
