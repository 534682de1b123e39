"""Which scaling law turns the losses of a forecast into compute, and what is uncertain about it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from emergecast.compute._scale import ComputeOptions, LawKind, LossToCompute, NoCompute
from emergecast.compute._seen import SAME, Seen
from emergecast.errors import ScalingError
from emergecast.measurements import LossSource
from emergecast.scaling import (
    CHINCHILLA_LAWS,
    Allocation,
    Resource,
    ScalingLaw,
    SeriesLaw,
    Tie,
    frontier,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emergecast.measurements import Selection

    Floats = NDArray[np.float64]

ROUNDING: Final = 1.1e-3
"""Nats by which a loss that was computed and printed may differ from the constants' own."""
RELABELLING: Final = (
    "The losses were computed from parameters and tokens with these constants, so this is the same "
    "forecast in other units, with no uncertainty of its own."
)
STRONGEST: Final = "as the strongest checkpoint of the fit"
ALL: Final = "as all checkpoints of the fit"
LOOSE: Final = 0.05
"""Scatter or trend of the checkpoints about a given law, nats, above which there is a warning."""
MEDIAN_STDERR: Final = 1.2533
"""Standard error of a median of n normals, times sqrt(n), in standard deviations."""


def scale_of(selection: Selection, options: ComputeOptions) -> LossToCompute | NoCompute:
    """The law for a selection whose axis is loss or FLOPs; or why there is none.

    Only the rows of the fit are looked at, never those that are hidden.
    """
    axis = selection.axis
    seen = Seen.of(selection)
    if axis.name == Resource.FLOPS and axis.higher_is_stronger:
        chosen, why = _asked(options, seen.ratio, STRONGEST)
        return LossToCompute(
            kind=LawKind.STRAIGHT,
            allocation=chosen,
            allocation_from=why,
            **seen.strongest(counted=False),
        )
    if not axis.is_loss:
        return NoCompute(
            reason=f"the axis is {axis.label}, and a scaling law is of the loss: leave --axis "
            "out, or use --axis flops."
        )
    estimated = seen.frame.filter(pl.col("loss_source") == LossSource.ESTIMATED.value)
    if options.law != "own" and estimated.height == seen.frame.height:
        return _estimated(seen, options)
    measured = seen.measured()
    notes: tuple[str, ...] = ()
    if 0 < measured.frame.height < seen.frame.height:
        notes = (f"The {estimated.height} checkpoints of estimated loss are left out of it.",)
    if options.law is None or options.law == "own":
        return _own(measured if measured.frame.height else seen, options, notes)
    return _given(measured, options.law, options, notes)


def _counted(law: ScalingLaw) -> bool:
    """Whether the FLOPs of a run under this law are 6 * params * tokens."""
    return Resource.FLOPS not in law.form.resources


# ------------------------------------------------------------------------------ estimated losses


def _estimated(seen: Seen, options: ComputeOptions) -> LossToCompute | NoCompute:
    """The constants that the losses were computed with."""
    known = seen.with_known("params", "tokens")
    if known.height < seen.frame.height:
        return NoCompute(
            reason="the losses are estimates, and the parameters or tokens behind "
            f"{seen.frame.height - known.height} of them are not in the table: add columns params "
            "and tokens, or fit a law to the losses with --scaling-law own."
        )
    if options.law is not None and options.law != "own":
        off = _misfit(options.law, known)
        if not off <= ROUNDING:
            other = (
                f'The losses were estimated, and not with the constants of "{options.law.name}": '
                f"they differ by up to {off:.3f} nats."
            )
            return _given(seen, options.law, options, (other,))
        law: ScalingLaw = options.law
    else:
        found = {name: _misfit(each, known) for name, each in CHINCHILLA_LAWS.items()}
        best = min(found, key=lambda name: found[name])
        if not found[best] <= ROUNDING:
            return NoCompute(
                reason="the losses were estimated with constants that are not known here (nearest: "
                f"{best}, off by up to {found[best]:.3f} nats): give them with --scaling-law FILE, "
                "or fit a law to the losses with --scaling-law own."
            )
        law = CHINCHILLA_LAWS[best]
    allocation, why = _asked(options, *_usual(law, seen))
    return LossToCompute(
        **seen.strongest(counted=_counted(law)),
        kind=LawKind.RELABELLING,
        law=law,
        allocation=allocation,
        allocation_from=why,
        n_checkpoints=known.height,
        notes=(RELABELLING,),
    )


def _misfit(law: ScalingLaw, known: pl.DataFrame) -> float:
    """The largest distance of a loss from the law, nats; infinite where it cannot be evaluated."""
    left = _residuals(law, known)
    return float(np.abs(left).max()) if left.size == known.height else math.inf


# ------------------------------------------------------------------------------ a law that is given


def _given(
    seen: Seen, law: ScalingLaw, options: ComputeOptions, notes: tuple[str, ...] = ()
) -> LossToCompute | NoCompute:
    """A law of other models, its floor shifted onto the checkpoints."""
    left = _residuals(law, seen.frame)
    shift = float(np.median(left)) if left.size and options.anchor else None
    spread = float(np.sqrt(np.mean((left - np.median(left)) ** 2))) if left.size else 0.0
    scatter = spread * math.sqrt(left.size / (left.size - 1)) if left.size > 1 else 0.0
    if shift is not None and law.floor_nats + shift < 0:
        return NoCompute(
            reason=f'the law "{law.name}" lies {-shift:.3f} nats above the checkpoints, which is '
            f"more than its floor of {law.floor_nats:g}: leave it unanchored with --no-anchor, "
            "or use --scaling-law own."
        )
    if not left.size and options.anchor:
        none = (
            f"No checkpoint of known {_inputs(law)} has a measured loss, so nothing anchors the "
            "law: its losses are those of another tokenizer and corpus."
        )
        notes = (*notes, none)
    if shift is None and left.size:
        notes += (
            f"The law is not anchored; the checkpoints lie {np.median(left):+.3f} nats from it.",
        )
    allocation, why = _asked(options, *_usual(law, seen))
    return LossToCompute(
        **seen.strongest(counted=_counted(law)),
        kind=LawKind.GIVEN,
        law=law if shift is None else replace(law, floor_nats=law.floor_nats + shift),
        law_draws=_anchored(options.draws, seen.frame, anchor=shift is not None),
        allocation=allocation,
        allocation_from=why,
        n_checkpoints=int(left.size),
        anchored_by=shift,
        anchor_stderr=0.0 if shift is None else MEDIAN_STDERR * scatter / math.sqrt(left.size),
        scatter_nats=scatter,
        notes=(*notes, *_doubts(law, seen.frame, scatter)),
    )


def floor_above(scale: LossToCompute) -> str | None:
    """In a sentence, that a checkpoint is below all that a given law reaches; None if it is not."""
    law = scale.law
    if scale.kind is not LawKind.GIVEN or law is None or law.floor_nats < scale.lowest_loss:
        return None
    moved = (
        ""
        if scale.anchored_by is None
        else f" (after a shift of {scale.anchored_by:+.3f} onto the checkpoints)"
    )
    return (
        f'the floor of the law "{law.name}" is {law.floor_nats:.3f} nats{moved}, and the strongest '
        f"checkpoint has a loss of {scale.lowest_loss:.3f} already, so the law is not theirs: fit "
        "one to such runs with `emergecast scaling fit`, or leave --scaling-law out."
    )


def _anchored(draws: ScalingLaw | None, frame: pl.DataFrame, *, anchor: bool) -> ScalingLaw | None:
    """The draws of a law, each shifted so that it passes through the checkpoints."""
    if draws is None or not anchor:
        return draws
    known = _known(draws, frame)
    columns = {of: known[of.value].to_numpy()[:, None] for of in draws.form.resources}
    shift = np.median(known["loss"].to_numpy()[:, None] - draws.loss_of(columns), axis=0)
    return replace(draws, floor_nats=np.maximum(draws.floor_nats + shift, 0.0))


def _inputs(law: ScalingLaw) -> str:
    """What the law is evaluated at, in words."""
    return " and ".join(each.noun for each in law.form.resources)


def _known(law: ScalingLaw, frame: pl.DataFrame) -> pl.DataFrame:
    """The checkpoints at which the law can be evaluated."""
    return frame.drop_nulls([each.value for each in law.form.resources])


def _residuals(law: ScalingLaw, frame: pl.DataFrame) -> Floats:
    """Loss minus law of the checkpoints at which it can be evaluated, nats."""
    known = _known(law, frame)
    if known.is_empty():
        return np.empty(0)
    return np.asarray(known["loss"].to_numpy() - _expected(law, known))


def _expected(law: ScalingLaw, known: pl.DataFrame) -> Floats:
    return law.loss_of({each: known[each.value].to_numpy() for each in law.form.resources})


def _doubts(law: ScalingLaw, frame: pl.DataFrame, scatter: float) -> tuple[str, ...]:
    """Warnings where the checkpoints do not follow the law."""
    known, left = _known(law, frame), _residuals(law, frame)
    if left.size < SeriesLaw.FEWEST:
        return ()
    found: list[str] = []
    if scatter > LOOSE:
        found.append(
            f"The checkpoints scatter by {scatter:.3f} nats about the law, which is a lot: it may "
            "not be theirs."
        )
    expected = _expected(law, known)
    centred = expected - expected.mean()
    squares = float(centred @ centred)
    if squares > 0:
        slope = float(centred @ left) / squares
        rest = left - left.mean() - slope * centred
        stderr = math.sqrt(float(rest @ rest) / (left.size - 2) / squares)
        drift = -slope * float(np.ptp(expected))
        if abs(drift) > LOOSE and abs(slope) > 2 * stderr:
            found.append(
                f"From the weakest to the strongest checkpoint the losses drift {drift:+.3f} nats "
                "away from the law, so it may not be theirs further on either."
            )
    return tuple(found)


def _asked(
    options: ComputeOptions, usual: Allocation | None, why: str
) -> tuple[Allocation | None, str]:
    """The allocation to use, and why it is that where nobody asked for it."""
    if options.allocation is not None:
        return options.allocation, ""
    return usual, "" if usual is None else why


def _usual(law: ScalingLaw, seen: Seen) -> tuple[Allocation | None, str]:
    """How parameters and tokens are tied where nobody says so, and why like that."""
    of = law.form.of
    if of is None:
        return Allocation.compute_optimal(), ""
    if of is Resource.FLOPS:
        return seen.ratio, STRONGEST
    other = Tie.TOKENS if of is Resource.PARAMS else Tie.PARAMS
    shared = seen.common(other.value)
    return None if shared is None else Allocation(tie=other, value=shared), ALL


# ------------------------------------------------------------------------------ the series' own law


def _own(seen: Seen, options: ComputeOptions, notes: tuple[str, ...]) -> LossToCompute | NoCompute:
    """A power law of whatever the checkpoints differ in, with its floor unknown."""
    of, usual = _resource(seen, options.allocation)
    allocation, why = _asked(options, usual, STRONGEST if of is Resource.FLOPS else ALL)
    known = seen.with_known(str(of))
    if known.height < SeriesLaw.FEWEST:
        return NoCompute(
            reason=f"the compute of only {known.height} of {seen.frame.height} checkpoints with a "
            f"measured loss is known, and a law takes {SeriesLaw.FEWEST}: give flops, or params "
            "and tokens; or name a law with --scaling-law."
        )
    amounts, losses = known[str(of)].to_numpy(), known["loss"].to_numpy()
    kept = frontier(amounts, losses)
    if kept.sum() < SeriesLaw.FEWEST:
        return NoCompute(
            reason=f"the loss falls with {of.noun} at only {kept.sum()} of {known.height} "
            f"checkpoints, and a law takes {SeriesLaw.FEWEST}: check the columns flops, params "
            "and tokens, or name a law with --scaling-law."
        )
    if seen.pooled:
        notes += (f"The law is of the best checkpoints of {_series(seen)} series together.",)
    if of is Resource.FLOPS and options.allocation is not None:
        notes += ("The law takes runs of equal FLOPs as equal, however they are split.",)
    if seen.frame["loss_source"].eq_missing(LossSource.ESTIMATED.value).any():
        notes += ("It is fitted to losses that were estimated, which are a law already.",)
    try:
        series = SeriesLaw(of=of, amounts=amounts[kept], losses=losses[kept])
    except ScalingError as error:
        return NoCompute(reason=str(error))
    return LossToCompute(
        **seen.strongest(counted=of is not Resource.FLOPS),
        kind=LawKind.OWN,
        series=series,
        allocation=allocation,
        allocation_from=why,
        n_checkpoints=int(kept.sum()),
        notes=notes,
    )


def _series(seen: Seen) -> int:
    return seen.frame["series"].n_unique()


def _resource(seen: Seen, asked: Allocation | None) -> tuple[Resource, Allocation | None]:
    """What a series' own law is of, and how the rest follows.

    Of parameters where all checkpoints saw the same tokens, of tokens where all have one size, and
    otherwise of FLOPs; an allocation that is asked for and does not agree with that makes it FLOPs.
    """
    for of, other in ((Resource.PARAMS, Tie.TOKENS), (Resource.TOKENS, Tie.PARAMS)):
        shared = seen.common(str(other))
        if shared is None or seen.common(str(of)) is not None:
            continue
        if seen.with_known(str(of)).height < SeriesLaw.FEWEST:
            continue  # one size, say, whose tokens nobody states; FLOPs may be stated
        if asked is None:
            return of, Allocation(tie=other, value=shared)
        if asked.tie is other and asked.value is not None:
            near = shared / (1 + SAME) <= asked.value <= shared * (1 + SAME)
            if near:
                return of, asked
    few_flops = seen.with_known("flops").height < SeriesLaw.FEWEST
    if few_flops and seen.with_known("params").height >= SeriesLaw.FEWEST and asked is None:
        return Resource.PARAMS, None
    return Resource.FLOPS, asked or seen.ratio
