from __future__ import annotations

import random
from pathlib import Path

from benchmarks.kill import kill_and_finish, rehearsal, table_of, undisturbed


def test_a_runner_killed_at_random_moments_loses_nothing_and_does_nothing_twice(tmp_path: Path):
    """`python benchmarks/kill.py` does the same a hundred times."""
    expected = undisturbed(rehearsal(tmp_path / "undisturbed", checkpoints=4, seconds=0.3))
    file = rehearsal(tmp_path / "killed", checkpoints=4, seconds=0.3)
    rng = random.Random(4)  # noqa: S311  moments, not secrets
    found = kill_and_finish(file, 5, rng, longest=0.7)
    assert found.wrong == []
    assert found.kills.total() == 5
    assert found.runs == 4 + 3 * (1 + 2 * 4)
    assert table_of(file) == expected
