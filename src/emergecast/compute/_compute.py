"""The forecast in compute: the posterior of the elbow through the posterior of a scaling law."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emergecast.compute._chosen_law import floor_above, scale_of
from emergecast.compute._scale import ComputeOptions, LawKind, LossToCompute, NoCompute
from emergecast.errors import ScalingError
from emergecast.inference import QUANTILES, SEED
from emergecast.measurements import Transform
from emergecast.records import NotNegative, Positive, Probability, finite
from emergecast.scaling import (
    CHINCHILLA_LAWS,
    Allocation,
    PretrainingRun,
    Resource,
    ScalingLaw,
    SeriesLaw,
    run_at,
    run_at_loss,
    with_floor,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from emergecast.compute._dates import ComputeDates
    from emergecast.inference import ElbowOnAxis
    from emergecast.measurements import Selection

    Floats = NDArray[np.float64]

N_DRAWS: Final = 8192
N_ROUGH: Final = 2048
"""Draws for what is read to two digits: other floors, and the curve of a picture."""
_NEVER: Final = 1 - min(QUANTILES.values())
"""Probability of being out of reach beyond which no quantile is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiles:
    """Quantiles of an amount, p05 the smallest; None where no amount reaches the loss."""

    p05: Positive | None
    """5% quantile."""
    p25: Positive | None
    """25% quantile."""
    p50: Positive | None
    """Median."""
    p75: Positive | None
    """75% quantile."""
    p95: Positive | None
    """95% quantile."""

    @classmethod
    def of(cls, values: Floats | None) -> Quantiles | None:
        """Of draws that may be infinite; None where there are none."""
        if values is None:
            return None
        found = np.quantile(values, list(QUANTILES.values()), method="inverted_cdf")
        return cls(**{name: finite(v) for name, v in zip(QUANTILES, found, strict=True)})


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorRow:
    """Medians under another floor of the law; None where the loss is then never reached."""

    what: str
    """Which floor, in words."""
    floor_nats: NotNegative
    """The floor, nats."""
    flops: float | None
    """Training FLOPs."""
    params: float | None
    """Parameters."""
    tokens: float | None
    """Training tokens."""
    multiple_of_strongest: float | None
    """FLOPs over those of the strongest checkpoint in the fit."""
    unreachable: Probability
    """Probability that the elbow lies at or below every loss that the law reaches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DateQuantiles:
    """When a run that reaches the elbow first becomes possible, as ISO dates; p05 the earliest."""

    table: str
    """The file with the largest run at each date, as the user named it."""
    first_date: str
    """First date of the table."""
    last_date: str
    """Last date of the table."""
    p05: str | None
    """5% quantile; None where later than the last date of the table."""
    p25: str | None
    """25% quantile; None as above."""
    p50: str | None
    """Median; None as above."""
    p75: str | None
    """75% quantile; None as above."""
    p95: str | None
    """95% quantile; None as above."""
    by_first_date: Probability
    """Probability that it is possible on the first date of the table already."""
    not_by_last_date: Probability
    """Probability that it is not possible on the last date yet, or never."""


@dataclass(frozen=True, kw_only=True)
class Compute:
    """At how much training few-shot emergence happens.

    Quantiles are those of the run whose loss *under the law* is the elbow; the scatter of a single
    run about the law enters `Forecast.emerged_at` alone.
    """

    scale: LossToCompute
    """The law, what is uncertain about it, and how parameters and tokens are tied."""
    law: ScalingLaw | None
    """Its draws, paired with draws of the elbow; None where the forecast is in FLOPs already."""
    scatter_nats: Floats
    """Scatter of a single run about each draw of the law, nats."""
    flops_draws: Floats | None
    """Training FLOPs of each draw, infinite where the loss is out of reach, shape (draws,)."""
    flops: Quantiles | None
    """Training FLOPs; None where law and allocation do not determine them; the same below."""
    params: Quantiles | None
    tokens: Quantiles | None
    multiple_of_strongest: Quantiles | None
    """FLOPs over those of the strongest checkpoint in the fit."""
    unreachable: float
    """Probability that the elbow lies at or below all losses that the law reaches."""
    floor_sensitivity: tuple[FloorRow, ...]
    dates: DateQuantiles | None

    @property
    def relabelling(self) -> bool:
        """Whether the losses were computed with the law, so that nothing is added to them."""
        return self.scale.kind is LawKind.RELABELLING

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of the law, in sentences."""
        return self.scale.notes

    @property
    def strongest(self) -> str | None:
        """The checkpoint of lowest loss in the fit whose compute is known."""
        return self.scale.strongest

    @property
    def strongest_flops(self) -> float | None:
        """Its FLOPs, counted as those of runs are."""
        return self.scale.strongest_flops

    @property
    def tied(self) -> str:
        """How parameters and tokens are tied, in words; empty where nothing ties them."""
        return "" if self.scale.allocation is None else str(self.scale.allocation)

    def constants(self) -> dict[str, dict[str, float]]:
        """Quantiles p05, p50 and p95 of the constants of the law: E, A, B, alpha, beta."""
        found = {}
        for symbol, draws in ({} if self.law is None else self.law.constants).items():
            values = np.quantile(np.asarray(draws), [0.05, 0.5, 0.95])
            found[symbol] = dict(zip(("p05", "p50", "p95"), map(float, values), strict=True))
        return found


def compute_of(
    elbow: ElbowOnAxis, selection: Selection, options: ComputeOptions
) -> Compute | NoCompute:
    """The elbow in compute; or why there is none and what to do.

    Args:
        elbow: its distribution.
        selection: the rows that it was inferred from, whose checkpoints give the scaling law.
        options: which law, and how parameters and tokens are tied.
    """
    try:
        scale = scale_of(selection, options)
        if isinstance(scale, NoCompute):
            return scale
        doubt = floor_above(scale)
        if doubt is not None:
            scale = replace(scale, notes=(f"{doubt[:1].upper()}{doubt[1:]}", *scale.notes))
        found = _through(elbow, scale, options.dates)
    except ScalingError as error:
        return NoCompute(reason=str(error))
    return found if doubt is None or found.unreachable <= _NEVER else NoCompute(reason=doubt)


def _through(elbow: ElbowOnAxis, scale: LossToCompute, dates: ComputeDates | None) -> Compute:
    """The elbow through the law: pairs of independent draws, those of the elbow stratified.

    Raises:
        ScalingError: the law cannot take the allocation.
    """
    drawn = scale.draws(N_DRAWS, np.random.default_rng(SEED))
    if drawn is None:
        law, scatter = None, np.empty(0)
        run = run_at(None, scale.allocation, flops=_on_flops_axis(elbow, _levels(N_DRAWS)))
    else:
        law, scatter = drawn
        run = run_at_loss(law, _elbows(elbow, N_DRAWS), scale.allocation, unreachable="inf")
    amounts = _amounts(run, scale)
    flops = amounts["flops"]
    return Compute(
        scale=scale,
        law=law,
        scatter_nats=scatter,
        flops_draws=flops,
        **{name: Quantiles.of(values) for name, values in amounts.items()},
        unreachable=_unreachable(amounts),
        floor_sensitivity=_other_floors(elbow, scale),
        dates=None if dates is None or flops is None else _when(dates, flops),
    )


def _amounts(run: PretrainingRun, scale: LossToCompute) -> dict[str, Floats | None]:
    """Draws of what the run takes: its amounts, and FLOPs in units of the strongest checkpoint."""
    found = {name.value: _array(getattr(run, name)) for name in Resource}
    flops, strongest = found["flops"], scale.strongest_flops
    multiple = None if flops is None or strongest is None else flops / strongest
    return {**found, "multiple_of_strongest": multiple}


def _levels(n: int) -> Floats:
    return np.asarray((np.arange(n) + 0.5) / n)


def _elbows(elbow: ElbowOnAxis, n: int) -> Floats:
    """Stratified draws of the elbow, ascending, nats."""
    return elbow.posterior.quantile(_levels(n))


def _on_flops_axis(elbow: ElbowOnAxis, levels: Floats) -> Floats:
    """Quantiles of the elbow in FLOPs, where they are the axis."""
    values = elbow.quantile(levels)
    with np.errstate(over="ignore"):  # a tail that reaches past every float is out of reach
        return np.asarray(10**values if elbow.axis.transform is Transform.LOG10 else values)


def _array(amount: ArrayLike | None) -> Floats | None:
    return None if amount is None else np.asarray(amount, dtype=np.float64)


def _unreachable(amounts: dict[str, Floats | None]) -> float:
    """Share of draws in which anything is infinite."""
    known = [np.isinf(values) for values in amounts.values() if values is not None]
    return float(np.mean(np.any(np.broadcast_arrays(*known), axis=0)))


# ------------------------------------------------------------------------------ other floors


def _other_floors(elbow: ElbowOnAxis, scale: LossToCompute) -> tuple[FloorRow, ...]:
    """Medians where the floor is fixed at a few telling values.

    The series' own law is inferred again under each; a given law keeps the runs that it gives,
    along the allocation, to the highest and the lowest visible loss.
    """
    source = scale.series or scale.law
    if source is None:
        return ()
    found = []
    for what, floor in _floors(scale.lowest_loss):
        try:
            law = _under(scale, source, floor)
        except ScalingError:  # a floor that no law through these checkpoints can have
            continue
        elbows = _elbows(elbow, N_ROUGH)
        amounts = _amounts(run_at_loss(law, elbows, scale.allocation, unreachable="inf"), scale)
        medians = {name: median(values) for name, values in amounts.items()}
        row = FloorRow(what=what, floor_nats=floor, unreachable=_unreachable(amounts), **medians)
        found.append(row)
    return tuple(found)


def _floors(lowest: float) -> list[tuple[str, float]]:
    """Floors to try: none, two shares of the lowest loss, and published ones in between."""
    shares = [("no floor", 0.0), ("half the lowest loss", 0.5 * lowest)]
    shares.append(("nine tenths of the lowest loss", 0.9 * lowest))
    named = [(f"that of {law.name}", float(law.floor_nats)) for law in CHINCHILLA_LAWS.values()]
    inside = [(what, floor) for what, floor in named if 0.5 * lowest < floor < lowest]
    return sorted([*shares, *inside], key=lambda each: each[1])


def _under(scale: LossToCompute, source: SeriesLaw | ScalingLaw, floor: float) -> ScalingLaw:
    """The law with another floor.

    Raises:
        ScalingError: no law through these checkpoints has it.
    """
    if isinstance(source, SeriesLaw):
        return source.with_floor(floor).draws(N_ROUGH, np.random.default_rng(SEED)).law
    weak, strong = (
        run_at_loss(source, loss, scale.allocation)
        for loss in (scale.highest_loss, scale.lowest_loss)
    )
    return with_floor(source, floor, (weak, strong))


def median(values: ArrayLike | None) -> float | None:
    """The median, of any shape; None where there is nothing, or it is infinite."""
    if values is None:
        return None
    return finite(float(np.quantile(np.asarray(values), 0.5, method="inverted_cdf")))


# ------------------------------------------------------------------------------ dates


def _when(dates: ComputeDates, flops: Floats) -> DateQuantiles:
    """Quantiles of the date at which a run that reaches the elbow is first possible."""
    days = dates.days_of(flops)
    levels = np.quantile(days, list(QUANTILES.values()), method="inverted_cdf")
    iso = [
        date.fromordinal(math.ceil(day)).isoformat() if day < math.inf else None for day in levels
    ]
    return DateQuantiles(
        table=dates.name,
        first_date=dates.first.isoformat(),
        last_date=dates.last.isoformat(),
        **dict(zip(QUANTILES, iso, strict=True)),
        by_first_date=float(np.mean(flops <= dates.flops[0])),
        not_by_last_date=float(np.mean(np.isinf(days))),
    )


def _allocation_dict(allocation: Allocation | None) -> dict[str, Any] | None:
    if allocation is None:
        return None
    return {"tie": str(allocation.tie), "value": allocation.value, "text": str(allocation)}
