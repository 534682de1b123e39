"""What the pictures of a backtest claim, read from their specification and their files."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import altair as alt
import polars as pl
import pytest

from emergecast.backtests import Backtest, BacktestOutcome, BacktestRow, Part
from emergecast.observed import Estimand, GroundTruth
from emergecast.report import ablations, ladder, save
from emergecast.report.drawing import interval_window


def backtest(*rows: BacktestRow) -> Backtest:
    """A backtest of these rows, made by hand."""
    truth = GroundTruth(target=Estimand.ELBOW, loss=2.07, p05=2.06, p95=2.09, n=9)
    return Backtest(
        task="mmlu", metric="acc", series=("default",), truth=truth, horizon=2.0, law="log-power",
        few_shot_examples=5.0, overridden=(), rows=rows, warnings=(),
        invented=False, table_hash="0",
    )  # fmt: skip


def row(**more: Any) -> BacktestRow:
    """One row of a backtest."""
    usual: dict[str, Any] = {
        "part": Part.LADDER, "setting": "loss above 2.0", "forecaster": "forecast",
        "law": "log-power", "few_shot_examples": 5.0, "outcome": BacktestOutcome.SCORED,
        "verdict": "weak", "strongest_loss": 2.1, "ahead_nats": 0.03, "ahead_flops": 1.5,
        "p05": 1.95, "p50": 2.05, "p95": 2.12, "covered": True,
    }  # fmt: skip
    return BacktestRow(**(usual | more))


def gone(outcome: BacktestOutcome, reason: str, **more: Any) -> BacktestRow:
    """A row without a number."""
    nothing = dict.fromkeys(("p05", "p50", "p95", "covered", "verdict"))
    return row(outcome=outcome, reasons=(reason,), **nothing, **more)


FULL = backtest(
    row(),
    row(forecaster="no-change", verdict=None, p05=2.0, p50=2.1, p95=2.2),
    row(forecaster="prior", verdict=None, p05=0.5, p50=2.0, p95=9.0),
    gone(BacktestOutcome.NOT_DEFINED, "No metric.", forecaster="two-step"),
    gone(BacktestOutcome.REFUSED, "Why.", setting="loss above 2.2", ahead_flops=None),
    row(setting="loss above 2.2", forecaster="no-change", verdict=None, ahead_nats=-0.13),
    row(part=Part.ABLATIONS, setting="full design", verdict="identified"),
    row(part=Part.ABLATIONS, setting="last 4 checkpoints only", covered=False),
    gone(
        BacktestOutcome.NOT_POSSIBLE, "Not possible: the rows name no data subsets, not two.",
        part=Part.ABLATIONS, setting="first data subset only",
    ),
    row(part=Part.LAWS, setting="power", p05=-400.0),
    gone(BacktestOutcome.REFUSED, "A reason. More.", part=Part.D0, setting="D0 = 1"),
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
    ("draw", "part"), [(ladder, Part.LADDER), (ablations, Part.ABLATIONS), (ablations, Part.D0)]
)
def test_a_backtest_without_any_number_renders(draw: Any, part: Part, tmp_path: Path) -> None:
    """Everything refused: the truth stands alone."""
    found = backtest(gone(BacktestOutcome.REFUSED, "None.", part=part))
    svg, _ = save(draw(found), tmp_path, "picture")
    assert "NaN" not in svg.read_text("utf-8")


@pytest.mark.parametrize(
    ("low", "high"), [*itertools.product((-1e4, 1.99, 2.04), (2.11, 3.0, 1e5))]
)
def test_a_window_shows_what_must_be_seen(low: float, high: float) -> None:
    """And no interval, however long, makes it more than a few times as wide."""
    shown = interval_window([2.0, 2.1], pl.DataFrame({"p05": [low], "p95": [high]}))
    assert shown.low < 2.0
    assert shown.high > 2.1
    assert shown.span < 0.8
