"""Conversions, laws and FLOP counts as lines of text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from emergecast.cli._wrap import wrapped
from emergecast.scaling import Counting, Resource, amount_text, flops_text, training_flops

if TYPE_CHECKING:
    from emergecast.scaling import Architecture, Conversion, FlopCount, ScalingLaw

NAMES = (*Resource,)


def law_text(law: ScalingLaw) -> str:
    """The law as a formula with its constants."""
    floor = f"{law.floor_nats:.5g} + " if law.floor_nats else ""
    if law.form.of is not None:
        return f"L({law.form.of}) = {floor}{law.a:.5g} / {law.form.of}^{law.alpha:.5g}"
    terms = (
        f"{term.numerator:.6g} / {term.resource.symbol}^{term.exponent:.5g}" for term in law.terms
    )
    return f"L(N, D) = {floor}{' + '.join(terms)} (N params, D tokens)"


def amount(resource: str, value: Any) -> str:  # noqa: ANN401
    """An amount of a resource for a person; "-" where it is not determined."""
    if value is None:
        return "-"
    if math.isinf(value):
        return "never"
    return flops_text(float(value)) if resource == Resource.FLOPS else amount_text(float(value))


def conversions_text(done: list[Conversion], *, of_loss: bool) -> str:
    """A table of conversions under one law, and what to know about it."""
    first = done[0]
    law, allocation = first.law, first.allocation
    lines = [f"{law.name}: {law_text(law)}"]
    if law.source != "given constants":
        lines += wrapped(f"Source: {law.source}.")
    if allocation is not None:
        lines += [f"Parameters and tokens: {allocation}."]
    shown = [name for name in NAMES if any(getattr(each.run, name) is not None for each in done)]
    rows = [row for each in done for row in _rows(each, shown, of_loss=of_loss)]
    heading = ["loss", *shown, ""]
    lines += ["", *_table([heading, *rows])]
    notes = list(_notes(done, of_loss=of_loss))
    if notes:
        lines += ["", *(line for note in notes for line in wrapped(note))]
    return "\n".join(lines)


def _rows(found: Conversion, shown: list[Resource], *, of_loss: bool) -> Iterator[list[str]]:
    yield [
        f"{found.loss:.4f}",
        *(amount(name, getattr(found.run, name)) for name in shown),
        "",
    ]
    if found.interval is not None:
        for end, what in enumerate(("5%", "95%")):
            known = {name: ends[end] for name, ends in found.interval.items()}
            loss = f"{known['loss']:.4f}" if "loss" in known else ""
            cells = [amount(name, known[name]) if name in known else "" for name in shown]
            yield [loss, *cells, f"{what} of the law's draws"]
    for each in found.floors:
        if of_loss:
            cells = [amount(name, getattr(each.run, name)) for name in shown]
            what = f"floor {each.floor_nats:g}{_moved(found, each.run)}"
        else:
            cells = ["" for _ in shown]
            what = f"floor {each.floor_nats:g} ({each.loss - found.loss:+.4f})"
        yield ["" if of_loss else f"{each.loss:.4f}", *cells, what]


def _moved(found: Conversion, run: Any) -> str:  # noqa: ANN401
    """How many times more FLOPs it takes, or more of the one resource that is known."""
    for name in reversed(NAMES):
        before, after = getattr(found.run, name), getattr(run, name)
        if before is not None and after is not None and before != after:
            if math.isinf(after):
                return ": out of reach"
            return f": {after / before:.3g} times the {name}"
    return ""


def _notes(done: list[Conversion], *, of_loss: bool) -> Iterator[str]:
    law, unit = done[0].law, done[0].law.form.span_of
    if law.span is not None:
        low, high = (amount(unit, end) for end in law.span)
        far = max((each.beyond_span or 1.0 for each in done), key=lambda x: abs(math.log(x)))
        note = f"The law was fitted on {low} to {high} {unit}"
        if far > 1:
            note += f"; this extrapolates {_times(far)} times beyond"
        elif far < 1:
            note += f"; this extrapolates {_times(1 / far)} times below"
        yield note + "."
    if any(each.interval is not None and len(each.interval) > 1 for each in done):
        yield (
            "5% and 95% are quantiles of each column by itself over the law's draws, so a row of "
            "them is not one run."
        )
    if done[0].floors:
        what = "the run" if of_loss else "the loss"
        yield (
            "Under another floor the law keeps its losses at the two ends of that span; how far "
            f"{what} moves shows what the floor alone decides."
        )
    if all(each.run.flops is not None and each.run.params is not None for each in done):
        yield "FLOPs are 6 * params * tokens."


def _times(factor: float) -> str:
    return f"{float(f'{factor:.3g}'):,g}" if factor < 1e6 else flops_text(factor)


def laws_text(laws: Iterable[ScalingLaw]) -> str:
    """One paragraph a law."""
    lines: list[str] = []
    for law in laws:
        unit = law.form.span_of
        lines += [law.name, f"  {law_text(law)}"]
        if law.span is not None:
            low, high = (amount(unit, end) for end in law.span)
            lines.append(f"  fitted on {low} to {high} {unit}")
        lines += wrapped(f"  {law.source}", "  ")
    return "\n".join(lines)


def flops_report(
    architecture: Architecture, counts: Mapping[Counting, FlopCount], tokens: float
) -> str:
    """Parameters, FLOPs by term and by convention."""
    n, ours = architecture.params, counts[Counting.MATMULS]
    lines = [
        f"{n.total:,} parameters, {n.non_embedding:,} without embeddings and logits",
        f"{amount_text(tokens)} tokens in sequences of {architecture.context:,}",
        "",
        *_table(
            [
                ["forward FLOPs per token", "", "share"],
                *(
                    [
                        name.replace("_", " "),
                        flops_text(term),
                        f"{term / ours.forward_per_token:.1%}",
                    ]
                    for name, term in ours.terms.items()
                    if term
                ),
                ["all", flops_text(ours.forward_per_token), ""],
            ]
        ),
        "",
    ]
    rows = [["training FLOPs", "", "/ 6 N D", "/ 6 N D without embeddings"]]
    every = {f"{c}": count.training_per_token for c, count in counts.items()}
    total, without = (float(training_flops(each, 1)) for each in (n.total, n.non_embedding))
    every |= {"6 N D": total, "6 N D without embeddings": without}
    for name, per_token in every.items():
        rows.append(
            [
                name,
                flops_text(per_token * tokens),
                f"{per_token / total:.3f}",
                f"{per_token / without:.3f}",
            ]
        )
    lines += _table(rows)
    return "\n".join(lines)


def _table(rows: list[list[str]]) -> list[str]:
    """Columns wide enough, numbers to the right, the first and last as text."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        first = row[0].ljust(widths[0])
        rest = [
            cell if i == len(row) - 1 and not cell[:1].isdigit() else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join([first, *rest[1:]]).rstrip())
    return lines
