"""What a session shows of the first runs of a task, while the rest can still be stopped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.lab.executors.in_process import InProcess
from tests.lab.small_experiment import EXPERIMENT

from emergecast.lab.evaluate import Score
from emergecast.lab.executors import Event, EventKind, Report, RunOptions, _execute, run_all
from emergecast.lab.experiment import Experiment, Run, RunKind, read_experiment
from emergecast.lab.ledger import Outcome
from emergecast.lab.worker import Measurer
from emergecast.lab.worker._measurer import OnProgress
from emergecast.lab.worker._rehearsal import RehearsalMeasurer

Items = list[dict[str, Any]]


class Scripted(RehearsalMeasurer):
    """Few-shot scores are what a script says, by checkpoint; others are invented."""

    def __init__(self, experiment: Experiment, script: Mapping[str, Items]) -> None:
        super().__init__(experiment)
        self.script = script

    def measure(self, run: Run, folder: Path, progress: OnProgress) -> Outcome:
        """As the script says."""
        if run.kind is not RunKind.FEW_SHOT:
            return super().measure(run, folder, progress)
        items = self.script[run.checkpoint]
        mean = sum(item["correct"] for item in items) / len(items)
        score = Score(metric="acc", score=mean, stderr=None, n_items=len(items))
        return Outcome(scores=(score,), items=tuple(items))


def of(scores: str, *, cut: int = 0) -> Items:
    """Items right (1) or wrong (0), the first so many of them cut."""
    return [
        {"id": str(i), "correct": float(c), "completion": "x", **({"cut": True} if i < cut else {})}
        for i, c in enumerate(scores)
    ]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An experiment on models."""
    path = tmp_path / "small.yaml"
    path.write_text(EXPERIMENT.replace("worker: rehearsal\n", ""), "utf-8")
    return path


def run(
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: Mapping[str, Items],
    limit: int | None = None,
) -> tuple[Report, list[Event]]:
    """Run it with these few-shot scores."""
    experiment = read_experiment(file)
    measurer = Scripted(experiment, script)

    def mine(_experiment: Experiment) -> Measurer:
        return measurer

    monkeypatch.setattr(_execute, "measurer_of", mine)
    events: list[Event] = []
    report = run_all(
        experiment,
        options=RunOptions(limit=limit),
        listener=events.append,
        executor=lambda e, _workers: InProcess(e, measurer),
    )
    return report, events


MIXED = {"S-1": of("0110"), "S-2": of("0111"), "S-3": of("0001")}


def test_scores_that_differ_are_no_reason_for_a_warning(file, monkeypatch):
    """Nor is half of the texts cut."""
    report, events = run(file, monkeypatch, {**MIXED, "S-1": of("0110", cut=2)})
    assert report.warnings == ()
    assert not [event for event in events if event.kind is EventKind.WARNING]


@pytest.mark.parametrize(
    ("first", "said"),
    [
        (of("0000"), "all 4 items of v1/S-1 few_shot matching score 0."),
        (of("1111"), "all 4 items of v1/S-1 few_shot matching score 1."),
        (of("0110", cut=3), "3 of 4 texts of v1/S-1 few_shot matching were cut at the limit"),
    ],
)
def test_what_looks_like_no_measurement_is_said_at_once(file, monkeypatch, first, said):
    """Right after the run, before the next one of the checkpoint; and how to look at it."""
    report, events = run(file, monkeypatch, {**MIXED, "S-1": first})
    (warning,) = report.warnings
    assert warning.startswith(said)
    kinds = [event.kind for event in events]
    at = kinds.index(EventKind.WARNING)
    before = [event for event in events[:at] if event.kind is EventKind.DONE]
    assert [event.run.kind for event in before if event.run] == [RunKind.LOSS, RunKind.FEW_SHOT]
    odd = events[at].run
    assert odd is not None
    assert f"emergecast show {file} {odd.key[:8]} --items" in warning


def test_the_same_oddity_is_said_once_for_a_task(file, monkeypatch):
    """Not for every checkpoint; another oddity is said too."""
    script = {"S-1": of("0000"), "S-2": of("0000", cut=4), "S-3": of("0000", cut=4)}
    report, _ = run(file, monkeypatch, script)
    assert [warning.split()[0] for warning in report.warnings] == ["all", "4"]


def test_three_runs_with_exactly_one_score_are_odd(file, monkeypatch):
    """Though the items of each differ."""
    report, _ = run(file, monkeypatch, {"S-1": of("01"), "S-2": of("10"), "S-3": of("01")})
    (warning,) = report.warnings
    assert warning.startswith("the first 3 few_shot runs of matching all score exactly 0.5.")


def test_runs_after_the_first_three_are_not_looked_at(file, monkeypatch):
    """A later session counts those of earlier ones: a perfect score at the end is none."""
    text = file.read_text("utf-8")
    more = "      - {name: S-4, path: S-4, params: 80614, tokens: 8e6}\n"
    file.write_text(text.replace("corpora:", more + "corpora:"), "utf-8")
    script = {**MIXED, "S-4": of("1111")}
    done, _ = run(file, monkeypatch, script, limit=15)
    assert done.done == 15
    report, _ = run(file, monkeypatch, script)
    assert report.done == 5
    assert report.warnings == ()


def test_an_example_is_shown_of_the_first_run_alone(file, monkeypatch):
    """Of the first session too, and of none without its prompt."""
    items = [{**of("01")[0], "text": "1 + 1 =", "target": "2"}, of("01")[1]]
    script = {**MIXED, "S-1": items, "S-2": items}
    _, events = run(file, monkeypatch, script, limit=2)
    (event,) = [event for event in events if event.kind is EventKind.EXAMPLE]
    assert event.example == items[0]
    _, events = run(file, monkeypatch, script)
    assert not [event for event in events if event.kind is EventKind.EXAMPLE]
