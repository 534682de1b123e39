"""A backtest as lines of text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from emergecast.backtests import FORECAST, RIVALS, BacktestOutcome, Part
from emergecast.cli._wrap import wrapped
from emergecast.cli.texts.forecasts import changed_lines

if TYPE_CHECKING:
    from emergecast.backtests import Backtest, BacktestRow, Skill

TITLES = {
    Part.ABLATIONS: "Design",
    Part.LAWS: "Law",
    Part.D0: "Elbow read off at",
}
NUMBERS = f"{'5%':>7} {'50%':>7} {'95%':>7} {'error':>7}  {'in 90%':>6} {'CRPS':>7} {'log':>6}"


def backtest_text(backtest: Backtest) -> str:
    """The whole backtest for a person to read."""
    parts = [list(_headline(backtest))]
    of = {part: [row for row in backtest.rows if row.part is part] for part in Part}
    if of[Part.LADDER]:
        parts += [list(_ladder(of[Part.LADDER])), list(_skill(backtest))]
    parts += [list(_settings(TITLES[part], of[part])) for part in TITLES if of[part]]
    parts.append(list(_sums(backtest)))
    parts.append([line for text in backtest.warnings for line in wrapped(f"Warning: {text}")])
    return "\n\n".join("\n".join(part) for part in parts if part)


def _headline(backtest: Backtest) -> Iterator[str]:
    truth = backtest.truth
    yield f"BACKTEST  {backtest.title}"
    yield from wrapped(
        f"Truth: the few-shot {truth.target} of all {truth.n} few-shot scores is {truth.loss:.3f} "
        f"nats (90% {truth.p05:.3f} to {truth.p95:.3f}){_other(backtest)}. The "
        f"weakest checkpoint above chance few-shot has loss {backtest.horizon:.3f}; no forecast "
        "below sees it or any stronger one."
    )
    if any(row.stands_in for row in backtest.rows):
        yield from wrapped(
            f"The forecasts are of the elbow, and they are scored against the {truth.target}, as "
            "--stand-in asks for."
        )
    yield from changed_lines(backtest.overridden)
    yield f"Law: {backtest.law}. D0 = {backtest.few_shot_examples:g}. Losses, errors, CRPS in nats."


def _other(backtest: Backtest) -> str:
    """The truth by the other definition, in brackets."""
    other = backtest.other_truth
    if other is None:
        return ""
    return f"; the {other.target} is {other.loss:.3f} ({other.p05:.3f} to {other.p95:.3f})"


def _ladder(rows: list[BacktestRow]) -> Iterator[str]:
    yield "Ladder: the strongest checkpoints hidden step by step"
    yield f"{'':<20} {NUMBERS}  verdict"
    setting = None
    for row in rows:
        if row.setting != setting:
            setting = row.setting
            yield f"{setting}{_ahead(row)}"
        yield f"  {row.forecaster:<18} {_cells(row)}"
        if row.outcome in {
            BacktestOutcome.FAILED,
            BacktestOutcome.REFUSED,
            BacktestOutcome.NOT_POSSIBLE,
        }:
            yield from wrapped(f"    {row.reasons[0]}", "    ")
    yield from _not_defined(rows)


def _not_defined(rows: list[BacktestRow]) -> Iterator[str]:
    """Each baseline that is not defined on some rungs, once, with the first reason, told once."""
    found: dict[str, list[BacktestRow]] = {}
    for row in rows:
        if row.outcome is BacktestOutcome.NOT_DEFINED:
            found.setdefault(row.forecaster, []).append(row)
    rungs = len({row.setting for row in rows})
    told: dict[str, str] = {}
    for name, gone in found.items():
        reason = f"{gone[0].setting}: {gone[0].reasons[0]}"
        why = f", as {told[reason]}." if reason in told else f". {reason}"
        told.setdefault(reason, name)
        yield from wrapped(f"{name} is not defined on {len(gone)} of {rungs} rungs{why}", "  ")


def _ahead(row: BacktestRow) -> str:
    if row.ahead_nats is None:
        return ""
    text = f": {row.n_checkpoints} checkpoints, truth {row.ahead_nats:+.3f} nats ahead"
    return text + ("" if row.ahead_flops is None else f", {row.ahead_flops:.2f} x the FLOPs")


def _settings(title: str, rows: list[BacktestRow]) -> Iterator[str]:
    width = max(len(title), *(len(row.setting) for row in rows))
    yield f"{title:<{width}} {'ckpts':>5} {'D':>3} {NUMBERS}  verdict"
    why: dict[str, list[str]] = {}
    for row in rows:
        size = f"{_whole(row.n_checkpoints):>5} {_whole(row.n_amounts):>3}"
        yield f"{row.setting:<{width}} {size} {_cells(row)}".rstrip()
        if row.outcome is not BacktestOutcome.SCORED:
            why.setdefault(row.reasons[0], []).append(row.setting)
    for reason, settings in why.items():
        yield from wrapped(f"  {'; '.join(settings)}: {reason}", "    ")


def _cells(row: BacktestRow) -> str:
    """Quantiles, error, covered, scores and verdict; what came of the row where it has none."""
    if row.p05 is None or row.p50 is None or row.p95 is None or row.error is None:
        return str(row.outcome)
    inside = "yes" if row.covered else "NO"
    return (
        f"{row.p05:7.3f} {row.p50:7.3f} {row.p95:7.3f} {row.error:+7.3f}  {inside:>6} "
        f"{row.crps:7.4f} {row.log_score:6.2f}  {row.verdict or ''}"
    ).rstrip()


def _skill(backtest: Backtest) -> Iterator[str]:
    """Skill of every forecaster, and in words that of the forecast."""
    found = {(each.forecaster, each.against): each for each in backtest.skill}
    if not found:
        yield "Skill: no rung has both a forecast and a baseline to compare."
        return
    yield from wrapped(
        "Skill on the ladder: 1 - mean CRPS / mean CRPS of the rival; in brackets the mean of "
        "ln(CRPS of the rival / CRPS) per rung. All rungs share one truth: this is one example."
    )
    yield f"{'':<20}" + "".join(f"{f'over {rival}':>18}" for rival in RIVALS) + "  rungs"
    for name in dict.fromkeys(name for name, _ in found):
        own = [found.get((name, str(rival))) for rival in RIVALS]
        rungs = max(each.rungs for each in own if each is not None)
        yield f"  {name:<18}" + "".join(f"{_value(each):>18}" for each in own) + f"  {rungs:>5}"
    for rival in RIVALS:
        of_forecast = found.get((FORECAST, str(rival)))
        if of_forecast is not None and of_forecast.value <= 0:
            yield f"The forecast has NO skill over {rival} here."


def _value(skill: Skill | None) -> str:
    return "" if skill is None else f"{skill.value:+.2f} ({skill.per_rung:+.2f})"


def _sums(backtest: Backtest) -> Iterator[str]:
    head = (
        *("rows", "scored", "refused", "in 90%", "off > 0.1", "off > 0.5"),
        *("identified", "off > 0.1"),
    )
    yield f"{'Forecasts':<12}" + "".join(f"{each:>11}" for each in head)
    for each in backtest.tallies:
        if each.forecaster == "forecast":
            values = (
                *(each.rows, each.scored, each.refused, each.covered),
                *(each.off_by_tenth, each.off_by_half),
                *(each.identified, each.identified_off_by_tenth),
            )
            yield f"{each.part:<12}" + "".join(f"{value:>11}" for value in values)


def _whole(value: int | None) -> str:
    return "" if value is None else str(value)
