"""May the forecast be trusted? The rules of the verdict, and the sentences that explain it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from emergecast.diagnostics import Diagnostics, diagnose
from emergecast.emergence_law import Law, LawForm
from emergecast.forecasts._doubts import doubts
from emergecast.forecasts._thresholds import Thresholds
from emergecast.inference import FitStatus, Mixture
from emergecast.measurements import ABOVE_CHANCE, above_chance
from emergecast.suggestions import ladder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emergecast.inference import Fit, Posterior
    from emergecast.observed import GroundTruths

PLAIN_FORMS = (LawForm.LOG_POWER, LawForm.POWER)
"""Laws that a single law is compared with."""
NEGLIGIBLE = 0.01
"""Weight below which what a law says changes nothing."""


class Verdict(StrEnum):
    """What kind of answer this is."""

    OBSERVED = "observed"
    """The few-shot rows themselves show the elbow: it is measured, not forecast."""
    IDENTIFIED = "identified"
    """The rows, rather than the priors or the choice of law, decide the answer."""
    WEAK = "weak"
    """A forecast that leans on priors or on one law, or that is wide."""
    REFUSED = "refused"
    """The rows carry no forecast."""


Assumption: TypeAlias = Literal["few_shot_examples", "priors", "law"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """The forecast under one other assumption; losses in nats."""

    kind: Assumption
    """Which assumption."""
    what: str
    """The assumption, in words."""
    p05: float
    """5% quantile."""
    p50: float
    """Median."""
    p95: float
    """95% quantile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict with its reasons, and the other fits that were needed to reach it."""

    verdict: Verdict
    reasons: tuple[str, ...]
    sensitivity: tuple[Sensitivity, ...] = ()
    diagnostics: Diagnostics | None = None
    """None where they were left out."""


FALLING = 4.0
"""Correlation of loss and finetuned score, in its standard errors, from which scores fall."""
NOT_DIAGNOSED = (
    "The diagnostics were left out, so nothing has checked what the answer hangs on and whether "
    "the laws fit the rows: run it without --no-diagnostics before you rely on it."
)


def refusal(fit: Fit, thresholds: Thresholds) -> tuple[str, ...]:
    """Why there is no forecast of these rows, in sentences; empty where there is one."""
    reasons = _structural(fit, thresholds) or _no_evidence(fit, thresholds)
    doubt = fit.selection.chance_doubt
    if reasons and doubt is not None:
        level = f"The scores contradict their chance level, {doubt.level:g} (see the warning)"
        reasons = [f"{level}: correct it first, since what follows takes it as right.", *reasons]
    return tuple(reasons)


def without_finetuned(fit: Fit, shown: GroundTruths) -> Judgement:
    """The verdict on rows of which none is finetuned: there is no law to follow.

    Args:
        fit: the rows.
        shown: what its few-shot rows show by themselves, on the axis.
    """
    axis = fit.selection.axis
    if shown.elbow is None:
        bounds = fit.selection.hidden_reason or ""
        reason = (
            f"There are no finetuned rows, so there is no elbow to follow. {shown.no_elbow} "
            f"{bounds} Finetune these checkpoints on three amounts of data or more, or add "
            "few-shot scores of stronger checkpoints."
        )
        return Judgement(verdict=Verdict.REFUSED, reasons=(" ".join(reason.split()),))
    found = " and ".join(
        f"the {each.target} at {axis.number(each.loss)} {axis.unit} (90%: {axis.number(each.p05)} "
        f"to {axis.number(each.p95)})"
        for each in (shown.elbow, shown.crossing)
        if each is not None
    )
    said = f"There are no finetuned rows, and the few-shot scores themselves show {found}: "
    said += "this is a measurement, not a forecast."
    rest = () if shown.no_crossing is None else (shown.no_crossing,)
    return Judgement(verdict=Verdict.OBSERVED, reasons=(said, *rest))


def judge(fit: Fit, thresholds: Thresholds, *, diagnosed: bool) -> Judgement:
    """The verdict on a fit that is not refused, by the rules of docs/model.md.

    Without diagnostics (`diagnosed` false) no forecast is identified.
    """
    sensitivity = _sensitivity(fit)
    diagnostics = diagnose(fit) if diagnosed else None
    weak = _weaknesses(fit, sensitivity, thresholds)
    weak += [NOT_DIAGNOSED] if diagnostics is None else doubts(fit, diagnostics, thresholds)
    seen = _observed(fit, thresholds)
    if seen is not None:
        verdict, said = Verdict.OBSERVED, (seen, *weak)
    elif weak:
        verdict, said = Verdict.WEAK, (*weak, _next_measurement(fit, thresholds))
    else:
        low, high = fit.posterior.quantile([0.05, 0.95])
        reason = (
            f"The 90% interval is {high - low:.2f} {fit.selection.axis.unit} wide, no single row, "
            "prior or law moves the answer by more than is allowed, and the laws fit the rows."
        )
        verdict, said = Verdict.IDENTIFIED, (reason,)
    return Judgement(
        verdict=verdict, reasons=said, sensitivity=sensitivity, diagnostics=diagnostics
    )


def checkpoints_above_chance(fit: Fit) -> NDArray[np.int64]:
    """Checkpoints that are above chance at each level (few-shot first), shape (J + 1,)."""
    selection, data = fit.selection, fit.data
    above = above_chance(selection.rows, selection.metric_kind, selection.chance)
    return np.array(
        [
            np.unique(data.checkpoint[above & (data.level == level)]).size
            for level in range(data.amounts.size + 1)
        ]
    )


# ------------------------------------------------------------------------------------ refused


def _structural(fit: Fit, thresholds: Thresholds) -> list[str]:
    """What the rows lack, before any inference."""
    data, shift = fit.data, fit.selection.shift
    reasons = []
    if data.n_checkpoints < thresholds.min_checkpoints:
        reasons.append(
            f"{_there_are(data.n_checkpoints, 'checkpoint')}, and a forecast needs at least "
            f"{thresholds.min_checkpoints}: measure more checkpoints of this series."
        )
    if data.amounts.size < thresholds.min_amounts:
        amounts = ", ".join(shift.number(float(amount)) for amount in data.amounts)
        what = "finetuning amount" if shift.is_examples else f"{shift.unit} amount"
        remedy = "finetune on more amounts of data" if shift.is_examples else "measure more amounts"
        reasons.append(
            f"{_there_are(data.amounts.size, what)} ({amounts}), and the law needs at least "
            f"{thresholds.min_amounts}: {remedy}."
        )
    if checkpoints_above_chance(fit)[1:].max() < thresholds.seen_checkpoints:
        reasons.append(
            f"No finetuned curve leaves chance (at least {thresholds.seen_checkpoints} checkpoints "
            f"above {ABOVE_CHANCE}): {_try(fit, 'the strongest checkpoints')} more than "
            f"{_amount(fit, float(data.amounts[-1]))}, or wait for a stronger checkpoint."
        )
    return reasons


def _amount(fit: Fit, internal: float) -> str:
    """An amount of what shifts the elbow, in its own unit."""
    shift = fit.selection.shift
    return f"{shift.number(internal)} {shift.unit}"


def _try(fit: Fit, whom: str = "") -> str:
    """What to do with an amount: finetune on examples; of anything else, measure with it."""
    verb, preposition = ("finetune", "on") if fit.selection.shift.is_examples else ("measure", "at")
    return " ".join(part for part in (verb, whom, preposition) if part)


def _there_are(count: int, noun: str) -> str:
    return f"There is 1 {noun}" if count == 1 else f"There are {count} {noun}s"


def _no_evidence(fit: Fit, thresholds: Thresholds) -> list[str]:
    """Whether the rise past an elbow explains the scores better than chance and noise do."""
    data = fit.data
    tuned = data.level > 0
    loss, score = data.loss[tuned], data.score[tuned]
    trend = float(np.corrcoef(loss, score)[0, 1]) if loss.std() * score.std() > 0 else 0.0
    enough = fit.log_bayes_factor >= math.log(thresholds.evidence)
    # a law whose elbow lies above every checkpoint explains scores that are all above chance
    if enough and trend * math.sqrt(loss.size) < FALLING:
        return []
    if trend > 1e-9:
        reason = (
            "The slope has the wrong sign: finetuned scores fall as the loss falls, so there is no "
            "elbow to follow. Check the loss column and the orientation of the metric."
        )
        return [reason]
    odds = math.exp(min(fit.log_bayes_factor, 700.0))
    reason = (
        "The finetuned scores rise no more surely than noise does (the law is "
        f"{odds:.2g} times as likely as scores that never leave chance; at least "
        f"{thresholds.evidence:g} times is asked for): evaluate on more items, repeat runs, or "
        f"{_try(fit)} more than {_amount(fit, float(data.amounts[-1]))}."
    )
    return [reason]


# ------------------------------------------------------------------------------------ observed


def _observed(fit: Fit, thresholds: Thresholds) -> str | None:
    """A sentence, if the few-shot rows themselves show the elbow."""
    data = fit.data
    count = int(checkpoints_above_chance(fit)[0])
    if count < thresholds.seen_checkpoints:
        return None
    strongest = float(data.loss[data.few_shot].min())
    probability = float(fit.posterior.emerged(strongest))
    if probability < thresholds.observed:
        return None
    axis = fit.selection.axis
    side = "below" if axis.higher_is_stronger else "above"
    return (
        f"{count} checkpoints are above chance few-shot already, and the elbow lies {side} the "
        f"strongest {axis.label}, {axis.number(axis.to_axis(strongest))}, with probability "
        f"{probability:.3f}: this is a measurement, not a forecast."
    )


# ---------------------------------------------------------------------------- weak or identified


def _sensitivity(fit: Fit) -> tuple[Sensitivity, ...]:
    """The forecast at other D0, under doubled priors, and under the other laws."""
    data = fit.data
    rows = []
    for amount in _other_few_shot_examples(data.few_shot_examples, float(data.amounts[0])):
        other = fit.posterior_if(few_shot_examples=amount)
        rows.append(_row("few_shot_examples", f"read off at D0 = {read_off(fit, amount)}", other))
    doubled = fit.posterior_if(priors=fit.priors.widened(2.0))
    rows.append(_row("priors", "prior scales doubled", doubled))
    if isinstance(fit.law, Mixture):
        others = list(fit.members)
    else:
        others = [fit.with_law(form) for form in PLAIN_FORMS if Law(form=form) != fit.law]
    rows += [_row("law", f"{other.law} law", other.posterior) for other in others]
    return tuple(rows)


def read_off(fit: Fit, amount: float) -> str:
    """D0 as text: a number of examples, or an amount with its unit."""
    return f"{amount:g}" if fit.selection.shift.is_examples else _amount(fit, amount)


def _other_few_shot_examples(current: float, smallest: float) -> list[float]:
    """Up to three other amounts from 1 to ten times D0, none above the smallest finetuning D."""
    wanted = [1.0, current * 2, current * 10]
    return sorted({amount for amount in wanted if amount <= smallest and amount != current})


def _row(kind: Assumption, what: str, posterior: Posterior) -> Sensitivity:
    p05, p50, p95 = (float(value) for value in posterior.quantile([0.05, 0.5, 0.95]))
    return Sensitivity(kind=kind, what=what, p05=p05, p50=p50, p95=p95)


def _weaknesses(
    fit: Fit, sensitivity: tuple[Sensitivity, ...], thresholds: Thresholds
) -> list[str]:
    posterior, unit = fit.posterior, fit.selection.axis.unit
    low, high = (float(value) for value in posterior.quantile([0.05, 0.95]))
    reasons = []
    if high - low > thresholds.width:
        reasons.append(
            f"The 90% interval is {high - low:.2f} {unit} wide; identified asks for at most "
            f"{thresholds.width:g}."
        )
    share = posterior.sd / fit.prior_sd
    if share > thresholds.prior_share:
        reasons.append(
            f"The posterior is {share:.0%} as wide as the prior (at most "
            f"{thresholds.prior_share:.0%} is asked for), so the priors say much of this answer."
        )
    seen = int(np.count_nonzero(checkpoints_above_chance(fit)[1:] >= thresholds.seen_checkpoints))
    if seen < thresholds.elbows_seen:
        reasons.append(
            f"Only {seen} of {fit.data.amounts.size} finetuning amounts visibly leave chance; "
            f"tracing the law takes {thresholds.elbows_seen}."
        )
    if fit.log_bayes_factor < math.log(thresholds.firm_evidence):
        reasons.append(
            f"The law is only {math.exp(fit.log_bayes_factor):.2g} times as likely as scores "
            f"that never leave chance ({thresholds.firm_evidence:g} times is asked for)."
        )
    reasons += _moved(fit, sensitivity, thresholds)
    reasons += fit.selection.suspicions
    if fit.status is FitStatus.INACCURATE:
        reasons.append(FitStatus.INACCURATE.sentence)
    if fit.status is FitStatus.UNBOUNDED:
        reasons.append(
            "Without priors these rows do not bound the elbow (the likelihood has no maximum): "
            "measure more data amounts, or stronger checkpoints."
        )
    return reasons


def _moved(fit: Fit, sensitivity: tuple[Sensitivity, ...], thresholds: Thresholds) -> list[str]:
    """Which other priors, D0 and laws move the median too far."""
    axis, median = fit.selection.axis, float(fit.posterior.quantile(0.5))
    reasons = []
    gaps = {row: row.p50 - median for row in sensitivity}
    for row, gap in gaps.items():
        if row.kind == "priors" and abs(gap) >= thresholds.prior_shift:
            reasons.append(
                f"Doubling the scales of all priors moves the median by "
                f"{axis.to_axis(gap):+.4f} {axis.unit} (less than {thresholds.prior_shift:g} is "
                "asked for)."
            )
        if row.kind == "few_shot_examples" and abs(gap) > thresholds.few_shot_shift:
            reasons.append(
                f"Which amount of data is like few-shot matters: {row.what}, the median moves by "
                f"{axis.to_axis(gap):+.3f} {axis.unit} (at most {thresholds.few_shot_shift:g} is "
                f"asked for): {_try(fit)} less, nearer to few-shot."
            )
    light = {
        f"{member.law} law"
        for member, weight in zip(fit.members, fit.weights, strict=True)
        if weight < NEGLIGIBLE
    }
    apart = {row: gap for row, gap in gaps.items() if row.kind == "law" and row.what not in light}
    far = {row: gap for row, gap in apart.items() if abs(gap) > thresholds.law_gap}
    if far:
        row = max(far, key=lambda each: abs(far[each]))
        others = f" ({len(far)} of {len(apart)} laws lie too far)" if len(apart) > 1 else ""
        reasons.append(
            f"The laws disagree: the {row.what} puts the median at "
            f"{axis.number(axis.to_axis(row.p50))}, {abs(far[row]):.3f} {axis.unit} away (at most "
            f"{thresholds.law_gap:g} is asked for){others}."
        )
    return reasons


def _next_measurement(fit: Fit, thresholds: Thresholds) -> str:
    """What to measure next, in one sentence: amounts that `suggest` would consider too."""
    data, axis, shift = fit.data, fit.selection.axis, fit.selection.shift
    stronger = f"checkpoint of {'higher' if axis.higher_is_stronger else 'lower'} {axis.label}"
    counts = checkpoints_above_chance(fit)[1:]
    visible = np.flatnonzero(counts >= thresholds.seen_checkpoints)
    smallest, largest = float(data.amounts[visible[0]]), float(data.amounts[-1])
    below = data.amounts[data.amounts < smallest]
    target = float(below[-1]) if below.size else data.few_shot_examples
    wanted = [math.sqrt(target * smallest)]
    if visible.size < thresholds.elbows_seen:
        wanted = [math.sqrt(smallest * largest)] if visible.size > 1 else []
        wanted += [4 * largest] if shift.is_examples else []  # what lies beyond may not exist
    if shift.is_examples:
        offered = np.array(ladder(fit.selection, data.few_shot_examples) or data.amounts)
        wanted = [float(offered[np.argmin(np.abs(np.log(offered / each)))]) for each in wanted]
    amounts = " and ".join(dict.fromkeys(_about(fit, each) for each in wanted or [largest]))
    plan = " `emergecast suggest` ranks such runs." if axis.is_loss and shift.is_examples else ""
    return (
        f"Measure next: the strongest checkpoints ({axis.label} near "
        f"{axis.number(axis.to_axis(data.strongest_loss))}) "
        f"{'finetuned on' if shift.is_examples else 'at'} about {amounts} {shift.unit}, with "
        f"repeats, and any {stronger}.{plan}"
    )


def _about(fit: Fit, internal: float) -> str:
    """An amount in its own unit, to two significant digits, as a person would choose it."""
    shift = fit.selection.shift
    amount = float(shift.to_shift(internal))
    if not shift.is_examples:
        return f"{amount:.2g}" if amount < 10 else f"{float(f'{amount:.2g}'):,.0f}"
    digits = max(0, math.floor(math.log10(max(amount, 1))) - 1)
    return f"{round(amount / 10**digits) * 10**digits:,}"
