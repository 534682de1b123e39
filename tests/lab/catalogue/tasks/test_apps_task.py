"""APPS as a task: data, format, what is finetuned on, what is drawn, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from tests.lab.catalogue.tasks.apps_data import HUGE, write_apps
from tests.lab.hub_cache import HubCache

from emergecast.cli.texts.recipes import beside_lines
from emergecast.errors import ExperimentError, LabError
from emergecast.lab.catalogue.recipes import catalogued_recipe
from emergecast.lab.catalogue.tasks import settle
from emergecast.lab.evaluate._backend import DrawEach
from emergecast.lab.experiment import parse_experiment
from emergecast.lab.tasks import LoadedTask, ProgramOptions, Task, load_task

STDIN = "\nQUESTION:\nPrint one (test 3).\nUse Standard Input format\nANSWER:"
CALL = "\nQUESTION:\nReturn one more than x (test 2).\ndef f(x):\n\nUse Call-Based format\nANSWER:"


def loaded(
    folder: Path | None, name: str = "apps", *, limit: int | None = None, **options: Any
) -> LoadedTask:
    """The task on the data of a folder, without shots."""
    programs = ProgramOptions(**options)
    return load_task(
        settle(Task(name=name, data=folder, programs=programs), {"shots"}), limit=limit
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the data as Parquet."""
    return write_apps(tmp_path_factory.mktemp("apps") / "data")


def test_one_format_for_finetuning_and_evaluation(folder):
    """APPS's own prompt, but for the line end that belongs to the program."""
    task = loaded(folder)
    prompts = [item.prompt for item in task.items]
    assert prompts[2] == STDIN
    assert prompts[1] == CALL
    pairs = task.program_pairs(0, 22, lambda _pair: True).pairs
    assert {pair.completion for pair in pairs} == {"\nprint(1)", "\ndef f(x):\n    return x + 1"}
    assert {pair.prompt.replace("train", "test") for pair in pairs} >= {
        STDIN,
        CALL.replace("2)", "5)"),
    }
    assert all(pair.ends for pair in pairs)
    two = load_task(settle(Task(name="apps", data=folder), ()))
    first = {item.prompt.rpartition("\n\nQUESTION:")[0] for item in two.items}
    assert len(first) == 1
    assert first.pop().count("ANSWER:\n") == 2
    assert (two.pool.shots, two.train_size) == (2, 21)


def test_odd_rows(folder):
    """No tests, no solution, a huge integer: counted or read."""
    task = loaded(folder)
    assert task.programs is not None
    assert task.programs.left_out == (1, 1)
    assert [each.problem for each in task.programs.problems] == list("12345678")
    assert task.programs.problems[2].solutions == ()
    assert task.programs.problems[3].tests.tests[0].expected == f"{HUGE}\n"
    assert loaded(folder, limit=2).n_items == 2
    assert len(task.references) == 7


def test_both_data_sets_and_lines_are_the_same_task(folder, tmp_path, monkeypatch):
    """Whichever of them the cache has; each difficulty is a task of its own."""
    lines = write_apps(tmp_path / "lines", lines=True)
    hashes = {loaded(folder).hash, loaded(lines).hash}
    for repo, place in (("metr-evals/apps", "data"), ("codeparrot/apps", ".")):
        cache = HubCache(home=tmp_path / repo.partition("/")[0])
        files = tmp_path / f"files {place}"
        write_apps(files / place)
        cache.put(repo, files, kind="datasets")
        cache.in_use(monkeypatch)
        hashes.add(loaded(None).hash)
    assert len(hashes) == 1
    HubCache(home=tmp_path / "nothing").in_use(monkeypatch)
    with pytest.raises(LabError, match="metr-evals/apps or codeparrot/apps could not be read"):
        loaded(None)
    competition = loaded(folder, "apps_competition")
    assert competition.n_items == 3
    assert competition.pool.whole == 6


def test_several_solutions_weigh_no_more(tmp_path):
    """Each problem has as many rows; what is too long is left out and counted."""
    write_apps(tmp_path)
    file = tmp_path / "train-00000-of-00001.parquet"
    frame = pl.read_parquet(file).head(6)
    many = json.dumps([f"print({i})" for i in range(5)] + ["print(1) # " + "long " * 50])
    solutions = [many, json.dumps(["print(1)"]), json.dumps(["x" * 400])] + [many] * 3
    frame.with_columns(solutions=pl.Series(solutions)).write_parquet(file)
    task = loaded(tmp_path, solutions=3)
    found = task.program_pairs(0, 5, lambda pair: len(pair.completion) < 100)
    assert len(found.pairs) == 15
    by_prompt: dict[str, set[str]] = {}
    for pair in found.pairs:
        by_prompt.setdefault(pair.prompt, set()).add(pair.completion)
    assert sorted(map(len, by_prompt.values())) == [1, 3, 3, 3, 3]
    each = [task.program_pairs(i, 5, lambda pair: len(pair.completion) < 100) for i in range(8)]
    assert {pairs.problems_too_long for pairs in each} == {0, 1}
    assert max(pairs.solutions_too_long for pairs in each) > 1
    fewer = task.program_pairs(0, 3, lambda pair: len(pair.completion) < 100)
    assert found.pairs[: len(fewer.pairs)] == fewer.pairs
    assert (
        task.program_pairs(1, 3, lambda _: True).pairs
        != task.program_pairs(0, 3, lambda _: True).pairs
    )
    with pytest.raises(LabError, match="5 training problems with a solution that the model takes"):
        task.program_pairs(0, 6, lambda pair: len(pair.completion) < 100)


def test_settings_are_part_of_what_is_measured(folder):
    """Other programs, another task hash; equal ones, the same."""
    plain = loaded(folder)
    assert loaded(folder).hash == plain.hash
    others = [
        loaded(folder, **each).hash
        for each in ({"samples": 2}, {"official": True}, {"cpu_seconds": 5.0}, {"max_tokens": 9})
    ]
    assert len({plain.hash, *others}) == 5
    many = loaded(folder, samples=20).programs
    assert many is not None
    assert many.ks == (10, 20)


def test_what_is_refused(folder, tmp_path):
    """Equal samples; settings of programs where there are none; another metric."""
    with pytest.raises(LabError, match="2 programs of temperature 0 are one program"):
        loaded(folder, samples=2, temperature=0.0)
    with pytest.raises(LabError, match='no metric "acc"; its score is accuracy'):
        load_task(settle(Task(name="apps", data=folder, metric="acc"), {"metric"}))
    text = """\
series: [{name: v1, checkpoints: [{name: a, path: a}]}]
corpora: [{name: c, path: c.txt}]
tasks: [{name: gsm8k, programs: {samples: 2}}]
"""
    with pytest.raises(ExperimentError, match="answers are programs"):
        parse_experiment(text, tmp_path / "x.yaml")


def test_a_draw_depends_on_its_own_seed_alone_and_has_the_right_frequency():
    """softmax(logits / temperature), whatever else is in the batch."""
    logits = torch.tensor([0.0, 1.0, -0.5, 2.0])
    count = 4000
    drawn = DrawEach(range(count), 0.7)(torch.empty(0), logits.repeat(count, 1)).argmax(1)
    found = torch.bincount(drawn, minlength=4) / count
    assert torch.allclose(found, torch.softmax(logits / 0.7, 0), atol=4 * 0.5 / count**0.5)
    alone = DrawEach([17], 0.7)(torch.empty(0), logits[None]).argmax(1)
    assert alone == drawn[17]


def test_the_published_forecast_has_no_truth_yet():
    """Nobody has reached it."""
    assert any("not reached" in line for line in beside_lines(catalogued_recipe("llama2-apps"), []))
