"""A forecast as lines of text, the verdict first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from emergecast.cli._wrap import wrapped
from emergecast.cli.texts.training import compute_lines
from emergecast.inference import FitStatus, Resample, Weighting

if TYPE_CHECKING:
    from emergecast.diagnostics import Diagnostics
    from emergecast.forecasts import Elbow, Forecast, Override
    from emergecast.measurements import Axis, Selection
    from emergecast.observed import GroundTruth

FEW_SHOT = "few-shot"
"""What diagnostics call the few-shot rows."""
HIDDEN_SHOWN = 12
COLUMNS = ("p05", "p25", "p50", "p75", "p95", "mode", "mle")
HEADINGS = ("5%", "25%", "50%", "75%", "95%", "mode", "ML")
BOOTSTRAP_NAMES = {Resample.RUN: "bootstrap by run", Resample.CHECKPOINT: "bootstrap by checkpoint"}


def forecast_text(forecast: Forecast, record: dict[str, Any], truth: GroundTruth | None) -> str:
    """The whole forecast for a person to read; `record` holds what was asked of some models."""
    parts = [list(_headline(forecast))]
    if forecast.elbow is not None:
        parts.append(list(_table(forecast, forecast.elbow)))
        parts.append(list(_expectations(forecast, record.get("at_loss", []))))
        parts.append(list(compute_lines(forecast, record.get("at_compute", []))))
        if truth is not None:
            parts.append(list(_later(forecast, forecast.elbow, truth)))
        if forecast.diagnostics is not None:
            parts.append(list(_diagnostics(forecast, forecast.diagnostics)))
    parts.append(list(_basis(forecast)))
    parts.append([line for text in forecast.warnings for line in wrapped(f"Warning: {text}")])
    if "update" in record:
        parts.append(list(_update(forecast.axis, record["update"])))
    return "\n\n".join("\n".join(part) for part in parts if part)


def _update(axis: Axis, change: dict[str, Any]) -> Iterator[str]:
    """What changed since an older forecast."""

    def interval(values: list[float] | None) -> str:
        if values is None:
            return "refused"
        low, median, high = map(axis.number, values)
        return f"{median} (90%: {low} to {high})"

    yield f"Since {change['file']}"
    yield (
        f"  rows     {change['rows_before']:,} -> {change['rows_now']:,}: "
        f"{change['rows_added']:,} added, {change['rows_gone']:,} gone"
    )
    yield (
        f"  elbow    {interval(change['interval_before'])} -> {interval(change['interval_now'])}"
        f" {change['unit']}"
    )
    if change["widths"] is not None:
        yield (
            f"  median   moved by {change['moved']:+.3g} {change['unit']}, "
            f"{abs(change['widths']):.2f} of the old interval's width"
        )
    yield f"  verdict  {change['verdict_before']} -> {change['verdict_now']}"


def summary_text(results: list[tuple[str, Forecast | None, Exception | None]]) -> str:
    """One line a forecast, and the reasons below for those that have none."""
    width = max(len("task / series"), *(len(name) for name, _, _ in results))
    axes = {forecast.axis.unit for _, forecast, _ in results if forecast is not None} - {"nats"}
    heading = f"{'task / series':<{width}}  {'verdict':<10}  {'5%':>7}  {'50%':>7}  {'95%':>7}"
    heading += f"  {', '.join(axes)}" if axes else ""
    lines: list[str] = [heading]
    notes: list[str] = []
    judged = invented = False
    changed: dict[Override, None] = {}
    for name, forecast, error in results:
        if forecast is None:
            lines.append(f"{name:<{width}}  no fit")
            notes += wrapped(f"{name}: {error}", "  ")
            continue
        mark = "*" if forecast.overridden else ""
        invented |= forecast.fit.selection.invented
        line = f"{name:<{width}}  {forecast.verdict + mark:<10}"
        changed |= dict.fromkeys(forecast.overridden)
        judged |= forecast.elbow is not None
        line += "".join(f"  {forecast.axis.number(value):>7}" for value in _three(forecast))
        notes += wrapped(f"{name}: {forecast.reasons[0]}", "  ")
        lines.append(line)
    notes += [f"* {line}" for line in changed_lines(tuple(changed))]
    if invented:
        lines.insert(0, "INVENTED SCORES: somebody made them up, and so are these forecasts.")
    if judged:
        notes.append("For all reasons of one verdict, name its row: --task NAME --series NAME.")
    return "\n".join([*lines, *([""] if notes else []), *notes])


def _three(forecast: Forecast) -> tuple[float, ...]:
    """5%, 50% and 95% of the elbow, forecast or measured; nothing where there is neither."""
    e, seen = forecast.elbow, forecast.observed.elbow
    if e is not None:
        return e.p05, e.p50, e.p95
    if forecast.verdict != "observed" or seen is None:
        return ()
    return seen.p05, seen.loss, seen.p95


def changed_lines(overridden: Sequence[Override]) -> Iterator[str]:
    """What was changed by hand, to stand beside a verdict; no line where nothing was."""
    if overridden:
        yield from wrapped(f"Changed by hand: {', '.join(map(str, overridden))}.", "  ")


def _headline(forecast: Forecast) -> Iterator[str]:
    yield f"{forecast.verdict.upper()}  {forecast.title}"
    yield from changed_lines(forecast.overridden)
    if forecast.elbow is not None:
        e, axis = forecast.elbow, forecast.axis
        of_loss = " of pretraining loss" if axis.is_loss else ""
        yield (
            f"90% interval {axis.number(e.p05)} to {axis.number(e.p95)} {axis.unit}{of_loss} "
            f"({axis.later} emergence)"
        )
    for reason in forecast.reasons:
        yield from wrapped(f"- {reason}", "  ")


def _table(forecast: Forecast, elbow: Elbow) -> Iterator[str]:
    other = f", {forecast.plain_law} law" if forecast.plain_law else ""
    rows: list[tuple[str, dict[str, float | None]]] = [
        ("posterior", {name: getattr(elbow, name) for name in COLUMNS})
    ]
    if other and elbow.mle is not None:  # of another law than the rest of the row
        rows[0][1].pop("mle")
        rows.append((f"ML{other}", {"mle": elbow.mle}))
    for kind, name in BOOTSTRAP_NAMES.items():
        result = forecast.bootstrap.get(kind)
        if result is not None and result.modes.size:
            values = result.quantile([0.05, 0.25, 0.5, 0.75, 0.95])
            rows.append((f"{name}{other}", dict(zip(COLUMNS, map(float, values), strict=False))))
    rows += [
        (row.what, {"p05": row.p05, "p50": row.p50, "p95": row.p95}) for row in forecast.sensitivity
    ]
    axis, shift = forecast.axis, forecast.shift
    title = f"few-shot elbow, {axis.unit}"
    width = max(len(name) for name, _ in rows)
    width = width if axis.is_loss else max(width, len(title))
    texts = [
        [axis.number(value) if (value := cells.get(c)) is not None else "" for c in COLUMNS]
        for _, cells in rows
    ]
    wide = max(8, *(len(text) + 1 for line in texts for text in line))
    yield f"{title:<{width}}{''.join(f'{heading:>{wide}}' for heading in HEADINGS)}"
    for (name, _), line in zip(rows, texts, strict=True):
        yield f"{name:<{width}}{''.join(f'{text:>{wide}}' for text in line)}".rstrip()
    unit = "" if shift.is_examples else f" {shift.unit}"
    yield from wrapped(
        f"D0 = {forecast.few_shot_examples:g}{unit}; numerical error "
        f"{forecast.fit.posterior.error:.1g} {axis.unit}."
        + ("" if elbow.mle is not None else f" {_unbounded(forecast)}")
        + _degenerate(forecast)
    )


def _unbounded(forecast: Forecast) -> str:
    """Why there is no maximum likelihood estimate; whether the integral is good is said above."""
    if forecast.status is FitStatus.UNBOUNDED:
        return FitStatus.UNBOUNDED.sentence
    return "The likelihood has no maximum in any sensible range, so there is no estimate of it."


def _degenerate(forecast: Forecast) -> str:
    found = [
        f" {result.degenerate} of {result.n} resamples {BOOTSTRAP_NAMES[kind][10:]} were "
        "degenerate."
        for kind, result in forecast.bootstrap.items()
        if result is not None and result.degenerate
    ]
    return "".join(found)


def _expectations(forecast: Forecast, at_loss: list[dict[str, Any]]) -> Iterator[str]:
    """What to expect of models of given losses; of a few telling ones if none are asked for."""
    axis = forecast.axis
    if at_loss:
        for each in at_loss:
            line = (
                f"A model of {axis.label} {each['loss']:g} has emerged with probability "
                f"{each['emerged']:.3f}; median score {each['score']:.3f}"
            )
            for bar in each["exceeds"]:
                line += f"; above {bar['score']:g} with probability {bar['probability']:.3f}"
            yield f"{line}."
        return
    wanted = [0.1, 0.5, 0.9] if axis.higher_is_stronger else [0.9, 0.5, 0.1]
    losses = [float(value) for value in forecast.quantile(wanted)]
    shown = ", ".join(
        f"{float(forecast.emerged(loss)):.0%} at {axis.number(loss)}" for loss in losses
    )
    yield f"Probability that a model of a given {axis.label} has emerged: {shown}."


def _later(forecast: Forecast, elbow: Elbow, truth: GroundTruth) -> Iterator[str]:
    axis = forecast.axis
    number = axis.number
    strongest, truth = axis.to_axis(forecast.fit.data.strongest_loss), truth.on(axis)
    seen, low, high = truth.loss, truth.p05, truth.p95
    inside = "inside" if elbow.p05 <= seen <= elbow.p95 else "OUTSIDE"
    yield from wrapped(
        f"What came later: the few-shot elbow of all {truth.n} few-shot scores is "
        f"{number(seen)} ({number(low)} to {number(high)}). The median misses it by "
        f"{elbow.p50 - seen:+.3f} {axis.unit}; it lies {inside} the 90% interval. The guess "
        f"'no change' (the strongest checkpoint seen, {number(strongest)}) misses it by "
        f"{strongest - seen:+.3f}."
    )


def _diagnostics(forecast: Forecast, found: Diagnostics) -> Iterator[str]:
    """What the answer hangs on and how well the law fits, in a few sentences."""
    axis, found = forecast.axis, found.on_axis(forecast.axis)
    parts = []
    for kind in ("checkpoint", "amount"):
        most = found.most_influential(kind)
        if most is not None:
            name = "the few-shot rows" if most.what == FEW_SHOT else most.what
            what = f"checkpoint {name} moves" if kind == "checkpoint" else f"{name} move"
            parts.append(f"{what} the median by {most.shift:+.3f}")
    text = f"Left out, {' and '.join(parts)} {axis.unit}; nothing else of its kind more."
    check = found.predictive[0]
    text += f" Of {len(found.predictive)} posterior predictive checks the worst is the {check.what}"
    text += f", p = {check.p:.2g}."
    if found.trends:
        trend = found.trends[0]
        text += (
            f" Residuals against {trend.trait}: worth {trend.shift:+.3f} {axis.unit} "
            f"of the elbow, p = {trend.p:.2g}."
        )
    o, of = found.optima, f" of the {forecast.plain_law} law" if forecast.plain_law else ""
    text += (
        f" Of {o.starts} local searches for the maximum likelihood{of} {o.stuck} ended in a worse "
        f"optimum; the others put the elbow at {axis.number(o.low)} to {axis.number(o.high)}."
    )
    yield from wrapped(text)
    for repeat in forecast.repeats:
        yield from wrapped(repeat.sentence(axis.unit))


def _basis(forecast: Forecast) -> Iterator[str]:
    selection, data = forecast.fit.selection, forecast.fit.data
    axis, shift = forecast.axis, forecast.shift
    amounts = ", ".join(shift.number(amount) for amount in data.amounts)
    series = ", ".join(selection.series)
    orientation = ", negated so that higher is better" if forecast.negated else ""
    yield from wrapped(
        f"Rests on {data.loss.size} scores ({forecast.metric}{orientation}; chance "
        f"{selection.chance:g}) of {data.n_checkpoints} checkpoints of {series}, {axis.label} "
        f"{axis.number(axis.to_axis(float(data.loss.max())))} to "
        f"{axis.number(axis.to_axis(data.strongest_loss))}, "
        + (
            "none of them finetuned."
            if not data.amounts.size
            else f"finetuned ({selection.method}) on {amounts} examples."
            if shift.is_examples
            else f"shifted by {shift.unit} {amounts}."
        )
    )
    yield from _orientation(forecast)
    if selection.hidden_reason:
        yield from wrapped(hidden_text(selection))
    if not data.amounts.size:
        return
    priors = ", ".join(f"{name} {value:g}" for name, value in forecast.fit.priors.as_dict().items())
    yield from wrapped(
        f"Law: {forecast.fit.law}. Priors (losses in units of U = {data.loss_unit:.3g} "
        f"{axis.unit}, "
        f"scores of R = {data.score_range:.3g}): {priors}."
    )
    mixed = len(forecast.fit.laws) > 1 and forecast.fit.weighting is not Weighting.FIXED
    if mixed and forecast.elbow is not None:
        yield from _weights(forecast)


def _weights(forecast: Forecast) -> Iterator[str]:
    """The weights of the laws, the largest first; laws that say nothing by name alone."""
    from emergecast.forecasts import NEGLIGIBLE

    fit = forecast.fit
    found = sorted(zip(fit.weights, map(str, [m.law for m in fit.members]), strict=True))[::-1]
    shown = ", ".join(f"{law} {weight:.0%}" for weight, law in found if weight >= NEGLIGIBLE)
    rest = ", ".join(law for weight, law in found if weight < NEGLIGIBLE)
    light = f"; laws below {NEGLIGIBLE:.0%}: {rest}" if rest else ""
    yield from wrapped(f"Weights by {fit.weighting}: {shown}{light}.")


def _orientation(forecast: Forecast) -> Iterator[str]:
    """What the axis and the shift are, where they are not loss and examples."""
    axis, shift = forecast.axis, forecast.shift
    if not axis.is_loss:
        way = "higher" if axis.higher_is_stronger else "lower"
        yield from wrapped(
            f"Axis: {axis.label}, {way} is stronger; one nat of the verdict's thresholds counts as "
            f"{axis.per_nat:.3g} {axis.unit}."
        )
    if not shift.is_examples:
        yield from wrapped(
            f"Shift: {shift.unit}; {shift.number(1.0)} of it counts as one finetuning example in "
            "the law and the priors."
        )


def hidden_text(selection: Selection) -> str:
    """What --at-chance-only did and the first names, weakest first; forecast.json has them all."""
    names, reason = selection.hidden, selection.hidden_reason or ""
    if not names:
        return reason
    rest = len(names) - HIDDEN_SHOWN
    more = f" and {rest} more" if rest > 0 else ""
    return f"{reason} Hidden: {', '.join(names[:HIDDEN_SHOWN])}{more}."
