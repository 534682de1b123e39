"""Scores that nobody measured, and scores that contradict their chance level, prove nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests import designs

from emergecast.errors import FrozenError
from emergecast.forecasts import Forecast, ForecastOptions, forecast
from emergecast.inference import FitOptions
from emergecast.report import compute, distribution, fan
from emergecast.track_record import ScoreStatus, freeze, score_frozen, track_record


def made(rows: list[designs.Row], **columns: Any) -> Forecast:
    """The forecast of these rows, with more columns, by the plain law."""
    return forecast(
        [{**row, **columns} for row in rows],
        fitting=FitOptions(law="log-power"),
        options=ForecastOptions(bootstraps=0, diagnostics=False),
    )


def test_invented_scores_are_called_so_and_not_frozen():
    """In titles and records; a file of them, where it is wanted, counts in no tally."""
    rows = designs.rows(losses=designs.DENSE[::3])
    sized = [{**row, "params": 10**9, "tokens": int(1e11 / row["loss"] ** 6)} for row in rows]
    found = made(sized, invented=True)
    assert found.title.startswith("INVENTED SCORES, ")
    assert found.to_dict()["invented"] is True
    assert any("nothing here is a measurement" in each for each in found.warnings)
    for draw in (fan, distribution, compute):
        assert "INVENTED SCORES" in json.dumps(draw(found).to_dict()["title"])
    with pytest.raises(FrozenError, match="--invented"):
        freeze(found)
    score = score_frozen(freeze(found, invented=True), truth=1.9)
    assert (score.status, score.invented) == (ScoreStatus.SCORED, True)
    assert score.name.startswith("INVENTED SCORES, ")
    tally = track_record([score])
    assert tally.n == 0
    assert "invented" in tally.repeated[0]


def test_measured_scores_are_not():
    """The same rows without the mark, and with the mark that they are measured."""
    rows = designs.rows(losses=designs.DENSE[::3])
    for columns in ({}, {"invented": False}):
        found = made(rows, **columns)
        assert "INVENTED" not in found.title
        score = score_frozen(freeze(found), truth=1.9)
        assert not score.invented
        assert track_record([score]).n == 1


def test_scores_above_a_wrong_chance_level_are_no_emergence():
    """Chance 0 for scores of 0.25: pending, with the reason, not a miss."""
    rows = [
        {"checkpoint": f"c{i}", "loss": 3.0 - 0.1 * i, "task": "t", "chance": 0.0, "n_items": 1000}
        | ({"setting": "finetuned", "examples": d} if d else {"setting": "few_shot"})
        | {"score": 0.25 + 0.002 * ((7 * i + d) % 5) + (0.04 * max(0, i - 3) if d > 64 else 0)}
        for i in range(8)
        for d in (0, 64, 256, 1024)
    ]
    frozen = freeze(made(rows))
    score = score_frozen(frozen, rows)
    assert score.status is ScoreStatus.PENDING
    assert "either the level is wrong" in score.reason
