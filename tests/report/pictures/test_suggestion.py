"""What the picture of a plan claims, read from its specification."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import vl_convert

from emergecast.forecasts import Forecast
from emergecast.report import suggestion
from emergecast.suggestions import (
    Candidate,
    Cost,
    Prospect,
    SuggestedRun,
    Suggestion,
    SuggestOptions,
)


def candidate(name: str, loss: float, examples: int | None) -> Candidate:
    """A run that could be made."""
    return Candidate(
        series="s", checkpoint=name, loss=loss, examples=examples, runs=9, gpu_hours=2.0, flops=None
    )


def cell(name: str, loss: float, examples: int | None, per_hour: float) -> Prospect:
    """The same, judged."""
    return Prospect(candidate=candidate(name, loss, examples), information=2 * per_hour, measured=0)


def run(examples: int, hours: float, width: float) -> SuggestedRun:
    """A run of the plan."""
    return SuggestedRun(
        candidate=candidate("strong", 2.1, examples), repeat=1, information=0.1,
        hours_so_far=hours, width=width, reason="",
    )  # fmt: skip


def plan(of: Forecast, *runs: SuggestedRun, series: tuple[str, ...] = ("s",)) -> Suggestion:
    """Runs chosen by hand, after a fit."""
    made = (
        cell("weak", 2.5, 64, 0.001),
        cell("strong", 2.1, 64, 0.05),
        cell("strong", 2.1, 1024, 0.1),
        cell("strong", 2.1, None, 0.0),
    )
    return Suggestion(
        fit=replace(of.fit, selection=replace(of.fit.selection, series=series)),
        options=SuggestOptions(budget=10.0),
        cost=Cost(),
        runs=runs,
        prospects=made,
        stopped="nothing is left",
    )


def drawn(spec: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The rows of the data of a picture that have `key`."""
    return next(rows for rows in spec["datasets"].values() if key in rows[0])


def test_every_candidate_is_a_cell_and_the_plan_is_numbered(forecast_of):
    """Amounts in order, few-shot first; a cell run often carries two numbers and a count."""
    runs = run(1024, 2, 0.3), run(64, 4, 0.25), run(1024, 6, 0.2), run(1024, 8, 0.2)
    found = plan(forecast_of("three"), *runs)
    spec = suggestion(found).to_dict()
    cells = {(c["checkpoint"], c["amount"]): c for c in drawn(spec, "shade")}
    assert set(cells) == {
        ("weak (2.500)", "64"), ("strong (2.100)", "64"), ("strong (2.100)", "1,024"),
        ("strong (2.100)", "few-shot"),
    }  # fmt: skip
    assert cells["strong (2.100)", "1,024"]["picks"] == "1, 3 +1"
    assert cells["strong (2.100)", "64"]["picks"] == "2"
    assert cells["strong (2.100)", "1,024"]["shade"] == 1.0
    assert cells["strong (2.100)", "few-shot"]["shade"] == 1e-3
    widths = drawn(spec, "width")
    assert [each["width"] for each in widths] == [found.width, 0.3, 0.25, 0.2, 0.2]


def test_it_can_be_drawn_with_and_without_a_plan(forecast_of):
    """As SVG; title and subtitle are there, and every checkpoint is named."""
    of = forecast_of("three")
    for made in (plan(of), plan(of, run(64, 2, 0.3)), plan(of, series=("s", "t"))):
        svg = vl_convert.vegalite_to_svg(suggestion(made).to_dict())
        assert made.title in svg
        assert "strong (2.100)" in svg
