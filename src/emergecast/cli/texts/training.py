"""A forecast in compute as lines of text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from emergecast.cli._wrap import wrapped
from emergecast.compute import LawKind, record_of_compute
from emergecast.scaling import amount_text, flops_text

if TYPE_CHECKING:
    from emergecast.compute import Compute, DateQuantiles, Quantiles
    from emergecast.forecasts import Forecast

HEADINGS = ("5%", "25%", "50%", "75%", "95%")
NAMES = ("p05", "p25", "p50", "p75", "p95")
NEVER = "never"
"""Printed for a quantile that no run reaches."""


def compute_lines(forecast: Forecast, asked: list[dict[str, Any]]) -> Iterator[str]:
    """The forecast in compute, or why there is none; nothing where the forecast is refused."""
    found = forecast.compute
    if found is None:
        if forecast.elbow is not None:
            yield from wrapped(f"Not in compute: {forecast.compute_reason}")
    else:
        yield from _table(found)
        yield from wrapped(_law(found))
        yield from _floors(found)
        if found.dates is not None:
            yield from wrapped(_dates(found.dates))
    for each in asked:
        yield from wrapped(_at(each), "  ")


def _table(found: Compute) -> Iterator[str]:
    """The quantiles, one row a resource."""
    scale = found.scale
    over = f"times {scale.strongest}"
    if scale.strongest_flops is not None:
        over += f" ({flops_text(scale.strongest_flops)})"
    rows: list[tuple[str, Quantiles | None, Callable[[float], str]]] = [
        ("FLOPs", found.flops, flops_text),
        (over, found.multiple_of_strongest, _times),
        ("parameters", found.params, amount_text),
        ("tokens", found.tokens, amount_text),
    ]
    shown = [(name, values, text) for name, values, text in rows if values is not None]
    title = "training to get there"
    width = max(len(title), *(len(name) for name, _, _ in shown))
    yield f"{title:<{width}}{''.join(f'{heading:>10}' for heading in HEADINGS)}"
    for name, values, text in shown:
        cells = (getattr(values, quantile) for quantile in NAMES)
        texts = (NEVER if cell is None else text(cell) for cell in cells)
        yield f"{name:<{width}}{''.join(f'{cell:>10}' for cell in texts)}"


def _law(found: Compute) -> str:
    """What turned losses into compute, and what is uncertain about it."""
    scale, law = found.scale, found.law
    why = f", {scale.allocation_from}" if scale.allocation_from else ""
    tied = "" if scale.allocation is None else f" Parameters and tokens: {scale.allocation}{why}."
    if law is None:
        return f"More is later. The axis is FLOPs already, so no scaling law is used.{tied}"
    text = "More is later. "
    constants = found.constants()
    if scale.series is not None:
        floor, alpha = constants["E"], constants["alpha"]
        text += (
            f"Law: a power of {scale.series.of.noun} with a floor, fitted to the "
            f"{scale.n_checkpoints} visible checkpoints that none beats with less: floor "
            f"{floor['p50']:.3g} nats ({floor['p05']:.3g} to {floor['p95']:.3g}), exponent "
            f"{alpha['p50']:.3g} ({alpha['p05']:.3g} to {alpha['p95']:.3g}), scatter "
            f"{_median_scatter(found):.3f} nats. Its priors: {scale.series.prior.sentence}."
        )
    else:
        named = f"{law.name} ({law.source})" if len(law.source) <= 60 else law.name
        text += f"Law: {named}, floor {constants['E']['p50']:.4g} nats"
        if scale.anchored_by is not None:
            text += (
                f", {scale.anchored_by:+.3f} of it added so that it passes through the "
                f"{scale.n_checkpoints} checkpoints, which scatter by {scale.scatter_nats:.3f} "
                "nats about it"
            )
        text += "."
        if scale.kind is LawKind.GIVEN and scale.law_draws is None:
            text += " Its constants are otherwise taken as certain."
    text += tied
    if found.unreachable > 0:
        text += (
            f" With probability {_share(found.unreachable)} the elbow lies at or below the floor, "
            "where no compute reaches it."
        )
    return " ".join([text, *found.notes])


def _median_scatter(found: Compute) -> float:
    return record_of_compute(found).law.scatter_nats or 0.0


def _floors(found: Compute) -> Iterator[str]:
    """The median under other floors, the one thing that can change it most."""
    if not found.floor_sensitivity:
        return
    parts = []
    for row in found.floor_sensitivity:
        if found.flops is None:
            value = NEVER if row.params is None else f"{amount_text(row.params)} parameters"
        else:
            value = NEVER if row.flops is None else flops_text(row.flops)
            if row.multiple_of_strongest is not None:
                value += f" ({_times(row.multiple_of_strongest)})"
        parts.append(f"{value} at {row.floor_nats:.3g} nats")
    what = "" if found.flops is None else " FLOPs"
    yield from wrapped(f"Median{what} under other floors of the law: {', '.join(parts)}.")


def _dates(dates: DateQuantiles) -> str:
    """When such a run is first possible."""

    def text(day: str | None) -> str:
        return f"after {dates.last_date}" if day is None else day

    line = (
        f"By {dates.table} such a run is first possible {_on(text(dates.p50))} (90% interval "
        f"{text(dates.p05)} to {text(dates.p95)})"
    )
    if dates.by_first_date > 0:
        line += f"; by its first date, {dates.first_date}, with {_share(dates.by_first_date)}"
    if dates.not_by_last_date > 0:
        line += f"; not by its last, {dates.last_date}, with {_share(dates.not_by_last_date)}"
    return f"{line}."


def _on(day: str) -> str:
    return day if day.startswith("after") else f"on {day}"


def _at(each: dict[str, Any]) -> str:
    """What to expect of one run."""
    parts = []
    if each["flops"] is not None:
        parts.append(f"{flops_text(each['flops'])} FLOPs")
    if each["params"] is not None:
        parts.append(f"{amount_text(each['params'])} parameters")
    if each["tokens"] is not None:
        parts.append(f"{amount_text(each['tokens'])} tokens")
    run = f"A run of {', '.join(parts)}"
    if each["error"] is not None:
        return f"{run}: {each['error']}"
    loss = "" if each["loss"] is None else f" (loss {each['loss']:.3f})"
    return f"{run}{loss} has emerged with probability {each['emerged']:.3f}."


def _times(multiple: float) -> str:
    return (
        f"{multiple:.2f}x"
        if multiple < 10
        else f"{multiple:.0f}x"
        if multiple < 1e5
        else (f"{multiple:.0e}x")
    )


def _share(probability: float) -> str:
    if probability < 0.001:
        return "below 0.1%"
    return f"{probability:.0%}" if 0.005 <= probability <= 0.995 else f"{probability:.1%}"
