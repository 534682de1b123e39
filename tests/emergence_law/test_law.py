"""The emergence law against hand-worked numbers and its own algebra."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emergecast.emergence_law import EmergenceLaw, LawForm, rise, shift_fraction


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
        half=300.0,
    )
    assert found.elbow(low) == pytest.approx(1.7, abs=1e-9)
    assert found.elbow(low * ratio) == pytest.approx(2.1, abs=1e-9)
    assert found.k > 0


@pytest.mark.parametrize("form", LawForm)
@given(alpha=st.floats(0.1, 6.0), amount=st.floats(1.0, 1e5))
def test_the_shift_fraction_is_the_share_of_the_way(form, alpha, amount):
    """E(D) = E(low) + g(D) [E(high) - E(low)] for the law through both points."""
    given_alpha, half = np.array([alpha]), np.array([300.0])
    fraction = shift_fraction(form, [amount], low=5.0, high=4096.0, alpha=given_alpha, half=half)
    found = EmergenceLaw.through(
        form, low=(5.0, 1.7), high=(4096.0, 2.1), alpha=alpha, slope=1.0, chance=0.0, half=300.0
    )
    assert 1.7 + 0.4 * fraction[0, 0] == pytest.approx(
        float(found.elbow(amount)), rel=1e-9, abs=1e-9
    )


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


def test_the_hill_law_reproduces_numbers_worked_by_hand():
    """E(100) = 1.9 + 0.5 * 100^2 / (50^2 + 100^2) = 2.3, half way at K, c + k at the end."""
    found = EmergenceLaw(
        form=LawForm.HILL, k=0.5, alpha=2.0, c=1.9, half=50.0, slope=2.0, chance=0.25,
        few_shot_offset=0.0,
    )  # fmt: skip
    assert found.elbow(100.0) == pytest.approx(2.3, abs=1e-12)
    assert found.elbow(50.0) == pytest.approx(2.15, abs=1e-12)
    assert found.elbow(1e12) == pytest.approx(2.4, abs=1e-12)


def test_a_hill_shift_never_overflows():
    """Far from K, and far below the amount it is measured from, shares stay finite and ordered."""
    amounts = [1.0, 10.0, 1e3, 1e6]
    for alpha in (0.01, 1.0, 50.0, 400.0):
        for half in (1e-3, 1.0, 1e3, 1e9):
            found = shift_fraction(
                LawForm.HILL, amounts, low=1e3, high=1e6, alpha=np.array([alpha]),
                half=np.array([half]),
            )[0]  # fmt: skip
            assert np.all(np.isfinite(found))
            assert np.all(np.diff(found) >= 0)
            assert found[2] == pytest.approx(0.0, abs=1e-12)
            assert found[3] == pytest.approx(1.0)


@given(past=st.floats(-3.0, 3.0), width=st.floats(1e-3, 1.0), rate=st.floats(1e-3, 5.0))
def test_a_rise_is_softplus_and_levels_off(past, width, rate):
    """Against the formulas written out; without width and rate it is max(x, 0)."""
    x = np.array([past])
    assert rise(x)[0] == max(past, 0.0)
    soft = width * np.logaddexp(0.0, past / width)
    assert rise(x, width=width)[0] == pytest.approx(soft, rel=1e-12, abs=1e-15)
    level = (1 - np.exp(-rate * soft)) / rate
    assert rise(x, width=width, ceiling_rate=rate)[0] == pytest.approx(level, rel=1e-9, abs=1e-12)


def test_widths_and_rates_may_differ_between_draws():
    """They broadcast over the last axis, and 0 among them means none."""
    found = rise(np.full((2, 3), 0.5), width=[0.0, 0.1, 0.1], ceiling_rate=[0.0, 0.0, 2.0])
    soft = 0.1 * np.logaddexp(0.0, 5.0)
    np.testing.assert_allclose(found[0], [0.5, soft, (1 - np.exp(-2 * soft)) / 2])
