"""What the pictures of a backtest claim, read from their specification and their files."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import altair as alt
import polars as pl
import pytest

from emergecast.report import ablations, ladder, save
from emergecast.report.drawing._intervals import window


@dataclass(frozen=True, kw_only=True)
class Truth:
    """A made-up truth."""

    elbow: float = 2.07
    p05: float = 2.06
    p95: float = 2.09


@dataclass(frozen=True, kw_only=True)
class View:
    """A made-up backtest."""

    rows: tuple[dict[str, Any], ...]
    title: str = "mmlu (default)"
    subtitle: str = "few-shot elbow measured at 2.070 nats"
    truth: Truth = Truth()

    def to_frame(self) -> pl.DataFrame:
        """The rows, with the types they have when empty."""
        schema: dict[str, Any] = dict.fromkeys(row(), pl.Float64) | dict.fromkeys(
            ("part", "setting", "forecaster", "outcome", "verdict", "reasons"), pl.String
        )
        schema["covered"] = pl.Boolean
        return pl.DataFrame(list(self.rows), schema=schema, orient="row")


def row(**more: Any) -> dict[str, Any]:
    """One row of a backtest."""
    return {
        "part": "ladder", "setting": "loss above 2.0", "forecaster": "forecast",
        "outcome": "scored", "verdict": "weak", "reasons": "", "strongest_loss": 2.1,
        "ahead_nats": 0.03, "ahead_flops": 1.5, "p05": 1.95, "p50": 2.05, "p95": 2.12,
        "covered": True, **more,
    }  # fmt: skip


GONE: dict[str, Any] = {"p05": None, "p50": None, "p95": None, "covered": None, "verdict": None}
FULL = View(
    rows=(
        row(),
        row(forecaster="no-change", verdict=None, p05=2.0, p50=2.1, p95=2.2),
        row(forecaster="prior", verdict=None, p05=0.5, p50=2.0, p95=9.0),
        row(forecaster="two-step", outcome="not defined", reasons="No metric.", **GONE),
        row(setting="loss above 2.2", outcome="refused", ahead_flops=None, reasons="Why.", **GONE),
        row(setting="loss above 2.2", forecaster="no-change", verdict=None, ahead_nats=-0.13),
        row(part="ablations", setting="full design", verdict="identified"),
        row(part="ablations", setting="last 4 checkpoints only", covered=False),
        row(
            part="ablations", setting="first data subset only", outcome="not possible",
            reasons="Not possible: the rows name no data subsets, not two.", **GONE,
        ),
        row(part="laws", setting="power", p05=-400.0),
        row(part="d0", setting="D0 = 1", outcome="refused", reasons="A reason. More.", **GONE),
    )
)  # fmt: skip


def units(spec: dict, datasets: dict | None = None) -> Iterator[dict]:
    """Every mark of a specification, with its rows under "rows"."""
    datasets = spec.get("datasets", datasets or {})
    for child in [*spec.get("layer", []), *spec.get("vconcat", [])]:
        yield from units(child, datasets)
    if "mark" in spec:
        data = spec["data"]
        yield {**spec, "rows": data["values"] if "values" in data else datasets[data["name"]]}


def of(chart: alt.TopLevelMixin, mark: str) -> list[dict]:
    """Marks of one type."""
    return [unit for unit in units(chart.to_dict()) if unit["mark"]["type"] == mark]


def texts(chart: alt.TopLevelMixin) -> list[str]:
    """Everything written inside the panels."""
    written = []
    for unit in of(chart, "text"):
        channel = unit["encoding"]["text"]
        written += (
            [channel["value"]]
            if "value" in channel
            else [r[channel["field"]] for r in unit["rows"]]
        )
    return written


@pytest.mark.parametrize("draw", [ladder, ablations])
def test_it_becomes_files(draw: Any, tmp_path: Path) -> None:
    """SVG that parses, PNG of twice its size, wide enough to read, without a NaN."""
    svg, png = save(draw(FULL), tmp_path, "picture")
    text = svg.read_text("utf-8")
    root = ET.fromstring(text)  # noqa: S314 (our own file)
    assert "NaN" not in text
    width, height = struct.unpack(">II", png.read_bytes()[16:24])
    assert abs(width - 2 * float(root.attrib["width"])) <= 2
    assert 1500 <= width <= 2000
    assert height > 500


def test_the_ladder_draws_each_forecaster_with_a_number() -> None:
    """One colour each; who has nothing to say on any rung is named below instead."""
    chart = ladder(FULL)
    intervals = next(unit for unit in of(chart, "rule") if "y2" in unit["encoding"])
    scale = intervals["encoding"]["color"]["scale"]
    assert scale["domain"] == ["forecast", "no-change", "prior"]
    assert len(set(scale["range"])) == 3
    assert {r["forecaster"] for r in intervals["rows"]} == {"forecast", "no-change", "prior"}
    assert "Nothing to go by on any rung: two-step." in texts(chart)


def test_the_ladder_says_how_far_ahead() -> None:
    """Nats and FLOPs under each rung; nats alone where no FLOPs are known."""
    label = next(
        unit["encoding"]["x"]["axis"]["labelExpr"]
        for unit in units(ladder(FULL).to_dict())
        if "axis" in unit["encoding"].get("x", {})
    )
    assert "1.5\\u00d7 FLOPs" in label
    assert "0.030 nats" in label
    assert label.count("FLOPs") == 1


def test_refused_forecasts_are_named() -> None:
    """Where their interval would stand."""
    assert texts(ladder(FULL)).count("refused") == 1


def test_long_intervals_end_in_a_triangle() -> None:
    """The prior reaches far out of the picture: two triangles, and its interval is cut."""
    chart = ladder(FULL)
    marks = [u for u in of(chart, "point") if str(u["mark"].get("shape")).startswith("triangle")]
    assert [{r["forecaster"] for r in unit["rows"]} for unit in marks] == [{"prior"}, {"prior"}]
    low, high = marks[0]["encoding"]["y"]["scale"]["domain"]
    intervals = next(unit for unit in of(chart, "rule") if "y2" in unit["encoding"])
    assert all(low <= r["loss"] <= r["high"] <= high for r in intervals["rows"])
    assert any("goes on beyond" in text for text in texts(chart))


def test_every_setting_has_a_row_in_its_panel() -> None:
    """Three panels in order; the ladder's rungs are in none of them."""
    spec = ablations(FULL).to_dict()
    titles = [panel["title"]["text"] for panel in spec["vconcat"]]
    assert titles == [
        "experimental design",
        "emergence law",
        "amount at which the elbow is read off",
    ]
    orders = [
        next(
            u["encoding"]["y"]["sort"]
            for u in units(panel, spec["datasets"])
            if "sort" in u["encoding"].get("y", {})
        )
        for panel in spec["vconcat"]
    ]
    assert orders == [
        ["full design", "last 4 checkpoints only", "first data subset only"],
        ["power"],
        ["D0 = 1"],
    ]


def test_settings_without_a_number_say_why() -> None:
    """The first clause of the reason, and what came of the setting, once."""
    written = texts(ablations(FULL))
    assert "not possible: the rows name no data subsets, not two" in written
    assert "refused: a reason" in written


def test_missing_the_truth_shows() -> None:
    """Covered medians are filled, others open, and verdicts differ in shape and colour."""
    points = [u for u in of(ablations(FULL), "point") if "shape" in u["encoding"]]
    filled = {r["setting"] for u in points if u["mark"]["filled"] for r in u["rows"]}
    opened = {r["setting"] for u in points if not u["mark"]["filled"] for r in u["rows"]}
    assert filled == {"full design", "power"}
    assert opened == {"last 4 checkpoints only"}
    first = points[0]["encoding"]
    assert first["shape"]["scale"]["domain"] == ["identified", "weak"]
    assert len(set(first["shape"]["scale"]["range"])) == 2
    assert len(set(first["color"]["scale"]["range"])) == 2


def test_stronger_is_right_in_the_ablations() -> None:
    """The loss axis is reversed and one for all panels."""
    scales = [
        unit["encoding"]["x"]["scale"]
        for unit in units(ablations(FULL).to_dict())
        if "scale" in unit["encoding"].get("x", {})
    ]
    assert all(scale["reverse"] for scale in scales)
    assert len({tuple(scale["domain"]) for scale in scales}) == 1


@pytest.mark.parametrize(
    ("draw", "part"), [(ladder, "ladder"), (ablations, "ablations"), (ablations, "d0")]
)
def test_a_backtest_without_any_number_renders(draw: Any, part: str, tmp_path: Path) -> None:
    """Everything refused: the truth stands alone."""
    view = View(rows=(row(part=part, outcome="refused", reasons="None.", **GONE),))
    svg, _ = save(draw(view), tmp_path, "picture")
    assert "NaN" not in svg.read_text("utf-8")


@pytest.mark.parametrize(
    ("low", "high"), [*itertools.product((-1e4, 1.99, 2.04), (2.11, 3.0, 1e5))]
)
def test_a_window_shows_what_must_be_seen(low: float, high: float) -> None:
    """And no interval, however long, makes it more than a few times as wide."""
    shown = window([2.0, 2.1], [low, high])
    assert shown.low < 2.0
    assert shown.high > 2.1
    assert shown.span < 0.8
