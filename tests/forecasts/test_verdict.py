"""The verdict, rule by rule."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from tests import designs

import emergecast
from emergecast.diagnostics import Diagnostics
from emergecast.diagnostics._diagnostics import Optima
from emergecast.diagnostics._falls import Fall
from emergecast.diagnostics._influence import Influence, Suspect
from emergecast.diagnostics._predictive import Check
from emergecast.diagnostics._residuals import Trend
from emergecast.errors import FitError
from emergecast.forecasts import Forecast, ForecastOptions, Verdict, _verdict, forecast
from emergecast.forecasts._doubts import doubts
from emergecast.forecasts._thresholds import Thresholds
from emergecast.forecasts._verdict import (
    Sensitivity,
    _no_evidence,
    _observed,
    _sensitivity,
    _structural,
    _weaknesses,
)
from emergecast.inference import Fit, FitOptions, FitStatus, Priors
from emergecast.measurements import SelectOptions

STRICT: dict[str, tuple[Any, str]] = {
    "width": (0.0, "nats wide; identified asks for at most"),
    "prior_share": (0.0, "as wide as the prior"),
    "prior_shift": (0.0, "Doubling the scales of all priors moves the median"),
    "law_gap": (0.0, "The laws disagree: the power law"),
    "elbows_seen": (7, "of 6 finetuning amounts visibly leave chance"),
}
"""A threshold that no table meets, and what the reason then says."""


def judged(rows: list[designs.Row], **thresholds: Any) -> Forecast:
    """The forecast of a table under some thresholds, without a bootstrap."""
    fit = emergecast.fit(rows, SelectOptions(task="quiz"), FitOptions(law="log-power"))
    return forecast(fit, options=ForecastOptions(rules=thresholds, bootstraps=0))


@pytest.fixture(scope="module")
def good() -> Fit:
    """Six amounts, checkpoints on both sides of every elbow, small noise."""
    return emergecast.fit(
        designs.rows(losses=designs.DENSE[::2]), options=FitOptions(law="log-power")
    )


# -------------------------------------------------------------------------------------- refused


def test_two_amounts_are_refused_and_three_are_not():
    """The law has three parameters."""
    two = judged(designs.rows(amounts=(256, 4096)))
    assert two.verdict is Verdict.REFUSED
    (reason,) = two.reasons
    assert reason == (
        "There are 2 finetuning amounts (256, 4,096), and the law needs at least 3: finetune on "
        "more amounts of data."
    )
    three = designs.rows(amounts=(256, 1024, 4096), losses=designs.DENSE[::3])
    assert judged(three).verdict is not Verdict.REFUSED


def test_three_checkpoints_are_refused_and_four_are_not():
    """However many rows they have."""
    three = judged(designs.rows(losses=(2.6, 2.3, 2.0)))
    assert three.verdict is Verdict.REFUSED
    assert len(three.reasons) == 1
    assert three.reasons[0].startswith("There are 3 checkpoints, and a forecast needs at least 4")
    assert judged(designs.rows(losses=(2.6, 2.3, 2.15, 2.0))).verdict is not Verdict.REFUSED


def test_one_of_something_is_singular():
    """One amount, one checkpoint above chance at most: all structural reasons at once."""
    reasons = judged(designs.rows(losses=(2.6, 2.3, 2.0), amounts=(16,))).reasons
    assert [reason.split(":")[0] for reason in reasons] == [
        "There are 3 checkpoints, and a forecast needs at least 4",
        "There is 1 finetuning amount (16), and the law needs at least 3",
        "No finetuned curve leaves chance (at least 2 checkpoints above chance + 0.02 + 2 stderr)",
    ]


def test_curves_that_stay_at_chance_are_refused():
    """The elbows lie far past the strongest checkpoint, so nothing is seen of them."""
    flat = judged(designs.rows(at=lambda _: 1.0))
    assert flat.verdict is Verdict.REFUSED
    assert flat.reasons[0].startswith("No finetuned curve leaves chance")
    assert "more than 16,384 examples" in flat.reasons[0]


def test_one_checkpoint_above_chance_is_no_curve():
    """A curve leaves chance where two checkpoints do; one may be luck."""
    flat = designs.rows(at=lambda _: 1.0)
    strongest = [row for row in flat if row["loss"] == 2.0 and row["setting"] == "finetuned"]
    for row in strongest:
        row["score"] = 0.5
    assert judged(flat).reasons[0].startswith("No finetuned curve leaves chance")


def falling() -> list[designs.Row]:
    """Finetuned scores far above chance, and the higher the weaker the checkpoint."""
    table = designs.rows(losses=designs.DENSE[::3])
    for row in table:
        if row["setting"] == "finetuned":
            row["score"] = 0.35 + 0.3 * (row["loss"] - 2.0)
    return table


def test_a_slope_of_the_wrong_sign_is_refused():
    """Scores that fall as the loss falls; and the reason says so."""
    wrong = judged(falling())
    assert wrong.verdict is Verdict.REFUSED
    assert wrong.reasons[0].startswith("The slope has the wrong sign")


def test_scores_that_never_vary_are_refused_without_a_warning():
    """All finetuned scores are 0.6: above chance everywhere, with no correlation to speak of."""
    table = designs.rows(losses=designs.DENSE[::3])
    for row in table:
        if row["setting"] == "finetuned":
            row["score"] = 0.6
    assert judged(table).verdict is Verdict.REFUSED


def test_a_rise_that_noise_explains_is_refused():
    """Scatter of 0.05 with a stated error of 0.001: some scores are "above chance", by chance."""
    table = designs.rows(losses=designs.DENSE[::4], slope=0.0, noise=0.05, stderr=0.001)
    noise = judged(table)
    assert noise.verdict is Verdict.REFUSED
    assert noise.reasons[0].startswith("The finetuned scores rise no more surely than noise does")
    assert judged(table, evidence=1e-3).verdict is not Verdict.REFUSED


def test_a_refused_forecast_has_no_elbow_and_no_distribution():
    """Nothing to read off: empty frames, an error for who asks all the same."""
    refused = emergecast.forecast(designs.rows(amounts=(256, 4096)))
    assert refused.elbow is None
    assert refused.status is FitStatus.NOT_COMPUTED
    assert set(refused.bootstrap.values()) == {None}
    assert refused.sensitivity == ()
    assert refused.curves().is_empty()
    assert refused.distribution().is_empty()
    assert refused.points().height == len(designs.DENSE) * 3
    for ask in (
        lambda: refused.quantile(0.5),
        lambda: refused.density(2.0),
        lambda: refused.cumulative(2.0),
        lambda: refused.emerged(2.0),
        lambda: refused.exceeds(2.0, 0.5),
        lambda: refused.at(2.0),
        refused.draws,
    ):
        with pytest.raises(FitError, match="refused and has no distribution: There are 2"):
            ask()


# ----------------------------------------------------------------------- observed, weak, identified


def shown(examples: float) -> float:
    """Elbows 0.3 nats higher: the few-shot one, 2.23, lies among the checkpoints."""
    return designs.elbow(examples) + 0.3


def test_a_few_shot_curve_that_shows_its_elbow_is_observed():
    """Elbow at 2.23, checkpoints down to 2.0; the same table at chance only is no observation."""
    table = designs.rows(at=shown, losses=designs.DENSE[::2])
    seen = judged(table)
    assert seen.verdict is Verdict.OBSERVED
    assert "a measurement, not a forecast" in seen.reasons[0]
    assert seen.elbow is not None
    assert seen.elbow.p50 == pytest.approx(2.23, abs=0.01)
    hidden = emergecast.fit(table, SelectOptions(at_chance_only=True), FitOptions(law="log-power"))
    assert forecast(hidden, options=ForecastOptions(bootstraps=0)).verdict is not Verdict.OBSERVED


def test_an_observation_keeps_its_weaknesses_as_reasons():
    """Asked of a table whose elbow is seen, strict thresholds add reasons and change no verdict."""
    table = designs.rows(at=shown, losses=designs.DENSE[::3])
    seen = judged(table, width=0.0)
    assert seen.verdict is Verdict.OBSERVED
    assert len(seen.reasons) == 2
    assert STRICT["width"][1] in seen.reasons[1]


def test_a_well_designed_table_is_identified_and_right(good: Fit):
    """The 90% interval holds the elbow the table was drawn with, 1.93, past all checkpoints."""
    found = forecast(good, options=ForecastOptions(bootstraps=0))
    assert found.verdict is Verdict.IDENTIFIED
    assert len(found.reasons) == 1
    assert found.elbow is not None
    assert found.elbow.p05 < 1.93 < found.elbow.p95
    assert found.elbow.p95 - found.elbow.p05 < 0.05


def test_laws_of_a_mixture_must_agree_with_it():
    """The farthest law is named, once, and how many are too far."""
    rows = designs.rows(losses=designs.DENSE[::2])
    fit = emergecast.fit(
        rows,
        options=FitOptions(
            law=(
                "log-power",
                "power",
            )
        ),
    )
    found = forecast(fit, options=ForecastOptions(rules={"law_gap": 0.0}, bootstraps=0))
    middle = float(fit.posterior.quantile(0.5))
    gaps = {str(m.law): abs(float(m.posterior.quantile(0.5)) - middle) for m in fit.members}
    farthest = max(gaps, key=lambda name: gaps[name])
    (said,) = [reason for reason in found.reasons if reason.startswith("The laws disagree")]
    assert f"the {farthest} law puts the median at" in said
    assert f"{gaps[farthest]:.3f} nats away" in said
    assert "(2 of 2 laws lie too far)" in said


@pytest.mark.parametrize("name", STRICT)
def test_each_threshold_alone_makes_the_same_table_weak(good: Fit, name: str):
    """One reason, that threshold's, and one sentence on what to measure next."""
    value, says = STRICT[name]
    found = forecast(good, options=ForecastOptions(rules={name: value}, bootstraps=0))
    assert found.verdict is Verdict.WEAK
    assert len(found.reasons) == 2
    assert says in found.reasons[0]
    assert found.reasons[1].startswith("Measure next: the strongest checkpoints (loss near 2.000)")


class Instead:
    """A fit of which some things are as they are stated here."""

    def __init__(self, fit: Fit, **stated: Any) -> None:
        self._fit = fit
        vars(self).update(stated)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fit, name)


def normal(width: float, sd: float = 0.01) -> Any:
    """A posterior around 2 nats with a 90% interval of this width."""
    return SimpleNamespace(quantile=lambda p: 2.0 + width * (np.array(p) - 0.5) / 0.9, sd=sd)


def weaknesses(fit: Fit, *others: Sensitivity, **stated: Any) -> list[str]:
    """Reasons by the default rules, of a posterior that is narrow unless stated otherwise."""
    changed: Any = Instead(fit, **({"posterior": normal(0.1)} | stated))
    return _weaknesses(changed, others, Thresholds())


def moved(kind: Any, nats: float) -> Sensitivity:
    """Another assumption that moves the median from 2 nats."""
    return Sensitivity(kind=kind, what="the power law", p05=1.9, p50=2.0 + nats, p95=2.1)


EDGES: dict[str, tuple[Callable[[Fit, float], list[str]], float, float, str]] = {
    "width": (lambda f, w: weaknesses(f, posterior=normal(w)), 0.1999, 0.2001, "nats wide"),
    "prior_share": (
        lambda f, share: weaknesses(f, posterior=normal(0.1, share * f.prior_sd)),
        0.499, 0.501, "as wide as the prior",
    ),
    "firm_evidence": (
        lambda f, factor: weaknesses(f, log_bayes_factor=math.log(factor)), 1.01e4, 0.99e4, "times",
    ),
    "prior_shift": (
        lambda f, nats: weaknesses(f, moved("priors", nats)), 0.0299, -0.0301, "Doubling",
    ),
    "few_shot_shift": (
        lambda f, nats: weaknesses(f, moved("few_shot_examples", nats)), 0.299, -0.301, "few-shot",
    ),
    "law_gap": (lambda f, nats: weaknesses(f, moved("law", nats)), 0.0499, -0.0501, "disagree"),
    "influence": (
        lambda f, nats: doubted(f, influence=[influence("checkpoint", nats)]),
        0.0499, -0.0501, "hangs on checkpoint c3",
    ),
    "influence of an amount": (
        lambda f, nats: doubted(f, influence=[influence("amount", nats)]),
        -0.0499, 0.0501, "hangs on what was measured at",
    ),
    "surprise": (lambda f, z: doubted(f, suspects=[suspect(z)]), 3.99, -4.01, "not predicted by"),
    "surprise above": (
        lambda f, z: doubted(f, suspects=[suspect(z, "few-shot")]), 3.99, 4.01, "have seen task",
    ),
    "predictive": (
        lambda f, p: doubted(f, predictive=[Check(what="x", observed=1, expected=2, p=p)]),
        0.0101, 0.0099, "does not fit the rows",
    ),
    "monotonicity": (
        lambda f, p: doubted(
            f, falls=[Fall(kind="amount", where="c", high="9", low="8", fall=0.1, p=p)]
        ),
        0.0101, 0.0099, "fall with more finetuning data",
    ),
    "size_effect": (
        lambda f, nats: doubted(f, trends=[trend(nats, 0.0099)]), 0.0499, -0.0501, "larger models",
    ),
    "significance": (lambda f, p: doubted(f, trends=[trend(0.1, p)]), 0.0101, 0.0099, "larger"),
    "evidence": (
        lambda f, factor: _no_evidence(
            cast("Fit", Instead(f, log_bayes_factor=math.log(factor))), Thresholds()
        ),
        20.1, 19.9, "no more surely than noise",
    ),
}  # fmt: skip
"""How each rule is asked, a number that it lets pass, one that it does not, and what it says."""


def doubted(fit: Fit, **found: Any) -> list[str]:
    """Reasons by the default rules, of diagnostics that found this and nothing else."""
    kinds = ("influence", "residuals", "trends", "suspects", "falls", "predictive")
    middle = float(fit.posterior.quantile(0.5))
    nothing: dict[str, Any] = {"optima": optima(middle)} | dict.fromkeys(kinds, ())
    return doubts(fit, Diagnostics(**(nothing | found)), Thresholds())


def optima(*elbows: float) -> Optima:
    """Local searches that end at these elbows, all as good."""
    low, high = min(elbows), max(elbows)
    return Optima(
        starts=12, stuck=0, best=low, low=low, high=high, lucky_low=low, lucky_high=high
    )  # fmt: skip


def influence(kind: Any, nats: float) -> Influence:
    """One that moves the median so far."""
    return Influence(
        kind=kind, what="c3", n_rows=2, p05=1.9, p50=2 + nats, p95=2.1, shift=nats, shift_sd=1.0
    )


def suspect(z: float, rows: Any = "finetuned") -> Suspect:
    """A checkpoint so many standard deviations from what the others predict."""
    return Suspect(checkpoint="c3", rows=rows, observed=0.4, predicted=0.3, z=z)


def trend(nats: float, p: float) -> Trend:
    """Residuals against size."""
    return Trend(trait="params", slope=0.1, stderr=0.01, p=p, shift=nats, n=9)


@pytest.mark.parametrize("name", EDGES)
def test_a_rule_breaks_just_beyond_its_default(good: Fit, name: str):
    """One number on each side of the documented default; nothing else is said in either case."""
    ask, inside, outside, says = EDGES[name]
    assert ask(good, inside) == []
    (reason,) = ask(good, outside)
    assert says in reason


@pytest.mark.parametrize("beyond", ["low", "high"])
def test_optima_outside_the_interval_are_said(good: Fit, beyond: str):
    """On either side; one that lies inside beside it does not help."""
    low, middle, high = (float(each) for each in good.posterior.quantile([0.05, 0.5, 0.95]))
    assert doubted(good, optima=optima(low + 1e-6, middle, high - 1e-6)) == []
    outside = low - 1e-3 if beyond == "low" else high + 1e-3
    (reason,) = doubted(good, optima=optima(middle, outside))
    assert "outside the 90% interval: the priors hold this answer" in reason


def test_rows_that_bound_nothing_without_priors_are_not_identified(good: Fit):
    """Of a posterior that is narrow all the same."""
    (reason,) = weaknesses(good, status=FitStatus.UNBOUNDED)
    assert reason.startswith("Without priors these rows do not bound the elbow")


def test_what_looks_wrong_in_the_rows_is_a_reason(good: Fit):
    """Word by word."""
    odd = replace(good.selection, suspicions=("The losses look odd.",))
    assert weaknesses(good, selection=odd) == ["The losses look odd."]


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ((0, 2, 2, 2), None),
        ((9, 0, 2, 2), "Only 2 of 6 finetuning amounts visibly leave chance"),
        ((9, 1, 2, 2), "Only 2 of 6 finetuning amounts visibly leave chance"),
    ],
)
def test_an_elbow_is_seen_where_two_checkpoints_are_above_chance(
    good: Fit, monkeypatch: pytest.MonkeyPatch, counts: tuple[int, ...], reason: str | None
):
    """Three amounts trace the law; few-shot rows are no amount, however many are above chance."""
    monkeypatch.setattr(_verdict, "checkpoints_above_chance", lambda _: np.array(counts))
    found = weaknesses(good)
    assert [each.split(";")[0] for each in found] == ([] if reason is None else [reason])


@pytest.mark.parametrize(("counts", "reasons"), [((9, 1, 1), 1), ((0, 0, 2), 0)])
def test_few_shot_scores_above_chance_are_no_finetuned_curve(
    good: Fit, monkeypatch: pytest.MonkeyPatch, counts: tuple[int, ...], reasons: int
):
    """Two checkpoints above chance on one amount are asked for; no few-shot score replaces them."""
    monkeypatch.setattr(_verdict, "checkpoints_above_chance", lambda _: np.array(counts))
    found = _structural(good, Thresholds())
    assert len(found) == reasons
    assert all(each.startswith("No finetuned curve leaves chance") for each in found)


def test_two_checkpoints_and_19_to_1_make_an_observation(
    good: Fit, monkeypatch: pytest.MonkeyPatch
):
    """Of few-shot rows, and that the elbow lies above the strongest loss."""
    for count, probability, seen in ((2, 0.951, True), (2, 0.949, False), (1, 0.999, False)):
        counts = np.array([count, 9, 9])
        monkeypatch.setattr(_verdict, "checkpoints_above_chance", lambda _, c=counts: c)
        posterior = SimpleNamespace(emerged=lambda _, p=probability: p)
        found = _observed(cast("Fit", Instead(good, posterior=posterior)), Thresholds())
        assert (found is not None) is seen


def test_the_priors_are_doubled_one_by_one(good: Fit):
    """As a fit whose every scale is twice the documented one; medians and the offset stay."""
    default = Priors.default().as_dict()
    scales = (
        "elbow_scale", "shift_scale", "alpha_sd_ln", "slope_scale",
    )  # fmt: skip
    doubled = {name: 2 * default[name] for name in scales}
    rows = designs.rows(losses=designs.DENSE[::2])
    other = emergecast.fit(rows, options=FitOptions(law="log-power", priors=doubled))
    (found,) = [row for row in _sensitivity(good) if row.kind == "priors"]
    wanted = other.posterior.quantile([0.05, 0.5, 0.95])
    assert (found.p05, found.p50, found.p95) == pytest.approx(tuple(wanted), abs=1e-6)
    assert wanted[2] - wanted[0] > 1.0002 * np.ptp(good.posterior.quantile([0.05, 0.95]))


def test_structural_thresholds_are_options_too(good: Fit):
    """More amounts, checkpoints or visible checkpoints may be asked for."""
    for name, value, says in (
        ("min_amounts", 7, "There are 6 finetuning amounts"),
        ("min_checkpoints", 14, "There are 13 checkpoints"),
        ("seen_checkpoints", 14, "at least 14 checkpoints above chance"),
    ):
        found = forecast(good, options=ForecastOptions(rules={name: value}, bootstraps=0))
        assert found.verdict is Verdict.REFUSED
        assert says in found.reasons[0]


def test_a_poor_design_is_weak_for_its_own_reasons():
    """Three large amounts and noise of 0.02: wide, and priors and laws matter."""
    poor = judged(
        designs.rows(losses=designs.DENSE[::6], amounts=(1024, 4096, 16384), noise=0.02, seed=1)
    )
    assert poor.verdict is Verdict.WEAK
    said = " ".join(poor.reasons)
    assert STRICT["width"][1] in said
    assert STRICT["prior_shift"][1] in said
    assert poor.reasons[-1].startswith("Measure next")


def test_what_to_measure_next_lies_between_d0_and_the_smallest_visible_amount():
    """With elbows visible from 256 examples on: of 30, 64, 100, 256, ... the next to 128."""
    table = designs.rows(
        losses=designs.DENSE[::2], at=lambda examples: designs.elbow(examples) - 0.2, noise=0.002
    )
    found = judged(table, width=0.0)
    assert found.verdict is Verdict.WEAK
    assert "on about 100 examples" in found.reasons[-1]
