"""`fit`, `compare` and `backtest` say the same FLOPs of the same rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import emergecast
from emergecast.backtests import BacktestOptions, Part
from emergecast.forecasts import ForecastOptions
from emergecast.inference import FitOptions
from emergecast.measurements import Measurements, SelectOptions, proving_ground
from emergecast.simulation import load_design

LAW = "log-power"


def of_fit(table: Measurements, **rows: Any) -> tuple[float | None, ...]:
    """5, 50 and 95% of the FLOPs of a forecast."""
    compute = emergecast.forecast(
        table,
        SelectOptions(at_chance_only=True, **rows),
        FitOptions(law=LAW),
        options=ForecastOptions(bootstraps=0),
    ).compute
    assert compute is not None
    assert compute.flops is not None
    return compute.flops.p05, compute.flops.p50, compute.flops.p95


def of_compare(table: Measurements, names: tuple[str, str], **rows: Any) -> list[Any]:
    """The same of both series of a comparison."""
    found = emergecast.compare(
        table,
        names,
        rows=SelectOptions(at_chance_only=True, **rows),
        fitting=FitOptions(law=LAW),
    )
    return [
        tuple(None if x is None else 10**x for x in (each.p05, each.p50, each.p95))
        for each in found.compute
        if each is not None
    ]


def of_backtest(table: Measurements, **rows: Any) -> tuple[float | None, ...]:
    """The same of the first rung, which hides what is above chance."""
    options = BacktestOptions(parts=(Part.LADDER,), rungs=1, baselines=())
    (row,) = emergecast.backtest(
        table, SelectOptions(**rows), FitOptions(law=LAW), options=options
    ).rows
    return row.flops_p05, row.flops_p50, row.flops_p95


def check(table: Measurements, names: tuple[str, str], **rows: Any) -> None:
    """All three, of both series."""
    compared = of_compare(table, names, **rows)
    for name, said in zip(names, compared, strict=True):
        fitted = of_fit(table, series=name, **rows)
        assert of_backtest(table, series=name, **rows) == fitted
        for one, other in zip(said, fitted, strict=True):
            assert one is not None
            assert other is not None
            assert math.log10(one) == pytest.approx(math.log10(other), abs=1e-9)


def test_of_the_bundled_table():
    """Both seeds of the matching task, the smallest size left out as the demo does."""
    rows = {"task": "proving_ground_matching", "exclude": ("S-*",)}
    check(proving_ground(), ("seed-0", "seed-1"), **rows)


@pytest.mark.parametrize("seed", [3])
def test_of_simulated_tables(seed: int):
    """Two series with laws of their own."""
    design = load_design("two-series")
    table = emergecast.simulate(design, rng=np.random.default_rng(seed)).table
    first, second = table.series
    check(table, (first, second))
