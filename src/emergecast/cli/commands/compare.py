"""The command that compares two pretraining series: compare."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emergecast.cli._failures import REFUSED
from emergecast.cli._from_records import Without
from emergecast.cli._options import (
    ChanceOption,
    JsonOption,
    LossFromOption,
    TableArgument,
    out_folder,
)
from emergecast.cli._output import as_text, deliver, wrapped
from emergecast.comparison import compare as compare_series
from emergecast.forecasts import ForecastOptions
from emergecast.inference import FitOptions
from emergecast.measurements import SelectOptions, read_table

if TYPE_CHECKING:
    from emergecast.comparison import Comparison, First, Ranking


def compare(
    table: TableArgument,
    more: Annotated[
        list[str] | None,
        typer.Argument(metavar="[B]", help="The second series, after --series A.", hidden=True),
    ] = None,
    *,
    series: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A B",
            help="The two series, first and second; or --series A --series B.",
        ),
    ] = None,
    per_byte: Annotated[
        bool,
        typer.Option(
            "--per-byte",
            help="The losses are nats per byte of the same text: compare across tokenizers.",
        ),
    ] = False,
    rows: Annotated[SelectOptions, Without("series", "pool")],
    fitting: Annotated[FitOptions, Without("planned_amounts", "weights")],
    options: Annotated[ForecastOptions, Without("bootstraps", "diagnostics", "compute")],
    chance: ChanceOption = None,
    loss_from: LossFromOption = None,
    out: Annotated[
        Path | None,
        out_folder("Folder for comparison.json and the pictures (SVG, PNG)."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say which of two pretraining series emerges first, at equal loss and at equal compute.

    Each series is fitted on its own. Beside the answer stands the baseline that needs no forecast:
    which series scores higher at one size now. Exit status 3 when a forecast is refused.

    Example: `emergecast compare table.csv --task mmlu --series v1 v2 --at-chance-only -o compare`
    """
    comparison = compare_series(
        read_table(table, chance=chance, loss_from=loss_from, axis=rows.axis, shift=rows.shift),
        (*(series or ()), *(more or ())) or None,
        rows=rows,
        fitting=fitting,
        rules=options.rules,
        per_byte=per_byte,
    )
    record = comparison.to_dict()
    deliver(
        record,
        lambda: "\n".join(_text(comparison)),
        None if out is None else lambda: _write(comparison, record, out),
        as_json=as_json,
    )
    if any(forecast.elbow is None for forecast in comparison.forecasts):
        raise typer.Exit(REFUSED)


def _write(comparison: Comparison, record: dict[str, Any], out: Path) -> list[Path]:
    from emergecast.files import save_text
    from emergecast.report import comparison_distribution, comparison_fan, save

    written = [save_text(as_text(record), out, "comparison.json")]
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
        yield from wrapped(f"WARNING: {comparison.warnings[0]}")
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
        yield from wrapped(_ranking(ranking, (a, b)), "  ")
    if comparison.no_ranking:
        yield from wrapped(f"- none: {comparison.no_ranking}.", "  ")
    rest = comparison.warnings if comparison.comparable else comparison.warnings[1:]
    if rest:
        yield ""
    for text in rest:
        yield from wrapped(f"Warning: {text}")


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
            yield from wrapped(f"{name}: {hidden_text(selection)}", "  ")


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
