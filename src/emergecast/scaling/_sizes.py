"""Amounts as people write them: 70B, 1.4T, 5.8e23."""

from __future__ import annotations

import math
import re
from types import MappingProxyType
from typing import Final

from emergecast.errors import ScalingError

_SUFFIXES: Final = MappingProxyType({"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9, "G": 1e9, "T": 1e12})
_AMOUNT: Final = re.compile(
    r"([-+]?(?:\d[\d_,]*\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*([kmbgt]?)", re.IGNORECASE | re.ASCII
)
_LARGEST_IN_WORDS: Final = 1e15
"""From here on a power of ten reads better than a suffix."""


def parse_amount(text: str, what: str) -> float:
    """The number in a text such as 70B, 1.4T, 7e9 or 30,000.

    Suffixes are K, M, B (or G) and T: thousand, million, billion, trillion.

    Args:
        text: what the user wrote.
        what: what it is the number of, for the message, such as "--params".

    Raises:
        ScalingError: the text is not a number, or the number is not positive and finite.
    """
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise ScalingError(
            f"{what} {text!r} is not an amount. Give a number, with K, M, B or T if you like: 70B, "
            "1.4T, 7e9."
        )
    number, suffix = match.groups()
    amount = float(re.sub("[_,]", "", number)) * _SUFFIXES[suffix.upper()]
    if not (math.isfinite(amount) and amount > 0):
        raise ScalingError(f"{what} {text!r} is not positive and finite. Give an amount above 0.")
    return amount


def amount_text(amount: float, digits: int = 3) -> str:
    """The amount with so many significant digits and a suffix: 325B, 2.00T, 1.20e24; inf as it is.

    Args:
        amount: a count of at least 0.
        digits: significant digits.
    """
    if amount == 0 or not math.isfinite(amount):
        return f"{amount:g}"
    mantissa, _, exponent = f"{amount:.{digits - 1}e}".partition("e")
    power = int(exponent)
    if not 0 <= power < math.log10(_LARGEST_IN_WORDS):
        return f"{mantissa}e{power}"
    step = power // 3
    before = power - 3 * step + 1
    value = float(f"{mantissa}e{power - 3 * step}")
    return f"{value:.{max(digits - before, 0)}f}{('', 'K', 'M', 'B', 'T')[step]}"


def flops_text(flops: float, digits: int = 3) -> str:
    """FLOPs as a power of ten, 3.90e24: nobody counts them in trillions."""
    if not math.isfinite(flops):
        return str(flops)
    mantissa, _, exponent = f"{flops:.{digits - 1}e}".partition("e")
    return f"{mantissa}e{int(exponent)}"
