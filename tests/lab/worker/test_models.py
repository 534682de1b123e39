from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.lab.worker.small_models import TASK, changed

from emergecast.errors import ExperimentError, LabError
from emergecast.lab import checkpoints, evaluate, finetune, tasks
from emergecast.lab.architecture import SmearedKeysForCausalLM
from emergecast.lab.executors import RunOptions, run_all
from emergecast.lab.experiment import Experiment, Run, RunKind, read_experiment
from emergecast.lab.finetune import _sweep
from emergecast.lab.plan import make_table, survey
from emergecast.lab.worker._model_measurer import ModelMeasurer


def table(place: Path) -> str:
    """The table as text."""
    found = survey(read_experiment(place / "small.yaml"), remember=True)
    return make_table(found.plan, found.results).table.frame.write_csv()


@pytest.fixture(scope="module")
def finished(ground: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ground where everything is measured."""
    place = tmp_path_factory.mktemp("finished") / "ground"
    shutil.copytree(ground, place)
    report = run_all(read_experiment(place / "small.yaml"), options=RunOptions(workers=1))
    assert (report.done, report.failed) == (2 + 2 + 2 * 2 * 2, 0)
    return place


def test_the_table_says_what_the_rooms_say_one_by_one(finished: Path):
    """The rooms series, tasks, evaluate and finetune, called by hand, are the oracle."""
    place = finished
    experiment = read_experiment(place / "small.yaml")
    found = survey(experiment, remember=True)
    rows = make_table(found.plan, found.results).table.frame.to_dicts()
    assert len(rows) == 2 * (2 + 2 * 2 * 2)
    task = tasks.load_task(tasks.Task(name="words", include_path=place / "tasks"))
    for name in "ab":
        checkpoint = checkpoints.Checkpoint(
            name=name, series="random", path=place / "models" / name
        )
        model, words = checkpoints.load(checkpoint)
        loss = evaluate.corpus_loss(model, words, place / "held-out.jsonl")
        mine = [row for row in rows if row["checkpoint"] == name]
        # Where memory lies decides how sums are split, so the last digits may differ.
        for row in mine:
            assert row["loss"] == pytest.approx(loss.nats_per_token, rel=1e-8)
            assert row["loss_stderr"] == pytest.approx(loss.stderr, rel=1e-6)
        few = evaluate.evaluate(model, words, task)
        method = finetune.FinetuneMethod(name="full", steps=12, batch_size=8, learning_rate=0.003)
        pairs = task.training_pairs(0, 32)
        trained = finetune.finetune(model, words, pairs, method, seed=0).model
        tuned = evaluate.evaluate(trained, words, task)
        for setting, examples, method_name, oracle in (
            ("few_shot", None, None, few),
            ("finetuned", 32, "full", tuned),
        ):
            stated = ("acc", "logprob")  # whose chance level the experiment states
            assert [each.metric for each in oracle.scores] == [*stated, "choice_prob"]
            for metric, value in ((each.metric, each.score) for each in oracle.scores[:2]):
                (row,) = [
                    row
                    for row in mine
                    if (row["setting"], row["examples"], row["method"], row["metric"])
                    == (setting, examples, method_name, metric)
                ]
                assert row["score"] == pytest.approx(value, rel=1e-6)
                assert row["n_items"] == 24


def test_measuring_again_gives_the_same_table_to_the_last_digit(finished: Path, place: Path):
    """In another folder, with another ledger."""
    run_all(read_experiment(place / "small.yaml"), options=RunOptions(workers=1))
    assert table(place) == table(finished)


def finetuned(experiment: Experiment) -> Run:
    """The last full finetuning of the plan."""
    runs = survey(experiment).plan.runs
    return [run for run in runs if run.training is not None and run.training.method.name == "full"][
        -1
    ]


class Stopped(Exception):  # noqa: N818  it stands for a kill
    """The run is stopped in the middle."""


def interrupted(measurer: ModelMeasurer, run: Run, folder: Path) -> None:
    """Stop the run at step 9; a training checkpoint is kept after every step."""

    def progress(done: int, _total: int) -> None:
        if done == 9:
            raise Stopped

    with pytest.raises(Stopped):
        measurer.measure(run, folder, progress)
    assert list(folder.glob("checkpoint-*"))


def ignore(_done: int, _total: int) -> None:
    """Nobody is told of the progress."""


def test_an_interrupted_finetuning_goes_on_and_ends_the_same(place: Path, tmp_path: Path):
    """Scores, log-probabilities of every item and the training loss, to the last bit."""
    experiment = read_experiment(place / "small.yaml")
    measurer, run = ModelMeasurer(experiment), finetuned(experiment)
    whole = measurer.measure(run, tmp_path / "whole", ignore)
    interrupted(measurer, run, tmp_path / "stopped")
    resumed = measurer.measure(run, tmp_path / "stopped", ignore)
    assert resumed.scores == whole.scores
    assert resumed.items == whole.items
    assert whole.training is not None
    assert resumed.training is not None
    assert whole.training["resumed_from"] == 0
    assert resumed.training["resumed_from"] == 8
    assert resumed.training["loss"] == whole.training["loss"]


def test_a_damaged_training_checkpoint_means_a_fresh_start(place: Path, tmp_path: Path):
    """A finetuning that cannot be resumed is done from the beginning, with the same result."""
    experiment = read_experiment(place / "small.yaml")
    measurer, run = ModelMeasurer(experiment), finetuned(experiment)
    whole = measurer.measure(run, tmp_path / "whole", ignore)
    interrupted(measurer, run, tmp_path / "stopped")
    for file in (tmp_path / "stopped").glob("checkpoint-*/*.safetensors"):
        file.write_bytes(b"torn")
    restarted = measurer.measure(run, tmp_path / "stopped", ignore)
    assert restarted.scores == whole.scores
    assert restarted.training is not None
    assert restarted.training["resumed_from"] == 0


REPEATED = (
    ("examples: [8, 32]", "examples: [8]\n  subsets: 2\n  seeds: 2"),
    ("    - {name: lora-2, steps: 12, batch_size: 8, learning_rate: 1e-3}\n", ""),
    ("include_path: tasks,", "include_path: tasks, shots: 2,"),
    ("    - {name: full", "    - {train_embeddings: false, schedule: cosine, name: full"),
    ("pretraining: 3", "pretraining: 3, warmup_steps: 1, weight_decay: 0.1, max_grad_norm: 0.5"),
)
"""Two subsets, two seeds, two shots, and a method in which nothing is as it is by default."""


class Trainings(list[Any]):
    """Stands in for `finetune`: keeps what each call is given, and leaves the model as it is."""

    def __call__(self, model: Any, _: Any, pairs: Any, method: Any, *, seed: int, session: Any):
        """As `finetune` is called."""
        self.append((pairs, method, seed, list(session.folder.iterdir()), model))
        return finetune.Finetuned(
            model=model,
            method=method,
            steps=12,
            last_step=12,
            resumed_from=0,
            seconds=0.0,
            final_loss=1.0,
        )


def test_a_run_is_done_as_the_file_says(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Its own subset, seed and method; with shots as it is, without them once finetuned."""
    experiment = changed(place, *REPEATED)
    asked, scored = Trainings(), []
    evaluated = evaluate.evaluate

    def score(
        model: Any, words: Any, task: tasks.LoadedTask, **options: Any
    ) -> evaluate.Evaluation:
        scored.append(task.hash)
        return evaluated(model, words, task, **options)

    monkeypatch.setattr(_sweep, "finetune", asked)
    monkeypatch.setattr(evaluate, "evaluate", score)
    measurer = ModelMeasurer(experiment)
    for run in survey(experiment).plan.runs:
        if run.checkpoint == "a" and run.task is not None:
            measurer.measure(run, tmp_path / run.key, ignore)
    shown, bare = (
        tasks.load_task(tasks.Task(name="words", include_path=place / "tasks", shots=shots))
        for shots in (2, 0)
    )
    assert shown.hash != bare.hash
    assert scored == [shown.hash, *[bare.hash] * 4]
    subsets = [bare.training_pairs(subset, 8) for subset in (0, 1)]
    assert len({pair.prompt for pairs in subsets for pair in pairs}) > 8
    method = finetune.FinetuneMethod(
        name="full",
        steps=12,
        batch_size=8,
        learning_rate=0.003,
        schedule=finetune.Schedule.COSINE,
        warmup_steps=1,
        weight_decay=0.1,
        max_grad_norm=0.5,
        train_embeddings=False,
    )
    wanted = [(subsets[subset], method, seed) for subset in (0, 1) for seed in (0, 1)]
    assert [(pairs, how, seed) for pairs, how, seed, _, _ in asked] == wanted


def test_a_fresh_start_is_the_same_run_again(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The same examples, method and seed, in an empty folder, from the weights as they were."""
    experiment = changed(place, *REPEATED)
    run = finetuned(experiment)
    assert run.training is not None
    assert (run.training.subset, run.training.seed) == (1, 1)

    class Torn(Trainings):
        """The first call spoils the weights and cannot resume."""

        def __call__(self, model: Any, *rest: Any, **more: Any):
            done = super().__call__(model, *rest, **more)
            if len(self) == 1:
                model.get_input_embeddings().weight.data.fill_(7.0)
                raise ValueError("torn")
            return done

    asked = Torn()
    monkeypatch.setattr(_sweep, "finetune", asked)
    folder = tmp_path / "stopped"
    (folder / "checkpoint-3").mkdir(parents=True)
    ModelMeasurer(experiment).measure(run, folder, ignore)
    (*first, found, _), (*second, left, model) = asked
    assert second == first
    assert (len(found), left) == (1, [])
    assert float(model.get_input_embeddings().weight.detach().max()) < 7.0


def cut(place: Path) -> None:
    """Cut the weights of b short."""
    file = place / "models" / "b" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def copied(place: Path) -> None:
    """Make b the same model as a."""
    shutil.rmtree(place / "models" / "b")
    shutil.copytree(place / "models" / "a", place / "models" / "b")


def other(place: Path, file: str, old: str, new: str) -> None:
    """Change a file of b."""
    path = place / "models" / "b" / file
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def untrained(place: Path) -> None:
    """Take the training split from the task."""
    file = place / "tasks" / "words.yaml"
    file.write_text(TASK.replace("training_split: train\n", ""), "utf-8")


@pytest.mark.parametrize(
    ("spoil", "line", "said"),
    [
        (lambda p: shutil.rmtree(p / "models" / "b"), 8, "no such folder"),
        (cut, 8, "model.safetensors"),
        (copied, 8, "the same weights"),
        (lambda p: other(p, "config.json", "SmearedKeysForCausalLM", "X"), 8, "architecture"),
        (lambda p: other(p, "tokenizer.json", '"A":', '"Z":'), 8, "tokenizer"),
        (untrained, 12, "no training split"),
        (lambda p: (p / "tasks" / "words.yaml").unlink(), 12, "no task"),
        (lambda p: (p / "held-out.jsonl").unlink(), 10, "cannot be read"),
        (lambda p: (p / "held-out.jsonl").write_text(""), 10, "empty"),
        (
            lambda p: (p / "tasks" / "train.jsonl").write_text(
                json.dumps({"prompt": "x", "choices": ["A", "B"], "answer": 0}) + "\n"
            ),
            12,
            "1 training examples, and 8, 32 are asked for",
        ),
    ],
)
def test_what_cannot_be_used_is_known_before_any_run(
    place: Path, spoil: Callable[[Path], Any], line: int, said: str
):
    """Each problem is quoted at its line, and nothing was run."""
    spoil(place)
    experiment = read_experiment(place / "small.yaml")
    with pytest.raises(ExperimentError) as caught:
        run_all(experiment, options=RunOptions(workers=1))
    (problem,) = caught.value.problems
    assert problem.line == line
    assert said in problem.what
    assert not survey(experiment).results


def test_a_finetuning_reports_under_its_title_into_the_folder_of_the_experiment(
    place: Path, monkeypatch: pytest.MonkeyPatch
):
    """Unless the user says where; and a batch passes in parts as the file asks."""
    for name in ("MLFLOW_TRACKING_URI", "WANDB_DIR", "WANDB_PROJECT", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", "elsewhere")
    part = "  save_every_seconds: 1e-9\n"
    experiment = changed(place, (part, part + "  micro_batch_size: 3\n"))
    run = next(r for r in survey(experiment).plan.runs if r.training is not None)
    assert run.training is not None
    measurer = ModelMeasurer(experiment)
    session = measurer._session(run, run.training, place / "training", lambda _done, _all: None)
    assert session.title == run.title
    assert session.micro_batch_size == 3
    kept = place / "results" / "trackers"
    assert os.environ["MLFLOW_TRACKING_URI"] == f"sqlite:///{kept / 'mlflow.db'}"
    assert os.environ["WANDB_DIR"] == str(kept)
    assert os.environ["TENSORBOARD_LOGGING_DIR"] == "elsewhere"
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR")
    again = ModelMeasurer(experiment)
    again._session(run, run.training, place / "training", lambda _done, _all: None)
    title = "random-a finetuned words D=8 subset 0 seed 0 full"
    named = kept / "tensorboard" / f"{title} {run.key[:8]}"
    assert os.environ["TENSORBOARD_LOGGING_DIR"] == str(named), "it calls a run by its folder"


def test_a_tracker_that_is_not_installed_is_known_before_any_run(
    place: Path, monkeypatch: pytest.MonkeyPatch
):
    """The finetuning would only find out after it has loaded the model."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    experiment = changed(place, ("output:", "trackers: [mlflow]\noutput:"))
    (problem,) = survey(experiment).plan.problems
    assert "mlflow is not installed" in problem.what
    assert problem.line == 1


def test_weights_that_are_no_numbers_are_a_failed_run_and_no_score(place: Path):
    """The other checkpoint is measured all the same."""
    file = place / "models" / "b"
    model = SmearedKeysForCausalLM.from_pretrained(file)
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    model.save_pretrained(file)
    experiment = changed(place, ("examples: [8, 32]", "examples: [8]"))
    report = run_all(experiment, options=RunOptions(workers=1))
    assert report.done == 1 + 1 + 2
    assert report.failed == 1 + 1 + 2
    found = survey(experiment, remember=True)
    assert all("/b " in failure.title for failure in found.failures)
    frame = make_table(found.plan, found.results).table.frame
    assert set(frame["checkpoint"]) == {"a"}


def test_a_finetuning_that_diverges_is_a_failed_run(place: Path):
    """A learning rate of 1e30 makes the loss NaN or infinite."""
    experiment = changed(
        place,
        ("lr_times_pretraining: 3", "lr_times_pretraining: 1e33"),
        ("examples: [8, 32]", "examples: [8]"),
        ("    - {name: lora-2, steps: 12, batch_size: 8, learning_rate: 1e-3}\n", ""),
    )
    measurer, run = ModelMeasurer(experiment), finetuned(experiment)
    with pytest.raises(LabError, match=r"loss is|number"):
        measurer.measure(run, place / "training", ignore)


FORGETFUL = """
import sys
from emergecast.lab.experiment import read_experiment
from emergecast.lab.plan import make_table, survey
found = survey(read_experiment(sys.argv[1]), remember=True)
print(len(make_table(found.plan, found.results).table))
print([name for name in ("torch", "transformers", "lm_eval") if name in sys.modules])
"""


def test_a_table_can_be_exported_when_the_models_are_gone_and_loads_no_torch(finished: Path):
    """Weights take space; what was measured is in the ledger."""
    (finished / "models").rename(finished / "away")
    try:
        said = subprocess.run(
            [sys.executable, "-c", FORGETFUL, str(finished / "small.yaml")],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        (finished / "away").rename(finished / "models")
    assert said.stdout.splitlines() == ["20", "[]"], said.stderr


HUB = """
import sys
from pathlib import Path
from emergecast.lab.experiment import read_experiment
from emergecast.lab.plan import survey
experiment, reference = read_experiment(sys.argv[1]), Path(sys.argv[2])
plan = survey(experiment).plan
print([model.weights_hash for model in plan.facts.models.values()], plan.problems)
reference.unlink()
print([problem.what for problem in survey(experiment).plan.problems])
"""


def test_revisions_of_a_repository_are_checkpoints_of_their_own(place: Path):
    """From the cache of a hub, offline: the same weights as in the folders they come from."""
    folders = survey(read_experiment(place / "small.yaml")).plan.facts.models.values()
    repository = place / "hub" / "models--org--name"
    (repository / "refs").mkdir(parents=True)
    for name, commit in (("a", "a" * 40), ("b", "b" * 40)):
        (repository / "refs" / f"step-{name}").write_text(commit, "ascii")
        shutil.copytree(place / "models" / name, repository / "snapshots" / commit)
    changed(
        place,
        ("path: models/a", "repo: org/name, revision: step-a"),
        ("path: models/b", "repo: org/name, revision: step-b"),
    )
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            HUB,
            str(place / "small.yaml"),
            str(repository / "refs" / "step-b"),
        ],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "HF_HOME": str(place), "HF_HUB_OFFLINE": "1"},
    ).stdout.splitlines()
    assert said[0] == f"{[model.weights_hash for model in folders]} ()"
    assert "could not be read" in said[1]


def test_loss_runs_and_scores_are_of_these_kinds(place: Path):
    """So that the tests above look at what they mean to."""
    kinds = [run.kind for run in survey(read_experiment(place / "small.yaml")).plan.runs]
    assert [kinds.count(kind) for kind in RunKind] == [2, 2, 8]
