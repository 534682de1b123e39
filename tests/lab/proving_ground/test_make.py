"""Making a proving ground: its files, going on where it stopped, and that the skill emerges."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.cli.flat import flat
from typer.testing import CliRunner

from emergecast.cli import app
from emergecast.errors import LabError
from emergecast.lab.checkpoints import inspect, load, read_series
from emergecast.lab.evaluate import corpus_loss, evaluate
from emergecast.lab.finetune import FinetuneMethod, finetune
from emergecast.lab.proving_ground import (
    MATCHING,
    PRESETS,
    Order,
    Pretraining,
    Quality,
    make,
    missing,
    order,
    pretrain,
)
from emergecast.lab.tasks import Task, load_task

RUN = CliRunner()


@pytest.fixture(scope="module")
def small() -> Order:
    """The smallest model, 24 steps, a seed of both corpora."""
    preset = replace(PRESETS["smoke"], most_steps=24, targets=(7.0,))
    return Order(preset=preset, seeds=(0,), qualities=(Quality.HIGH, Quality.LOW))


@pytest.fixture(scope="module")
def ground(small, tmp_path_factory):
    """It, made."""
    folder = tmp_path_factory.mktemp("pg") / "ground"
    told = []
    made = make(small, folder, jobs=2, on_progress=lambda title, where: told.append((title, where)))
    assert {title for title, _ in told} == {"seed-0/S", "seed-0-low/S"}
    assert {where.step for _, where in told} == {0, 12, 24}
    assert made.trained == 2
    return folder


def test_it_is_made_of_ordinary_files(ground, words):
    """Series that `read_series` reads, a task, a corpus, an experiment."""
    names = ["seed-0", "seed-0-low", "seed-0-random"]
    listed = {name: read_series(ground / "series" / name) for name in names}
    facts = [inspect(checkpoint) for name in names for checkpoint in listed[name]]
    assert len({each.weights_hash for each in facts}) == len(facts)
    assert len({(each.architecture, each.tokenizer_hash) for each in facts}) == 1
    assert [checkpoint.name for checkpoint in listed["seed-0"]][-1] == "S-0024"
    last = listed["seed-0"][-1]
    assert last.tokens == 24 * 32 * 64
    params = inspect(last).params
    assert params is not None
    assert last.params == params
    assert last.flops == 6 * params * last.tokens
    assert last.pretraining_learning_rate == pytest.approx(3e-3)
    assert last.lr_fraction == 24 / 50  # still warming up
    (control,) = listed["seed-0-random"]
    assert control.tokens is None
    assert control.lr_fraction is None
    losses = [
        corpus_loss(*load(checkpoint), ground / "corpus" / "held-out.jsonl").nats_per_token
        for checkpoint in (control, last)
    ]
    assert losses[0] == pytest.approx(7.3, abs=0.1)
    assert losses[1] < losses[0] - 0.05
    task = load_task(Task(name=MATCHING, include_path=ground / "tasks"), limit=64)
    assert evaluate(load(control).model, words, task).scores[0].n_items == 64
    assert task.train_size == 2 * 4096


def test_the_experiment_file_is_read_without_a_mistake(ground):
    """And asks for every series, few-shot and after each amount of data."""
    from emergecast.lab.experiment import read_experiment

    experiment = read_experiment(ground / "experiment.yaml")
    assert [series.name for series in experiment.series] == [
        "seed-0",
        "seed-0-low",
        "seed-0-random",
    ]
    assert experiment.finetuning.examples == (16, 256, 4096)
    (method,) = experiment.finetuning.methods
    settled = [each for amounts in method.settled.values() for each in amounts.values()]
    assert {each.train_embeddings for each in settled} == {False}


def test_what_is_there_is_not_trained_again(ground, small):
    """Only a model whose record is missing is; it comes out the same to the last bit."""
    record = ground / "series" / "seed-0" / "S.json"
    weights = ground / "series" / "seed-0" / "S" / "step-0024" / "model.safetensors"
    before, when = weights.read_bytes(), weights.stat().st_mtime_ns
    assert missing(small, ground) == ()
    assert make(small, ground).trained == 0
    assert weights.stat().st_mtime_ns == when
    record.unlink()
    assert [plan.title for plan in missing(small, ground)] == ["seed-0/S"]
    assert make(small, ground, jobs=1).trained == 1
    assert weights.read_bytes() == before


def test_models_in_training_end_when_the_command_is_killed(tmp_path):
    """Else they would write into the folder of the command that is started next."""
    arguments = ["proving-ground", str(tmp_path / "g"), "--preset", "smoke", "--jobs", "1"]
    code = f"import sys; from emergecast.cli import app; app({arguments!r})"
    command = subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.DEVNULL, start_new_session=True
    )
    group = command.pid
    trainer = wait_for(lambda: [pid for pid in members(group) if "spawn_main" in said_by(pid)], 120)
    command.kill()
    command.wait()
    wait_for(lambda: not {*trainer} & {*members(group)}, 60)


IDLE = """
import multiprocessing, time
from concurrent.futures import ProcessPoolExecutor
from emergecast.lab.proving_ground._make import _start_worker
context = multiprocessing.get_context("spawn")
pool = ProcessPoolExecutor(
    1, mp_context=context, initializer=_start_worker, initargs=(context.Queue(),)
)
pool.submit(time.sleep, 0).result()
print("ready", flush=True)
time.sleep(600)
"""


def test_a_worker_that_waits_for_a_model_ends_with_its_command_too():
    """It would wait for ever: the pipe that work comes through stays open."""
    command = subprocess.Popen(
        [sys.executable, "-c", IDLE], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    group = command.pid
    assert command.stdout is not None
    assert command.stdout.readline() == "ready\n"
    worker = [pid for pid in members(group) if "spawn_main" in said_by(pid)]
    assert worker
    command.kill()
    command.wait()
    command.stdout.close()
    wait_for(lambda: not {*worker} & {*members(group)}, 30)


def members(group: int) -> list[int]:
    """Processes of a group, zombies left out."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, its_group = path.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                found.append(int(path.parent.name))
    return found


def said_by(pid: int) -> str:
    """The command line of a process."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


def wait_for(look, seconds):
    """What `look` finds, as soon as it finds something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.2)
    raise AssertionError(f"nothing within {seconds} s")


def test_a_folder_of_something_else_is_left_alone(ground, small, tmp_path):
    """Another order, foreign files, or no folder."""
    with pytest.raises(LabError, match=r"another proving ground: preset smoke, seeds \[0\]"):
        make(replace(small, seeds=(7,)), ground)
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(LabError, match="not a proving ground"):
        make(small, tmp_path)
    with pytest.raises(LabError, match="is not a folder"):
        make(small, tmp_path / "thesis.tex")


def test_orders_that_cannot_be_are_refused():
    """A preset that is not there, a seed below 0."""
    with pytest.raises(LabError, match=r'no preset "huge"\. Choose one of smoke, default, full'):
        order("huge")
    with pytest.raises(LabError, match="seed -1"):
        order("smoke", seeds=(-1,))


def test_the_command_says_what_it_would_do(tmp_path):
    """A dry run trains nothing and makes no folder."""
    folder = tmp_path / "g"
    said = RUN.invoke(app, ["proving-ground", str(folder), "--preset", "full", "--dry-run"])
    assert said.exit_code == 0
    assert "10 models" in said.output
    assert "seed-1/W128" in said.output
    told = RUN.invoke(app, ["proving-ground", str(folder), "--dry-run", "--json"])
    assert json.loads(told.output)["to_train"] == ["seed-0/L", "seed-0/M", "seed-0/S"]
    assert not folder.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--preset", "huge"], "no preset"), (["--quality", "middling"], "Choose high or low")],
)
def test_the_command_refuses_in_one_sentence(tmp_path, arguments, said):
    """With exit status 2."""
    result = RUN.invoke(app, ["proving-ground", str(tmp_path / "g"), *arguments])
    assert result.exit_code == 2
    assert said in flat(result.output)


@pytest.mark.slow
def test_the_skill_emerges_late_and_finetuning_brings_it_earlier(tmp_path, words, tasks_folder):
    """At a loss of 5.45 nothing helps; at 5.1 few-shot is above chance, finetuned far above."""
    plan = Pretraining(
        size=PRESETS["smoke"].sizes[0],
        seed=0,
        quality=Quality.HIGH,
        targets=(5.45, 5.1),
        stop=5.1,
    )
    early, late = (load(each) for each in pretrain(plan, tmp_path).kept[:2])
    task = load_task(Task(name=MATCHING, include_path=tasks_folder))
    method = FinetuneMethod(
        name="full", steps=60, learning_rate=2e-3, warmup_steps=10, train_embeddings=False
    )
    scores = []
    for model, _ in (early, late):
        few_shot = evaluate(model, words, task).scores[0].score
        done = finetune(model, words, task.training_pairs(0, 256), method, seed=0)
        scores.append((few_shot, evaluate(done.model, words, task).scores[0].score))
    assert scores[0] == pytest.approx((0.25, 0.25), abs=0.05)
    assert scores[1][0] > 0.32
    assert scores[1][1] > scores[1][0] + 0.15
