"""Experiments with a prefix and with a sweep, from the plan to the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.lab.executors.in_process import InProcess
from tests.lab.finetune.latent_skills import pretrained, tokenizer, write_tasks
from tests.lab.worker.small_models import changed

from emergecast.cli.texts.runs import _steps, run_text
from emergecast.lab.executors import run_all
from emergecast.lab.experiment import Experiment, Run, read_experiment
from emergecast.lab.ledger import Result
from emergecast.lab.plan import look_up, make_table, survey
from emergecast.lab.plan._estimate import flops

EXPERIMENT = """\
output: results
series:
  - name: llamas
    checkpoints:
      - {name: a, path: models/a, tokens: 1000}
      - {name: b, path: models/b, tokens: 2000}
corpora: [{name: held-out, path: held-out.jsonl}]
tasks: [{name: toy_mmlu, include_path: tasks}]
evaluation: {limit: 8}
few_shot: false
finetune:
  examples: [16, 32]
  methods:
    - {name: prefix-4, steps: 3}
    - name: full
      early_stopping: {patience: 1}
      sweep: {learning_rates: {16: [1e-3], 32: [1e-3, 1e-2]}, epochs: [2, 3], validation: 0.25}
    - name: lora-2
      steps: 4
      sweep: {learning_rates: [1e-3, 1e-2], validation: 0.25}
"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """Everything done, on two tiny Llamas."""
    folder: Path = tmp_path_factory.mktemp("llamas")
    words = tokenizer()
    for name, steps in (("a", 0), ("b", 1)):
        pretrained(words, steps=steps, width=16).save_pretrained(folder / "models" / name)
        words.save_pretrained(folder / "models" / name)
    write_tasks(folder / "tasks")
    lines = [json.dumps({"text": "What is w1? A w2 B"})] * 3
    (folder / "held-out.jsonl").write_text("\n".join(lines), "utf-8")
    file = folder / "llamas.yaml"
    file.write_text(EXPERIMENT, "utf-8")
    experiment = read_experiment(file)
    report = run_all(experiment, executor=lambda each, _workers: InProcess(each))
    assert (report.done, report.failed) == (2 * (1 + 2 * 3), 0)
    return experiment


def results(experiment: Experiment, method: str) -> list[tuple[Run, Result]]:
    """Of one method."""
    found = survey(experiment, remember=True)
    return [
        (run, found.results[run.key])
        for run in found.plan.runs
        if run.training is not None and run.training.method.name == method
    ]


def test_the_table_names_the_methods(measured: Experiment):
    """The epochs are stated where they are the same for every run of the kind."""
    found = survey(measured, remember=True)
    rows = make_table(found.plan, found.results).table.frame.to_dicts()
    assert {row["method"] for row in rows} == {"prefix-4", "full", "lora-2"}
    epochs = {(row["method"], row["examples"]): row["epochs"] for row in rows}
    assert epochs["prefix-4", 16] == 3
    assert epochs["lora-2", 32] == 4
    assert epochs["full", 16] is None
    assert epochs["full", 32] is None


def test_what_won_and_the_losses_are_recorded_and_shown(measured: Experiment):
    """The lowest one was taken; nothing of it stands where nothing was chosen."""
    for run, result in results(measured, "lora-2"):
        said: Any = result.training
        assert [each["learning_rate"] for each in said["tried"]] == [1e-3, 1e-2]
        best = min(said["tried"], key=lambda each: each["held_out_loss"])
        assert said["chosen"] == {"steps": 4, "learning_rate": best["learning_rate"]}
        shown = run_text(look_up(measured, run.key), items=False)
        loss = said["tried"][1]["held_out_loss"]
        assert f"learning rate 0.01, 4 steps: held-out loss {loss:.6g}" in shown
        assert f"chosen      learning rate {best['learning_rate']:.6g}, steps 4\n" in shown
    for run, result in results(measured, "full"):
        said = result.training
        assert len(said["tried"]) == (2 if run.examples == 16 else 4)
        assert said["held_out_loss"] == min(each["held_out_loss"] for each in said["tried"])
        shown = run_text(look_up(measured, run.key), items=False)
        (line,) = [line for line in shown.splitlines() if line.startswith("  steps ")]
        taken, last = said["steps"], said["last_step"]
        assert (f"weights of step {taken}" in line) is (taken < last)
        assert ("stopped early" in line) is (last < said["chosen"]["steps"])
    for _, result in results(measured, "prefix-4"):
        assert result.training is not None
        assert result.training.keys() == {"steps", "loss", "resumed_from"}


@pytest.mark.parametrize(
    ("training", "recipe", "said"),
    [
        ({"steps": 12}, {"steps": 12}, "12"),
        (
            {"steps": 1030, "last_step": 1040},
            {"steps": 1100, "early_stopping": {}},
            "stopped early after 1,040 of 1,100; the weights of step 1,030 were scored",
        ),
        (
            {"steps": 30, "last_step": 100},
            {"steps": 100, "early_stopping": {}},
            "100; the weights of step 30 were scored",
        ),
        (
            {"steps": 30, "last_step": 40, "chosen": {"steps": 40}},
            {"steps": 20, "early_stopping": {}},
            "40; the weights of step 30 were scored",
        ),
        (
            {"steps": 30, "held_out_loss": 1.0},
            {"steps": 100, "early_stopping": {}},
            "30, of 100 at most: the weights of that step were scored",
        ),
    ],
)
def test_the_steps_of_a_run_say_where_it_stopped(training: Any, recipe: Any, said: str):
    """And which weights were scored; results of earlier versions do not know where they ended."""
    assert _steps(training, recipe) == said


def test_the_plan_counts_the_work_of_a_sweep(measured: Experiment):
    """Two candidates and the chosen one are three times the steps, beside looks at 8 examples."""
    plan = survey(measured, remember=True).plan
    about = plan.facts.tasks["toy_mmlu"]
    assert about.zero_shot_item_bytes is not None
    tokens = about.zero_shot_item_bytes / 4
    (swept,) = (
        r for r, _ in results(measured, "lora-2") if (r.checkpoint, r.examples) == ("a", 32)
    )
    params = plan.facts.models["llamas", "a"].params
    passes = 6 * 3 * 4 * 32 + 2 * 2 * 8 + 2 * about.items
    assert flops(plan, swept) == pytest.approx(params * tokens * passes)


def test_a_model_that_takes_no_prefix_stops_the_plan(place: Path):
    """At the line of each checkpoint, before anything is loaded."""
    experiment = changed(place, ("name: lora-2, steps: 12", "name: prefix-2, steps: 12"))
    problems = survey(experiment).plan.problems
    assert [each.line for each in problems] == [7, 8]
    assert all("SmearedKeysForCausalLM takes none" in each.what for each in problems)
