"""A forecast in compute, as a file holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from emergecast.compute._compute import Compute, DateQuantiles, FloorRow, Quantiles
from emergecast.compute._scale import LawKind
from emergecast.records import Count, Probability
from emergecast.scaling import Tie


class LossOf(StrEnum):
    """What a scaling law's loss is a function of."""

    PARAMS = "params"
    """Parameters."""
    TOKENS = "tokens"
    """Training tokens."""
    FLOPS = "flops"
    """Training FLOPs."""
    PARAMS_AND_TOKENS = "params_and_tokens"
    """Both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantRecord:
    """Quantiles of a constant over the draws of a law; all the same where it is certain."""

    p05: float
    """5% quantile."""
    p50: float
    """Median."""
    p95: float
    """95% quantile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingLawRecord:
    """The scaling law that turned the losses into compute."""

    kind: LawKind
    """Fitted to the checkpoints of the fit; given by the user; the constants that the losses were
    computed with; or none, because the axis is FLOPs."""
    name: str | None
    """Its name; null where it has none."""
    source: str | None
    """Where it was published, or what it was fitted to."""
    of: LossOf | None
    """What loss is a function of; null where there is no law."""
    constants: Mapping[str, ConstantRecord]
    """Its constants: E, A, alpha, B, beta, as far as it has them."""
    n_checkpoints: Count
    """Checkpoints that it was fitted to, or anchored or recognised by."""
    scatter_nats: float | None
    """Median scatter of a single run about the law; null where there is no law."""
    span: tuple[float, float] | None
    """Least and largest amount that the constants were fitted on; null where not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationRecord:
    """How parameters and tokens are tied."""

    tie: Tie
    """What is held fixed."""
    value: float | None
    """Tokens per parameter, tokens, or parameters; null where compute-optimal."""
    text: str
    """The same in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeRecord:
    """At how much training few-shot emergence happens."""

    flops: Quantiles | None
    """Quantiles of the training FLOPs, p05 the smallest; a quantile is null where no run reaches
    the loss, all of it where law and allocation do not determine it."""
    params: Quantiles | None
    """Quantiles of the parameters; null as above."""
    tokens: Quantiles | None
    """Quantiles of the training tokens; null as above."""
    multiple_of_strongest: Quantiles | None
    """Quantiles of the FLOPs over those of the strongest checkpoint in the fit; null as above."""
    unreachable: Probability
    """Probability that the elbow lies at or below every loss that the law reaches."""
    strongest: str | None
    """The checkpoint of lowest loss in the fit whose compute is known."""
    strongest_flops: float | None
    """Its FLOPs."""
    law: ScalingLawRecord
    """The law that turned the losses into compute."""
    allocation: AllocationRecord | None
    """How parameters and tokens are tied; null where nothing ties them."""
    relabelling: bool
    """Whether the losses were computed from parameters and tokens with this law, so that this is
    the same forecast in other units."""
    anchored_by: float | None
    """Nats added to the floor of a given law so that it passes through the checkpoints."""
    floor_sensitivity: tuple[FloorRow, ...]
    """Medians under other floors of the law."""
    dates: DateQuantiles | None
    """When such a run is first possible, by the table given."""
    notes: tuple[str, ...]
    """What a reader must know of the law, in sentences."""


def record_of_compute(found: Compute) -> ComputeRecord:
    """A forecast in compute as a file holds it."""
    scale, law = found.scale, found.law
    tied = scale.allocation
    return ComputeRecord(
        flops=found.flops,
        params=found.params,
        tokens=found.tokens,
        multiple_of_strongest=found.multiple_of_strongest,
        unreachable=found.unreachable,
        strongest=scale.strongest,
        strongest_flops=scale.strongest_flops,
        law=ScalingLawRecord(
            kind=scale.kind,
            name=None if law is None else law.name,
            source=None if law is None else law.source,
            of=None if law is None else LossOf("_and_".join(law.form.resources)),
            constants={name: ConstantRecord(**q) for name, q in found.constants().items()},
            n_checkpoints=scale.n_checkpoints,
            scatter_nats=float(np.median(found.scatter_nats)) if found.scatter_nats.size else None,
            span=None if law is None else law.span,
        ),
        allocation=None
        if tied is None
        else AllocationRecord(tie=tied.tie, value=tied.value, text=str(tied)),
        relabelling=found.relabelling,
        anchored_by=scale.anchored_by,
        floor_sensitivity=found.floor_sensitivity,
        dates=found.dates,
        notes=found.notes,
    )
