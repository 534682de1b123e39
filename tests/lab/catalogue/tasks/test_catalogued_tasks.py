"""The tasks of the catalogue: what is settled, what is left out, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.cli.test_documentation import FENCE
from tests.lab.catalogue.tasks.published import PUBLISHED, REPOS, SUBJECTS, mmlu, write_published

from emergecast.errors import ExperimentError, LabError
from emergecast.lab.catalogue.tasks import catalogued_task, settle, task_names
from emergecast.lab.experiment import parse_experiment
from emergecast.lab.tasks import LoadedTask, Task, load_task


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data of each task."""
    folder = tmp_path_factory.mktemp("published")
    for name in PUBLISHED:
        write_published(name, folder / name)
    return folder


def loaded(name: str, folder: Path, *, limit: int | None = None, **options: Any) -> LoadedTask:
    """A task of the catalogue on the data of a folder."""
    task = settle(Task(name=name, data=folder, **options), options)
    return load_task(task, limit=limit)


SETTLED = {
    # name: evaluated split, finetuned split, shots, metric, chance, chances beside it
    "mmlu": ("test", "auxiliary_train", 5, "acc", 0.25, {"choice_prob": 0.25}),
    "gsm8k": ("test", "train", 5, "exact_match", 0.0, {}),
    "commonsense_qa": ("validation", "train", 6, "acc", 0.2, {"choice_prob": 0.2}),
    "cola": ("validation", "train", 5, "acc", 0.7, {"choice_prob": 0.5, "mcc": 0.0}),
}
"""Written from the facts about the data sets; 7 of the 10 invented sentences are acceptable."""


@pytest.mark.parametrize("name", SETTLED)
def test_what_is_settled(published, name):
    """Splits, shots, metrics and chance levels, and nothing that is evaluated is finetuned on."""
    evaluated, finetuned, shots, metric, chance, chances = SETTLED[name]
    settled = catalogued_task(name)
    assert (settled.evaluated, settled.finetuned, settled.shots) == (evaluated, finetuned, shots)
    assert settled.repo == REPOS[name]
    assert settled.sources.keys() <= {each.name for each in dataclasses.fields(settled)}
    task = loaded(name, published / name)
    assert (task.metric, task.chance, dict(task.chances)) == (metric, chance, chances)
    rows = PUBLISHED[name]()
    place = next(place for place in rows if place.endswith(f"/{evaluated}"))
    assert task.n_items == len(rows[place])
    config = task._parts[0].config
    assert (config.test_split or config.validation_split) == evaluated
    assert task.pool.whole == (40 if name == "mmlu" else 60)
    assert task.zero_shot.chance == chance


def test_names():
    """Those above, those of APPS, and the nearest one to a mistake."""
    apps = [f"apps{each}" for each in ("", "_competition", "_interview", "_introductory")]
    assert task_names() == tuple(sorted([*SETTLED, *apps]))
    with pytest.raises(LabError, match=r'no task "gsm8".*Did you mean "gsm8k"'):
        catalogued_task("gsm8")


def test_what_is_stated_stands(tmp_path):
    """Shots, metric and chance; a folder of one's own YAML files comes before the catalogue."""
    task = settle(Task(name="gsm8k", shots=0), {"shots"})
    assert (task.shots, task.metric) == (0, "exact_match,strict-match")
    own = Task(name="gsm8k", include_path=tmp_path)
    assert settle(own, ()) is own
    other = Task(name="hellaswag")
    assert settle(other, ()) is other


@pytest.mark.parametrize("name", ["gsm8k", "commonsense_qa", "cola"])
def test_shots_leave_the_finetuning_data(published, name):
    """No prompt holds what is finetuned on, as the prompts themselves show; all else is kept."""
    task = loaded(name, published / name)
    prompts = "\n\n".join(item.prompt for item in task.items)
    rows = next(rows for place, rows in PUBLISHED[name]().items() if place.endswith("/train"))
    texts = [row.get("question") or row["sentence"] for row in rows]
    unseen = {text for text in texts if text not in prompts}
    pairs = task.zero_shot.training_pairs(0, task.train_size)
    assert 0 < task.train_size < 60
    assert {text for text in texts if any(text in pair.prompt for pair in pairs)} == unseen
    assert (task.pool.shots, task.pool.leaked) == (60 - len(unseen), 0)
    limited = loaded(name, published / name, limit=1)
    one_more = name != "gsm8k"  # the harness draws one more, and leaves out the item it asks about
    assert limited.pool.shots <= catalogued_task(name).shots + one_more
    free = loaded(name, published / name, finetune_on_shots=True)
    assert (free.train_size, free.pool.shots) == (60, 0)
    assert loaded(name, published / name, shots=0).train_size == 60


def test_training_strings_have_the_format_of_the_evaluation(published):
    """Begin, end and answer; of MMLU all but the subject, which the training rows lack."""
    task = loaded("mmlu", published / "mmlu").zero_shot
    asked = task.items[0].prompt
    pair = task.training_pairs(0, 1)[0]
    head = "The following are multiple choice questions (with answers)"
    assert asked.startswith(f"{head} about abstract algebra.\n\nWhich of abstract algebra is")
    assert pair.prompt.startswith(f"{head}.\n\nWhich of common things is")
    assert asked.endswith("\nAnswer:")
    assert pair.prompt.endswith("\nAnswer:")
    assert pair.completion in {" A", " B", " C", " D"}
    sums = loaded("gsm8k", published / "gsm8k").zero_shot.training_pairs(0, 1)[0]
    assert sums.prompt.startswith("Question: ")
    assert sums.completion.startswith(" There are ")
    assert "<<" in sums.completion
    assert sums.ends


def test_nested_and_flat_and_lines_are_the_same_task(tmp_path):
    """What is published in one form or another has one hash, so one key."""
    rows = mmlu()
    flat = {
        "all/test": rows["all/test"],
        "all/dev": rows["all/dev"],
        "all/auxiliary_train": [row["train"] for row in rows["auxiliary_train/train"]],
    }
    forms = [write_published("mmlu", tmp_path / "nested"), tmp_path / "flat", tmp_path / "lines"]
    write_published("mmlu", forms[1], flat)
    forms[2].mkdir()
    for place, lines in flat.items():
        text = "\n".join(json.dumps(dict(reversed(row.items()))) for row in lines)
        (forms[2] / f"{place.split('/')[1]}.jsonl").write_text(text)
    tasks = [loaded("mmlu", form, limit=1) for form in forms]
    assert len({task.hash for task in tasks}) == 1
    assert len({task.definition.hash for task in tasks}) == 1


def test_a_leaked_question_is_not_finetuned_on(tmp_path):
    """The first test question stands among the training rows, in another case and with a tail."""
    rows = PUBLISHED["gsm8k"]()
    first = rows["main/test"][0]
    long = f"{first['question']} Say it as a number, and nothing else."
    rows["main/test"][0] = first | {"question": long}
    rows["main/train"].append(first | {"question": long.upper() + " Please."})
    folder = write_published("gsm8k", tmp_path, rows)
    task = loaded("gsm8k", folder, finetune_on_shots=True)
    assert (task.pool.leaked, task.train_size) == (1, 60)
    kept = loaded("gsm8k", folder, finetune_on_shots=True, leak_check=False)
    assert (kept.pool.leaked, kept.train_size) == (None, 61)


def _without(column: str) -> Callable[[Path], None]:
    def spoil(file: Path) -> None:
        pl.read_parquet(file).drop(column).write_parquet(file)

    return spoil


def _with(column: str, value: Any) -> Callable[[Path], None]:
    def spoil(file: Path) -> None:
        pl.read_parquet(file).with_columns(pl.lit(value).alias(column)).write_parquet(file)

    return spoil


def _first(count: int) -> Callable[[Path], None]:
    def spoil(file: Path) -> None:
        pl.read_parquet(file).head(count).write_parquet(file)

    return spoil


@pytest.mark.parametrize(
    ("name", "place", "spoil", "said"),
    [
        ("gsm8k", "main/train", _without("answer"), 'lacks the column "answer"; it has question'),
        ("gsm8k", "main/test", Path.unlink, "split test is not in .*none of main/test.parquet"),
        ("gsm8k", "main/test", lambda file: file.write_text("{"), "cannot be read"),
        ("gsm8k", "main/test", _first(0), "holds no items"),
        ("gsm8k", "main/train", _first(4), "has 4 items to take its shots from, and 5 shots"),
        ("commonsense_qa", "data/train", _first(6), "6 items .* and 6 shots are asked for"),
        (
            "cola",
            "cola/train",
            _with("label", "1"),
            'column "label" of .* holds String, and should hold whole numbers',
        ),
        ("cola", "cola/train", _with("label", None), 'column "label" of .* holds Null'),
        ("cola", "cola/validation", _with("label", -1), "item 0 of split validation .* no right"),
        ("commonsense_qa", "data/validation", _with("answerKey", ""), "no right answer"),
        ("mmlu", "all/test", _first(3), "split test has no items of"),
        ("mmlu", "all/test", _with("choices", "A"), "holds String, and should hold lists of texts"),
    ],
)
def test_bad_data_are_refused(published, tmp_path, name, place, spoil, said):
    """With the file, what is wrong, and what to give."""
    folder = shutil.copytree(published / name, tmp_path / name)
    spoil(folder / f"{place}-00000-of-00001.parquet")
    with pytest.raises(LabError, match=rf'task "{name}".*{said}') as caught:
        loaded(name, folder)
    assert "\n" not in str(caught.value)


def test_a_subject_with_too_few_shots_is_named(tmp_path):
    """MMLU takes the first five of dev, subject by subject."""
    rows = mmlu()
    rows["all/dev"] = rows["all/dev"][1:]
    folder = write_published("mmlu", tmp_path, rows)
    with pytest.raises(LabError, match=f"mmlu_{SUBJECTS[0]} has 4 items to take its shots from"):
        loaded("mmlu", folder)


def test_the_page_shows_what_can_be_read_and_what_is_settled():
    """Its experiment, and a row of its table for each task."""
    page = (Path(__file__).parents[4] / "docs" / "tasks.md").read_text("utf-8")
    (text,) = [code for name, code in FENCE.findall(page) if name == "yaml"]
    named = parse_experiment(text, "experiment.yaml").tasks
    assert sorted(task.name for task in named) == sorted(task_names())
    assert all(task.settled for task in named)
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    for name in task_names():
        settled = catalogued_task(name)
        told = [settled.repo, settled.evaluated, settled.finetuned, str(settled.shots)]
        told += [settled.metric.split(",")[0], *settled.besides]
        assert all(word in rows[name] for word in told)


FILE = """\
series: [{name: v1, checkpoints: [{name: a, path: a}]}]
corpora: [{name: c, path: c.txt}]
tasks:
  - {name: gsm8k, data: sums, leak_check: false, finetune_on_shots: true}
  - {name: commonsense_qa, shots: 0}
  - {name: hellaswag}
"""


def test_an_experiment_names_a_task(tmp_path):
    """By its name alone; what the file states stands, and other tasks are what they were."""
    sums, csqa, other = parse_experiment(FILE, tmp_path / "x.yaml").tasks
    assert sums.settled == catalogued_task("gsm8k")
    assert (sums.data, sums.shots) == (tmp_path / "sums", 5)
    assert (sums.leak_check, sums.finetune_on_shots) == (False, True)
    assert (csqa.shots, csqa.settled) == (0, catalogued_task("commonsense_qa"))
    assert other == Task(name="hellaswag")
    with pytest.raises(ExperimentError) as caught:
        parse_experiment(FILE.replace("hellaswag", "hellaswag, data: x"), tmp_path / "x.yaml")
    (problem,) = caught.value.problems
    assert problem.line == 6
    assert "mmlu" in problem.what
