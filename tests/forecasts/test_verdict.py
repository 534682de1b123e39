"""The verdict, rule by rule."""

from __future__ import annotations

from typing import Any

import pytest
from tests import designs

import emergecast
from emergecast.errors import FitError
from emergecast.forecasts import Forecast, Verdict, forecast
from emergecast.inference import Fit, FitStatus

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
    fit = emergecast.fit(rows, task="quiz", law="log-power")
    return forecast(fit, rules=thresholds, bootstraps=0)


@pytest.fixture(scope="module")
def good() -> Fit:
    """Six amounts, checkpoints on both sides of every elbow, small noise."""
    return emergecast.fit(designs.rows(losses=designs.DENSE[::2]), law="log-power")


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
    hidden = emergecast.fit(table, at_chance_only=True, law="log-power")
    assert forecast(hidden, bootstraps=0).verdict is not Verdict.OBSERVED


def test_an_observation_keeps_its_weaknesses_as_reasons():
    """Asked of a table whose elbow is seen, strict thresholds add reasons and change no verdict."""
    table = designs.rows(at=shown, losses=designs.DENSE[::3])
    seen = judged(table, width=0.0)
    assert seen.verdict is Verdict.OBSERVED
    assert len(seen.reasons) == 2
    assert STRICT["width"][1] in seen.reasons[1]


def test_a_well_designed_table_is_identified_and_right(good: Fit):
    """The 90% interval holds the elbow the table was drawn with, 1.93, past all checkpoints."""
    found = forecast(good, bootstraps=0)
    assert found.verdict is Verdict.IDENTIFIED
    assert len(found.reasons) == 1
    assert found.elbow is not None
    assert found.elbow.p05 < 1.93 < found.elbow.p95
    assert found.elbow.p95 - found.elbow.p05 < 0.05


def test_laws_of_a_mixture_must_agree_with_it():
    """The farthest law is named, once, and how many are too far."""
    rows = designs.rows(losses=designs.DENSE[::2])
    fit = emergecast.fit(rows, law=["log-power", "power"])
    found = forecast(fit, rules={"law_gap": 0.0}, bootstraps=0)
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
    found = forecast(good, rules={name: value}, bootstraps=0)
    assert found.verdict is Verdict.WEAK
    assert len(found.reasons) == 2
    assert says in found.reasons[0]
    assert found.reasons[1].startswith("Measure next: the strongest checkpoints (loss near 2.000)")


def test_structural_thresholds_are_options_too(good: Fit):
    """More amounts, checkpoints or visible checkpoints may be asked for."""
    for name, value, says in (
        ("min_amounts", 7, "There are 6 finetuning amounts"),
        ("min_checkpoints", 14, "There are 13 checkpoints"),
        ("seen_checkpoints", 14, "at least 14 checkpoints above chance"),
    ):
        found = forecast(good, rules={name: value}, bootstraps=0)
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
    """With elbows visible from 256 examples on: about sqrt(64 * 256) = 128, so 130."""
    table = designs.rows(
        losses=designs.DENSE[::2], at=lambda examples: designs.elbow(examples) - 0.2, noise=0.002
    )
    found = judged(table, width=0.0)
    assert found.verdict is Verdict.WEAK
    assert "on about 130 examples" in found.reasons[-1]
