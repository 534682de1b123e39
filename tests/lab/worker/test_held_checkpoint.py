"""Runs from weights that stay in memory are those of a fresh load, to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.lab.worker.small_models import changed

from emergecast.lab import checkpoints, tasks
from emergecast.lab.architecture import SmearedKeysForCausalLM
from emergecast.lab.experiment import Experiment, Run, read_experiment
from emergecast.lab.finetune import _batches
from emergecast.lab.ledger import Outcome
from emergecast.lab.plan import survey
from emergecast.lab.tasks import _loaded_task
from emergecast.lab.worker._model_measurer import ModelMeasurer

FROZEN = ("    - {name: full", "    - {train_embeddings: false, name: full")
SHOWN = ("include_path: tasks,", "include_path: tasks, shots: 2,")


def found(measurer: ModelMeasurer, run: Run, folder: Path) -> Outcome:
    """What a run finds, as far as it is to be the same each time."""
    outcome = measurer.measure(run, folder / run.key, lambda _done, _all: None)
    return Outcome(
        loss=outcome.loss,
        scores=outcome.scores,
        training=outcome.training,
        items=outcome.items,
    )


def all_runs(experiment: Experiment) -> list[Run]:
    """All runs of the plan, the most expensive first: finetunings before what they could spoil."""
    return list(reversed(survey(experiment).plan.runs))


@pytest.mark.parametrize(
    ("changes", "device"), [((), "cpu"), ((FROZEN, SHOWN), "cpu"), ((), "cpu:0")]
)
def test_runs_in_a_row_find_what_each_finds_alone(
    place: Path,
    tmp_path: Path,
    changes: tuple[tuple[str, str], ...],
    device: str,
    monkeypatch: pytest.MonkeyPatch,
):
    """One measurer for all runs of both checkpoints, beside a fresh one for each run.

    "cpu:0" stands for a GPU, where each run gets the weights from the memory of the CPU.
    """
    experiment = changed(place, *changes)
    runs = sorted(all_runs(experiment), key=lambda run: run.checkpoint)
    alone = {}
    for run in runs:
        monkeypatch.setattr(_batches, "_KEPT", {})
        alone[run.key] = found(ModelMeasurer(experiment), run, tmp_path / "alone")
    held = ModelMeasurer(experiment)
    monkeypatch.setattr(held, "_device", device)
    for run in runs:
        assert found(held, run, tmp_path / "held") == alone[run.key], run.title


def test_half_precision_is_held_as_it_is(place: Path, tmp_path: Path):
    """Full finetuning widens the weights it is given; the next run finds 16 bits again."""
    for name in "ab":
        model = SmearedKeysForCausalLM.from_pretrained(place / "models" / name)
        model.bfloat16().save_pretrained(place / "models" / name)
    experiment = read_experiment(place / "small.yaml")
    held = ModelMeasurer(experiment)
    for run in [run for run in all_runs(experiment) if run.checkpoint == "a"]:
        alone = found(ModelMeasurer(experiment), run, tmp_path / "alone")
        assert found(held, run, tmp_path / "held") == alone, run.title
        assert {each.dtype for each in held._load(run).model.parameters()} == {torch.bfloat16}


def described(model: Any) -> dict[str, Any]:
    """All that a model is made of: modules, weights, what learns."""
    return {
        "modules": [(name, type(module)) for name, module in model.named_modules()],
        "training": [module.training for module in model.modules()],
        "attributes": [sorted(vars(module)) for module in model.modules()],
        "learn": [(name, each.requires_grad) for name, each in model.named_parameters()],
        "gradients": [each.grad for each in model.parameters()],
        "config": model.config.to_dict(),
    }


def same_bits(one: Any, two: Any) -> bool:
    """Whether two models have the same weights and buffers, bit by bit."""
    ours, theirs = (dict([*m.named_parameters(), *m.named_buffers()]) for m in (one, two))
    return ours.keys() == theirs.keys() and all(
        ours[name].dtype == theirs[name].dtype
        and torch.equal(
            ours[name].detach().view(torch.uint8), theirs[name].detach().view(torch.uint8)
        )
        for name in ours
    )


def test_after_all_finetunings_the_weights_are_those_on_disk_bit_by_bit(
    place: Path, tmp_path: Path
):
    """Those for an evaluation and those for another finetuning, structure and flags included."""
    experiment = changed(place, FROZEN)
    held = ModelMeasurer(experiment)
    runs = [run for run in all_runs(experiment) if run.checkpoint == "a"]
    for run in runs:
        found(held, run, tmp_path)
    fresh = checkpoints.load(experiment.checkpoint(runs[0])).model
    for run in (runs[0], runs[-1]):
        model = held._load(run).model
        assert same_bits(model, fresh)
        assert described(model) == described(fresh)
    own = held._load(runs[0]).model
    assert own.get_input_embeddings().weight is own.get_output_embeddings().weight, "still tied"
    first, second = next(own.parameters()), next(held._load(runs[-1]).model.parameters())
    assert first.data_ptr() != second.data_ptr()


class Counted(list[Any]):
    """Counts the calls of a function, and makes them."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        """As the function is called."""
        self.append(arguments)
        return self.function(*arguments, **more)


def test_a_checkpoint_is_read_once_and_requests_are_built_and_tokenised_once(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Two checkpoints, ten runs: two loads; one task, few-shot and zero-shot; two training sets."""
    experiment = changed(place, SHOWN)
    runs = sorted(all_runs(experiment), key=lambda run: run.checkpoint)
    monkeypatch.setattr(_batches, "_KEPT", {})
    loads = Counted(checkpoints.load)
    monkeypatch.setattr(checkpoints, "load", loads)
    built = Counted(tasks.load_task)
    monkeypatch.setattr(tasks, "load_task", built)
    tokenised = Counted(tasks.encode_pairs)
    monkeypatch.setattr(_loaded_task, "encode_pairs", tokenised)
    trained = Counted(tasks.encode_pairs)
    monkeypatch.setattr(_batches, "encode_pairs", trained)
    measurer = ModelMeasurer(experiment)
    for run in runs:
        found(measurer, run, tmp_path)
    assert [checkpoint.name for (checkpoint,) in loads] == ["a", "b"]
    assert [task.shots for (task,) in built] == [2]
    assert len(tokenised) == 2
    assert [len(pairs) for pairs, _ in trained] == [32, 8]
