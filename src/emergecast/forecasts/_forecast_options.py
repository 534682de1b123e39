"""What is made of a fit, as one record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from emergecast.compute import ComputeOptions
from emergecast.errors import OptionError
from emergecast.forecasts._thresholds import Thresholds
from emergecast.inference import BOOTSTRAPS


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastOptions:
    """What is made of the fit."""

    rules: Mapping[str, float] = field(default_factory=dict)
    """Rule of the verdict to override, by name, in the unit of the axis; the others keep their
    default."""
    bootstraps: int = BOOTSTRAPS
    """Resamples of each kind; 0 for none."""
    diagnostics: bool = True
    """Check what the answer hangs on; without that, the verdict is weak at best."""
    compute: ComputeOptions = field(default_factory=ComputeOptions)
    """How the loss of emergence becomes compute."""

    def __post_init__(self) -> None:
        Thresholds().override(self.rules)  # so that a wrong name stops before anything is fitted
        if self.bootstraps < 0:
            raise OptionError(f"bootstraps must be at least 0, not {self.bootstraps}.")
