"""The priors: what is believed before a single score is seen, in units a reader can judge."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, NamedTuple

from emergecast.emergence_law import LawForm
from emergecast.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

UNSIGNED = ("elbow_offset", "trend_offset")
"""Priors that may be negative."""
NUISANCE = ("level_scale", "noise_scale", "deviation_scale", "read_off_scale")
"""Scales of what is neither the law nor its slopes."""
ANCHOR_EXAMPLES = 10.0
"""The fixed amount at which the prior of the elbow stands, whatever D0 is."""


class Anchors(NamedTuple):
    """The two amounts between which the prior shift of the elbow per tenfold data is taken."""

    low: float
    high: float

    @classmethod
    def of(cls, largest: float) -> Anchors:
        """E(10) and the largest amount, but at least a decade."""
        return cls(ANCHOR_EXAMPLES, max(largest, 10 * ANCHOR_EXAMPLES))

    @property
    def decades(self) -> float:
        """Decades of data between them."""
        return math.log10(self.high / self.low)


@dataclass(frozen=True, slots=True, kw_only=True)
class Priors:
    """Proper, weakly informative priors; docs/model.md states them in full.

    Losses are in units of U (the table's loss unit), scores in units of R (the metric's range),
    so no prior depends on the unit or the origin of the loss axis.
    """

    elbow_offset: float = -0.35
    """Mean of [E(10) - strongest loss] / U; negative lies past the strongest checkpoint."""
    elbow_scale: float = 0.6
    """Standard deviation of E(10), in U."""
    shift_scale: float = 0.5
    """Scale of the half-normal shift of the elbow per tenfold data, in U."""
    alpha_median: float = 2.0
    """Median of the log-normal curvature alpha of the log power law."""
    alpha_median_power: float = 0.3
    """The same for the power law."""
    alpha_median_hill: float = 1.0
    """The same for the steepness of a hill law."""
    alpha_sd_ln: float = 0.6
    """Standard deviation of ln alpha."""
    slope_scale: float = 2.0
    """Scale of the half-normal slope A, in R / U."""
    level_scale: float = 0.03
    """Standard deviation of B around chance and of the few-shot offset Delta, in R."""
    noise_scale: float = 0.05
    """Scale of the half-normal run-to-run noise tau, in R."""
    half_sd_ln: float = 1.5
    """Standard deviation of ln K of a hill law around the middle of its data amounts."""
    width_scale: float = 0.15
    """Scale of the half-normal width w of a soft elbow, in U."""
    ceiling_scale: float = 1.0
    """Scale of the half-normal rate rho at which a score with a ceiling levels off, in 1 / U."""
    slope_spread_scale: float = 0.5
    """Scale of the half-normal spread omega of the slopes of the data amounts, in R / U."""
    deviation_scale: float = 0.03
    """Scale of the half-normal spread of the deviations of checkpoints and of series, in R."""

    top_elbow_offset: float = 0.9
    """Mean of [elbow of the largest amount - strongest loss] / U, of a saturating law."""
    top_elbow_scale: float = 0.5
    """Standard deviation of that elbow, in U."""
    shift_median: float = 1.1
    """Median of the log-normal shift of the elbow from 10 examples to the largest amount, in U, of
    a log power law with levels."""
    shift_sd_ln: float = 0.6
    """Standard deviation of its logarithm."""
    shift_median_saturating: float = 1.3
    """The median under a saturating law."""
    shift_sd_ln_saturating: float = 0.8
    """The standard deviation of its logarithm there."""
    start_median: float = 0.08
    """Median of K of a saturating law, as a share of the largest amount."""
    start_sd_ln: float = 1.5
    """Standard deviation of its logarithm."""
    reach_median: float = 5.0
    """Median of ln(M / K) of a saturating law."""
    reach_sd_ln: float = 0.7
    """Standard deviation of its logarithm."""
    slope_median: float = 1.0
    """Median of the slope of a law with levels at the middle of its amounts, in R / U."""
    slope_sd_ln: float = 0.8
    """Standard deviation of its logarithm."""
    trend_offset: float = -0.2
    """Mean of the change of ln slope from D0 to the largest amount, of a law with levels."""
    trend_scale: float = 1.6
    """Standard deviation of that change."""
    read_off_scale: float = 0.12
    """By how much the elbow that all later few-shot scores show differs from that of a law with
    levels, in U."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int | float) or not math.isfinite(value):
                message = f"prior {field.name} must be a finite number, not {value!r}."
                raise OptionError(message)
            if field.name not in UNSIGNED and value <= 0:
                message = (
                    f"prior {field.name} must be above 0, not {value!r}: "
                    "only proper priors are accepted."
                )
                raise OptionError(message)

    @classmethod
    def default(cls, *, proportion: bool = True) -> Priors:
        """The default priors of every law, for a proportion or for any other kind of metric."""
        return cls(level_scale=0.03 if proportion else 0.15)

    def curvature(self, form: LawForm) -> float:
        """Median of alpha under a shift form."""
        return {
            LawForm.LOG_POWER: self.alpha_median,
            LawForm.POWER: self.alpha_median_power,
            LawForm.HILL: self.alpha_median_hill,
            LawForm.SATURATING: self.reach_median,
        }[form]

    def override(self, changes: Mapping[str, float]) -> Priors:
        """A copy with some scales replaced; an unknown name is an OptionError that lists them."""
        known = [field.name for field in fields(self)]
        for name in changes:
            if name not in known:
                message = f"there is no prior {name!r}; the priors are {', '.join(known)}."
                raise OptionError(message)
        return replace(self, **changes)

    def widened(self, factor: float) -> Priors:
        """A copy with the scales of elbow, shift, shape and slope multiplied by `factor`.

        Medians and offsets stay, and so do the scales of what rows inform by themselves.
        """
        scales = {
            field.name: getattr(self, field.name) * factor
            for field in fields(self)
            if not field.name.endswith("_offset")
            and "_median" not in field.name
            and field.name not in NUISANCE
        }
        return replace(self, **scales)

    def as_dict(self) -> dict[str, float]:
        """Name to value, for printing and for forecast.json."""
        return {field.name: float(getattr(self, field.name)) for field in fields(self)}
