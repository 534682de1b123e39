"""`emergecast demo --from-scratch`: models are trained, measured and forecast from in one go."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.cli.flat import flat
from typer.testing import CliRunner

from emergecast.cli import app
from emergecast.lab.proving_ground import PRESETS
from emergecast.measurements import PROVING_GROUND_TASK, read_table


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The smoke preset, cut to 24 steps of pretraining and a few of finetuning."""
    smoke = PRESETS["smoke"]
    tunings = tuple(replace(t, examples=t.examples // 8, steps=12) for t in smoke.tunings[:2])
    monkeypatch.setitem(
        PRESETS, "smoke", replace(smoke, most_steps=24, tunings=tunings, targets=(7.3, 7.2, 7.0))
    )


@pytest.mark.usefixtures("small")
def test_the_whole_experiment_runs_and_goes_on_where_it_stopped(tmp_path: Path):
    """A table of every run, and a refusal, since models of 24 steps show nothing."""
    folder = tmp_path / "demo"
    arguments = ["demo", "--from-scratch", "--preset", "smoke", "--bootstrap", "0", "-o", folder]
    first = CliRunner().invoke(app, [str(each) for each in arguments])
    assert first.exit_code == 3, first.output
    assert "1 of 1 models" in first.stderr
    assert "REFUSED" in first.stdout
    assert "transformers of 0.081 million parameters, 1 seed," in " ".join(first.stdout.split())
    table = read_table(folder / "measurements.csv")
    assert table.tasks == (PROVING_GROUND_TASK,)
    scores = table.frame.group_by("series").len().sort("series").rows()
    assert scores == [("seed-0", 2 * (1 + 2 + 1)), ("seed-0-random", 1 + 2 + 1)]
    kept = (folder / "measurements.csv").read_bytes()
    again = CliRunner().invoke(app, [*(str(each) for each in arguments), "--json"])
    assert again.exit_code == 3
    assert "0 of 1 models" in again.stderr
    assert json.loads(again.stdout)["verdict"] == "refused"
    assert (folder / "measurements.csv").read_bytes() == kept


def test_a_preset_without_from_scratch_is_refused():
    """The bundled table is what it is."""
    result = CliRunner().invoke(app, ["demo", "--preset", "smoke"])
    assert result.exit_code == 2
    assert "--from-scratch" in result.stderr


def test_the_preset_of_many_tasks_is_no_demo(tmp_path: Path):
    """It would be found out after hours."""
    arguments = ["demo", "--from-scratch", "--preset", "skills", "-o", str(tmp_path / "demo")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "has eight tasks and takes hours" in flat(result.stderr)
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize("more", [[], ["--from-scratch"]])
def test_a_file_instead_of_a_folder_is_refused_before_any_work(tmp_path: Path, more: list[str]):
    """Not after minutes."""
    (tmp_path / "file").touch()
    result = CliRunner().invoke(app, ["demo", "-o", str(tmp_path / "file"), *more])
    assert result.exit_code == 2
    assert "is a file, not a folder" in flat(result.stderr)
    assert not result.stdout
