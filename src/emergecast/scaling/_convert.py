"""One loss as a run, or one run as a loss, with what an interval and another floor make of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from emergecast.errors import ScalingError
from emergecast.scaling._allocation import Allocation, PretrainingRun
from emergecast.scaling._along import run_at, run_of, settle
from emergecast.scaling._floor import with_floor
from emergecast.scaling._invert import loss_at, loss_of, run_at_loss
from emergecast.scaling.counting import Resource

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emergecast.scaling._laws import ScalingLaw

    Found: TypeAlias = tuple[float | NDArray[np.float64], PretrainingRun]
    """A loss and a run that belong together."""

LOSS: Final = "loss"
_LEVELS: Final = (0.05, 0.95)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderFloor:
    """What the conversion gives under the same law with another floor."""

    floor_nats: float
    """The other floor, nats per token."""
    law: ScalingLaw
    """The law with that floor, through the losses of the old one at the ends of its span."""
    loss: float
    """The loss: the one asked for, or that of the run asked for."""
    run: PretrainingRun
    """The run: that of the loss asked for, infinite where the floor is above it; or the one asked
    for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """A loss and the run that belongs to it under a law."""

    law: ScalingLaw
    """The law."""
    allocation: Allocation | None
    """How parameters and tokens are tied; None where nothing ties them."""
    loss: float
    """Pretraining loss, nats per token."""
    run: PretrainingRun
    """The run; None in it where law and allocation do not determine an amount."""
    interval: Mapping[str, tuple[float, float]] | None
    """5% and 95% of what was computed ("loss", or "params", "tokens", "flops") over the draws of
    the law; None without draws. An end is infinite where draws do not reach the loss."""
    beyond_span: float | None
    """How many times larger the run is than the largest that the law was fitted on, in the resource
    of the span; below 1 how many times smaller than the smallest; 1 within; None if not known."""
    floors: tuple[UnderFloor, ...]
    """The same under other floors."""


def convert_loss(
    law: ScalingLaw,
    loss: float,
    allocation: Allocation | None = None,
    *,
    floors: tuple[float, ...] = (),
    draws: ScalingLaw | None = None,
) -> Conversion:
    """The run of a loss.

    Args:
        law: one law, not draws.
        loss: nats per token.
        allocation: how parameters and tokens are tied; None as in `run_at_loss`.
        floors: other floors to try, nats per token; the law must state its span.
        draws: the law with draws of its constants, for an interval.

    Raises:
        ScalingError: as `run_at_loss` and `with_floor`.
    """
    allocation = settle(law, allocation)
    run_at_loss(law, loss, allocation)  # refuses a loss that no run has

    def convert(one: ScalingLaw) -> Found:
        return loss, run_at_loss(one, loss, allocation, unreachable="inf")

    return _conversion(law, allocation, convert, tuple(Resource), floors=floors, draws=draws)


def convert_run(
    law: ScalingLaw,
    allocation: Allocation | None = None,
    *,
    given: Mapping[Resource, float],
    floors: tuple[float, ...] = (),
    draws: ScalingLaw | None = None,
) -> Conversion:
    """The loss of a run.

    Args:
        law: one law, not draws.
        allocation: how parameters and tokens are tied, where one amount is given.
        given: the amounts of the run: one along the allocation, or two that determine it.
        floors: other floors to try, nats per token; the law must state its span.
        draws: the law with draws of its constants, for an interval.

    Raises:
        ScalingError: the amounts and the allocation determine the run twice or not at all; its loss
            is not a finite number; or as `run_at`, `loss_of` and `with_floor`.
    """
    amounts = {resource.value: amount for resource, amount in given.items()}
    if len(given) > 1 and allocation is not None:
        raise ScalingError(
            f"{' and '.join(amounts)} determine the run, and so does the allocation ({allocation}) "
            "with one of them. Leave one of the three out."
        )
    if len(given) == 1:
        allocation = settle(law, allocation)
    else:
        loss_of(law, **amounts)  # refuses what the law does not take

    def convert(one: ScalingLaw) -> Found:
        run = run_at(one, allocation, **amounts) if len(given) == 1 else run_of(given)
        found = loss_at(one, run)
        if not np.all(np.isfinite(found)):
            raise ScalingError(
                f'the loss of that run under the law "{one.name}" is more than a number can hold '
                "(1e308). Give a larger run."
            )
        return found, run

    return _conversion(law, allocation, convert, (LOSS,), floors=floors, draws=draws)


def _conversion(
    law: ScalingLaw,
    allocation: Allocation | None,
    convert: Callable[[ScalingLaw], Found],
    wanted: tuple[str, ...],
    *,
    floors: tuple[float, ...],
    draws: ScalingLaw | None,
) -> Conversion:
    """What `convert` makes of the law and other floors, and the `wanted` of it of the draws."""
    loss, run = convert(law)
    interval = None
    if draws is not None:
        many_losses, many = convert(_falling(draws))
        found = {name: many_losses if name == LOSS else getattr(many, name) for name in wanted}
        interval = {name: _ends(each) for name, each in found.items() if each is not None}
    under = []
    for floor in floors:
        other = with_floor(law, floor)
        its_loss, its_run = convert(other)
        under.append(UnderFloor(floor_nats=floor, law=other, loss=float(its_loss), run=its_run))
    return Conversion(
        law=law,
        allocation=allocation,
        loss=float(loss),
        run=run,
        interval=interval,
        beyond_span=_beyond(law, run),
        floors=tuple(under),
    )


def _falling(draws: ScalingLaw) -> ScalingLaw:
    """The draws in which loss falls with every resource of the law; the others have no inverse."""
    if not np.any(draws.falls):
        raise ScalingError(
            f'the loss of "{draws.name}" does not fall with every resource in any of its draws, so '
            "there is no interval. Use the constants without draws."
        )
    return draws if np.all(draws.falls) else draws.take(draws.falls)


def _ends(values: float | NDArray[np.float64]) -> tuple[float, float]:
    # No interpolation: between a number and infinity there is nothing.
    low, high = np.quantile(values, _LEVELS, method="inverted_cdf")
    return float(low), float(high)


def _beyond(law: ScalingLaw, run: PretrainingRun) -> float | None:
    """The run's amount over the nearer end of the law's span, 1 within."""
    amount = getattr(run, law.form.span_of)
    if law.span is None or amount is None:
        return None
    low, high = law.span
    return float(amount / np.clip(amount, low, high))
