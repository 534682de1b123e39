from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Rows = list[dict[str, Any]]


@pytest.fixture(scope="session")
def rows() -> Callable[[], Rows]:
    """Make a good table of eight rows: two checkpoints, few-shot and finetuned on three amounts."""

    def make() -> Rows:
        table: Rows = []
        for name, loss, few in (("weak", 3.0, 0.26), ("strong", 2.5, 0.27)):
            shared = {
                "series": "s",
                "checkpoint": name,
                "loss": loss,
                "task": "quiz",
                "metric": "acc",
                "chance": 0.25,
            }
            table.append({**shared, "setting": "few_shot", "shots": 5, "score": few})
            table += [
                {**shared, "setting": "finetuned", "examples": amount, "score": 0.3}
                for amount in (10, 100, 1000)
            ]
        return table

    return make
