from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emergecast.errors import ScalingError
from emergecast.scaling import amount_text, flops_text, parse_amount


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("70B", 70e9),
        ("1.4T", 1.4e12),
        ("7e9", 7e9),
        ("7E+9", 7e9),
        ("160m", 160e6),
        ("30,000", 30_000.0),
        ("1_000 k", 1e6),
        (".5G", 5e8),
        ("2.", 2.0),
        (" 5.88e23 ", 5.88e23),
    ],
)
def test_amounts_as_people_write_them(text, amount):
    """With a suffix, an exponent, separators, or none of them."""
    assert parse_amount(text, "--params") == pytest.approx(amount, rel=1e-15)


@pytest.mark.parametrize(
    "text", ["", "B", "70X", "7 9", "1e", "nan", "inf", "-7B", "0", "0.0T", "1e999", "--", "٣B,"]
)
def test_what_is_no_amount_is_refused(text):
    """The option and the text are quoted."""
    with pytest.raises(ScalingError, match=r"^--params .*(not an amount|not positive and finite)"):
        parse_amount(text, "--params")


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (324.55e9, "325B"),
        (1.4e12, "1.40T"),
        (999.6e9, "1.00T"),
        (7e9, "7.00B"),
        (12, "12.0"),
        (999.4, "999"),
        (2.5e17, "2.50e17"),
        (0.05, "5.00e-2"),
        (0.0, "0"),
        (math.inf, "inf"),
    ],
)
def test_amounts_as_people_read_them(amount, text):
    """Three digits and a suffix; powers of ten where no suffix reaches."""
    assert amount_text(amount) == text


def test_flops_are_powers_of_ten():
    """Whatever their size."""
    assert [flops_text(x) for x in (3.9e24, 6e9, math.inf)] == ["3.90e24", "6.00e9", "inf"]


@given(st.floats(1e-3, 1e30), st.integers(1, 6))
def test_what_is_printed_can_be_read_again(amount, digits):
    """To the digits that were printed."""
    for text in (amount_text(amount, digits), flops_text(amount, digits)):
        assert parse_amount(text, "x") == pytest.approx(
            amount, rel=0.5000001 * 10.0 ** (1 - digits)
        )
