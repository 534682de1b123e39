"""Inputs that went wrong once, in lab/ of the shared cases."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
from typer.testing import CliRunner

from emergecast.cli import app


def call(*arguments: object) -> dict[str, object]:
    """What a command says as JSON."""
    result = CliRunner().invoke(app, [*(str(each) for each in arguments), "--json"])
    assert result.exit_code == 0, result.output + result.stderr
    said: dict[str, object] = json.loads(result.stdout)
    return said


def test_an_edited_filter_measures_all_again(shared_data: Path, tmp_path: Path):
    """The table is the one of an experiment that knew no other filter."""
    place = tmp_path / "stale_filter"
    shutil.copytree(shared_data / "cases" / "lab" / "stale_filter", place)
    for each in [place, *place.rglob("*")]:
        each.chmod(0o755 if each.is_dir() else 0o644)
    file, task = place / "exp.yaml", place / "tasks" / "sums.yaml"
    assert call("run", file, "--limit", 5, "--workers", 1)["done"] == 5
    with task.open("a", encoding="utf-8") as yaml:
        yaml.write((place / "tasks" / "append_me.txt").read_text("utf-8"))
    assert call("run", file, "--workers", 1)["failed"] == 0
    assert call("export", file, "-o", place / "mixed.csv")["older"] == 3
    fresh = place / "exp_fresh.yaml"
    call("run", fresh, "--workers", 1)
    assert call("export", fresh, "-o", place / "fresh.csv")["older"] == 0
    mixed, clean = (pl.read_csv(place / name) for name in ("mixed.csv", "fresh.csv"))
    assert mixed.equals(clean)
