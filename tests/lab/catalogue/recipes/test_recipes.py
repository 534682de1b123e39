"""Recipes: whole experiments of parts that the catalogue has, one of them run to a table."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import polars as pl
import pytest
from tests.lab.catalogue.tasks.published import write_cache
from tests.lab.executors.in_process import InProcess
from tests.lab.hub_cache import HubCache, open_llama
from typer.testing import CliRunner

from emergecast.cli import app
from emergecast.errors import LabError
from emergecast.lab.catalogue.recipes import catalogued_recipe, recipe_names
from emergecast.lab.catalogue.series import series_names
from emergecast.lab.catalogue.tasks import task_names
from emergecast.lab.executors import run_all
from emergecast.lab.experiment import Experiment, read_experiment
from emergecast.lab.plan import make_table, survey

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


@pytest.fixture
def hub(tmp_path: Path, monkeypatch) -> HubCache:
    """Two steps each of OpenLLaMA V1 and V2, the data of two tasks, and a little of C4."""
    cache = HubCache(home=tmp_path / "home")
    open_llama(cache, tmp_path / "v1", [2500, 5000])
    open_llama(cache, tmp_path / "v2", [20_000, 100_000], size="3b_v2")
    for name in ("mmlu", "commonsense_qa"):
        write_cache(name, cache.home)
    c4 = tmp_path / "c4" / "en"
    c4.mkdir(parents=True)
    for number in range(8):
        with gzip.open(c4 / f"c4-validation.0000{number}-of-00008.json.gz", "wt") as file:
            file.write(json.dumps({"text": f"the dog sat on the log {number}"}) + "\n")
    cache.put("allenai/c4", c4.parent, kind="datasets")
    cache.in_use(monkeypatch)
    return cache


def smaller(text: str) -> str:
    """The recipe on two steps of each series, and on amounts that a few invented items allow."""
    text = text.replace("open_llama_v1_3b,", "open_llama_v1_3b, steps: [2500, 5000],")
    text = text.replace("open_llama_v2_3b,", "open_llama_v2_3b, steps: [20000, 100000],")
    text = re.sub(r"examples: \[256, 1024, .*?\]", "examples: [8, 16]", text)
    text = (
        text.replace("subsets: 2", "subsets: 1")
        .replace("validation: 0.1", "validation: 0.5")
        .replace("documents: 5000", "documents: 8")
    )
    return f"{text}evaluation: {{limit: 2}}\nworker: models\n"


@pytest.mark.usefixtures("hub")
def test_a_recipe_runs_from_the_hub_to_a_comparison(tmp_path):
    """V1 against V2 on C4: losses, few-shot and finetuned scores, with what each sweep chose."""
    file = tmp_path / "c4.yaml"
    file.write_text(smaller(catalogued_recipe("openllama-v1-v2-c4").text))
    experiment = read_experiment(file)
    run_all(experiment, executor=lambda given, _workers: InProcess(given))
    found = survey(experiment, remember=True)
    assert not found.plan.problems
    rows = make_table(found.plan, found.results).table.frame
    assert rows["series"].unique().sort().to_list() == ["open_llama_v1_3b", "open_llama_v2_3b"]
    assert rows["loss_corpus"].unique().to_list() == ["c4-8"]
    finetuned = rows.filter((pl.col("setting") == "finetuned") & (pl.col("metric") == "acc"))
    assert finetuned.height == 4 * 2 * 2
    tried = [r.training for r in found.results.values() if r.training]
    assert all("2e-06" in str(each) or "1e-05" in str(each) for each in tried)
    table = tmp_path / "c4.csv"
    rows.write_csv(table)
    names = ["--series", "open_llama_v1_3b", "--series", "open_llama_v2_3b"]
    compared = CliRunner().invoke(app, ["compare", str(table), "--task", "mmlu", *names])
    assert compared.exit_code in {0, 3}, compared.output
    assert "2 checkpoints" in compared.output  # too few for a law, which it says
