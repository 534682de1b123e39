"""The command that compares two pretraining series: compare."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emergecast.cli._failures import REFUSED
from emergecast.cli._options import (
    AtChanceOnlyOption,
    AxisOption,
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
    OutOption,
    PriorOption,
    ShiftOption,
    ShotsOption,
    TableArgument,
    ThresholdOption,
    WhereOption,
    numbers,
    rules_of,
    select_options,
)
from emergecast.errors import OptionError

if TYPE_CHECKING:
    from emergecast.comparison import Comparison, First, Ranking

WIDTH = 100


def compare(
    table: TableArgument,
    more: Annotated[
        list[str] | None,
        typer.Argument(metavar="[B]", help="The second series, after --series A.", hidden=True),
    ] = None,
    series: Annotated[
        list[str] | None,
        typer.Option(
            "--series",
            metavar="A B",
            help="The two series, first and second; or --series A --series B.",
        ),
    ] = None,
    task: Annotated[str | None, typer.Option("--task", help="Task to compare on.")] = None,
    per_byte: Annotated[
        bool,
        typer.Option(
            "--per-byte",
            help="The losses are nats per byte of the same text: compare across tokenizers.",
        ),
    ] = False,
    at_chance_only: AtChanceOnlyOption = False,
    min_loss: MinLossOption = None,
    max_loss: MaxLossOption = None,
    exclude: ExcludeOption = None,
    where: WhereOption = None,
    metric: MetricOption = None,
    method: MethodOption = None,
    shots: ShotsOption = None,
    loss_corpus: LossCorpusOption = None,
    few_shot_examples: FewShotExamplesOption = None,
    axis: AxisOption = "loss",
    shift: ShiftOption = "examples",
    law: LawOption = None,
    prior: PriorOption = None,
    threshold: ThresholdOption = None,
    lower_is_better: LowerIsBetterOption = None,
    chance: ChanceOption = None,
    loss_from: LossFromOption = None,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say which of two pretraining series emerges first, at equal loss and at equal compute.

    Each series is fitted on its own. Beside the answer stands the baseline that needs no forecast:
    which series scores higher at one size now. Exit status 3 when a forecast is refused.

    Example: `emergecast compare table.csv --task mmlu --series v1 v2 --at-chance-only -o compare`
    """
    from emergecast.comparison import compare as compare_series
    from emergecast.inference import DEFAULT_LAW
    from emergecast.measurements import read_table

    options = select_options(
        task=task,
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
        axis=axis,
        shift=shift,
    )
    if few_shot_examples is not None and shift != "examples":
        raise OptionError("--few-shot-examples goes with --shift examples in a comparison.")
    rules = rules_of(threshold)
    names = (*(series or ()), *(more or ()))
    rows = read_table(table, chance=chance, loss_from=loss_from, axis=axis, shift=shift)
    comparison = compare_series(
        rows,
        series=names or None,
        select_options=options,
        rules=rules,
        per_byte=per_byte,
        law=law or DEFAULT_LAW,
        few_shot_examples=few_shot_examples,
        priors=numbers(prior, "--prior"),
    )
    record = comparison.to_dict()
    written = _write(comparison, record, out)
    if as_json:
        print(json.dumps(record, indent=2))
    else:
        print("\n".join(_text(comparison)))
        if written:
            print(f"\nWrote {', '.join(sorted(path.name for path in written))} to {out}")
    if any(forecast.elbow is None for forecast in comparison.forecasts):
        raise typer.Exit(REFUSED)


def _write(comparison: Comparison, record: dict[str, object], out: Path | None) -> list[Path]:
    if out is None:
        return []
    from emergecast.files import save_text
    from emergecast.report import comparison_distribution, comparison_fan, save

    written = [save_text(json.dumps(record, indent=2) + "\n", out, "comparison.json")]
    written += save(comparison_fan(comparison), out, "comparison-fan")
    written += save(comparison_distribution(comparison), out, "comparison-distribution")
    return written


def _text(comparison: Comparison) -> Iterator[str]:
    """The comparison for a person to read: warnings first where losses do not compare."""
    from emergecast.cli.texts.forecasts import changed_lines

    a, b = comparison.series
    unit, label = comparison.forecasts[0].axis.unit, comparison.forecasts[0].axis.label
    yield comparison.title
    if not comparison.comparable:
        yield from _wrap(f"WARNING: {comparison.warnings[0]}")
    yield from changed_lines(
        tuple(dict.fromkeys(o for f in comparison.forecasts for o in f.overridden))
    )
    yield ""
    yield from _answer(f"{a} first at equal {label}", comparison.at_equal_loss)
    yield from _answer(f"{a} first at equal compute", comparison.at_equal_compute)
    if comparison.difference is not None:
        d = comparison.difference
        yield (
            f"Elbow of {a} minus elbow of {b}: {d.p50:+.3f} {unit} "
            f"(90%: {d.p05:+.3f} to {d.p95:+.3f})"
        )
    yield ""
    yield from _table(comparison)
    yield from _hidden(comparison)
    yield ""
    yield "Baseline: which scores higher at one size now (DataDecide, arXiv 2504.11393)"
    for ranking in comparison.rankings:
        yield from _wrap(_ranking(ranking, (a, b)), "  ")
    if comparison.no_ranking:
        yield from _wrap(f"- none: {comparison.no_ranking}.", "  ")
    rest = comparison.warnings if comparison.comparable else comparison.warnings[1:]
    if rest:
        yield ""
    for text in rest:
        yield from _wrap(f"Warning: {text}")


def _answer(what: str, found: First) -> Iterator[str]:
    if found.probability is None:
        yield from _wrap(f"{what}: not stated, because {found.reason}.", "  ")
    else:
        yield f"{what}: probability {found.probability:.3f}"


def _table(comparison: Comparison) -> Iterator[str]:
    """One line a series: verdict, elbow, compute, and what came true."""
    width = max(6, *map(len, comparison.series))
    yield (
        f"{'series':<{width}}  {'verdict':<11}{'5%':>8}{'50%':>8}{'95%':>8}"
        f"{'log10 FLOPs at the elbow':>28}{'came true':>11}"
    )
    rows = zip(
        comparison.series,
        comparison.forecasts,
        comparison.compute,
        comparison.truths,
        strict=True,
    )
    for name, forecast, compute, truth in rows:
        line = f"{name:<{width}}  {forecast.verdict:<11}"
        if forecast.elbow is None:
            yield line.rstrip()
            continue
        e = forecast.elbow
        line += f"{e.p05:8.3f}{e.p50:8.3f}{e.p95:8.3f}"
        cell = "-"
        if compute is not None:
            low, mid, high = (
                "never" if value is None else f"{value:.2f}"
                for value in (compute.p05, compute.p50, compute.p95)
            )
            cell = f"{mid} ({low}-{high})"
        yield f"{line}{cell:>28}{'-' if truth is None else format(truth.elbow, '.3f'):>11}"


def _hidden(comparison: Comparison) -> Iterator[str]:
    """What --at-chance-only hid of each series."""
    from emergecast.cli.texts.forecasts import hidden_text

    for name, forecast in zip(comparison.series, comparison.forecasts, strict=True):
        selection = forecast.fit.selection
        if selection.hidden_reason:
            yield from _wrap(f"{name}: {hidden_text(selection)}", "  ")


def _ranking(ranking: Ranking, names: tuple[str, str]) -> str:
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


def _wrap(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_long_words=False)
