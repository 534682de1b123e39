"""Recipes: whole experiments of parts that the catalogue has, checked against published figures."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from emergecast.cli import app
from emergecast.errors import LabError
from emergecast.lab.catalogue.recipes import catalogued_recipe, recipe_names
from emergecast.lab.catalogue.series import series_names
from emergecast.lab.catalogue.tasks import task_names
from emergecast.lab.experiment import Experiment, read_experiment

SPLIT = {"mmlu": 99_842, "gsm8k": 7_473, "commonsense_qa": 9_741, "cola": 8_551,
    "apps": 5_000, "apps_introductory": 2_639}  # fmt: skip
"""Training items as the data sets' cards state them."""
PAPER = {
    ("openllama-v1-sweep", "gsm8k", None): (1.813, 1.937, 2.003, 2.006, 1.984),
    ("openllama-v1-sweep", "mmlu", None): (1.825, 1.847, 1.869, 1.855, 1.814),
    ("openllama-v1-sweep", "commonsense_qa", None): (1.781, 1.829, 1.843, 1.830, 1.827),
    ("openllama-v1-sweep", "cola", None): (1.712, 1.761, 1.804, 1.769, 1.833),
    ("openllama-v1-v2-c4", "mmlu", "open_llama_v1_3b"): (2.207, 2.246, 2.261, 2.254, 2.226),
    ("openllama-v1-v2-c4", "mmlu", "open_llama_v2_3b"): (2.264, 2.306, 2.320, 2.311, 2.318),
    ("llama2-apps", "apps", None): (1.324, 1.357, 1.386, 1.361, None),
}
"""Table 2 of arXiv 2411.16035: 5, 50 and 95%, the most likely value, the truth."""


def written(name: str, folder: Path) -> Experiment:
    """The experiment of a recipe as the command writes it."""
    file = folder / f"{name}.yaml"
    result = CliRunner().invoke(app, ["recipe", name, "-o", str(file)])
    assert result.exit_code == 0, result.output
    return read_experiment(file)


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_is_an_experiment_of_what_the_catalogue_has(name, tmp_path):
    """Series and tasks by name, amounts that the training splits have, and whose choice each is."""
    experiment = written(name, tmp_path)
    assert {each.name for each in experiment.series} <= set(series_names())
    assert {each.name for each in experiment.tasks} <= set(task_names())
    for task, amounts in experiment.amounts.items():
        assert max(amounts, default=0) < 0.95 * SPLIT[task]
    text = catalogued_recipe(name).text
    assert "ur choice" in text or "Ours, not the paper's." in text


def test_published_figures_are_those_of_the_paper():
    """Every figure, and no other."""
    found = {
        (name, row.task, row.series): (row.p05, row.p50, row.p95, row.mode, row.truth)
        for name in recipe_names()
        for row in catalogued_recipe(name).published
    }
    assert found == PAPER


def test_what_is_wrong_is_said(tmp_path):
    """A name that is nearly right; a file that is there already stays."""
    with pytest.raises(LabError, match='Did you mean "llama2"'):
        catalogued_recipe("llama-2")
    (tmp_path / "mine.yaml").write_text("mine")
    result = CliRunner().invoke(app, ["recipe", "llama2", "-o", str(tmp_path / "mine.yaml")])
    assert result.exit_code != 0
    assert (tmp_path / "mine.yaml").read_text() == "mine"
