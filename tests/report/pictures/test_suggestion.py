"""What the picture of a plan claims, read from its specification."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import vl_convert

from emergecast.report import suggestion


def cell(name: str, loss: float, examples: int | None, per_hour: float) -> dict[str, Any]:
    """A candidate."""
    return {
        "series": "s", "checkpoint": name, "loss": loss, "examples": examples,
        "gpu_hours": 2.0, "information": 2 * per_hour, "per_hour": per_hour, "measured": 0,
    }  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """A made-up plan."""

    runs: list[dict[str, Any]] = field(default_factory=list)
    series: tuple[str, ...] = ("s",)
    title: str = "quiz: 2 runs worth making next"
    subtitle: str = "4 of 10 GPU-hours"

    def to_dict(self) -> dict[str, Any]:
        """As suggestion.json."""
        made = [cell("weak", 2.5, 64, 0.001), cell("strong", 2.1, 64, 0.05)]
        made += [cell("strong", 2.1, 1024, 0.1), cell("strong", 2.1, None, 0.0)]
        return {"series": list(self.series), "candidates": made, "runs": self.runs, "width": 0.4}


def run(examples: int, hours: float, width: float) -> dict[str, Any]:
    """A run of the plan."""
    return {
        "series": "s", "checkpoint": "strong", "examples": examples,
        "hours_so_far": hours, "width": width,
    }  # fmt: skip


def drawn(spec: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The rows of the data of a picture that have `key`."""
    return next(rows for rows in spec["datasets"].values() if key in rows[0])


def test_every_candidate_is_a_cell_and_the_plan_is_numbered():
    """Amounts in order, few-shot first; a cell run often carries two numbers and a count."""
    plan = Plan(runs=[run(1024, 2, 0.3), run(64, 4, 0.25), run(1024, 6, 0.2), run(1024, 8, 0.2)])
    spec = suggestion(plan).to_dict()
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
    assert [each["width"] for each in widths] == [0.4, 0.3, 0.25, 0.2, 0.2]


def test_it_can_be_drawn_with_and_without_a_plan():
    """As SVG; title and subtitle are there, and every checkpoint is named."""
    for plan in (Plan(), Plan(runs=[run(64, 2, 0.3)]), Plan(series=("s", "t"))):
        svg = vl_convert.vegalite_to_svg(suggestion(plan).to_dict())
        assert plan.title in svg
        assert "strong (2.100)" in svg
