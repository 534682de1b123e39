"""Commands of the track record: freeze, score."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from emergecast.cli._compute_options import AllocationAsked, LawAsked
from emergecast.cli._failures import REFUSED
from emergecast.cli._from_records import Without
from emergecast.cli._options import (
    ChanceOption,
    JsonOption,
    LossFromOption,
    TableArgument,
    out_file,
)
from emergecast.cli._output import as_text, deliver
from emergecast.cli._wrap import wrapped
from emergecast.errors import FrozenError, OptionError
from emergecast.forecasts import ForecastOptions, forecast
from emergecast.inference import FitOptions
from emergecast.measurements import SelectOptions, read_table
from emergecast.track_record import (
    Against,
    FrozenForecast,
    FrozenScore,
    ScoreStatus,
    TallyFile,
    TrackRecord,
    add_to_tally,
    read_frozen,
    score_frozen,
    signature_of,
    track_record,
)
from emergecast.track_record import freeze as freeze_forecast


def freeze(
    table: TableArgument,
    *,
    rows: SelectOptions,
    fitting: Annotated[FitOptions, Without("planned_amounts", "weights")],
    options: Annotated[ForecastOptions, Without("bootstraps", "diagnostics", "compute")],
    law: LawAsked,
    allocation: AllocationAsked,
    chance: ChanceOption = None,
    loss_from: LossFromOption = None,
    note: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Anything to remember, in words.")
    ] = None,
    sign: Annotated[
        Path | None,
        typer.Option(
            metavar="KEY",
            exists=True,
            dir_okay=False,
            help="Sign the file with this OpenSSH key; the signature goes to a file beside it.",
        ),
    ] = None,
    invented: Annotated[
        bool,
        typer.Option(
            "--invented", help="Freeze invented scores too: a record that no tally counts."
        ),
    ] = False,
    out: Annotated[Path, out_file("New file to write; never overwritten.")] = Path(
        "forecast.frozen.json"
    ),
    as_json: JsonOption = False,
) -> None:
    """Write a forecast down, dated and sealed, to be scored when stronger checkpoints exist.

    The file holds the distribution, the rows and every setting, and a SHA-256 over all of it. A
    refused forecast is frozen too and counts as refused (exit status 3).

    Example: `emergecast freeze table.csv --task mmlu -o mmlu.frozen.json`
    """
    if out.exists():
        raise FrozenError(
            f'"{out}" is there already, and a frozen forecast is never overwritten. Choose another '
            "name with -o."
        )
    options = replace(options, bootstraps=0, compute=law.options(allocation))
    measured = read_table(
        table, chance=chance, loss_from=loss_from, axis=rows.axis, shift=rows.shift
    )
    made = forecast(measured, rows, fitting, options)
    frozen = freeze_forecast(made, options=rows, note=note, invented=invented)
    frozen.write(out, sign=sign)
    signed = None if sign is None else str(signature_of(out))
    if as_json:
        summary = {**_summary(frozen), "file": str(out), "signature": signed}
        print(as_text(summary), end="")
    else:
        _print_frozen(frozen, out)
        if signed is not None:
            print(f"Signed with {sign}: {signed}")
    if frozen.elbow is None:
        raise typer.Exit(REFUSED)


def score(
    frozen: Annotated[list[Path], typer.Argument(help="Files that `emergecast freeze` wrote.")],
    *,
    against: Against,
    table: Annotated[
        Path | None, typer.Option("--table", help="Table that holds the later checkpoints.")
    ] = None,
    truth: Annotated[
        float | None,
        typer.Option(
            "--truth",
            metavar="ELBOW",
            help="The few-shot elbow (or --target) in the unit of the axis (nats of loss unless "
            "--axis was given), where it is known otherwise.",
        ),
    ] = None,
    ignore_filters: Annotated[
        bool,
        typer.Option(
            "--ignore-filters",
            help="Drop the --where and --exclude that the forecast was frozen with.",
        ),
    ] = False,
    record: Annotated[
        Path | None,
        typer.Option(
            "--tally",
            metavar="FILE",
            help="JSON Lines file to add these scores to; the tally is then over all of it.",
        ),
    ] = None,
    signers: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Take only files that one of these people signed (OpenSSH's allowed signers).",
        ),
    ] = None,
    chance: ChanceOption = None,
    loss_from: LossFromOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score frozen forecasts against what came later.

    Hit or miss of the 90% interval, CRPS and log score, beside the guess that nothing changes; and
    a tally over all of them. A forecast whose truth is not visible yet is pending.

    Example: `emergecast score mmlu.frozen.json --table later.csv --tally track.jsonl`
    """
    forecasts = [read_frozen(path, signers=signers) for path in frozen]
    if truth is not None and len({each.sha256 for each in forecasts}) > 1:
        raise OptionError(
            f"--truth is the elbow of one forecast, and there are {len(forecasts)} files. Score "
            "them one by one, or give --table."
        )
    scores = []
    for each in forecasts:
        asked = {"axis": each.options.axis, "shift": each.options.shift}
        rows = table and read_table(table, chance=chance, loss_from=loss_from, **asked)
        scores.append(
            score_frozen(each, rows, truth=truth, ignore_filters=ignore_filters, against=against)
        )
    kept = TallyFile(scores=tuple(scores)) if record is None else add_to_tally(record, scores)
    tally = track_record(kept.scores, target=against.target)
    parts = [_score_lines(found) for found in scores]
    if len(kept.scores) > 1 or record is not None:
        parts.append(_tally_lines(tally, kept.torn))
    deliver(
        {
            "scores": [each.to_dict() for each in scores],
            "tally": tally.to_dict(),
            "torn": list(kept.torn),
        },
        lambda: "\n\n".join("\n".join(part) for part in parts),
        as_json=as_json,
    )


# ------------------------------------------------------------------------------------ showing


def _summary(frozen: FrozenForecast) -> dict[str, object]:
    return {
        "task": frozen.task,
        "series": list(frozen.series),
        "verdict": str(frozen.verdict),
        "elbow": frozen.elbow,
        "frozen_at": frozen.frozen_at.isoformat(),
        "table_hash": frozen.table_hash,
        "sha256": frozen.sha256,
        "target": frozen.target,
    }


def _print_frozen(frozen: FrozenForecast, out: Path) -> None:
    if frozen.elbow is None:
        print("\n".join(wrapped(f"REFUSED  {frozen.name}: {frozen.forecast['reasons'][0]}", "  ")))
    else:
        e = frozen.elbow
        print(
            f"{frozen.verdict.upper()}  {frozen.name}: few-shot emergence at {e['p50']:.3f} "
            f"{frozen.unit}, "
            f"90% interval {e['p05']:.3f} to {e['p95']:.3f}"
        )
    if changed := frozen.forecast.get("overridden"):  # files of version 0.1.0 do not say
        said = ", ".join(
            f"{each['kind']} {each['name']} {each['value']:g} (default {each['default']:g})"
            for each in changed
        )
        print("\n".join(wrapped(f"Changed by hand: {said}.", "  ")))
    print("\n".join(wrapped(frozen.target, "  ")))
    print(f"\nFrozen {frozen.frozen_at:%Y-%m-%d %H:%M:%S} UTC in {out}\nSHA-256 {frozen.sha256}")
    print("To prove the date, publish that hash, or commit the file, where others see it.")


def _score_lines(score: FrozenScore) -> list[str]:
    """One forecast: hit or miss first."""
    head = f"{score.name} (frozen {score.frozen_at[:10]}, {score.verdict})"
    lines = [f"{_WORDS[score.hit]}  {head}"]
    if score.status is not ScoreStatus.SCORED:
        lines = [f"{score.status.upper()}  {head}"]
    lines += wrapped(score.reason, "  ")
    if score.signed_by is not None:
        lines.append(f"Signed by {score.signed_by}")
    if score.status is ScoreStatus.SCORED:
        lines.append(
            f"Forecast {score.p50:.3f} (90%: {score.p05:.3f} to {score.p95:.3f}): off by "
            f"{_number(score.p50, score.truth)} {score.unit}; P(elbow <= truth) {score.pit:.3f}"
        )
        lines.append(
            f"CRPS {score.crps:.4f} {score.unit} (no change: {score.no_change:.4f}); log score "
            f"{score.log_score:.2f}"
        )
    return lines + [line for text in score.warnings for line in wrapped(f"Warning: {text}", "  ")]


_WORDS = {True: "HIT", False: "MISS", None: "?"}


def _number(forecast: float | None, truth: float | None) -> str:
    return "?" if forecast is None or truth is None else f"{forecast - truth:+.3f}"


def _tally_lines(tally: TrackRecord, torn: tuple[str, ...]) -> list[str]:
    """The track record as a table, one line a verdict."""
    parts = [("all", tally)]
    parts += [(f"- {name}", each) for name, each in tally.by_known.items()]
    parts += [(str(key), each) for key, each in tally.by_verdict.items()]
    width = max(11, *(len(name) + 1 for name, _ in parts))
    lines = [
        f"Track record (truths: {tally.target}; means over the scored forecasts)",
        (
            f"{'verdict':<{width}}{'scored':>7}{'pending':>9}{'refused':>9}{'hits':>6}"
            f"{'90% covers (interval)':>24}{'CRPS':>9}{'no change':>11}{'skill':>8}"
            f"{'log score':>11}{'median':>8}"
        ),
    ]
    for name, each in parts:
        lines.append(
            f"{name:<{width}}{each.n:>7}{each.pending:>9}{each.refused:>9}{each.hits:>6}"
            f"{_coverage(each):>24}{_cell(each.mean_crps, '.4f'):>9}"
            f"{_cell(each.mean_no_change, '.4f'):>11}{_cell(each.skill, '+.0%'):>8}"
            f"{_cell(each.mean_log_score, '.2f'):>11}{_cell(each.median_log_score, '.2f'):>8}"
        )
    counts = " ".join(str(count) for count in tally.pit_counts)
    lines.append(f"Truths by tenth of the forecast (even where calibrated): {counts}")
    if tally.infinite:
        lines += wrapped(
            f"{tally.infinite} of the log scores are minus infinity (the density at the truth "
            "was 0), and so is every mean that holds one; the median stands beside it.",
            "  ",
        )
    if tally.by_known:
        lines += wrapped(
            f"Of the {tally.n} scored, {tally.known} known already: the table they were frozen "
            "on held the later checkpoints, or some of them. Those are backtests.",
            "  ",
        )
    for text in (*tally.repeated, *torn):
        lines += wrapped(f"Warning: {text}", "  ")
    if tally.n and tally.mean_crps is None:
        lines.append("The forecasts are in several units, so their scores have no common mean.")
    lines.append(
        "The interval takes forecasts as independent; those of one series or task are not."
    )
    return lines


def _coverage(tally: TrackRecord) -> str:
    if tally.coverage is None or tally.coverage_low is None or tally.coverage_high is None:
        return "-"
    return f"{tally.coverage:.0%} ({tally.coverage_low:.0%}-{tally.coverage_high:.0%})"


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
