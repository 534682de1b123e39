"""From a forecast to its record."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from emergecast.compute import record_of_compute
from emergecast.forecasts._forecast_record import (
    BootstrapRecord,
    DistributionRecord,
    ForecastRecord,
    LawRecord,
    LinesRecord,
    ResampledRecord,
    RowsRecord,
)
from emergecast.inference import QUANTILES, ElbowOnAxis, Resample
from emergecast.records import finite

if TYPE_CHECKING:
    import polars as pl

    from emergecast.forecasts._elbow import AtLoss
    from emergecast.forecasts._forecast import Forecast
    from emergecast.forecasts._forecast_record import AtComputeRecord
    from emergecast.inference import Bootstrap


def record_of(
    forecast: Forecast,
    *,
    at_loss: tuple[AtLoss, ...] = (),
    at_compute: tuple[AtComputeRecord, ...] = (),
    command: str | None = None,
) -> ForecastRecord:
    """The forecast as a file holds it.

    Args:
        forecast: the forecast.
        at_loss: what to expect of models of losses that were asked about.
        at_compute: what to expect of training runs that were asked about.
        command: the command line that made it.
    """
    fit, axis = forecast.fit, forecast.axis
    selection, data = fit.selection, fit.data
    refused = forecast.elbow is None
    series = selection.series
    return ForecastRecord(
        task=forecast.task,
        metric=forecast.metric,
        negated=forecast.negated,
        series=series[0] if len(series) == 1 else series,
        method=selection.method,
        loss_corpus=selection.loss_corpus,
        few_shot_examples=forecast.few_shot_examples,
        law=str(fit.law),
        laws=() if refused else _laws(forecast),
        weights="stacking" if fit.stacked else "fixed",
        axis=axis.record(),
        shift=forecast.shift.record(),
        elbow=forecast.elbow,
        quadrature_error=None if refused else finite(fit.posterior.error),
        bootstrap=BootstrapRecord(
            by_run=_resampled(forecast.bootstrap.get(Resample.RUN)),
            by_checkpoint=_resampled(forecast.bootstrap.get(Resample.CHECKPOINT)),
        ),
        verdict=forecast.verdict,
        reasons=forecast.reasons,
        overridden=forecast.overridden,
        status=forecast.status,
        sensitivity=forecast.sensitivity,
        compute=None if forecast.compute is None else record_of_compute(forecast.compute),
        compute_reason=forecast.compute_reason,
        diagnostics=None if forecast.diagnostics is None else forecast.diagnostics.record(axis),
        repeats=forecast.repeats,
        at_loss=at_loss,
        at_compute=at_compute,
        warnings=forecast.warnings,
        hidden=selection.hidden,
        truth=forecast.truth,
        n_rows=int(data.loss.size),
        n_checkpoints=data.n_checkpoints,
        weakest_loss=axis.to_axis(float(data.loss.max())),
        strongest_loss=axis.to_axis(data.strongest_loss),
        loss_spread=data.loss_spread,
        priors=fit.priors.as_dict(),
        rows=_rows(forecast.points()),
        distribution=None if refused else _distribution(forecast.distribution()),
        lines=None if refused else _lines(forecast.curves()),
        table_hash=selection.table_hash,
        command=command,
        version=version("emergecast"),
    )


def _laws(forecast: Forecast) -> tuple[LawRecord, ...]:
    fit = forecast.fit
    return tuple(
        LawRecord(
            law=str(member.law),
            weight=weight,
            **ElbowOnAxis(posterior=member.posterior, axis=forecast.axis).quantiles(),
            log_evidence=member.posterior.log_evidence,
        )
        for member, weight in zip(fit.members, fit.weights, strict=True)
    )


def _resampled(found: Bootstrap | None) -> ResampledRecord | None:
    if found is None or found.modes.size == 0:
        return None
    values = np.asarray(found.quantile(list(QUANTILES.values()))).tolist()
    quantiles = dict(zip(QUANTILES, values, strict=True))
    return ResampledRecord(**quantiles, n=found.n, degenerate=found.degenerate)


def _rows(frame: pl.DataFrame) -> RowsRecord:
    return RowsRecord(
        checkpoint=tuple(frame["checkpoint"]),
        loss=tuple(frame["loss"]),
        score=tuple(frame["score"]),
        stderr=tuple(map(finite, frame["stderr"])),
        setting=tuple(frame["setting"]),
        examples=tuple(frame["examples"]),
        hidden=tuple(frame["hidden"]),
    )


def _distribution(frame: pl.DataFrame) -> DistributionRecord:
    return DistributionRecord(
        loss=tuple(frame["loss"]),
        density=tuple(frame["density"]),
        emerged=tuple(frame["cumulative"]),
    )


def _lines(frame: pl.DataFrame) -> LinesRecord:
    return LinesRecord(
        examples=tuple(frame["examples"]),
        loss=tuple(frame["loss"]),
        score=tuple(frame["score"]),
        extrapolated=tuple(frame["extrapolated"]),
    )
