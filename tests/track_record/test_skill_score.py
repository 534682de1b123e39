"""Skill by table and by rung, worked out by hand; the interval score against its integral."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from emergecast.track_record import LARGEST_FACTOR, interval_score, skill_over


def test_tables_of_one_rung_each_by_hand():
    """1 - (1 + 2 + 3) / (2 + 2 + 8), with the error of leaving out one table after the other."""
    found = skill_over({"a": [(1, 2)], "b": [(2, 2)], "c": [(3, 8)]})
    assert found is not None
    assert (found.tables, found.rungs) == (3, 3)
    assert found.value == pytest.approx(0.5)
    left_out = np.array([1 - 5 / 10, 1 - 4 / 10, 1 - 3 / 4])
    expected = math.sqrt(2 / 3 * np.sum((left_out - left_out.mean()) ** 2))
    assert found.stderr == pytest.approx(expected)
    gains = np.log([2, 1, 8 / 3])
    assert found.per_rung == pytest.approx(gains.mean())
    # The jackknife of a mean is its standard error.
    assert found.per_rung_stderr == pytest.approx(gains.std(ddof=1) / math.sqrt(3))


def test_rungs_of_one_table_count_as_one_example():
    """Twenty copies of a rung change neither the value nor the error."""
    few = skill_over({"a": [(1, 2)], "b": [(3, 2)]})
    many = skill_over({"a": [(1, 2)] * 20, "b": [(3, 2)]})
    assert few is not None
    assert many is not None
    assert (many.value, many.stderr, many.per_rung, many.per_rung_stderr) == pytest.approx(
        (few.value, few.stderr, few.per_rung, few.per_rung_stderr)
    )
    one = skill_over({"a": [(1, 2), (1, 3), (1, 4)]})
    assert one is not None
    assert (one.tables, one.rungs, one.stderr, one.per_rung_stderr) == (1, 3, None, None)


def test_one_rung_counts_at_most_tenfold():
    """A rival that hits by luck, or a forecast that does."""
    for mine, theirs, sign in ((1.0, 1e-9, -1), (0.0, 1.0, 1), (1.0, 0.0, -1), (0.0, 0.0, 0)):
        found = skill_over({"a": [(mine, theirs), (1.0, 1.0)]})
        assert found is not None
        assert found.per_rung == pytest.approx(sign * math.log(LARGEST_FACTOR) / 2)


def test_without_pairs_there_is_no_skill():
    """Nor over a rival that is never wrong."""
    assert skill_over({"a": []}) is None
    assert skill_over({"a": [(1.0, 0.0)]}) is None


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_the_interval_score_is_least_at_the_true_quantiles(level: float):
    """For normal truths the mean score falls towards the central interval, and rises past it."""
    truths = stats.norm.ppf((np.arange(4000) + 0.5) / 4000)
    z = float(stats.norm.ppf(0.5 + level / 2))

    def mean(half: float) -> float:
        return float(np.mean([interval_score(-half, half, t, level=level) for t in truths]))

    assert mean(z) < min(mean(0.9 * z), mean(1.1 * z))
    assert interval_score(1.0, 3.0, 0.5, level=level) == pytest.approx(2 + 2 / (1 - level) * 0.5)
    assert interval_score(1.0, 3.0, 2.0, level=level) == 2.0
