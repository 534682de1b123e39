"""Parts of a forecast's record, from what they are of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emergecast.forecasts._forecast_record import (
    DistributionRecord,
    LawRecord,
    LinesRecord,
    ResampledRecord,
    RowsRecord,
)
from emergecast.inference import QUANTILES, ElbowOnAxis
from emergecast.records import finite

if TYPE_CHECKING:
    import polars as pl

    from emergecast.inference import Bootstrap, Fit


def laws_record(fit: Fit) -> tuple[LawRecord, ...]:
    """Each law of a forecast on its own."""
    return tuple(
        LawRecord(
            law=str(member.law),
            weight=weight,
            **ElbowOnAxis(posterior=member.posterior, axis=fit.selection.axis).quantiles(),
            log_evidence=member.posterior.log_evidence,
        )
        for member, weight in zip(fit.members, fit.weights, strict=True)
    )


def resampled_record(found: Bootstrap | None) -> ResampledRecord | None:
    """Quantiles of a bootstrap; None where there was nothing to resample, or nothing is left."""
    if found is None or found.modes.size == 0:
        return None
    values = np.asarray(found.quantile(list(QUANTILES.values()))).tolist()
    quantiles = dict(zip(QUANTILES, values, strict=True))
    return ResampledRecord(**quantiles, n=found.n, degenerate=found.degenerate)


def rows_record(frame: pl.DataFrame) -> RowsRecord:
    """What `Forecast.points` shows."""
    return RowsRecord(
        checkpoint=tuple(frame["checkpoint"]),
        loss=tuple(frame["loss"]),
        score=tuple(frame["score"]),
        stderr=tuple(map(finite, frame["stderr"])),
        setting=tuple(frame["setting"]),
        examples=tuple(frame["examples"]),
        hidden=tuple(frame["hidden"]),
    )


def distribution_record(frame: pl.DataFrame) -> DistributionRecord:
    """What `Forecast.distribution` shows."""
    return DistributionRecord(
        loss=tuple(frame["loss"]),
        density=tuple(frame["density"]),
        emerged=tuple(frame["cumulative"]),
    )


def lines_record(frame: pl.DataFrame) -> LinesRecord:
    """What `Forecast.curves` shows."""
    return LinesRecord(
        examples=tuple(frame["examples"]),
        loss=tuple(frame["loss"]),
        score=tuple(frame["score"]),
        extrapolated=tuple(frame["extrapolated"]),
    )
