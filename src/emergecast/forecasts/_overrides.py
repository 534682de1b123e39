"""What was changed by hand: rules of the verdict and priors that are not the default ones."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

from emergecast.forecasts._thresholds import Thresholds, default_thresholds
from emergecast.inference import Priors
from emergecast.measurements import MetricKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emergecast.measurements import Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """One number that is not the default, so that nobody takes the verdict for the usual one."""

    kind: Literal["rule", "prior"]
    """rule or prior."""
    name: str
    """Field of `Thresholds` or `Priors`."""
    value: float
    """What it was set to."""
    default: float
    """What it usually is."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name} {self.value:g} (default {self.default:g})"


def overrides(selection: Selection, thresholds: Thresholds, priors: Priors) -> tuple[Override, ...]:
    """Every rule and prior that differs from the default of the axis and metric of these rows."""
    proportion = selection.metric_kind is MetricKind.PROPORTION
    return (
        *_changed("rule", thresholds, default_thresholds(selection.axis)),
        *_changed("prior", priors, Priors.default(proportion=proportion)),
    )


def _changed(
    kind: Literal["rule", "prior"], used: Thresholds | Priors, default: Thresholds | Priors
) -> Iterator[Override]:
    for field in fields(used):
        value, usual = float(getattr(used, field.name)), float(getattr(default, field.name))
        if value != usual:
            yield Override(kind=kind, name=field.name, value=value, default=usual)
