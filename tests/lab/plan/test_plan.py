from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.lab.small_experiment import EXPERIMENT

from emergecast.errors import LabError
from emergecast.lab.evaluate import Loss
from emergecast.lab.experiment import (
    Choice,
    Experiment,
    Run,
    RunKind,
    parse_experiment,
    read_experiment,
    run_from_json,
)
from emergecast.lab.ledger import Ledger, Result, State
from emergecast.lab.plan import survey
from emergecast.lab.plan._choose import choose
from emergecast.lab.plan._estimate import _line, estimate, flops
from emergecast.lab.plan._facts import gather_facts
from emergecast.lab.plan._plan import Plan, make_plan
from emergecast.lab.tasks import Task
from emergecast.lab.worker._measurer import ModelFacts, TaskFacts
from emergecast.lab.worker._rehearsal import RehearsalMeasurer

Write = Callable[..., Path]


def planned(text: str = EXPERIMENT, measurer: object = None) -> Plan:
    """The plan of an experiment of which nothing was done yet."""
    experiment = parse_experiment(text, "small.yaml")
    return make_plan(experiment, gather_facts(experiment, of(experiment, measurer), None), {}, {})


def of(experiment: Experiment, measurer: object) -> RehearsalMeasurer:
    """The measurer, or that of the experiment."""
    return RehearsalMeasurer(experiment) if measurer is None else measurer  # type: ignore[return-value]


def keys(text: str) -> list[str]:
    """The keys of all runs."""
    return [run.key for run in planned(text).runs]


def test_the_grid_is_every_combination_once():
    """Three losses, three few-shot scores, 3 x (2 + 1) finetunings, the cheap ones first."""
    runs = planned().runs
    assert [run.kind for run in runs] == [RunKind.LOSS] * 3 + [RunKind.FEW_SHOT] * 3 + [
        RunKind.FINETUNED
    ] * 9
    assert len({run.key for run in runs}) == 15
    cells = [(r.checkpoint, r.examples, r.training.seed) for r in runs if r.training]
    assert set(cells) == {
        (checkpoint, examples, seed)
        for checkpoint in ("S-1", "S-2", "S-3")
        for examples, seed in ((16, 0), (16, 1), (64, 0))
    }
    assert [run.examples for run in runs[6:]] == [16] * 6 + [64] * 3, "cheap ones first"


def test_a_recipe_is_settled_by_amount_and_checkpoint():
    """Steps of 64 examples, and half the rate of the pretraining."""
    last = planned().runs[-1].training
    assert last is not None
    assert last.method.steps == 60
    assert last.method.learning_rate == 0.5 * 1e-3
    assert last.method.epochs(64) == 60 * 32 / 64


def test_the_schedule_may_depend_on_the_amount():
    """As the steps and the learning rate may; where none is written it is linear."""
    text = EXPERIMENT.replace(
        "      warmup_steps: 10",
        "      warmup_steps: 10\n      schedule: {16: constant, 64: cosine}",
    )
    for given, wanted in ((text, ("constant", "cosine")), (EXPERIMENT, ("linear", "linear"))):
        found = {r.examples: r.training.method.schedule for r in planned(given).runs if r.training}
        assert (found[16], found[64]) == wanted
    with pytest.raises(LabError, match=r'"cosin" is not known here\. Did you mean "cosine"'):
        planned(text.replace("cosine", "cosin"))


def test_a_key_is_the_hash_of_the_identity_as_anybody_can_compute_it():
    """SHA-256 of the sorted JSON."""
    run = planned().runs[0]
    text = json.dumps(dict(run.identity), sort_keys=True, separators=(",", ":"))
    assert run.key == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("steps: {16: 40, 64: 60}", "steps: {16: 41, 64: 61}"),
        ("lr_times_pretraining: {16: 0.25, 64: 0.5}", "learning_rate: 1e-5"),
        ("warmup_steps: 10", "warmup_steps: 9"),
        ("      warmup_steps: 10", "      warmup_steps: 10\n      schedule: cosine"),
        ("      warmup_steps: 10", "      warmup_steps: 10\n      weight_decay: 0.1"),
        ("      warmup_steps: 10", "      warmup_steps: 10\n      batch_size: 8"),
        ("      warmup_steps: 10", "      warmup_steps: 10\n      max_grad_norm: 0"),
        ("name: full", "name: lora-8"),
    ],
)
def test_a_hyperparameter_changes_the_keys_of_finetuned_runs_alone(old, new):
    """Losses and few-shot scores stay measured."""
    before, after = keys(EXPERIMENT), keys(EXPERIMENT.replace(old, new))
    assert before[:6] == after[:6]
    assert not set(before[6:]) & set(after[6:])


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("seconds: 0", "seconds: 0, items: 99", 3),
        ("finetune:", "evaluation: {limit: 9}\nfinetune:", 3),
        ("name: matching", "name: other", 3),
        ("name: held-out", "name: other", 12),
        ("shots_in_document: 8", "shots: 2", 12),
    ],
)
def test_what_is_evaluated_and_how_is_part_of_the_keys(old, new, same):
    """Losses do not depend on tasks, scores not on the corpus, finetuned ones not on shots."""
    assert len(set(keys(EXPERIMENT)) & set(keys(EXPERIMENT.replace(old, new)))) == same


def test_names_folders_and_what_is_only_written_into_the_table_are_no_part_of_the_keys():
    """They may be corrected freely."""
    text = EXPERIMENT.replace("output: results", "output: elsewhere").replace("small", "large")
    text = text.replace("tokens: 1e6", "tokens: 7").replace("chance: 0.25", "chance: 0.2")
    text = text.replace("path: S-1", "path: moved/S-1")
    assert keys(EXPERIMENT) == keys(text)


def test_more_data_amounts_or_seeds_leave_the_old_runs_as_they_are():
    """Their keys are among the new ones."""
    text = EXPERIMENT.replace("[16, 64]", "[16, 64, 256]").replace("64: 1}", "64: 3, 256: 1}")
    text = text.replace("64: 60}", "64: 60, 256: 70}").replace("64: 0.5}", "64: 0.5, 256: 1}")
    assert set(keys(EXPERIMENT)) < set(keys(text))


def test_a_run_survives_being_written_down():
    """As JSON, on its way to a worker: equal, with the same key."""
    for run in planned().runs:
        again = run_from_json(json.loads(json.dumps(run.as_json())))
        assert again == run
        assert again.key == run.key
        assert isinstance(again, Run)


class Odd(RehearsalMeasurer):
    """A measurer to whom something is odd about checkpoints or tasks."""

    def __init__(self, experiment: Experiment, **odd: object) -> None:
        super().__init__(experiment)
        self.odd = odd

    def model_facts(self, checkpoint):
        """As rehearsed, but for what is odd."""
        facts = super().model_facts(checkpoint)
        odd = self.odd.get(checkpoint.name)
        if isinstance(odd, LabError):
            raise odd
        return dataclasses.replace(facts, **odd) if isinstance(odd, dict) else facts

    def task_facts(self, task: Task) -> TaskFacts:
        """As above."""
        facts = super().task_facts(task)
        odd = self.odd.get(task.name)
        return dataclasses.replace(facts, **odd) if isinstance(odd, dict) else facts


def problems(**odd: object) -> list[tuple[int | None, str]]:
    """Line and message of what forbids to begin."""
    experiment = parse_experiment(EXPERIMENT, "small.yaml")
    found = planned(measurer=Odd(experiment, **odd)).problems
    return [(each.line, each.what) for each in found]


def test_a_checkpoint_that_cannot_be_read_is_named_at_its_line():
    """In the words of the error."""
    assert problems(**{"S-2": LabError("there is no such folder.")}) == [
        (11, "there is no such folder.")
    ]


def test_two_checkpoints_with_the_same_weights_are_one():
    """Named at the line of the second."""
    same = {"weights_hash": "f" * 64}
    ((line, what),) = problems(**{"S-1": same, "S-3": same})
    assert line == 12
    assert '"S-3" and "S-1" have the same weights' in what


@pytest.mark.parametrize("name", ["architecture", "tokenizer_hash"])
def test_a_series_has_one_architecture_and_one_tokenizer(name: str):
    """Else its losses could not be compared."""
    ((line, what),) = problems(**{"S-2": {name: "another"}})
    assert line == 11
    assert f"differ in {name.partition('_')[0]}" in what


def test_a_task_without_a_training_split_cannot_be_finetuned():
    """Named at the line of the task."""
    ((line, what),) = problems(matching={"training_size": None})
    assert line == 16
    assert "no training split" in what


def test_more_examples_than_there_are_is_a_mistake():
    """64 of 64 are enough, of 63 too many."""
    assert problems(matching={"training_size": 64}) == []
    ((line, what),) = problems(matching={"training_size": 63})
    assert line == 16
    assert "63 training examples, and 64 are asked for" in what


def test_a_task_may_have_its_own_amounts_or_none():
    """Some of those of the experiment; an empty list means no finetuning."""
    text = EXPERIMENT.replace("chance: 0.25", "chance: 0.25, examples: [16]")
    assert {run.examples for run in planned(text).runs} == {None, 16}
    text = EXPERIMENT.replace("chance: 0.25", "chance: 0.25, examples: []")
    assert {run.examples for run in planned(text).runs} == {None}


def test_a_chance_level_that_nobody_knows_is_asked_for():
    """Where neither the file nor the task states it."""
    text = EXPERIMENT.replace(", chance: 0.25", "")
    experiment = parse_experiment(text, "small.yaml")
    assert not planned(text).problems, "the task itself knows it"
    odd = Odd(experiment, matching={"chance": None})
    (found,) = planned(text, odd).problems
    assert "chance level of acc" in found.what


LOSSES = {"a": 6.0, "b": 5.5, "c": 5.1, "d": 5.0, "e": 4.0}


@pytest.mark.parametrize(
    ("choice", "taken"),
    [
        (Choice(), "abcde"),
        (Choice(losses=(5.2, 3.0)), "ce"),
        (Choice(losses=(5.04, 5.03)), "d"),
        (Choice(losses=(5.05,)), "d"),
        (Choice(count=3), "ade"),
        (Choice(count=1), "e"),
        (Choice(count=9), "abcde"),
        (Choice(below=5.5, above=5.0), "bcd"),
        (Choice(below=5.5, count=2), "be"),
        (Choice(below=1.0), ""),
    ],
)
def test_checkpoints_are_chosen_by_loss(choice: Choice, taken: str):
    """Nearest to each loss, spread evenly, or within bounds."""
    assert choose(choice, LOSSES) == frozenset(taken)


def loss_of(run: Run, nats: float) -> Result:
    """The result of a loss run."""
    return Result(
        key=run.key,
        kind="loss",
        title=run.title,
        identity=run.identity,
        loss=Loss(
            nats_per_token=nats,
            stderr=None,
            nats_per_byte=nats / 4,
            byte_stderr=None,
            tokens=1,
            bytes=4,
        ),
        scores=(),
        training=None,
        started=0.0,
        seconds=10.0,
        timings={},
        versions={},
        machine={},
    )


def test_scores_wait_for_the_losses_that_decide_them():
    """Until each loss is measured or has failed."""
    text = EXPERIMENT.replace("corpora:", "    choose: {losses: [5.0]}\ncorpora:")
    experiment = parse_experiment(text, "small.yaml")
    facts = gather_facts(experiment, RehearsalMeasurer(experiment), None)
    first = make_plan(experiment, facts, {}, {})
    assert [run.kind for run in first.runs] == [RunKind.LOSS] * 3
    assert len(first.undecided) == 4, "one checkpoint of 1 + 3 scores"
    two = {run.key: loss_of(run, nats) for run, nats in zip(first.runs, (6.0, 5.1), strict=False)}
    done = dict.fromkeys(two, State.DONE)
    assert len(make_plan(experiment, facts, two, done).runs) == 3, "the third may be nearer"
    last = first.runs[2]
    for results, states in (
        (two | {last.key: loss_of(last, 4.0)}, done | {last.key: State.DONE}),
        (two, done | {last.key: State.FAILED}),
    ):
        plan = make_plan(experiment, facts, results, states)
        assert {run.checkpoint for run in plan.runs if run.kind is not RunKind.LOSS} == {"S-2"}
        assert len(plan.runs) == 7
        assert not plan.undecided


def test_estimates_come_from_measured_seconds_and_share_out_over_workers():
    """Two workers take half the time; without a price there is no cost."""
    plan = planned()
    results = {run.key: loss_of(run, 5.0) for run in plan.runs if run.kind is RunKind.LOSS}
    states = dict.fromkeys(results, State.DONE)
    once = make_plan(plan.experiment, plan.facts, results, states)
    assert estimate(once, results, workers=1).cost is None
    two = estimate(once, results, workers=2)
    assert two.wall_seconds == two.worker_seconds / 2
    done = make_plan(plan.experiment, plan.facts, {}, dict.fromkeys(plan.states, State.DONE))
    assert estimate(done, {}, workers=2).worker_seconds == 0


def test_estimates_of_what_nobody_has_measured_say_what_they_assume():
    """First a usual rate, then that of the losses; sizes of items count; a stated rate stands."""
    text = EXPERIMENT.replace("worker: rehearsal\nrehearsal: {seconds: 0}\n", "")
    plan = planned(text, RehearsalMeasurer(parse_experiment(EXPERIMENT, "small.yaml")))
    about = plan.facts.tasks["matching"]
    first = estimate(plan, {}, workers=1)
    assert first.basis == "assuming 5e+10 FLOP per second"
    assert estimate(plan, {}, workers=1, on_gpu=True).basis == "assuming 2.5e+14 FLOP per second"
    losses = [run for run in plan.runs if run.kind is RunKind.LOSS]
    for run, params in zip(losses, (80_000, 160_000, 320_000), strict=True):
        model = plan.facts.models[run.series, run.checkpoint]
        plan.facts.models[run.series, run.checkpoint] = dataclasses.replace(model, params=params)
    tokens = 1_000_000 / 4
    results = {
        run.key: dataclasses.replace(loss_of(run, 5.0), seconds=1 + 2 * params * tokens / 1e9)
        for run, params in zip(losses, (80_000, 160_000, 320_000), strict=True)
    }
    once = make_plan(plan.experiment, plan.facts, results, dict.fromkeys(results, State.DONE))
    later = estimate(once, results, workers=1)
    assert later.basis == (
        "from 3 runs in the ledger; assuming 1e+09 FLOP per second, few_shot and finetuned"
    )
    sized = dataclasses.replace(about, item_bytes=40.0, zero_shot_item_bytes=40.0)
    plan.facts.tasks["matching"] = sized
    shorter = estimate(once, results, workers=1)
    fixed = 3 * 0.5 + 9 * 1.0
    assert shorter.worker_seconds - fixed == pytest.approx(
        (later.worker_seconds - fixed) * 40 / 4 / 100, rel=1e-9
    )
    stated = planned(text + "costs: {flops_per_second: 3e12}\n", RehearsalMeasurer(plan.experiment))
    assert estimate(stated, results, workers=1).basis.endswith(
        "assuming 3e+12 FLOP per second, few_shot and finetuned"
    )


def test_the_arithmetic_of_each_kind_of_run_by_hand():
    """Parameters times tokens, twice for a look and six times for a step on a batch of 8."""
    plan = planned(EXPERIMENT.replace("warmup_steps: 10", "warmup_steps: 10\n      batch_size: 8"))
    sized = dataclasses.replace(
        plan.facts.tasks["matching"], items=50, item_bytes=80.0, zero_shot_item_bytes=40.0
    )
    plan.facts.tasks["matching"] = sized
    found = {run.examples if run.task else "loss": flops(plan, run) for run in plan.runs}
    per_token = 2 * 80614
    assert found == {
        "loss": per_token * 1_000_000 / 4,
        None: per_token * 50 * 20,
        16: per_token * (50 + 3 * 40 * 8) * 10,
        64: per_token * (50 + 3 * 60 * 8) * 10,
    }


def test_the_line_through_timings_is_least_squares_and_never_falls():
    """And never starts below zero."""
    assert _line([(1.0, 3.0), (2.0, 5.0), (3.0, 7.0)]) == pytest.approx((1.0, 2.0))
    assert _line([(2.0, 4.0)]) == (4.0, 0.0)
    assert _line([(1.0, 4.0), (2.0, 2.0)]) == (3.0, 0.0)
    assert _line([(1.0, 0.0), (3.0, 4.0)]) == pytest.approx((0.0, 1.2))


def test_what_a_later_version_knew_is_looked_at_again(write: Write):
    """Facts in the ledger that have more to say than this version understands, and no traceback."""
    file = write()
    for name in ("S-1", "S-2", "S-3"):
        (file.parent / name).mkdir()
        (file.parent / name / "weights").write_text(name)
    experiment = read_experiment(file)
    Ledger.open(experiment.ledger).close()
    survey(experiment)
    for remember in (False, True):
        with Ledger.open(experiment.ledger) as ledger:
            with contextlib.closing(sqlite3.connect(experiment.ledger)) as connection:
                before = connection.execute("SELECT fingerprint, facts FROM facts").fetchall()
            assert before
            for fingerprint, facts in before:
                ledger.keep_facts(fingerprint, {**json.loads(facts), "of_tomorrow": 1})
        found = survey(experiment, remember=remember)
        assert len(found.plan.runs) == 15
        assert not found.plan.problems


def test_what_an_earlier_version_did_not_ask_is_looked_at_again(
    write: Write, monkeypatch: pytest.MonkeyPatch
):
    """Facts of 0.1.0 lack `half_precision`; where the models are gone, they do as they are."""
    file = write()
    for name in ("S-1", "S-2", "S-3"):
        (file.parent / name).mkdir()
        (file.parent / name / "weights").write_text(name)
    experiment = read_experiment(file)
    Ledger.open(experiment.ledger).close()
    survey(experiment)
    with Ledger.open(experiment.ledger) as ledger:
        with contextlib.closing(sqlite3.connect(experiment.ledger)) as connection:
            kept = connection.execute("SELECT fingerprint, facts FROM facts").fetchall()
        for fingerprint, text in kept:
            facts = json.loads(text)
            facts.pop("half_precision", None)
            ledger.keep_facts(fingerprint, facts)
    looked: list[str] = []
    original = RehearsalMeasurer.model_facts

    def counted(self: RehearsalMeasurer, checkpoint) -> ModelFacts:
        looked.append(checkpoint.name)
        return original(self, checkpoint)

    monkeypatch.setattr(RehearsalMeasurer, "model_facts", counted)
    survey(experiment, remember=True)
    assert looked == []
    survey(experiment)
    assert looked == ["S-1", "S-2", "S-3"]


def test_finetunings_of_16_bits_have_keys_of_their_own(monkeypatch: pytest.MonkeyPatch):
    """0.1.0 measured them otherwise; losses and few-shot scores keep their keys."""
    before = {run.title: (run.kind, run.key) for run in planned().runs}
    original = RehearsalMeasurer.model_facts

    def halved(self: RehearsalMeasurer, checkpoint) -> ModelFacts:
        return dataclasses.replace(original(self, checkpoint), half_precision=True)

    monkeypatch.setattr(RehearsalMeasurer, "model_facts", halved)
    after = {run.title: (run.kind, run.key) for run in planned().runs}
    changed = {title for title in before if before[title] != after[title]}
    finetuned = {title for title, (kind, _) in before.items() if kind is RunKind.FINETUNED}
    assert changed == finetuned != set()


def test_surveying_hashes_a_model_once(write: Write, monkeypatch: pytest.MonkeyPatch):
    """And again where another size or another time shows that its weights were replaced."""
    file = write()
    for name in ("S-1", "S-2", "S-3"):
        (file.parent / name).mkdir()
        (file.parent / name / "weights").write_text(name)
    looked: list[str] = []
    original = RehearsalMeasurer.model_facts

    def counted(self: RehearsalMeasurer, checkpoint) -> ModelFacts:
        looked.append(checkpoint.name)
        return original(self, checkpoint)

    monkeypatch.setattr(RehearsalMeasurer, "model_facts", counted)
    experiment = read_experiment(file)
    survey(experiment)
    assert looked == ["S-1", "S-2", "S-3"]
    survey(experiment)
    assert len(looked) == 3
    for name, text, later in (("S-2", "of another size", 0), ("S-3", "3-S", 10**9)):
        weights = file.parent / name / "weights"
        time = weights.stat().st_mtime_ns + later
        weights.write_text(text)
        os.utime(weights, ns=(time, time))
        survey(experiment)
        assert looked[-1] == name
    assert len(looked) == 5
