"""How much better one forecaster scores than another: over all, and forecast by forecast."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST_FACTOR: Final = 10.0
"""Most that one forecast counts as better or worse than the rival's. Luck alone does about as much:
the CRPS of a normal distribution is 6 times as large two standard deviations off as at its centre.
Without a cap one rung on which the rival happens to hit the truth decides the mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkillScore:
    """What a forecaster has over a rival, on the forecasts that both made."""

    tables: int
    """Truths behind them; the standard errors count these."""
    rungs: int
    """Forecasts behind them."""
    value: float
    """1 - mean CRPS / mean CRPS of the rival: 1 is perfect, 0 as good as the rival, below 0 worse.
    Forecasts that are far off weigh most."""
    stderr: float | None
    """Jackknife over tables; None for a single one, whose forecasts share one truth."""
    per_rung: float
    """Mean of ln(CRPS of the rival / CRPS), each at most a factor of `LARGEST_FACTOR`: above 0
    better, 0.69 is half the rival's. Every forecast weighs the same."""
    per_rung_stderr: float | None
    """As `stderr`."""


def skill_over(pairs: Mapping[str, Sequence[tuple[float, float]]]) -> SkillScore | None:
    """Skill from pairs (CRPS, CRPS of the rival), by the table whose truth they share.

    Every table weighs the same, however many forecasts it has: the mean over tables of the means
    over their forecasts. None where there is no pair, or the rival is never wrong.
    """
    tables = [np.array(each, dtype=np.float64) for each in pairs.values() if len(each)]
    if not tables:
        return None
    mean = np.array([each.mean(axis=0) for each in tables])
    cap = math.log(LARGEST_FACTOR)
    gain = np.array([_log_ratios(each, cap).mean() for each in tables])
    if not mean[:, 1].any():
        return None

    def ratio(means: NDArray[np.float64]) -> float:
        return float(1.0 - means[:, 0].sum() / means[:, 1].sum())

    return SkillScore(
        tables=len(tables),
        rungs=sum(map(len, tables)),
        value=ratio(mean),
        stderr=_jackknife(ratio, mean),
        per_rung=float(gain.mean()),
        per_rung_stderr=_jackknife(lambda gains: float(gains.mean()), gain),
    )


def _log_ratios(pairs: NDArray[np.float64], cap: float) -> NDArray[np.float64]:
    """Ln(CRPS of the rival / CRPS) of each pair, capped; two that are never wrong are level."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.log(pairs[:, 1]) - np.log(pairs[:, 0])
    return np.asarray(np.clip(np.nan_to_num(ratios, nan=0.0), -cap, cap))


def _jackknife(
    statistic: Callable[[NDArray[np.float64]], float], tables: NDArray[np.float64]
) -> float | None:
    """Standard error of a statistic, leaving out one table after the other; None of one table."""
    n = len(tables)
    if n < 2:
        return None
    without = np.array([statistic(np.delete(tables, i, axis=0)) for i in range(n)])
    return float(np.sqrt((n - 1) / n * np.sum((without - without.mean()) ** 2)))
