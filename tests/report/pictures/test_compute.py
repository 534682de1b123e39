"""What the picture of a forecast in compute claims, read from its specification."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import altair as alt
import pytest
from tests.report.made import ELEVEN, LATER, forecast, table

from emergecast.compute import ComputeOptions
from emergecast.forecasts import Forecast
from emergecast.report import compute
from emergecast.scaling import PowerLaw, Resource

TRUE = PowerLaw(name="t", source="", of=Resource.FLOPS, floor_nats=1.2, a=100.0, alpha=0.1)


def flops_at(loss: float) -> float:
    """FLOPs at which the law of these series has a loss."""
    return float((TRUE.a / (loss - TRUE.floor_nats)) ** (1 / TRUE.alpha))


def sized(loss: float) -> dict[str, Any]:
    """Twenty tokens per parameter."""
    params = round((flops_at(loss) / 120) ** 0.5)
    return {"params": params, "tokens": 20 * params, "flops": flops_at(loss)}


def of(facts: Callable[[float], dict[str, Any]]) -> Forecast:
    """A forecast from checkpoints at chance, of which this is known besides their loss."""
    rows = [{**row, **facts(row["loss"])} for row in table(losses=(*ELEVEN, *LATER))]
    return forecast(rows, at_chance_only=True)


@pytest.fixture(scope="module")
def known() -> Forecast:
    """Of runs whose parameters, tokens and FLOPs are known."""
    return of(sized)


def reaching(found: Forecast, share: float) -> Forecast:
    """The same under a law whose floor this share of the distribution lies below.

    At a loss of 2.1 nats it has the FLOPs that the checkpoints have.
    """
    floor = float(found.quantile(share))
    law = replace(TRUE, floor_nats=floor, a=(2.1 - floor) * flops_at(2.1), alpha=1.0)
    return replace(found, compute_options=ComputeOptions(law=law, anchor=False))


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


def written(flops: float) -> str:
    """FLOPs as people write them: 5.00e22."""
    return f"{flops:.2e}".replace("e+", "e")


def numbers(found: Forecast) -> tuple[float, float, float, float]:
    """Quantiles at 5, 50 and 95%, and the FLOPs of the strongest checkpoint."""
    assert found.compute is not None
    assert found.compute.flops is not None
    quantiles = found.compute.flops
    assert quantiles.p05
    assert quantiles.p50
    assert quantiles.p95
    assert found.compute.strongest_flops
    return quantiles.p05, quantiles.p50, quantiles.p95, found.compute.strongest_flops


def test_the_title_says_it_in_flops_and_the_subtitle_in_loss(known: Forecast):
    """With the multiple of the strongest checkpoint."""
    _, middle, _, strongest = numbers(known)
    assert known.elbow is not None
    title = compute(known).to_dict()["title"]
    assert " ".join(title["text"]) == (
        f"quiz: few-shot emergence at {written(middle)} training FLOPs, "
        f"{middle / strongest:.3g} times the strongest checkpoint"
    )
    start = f"In loss: few-shot emergence at {known.elbow.p50:.2f} nats. {known.verdict}; 90%"
    assert " ".join(title["subtitle"]).startswith(start)


def test_interval_median_and_strongest_checkpoint_stand_where_they_are(known: Forecast):
    """Rules and band at their FLOPs, named with their numbers."""
    low, middle, high, strongest = numbers(known)
    chart = compute(known)
    (band,) = units(chart, "rect")
    assert band["rows"] == [{"flops": low, "end": high}]
    assert [unit["rows"][0]["flops"] for unit in units(chart, "rule")] == [middle, strongest]
    assert texts(chart) == [
        f"90% interval {written(low)} to {written(high)}",
        f"median {written(middle)}",
        f"strongest checkpoint used {written(strongest)}",
    ]


def test_an_interval_without_end_reaches_the_edge_and_says_so(known: Forecast):
    """And a median that no compute reaches is not drawn."""
    endless = reaching(known, 0.2)
    assert endless.compute is not None
    assert endless.compute.flops is not None
    assert endless.compute.flops.p05 is not None
    chart = compute(endless)
    (band,), (line,) = units(chart, "rect"), units(chart, "line")
    assert band["rows"][0]["end"] == pytest.approx(max(row["flops"] for row in line["rows"]))
    text = f"90% interval {written(endless.compute.flops.p05)} to no compute at all"
    assert text in texts(chart)
    never = compute(reaching(known, 0.7))
    assert not any(text.startswith("median") for text in texts(never))
    assert "probably no amount" in " ".join(never.to_dict()["title"]["text"])


def test_checkpoints_are_ticks_of_what_became_of_them(known: Forecast):
    """Seen, later above chance; those outside the picture are left out."""
    (ticks,) = units(compute(known), "tick")
    low, high = ticks["encoding"]["x"]["scale"]["domain"]
    inside = known.points().filter(setting="few-shot").select("checkpoint", "loss", "hidden")
    assert {row["checkpoint"]: row["kind"] for row in ticks["rows"]} == {
        name: "later, above chance" if hidden else "in the fit"
        for name, loss, hidden in inside.iter_rows()
        if low <= flops_at(loss) <= high
    }
    assert 0 < len(ticks["rows"]) < inside.height
    assert ticks["encoding"]["y"]["scale"]["domain"] == ["in the fit", "later, above chance"]


def test_numbers_of_the_axis_have_parameters_below_them(known: Forecast):
    """Where they are known; else FLOPs alone."""
    (ticks,) = units(compute(known), "tick")
    axis = ticks["encoding"]["x"]["axis"]
    low, high = ticks["encoding"]["x"]["scale"]["domain"]
    assert axis["values"]
    for flops in axis["values"]:
        assert low <= flops <= high
        digit, power = f"{flops:.0e}".split("e+")
        assert float(f"{digit}e{power}") == pytest.approx(flops)
        params = math.sqrt(flops / 120)
        unit = next(unit for unit in (1e12, 1e9, 1e6) if params >= unit)
        size = f"{params / unit:.2f}{ {1e12: 'T', 1e9: 'B', 1e6: 'M'}[unit] }"
        assert f"datum.value == {flops!r} ? ['{digit}e{power}', '" in axis["labelExpr"]
        assert size[:3] in axis["labelExpr"]
    assert "20 tokens per parameter" in axis["title"]
    (ticks,) = units(compute(of(lambda loss: {"flops": flops_at(loss)})), "tick")
    assert "parameters" not in ticks["encoding"]["x"]["axis"]["title"]


def test_the_curve_runs_from_nothing_to_certainty(known: Forecast):
    """On an axis from 0 to 1, over all the FLOPs given."""
    (line,) = units(compute(known), "line")
    assert line["encoding"]["y"]["scale"]["domain"] == [0, 1]
    assert len(line["rows"]) == known.compute_curve().height
    assert line["encoding"]["x"]["scale"]["type"] == "log"


def test_without_flops_there_is_no_picture(forecast_of):
    """An error, not an empty picture: where it is refused, and where only sizes are known."""
    only_params = of(lambda loss: {"params": sized(loss)["params"]})
    for found in (forecast_of("refused"), only_params):
        with pytest.raises(ValueError, match="without FLOPs"):
            compute(found)
