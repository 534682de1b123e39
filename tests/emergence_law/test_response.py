"""The curve is a softened ramp, and its elbow is what a ReLU through it would show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from emergecast.emergence_law import Response
from emergecast.emergence_law._response import FIRST, LAST, STEP, STRONGEST, WEAKEST
from emergecast.inference.levels import LevelPriors


@given(toe=st.floats(0.02, 0.5), shoulder=st.floats(0.05, 0.6))
def test_it_rises_from_nothing_to_everything(toe: float, shoulder: float):
    """By hand: far before the elbow 0, far past it 1; it overshoots by a few percent at most."""
    share = Response(toe=toe, shoulder=shoulder).share(np.linspace(-12, 12, 500))
    assert share[0] == pytest.approx(0, abs=1e-6)
    assert share[-1] == pytest.approx(1, abs=1e-6)
    assert np.max(share) < 1.05


def test_a_sharp_curve_is_a_ramp():
    """Its elbow is at 0 and its slope is 1."""
    sharp = Response(toe=1e-3, shoulder=1e-3)
    assert sharp.share([-0.5, 0.25, 0.8, 3.0]) == pytest.approx([0, 0.25, 0.8, 1], abs=1e-9)
    assert sharp.elbow == pytest.approx(0, abs=0.01)
    assert sharp.slope == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("response", [each for each, _ in LevelPriors().responses], ids=str)
def test_the_elbow_is_that_of_a_relu_by_least_squares(response: Response):
    """SciPy's own fit of base, elbow and slope."""
    u = np.linspace(WEAKEST, STRONGEST, 1501)
    found, _ = curve_fit(
        lambda at, base, elbow, slope: base + slope * np.maximum(at - elbow, 0),
        u,
        response.share(u),
        p0=(0.0, -0.1, 0.9),
    )
    assert response.elbow == pytest.approx(found[1], abs=0.01)
    assert response.slope == pytest.approx(found[2], abs=0.01)


def test_the_table_is_the_curve():
    """Between its points too, as far as anybody reads it."""
    response = Response(toe=0.08, shoulder=0.25)
    at = np.arange(FIRST, LAST, 0.0137)
    grid = FIRST + STEP * np.arange(response.table.size)
    assert np.interp(at, grid, response.table) == pytest.approx(response.share(at), abs=2e-4)
