"""A fitted scaling law as lines of text: the constants first, then what they rest on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emergecast.cli._wrap import wrapped
from emergecast.scaling import (
    Resampled,
    Resource,
    ScalingStatus,
    amount_text,
    flops_text,
    optimal,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emergecast.scaling import Ranged, ScalingFit

OUTLIERS_SHOWN = 8
DROPPED_SHOWN = 12


def fit_text(fit: ScalingFit) -> str:
    """The whole fit for a person to read."""
    parts = [
        list(_headline(fit)),
        list(_table(fit)),
        list(_optimum(fit)),
        list(_search(fit)),
        list(_outliers(fit)),
        list(_basis(fit)),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _headline(fit: ScalingFit) -> Iterator[str]:
    resources = fit.form.resources
    symbols = ", ".join(each.symbol for each in resources)
    nouns = (
        each.noun if each is Resource.PARAMS else f"training {each.noun}" for each in resources
    )
    meant = ", ".join(f"{each.symbol} {noun}" for each, noun in zip(resources, nouns, strict=True))
    yield f"L({symbols}) = {fit.form.formula()}   ({meant}, L in nats per token)"
    shown = fit.status is ScalingStatus.CONVERGED
    yield from wrapped(f"{'Status' if shown else 'Warning'}: {fit.status.sentence}")
    for sentence in fit.warnings:
        yield from wrapped(f"Warning: {sentence}")


def _table(fit: ScalingFit) -> Iterator[str]:
    columns = [fit.stderr_bootstrap, fit.stderr_robust, fit.stderr_curvature]
    columns += [fit.quantile(0.05), fit.quantile(0.95)]
    heading = f"{'':<6}{'value':>12}{'bootstrap se':>14}{'robust se':>12}{'curvature se':>14}"
    yield f"{heading}{'5%':>12}{'95%':>12}"
    for name, value in fit.constants.items():
        if name in fit.fixed:
            yield f"{name:<6}{value:>12.5g}  fixed"
            continue
        cells = [_cell(column[name]) for column in columns]
        widths = (14, 12, 14, 12, 12)
        line = "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        yield f"{name:<6}{value:>12.5g}{line}"
    yield from _errors(fit)


def _cell(value: float | None) -> str:
    return "none" if value is None else f"{float(f'{value:.3g}'):g}"


def _errors(fit: ScalingFit) -> Iterator[str]:
    """Where the standard errors come from."""
    refits = fit.refits
    if refits is None:
        yield from wrapped(
            "No bootstrap: it was not asked for, or there are too few runs to draw from. The "
            "curvature is all there is."
        )
        return
    what = "runs" if refits.by is Resampled.RUN else "points"
    text = (
        f"Bootstrap: standard deviation of {refits.asked:,} refits to resampled {what}; robust: "
        "half their central 68%; 5% and 95% are their quantiles."
    )
    if refits.degenerate:
        text += (
            f" {refits.degenerate:,} refits were degenerate (no optimum inside the bounds) and do "
            "not count."
        )
    if refits.floor_at_zero:
        text += f" In {refits.floor_at_zero:,} refits the floor was 0."
    if refits.moved + refits.unequal:
        text += (
            f" In {refits.moved + refits.unequal:,} refits two starts ended in different optima; "
            "the better counts."
        )
    yield from wrapped(text)
    if fit.runs.run is None:
        yield from wrapped(
            "Points count as independent. Where several checkpoints belong to one training run, "
            "say so in a column run: errors are then by run."
        )


def _optimum(fit: ScalingFit) -> Iterator[str]:
    found = optimal(fit)
    if found is None:
        return
    yield (
        f"Compute-optimal: N ~ C^a, D ~ C^b with a = {_range(found.params_exponent)}, "
        f"b = {_range(found.tokens_exponent)}"
    )
    yield f"{'FLOPs':>8}  {'params':<28}{'tokens':<28}tokens per parameter"
    for each in found.splits:
        params, tokens = _amounts(each.params), _amounts(each.tokens)
        ratio = each.tokens_per_param
        yield (
            f"{flops_text(each.flops, 1):>8}  {params:<28}{tokens:<28}"
            f"{ratio.value:.1f} ({ratio.p05:.1f} to {ratio.p95:.1f})"
        )
    yield "In parentheses: 90% intervals."


def _range(found: Ranged) -> str:
    return f"{found.value:.3f} ({found.p05:.3f} to {found.p95:.3f})"


def _amounts(found: Ranged) -> str:
    return f"{amount_text(found.value)} ({amount_text(found.p05)} to {amount_text(found.p95)})"


def _search(fit: ScalingFit) -> Iterator[str]:
    optima = fit.optima
    text = (
        f"Of {optima.starts} searches from other exponents {optima.same} ended at this optimum, "
        f"their objectives equal to {optima.spread:.0e} of it"
    )
    spread = max(optima.spread_of_constants, key=lambda name: _relative(fit, name))
    text += f" and their constants to {_relative(fit, spread):.0e} ({spread})"
    text += f"; {optima.worse} ended in another" if optima.worse else ""
    text += f"; {optima.unfinished} did not converge" if optima.unfinished else ""
    yield from wrapped(f"{text}.")
    if optima.next_best is not None:
        other = dict(optima.next_best)
        value = other.pop("objective")
        shown = ", ".join(f"{name} {each:.5g}" for name, each in other.items())
        yield from wrapped(
            f"The next best optimum has an objective {value / fit.objective:.4g} times as large: "
            f"{shown}."
        )
    printed, middle = fit.condition_numbers
    yield from wrapped(
        f"Condition number of the constants {printed:.3g}; {middle:.3g} with A and B taken at the "
        f"middle of the table. Objective {fit.objective:.6g}, a sum of Huber losses of ln L with "
        f"delta {fit.options.delta:g}; gradient {fit.slope:.0e} of the largest that it can have."
    )


def _relative(fit: ScalingFit, name: str) -> float:
    value = fit.constants[name]
    return fit.optima.spread_of_constants[name] / value if value else 0.0


def _outliers(fit: ScalingFit) -> Iterator[str]:
    found = fit.outliers
    limit = f"{fit.options.outlier_z:g} robust standard deviations"
    if not found:
        yield f"No point lies more than {limit} from the law."
        return
    yield from wrapped(
        f"{len(found)} of {fit.runs.n} points lie more than {limit} from the law. They count all "
        "the same:"
    )
    for each in found[:OUTLIERS_SHOWN]:
        yield (
            f"  row {each.row}: loss {each.loss:.4f}, law {each.predicted:.4f}, z = {each.z:+.1f}"
        )
    if len(found) > OUTLIERS_SHOWN:
        yield f"  ... and {len(found) - OUTLIERS_SHOWN} more"


def _basis(fit: ScalingFit) -> Iterator[str]:
    runs = fit.runs
    spans = []
    for resource, cells in runs.given.items():
        text = flops_text if resource is Resource.FLOPS else amount_text
        spans.append(f"{resource} {text(float(cells.min()))} to {text(float(cells.max()))}")
        if resource is runs.derived:
            spans[-1] += " (from the two others, 6 N D)"
    of = f" of {len(set(runs.run))} runs" if runs.run is not None else ""
    yield from wrapped(
        f"Rests on {runs.n} points{of} of {runs.name}: loss {runs.loss.min():.4g} to "
        f"{runs.loss.max():.4g}, {', '.join(spans)}. Points are equally weighted."
    )
    if runs.repeated:
        yield from wrapped(
            f"{runs.repeated} rows of this table of measurements only repeat the loss of a "
            "checkpoint: each checkpoint counts once."
        )
    if runs.dropped:
        rows = ", ".join(f"{row} ({loss:.4g})" for row, loss in runs.dropped[:DROPPED_SHOWN])
        rest = len(runs.dropped) - DROPPED_SHOWN
        more = f" and {rest} more" if rest > 0 else ""
        yield from wrapped(
            f"Dropped on request, the {len(runs.dropped)} of highest loss: rows {rows}{more}."
        )
