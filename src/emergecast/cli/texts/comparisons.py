"""A comparison of series as lines of text: the answer first, the baseline beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from emergecast.cli._wrap import wrapped
from emergecast.cli.texts.forecasts import changed_lines, hidden_text
from emergecast.comparison import DECIDED, ComparedAt

if TYPE_CHECKING:
    from emergecast.comparison import (
        CameTrue,
        Comparison,
        Decisions,
        ElbowCompute,
        EmergenceOrder,
        First,
        Ranking,
        SeriesForecast,
    )

BASELINE = "Baseline: which scores higher at one size now (DataDecide, arXiv 2504.11393)"
NAME = 30
"""Characters of a name in a table, at most."""
MATRIX = 8
"""Series up to which the probability of every pair is printed; of more, the undecided pairs."""
REASONS = 6
"""Reasons of series left out that are printed in full."""


def comparison_text(comparison: Comparison) -> str:
    """The comparison for a person to read: warnings first where losses do not compare."""
    return "\n".join(_text(comparison))


def _text(comparison: Comparison) -> Iterator[str]:
    two = len(comparison.series) == 2
    yield from [comparison.title] if two else wrapped(comparison.title)
    if not two:
        yield comparison.subtitle
    said = comparison.loss_warnings
    if not comparison.comparable and said:
        yield from wrapped(f"WARNING: {said[0]}")
        said = said[1:]
    overridden = (each for found in comparison.forecasts for each in found.overridden)
    yield from changed_lines(tuple(dict.fromkeys(overridden)))
    yield ""
    yield from _of_two(comparison) if two else _of_many(comparison)
    yield ""
    yield BASELINE
    names = comparison.series
    for ranking in comparison.rankings:
        text = _ranking_of_two(ranking, names) if two else _ranking_of_many(ranking)
        yield from wrapped(text, "  ")
    if comparison.no_ranking:
        yield from wrapped(f"- none: {comparison.no_ranking}.", "  ")
    if not two and comparison.loss_ranking is not None:
        yield from wrapped(_ranking_of_many(comparison.loss_ranking), "  ")
    if not two:
        yield from _decisions(comparison.decisions)
    said += comparison.warnings[len(comparison.loss_warnings) :] if two else _weak(comparison)
    if said:
        yield ""
    for text in said:
        yield from wrapped(f"Warning: {text}")


def _compute_cell(compute: ElbowCompute | None) -> str:
    """Median and 90% interval of log10 FLOPs."""
    if compute is None:
        return "-"
    low, mid, high = (
        "never" if value is None else f"{value:.2f}"
        for value in (compute.p05, compute.p50, compute.p95)
    )
    return f"{mid} ({low}-{high})"


# ------------------------------------------------------------------------------ of two


def _of_two(comparison: Comparison) -> Iterator[str]:
    """Both answers, the difference, a line a series, and what was hidden of each."""
    a, b = comparison.series
    axis = comparison.forecasts[0].axis
    yield from _answer(f"{a} first at equal {axis.label}", comparison.at_equal_loss)
    yield from _answer(f"{a} first at equal compute", comparison.at_equal_compute)
    if comparison.difference is not None:
        d = comparison.difference
        yield (
            f"Elbow of {a} minus elbow of {b}: {d.p50:+.3f} {axis.unit} "
            f"(90%: {d.p05:+.3f} to {d.p95:+.3f})"
        )
    elif comparison.true_difference is not None:
        measured = f"{comparison.true_difference:+.3f} {axis.unit}"
        yield f"Measured elbow of {a} minus that of {b}: {measured}"
    yield ""
    yield from _table(comparison)
    for name, forecast in zip(comparison.series, comparison.forecasts, strict=True):
        selection = forecast.fit.selection
        if selection.hidden_reason:
            yield from wrapped(f"{name}: {hidden_text(selection)}", "  ")


def _answer(what: str, found: First) -> Iterator[str]:
    if found.probability is None:
        yield from wrapped(f"{what}: not stated, because {found.reason}.", "  ")
    else:
        yield f"{what}: probability {found.probability:.3f}"


def _table(comparison: Comparison) -> Iterator[str]:
    """One line a series: verdict, elbow, compute, and what came true."""
    width = max(6, *map(len, comparison.series))
    yield (
        f"{'series':<{width}}  {'verdict':<11}{'5%':>8}{'50%':>8}{'95%':>8}"
        f"{'log10 FLOPs at the elbow':>28}{'came true':>11}"
    )
    for each, compute in zip(comparison.found, comparison.compute, strict=True):
        line = f"{each.series:<{width}}  {each.forecast.verdict:<11}"
        e = each.forecast.elbow
        line += " " * 24 if e is None else f"{e.p05:8.3f}{e.p50:8.3f}{e.p95:8.3f}"
        cell = "" if e is None else _compute_cell(compute)
        true = "-" if each.came_true is None else format(each.came_true.elbow, ".3f")
        yield f"{line}{cell:>28}{'' if e is None and true == '-' else true:>11}".rstrip()


def _ranking_of_two(ranking: Ranking, names: Sequence[str]) -> str:
    size = f"{ranking.params[0]:,} parameters" if ranking.same_size else "nearest in compute"
    sure = "" if ranking.first is None else f"; {names[0]} the better with p {ranking.first:.2f}"
    noise = "; both at chance, so this ranks noise" if ranking.at_chance else ""
    scores = ", ".join(
        f"{name} {score:.3f} +- {error:.3f} ({checkpoint})"
        for name, score, error, checkpoint in zip(
            names, ranking.scores, ranking.stderrs, ranking.checkpoints, strict=True
        )
    )
    return f"- {ranking.setting}, {size}: {scores}{sure}{noise}"


# ------------------------------------------------------------------------------ of many


def _of_many(comparison: Comparison) -> Iterator[str]:
    """Both orders with their pairs, and who has no place in them."""
    found = {each.series: each for each in comparison.found}
    compute = dict(zip(comparison.series, comparison.compute, strict=True))
    label = comparison.forecasts[0].axis.label
    for at, where in ((ComparedAt.LOSS, label), (ComparedAt.COMPUTE, "compute")):
        order = comparison.order(at)
        if order.reason is not None:
            yield from wrapped(f"At equal {where}: no order, because {order.reason.rstrip('.')}.")
            yield ""
            continue
        yield f"At equal {where}, the first to emerge on top"
        if at is ComparedAt.LOSS:
            yield from _order_at_loss(order, found)
        else:
            yield from _order_at_compute(order, found, compute)
        yield from _pairs(comparison, order, at)
        yield ""
    yield from _no_place(comparison)
    hidden = [
        f"{each.series} {len(each.forecast.fit.selection.hidden)}"
        for each in comparison.found
        if each.forecast.fit.selection.hidden
    ]
    if hidden:
        yield from wrapped(f"Checkpoints hidden from the forecasts: {', '.join(hidden)}.", "  ")


def _order_at_loss(order: EmergenceOrder, found: dict[str, SeriesForecast]) -> Iterator[str]:
    width = _width(order)
    yield (
        f"{'place':>8} {'90%':>6} {'first':>6}  {'series':<{width}}  {'verdict':<10}"
        f"{'5%':>8}{'50%':>8}{'95%':>8}{'came true':>10}"
    )
    for start, name in _places(order, width):
        each = found[name]
        e, true = each.forecast.elbow, each.came_true
        if e is not None:
            cell = "-" if true is None else f"{true.elbow:.3f}"
            numbers = f"{e.p05:8.3f}{e.p50:8.3f}{e.p95:8.3f}{cell:>10}"
            yield f"{start}  {each.forecast.verdict:<10}{numbers}"


def _order_at_compute(
    order: EmergenceOrder,
    found: dict[str, SeriesForecast],
    compute: dict[str, ElbowCompute | None],
) -> Iterator[str]:
    width = _width(order)
    yield (
        f"{'place':>8} {'90%':>6} {'first':>6}  {'series':<{width}}"
        f"{'log10 FLOPs at the elbow':>26}{'came true':>11}"
    )
    for start, name in _places(order, width):
        true: CameTrue | None = found[name].came_true
        known = None if true is None else true.log10_flops
        cell = "-" if known is None else f"{known:.2f}"
        yield f"{start}{_compute_cell(compute[name]):>26}{cell:>11}"


def _width(order: EmergenceOrder) -> int:
    return min(NAME, max(6, *map(len, order.names)))


def _places(order: EmergenceOrder, width: int) -> Iterator[tuple[str, str]]:
    """The start of the line of each series, and its name."""
    for i, each in enumerate(order.placed, 1):
        places = f"{each.earliest_place}-{each.latest_place}"
        name = f"{_short(each.series, width):<{width}}"
        yield (
            f"{i:>2} {each.mean_place:5.1f} {places:>6} {_probability(each.first):>6}  {name}",
            each.series,
        )


def _short(name: str, width: int) -> str:
    """A name that fits; the middle of a long one is left out, since series differ at the ends."""
    if len(name) <= width:
        return name
    head = (width - 2) // 2
    return f"{name[:head]}..{name[len(name) - (width - 2 - head) :]}"


def _pairs(comparison: Comparison, order: EmergenceOrder, at: ComparedAt) -> Iterator[str]:
    """Every pair as a matrix, or where there are many series those that are not decided."""
    n, names = len(order.placed), order.names
    p = {pair.series: pair.answer(at).probability for pair in comparison.pairs}
    first = {
        (a, b): p[a, b] if (a, b) in p else _other_way(p[b, a])
        for a in names
        for b in names
        if a != b
    }
    if n <= MATRIX:
        width = _width(order)
        yield "Probability that the row emerges before the column, by number"
        yield " " * (width + 5) + "".join(f"{j:>6}" for j in range(1, n + 1))
        for i, a in enumerate(names, 1):
            cells = "".join(f"{'-' if a == b else _probability(first[a, b]):>6}" for b in names)
            yield f"{i:>3}  {_short(a, width):<{width}}{cells}"
        return
    open_pairs = {
        i: [j for j, b in enumerate(names, 1) if j > i and _open(first[a, b])]
        for i, a in enumerate(names, 1)
    }
    count = sum(map(len, open_pairs.values()))
    yield (
        f"Not decided (probability {1 - DECIDED:.2f} to {DECIDED:.2f}), by number: {count} of "
        f"{n * (n - 1) // 2} pairs"
    )
    for i, others in open_pairs.items():
        if others:
            yield from wrapped(f"{i:>3} and {_runs(others)}", "        ", first=" ")


def _other_way(probability: float | None) -> float | None:
    return None if probability is None else 1 - probability


def _probability(probability: float | None) -> str:
    if probability is None:
        return "?"
    if not 0.005 <= probability <= 0.995:  # never as if it were certain
        return "<.01" if probability < 0.5 else ">.99"
    return f"{probability:.2f}"


def _open(probability: float | None) -> bool:
    return probability is None or 1 - DECIDED < probability < DECIDED


def _runs(numbers: Sequence[int]) -> str:
    """Numbers in ascending order, neighbours as a range: 2-5, 7."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"{part[0]}" if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def _no_place(comparison: Comparison) -> Iterator[str]:
    """Series that are left out of the comparison or of an order, with the reason."""
    gone = [
        (each.series, each.reason)
        for part in (
            comparison.left_out,
            comparison.order_at_equal_loss.left_out,
            comparison.order_at_equal_compute.left_out,
        )
        for each in part
    ]
    reasons = {
        each.reason for each in (comparison.order_at_equal_loss, comparison.order_at_equal_compute)
    }
    gone = [each for each in dict.fromkeys(gone) if each[1] not in reasons]
    if not gone:
        return
    yield "No place"
    for name, why in gone[:REASONS]:
        yield from wrapped(f"{name}: {why}", "    ", first="  ")
    if len(gone) > REASONS:
        rest = ", ".join(name for name, _ in gone[REASONS:])
        yield from wrapped(f"Also {rest}; --json has the reasons.", "    ", first="  ")
    yield ""


def _ranking_of_many(ranking: Ranking) -> str:
    size = f"{ranking.params[0]:,} parameters" if ranking.same_size else "nearest in compute"
    scored = dict(zip(ranking.series, ranking.scores, strict=True))
    place = dict(zip(ranking.series, ranking.places, strict=True))
    scores, before = "", 0
    for name in ranking.order:
        joint = (" = " if place[name] == before else ", ") if scores else ""
        scores += f"{joint}{name} {abs(scored[name]):.3f}"
        before = place[name]
    widest = max(ranking.stderrs)
    error = f" (standard errors up to {widest:.3f})" if widest > 0 else ""
    noise = "; all at chance, so this ranks noise" if ranking.at_chance else ""
    equal = "; = is equal within the standard error" if " = " in scores else ""
    return f"- {ranking.setting}, {size}, the best first: {scores}{error}{equal}{noise}"


def _decisions(found: Sequence[Decisions]) -> Iterator[str]:
    """Pairs ranked right, forecasts and baselines beside each other."""
    if not found:
        return
    yield ""
    yield "Pairs ranked right, where it is known which came first"
    width = max(len(each.by) for each in found)
    yield (
        f"  {'at equal':<9}{'by':<{width}}{'right':>14}{'share':>8}{'stated':>8}"
        f"{'of clear pairs':>17}"
    )
    for each in found:
        share = "-" if each.accuracy is None else f"{each.accuracy:.2f}"
        stated = "-" if each.stated is None else f"{each.stated:.2f}"
        clear = f"{each.clear_right:g} of {each.clear_pairs}"
        yield (
            f"  {each.at:<9}{each.by:<{width}}{f'{each.right:g} of {each.pairs}':>14}{share:>8}"
            f"{stated:>8}{clear:>17}"
        )


def _weak(comparison: Comparison) -> tuple[str, ...]:
    """One sentence on all weak forecasts."""
    names = [each.series for each in comparison.weak]
    if not names:
        return ()
    more = f" and {len(names) - MATRIX} more" if len(names) > MATRIX else ""
    said = (
        f"{len(names)} of the {len(comparison.series)} forecasts are weak "
        f"({', '.join(names[:MATRIX])}{more}); --json has the reasons of each. Read the "
        "probabilities as a lead, not as a decision."
    )
    return (said,)
