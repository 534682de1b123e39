"""The invented scores: those of a law that can be worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.lab.small_experiment import EXPERIMENT

from emergecast.lab.experiment import Run, parse_experiment
from emergecast.lab.plan import survey
from emergecast.lab.worker._rehearsal import RehearsalMeasurer


def ignore(_done: int, _total: int) -> None:
    """The progress is not looked at."""


def test_scores_leave_chance_at_a_loss_that_data_moves(tmp_path: Path):
    """Losses are 6, 5, 4; elbows 4.5 few-shot and 0.12 nats more for each factor e of examples.

    Past the elbow a score rises by 0.6 a nat from 0.25; 40,000 items scatter it by 0.0025.
    """
    text = EXPERIMENT.replace("{seconds: 0}", "{seconds: 0, items: 40000}")
    experiment = parse_experiment(text, tmp_path / "small.yaml")
    measurer = RehearsalMeasurer(experiment)

    def found(run: Run) -> float:
        outcome = measurer.measure(run, tmp_path / "training", ignore)
        return outcome.scores[0].score if outcome.loss is None else outcome.loss.nats_per_token

    seen = {
        (run.checkpoint, run.task, run.examples): found(run) for run in survey(experiment).plan.runs
    }
    losses = [seen[name, None, None] for name in ("S-1", "S-2", "S-3")]
    assert losses == pytest.approx([6, 5, 4], abs=0.05)
    scores = {key: value for key, value in seen.items() if key[1] is not None}
    wanted = dict.fromkeys(scores, 0.25)
    wanted["S-3", "matching", None] = 0.25 + 0.6 * (4.5 - 4)
    wanted["S-3", "matching", 16] = 0.25 + 0.6 * (4.5 + 0.12 * 2.7726 - 4)
    wanted["S-3", "matching", 64] = 0.25 + 0.6 * (4.5 + 0.12 * 4.1589 - 4)
    assert scores == pytest.approx(wanted, abs=0.01)
