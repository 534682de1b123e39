"""The command that says what to measure next: suggest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from emergecast.cli._from_records import Without
from emergecast.cli._options import (
    ChanceOption,
    JsonOption,
    LossFromOption,
    TableArgument,
    out_folder,
)
from emergecast.cli._output import as_text, deliver, progress
from emergecast.cli._wrap import wrapped
from emergecast.errors import OptionError
from emergecast.inference import FitOptions
from emergecast.measurements import SelectOptions, guarded, read_table
from emergecast.suggestions import Cost, Suggestion, SuggestOptions
from emergecast.suggestions import suggest as plan

NOTHING_TO_SUGGEST = 3
"""Exit status where no affordable run says anything."""


def suggest(
    table: TableArgument,
    *,
    options: Annotated[SuggestOptions, Without("amounts", "cost", "seed")],
    candidates: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Runs to choose from: a table with columns checkpoint and examples (0: few-shot), "
            "and, if wanted, series, runs (how often it may be made), gpu_hours, and loss and "
            "params of a checkpoint that TABLE lacks. Default: every checkpoint on every amount.",
        ),
    ] = None,
    examples: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,...",
            help="Amounts of data to consider. Default: those measured, and 30, 100, 300, ...",
        ),
    ] = None,
    cost: Annotated[Cost, Without("measured_on")],
    rows: Annotated[SelectOptions, Without("axis", "shift")],
    fitting: Annotated[FitOptions, Without("planned_amounts", "weights")],
    chance: ChanceOption = None,
    loss_from: LossFromOption = None,
    out: Annotated[
        Path | None,
        out_folder("Folder for suggestion.json, plan.csv and a picture (SVG, PNG)."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say which runs to make next: those that tell most about the few-shot elbow per GPU-hour.

    Works before anything is finetuned too, as long as TABLE has few-shot rows. Exit status 0 with a
    plan, 3 where no affordable run says anything, 2 on bad input.

    Example: `emergecast suggest table.csv --task mmlu --budget 20 --candidates runs.csv -o next`
    """
    options = replace(options, amounts=_amounts(examples), cost=cost)
    measured = read_table(table, chance=chance, loss_from=loss_from)
    with progress("Planning", 1.0) as move:
        found = plan(measured, options, rows, fitting, candidates=candidates, on_run=move)
    deliver(
        found.to_dict(),
        lambda: suggestion_text(found),
        None if out is None else lambda: _write(found, out),
        as_json=as_json,
    )
    if not found.runs:
        raise typer.Exit(NOTHING_TO_SUGGEST)


def _amounts(text: str | None) -> tuple[int, ...] | None:
    """Whole numbers between commas."""
    if text is None:
        return None
    found = []
    for part in text.split(","):
        try:
            number = float(part)
        except ValueError:
            number = 0.5
        if not number.is_integer() or number < 1:
            raise OptionError(f"--examples takes counts between commas, not {part.strip()!r}.")
        found.append(int(number))
    return tuple(sorted(set(found)))


def _write(found: Suggestion, out: Path) -> list[Path]:
    from emergecast.files import save_text
    from emergecast.report import save, suggestion

    return [
        save_text(as_text(found.to_dict()), out, "suggestion.json"),
        save_text(guarded(found.to_frame()).write_csv(), out, "plan.csv"),
        *save(suggestion(found), out, "suggestion"),
    ]


# ------------------------------------------------------------------------------------ as text


def suggestion_text(found: Suggestion) -> str:
    """The plan for a person to read."""
    low, middle, high = found.quantiles
    basis = "few-shot rows and priors alone" if found.cold else f"{found.fit.data.loss.size} scores"
    now = f"Few-shot elbow now, from {basis}: {middle:.3f} nats, 90% interval {low:.3f} to "
    parts = [
        [found.title, *wrapped(f"{found.subtitle}.")],
        wrapped(f"{now}{high:.3f}."),
        list(_runs(found)),
        wrapped(found.stopped),
        [line for each in found.repeats for line in wrapped(each.sentence("nats"))],
        wrapped(_cost(found)),
        [line for text in found.fit.selection.warnings for line in wrapped(f"Warning: {text}")],
    ]
    if not found.runs:
        parts.pop(0)
    return "\n\n".join("\n".join(part) for part in parts if part)


def _runs(found: Suggestion) -> Iterator[str]:
    """A line for each run, and its reason below."""
    if not found.runs:
        return
    several = len(found.fit.selection.series) > 1
    names = [
        f"{run.candidate.series}/{run.candidate.checkpoint}"
        if several
        else run.candidate.checkpoint
        for run in found.runs
    ]
    amounts = [run.candidate.amount for run in found.runs]
    name, amount = (max(len(text) for text in texts) for texts in ([*names, "checkpoint"], amounts))
    yield (
        f"    {'checkpoint':<{name}}  {'loss':>7}  {'data':<{amount}}  run  {'GPU-hours':>9}"
        f"  {'in all':>8}  {'nats':>6}  90% width"
    )
    for i, (run, who, what) in enumerate(zip(found.runs, names, amounts, strict=True), start=1):
        yield (
            f"{i:>2}. {who:<{name}}  {run.candidate.loss:>7.3f}  {what:<{amount}}  {run.repeat:>3}"
            f"  {run.candidate.gpu_hours:>9.3g}  {run.hours_so_far:>8.3g}"
            f"  {run.information:>6.3f}  {run.width:>9.3f}"
        )
        yield from wrapped(run.reason, "    ", first="    ")
    yield ""
    yield from wrapped(
        "nats: expected information about the few-shot elbow beyond the runs above. 90% width: of "
        "its interval, expected once the run is made. An elbow is known to so many nats as its "
        "standard deviation says."
    )


def _cost(found: Suggestion) -> str:
    """What the hours rest on."""
    cost = found.cost
    if all(each.candidate.flops is None for each in found.prospects):
        return "GPU-hours are those of the file of candidates."
    if cost.measured_on:
        rate = f"measured on {cost.measured_on} rows with gpu_hours"
    elif cost.flops_per_second is None:
        rate = "a quarter of an H100; give --gpu-flops, or a column gpu_hours to measure it on"
    else:
        rate = "as given"
    return (
        f"GPU-hours: 6 N x {cost.tokens_per_example:g} tokens x examples x {cost.epochs:g} epochs "
        f"of finetuning and 2 N x {cost.tokens_per_item:g} tokens x test items of evaluation, at "
        f"{cost.rate:.3g} FLOP/s ({rate}), and {cost.overhead_hours:g} for each run."
    )
