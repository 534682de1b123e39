from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from performance.kill import Trouble, copy_of, kill_often, rehearsal

from emergecast.lab.proving_ground import PRESETS, Order, make


def test_a_runner_killed_at_random_moments_loses_nothing_and_does_nothing_twice(tmp_path: Path):
    """`python performance/kill.py` does the same a hundred times."""
    rng = random.Random(4)  # noqa: S311  moments, not secrets
    found = kill_often(
        lambda name: rehearsal(tmp_path / name, checkpoints=4, seconds=0.3), 5, rng, longest=0.7
    )
    assert found.wrong == []
    assert found.kills.total() == 5
    assert found.runs == (4 + 3 * (1 + 2 * 4)) * found.rounds


def test_kills_just_after_a_write_lose_nothing_in_silence(tmp_path: Path):
    """With a stopped worker, a full disk, or the log removed, as `python performance/kill.py`."""
    rng = random.Random(1)  # noqa: S311  moments, not secrets
    found = kill_often(
        lambda name: rehearsal(tmp_path / name, checkpoints=4, seconds=0.3), 5, rng, 0.7, hard=True
    )
    assert found.wrong == []
    assert found.kills.total() == 5
    assert found.troubles[Trouble.LOG_REMOVED]


@pytest.mark.slow
def test_finetunings_killed_at_random_moments_end_in_the_same_table(tmp_path: Path):
    """The smoke preset, its model pretrained for a moment only, with training checkpoints."""
    smoke = PRESETS["smoke"]
    tunings = tuple(replace(each, steps=min(each.steps, 150)) for each in smoke.tunings)
    preset = replace(smoke, most_steps=12, targets=(7.0,), tunings=tunings)
    file = make(Order(preset=preset, seeds=(0,)), tmp_path / "ground").experiment
    text = file.read_text("utf-8")
    file.write_text(text.replace("finetune:\n", "finetune:\n  save_every_seconds: 1\n"), "utf-8")
    rng = random.Random(1)  # noqa: S311  moments, not secrets
    found = kill_often(lambda name: copy_of(file, tmp_path / name), 2, rng, longest=3)
    assert found.wrong == []
    assert found.kills.total() == 2
    assert found.runs == 2 * (1 + 1 + 4) * found.rounds
