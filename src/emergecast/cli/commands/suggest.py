"""The command that says what to measure next: suggest."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emergecast.cli._options import (
    AtChanceOnlyOption,
    ChanceOption,
    ExcludeOption,
    FewShotExamplesOption,
    JsonOption,
    LawOption,
    LossCorpusOption,
    LossFromOption,
    LowerIsBetterOption,
    MaxLossOption,
    MethodOption,
    MetricOption,
    MinLossOption,
    PoolOption,
    PriorOption,
    ShotsOption,
    TableArgument,
    WhereOption,
    numbers,
    select_options,
)
from emergecast.errors import OptionError

if TYPE_CHECKING:
    from emergecast.suggestions import Suggestion

WIDTH = 100
NOTHING_TO_SUGGEST = 3
"""Exit status where no affordable run says anything."""


def suggest(
    table: TableArgument,
    budget: Annotated[float, typer.Option("--budget", help="GPU-hours to spend.")],
    task: Annotated[
        str | None, typer.Option("--task", help="Name of the task; the only one if not given.")
    ] = None,
    series: Annotated[
        list[str] | None, typer.Option("--series", help="Series to take; repeatable.")
    ] = None,
    pool: PoolOption = False,
    candidates: Annotated[
        Path | None,
        typer.Option(
            "--candidates",
            metavar="FILE",
            help="Runs to choose from: a table with columns checkpoint and examples (0: few-shot), "
            "and, if wanted, series, runs (how often it may be made), gpu_hours, and loss and "
            "params of a checkpoint that TABLE lacks. Default: every checkpoint on every amount.",
        ),
    ] = None,
    examples: Annotated[
        str | None,
        typer.Option(
            "--examples",
            metavar="N,N,...",
            help="Amounts of data to consider. Default: those measured, and 30, 100, 300, ...",
        ),
    ] = None,
    runs: Annotated[
        int, typer.Option("--runs", min=1, help="How often a cell may be run again.")
    ] = 3,
    most: Annotated[int, typer.Option("--most", min=1, help="Runs to suggest at most.")] = 20,
    least: Annotated[
        float, typer.Option("--least", help="Nats that a run must add to be worth naming.")
    ] = 0.003,
    tokens_per_example: Annotated[
        float, typer.Option(help="Cost: tokens of a finetuning example.")
    ] = 512,
    epochs: Annotated[float, typer.Option(help="Cost: passes over the examples.")] = 3,
    tokens_per_item: Annotated[
        float, typer.Option(help="Cost: tokens of a test item, with its prompt.")
    ] = 512,
    gpu_flops: Annotated[
        float | None,
        typer.Option(
            "--gpu-flops",
            help="Cost: FLOP/s that one GPU really does. Default: measured on the rows of TABLE "
            "that have gpu_hours; else 4e14, 40% of an H100's dense bf16.",
        ),
    ] = None,
    overhead_hours: Annotated[
        float, typer.Option(help="Cost: further GPU-hours that every run takes.")
    ] = 0.05,
    at_chance_only: AtChanceOnlyOption = False,
    law: LawOption = None,
    min_loss: MinLossOption = None,
    max_loss: MaxLossOption = None,
    exclude: ExcludeOption = None,
    where: WhereOption = None,
    metric: MetricOption = None,
    method: MethodOption = None,
    shots: ShotsOption = None,
    loss_corpus: LossCorpusOption = None,
    few_shot_examples: FewShotExamplesOption = None,
    prior: PriorOption = None,
    lower_is_better: LowerIsBetterOption = None,
    chance: ChanceOption = None,
    loss_from: LossFromOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", help="Folder for suggestion.json, plan.csv and a picture (SVG, PNG)."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say which runs to make next: those that tell most about the few-shot elbow per GPU-hour.

    Works before anything is finetuned too, as long as TABLE has few-shot rows. Exit status 0 with a
    plan, 3 where no affordable run says anything, 2 on bad input.

    Example: `emergecast suggest table.csv --task mmlu --budget 20 --candidates runs.csv -o next`
    """
    from emergecast.inference import DEFAULT_LAW
    from emergecast.measurements import read_table
    from emergecast.suggestions import Cost, SuggestOptions
    from emergecast.suggestions import suggest as plan

    options = SuggestOptions(
        budget=budget, amounts=_amounts(examples), runs=runs, most=most, least=least
    )
    picks = select_options(
        task=task,
        series=series,
        pool=pool,
        metric=metric,
        method=method,
        shots=shots,
        loss_corpus=loss_corpus,
        at_chance_only=at_chance_only,
        min_loss=min_loss,
        max_loss=max_loss,
        exclude=exclude,
        where=where,
        lower_is_better=lower_is_better,
    )
    cost = Cost(
        tokens_per_example=tokens_per_example,
        epochs=epochs,
        tokens_per_item=tokens_per_item,
        overhead_hours=overhead_hours,
        flops_per_second=gpu_flops,
    )
    rows = read_table(table, chance=chance, loss_from=loss_from)
    with _progress() as on_run:
        found = plan(
            rows,
            options=options,
            candidates=candidates,
            cost=cost,
            select_options=picks,
            on_run=on_run,
            law=law or DEFAULT_LAW,
            few_shot_examples=few_shot_examples,
            priors=numbers(prior, "--prior"),
        )
    try:
        written = _write(found, out)
    finally:  # a folder that cannot be written must not swallow the plan
        print(json.dumps(found.to_dict(), indent=2) if as_json else suggestion_text(found))
    if written and not as_json:
        names = ", ".join(sorted(path.name for path in written))
        print(f"\nWrote {names} to {out}")
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


@contextmanager
def _progress() -> Iterator[Callable[[float], None] | None]:
    """A progress bar on standard error, on a terminal only."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Planning", total=None)
        yield lambda share: bar.update(task, completed=share, total=1.0)


def _write(found: Suggestion, out: Path | None) -> list[Path]:
    if out is None:
        return []
    from emergecast.files import save_text
    from emergecast.report import save, suggestion

    text = json.dumps(found.to_dict(), indent=2) + "\n"
    return [
        save_text(text, out, "suggestion.json"),
        save_text(found.to_frame().write_csv(), out, "plan.csv"),
        *save(suggestion(found), out, "suggestion"),
    ]


# ------------------------------------------------------------------------------------ as text


def suggestion_text(found: Suggestion) -> str:
    """The plan for a person to read."""
    low, middle, high = found.quantiles
    basis = "few-shot rows and priors alone" if found.cold else f"{found.fit.data.loss.size} scores"
    now = f"Few-shot elbow now, from {basis}: {middle:.3f} nats, 90% interval {low:.3f} to "
    parts = [
        [found.title, *_wrap(f"{found.subtitle}.")],
        _wrap(f"{now}{high:.3f}."),
        list(_runs(found)),
        _wrap(found.stopped),
        [line for each in found.repeats for line in _wrap(each.sentence("nats"))],
        _wrap(_cost(found)),
        [line for text in found.fit.selection.warnings for line in _wrap(f"Warning: {text}")],
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
        yield from textwrap.wrap(run.reason, WIDTH, initial_indent="    ", subsequent_indent="    ")
    yield ""
    yield from _wrap(
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
        rate = "40% of an H100; give --gpu-flops, or a column gpu_hours to measure it on"
    else:
        rate = "as given"
    return (
        f"GPU-hours: 6 N x {cost.tokens_per_example:g} tokens x examples x {cost.epochs:g} epochs "
        f"of finetuning and 2 N x {cost.tokens_per_item:g} tokens x test items of evaluation, at "
        f"{cost.rate:.3g} FLOP/s ({rate}), and {cost.overhead_hours:g} for each run."
    )


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)
