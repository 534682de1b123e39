"""APPS from a name to a table and a fit, from the hub's cache, without a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.cli.flat import flat
from tests.lab.catalogue.tasks.apps_data import write_apps
from tests.lab.executors.in_process import InProcess
from tests.lab.hub_cache import HubCache, put_series
from typer.testing import CliRunner

from emergecast.cli import app
from emergecast.lab.executors import run_all
from emergecast.lab.experiment import read_experiment
from emergecast.lab.plan import estimate, look_up, make_table, survey

EXPERIMENT = """\
series: [{name: pythia, checkpoints: [
  {name: a, repo: EleutherAI/pythia-70m, revision: step1, params: 5000},
  {name: b, repo: EleutherAI/pythia-70m, revision: step2, params: 5000}]}]
corpora: [{name: words, path: words.txt}]
tasks:
  - name: apps
    shots: 0
    programs: {samples: 2, temperature: 0.01, max_tokens: 16, official: true}
finetune:
  examples: [16]
  methods: [{name: full, steps: 150, learning_rate: 1e-2, batch_size: 8, warmup_steps: 10}]
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, bubblewrap: None) -> Any:  # noqa: ARG001  it may skip
    """The file of an experiment that is done, and what its plan said before."""
    place = tmp_path_factory.mktemp("apps")
    cache = HubCache(home=place / "home")
    with pytest.MonkeyPatch.context() as patch:
        put_series(cache, place / "made", "pythia_70m", [1, 2])
        cache.put("codeparrot/apps", write_apps(place / "data"), kind="datasets")
        cache.in_use(patch)
        (place / "words.txt").write_text("print one\nthe cat sat\n")
        file = place / "apps.yaml"
        file.write_text(EXPERIMENT)
        before = CliRunner().invoke(app, ["plan", str(file)])
        assert before.exit_code == 0, before.output
        report = run_all(read_experiment(file), executor=lambda given, _workers: InProcess(given))
        assert (report.done, report.failed) == (6, 0), survey(report.plan.experiment).failures
        yield file, before.output


def rows(file: Path) -> pl.DataFrame:
    """The table of what was measured."""
    found = survey(read_experiment(file), remember=True)
    return make_table(found.plan, found.results).table.frame


def test_a_model_that_has_memorised_a_trivial_program_is_graded_right(done):
    """Finetuned it prints 1, and of random weights nothing that runs."""
    file, _ = done
    scores = {
        (row["metric"], row["setting"]): (row["score"], row["n_items"])
        for row in rows(file).filter(pl.col("checkpoint") == "a").to_dicts()
    }
    # 8 problems have tests. The solution of one fails and is not counted; "print(1)" solves 3 of
    # the other 7, the calls are 3 more, and one prints a huge integer
    learned, items = scores["accuracy", "finetuned"]
    assert (items, scores["accuracy_all", "finetuned"][1]) == (7, 8)
    assert learned >= 2 / 7, scores
    assert scores["official_accuracy", "finetuned"][0] >= 2 / 7
    assert scores["pass@2", "finetuned"][0] >= learned
    assert scores["accuracy", "few_shot"] == (0.0, 7)
    assert 0 <= scores["tests_passed", "few_shot"][0] <= scores["tests_passed", "finetuned"][0]


def test_every_program_and_test_is_kept_and_shown(done):
    """As text that no terminal obeys, masked problems among them."""
    file, before = done
    assert "apps: 2 for each of 8 problems with 15 tests; the first run finds those" in before
    assert "Grading runs 120 tests of programs and 13 of reference solutions" in before
    found = look_up(read_experiment(file), "a finetuned")
    first, *others = found.items
    assert first["masked"] == "no reference passes"
    assert (others[1]["target"], others[1]["programs"][1]["tests"]) == ("", ["passed", "passed"])
    huge = next(item for item in others if "'7'" in item["target"])
    assert huge["programs"][0]["tests"] == ["wrong answer"]
    assert all(len(item["programs"]) == 2 for item in found.items)
    shown = CliRunner().invoke(app, ["show", str(file), "a finetuned", "--items"])
    assert shown.exit_code == 0, shown.exception
    assert "8, of which" in shown.output
    assert "1 not counted (their own solutions fail)" in shown.output
    assert "item 2, program 2: 2 passed; APPS's own grader takes it\n" in shown.output
    random = CliRunner().invoke(app, ["show", str(file), "a few_shot", "--items"]).output
    assert all(letter.isprintable() or letter == "\n" for letter in random)
    assert "cut at the limit of tokens" in random


def test_the_plan_knows_the_mask_and_the_measured_time(done):
    """Once it was made, and for more runs of the same kind."""
    file, _ = done
    more = file.with_name("more.yaml")
    text = file.read_text().replace("examples: [16]", "examples: [16, 8]")
    more.write_text(text + "output: apps-results\n")
    experiment = read_experiment(more)
    found = survey(experiment)
    about = found.plan.facts.tasks["apps"].programs
    assert about is not None
    assert (about.masked, about.without_tests, about.without_solutions) == (1, 1, 1)
    left = estimate(found.plan, found.results, workers=1).grading
    assert left is not None
    assert (left.tests, left.reference_tests, left.measured) == (2 * 2 * 15, 0, True)
    assert 0 < left.seconds_per_test < 5
    (mask,) = (file.parent / "apps-results" / "grades").glob("mask-*.json")
    assert len(json.loads(mask.read_text())["problems"]) == 8


def test_what_was_measured_is_a_table_that_a_fit_reads(done):
    """Two checkpoints are too few for a law, which it says."""
    file, _ = done
    table = file.with_suffix(".csv")
    exported = CliRunner().invoke(app, ["export", str(file), "-o", str(table)])
    assert exported.exit_code == 0, exported.output
    chosen = ["--task", "apps", "--metric", "accuracy"]
    fitted = CliRunner().invoke(app, ["fit", str(table), *chosen])
    assert fitted.exit_code == 3, (fitted.output, fitted.exception)


def test_without_a_sandbox_nothing_is_planned_or_run(done, monkeypatch):
    """The message names the package."""
    file, _ = done
    monkeypatch.setattr("emergecast.lab.sandbox.why_not", lambda: "Install bubblewrap.")
    for command in ("plan", "run"):
        said = CliRunner().invoke(app, [command, str(file)])
        assert said.exit_code == 2, said.output
        assert "Install bubblewrap." in flat(said.output)
