"""What the picture of a forecast in compute claims, read from its specification."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import altair as alt
import numpy as np
import polars as pl
import pytest

from emergecast.measurements import Axis
from emergecast.report import compute


def view(**changes: Any) -> Any:
    """A made-up forecast in compute; changes are of the quantiles or of the whole."""
    quantiles = {"p05": 2e22, "p50": 5e22, "p95": 4e23}
    quantiles |= {name: changes.pop(name) for name in tuple(changes) if name in quantiles}
    flops = np.geomspace(3e21, 1e24, 50)
    emerged = np.linspace(0, 0.97, 50)
    params = np.sqrt(flops / 120)
    ticks = pl.DataFrame({"flops": [1e22, 1e23], "params": [9.1e9, 2.9e10], "tokens": [1.0, 1.0]})
    checkpoints = pl.DataFrame(
        {
            "checkpoint": ["a", "b", "c", "d"],
            "flops": [4e21, 1e22, 1e23, 1e30],
            "hidden": [False, False, True, True],
            "emerged": [False, False, True, True],
        }
    )
    curve = pl.DataFrame({"flops": flops, "params": params, "emerged": emerged})
    made = {
        "task": "quiz",
        "axis": Axis(),
        "title": "quiz: few-shot emergence at 2.06 nats",
        "subtitle": "weak; 90% interval 1.96 to 2.16",
        "compute": SimpleNamespace(
            flops=SimpleNamespace(**quantiles), strongest_flops=1e22, tied="20 tokens per parameter"
        ),
        "compute_curve": lambda: curve,
        "compute_ticks": lambda: ticks,
        "compute_checkpoints": lambda: checkpoints,
    }
    return SimpleNamespace(**(made | changes))


def units(chart: alt.TopLevelMixin, mark: str) -> list[dict[str, Any]]:
    """Marks of one type, with their rows."""
    spec = chart.to_dict()
    found = []
    for panel in spec["vconcat"]:
        for unit in panel["layer"]:
            if unit["mark"]["type"] == mark:
                data = unit.get("data", panel.get("data"))
                rows = data["values"] if "values" in data else spec["datasets"][data["name"]]
                found.append({**unit, "rows": rows})
    return found


def texts(chart: alt.TopLevelMixin) -> list[str]:
    """Everything written above the panels."""
    return [unit["encoding"]["text"]["value"] for unit in units(chart, "text")]


def test_the_title_says_it_in_flops_and_the_subtitle_in_loss():
    """With the multiple of the strongest checkpoint."""
    title = compute(view()).to_dict()["title"]
    assert " ".join(title["text"]) == (
        "quiz: few-shot emergence at 5.00e22 training FLOPs, 5 times the strongest checkpoint"
    )
    assert " ".join(title["subtitle"]).startswith("In loss: few-shot emergence at 2.06 nats. weak")


def test_interval_median_and_strongest_checkpoint_stand_where_they_are():
    """Rules and band at their FLOPs, named with their numbers."""
    chart = compute(view())
    (band,) = units(chart, "rect")
    assert band["rows"] == [{"flops": 2e22, "end": 4e23}]
    assert [unit["rows"][0]["flops"] for unit in units(chart, "rule")] == [5e22, 1e22]
    assert texts(chart) == [
        "90% interval 2.00e22 to 4.00e23",
        "median 5.00e22",
        "strongest checkpoint used 1.00e22",
    ]


def test_an_interval_without_end_reaches_the_edge_and_says_so():
    """And a median that no compute reaches is not drawn."""
    chart = compute(view(p95=None))
    assert units(chart, "rect")[0]["rows"][0]["end"] == pytest.approx(1e24)
    assert "90% interval 2.00e22 to no compute at all" in texts(chart)
    never = compute(view(p95=None, p50=None))
    assert not any(text.startswith("median") for text in texts(never))
    assert "probably no amount" in " ".join(never.to_dict()["title"]["text"])


def test_checkpoints_are_ticks_of_what_became_of_them():
    """Seen, later at chance, later above chance; those outside the picture are left out."""
    (ticks,) = units(compute(view()), "tick")
    assert {row["checkpoint"]: row["kind"] for row in ticks["rows"]} == {
        "a": "in the fit", "b": "in the fit", "c": "later, above chance",
    }  # fmt: skip
    assert ticks["encoding"]["y"]["scale"]["domain"] == ["in the fit", "later, above chance"]


def test_numbers_of_the_axis_have_parameters_below_them():
    """Where they are known; else FLOPs alone."""
    (ticks,) = units(compute(view()), "tick")
    axis = ticks["encoding"]["x"]["axis"]
    assert axis["values"] == [1e22, 1e23]
    assert "['1.0e22', '9.10B']".replace("1.0", "1") in axis["labelExpr"]
    assert "20 tokens per parameter" in axis["title"]
    bare = pl.DataFrame({"flops": [1e22], "params": [None], "tokens": [None]})
    (ticks,) = units(compute(view(compute_ticks=lambda: bare)), "tick")
    assert "parameters" not in ticks["encoding"]["x"]["axis"]["title"]


def test_the_curve_runs_from_nothing_to_certainty():
    """On an axis from 0 to 1, over all the FLOPs given."""
    (line,) = units(compute(view()), "line")
    assert line["encoding"]["y"]["scale"]["domain"] == [0, 1]
    assert len(line["rows"]) == 50
    assert line["encoding"]["x"]["scale"]["type"] == "log"


def test_without_flops_there_is_no_picture():
    """An error, not an empty picture."""
    empty = pl.DataFrame(schema={"flops": pl.Float64, "params": pl.Float64, "emerged": pl.Float64})
    with pytest.raises(ValueError, match="without FLOPs"):
        compute(view(compute=None))
    with pytest.raises(ValueError, match="without FLOPs"):
        compute(view(compute_curve=lambda: empty))
