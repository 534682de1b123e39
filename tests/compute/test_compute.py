"""The forecast in compute, against closed forms, and what it may and may not look at."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import jsonschema
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm
from tests import designs

import emergecast
from emergecast.compute import Compute, ComputeOptions, LawKind, NoCompute, record_of_compute
from emergecast.compute._chosen_law import scale_of
from emergecast.compute._compute import _through, compute_of
from emergecast.compute._scale import LossToCompute
from emergecast.errors import ScalingError
from emergecast.forecasts import Forecast, ForecastOptions, json_schema
from emergecast.inference import ElbowOnAxis, FitOptions
from emergecast.measurements import Axis, SelectOptions, read_table, select
from emergecast.scaling import (
    NAMED_LAWS,
    Allocation,
    ChinchillaLaw,
    PowerLaw,
    Resource,
    ScalingLaw,
    loss_of,
    training_flops,
)

LOSSES = designs.DENSE[::3]
QUICK: dict[str, Any] = {"losses": LOSSES, "amounts": (64, 512, 4096), "noise": 0.01}
TRUE = PowerLaw(name="t", source="", of=Resource.FLOPS, floor_nats=1.2, a=100.0, alpha=0.1)
HOFFMANN = NAMED_LAWS["hoffmann"]


def flops_of(loss: float) -> float:
    """FLOPs at which the true law of these series has a loss."""
    return float((TRUE.a / (loss - TRUE.floor_nats)) ** (1 / TRUE.alpha))


def with_facts(rows: list[designs.Row], facts: Callable[[float], dict[str, Any]]) -> Any:
    """The rows with what `facts` says of a checkpoint of their loss."""
    return [{**row, **facts(row["loss"])} for row in rows]


def measured(loss: float) -> dict[str, Any]:
    """Twenty tokens per parameter, on the true law."""
    params = round((flops_of(loss) / 120) ** 0.5)
    return {"params": params, "tokens": 20 * params, "flops": flops_of(loss)}


def estimated(loss: float) -> dict[str, Any]:
    """Parameters and tokens, in equal shares, from which hoffmann estimates about this loss."""
    size = 1e9 * np.exp(-4 * (loss - 2.5))
    params, tokens = round(size), round(20 * size)
    return {
        "params": params,
        "tokens": tokens,
        "loss": round(float(loss_of(HOFFMANN, params=params, tokens=tokens)), 3),
        "loss_source": "estimated",
    }


def same_tokens(loss: float) -> dict[str, Any]:
    """One token budget and a law of parameters."""
    return {"params": round(1e9 * ((loss - 1.0) / 1.0) ** -10), "tokens": 2 * 10**12}


def scale(facts: Callable[[float], dict[str, Any]] | None, **more: Any) -> Any:
    """The scale of a table whose checkpoints have these facts."""
    rows = designs.rows(**QUICK)
    table = read_table(rows if facts is None else with_facts(rows, facts))
    return scale_of(select(table, SelectOptions()), ComputeOptions(**more))


def found(facts: Callable[[float], dict[str, Any]] | None, **more: Any) -> LossToCompute:
    """The same where there is one."""
    result = scale(facts, **more)
    assert isinstance(result, LossToCompute), result
    return result


def reason_of(facts: Callable[[float], dict[str, Any]] | None, **more: Any) -> str:
    """Why there is none."""
    result = scale(facts, **more)
    assert isinstance(result, NoCompute), result
    return result.reason


def drawn_of(scale: LossToCompute, n: int, seed: int) -> tuple[ScalingLaw, NDArray[np.float64]]:
    """Draws of the law and of the scatter, where there is a law."""
    drawn = scale.draws(n, np.random.default_rng(seed))
    assert drawn is not None
    return drawn


def made_up(law: Any, quantile: Callable[[Any], Any], **more: Any) -> Any:
    """A forecast in compute of an elbow with these quantiles, under a law that is given."""
    posterior: Any = SimpleNamespace(quantile=quantile)
    elbow = ElbowOnAxis(posterior=posterior, axis=Axis())
    given: dict[str, Any] = {"kind": LawKind.GIVEN, "law": law, "strongest_flops": 1e20}
    return _through(elbow, LossToCompute(**(given | more)), None)


@pytest.fixture(scope="module")
def forecast() -> Forecast:
    """Of measured losses on the true law of FLOPs; the plain emergence law, which is fast."""
    rows = with_facts(designs.rows(**QUICK), measured)
    return emergecast.forecast(
        rows, fitting=FitOptions(law="log-power"), options=ForecastOptions(bootstraps=0)
    )


def compute(forecast: Forecast) -> Compute:
    """What there must be."""
    assert forecast.compute is not None, forecast.compute_reason
    return forecast.compute


# -------------------------------------------------------------------------------- closed forms


def test_a_log_normal_elbow_through_a_bare_power_is_log_normal():
    """Quantiles of X where ln elbow is normal and L = A X^-alpha: to the draws' own resolution."""
    bare = replace(TRUE, floor_nats=0.0)
    mean, sd = np.log(1.9), 0.04
    result = made_up(bare, lambda p: np.exp(mean + sd * norm.ppf(p)))
    for name, level in (("p05", 0.05), ("p25", 0.25), ("p50", 0.5), ("p75", 0.75), ("p95", 0.95)):
        exact = np.exp((np.log(bare.a) - mean + sd * norm.ppf(level)) / bare.alpha)
        assert getattr(result.flops, name) == pytest.approx(exact, rel=2e-3)
        assert getattr(result.multiple_of_strongest, name) == pytest.approx(exact / 1e20, rel=2e-3)
    assert result.unreachable == 0


def test_the_interval_above_a_picture_has_its_unit(forecast: Forecast):
    """The picture in compute says it beside FLOPs."""
    assert forecast.elbow is not None
    ends = f"{forecast.elbow.p05:.2f} to {forecast.elbow.p95:.2f}"
    assert f"90% interval {ends} nats; " in forecast.subtitle


def test_an_elbow_below_the_floor_is_out_of_reach():
    """With the probability that it is; the quantiles beyond are None, those before are not."""
    law = replace(TRUE, floor_nats=1.9)
    result = made_up(law, lambda p: 2.0 + 0.1 * norm.ppf(p))
    assert result.unreachable == pytest.approx(norm.cdf(-1), abs=2e-4)
    assert result.flops.p95 is None
    assert result.flops.p75 == pytest.approx((law.a / (0.1 + 0.1 * norm.ppf(0.25))) ** 10, rel=0.01)
    assert made_up(replace(law, floor_nats=5.0), lambda p: 2.0 + 0.0 * p).flops.p05 is None


def test_a_floor_above_the_strongest_checkpoint_is_no_law_of_theirs(forecast: Forecast):
    """It is the reason for no forecast in compute where no quantile is left, else a first note."""
    steep = PowerLaw(name="steep", source="", of=Resource.FLOPS, floor_nats=9.0, a=8.0, alpha=0.1)
    lowest, selection = min(LOSSES), forecast.fit.selection
    elbow = ElbowOnAxis(posterior=forecast.fit.posterior, axis=Axis())
    for anchor, shifted in ((True, "after a shift of -"), (False, "is 9.000 nats, and")):
        options = ComputeOptions(law=steep, anchor=anchor)
        nothing = compute_of(elbow, selection, options)
        assert isinstance(nothing, NoCompute), "every quantile was never"
        reason = nothing.reason
        for words in (
            '"steep"', shifted, f"loss of {lowest:.3f}", "`emergecast scaling fit`",
            "leave --scaling-law out",
        ):  # fmt: skip
            assert words in reason
        assert reason.count(". ") == 0
    near = replace(TRUE, floor_nats=lowest, a=TRUE.a)
    weak: Any = SimpleNamespace(quantile=lambda p: lowest + 0.01 + 0.1 * p)
    options = ComputeOptions(law=near, anchor=False)
    result = compute_of(ElbowOnAxis(posterior=weak, axis=Axis()), selection, options)
    assert isinstance(result, Compute)
    assert result.notes[0].startswith('The floor of the law "t"')


def test_an_elbow_below_zero_is_out_of_reach():
    """A posterior that reaches to negative losses is no error."""
    result = made_up(replace(TRUE, floor_nats=0.0), lambda p: 0.5 + 0.5 * norm.ppf(p))
    assert result.unreachable >= norm.cdf(-1) - 1e-3


def test_uncertainty_of_law_and_elbow_add():
    """Independent: the variance of ln X is the sum of those of the two; exponent 0.1, floor 0."""
    n = 20_000
    ln_a = 4.6 + 0.05 * np.random.default_rng(1).standard_normal(n)
    law = replace(TRUE, floor_nats=0.0)
    draws = replace(TRUE, floor_nats=np.zeros(n), a=np.exp(ln_a), alpha=np.full(n, 0.1))
    result = made_up(law, lambda p: np.exp(0.64 + 0.04 * norm.ppf(p)), law_draws=draws)
    spread = np.log(result.flops.p95 / result.flops.p05) / (2 * norm.ppf(0.95))
    assert spread == pytest.approx(np.hypot(0.05, 0.04) / 0.1, rel=0.03)


@pytest.mark.parametrize(
    ("allocation", "of"),
    [
        (Allocation.ratio(20), None),
        (Allocation.at_tokens(1e12), "tokens"),
        (Allocation.at_params(1e11), "params"),
        (Allocation.compute_optimal(), None),
    ],
)
def test_every_allocation_gives_runs_of_that_loss(allocation: Allocation, of: str | None):
    """At each quantile parameters and tokens together have the elbow's quantile as their loss."""
    result = made_up(HOFFMANN, lambda p: 2.05 + 0.01 * norm.ppf(p), allocation=allocation)
    for name, level in (("p05", 0.95), ("p50", 0.5), ("p95", 0.05)):
        params, tokens, flops = (
            getattr(getattr(result, each), name) for each in ("params", "tokens", "flops")
        )
        loss = float(loss_of(HOFFMANN, params=params, tokens=tokens))
        assert loss == pytest.approx(2.05 + 0.01 * norm.ppf(level), abs=2e-5)
        assert flops == pytest.approx(float(training_flops(params, tokens)), rel=1e-9)
        if of is not None:
            assert getattr(result, of).__getattribute__(name) == allocation.value


# -------------------------------------------------------------------------------- which law


def test_measured_losses_make_a_law_of_their_own():
    """Of FLOPs, through all of these checkpoints, with the truth inside; at the usual ratio."""
    result = found(measured)
    assert result.kind is LawKind.OWN
    assert result.series is not None
    assert result.series.of is Resource.FLOPS
    assert result.n_checkpoints == len(LOSSES)
    assert result.allocation is not None
    assert result.allocation.value == pytest.approx(20)
    law, _ = drawn_of(result, 4000, 0)
    low, high = np.quantile(law.floor_nats, [0.05, 0.95])
    assert low < TRUE.floor_nats < high


def test_one_token_budget_makes_a_law_of_parameters():
    """The LLaMA 2 case; and one size makes one of tokens."""
    result = found(same_tokens)
    assert result.series is not None
    assert result.series.of is Resource.PARAMS
    assert result.allocation == Allocation.at_tokens(2e12)
    sized = found(lambda loss: {"params": 10**9, "tokens": same_tokens(loss)["params"]})
    assert sized.series is not None
    assert sized.series.of is Resource.TOKENS
    assert sized.allocation == Allocation.at_params(1e9)


def test_another_allocation_makes_it_a_law_of_flops():
    """A law of parameters at one token budget says nothing of a ratio."""
    result = found(same_tokens, allocation=Allocation.ratio(20))
    assert result.series is not None
    assert result.series.of is Resource.FLOPS
    assert result.allocation == Allocation.ratio(20)
    assert any("equal FLOPs" in note for note in result.notes)
    for budget, of in ((2.01e12, Resource.PARAMS), (3e11, Resource.FLOPS)):
        result = found(same_tokens, allocation=Allocation.at_tokens(budget))
        assert result.series is not None
        assert result.series.of is of


def test_absurd_amounts_end_in_a_sentence():
    """FLOPs over 300 decades, and more than a float holds: no warning, no traceback."""
    wide = found(lambda loss: {"flops": 10.0 ** (150 - 300 * (loss - 2.0))})
    law, _ = drawn_of(wide, 200, 0)
    assert np.all(np.isfinite(law.alpha))
    reason = scale(lambda loss: {"flops": 10.0 ** (-300 - 2 * loss)})
    assert isinstance(reason, LossToCompute | NoCompute)
    rows = with_facts(designs.rows(**QUICK), lambda loss: {"flops": 10.0 ** (300 - 10 * loss)})
    forecast = emergecast.forecast(
        rows, fitting=FitOptions(law="log-power"), options=ForecastOptions(bootstraps=0)
    )
    assert forecast.compute is not None or forecast.compute_reason


def test_parameters_alone_make_a_law_of_parameters():
    """Without FLOPs: nothing says how many tokens there were."""
    result = found(lambda loss: {"params": same_tokens(loss)["params"]})
    assert result.series is not None
    assert result.series.of is Resource.PARAMS
    assert result.allocation is None
    assert result.strongest_flops is None


@pytest.mark.parametrize("name", ["hoffmann", "epoch"])
def test_estimated_losses_are_relabelled(name: str):
    """The constants are recognised from rounded losses, and nothing is anchored or uncertain."""

    def facts(loss: float) -> dict[str, Any]:
        made = estimated(loss)
        run = {"params": made["params"], "tokens": made["tokens"]}
        return {**made, "loss": round(float(loss_of(NAMED_LAWS[name], **run)), 3)}

    result = found(facts)
    assert result.kind is LawKind.RELABELLING
    assert result.law is NAMED_LAWS[name]
    assert (result.anchored_by, result.scatter_nats, result.anchor_stderr) == (None, 0.0, 0.0)
    assert any("same forecast in other units" in note for note in result.notes)


def test_estimated_losses_are_no_evidence_beside_measured_ones():
    """The law is of the measured checkpoints, and says how many it leaves out."""
    result = found(lambda loss: estimated(loss) if loss > 2.5 else measured(loss))
    assert result.kind is LawKind.OWN
    assert result.n_checkpoints == sum(loss <= 2.5 for loss in LOSSES)
    assert any("4 checkpoints of estimated loss" in note for note in result.notes)


def test_unknown_constants_are_said_to_be_unknown():
    """With the nearest set and what to do."""
    reason = reason_of(lambda loss: {**estimated(loss), "loss": loss})
    assert "constants that are not known here (nearest: " in reason
    assert "--scaling-law" in reason


def test_a_users_own_constants_are_recognised_too():
    """Given as a law, they reproduce the losses."""
    law = ChinchillaLaw(
        name="ours", source="", floor_nats=1.5, a=400.0, b=400.0, alpha=0.33, beta=0.29
    )

    def facts(loss: float) -> dict[str, Any]:
        made = estimated(loss)
        return {**made, "loss": float(law.loss(made["params"], made["tokens"]))}

    assert found(facts, law=law).kind is LawKind.RELABELLING
    assert found(facts, law=HOFFMANN).kind is LawKind.GIVEN


def test_a_given_law_is_anchored_by_its_median_residual():
    """Losses 0.2 above the law: the floor is 0.2 higher; the scatter is that of the residuals."""
    off = {loss: 0.2 + 0.01 * (-1) ** i for i, loss in enumerate(LOSSES)}

    def facts(loss: float) -> dict[str, Any]:
        made = estimated(loss)
        run = {"params": made["params"], "tokens": made["tokens"]}
        return {**run, "loss": float(loss_of(HOFFMANN, **run)) + off[loss]}

    result = found(facts, law=HOFFMANN)
    assert result.kind is LawKind.GIVEN
    assert result.anchored_by == pytest.approx(float(np.median(list(off.values()))))
    assert result.scatter_nats == pytest.approx(
        float(np.sqrt(np.mean((np.array(list(off.values())) - result.anchored_by) ** 2) * 9 / 8))
    )
    assert result.law is not None
    assert result.law.floor_nats == pytest.approx(1.69 + (result.anchored_by or 0))
    drawn, scatter = drawn_of(result, 4000, 0)
    assert np.std(drawn.floor_nats) == pytest.approx(result.anchor_stderr, rel=0.05)
    assert set(scatter) == {result.scatter_nats}
    free = found(facts, law=HOFFMANN, anchor=False)
    assert free.law is HOFFMANN
    assert any("lie +0.2" in note for note in free.notes)


def test_draws_of_a_law_and_the_error_of_its_anchor_add():
    """Independent: the variance of the floor is the sum of those of the two."""
    n = 20_000
    floors = 1.2 + 0.03 * np.random.default_rng(1).standard_normal(n)
    draws = replace(TRUE, floor_nats=floors, a=np.full(n, TRUE.a), alpha=np.full(n, TRUE.alpha))
    given = LossToCompute(kind=LawKind.GIVEN, law=TRUE, law_draws=draws, anchor_stderr=0.04)
    drawn, _ = drawn_of(given, n, 2)
    assert np.std(drawn.floor_nats) == pytest.approx(0.05, rel=0.02)


def test_every_draw_of_an_anchored_law_passes_through_the_checkpoints():
    """Of laws that lie above, on and below them: the median residual of each is 0 by itself."""
    draws = replace(
        TRUE,
        floor_nats=np.array([1.2, 1.5, 0.9]),
        a=np.array([100.0, 80.0, 200.0]),
        alpha=np.array([0.1, 0.1, 0.11]),
    )
    anchored = found(measured, law=TRUE, draws=draws).law_draws
    assert isinstance(anchored, PowerLaw)
    flops = np.array([[flops_of(loss)] for loss in LOSSES])
    left = np.array(LOSSES)[:, None] - (anchored.floor_nats + anchored.a * flops**-anchored.alpha)
    np.testing.assert_allclose(np.median(left, axis=0), 0.0, atol=1e-12)
    assert np.ptp(anchored.floor_nats - draws.floor_nats) > 0.05


def test_a_law_that_is_not_theirs_is_warned_of():
    """The checkpoints fall faster than it: scatter, and drift with its sign."""
    law = replace(TRUE, alpha=0.02, a=1.8 * flops_of(3.0) ** 0.02)
    notes = " ".join(found(measured, law=law).notes)
    assert "drift -" in notes
    assert "scatter by" in notes


@pytest.mark.parametrize(
    ("facts", "more", "says"),
    [
        (None, {}, "the compute of only 0 of 9 checkpoints"),
        (lambda loss: {"flops": 1e20 if loss > 2.5 else 2e20}, {}, "falls with FLOPs at only 2 of"),
        (
            lambda _: {"loss_source": "estimated"},
            {},
            "the parameters or tokens behind 9 of them",
        ),
        (measured, {"law": replace(HOFFMANN, floor_nats=0.1, a=9999.0)}, "--no-anchor"),
    ],
)
def test_where_there_is_none_the_reason_says_what_to_do(facts: Any, more: Any, says: str):
    """In one sentence."""
    reason = reason_of(facts, **more)
    assert says in reason
    assert ":" in reason
    assert reason.endswith(".")


# -------------------------------------------------------------------------------- a whole forecast


def test_the_forecast_finds_the_compute_of_its_elbow(forecast: Forecast):
    """Losses lie exactly on the true law, so the median is near the law at the median elbow."""
    result = compute(forecast)
    assert result.flops is not None
    assert result.flops.p50 is not None
    assert forecast.elbow is not None
    assert result.flops.p50 == pytest.approx(flops_of(forecast.elbow.p50), rel=0.05)
    assert result.strongest == "c8"
    assert result.strongest_flops == pytest.approx(flops_of(min(LOSSES)))
    assert not result.relabelling


def test_quantiles_rise(forecast: Forecast):
    """Of every amount."""
    result = compute(forecast)
    for amount in (result.flops, result.params, result.tokens, result.multiple_of_strongest):
        assert amount is not None
        values = [amount.p05, amount.p25, amount.p50, amount.p75, amount.p95]
        assert all(a is not None and b is not None and a < b for a, b in pairwise(values))


def test_the_record_validates(forecast: Forecast):
    """With compute in it, by the published schema, strictly."""
    record = forecast.to_dict()
    jsonschema.Draft202012Validator(json_schema()).validate(record)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["compute"]["flops"]["p50"] > 0
    assert record["compute_reason"] is None
    assert record["compute"]["law"]["kind"] == "own"
    assert set(record["compute"]["law"]["constants"]) == {"E", "A", "alpha"}


def test_a_lower_floor_means_less_compute(forecast: Forecast):
    """Rows in order of the floor; each holds more FLOPs than the one before."""
    rows = compute(forecast).floor_sensitivity
    assert [row.floor_nats for row in rows] == sorted(row.floor_nats for row in rows)
    assert rows[0].floor_nats == 0
    values = [row.flops for row in rows if row.flops is not None]
    assert len(values) >= 3
    assert values == sorted(values)


def test_more_compute_is_likelier_to_have_emerged(forecast: Forecast):
    """From 0 to 1; near one half at the median; a model of parameters and tokens by its FLOPs."""
    result = compute(forecast)
    assert result.flops is not None
    middle = result.flops.p50 or 0.0
    found = [forecast.emerged_at(flops=middle * 10.0**k).emerged for k in range(-4, 5)]
    assert found == sorted(found)
    assert found[0] < 0.01
    assert found[-1] > 0.9
    assert found[4] == pytest.approx(0.5, abs=0.05)
    params = (middle / 120) ** 0.5
    one, other = (
        forecast.emerged_at(params=params, tokens=20 * params),
        forecast.emerged_at(flops=middle),
    )
    assert one.emerged == pytest.approx(other.emerged)
    assert other.params == pytest.approx(params, rel=1e-6)


def test_the_scatter_of_a_run_widens_what_is_said_of_it(forecast: Forecast):
    """Much scatter, nothing certain: by hand, with the same law."""
    result = compute(forecast)
    assert result.flops is not None
    wide = replace(forecast)
    noisy = replace(result, scatter_nats=np.full(result.scatter_nats.shape, 0.5))
    object.__setattr__(wide, "_compute", noisy)
    far = 1e4 * (result.flops.p50 or 0.0)
    assert wide.emerged_at(flops=far).emerged < forecast.emerged_at(flops=far).emerged


@pytest.mark.parametrize(
    "run",
    [{}, {"params": 1e9}, {"flops": 1e20, "params": 1e9}, {"flops": -1.0}, {"flops": np.nan}],
)
def test_half_a_run_is_refused(forecast: Forecast, run: dict[str, float]):
    """And one that is no number."""
    with pytest.raises(ScalingError):
        forecast.emerged_at(**run)


def test_another_token_budget_is_refused():
    """A law of parameters at 2T tokens says nothing of 300B."""
    rows = with_facts(designs.rows(**QUICK), same_tokens)
    forecast = emergecast.forecast(
        rows, fitting=FitOptions(law="log-power"), options=ForecastOptions(bootstraps=0)
    )
    assert 0 < forecast.emerged_at(params=5e9, tokens=2e12).emerged < 1
    with pytest.raises(ScalingError, match="the checkpoints all have 2e\\+12 tokens"):
        forecast.emerged_at(params=5e9, tokens=3e11)


def test_refused_and_unknown_say_why():
    """A refused forecast has nothing to convert; without compute there is nothing to ask."""
    refused = emergecast.forecast(
        designs.rows(amounts=(64, 512)), options=ForecastOptions(bootstraps=0)
    )
    assert refused.compute is None
    assert "refused" in (refused.compute_reason or "")
    assert refused.to_dict()["compute"] is None
    with pytest.raises(ScalingError, match="nothing is known of a training run"):
        refused.emerged_at(flops=1e20)
    assert refused.compute_curve().is_empty()


def test_hidden_checkpoints_do_not_leak():
    """Whatever compute and loss the hidden ones have, the forecast in compute is the same."""

    def record(change: float) -> Any:
        rows = designs.rows(**QUICK, at=lambda examples: designs.elbow(examples) + 0.35)
        facts = with_facts(rows, measured)
        strongest = min(row["loss"] for row in facts)
        for row in facts:
            if row["loss"] == strongest:
                row["flops"] *= change
                row["loss"] -= 0.01 * (change != 1)
        fit = emergecast.fit(facts, SelectOptions(at_chance_only=True), FitOptions(law="log-power"))
        assert len(fit.selection.hidden) == 2
        return emergecast.forecast(fit, options=ForecastOptions(bootstraps=0)).to_dict()["compute"]

    assert record(1.0) == record(1e-6)
    assert record(1.0) is not None


def test_a_unit_of_compute_changes_the_multiple_by_nothing(forecast: Forecast):
    """FLOPs in another unit: the same multiples of the strongest checkpoint."""
    rows = with_facts(designs.rows(**QUICK), lambda loss: {"flops": flops_of(loss) / 8.64e19})
    other = emergecast.forecast(
        rows, fitting=FitOptions(law="log-power"), options=ForecastOptions(bootstraps=0)
    )
    one, two = (compute(each).multiple_of_strongest for each in (forecast, other))
    assert one is not None
    assert two is not None
    assert two.p50 == pytest.approx(one.p50, rel=1e-3)
    assert two.p95 == pytest.approx(one.p95, rel=1e-3)
    assert compute(other).params is None


def test_on_the_axis_of_flops_no_law_is_needed():
    """The forecast is in FLOPs already: its quantiles are ten to those of the axis."""
    rows = with_facts(designs.rows(**QUICK), measured)
    forecast = emergecast.forecast(
        rows,
        SelectOptions(axis="flops"),
        FitOptions(law="log-power"),
        options=ForecastOptions(bootstraps=0),
    )
    result = compute(forecast)
    assert forecast.elbow is not None
    assert result.scale.kind is LawKind.STRAIGHT
    assert result.flops is not None
    assert result.params is not None
    assert np.log10(result.flops.p50 or 0) == pytest.approx(forecast.elbow.p50, abs=1e-3)
    assert np.log10(result.flops.p95 or 0) == pytest.approx(forecast.elbow.p95, abs=2e-3)
    at = forecast.emerged_at(flops=result.flops.p25 or 0)
    assert at.emerged == pytest.approx(0.25, abs=1e-3)
    assert at.loss is None
    assert result.params.p50 == pytest.approx(((result.flops.p50 or 0) / 120) ** 0.5, rel=1e-3)
    assert result.floor_sensitivity == ()
    jsonschema.Draft202012Validator(json_schema()).validate(forecast.to_dict())
    assert not forecast.compute_curve().is_empty()


def test_on_another_axis_there_is_none():
    """And the reason names the axis."""
    rows = with_facts(designs.rows(**QUICK), measured)
    forecast = emergecast.forecast(
        rows,
        SelectOptions(axis="params"),
        FitOptions(law="log-power"),
        options=ForecastOptions(bootstraps=0),
    )
    assert forecast.compute is None
    assert "log10 parameters" in (forecast.compute_reason or "")


def test_what_the_law_cannot_do_is_the_reason(forecast: Forecast):
    """No compute-optimal split of a law of FLOPs alone: no traceback, a sentence."""
    options = ComputeOptions(allocation=Allocation.compute_optimal())
    other = replace(forecast, compute_options=options)
    assert other.compute is None
    assert "compute-optimal split" in (other.compute_reason or "")


def test_it_is_the_same_every_time(forecast: Forecast):
    """The seed is fixed."""
    again = replace(forecast)
    assert record_of_compute(compute(again)) == record_of_compute(compute(forecast))
