"""Forecasts of several designs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.report.made import NAMES, made

from emergecast.forecasts import Forecast


@pytest.fixture
def forecast_of() -> Callable[[str], Forecast]:
    """The forecast of a design, by its name."""
    return made


@pytest.fixture(params=NAMES)
def any_design(request: pytest.FixtureRequest) -> str:
    """The name of every design in turn."""
    name: str = request.param
    return name


@pytest.fixture
def any_forecast(any_design: str) -> Forecast:
    """Its forecast."""
    return made(any_design)
