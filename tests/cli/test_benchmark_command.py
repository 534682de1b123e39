"""The command that compares methods, and every example of its page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from emergecast.benchmark import CELLS, DEFAULT_METHODS
from emergecast.cli import app

PAGE = (Path(__file__).parents[2] / "docs" / "benchmark.md").read_text("utf-8")
SMALL = ("--cell", "no-departure", "--tables", "2")


def call(*arguments: str):
    """What the command does with these arguments."""
    return CliRunner().invoke(app, ["benchmark", *arguments])


def test_the_method_of_the_page_enters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its Python is saved beside the user under the name of the page, and called from there."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (name,) = re.findall(r"emergecast benchmark --method (\w+:\w+)", PAGE)[:1]
    (tmp_path / f"{name.partition(':')[0]}.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    done = call("--method", name, *SMALL, "-o", "out", "--json")
    assert done.exit_code == 0, done.output
    rows = {row["method"]: row for row in json.loads(done.stdout)["rows"]}
    assert rows[name]["scored"] == 2, rows[name]["reason"]
    assert rows[name]["over_no_change"]["rungs"] == 2
    kept = json.loads((tmp_path / "out" / "leaderboard.json").read_text())
    assert [row["method"] for row in kept["rows"]] == [*rows, *rows]
    text = (tmp_path / "out" / "leaderboard.txt").read_text()
    assert re.search(rf"{name} +2 +2 +2 ", text)


def test_it_says_what_it_would_do(tmp_path: Path):
    """Nothing is done, and no file is written; damaged lines are named."""
    (tmp_path / "results.jsonl").write_text("{\n")
    done = call("--method", "prior", *SMALL, "--dry-run", "-o", str(tmp_path))
    assert done.exit_code == 0
    assert "2 tables and 6 lines are missing" in done.stdout
    assert "Line 1 of results.jsonl is damaged" in done.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["results.jsonl"]


def test_it_lists_methods_and_cells():
    """As text and as JSON."""
    text = call("--list").stdout
    assert all(name in text for name in (*DEFAULT_METHODS, *CELLS))
    found = json.loads(call("--list", "--json").stdout)
    assert found["methods"] == list(DEFAULT_METHODS)
    assert {name: each["split"] for name, each in found["cells"].items()} == {
        name: str(cell.split) for name, cell in CELLS.items()
    }


def test_the_page_names_every_column():
    """Of the leaderboard as it is printed, and every group of failures."""
    for column in ("over no-change", "over cut-prior", "in 90%", "in 50%", "interval", "bias"):
        assert f"`{column}`" in PAGE
    for failure in ("refused", "errors", "no distribution"):
        assert f"`{failure}`" in PAGE
