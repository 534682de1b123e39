"""Scores over all items together."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import matthews_corrcoef  # type: ignore[import-untyped]

from emergecast.lab.evaluate._scores import matthews


@pytest.mark.parametrize("classes", [2, 4])
def test_matthews_is_that_of_scikit_learn(classes):
    """And its error that of leaving out each item in turn."""
    rng = np.random.default_rng(classes)
    targets = rng.integers(classes, size=40)
    said = np.where(rng.random(40) < 0.6, targets, rng.integers(classes, size=40))
    score = matthews(list(zip(map(str, targets), map(str, said), strict=True)))
    assert score.score == pytest.approx(matthews_corrcoef(targets, said), abs=1e-12)
    without = np.array(
        [matthews_corrcoef(np.delete(targets, i), np.delete(said, i)) for i in range(40)]
    )
    assert score.stderr == pytest.approx(math.sqrt(39 * without.var()), abs=1e-12)
    assert (score.metric, score.n_items) == ("mcc", 40)


def test_an_answer_that_is_always_the_same_has_no_error():
    """Its correlation is 0 by definition, and an error of 0 would be read as certainty."""
    score = matthews([("yes", "yes"), ("no", "yes"), ("yes", "yes")])
    assert score.score == 0.0
    assert score.stderr is None
