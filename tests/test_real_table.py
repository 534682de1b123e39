"""548 result files of lm-evaluation-harness, from import to forecast (needs EMERGECAST_SHARED)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from emergecast.cli import app
from emergecast.measurements import SelectOptions, read_table, select
from emergecast.observed import ground_truths

TRUTH = 2.069
"""Few-shot elbow of the 22 models that method.md states."""
FIT = ("--task", "mmlu", "--pool", "--where", "study22=1", "--at-chance-only", "--json")


@pytest.fixture(scope="module")
def imported(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The table of all files, and the report of its import."""
    folder = shared_data / "data" / "lm_eval_mmlu"
    out = tmp_path_factory.mktemp("real") / "mmlu.parquet"
    result = CliRunner().invoke(
        app,
        [
            "import", "lm-eval", str(folder),
            "--pattern", "few_shot/{checkpoint}/{task}.json",
            "--pattern", "finetuned/{checkpoint}/step_{step}/{task}.json",
            "--checkpoints", str(folder / "checkpoints.csv"),
            "--batch-size", "64", "--train-size", "99842", "--loss-from", "hoffmann",
            "-o", str(out), "--json",
        ],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return out, json.loads(result.stdout)


@pytest.fixture(scope="module")
def forecast(imported: tuple[Path, Any]) -> dict[str, Any]:
    """The forecast from the checkpoints at chance."""
    result = CliRunner().invoke(app, ["fit", str(imported[0]), *FIT, "--bootstrap", "0"])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_all_files_are_read(imported: tuple[Path, Any], shared_data: Path):
    """Every JSON file of the folder; a loss estimated for each; no path of whoever ran it."""
    out, report = imported
    files = list((shared_data / "data" / "lm_eval_mmlu").rglob("*.json"))
    assert report["files_read"] == len(files) == 548
    assert report["problems"] == []
    frame = read_table(out).frame
    assert set(frame["loss_source"]) == {"estimated"}
    assert frame["examples"].max() == 99_842
    assert not any(Path(name).is_absolute() for name in frame["source_file"])


def test_half_of_the_models_are_hidden(forecast: dict[str, Any]):
    """11 of 22 are at chance few-shot."""
    assert forecast["n_checkpoints"] == 11
    assert len(forecast["hidden"]) == 11
    assert forecast["strongest_loss"] == pytest.approx(2.093, abs=0.001)


def test_the_forecast_is_right_or_says_that_it_is_weak(forecast: dict[str, Any]):
    """A confident miss is the one thing that must not happen; estimated losses are mentioned."""
    elbow = forecast["elbow"]
    inside = elbow["p05"] <= forecast["truth"] <= elbow["p95"]
    assert forecast["verdict"] != "identified" or inside
    assert forecast["warnings"]


def test_the_truth_is_that_of_all_22_models(imported: tuple[Path, Any], forecast: dict[str, Any]):
    """Whether half of them is hidden or none: 2.069, the figure of separate work."""
    options = SelectOptions(task="mmlu", pool=True, where=(("study22", "1"),))
    truth = ground_truths(select(read_table(imported[0]), options)).elbow
    assert truth is not None
    assert truth.n == 22
    assert truth.loss == pytest.approx(TRUTH, abs=0.005)
    assert forecast["truth"] == pytest.approx(truth.loss, abs=1e-12)


def test_a_missing_folder_fails_these_tests(tmp_path: Path):
    """EMERGECAST_SHARED set to a folder that is gone: errors, not skips."""
    command = [
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist",
        "-k", "test_all_files_are_read", __file__,
    ]  # fmt: skip
    done = subprocess.run(
        command,
        env={**os.environ, "EMERGECAST_SHARED": str(tmp_path / "gone")},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    assert "there is no such folder" in done.stdout
    assert "1 error" in done.stdout
    assert "skipped" not in done.stdout


def test_estimated_losses_are_converted_by_the_constants_they_came_from(forecast: dict[str, Any]):
    """Recognised from the losses alone; three orders of magnitude wide, and said to add nothing."""
    compute = forecast["compute"]
    assert compute["relabelling"]
    assert compute["law"]["name"] == "hoffmann"
    assert compute["flops"]["p05"] < 3.05e22 < compute["flops"]["p95"]  # 2.068 nats, by the formula
    assert compute["strongest"] == "pythia-12b"
