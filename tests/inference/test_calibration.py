"""A stated probability is a frequency: truths drawn from the priors, at a size that CI can afford.

`performance/calibration` does it with 1,000 tables a law; docs/calibration.md has its figures.
"""

from __future__ import annotations

import numpy as np
import pytest
from performance.calibration import _laws
from scipy.stats import binom, kstest

TABLES = 18
LAWS = ("log-power", "log-power+deviation", "log-power+student", "hill+slopes+deviation")


def limits(width: float) -> tuple[float, float]:
    """Fewest and most hits of TABLES intervals of that width, but for 2 cases in 10,000."""
    return float(binom.ppf(1e-4, TABLES, width)), float(binom.ppf(1 - 1e-4, TABLES, width))


@pytest.fixture(scope="module")
def ranks() -> dict[str, dict[str, list[float]]]:
    """Ranks of every parameter among its posterior draws, by law."""
    found: dict[str, dict[str, list[float]]] = {}
    for law in LAWS:
        for number in range(TABLES):
            for name, rank in _laws.one(law, number)["ranks"].items():
                found.setdefault(law, {}).setdefault(name, []).append(rank)
    return found


@pytest.mark.slow
def test_ranks_are_uniform_and_intervals_cover(ranks):
    """Kolmogorov-Smirnov with Bonferroni over all parameters; coverage within binomial limits."""
    tests = [(law, name) for law, own in ranks.items() for name in own]
    assert len(tests) > 20
    for law, name in tests:
        assert kstest(ranks[law][name], "uniform").pvalue > 0.001 / len(tests), (law, name)
    for law in LAWS:
        places = np.array(ranks[law]["forecast"])
        for width in (0.5, 0.9):
            hits = int(np.sum(np.abs(places - 0.5) <= width / 2))
            low, high = limits(width)
            assert low <= hits <= high, (law, width, hits)


@pytest.mark.slow
def test_the_mixture_covers_truths_from_its_laws():
    """Fixed weights are not the odds of the laws, and yet intervals of the mixture cover."""
    laws = ("log-power", "power", "log-power+slopes")
    places = [_laws.mixed(laws, laws[n % 3], n)["fixed"] for n in range(TABLES)]
    hits = int(np.sum(np.abs(np.array(places) - 0.5) <= 0.45))
    low, high = limits(0.9)
    assert low <= hits <= high
