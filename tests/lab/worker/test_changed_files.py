"""What has changed since the plan is not measured under the old key, nor mixed with the new."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.lab.executors.in_process import InProcess
from tests.lab.worker.small_models import TASK

from emergecast.errors import LabError
from emergecast.lab.architecture import SmearedKeysForCausalLM
from emergecast.lab.executors import RunOptions, run_all
from emergecast.lab.experiment import LATER, Run, RunKind, canonical, read_experiment
from emergecast.lab.ledger import Ledger, State
from emergecast.lab.plan import Survey, look_up, make_table, survey
from emergecast.lab.tasks import CHOICE_PROB
from emergecast.lab.worker._model_measurer import ModelMeasurer


def found(place: Path, *, remember: bool = False) -> Survey:
    """Where the experiment stands."""
    return survey(read_experiment(place / "small.yaml"), remember=remember)


def run_here(place: Path, *, limit: int | None = None) -> int:
    """Do what is missing in this process; how many runs there were."""
    experiment = read_experiment(place / "small.yaml")
    options = RunOptions(limit=limit)
    done = run_all(experiment, options=options, executor=lambda e, _workers: InProcess(e))
    assert not done.failed
    return done.done


def states(place: Path, *, remember: bool = False) -> list[list[State]]:
    """Those of losses, few-shot scores and finetunings."""
    plan = found(place, remember=remember).plan
    return [[plan.states[r.key] for r in plan.runs if r.kind is kind] for kind in RunKind]


def other_weights(place: Path) -> None:
    """Weights of the same shape."""
    folder = place / "models" / "a"
    model = SmearedKeysForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        next(model.parameters())[0, 0] += 1.0
    model.save_pretrained(folder)


def other_json(name: str, **settings: Any) -> Callable[[Path], None]:
    """Other settings of a model."""

    def change(place: Path) -> None:
        path = place / "models" / "a" / name
        said = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        path.write_text(json.dumps({**said, **settings}), "utf-8")

    return change


def other_task(place: Path) -> None:
    """Another metric argument."""
    text = TASK.replace("{metric: acc}", "{metric: acc, aggregation: mean, weight_by_size: true}")
    (place / "tasks" / "words.yaml").write_text(text, "utf-8")


def other_corpus(place: Path) -> None:
    """One document less."""
    path = place / "held-out.jsonl"
    path.write_text(path.read_text("utf-8").rpartition("\n")[0], "utf-8")


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        (other_weights, RunKind.FEW_SHOT, 'the weights of "random/a"'),
        (other_weights, RunKind.LOSS, 'the weights of "random/a"'),
        (other_json("config.json", rope_theta=5.0), RunKind.LOSS, "config.json"),
        (other_json("generation_config.json", top_k=3), RunKind.FEW_SHOT, "config.json"),
        (other_json("tokenizer.json", version="1.1"), RunKind.LOSS, "the tokenizer"),
        (other_task, RunKind.FEW_SHOT, 'the definition of task "words"'),
        (other_task, RunKind.FINETUNED, 'the definition of task "words"'),
        (other_corpus, RunKind.LOSS, "the corpus"),
    ],
)
def test_a_run_whose_files_have_changed_since_the_plan_fails(
    place: Path, tmp_path: Path, change: Callable[[Path], None], kind: RunKind, said: str
):
    """By name, whether the checkpoint is held in memory already or not."""
    runs = [run for run in found(place).plan.runs if run.checkpoint == "a"]
    run = next(run for run in runs if run.kind is kind)
    measurer = ModelMeasurer(read_experiment(place / "small.yaml"))
    if said.startswith("the weights"):
        measurer._load(run)
    change(place)
    with pytest.raises(LabError, match=r"changed since the plan.*nothing was measured") as caught:
        measurer.measure(run, tmp_path / "training", lambda _done, _all: None)
    assert said in str(caught.value)
    assert run.key not in {each.key for each in found(place).plan.runs}, "it is another run now"


def test_after_an_edit_only_the_present_definition_counts(place: Path):
    """Everything is measured again, and the table leaves the older scores out and says so."""
    assert run_here(place, limit=5) == 5
    other_task(place)
    assert states(place, remember=True)[1:] == [[State.MISSING] * 2, [State.MISSING] * 8]
    with pytest.raises(LabError, match=r"no table.*left out: the task has changed since"):
        make_table(*_both(place))
    assert run_here(place) == 2 + 8 + 1
    exported = make_table(*_both(place))
    assert len(exported.table) == 2 * (2 + 8)
    assert exported.older == {"the task": 4}
    assert exported.missing == 0
    title = "random/a few_shot words"
    shown = look_up(read_experiment(place / "small.yaml"), title)
    (older,) = shown.older
    assert look_up(read_experiment(place / "small.yaml"), older[:8]).state is None
    assert [item["completion"] for item in shown.items]


def _both(place: Path) -> tuple[Any, Any]:
    survey_now = found(place, remember=True)
    return survey_now.plan, survey_now.results


RESULTS_OF_0_1_0 = """CREATE TABLE results (
    key TEXT PRIMARY KEY, kind TEXT NOT NULL, title TEXT NOT NULL, identity TEXT NOT NULL,
    outcome TEXT NOT NULL, items BLOB, started REAL NOT NULL, seconds REAL NOT NULL,
    timings TEXT NOT NULL, versions TEXT NOT NULL, machine TEXT NOT NULL
) STRICT"""
OTHERS_OF_0_1_0 = """CREATE TABLE failures (
    number INTEGER PRIMARY KEY, key TEXT NOT NULL, title TEXT NOT NULL, error TEXT NOT NULL,
    traceback TEXT NOT NULL, failed REAL NOT NULL, seconds REAL NOT NULL, versions TEXT NOT NULL,
    machine TEXT NOT NULL, cleared REAL
) STRICT;
CREATE INDEX failures_by_key ON failures (key);
CREATE TABLE claims (
    key TEXT PRIMARY KEY, title TEXT NOT NULL, owner TEXT NOT NULL, host TEXT NOT NULL,
    pid INTEGER NOT NULL, born TEXT NOT NULL, since REAL NOT NULL, beat REAL NOT NULL
) STRICT;
CREATE TABLE facts (fingerprint TEXT PRIMARY KEY, facts TEXT NOT NULL) STRICT;"""
COLUMNS = "key, kind, title, identity, outcome, items, started, seconds, timings, versions, machine"


def as_version_0_1_0_wrote_it(place: Path) -> None:
    """The ledger in the form of that version, whose keys knew no definitions: fewer scores too."""
    ledger = read_experiment(place / "small.yaml").ledger
    with sqlite3.connect(ledger) as connection:
        rows = connection.execute(f"SELECT {COLUMNS} FROM results").fetchall()  # noqa: S608
    connection.close()
    for path in ledger.parent.glob(f"{ledger.name}*"):
        path.unlink()
    with sqlite3.connect(ledger) as connection:
        connection.execute(RESULTS_OF_0_1_0)
        connection.executescript(OTHERS_OF_0_1_0)
        connection.execute("PRAGMA user_version = 1")
        for _, kind, title, identity, outcome, *rest in rows:
            said = json.loads(outcome)
            said["scores"] = [each for each in said["scores"] if each["metric"] != CHOICE_PROB]
            old = {k: v for k, v in json.loads(identity).items() if k not in LATER}
            run = Run(series="", checkpoint="", task="", identity=json.loads(identity))
            values = (run.first_key, kind, title, canonical(old), json.dumps(said), *rest)
            marks = ", ".join("?" * len(values))
            connection.execute(f"INSERT INTO results VALUES ({marks})", values)  # noqa: S608
    connection.close()


def test_results_of_version_0_1_0_stay_valid_until_something_changes(place: Path):
    """And are left out afterwards; its ledger stays as it was recorded."""
    run_here(place)
    before = make_table(*_both(place)).table.frame.write_csv()
    as_version_0_1_0_wrote_it(place)
    with Ledger.open_to_read(read_experiment(place / "small.yaml").ledger) as ledger:
        recorded = set(ledger.results())
    done = [[State.DONE] * 2, [State.DONE] * 2, [State.DONE] * 8]
    assert states(place) == done
    assert make_table(*_both(place)).table.frame.write_csv() == before
    assert look_up(read_experiment(place / "small.yaml"), "random/a few_shot words").items
    assert run_here(place) == 0
    with Ledger.open_to_read(read_experiment(place / "small.yaml").ledger) as ledger:
        assert set(ledger.results()) == recorded
    text = (place / "tasks" / "words.yaml").read_text("utf-8")
    other_task(place)
    assert states(place) == [[State.DONE] * 2, [State.MISSING] * 2, [State.MISSING] * 8]
    (place / "tasks" / "words.yaml").write_text(text, "utf-8")
    assert states(place) == done
    other_json("config.json", rope_theta=5.0)(place)
    assert [kind.count(State.MISSING) for kind in states(place)] == [1, 1, 4]


def test_results_of_version_0_1_0_for_another_limit_are_of_the_first_definition(place: Path):
    """They are none of the runs when the ledger is first opened, and the task is edited later."""
    run_here(place)
    as_version_0_1_0_wrote_it(place)
    file = place / "small.yaml"
    text = file.read_text("utf-8")
    file.write_text("evaluation: {limit: 7}\n" + text, "utf-8")
    assert [kind.count(State.DONE) for kind in states(place)] == [2, 0, 0]
    other_task(place)
    file.write_text(text, "utf-8")
    assert [kind.count(State.DONE) for kind in states(place)] == [2, 0, 0]


def test_a_definition_outside_the_folder_is_looked_at_when_it_changes(place: Path):
    """Also where what is known would do, as for a table."""
    shutil.move(place / "tasks" / "test.jsonl", place / "test.jsonl")
    task = place / "tasks" / "words.yaml"
    task.write_text(TASK.replace("test: test.jsonl", "test: ../test.jsonl"), "utf-8")
    run_here(place)
    assert State.MISSING not in states(place, remember=True)[1]
    data = place / "test.jsonl"
    data.write_text(data.read_text("utf-8").replace('"answer": 1', '"answer": 2'), "utf-8")
    assert states(place, remember=True)[1] == [State.MISSING] * 2
