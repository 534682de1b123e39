"""The emergence law against hand-worked numbers and its own algebra."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emergecast.law import EmergenceLaw, LawForm, shift_fraction


def law(form: LawForm) -> EmergenceLaw:
    """A law with round parameters."""
    return EmergenceLaw(
        form=form, k=0.02, alpha=1.5, c=1.9, slope=2.0, chance=0.25, few_shot_offset=0.01
    )


def test_the_log_power_law_reproduces_numbers_worked_by_hand():
    """E(e^4) = 1.9 + 0.02 * 4^1.5 = 2.06, and a score is 2 per nat past it."""
    found = law(LawForm.LOG_POWER)
    assert found.elbow(np.exp(4.0)) == pytest.approx(2.06, abs=1e-12)
    assert found.score(2.01, np.exp(4.0)) == pytest.approx(0.25 + 2 * 0.05, abs=1e-12)
    assert found.score(2.50, np.exp(4.0)) == pytest.approx(0.25, abs=1e-12)


def test_the_power_law_reproduces_numbers_worked_by_hand():
    """E(4) = 1.9 + 0.02 * 4^1.5 = 2.06; few-shot rows carry the offset."""
    found = law(LawForm.POWER)
    assert found.elbow(4.0) == pytest.approx(2.06, abs=1e-12)
    assert found.score(2.5, 4.0, few_shot=True) == pytest.approx(0.26, abs=1e-12)


@pytest.mark.parametrize("form", LawForm)
@given(alpha=st.floats(0.05, 8.0), low=st.floats(1.0, 20.0), ratio=st.floats(2.0, 1e4))
def test_the_law_through_two_points_passes_through_them(form, alpha, low, ratio):
    """`through` recovers k and c from two elbows."""
    found = EmergenceLaw.through(
        form,
        low=(low, 1.7),
        high=(low * ratio, 2.1),
        alpha=alpha,
        slope=1.0,
        chance=0.0,
    )
    assert found.elbow(low) == pytest.approx(1.7, abs=1e-9)
    assert found.elbow(low * ratio) == pytest.approx(2.1, abs=1e-9)
    assert found.k > 0


@pytest.mark.parametrize("form", LawForm)
@given(alpha=st.floats(0.1, 6.0), amount=st.floats(1.0, 1e5))
def test_the_shift_fraction_is_the_share_of_the_way(form, alpha, amount):
    """E(D) = E(low) + g(D) [E(high) - E(low)] for the law through both points."""
    fraction = shift_fraction(form, [amount], low=5.0, high=4096.0, alpha=np.array([alpha]))[0, 0]
    found = EmergenceLaw.through(
        form, low=(5.0, 1.7), high=(4096.0, 2.1), alpha=alpha, slope=1.0, chance=0.0
    )
    assert 1.7 + 0.4 * fraction == pytest.approx(float(found.elbow(amount)), rel=1e-9, abs=1e-9)


def test_the_shift_fraction_has_its_limit_at_small_alpha():
    """As alpha goes to 0, g(D) goes to ln(x / x_low) / ln(x_high / x_low), without noise."""
    found = shift_fraction(LawForm.POWER, [64.0], low=8.0, high=4096.0, alpha=np.array([1e-9]))[
        0, 0
    ]
    assert found == pytest.approx(np.log(8) / np.log(512), abs=1e-9)


def test_the_log_power_law_starts_at_one_example():
    """Ln 1 = 0, so g(D) = (ln D / ln Dmax)^alpha when D0 = 1, and no warning is raised."""
    found = shift_fraction(
        LawForm.LOG_POWER, [1.0, 16.0], low=1.0, high=256.0, alpha=np.array([2.0])
    )
    np.testing.assert_allclose(found, [[0.0, 0.25]], atol=1e-12)
