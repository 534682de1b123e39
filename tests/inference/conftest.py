"""Tables drawn widely, and their fits."""

from __future__ import annotations

import pytest
from tests.referees import simulate

import emergecast
from emergecast.inference import Fit, FitOptions
from emergecast.measurements import SelectOptions


def fit_of(table: simulate.SimulatedTable) -> Fit:
    """The product's fit of a simulated table, under the law it was drawn from."""
    return emergecast.fit(
        simulate.as_rows(table),
        SelectOptions(task="t"),
        FitOptions(law=table.law, few_shot_examples=table.few_shot_examples),
    )


@pytest.fixture(scope="session")
def simulated_tables() -> list[simulate.SimulatedTable]:
    """Twelve tables whose designs and truths are drawn widely."""
    return simulate.random_tables(12, seed=7)


@pytest.fixture(scope="session")
def simulated_fits(simulated_tables: list[simulate.SimulatedTable]) -> list[Fit]:
    """The fit of each of these tables."""
    return [fit_of(table) for table in simulated_tables]
