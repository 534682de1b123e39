"""Proxy signals against a loop over tokens and a sort of the vocabulary."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.lab.evaluate.test_evaluate import generating
from tests.lab.executors.in_process import InProcess
from tests.lab.worker.small_models import EXPERIMENT, GENERATES, build, changed

from emergecast.errors import LabError
from emergecast.lab.evaluate import PROXIES, _proxies, evaluate, reference_signals
from emergecast.lab.executors import run_all
from emergecast.lab.experiment import Experiment, RunKind, parse_experiment
from emergecast.lab.ledger import Ledger
from emergecast.lab.plan import make_table, survey
from emergecast.lab.proving_ground import MATCHING
from emergecast.lab.tasks import Encoded, Task, load_task
from emergecast.measurements import metric_of


def by_sorting(model: Any, context: list[int], solution: list[int]) -> dict[str, float]:
    """The signals of one solution: every token by a pass of its own, its rank by sorting."""
    found: dict[str, list[float]] = {name: [] for name in PROXIES}
    for place, token in enumerate(solution):
        given = (context + solution[:place])[-128:]
        with torch.no_grad():
            logits = model(torch.tensor([given])).logits[0, -1].double()
        order = sorted(range(len(logits)), key=lambda i: -float(logits[i]))
        rank = order.index(token) + 1
        found["proxy_logprob"].append(float(logits.log_softmax(-1)[token]))
        found["proxy_top1"].append(float(rank <= 1))
        found["proxy_top5"].append(float(rank <= 5))
        found["proxy_rank"].append(float(rank))
        found["proxy_reciprocal_rank"].append(1 / rank)
    return {name: sum(values) / len(values) for name, values in found.items()}


def sharp(model: Any) -> Any:
    """The model, so sure that some tokens are among its first."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3)
    return model


def test_signals_are_those_of_a_loop_over_tokens(tiny, monkeypatch):
    """Solutions of several lengths in a batch, one cut by the model's length, one filling it."""
    monkeypatch.setattr(_proxies, "_AT_A_TIME", 7)
    rng = np.random.default_rng(4)
    model = sharp(tiny())
    asked = []
    for context, solution in ((3, 1), (3, 7), (60, 20), (120, 30), (1, 140)):
        start = list(map(int, rng.integers(0, 1363, context)))
        with torch.no_grad():  # the likeliest token now and then
            likely = int(model(torch.tensor([start[-128:]])).logits[0, -1].argmax())
        more = map(int, rng.integers(0, 1363, solution - 1))
        asked.append(Encoded(tuple(start), (likely, *more)))
    found = reference_signals(model, asked)
    assert [each.tokens for each in found] == [1, 7, 20, 30, 128]
    for each, signals in zip(asked[:3], found, strict=False):
        expected = by_sorting(model, list(each.context), list(each.continuation))
        assert dict(zip(PROXIES, signals[1:], strict=True)) == pytest.approx(expected, abs=1e-5)
        assert 0 < signals.top1 <= signals.top5
    whole = list(asked[4].context + asked[4].continuation)
    with torch.no_grad():  # one pass is all there is, from the first token that fits
        logits = model(torch.tensor([whole[-129:-1]])).logits[0].double()
    picked = logits.log_softmax(-1)[range(128), whole[-128:]]
    assert found[4].logprob == pytest.approx(float(picked.mean()), abs=1e-5)
    with torch.no_grad():
        model.norm.weight[0] = float("nan")
    with pytest.raises(LabError, match="not a finite number"):
        reference_signals(model, asked)


def test_ties_are_broken_by_lot(tiny):
    """A model to which all tokens are alike is at chance, and not always right."""
    model = tiny()
    with torch.no_grad():
        model.norm.weight.zero_()
    (found,) = reference_signals(model, [Encoded((1, 2), (3, 4, 5))])
    size = model.config.vocab_size
    assert found.logprob == pytest.approx(-math.log(size), abs=1e-6)
    assert found[2:] == pytest.approx((1 / size, 5 / size, (size + 1) / 2, 2 / (size + 1)))


@pytest.mark.parametrize("generates", [False, True])
def test_a_task_is_scored_on_its_right_answers(tiny, words, tasks_folder, tmp_path, generates):
    """The mean over items, each with its own signals, beside the same scores as without them."""
    if generates:
        plain = generating(tasks_folder, tmp_path, until="' '", most=1, limit=12)
    else:
        plain = load_task(Task(name=MATCHING, include_path=tasks_folder), limit=12)
    task = load_task(replace(plain._task, proxy=True), limit=12)
    assert (task.hash, task.definition.hash) == (plain.hash, plain.definition.hash)
    model = sharp(tiny())
    found, without = evaluate(model, words, task), evaluate(model, words, plain)
    assert found.scores[: len(without.scores)] == without.scores
    assert [item._replace(proxy=None) for item in found.items] == list(without.items)
    scores = {score.metric: score for score in found.scores[len(without.scores) :]}
    assert tuple(scores) == PROXIES
    each = []
    for item in task.items:
        doc = task.requests[item.requests[0]].doc
        answer = doc["choices"][doc["answer"]]
        each.append(by_sorting(model, words(item.prompt)["input_ids"], words(answer)["input_ids"]))
    for name, score in scores.items():
        values = [expected[name] for expected in each]
        assert score.score == pytest.approx(np.mean(values), abs=1e-5)
        assert score.stderr == pytest.approx(np.std(values, ddof=1) / math.sqrt(12), abs=1e-5)
        assert score.n_items == 12
        mine = [dict(item.proxy or {})[name.removeprefix("proxy_")] for item in found.items]
        assert mine == pytest.approx(values, abs=1e-5)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models and a task."""
    folder = tmp_path_factory.mktemp("proxies")
    build(folder)
    return folder


def few_shot_keys(experiment: Experiment) -> dict[str, str]:
    """Keys of all runs by their title."""
    found = survey(experiment)
    assert not found.plan.problems
    return {run.title: run.key for run in found.plan.runs}


def test_they_are_in_the_ledger_and_in_the_table(place: Path):
    """Of the runs of a task that asks for them, whose keys alone are others."""
    told = "chance: {acc: 0.25, logprob: -1.39}}"
    more = told[:-2] + ", proxy_rank: 600, proxy_top5: 0.01}, proxy: true}"
    only = ("examples: [8, 32]", "examples: [8]")
    plain = few_shot_keys(changed(place, only))
    experiment = changed(place, only, (told, more), ("  - {name: lora-2", "#"))
    keys = few_shot_keys(experiment)
    assert keys.keys() < plain.keys()
    assert {title for title in keys if keys[title] == plain[title]} == {
        "random/a loss held-out", "random/b loss held-out",
    }  # fmt: skip
    report = run_all(experiment, executor=lambda each, _: InProcess(each))
    assert (report.done, report.failed) == (6, 0)
    found = survey(experiment, remember=True)
    table = make_table(found.plan, found.results)
    assert table.without_chance == tuple(
        f"{name} of words"
        for name in ("choice_prob", *PROXIES)
        if name not in {"proxy_rank", "proxy_top5"}
    )
    rows = [row for row in table.table.frame.to_dicts() if row["metric"] in PROXIES]
    assert len(rows) == 2 * 2 * 2
    for row in rows:
        assert row["higher_is_better"] == (row["metric"] != "proxy_rank")
        assert row["chance"] == (600 if row["metric"] == "proxy_rank" else 0.01)
    others = [row for row in table.table.frame.to_dicts() if row["metric"] not in PROXIES]
    assert {row["higher_is_better"] for row in others} == {None}
    with Ledger.open_to_read(experiment.ledger) as ledger:
        for run in found.plan.runs:
            if run.kind is RunKind.LOSS:
                continue
            (rank,) = [s for s in found.results[run.key].scores if s.metric == "proxy_rank"]
            kept = [item["proxy"]["rank"] for item in ledger.items(run.key)]
            assert np.mean(kept) == pytest.approx(rank.score)
    before = survey(changed(place, only), remember=True).plan
    with pytest.raises(LabError, match="4 older results are left out: the task has changed"):
        make_table(before, found.results)


def test_an_item_without_one_answer_is_refused_in_the_plan(place: Path):
    """At the line of the task, before anything is loaded."""
    task = GENERATES.replace('"{{a}}"', "choices").replace("{{q}}", "{{prompt}}")
    (place / "tasks" / "sums.yaml").write_text(task)
    text = EXPERIMENT.replace("name: words, include", "name: sums, proxy: true, include")
    found = survey(parse_experiment(text.replace("acc: 0", "exact_match: 0"), place / "s.yaml"))
    (problem,) = found.plan.problems
    assert "has no answer, or several" in str(problem)
    assert "tasks[0]" in str(problem)


def test_every_proxy_is_a_known_metric():
    """With a direction and a best value."""
    for name in PROXIES:
        metric = metric_of(name)
        assert metric.known
        assert metric.best is not None
        assert metric.lower_is_better == (name == "proxy_rank")
