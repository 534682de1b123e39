"""What the diagnostics say against a forecast: the rules of the verdict that weigh them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emergecast.diagnostics import FEW_SHOT, RISE

if TYPE_CHECKING:
    from emergecast.diagnostics import Diagnostics, Suspect
    from emergecast.forecasts._thresholds import Thresholds
    from emergecast.inference import Fit

NAMED = 3
"""Rows of one kind that a sentence names at most."""
TASK_DATA = (
    "A checkpoint may have seen task data in pretraining, since its few-shot or lightly finetuned "
    "scores lie far above what others of similar strength predict"
)
NOT_PREDICTED = "A checkpoint is not predicted by the others"
OVERTRAINED = (
    "longer pretraining (or another size or run in one series) may have made these harder to "
    "finetune: vary the learning rate, or leave them out with --exclude"
)


def doubts(fit: Fit, found: Diagnostics, thresholds: Thresholds) -> list[str]:
    """A sentence for each rule that is broken, with the rows it is about and what to do."""
    return [
        *_influence(fit, found, thresholds),
        *_suspects(found, thresholds),
        *_predictive(found, thresholds),
        *_falls(found, thresholds),
        *_trends(fit, found, thresholds),
        *_optima(fit, found),
    ]


def _influence(fit: Fit, found: Diagnostics, thresholds: Thresholds) -> list[str]:
    axis = fit.selection.axis
    reasons = []
    for kind in ("checkpoint", "amount"):
        most = found.most_influential(kind)
        if most is None or abs(most.shift) <= thresholds.influence:
            continue
        if kind == "checkpoint":
            what = f"checkpoint {most.what}"
            remedy = f"measure it again, and more checkpoints of similar {axis.label}"
        elif most.what == FEW_SHOT:
            what, remedy = "the few-shot setting", "measure more checkpoints few-shot"
        else:
            what = f"what was measured at {most.what}"
            remedy = "repeat these runs, and finetune on amounts next to it"
        reasons.append(
            f"The answer hangs on {what}: without its {most.n_rows} "
            f"row{'' if most.n_rows == 1 else 's'} the median moves by "
            f"{axis.to_axis(most.shift):+.3f} {axis.unit} to "
            f"{axis.number(axis.to_axis(most.p50))} (at most {thresholds.influence:g} is asked "
            f"for): {remedy}."
        )
    return reasons


def _suspects(found: Diagnostics, thresholds: Thresholds) -> list[str]:
    far = [each for each in found.suspects if abs(each.z) >= thresholds.surprise]
    above = [each for each in far if each.z > 0 and each.rows != "finetuned"]
    other = [each for each in far if each not in above]
    return [
        f"{what}: {_listed([_suspect(each) for each in group])}. Check these scores, or leave the "
        "checkpoint out with --exclude."
        for group, what in ((above, TASK_DATA), (other, NOT_PREDICTED))
        if group
    ]


def _suspect(each: Suspect) -> str:
    return (
        f"{each.checkpoint} ({_rows(each.rows)} {each.observed:.3f}, predicted "
        f"{each.predicted:.3f}, {each.z:+.1f} standard deviations)"
    )


def _listed(names: list[str]) -> str:
    more = f"; and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return "; ".join(names[:NAMED]) + more


def _rows(name: str) -> str:
    return "few-shot and lightly finetuned" if name == "light" else name


def _predictive(found: Diagnostics, thresholds: Thresholds) -> list[str]:
    failed = [check for check in found.predictive if check.p < thresholds.predictive]
    rise = [check for check in failed if check.what.startswith(RISE)]
    other = [check for check in failed if not check.what.startswith(RISE)]
    asked = f"at least {thresholds.predictive:g} is asked for"
    reasons = [
        "The few-shot scores contradict the finetuned ones: from the weakest to the strongest "
        f"third of the checkpoints they change by {check.observed:+.3f}, where the finetuned ones "
        f"predict {check.expected:+.3f} (p = {check.p:.2g}; {asked}). Check that both are of the "
        "same task, metric and prompt."
        for check in rise
    ]
    if other:
        names = _listed(
            [
                f"{check.what} {check.observed:.3g} where {check.expected:.3g} is expected (p = "
                f"{check.p:.2g})"
                for check in other
            ]
        )
        reasons.append(
            f"The law does not fit the rows ({asked}): {names}. Look at the residuals, and repeat "
            "the runs that stand out."
        )
    return reasons


def _falls(found: Diagnostics, thresholds: Thresholds) -> list[str]:
    sure = [each for each in found.falls if each.p < thresholds.monotonicity]
    reasons = []
    for kind, what, remedy in (
        ("checkpoint", "Finetuned scores fall with stronger checkpoints", OVERTRAINED),
        ("amount", "Scores fall with more finetuning data", "check for overfitting, repeat runs"),
    ):
        names = [
            f"from {each.high} to {each.low} by {each.fall:.3f} at {each.where}"
            for each in sure
            if each.kind == kind
        ]
        if names:
            reasons.append(f"{what}, beyond noise: {_listed(names)}; {remedy}.")
    return reasons


def _trends(fit: Fit, found: Diagnostics, thresholds: Thresholds) -> list[str]:
    unit = fit.selection.axis.unit
    names = {
        "params": "larger models score {way} at equal {label}",
        "overtraining": "models trained on more tokens per parameter score {way} at equal {label}",
        "series": "the series differ at equal {label}",
    }
    reasons = []
    for trend in found.trends:
        strong = abs(trend.shift) > thresholds.size_effect
        if trend.p >= thresholds.significance or not strong:
            continue
        way = "higher" if trend.slope > 0 else "lower"
        what = names[trend.trait].format(way=way, label=fit.selection.axis.label)
        label = fit.selection.axis.label
        reasons.append(
            f"{label[0].upper()}{label[1:]} alone does not tell the story: {what}, worth "
            f"{abs(trend.shift):.3f} {unit} of the elbow over the {trend.n} checkpoints (p = "
            f"{trend.p:.2g}; at most {thresholds.size_effect:g} is asked for): fit checkpoints of "
            "one kind by themselves."
        )
    return reasons


def _optima(fit: Fit, found: Diagnostics) -> list[str]:
    """Fits without priors that are as good, and put the elbow elsewhere."""
    axis, optima = fit.selection.axis, found.optima
    low, high = (float(value) for value in fit.posterior.quantile([0.05, 0.95]))
    inside = [low <= each <= high for each in (optima.low, optima.high)]
    if all(inside):
        return []
    at = " to ".join(dict.fromkeys(axis.number(axis.to_axis(x)) for x in (optima.low, optima.high)))
    reason = (
        f"Without priors the {fit.plain.law} law fits these rows best with an elbow at {at} "
        f"{axis.unit}, outside the 90% interval: the priors hold this answer. Measure more data "
        "amounts, or stronger checkpoints."
    )
    return [reason]
