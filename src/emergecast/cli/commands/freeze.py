"""Commands of the track record: freeze, score."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emergecast.cli._compute_options import (
    ByDateOption,
    ComputeOptimalOption,
    ModelSizeOption,
    NoAnchorOption,
    ScalingLawOption,
    TokenBudgetOption,
    TokensPerParamOption,
    compute_options,
)
from emergecast.cli._failures import REFUSED
from emergecast.cli._options import (
    AtChanceOnlyOption,
    AxisOption,
    ChanceOption,
    ExcludeOption,
    FewShotAmountOption,
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
    ShiftOption,
    ShotsOption,
    TableArgument,
    ThresholdOption,
    WhereOption,
    numbers,
    rules_of,
    select_options,
)
from emergecast.errors import FrozenError

if TYPE_CHECKING:
    from emergecast.track_record import FrozenForecast, FrozenScore, TrackRecord

WIDTH = 100


def freeze(
    table: TableArgument,
    task: Annotated[str | None, typer.Option("--task", help="Task to forecast.")] = None,
    series: Annotated[
        list[str] | None, typer.Option("--series", help="Series to fit; repeatable with --pool.")
    ] = None,
    pool: PoolOption = False,
    at_chance_only: AtChanceOnlyOption = False,
    min_loss: MinLossOption = None,
    max_loss: MaxLossOption = None,
    exclude: ExcludeOption = None,
    where: WhereOption = None,
    metric: MetricOption = None,
    method: MethodOption = None,
    shots: ShotsOption = None,
    loss_corpus: LossCorpusOption = None,
    few_shot_examples: FewShotAmountOption = None,
    axis: AxisOption = "loss",
    shift: ShiftOption = "examples",
    law: LawOption = None,
    prior: PriorOption = None,
    threshold: ThresholdOption = None,
    lower_is_better: LowerIsBetterOption = None,
    chance: ChanceOption = None,
    loss_from: LossFromOption = None,
    scaling_law: ScalingLawOption = None,
    tokens_per_param: TokensPerParamOption = None,
    token_budget: TokenBudgetOption = None,
    model_size: ModelSizeOption = None,
    compute_optimal: ComputeOptimalOption = False,
    no_anchor: NoAnchorOption = False,
    compute_by_date: ByDateOption = None,
    note: Annotated[str | None, typer.Option(help="Anything to remember, in words.")] = None,
    out: Annotated[
        Path, typer.Option("-o", "--out", help="New file to write; never overwritten.")
    ] = Path("forecast.frozen.json"),
    as_json: JsonOption = False,
) -> None:
    """Write a forecast down, dated and sealed, to be scored when stronger checkpoints exist.

    The file holds the distribution, the rows and every setting, and a SHA-256 over all of it. A
    refused forecast is frozen too and counts as refused (exit status 3).

    Example: `emergecast freeze table.csv --task mmlu -o mmlu.frozen.json`
    """
    from emergecast.forecasts import forecast
    from emergecast.inference import DEFAULT_LAW, fit
    from emergecast.measurements import read_table
    from emergecast.track_record import freeze as freeze_forecast

    if out.exists():
        raise FrozenError(
            f'"{out}" is there already, and a frozen forecast is never overwritten. Choose another '
            "name with -o."
        )
    options = select_options(
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
        axis=axis,
        shift=shift,
    )
    rules = rules_of(threshold)
    compute = compute_options(
        scaling_law,
        tokens_per_param=tokens_per_param,
        token_budget=token_budget,
        model_size=model_size,
        compute_optimal=compute_optimal,
        no_anchor=no_anchor,
        by_date=compute_by_date,
    )
    rows = read_table(table, chance=chance, loss_from=loss_from, axis=axis, shift=shift)
    fitted = fit(
        rows,
        select_options=options,
        law=law or DEFAULT_LAW,
        few_shot_examples=few_shot_examples,
        priors=numbers(prior, "--prior"),
    )
    made = forecast(fitted, bootstraps=0, rules=rules, compute=compute)
    frozen = freeze_forecast(made, options=options, note=note)
    frozen.write(out)
    if as_json:
        print(json.dumps({**_summary(frozen), "file": str(out)}, indent=2))
    else:
        _print_frozen(frozen, out)
    if frozen.elbow is None:
        raise typer.Exit(REFUSED)


def score(
    frozen: Annotated[list[Path], typer.Argument(help="Files that `emergecast freeze` wrote.")],
    table: Annotated[
        Path | None, typer.Option("--table", help="Table that holds the later checkpoints.")
    ] = None,
    truth: Annotated[
        float | None,
        typer.Option(
            "--truth",
            metavar="ELBOW",
            help="The few-shot elbow in the unit of the forecast's axis (nats of loss unless "
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
    chance: ChanceOption = None,
    loss_from: LossFromOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score frozen forecasts against what came later.

    Hit or miss of the 90% interval, CRPS and log score, beside the guess that nothing changes; and
    a tally over all of them. A forecast whose truth is not visible yet is pending.

    Example: `emergecast score mmlu.frozen.json --table later.csv --tally track.jsonl`
    """
    from emergecast.errors import OptionError
    from emergecast.measurements import read_table
    from emergecast.track_record import read_frozen, score_frozen, track_record

    forecasts = [read_frozen(path) for path in frozen]
    if truth is not None and len({each.sha256 for each in forecasts}) > 1:
        raise OptionError(
            f"--truth is the elbow of one forecast, and there are {len(forecasts)} files. Score "
            "them one by one, or give --table."
        )
    scores = []
    for each in forecasts:
        asked = {"axis": each.options.axis, "shift": each.options.shift}
        rows = table and read_table(table, chance=chance, loss_from=loss_from, **asked)
        scores.append(score_frozen(each, rows, truth=truth, ignore_filters=ignore_filters))
    everything = scores if record is None else _add(scores, record)
    tally = track_record(everything)
    if as_json:
        record_of_all = {"scores": [s.to_dict() for s in scores], "tally": tally.to_dict()}
        print(json.dumps(record_of_all, indent=2, allow_nan=False))
        return
    for found in scores:
        print("\n".join(_score_lines(found)), end="\n\n")
    if len(everything) > 1 or record is not None:
        print("\n".join(_tally_lines(tally)))


# ------------------------------------------------------------------------------------ tally file


def _add(scores: list[FrozenScore], path: Path) -> list[FrozenScore]:
    """All scores of the file after these were added; a score that is there already is not again."""
    from emergecast.track_record import FrozenScore

    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    known = [FrozenScore.from_dict(_line(text, path)) for text in lines if text.strip()]
    latest = {each.sha256: each for each in known}
    new = [each for each in scores if latest.get(each.sha256) != each]
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(each.to_dict(), allow_nan=False) + "\n" for each in new)
    return [*known, *new]


def _line(text: str, path: Path) -> dict[str, object]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise FrozenError(
            f'"{path}" is not a tally: a line is not JSON ({error}). Start a new file.'
        ) from None
    if not isinstance(found, dict):
        raise FrozenError(f'"{path}" is not a tally: a line is not an object. Start a new file.')
    return found


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
        print(_wrapped(f"REFUSED  {frozen.name}: {frozen.forecast['reasons'][0]}"))
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
        print(_wrapped(f"Changed by hand: {said}."))
    print(_wrapped(frozen.target))
    print(f"\nFrozen {frozen.frozen_at:%Y-%m-%d %H:%M:%S} UTC in {out}\nSHA-256 {frozen.sha256}")
    print("To prove the date, publish that hash, or commit the file, where others see it.")


def _score_lines(score: FrozenScore) -> list[str]:
    """One forecast: hit or miss first."""
    from emergecast.track_record import ScoreStatus

    head = f"{score.name} (frozen {score.frozen_at[:10]}, {score.verdict})"
    lines = [f"{_WORDS[score.hit]}  {head}"]
    if score.status is not ScoreStatus.SCORED:
        lines = [f"{score.status.upper()}  {head}"]
    lines.append(_wrapped(score.reason))
    if score.status is ScoreStatus.SCORED:
        lines.append(
            f"Forecast {score.p50:.3f} (90%: {score.p05:.3f} to {score.p95:.3f}): off by "
            f"{_number(score.p50, score.truth)} {score.unit}; P(elbow <= truth) {score.pit:.3f}"
        )
        lines.append(
            f"CRPS {score.crps:.4f} {score.unit} (no change: {score.no_change:.4f}); log score "
            f"{score.log_score:.2f}"
        )
    return [*lines, *(_wrapped(f"Warning: {text}") for text in score.warnings)]


_WORDS = {True: "HIT", False: "MISS", None: "?"}


def _number(forecast: float | None, truth: float | None) -> str:
    return "?" if forecast is None or truth is None else f"{forecast - truth:+.3f}"


def _tally_lines(tally: TrackRecord) -> list[str]:
    """The track record as a table, one line a verdict."""
    parts = [("all", tally)]
    parts += [(f"- {name}", each) for name, each in tally.by_known.items()]
    parts += [(str(key), each) for key, each in tally.by_verdict.items()]
    width = max(11, *(len(name) + 1 for name, _ in parts))
    lines = [
        "Track record (means over the scored forecasts)",
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
        lines.append(
            _wrapped(
                f"{tally.infinite} of the log scores are minus infinity (the density at the truth "
                "was 0), and so is every mean that holds one; the median stands beside it."
            )
        )
    if tally.by_known:
        lines.append(
            _wrapped(
                f"Of the {tally.n} scored, {tally.known} known already: the table they were frozen "
                "on held the later checkpoints, or some of them. Those are backtests."
            )
        )
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


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent="  ", break_long_words=False)
