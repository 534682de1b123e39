"""What a forecast says, against draws, refits and the published schema."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema
import numpy as np
import polars as pl
import pytest
from tests import designs

import emergecast
from emergecast.diagnostics import Diagnostics, diagnose
from emergecast.forecasts import Forecast, ForecastOptions, Verdict, json_schema
from emergecast.inference import Fit, FitOptions, FitStatus, Mixture, Resample
from emergecast.measurements import SelectOptions

ISSUE_KEYS = {
    "task", "metric", "series", "few_shot_examples", "law", "elbow", "bootstrap", "verdict",
    "reasons", "status", "n_rows", "n_checkpoints", "weakest_loss", "strongest_loss", "priors",
    "table_hash", "version",
}  # fmt: skip
ELBOW_KEYS = {"mle", "mode", "p05", "p25", "p50", "p75", "p95"}


@pytest.fixture(scope="module")
def table() -> list[designs.Row]:
    """Two runs a cell, noise 0.01, few-shot elbow at 1.93."""
    first, second = (
        designs.rows(losses=designs.DENSE[::3], amounts=(64, 512, 4096), noise=0.01, seed=seed)
        for seed in (1, 2)
    )
    return [
        *first,
        *({**row, "seed": "b"} for row in second if row["setting"] == "finetuned"),
    ]


@pytest.fixture(scope="module")
def forecast(table: list[designs.Row]) -> Forecast:
    """A forecast of the plain law, which is fast, with a bootstrap."""
    return emergecast.forecast(
        table, fitting=FitOptions(law="log-power"), options=ForecastOptions(bootstraps=50)
    )


@pytest.fixture(scope="module")
def refused() -> Forecast:
    """A refused one."""
    return emergecast.forecast(designs.rows(amounts=(64, 512)))


@pytest.fixture(params=["forecast", "refused"])
def either(request: pytest.FixtureRequest) -> Forecast:
    """Each of the two."""
    found: Forecast = request.getfixturevalue(request.param)
    return found


# ---------------------------------------------------------------------------------- the record


def test_the_schema_is_a_valid_draft_2020_12_schema():
    """And requires every key it describes, so that a missing one is noticed."""
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(schema["required"]) == set(schema["properties"])
    assert set(schema["required"]) >= ISSUE_KEYS


def test_the_record_validates_and_survives_json(either: Forecast):
    """Strictly: no NaN, all keys that are promised, none that are not described."""
    record = either.to_dict()
    jsonschema.Draft202012Validator(json_schema()).validate(record)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert set(record) == set(json_schema()["properties"])
    if record["elbow"] is not None:
        assert set(record["elbow"]) == ELBOW_KEYS


def test_the_schema_rejects_what_is_no_forecast(forecast: Forecast):
    """A schema that everything satisfies would prove nothing."""
    record = forecast.to_dict()
    validator = jsonschema.Draft202012Validator(json_schema())
    for key in ISSUE_KEYS:
        assert not validator.is_valid({name: v for name, v in record.items() if name != key})
    changes: tuple[dict[str, Any], ...] = (
        {"verdict": "sure"}, {"elbow": {}}, {"elbow": "2.0"}, {"reasons": []}, {"status": "ok"},
        {"law": None}, {"diagnostics": {}}, {"n_rows": 0}, {"bootstrap": {"by_run": None}},
    )  # fmt: skip
    for change in changes:
        assert not validator.is_valid({**record, **change})


def test_a_record_says_what_the_table_says(forecast: Forecast, table: list[designs.Row]):
    """Counts, losses and names, worked from the rows by hand."""
    record = forecast.to_dict()
    losses = sorted({row["loss"] for row in table})
    assert record["n_rows"] == len(table)
    assert record["n_checkpoints"] == len(losses)
    assert (record["strongest_loss"], record["weakest_loss"]) == (losses[0], losses[-1])
    assert (record["task"], record["metric"], record["series"]) == ("quiz", "acc", "default")
    assert record["few_shot_examples"] == designs.SHOTS
    assert record["table_hash"] == emergecast.read_table(table).hash
    assert record["priors"] == emergecast.Priors().as_dict()
    assert record["version"] == emergecast.__version__
    assert record["status"] == FitStatus.EXACT
    assert record["bootstrap"]["by_run"]["n"] == 50


def test_a_bootstrap_can_be_left_out_and_one_run_a_cell_has_none(table: list[designs.Row]):
    """Null, rather than an interval of no width."""
    single = [row for row in table if row.get("seed") is None]
    record = emergecast.forecast(
        single, fitting=FitOptions(law="log-power"), options=ForecastOptions(bootstraps=10)
    ).to_dict()
    assert record["bootstrap"]["by_run"] is None
    assert record["bootstrap"]["by_checkpoint"]["n"] == 10


# ---------------------------------------------------------------------------- the distribution


def test_emerged_is_one_minus_cumulative_and_falls_with_loss(forecast: Forecast):
    """A stronger model has emerged at least as probably; quantiles rise with their probability."""
    loss = np.linspace(1.0, 3.5, 2001)
    emerged, cumulative = forecast.emerged(loss), forecast.cumulative(loss)
    np.testing.assert_allclose(emerged + cumulative, 1.0, atol=1e-15)
    assert np.all(np.diff(emerged) <= 0)
    assert (emerged[0], emerged[-1]) == (1.0, 0.0)
    probability = np.linspace(0, 1, 1001)
    quantile = forecast.quantile(probability)
    assert np.all(np.diff(quantile) >= 0)
    inner = probability[1:-1]
    np.testing.assert_allclose(forecast.cumulative(quantile[1:-1]), inner, atol=1e-9)
    mass = np.trapezoid(forecast.density(loss), loss)
    assert mass == pytest.approx(1.0, abs=2e-3)


def test_the_elbow_repeats_the_quantiles(forecast: Forecast):
    """And the mode is where the density is highest."""
    elbow = forecast.elbow
    assert elbow is not None
    found = [elbow.p05, elbow.p25, elbow.p50, elbow.p75, elbow.p95]
    np.testing.assert_allclose(found, forecast.quantile([0.05, 0.25, 0.5, 0.75, 0.95]))
    grid = np.linspace(elbow.p05, elbow.p95, 4001)
    highest = forecast.density(grid).max()
    assert forecast.density(elbow.mode) == pytest.approx(highest, rel=0.01)


def test_probabilities_of_scores_are_those_of_the_law_over_draws(forecast: Forecast):
    """Brute force: B + Delta + A max(E(D0) - L, 0) of 20,000 other draws, to 5 standard errors."""
    drawn = forecast.draws(20_000, seed=99)
    for loss in (1.6, 1.8, 1.9, 2.0, 2.2):
        score = drawn.chance + drawn.few_shot_offset
        score = score + drawn.slope * np.maximum(drawn.elbow - loss, 0.0)
        bars = tuple(float(bar) for bar in np.quantile(score, [0.1, 0.5, 0.9]))
        at = forecast.at(loss, bars)
        assert at.loss == loss
        assert at.score == pytest.approx(np.median(score), abs=0.05 * float(np.std(score)))
        for bar, share, found in zip(bars, (0.9, 0.5, 0.1), at.exceeds, strict=True):
            error = 5 * np.sqrt(share * (1 - share) * (1 / 4_000 + 1 / 20_000))
            assert found.score == bar
            assert found.probability == pytest.approx(share, abs=error)
            assert forecast.exceeds(loss, bar) == found.probability
        emerged = float(np.mean(drawn.elbow >= loss))
        error = 5 * np.sqrt(max(emerged * (1 - emerged), 1e-4) / 20_000)
        assert at.emerged == pytest.approx(emerged, abs=error)


# ------------------------------------------------------------------------------- sensitivity


def test_a_mixture_is_held_against_each_of_its_laws(table: list[designs.Row]):
    """One row a law, its own posterior; the record lists them with their weights."""
    fit = emergecast.fit(
        table,
        options=FitOptions(
            law=(
                "log-power",
                "power",
            ),
            weights="fixed",
        ),
    )
    found = emergecast.forecast(fit, options=ForecastOptions(bootstraps=0))
    rows = [row for row in found.sensitivity if row.kind == "law"]
    assert [row.what for row in rows] == ["log-power law", "power law"]
    for row, member in zip(rows, fit.members, strict=True):
        expected = member.posterior.quantile([0.05, 0.5, 0.95])
        np.testing.assert_allclose([row.p05, row.p50, row.p95], expected, rtol=1e-12)
    record = found.to_dict()
    assert [(law["law"], law["weight"]) for law in record["laws"]] == [
        ("log-power", 0.5), ("power", 0.5),
    ]  # fmt: skip
    jsonschema.Draft202012Validator(json_schema()).validate(record)


@pytest.mark.parametrize("weight", [0.011, 0.009])
def test_a_law_of_no_weight_does_not_disagree(table: list[designs.Row], weight: float):
    """Below 1% what a law says cannot make a forecast weak."""
    mixture = Mixture.of(["log-power", "power"], [1 - weight, weight])
    fit = emergecast.fit(table, options=FitOptions(law=mixture, weights="fixed"))
    gaps = [
        abs(float(m.posterior.quantile(0.5) - fit.posterior.quantile(0.5))) for m in fit.members
    ]
    assert gaps[0] < gaps[1]
    found = emergecast.forecast(
        fit, options=ForecastOptions(bootstraps=0, rules={"law_gap": sum(gaps) / 2})
    )
    assert any("The laws disagree" in reason for reason in found.reasons) == (weight > 0.01)


def test_sensitivities_are_what_refits_give(forecast: Forecast, table: list[designs.Row]):
    """Each row against a fit that was asked for in so many words; D0 of 1, 10 and 50 beside 5."""
    doubled = {
        "elbow_scale": 1.2, "shift_scale": 1.0, "alpha_sd_ln": 1.2, "slope_scale": 4.0,
    }  # fmt: skip
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("few_shot_examples", "read off at D0 = 1", {"few_shot_examples": 1}),
        ("few_shot_examples", "read off at D0 = 10", {"few_shot_examples": 10}),
        ("few_shot_examples", "read off at D0 = 50", {"few_shot_examples": 50}),
        ("priors", "prior scales doubled", {"priors": doubled}),
        ("law", "power law", {"law": "power"}),
    ]
    assert [(row.kind, row.what) for row in forecast.sensitivity] == [a[:2] for a in asked]
    for row, (_, _, ways) in zip(forecast.sensitivity, asked, strict=True):
        posterior = emergecast.fit(
            table, options=FitOptions(**{"law": "log-power", **ways})
        ).posterior
        np.testing.assert_allclose(
            [row.p05, row.p50, row.p95], posterior.quantile([0.05, 0.5, 0.95]), rtol=1e-12
        )


@pytest.mark.parametrize(
    ("shots", "smallest", "expected"),
    [(5, 16, [1, 10]), (1, 16, [2, 10]), (5, 64, [1, 10, 50]), (8, 8, [1, 2]), (3, 30, [1, 6, 30])],
)
def test_other_d0_lie_between_one_and_the_smallest_amount(shots, smallest, expected):
    """1, twice and ten times D0, without D0 itself; 8 shots beside 8 examples read off at 4."""
    from emergecast.forecasts._verdict import _other_few_shot_examples

    d0 = shots if shots < smallest else smallest / 2
    expected = expected if d0 == shots else [1, 8]
    assert _other_few_shot_examples(float(d0), float(smallest)) == expected


# --------------------------------------------------------------------------------- for people


def test_repr_says_verdict_and_numbers(forecast: Forecast, refused: Forecast):
    """In one line; a refused one says why."""
    elbow = forecast.elbow
    assert elbow is not None
    assert repr(forecast) == (
        f"Forecast('quiz': {forecast.verdict}; few-shot emergence at {elbow.p50:.3f} nats, "
        f"90% interval {elbow.p05:.3f} to {elbow.p95:.3f})"
    )
    assert repr(refused).startswith("Forecast('quiz': refused. There are 2 finetuning amounts")
    html = forecast._repr_html_()
    assert all(f"{value:.3f}" in html for value in (elbow.p05, elbow.p50, elbow.p95))
    assert str(forecast.verdict) in html
    assert "no forecast" in refused._repr_html_()
    assert "refused" in refused._repr_html_()


def test_html_escapes_names_from_the_table(forecast: Forecast):
    """A task may be called anything."""
    evil = "<script>alert('&')</script>"
    rows = designs.rows(amounts=(64, 512), task=evil, series="<b>", metric="<i>")
    fit = emergecast.fit(rows)
    for html in (fit._repr_html_(), emergecast.forecast(fit)._repr_html_()):
        assert "<script>" not in html
        assert "<i>" not in html
        assert "&lt;script&gt;" in html
    named = replace(forecast, reasons=("<script>",))
    assert "<script>" not in named._repr_html_()


def test_an_elbow_at_zero_or_without_a_maximum_keeps_the_columns_apart(forecast: Forecast):
    """A missing estimate leaves its column out; zero is a number."""
    assert forecast.elbow is not None
    html = replace(forecast, elbow=replace(forecast.elbow, mle=None, mode=0.0))._repr_html_()
    assert html.count("<th>") == html.count("<td>") == 6
    assert "<td>0.000</td>" in html


@pytest.mark.filterwarnings("ignore::FutureWarning:arviz")
def test_arviz_holds_the_posterior(forecast: Forecast):
    """All parameters by their names in docs/model.md, with the medians of the quadrature."""
    pytest.importorskip("arviz")
    posterior = forecast.fit.to_arviz(8_000).posterior
    assert set(posterior.data_vars) == {
        "elbow", "elbow_high", "alpha", "k", "c", "slope", "chance", "few_shot_offset", "noise",
    }  # fmt: skip
    assert posterior.sizes["chain"] == 1
    assert posterior.sizes["draw"] == 8_000
    sd = forecast.fit.posterior.sd
    assert float(posterior["elbow"].median()) == pytest.approx(
        float(forecast.quantile(0.5)), abs=0.1 * sd
    )
    x0 = np.log(designs.SHOTS)
    rebuilt = posterior["c"] + posterior["k"] * x0 ** posterior["alpha"]
    np.testing.assert_allclose(rebuilt, posterior["elbow"], rtol=1e-9)


# ------------------------------------------------------------------------------- for pictures

POINTS = {
    "checkpoint": pl.String, "loss": pl.Float64, "score": pl.Float64, "stderr": pl.Float64,
    "setting": pl.String, "examples": pl.Int64, "label": pl.String, "hidden": pl.Boolean,
}  # fmt: skip
CURVES = {
    "label": pl.String, "examples": pl.Int64, "loss": pl.Float64, "score": pl.Float64,
    "extrapolated": pl.Boolean,
}  # fmt: skip
DISTRIBUTION = {"loss": pl.Float64, "density": pl.Float64, "cumulative": pl.Float64}


def test_frames_have_the_columns_that_pictures_use(either: Forecast):
    """Also where the forecast is refused, without rows then."""
    assert dict(either.points().schema) == POINTS
    assert dict(either.curves().schema) == CURVES
    assert dict(either.distribution().schema) == DISTRIBUTION


def test_points_are_the_rows(forecast: Forecast, table: list[designs.Row]):
    """One a score, labelled by its amount, none hidden."""
    points = forecast.points()
    assert sorted(points["score"]) == sorted(row["score"] for row in table)
    assert set(points["label"]) == {"few-shot", "64", "512", "4,096"}
    assert set(points.filter(pl.col("setting") == "few-shot")["label"]) == {"few-shot"}
    assert not points["hidden"].any()


def test_hidden_points_are_the_later_few_shot_scores():
    """At chance only: few-shot scores of hidden checkpoints are shown, finetuned ones are not."""
    table = designs.rows(
        losses=designs.DENSE[::3], at=lambda examples: designs.elbow(examples) + 0.3
    )
    seen = emergecast.forecast(
        table,
        SelectOptions(at_chance_only=True),
        FitOptions(law="log-power"),
        options=ForecastOptions(bootstraps=0),
    )
    points = seen.points()
    later = points.filter("hidden")
    assert set(later["checkpoint"]) == set(seen.fit.selection.hidden) != set()
    assert set(later["setting"]) == {"few-shot"}
    few_shot = points.filter(pl.col("setting") == "few-shot")
    assert few_shot.height == len(designs.DENSE[::3])
    seen_losses = points.filter(~pl.col("hidden"))["loss"].to_numpy()
    assert later["loss"].to_numpy().max() < seen_losses.min()


def test_curves_follow_one_law(forecast: Forecast):
    """Straight on each side of an elbow, more data above less; few-shot goes past the rows."""
    curves = forecast.curves()
    data = forecast.fit.data
    assert curves["label"].unique(maintain_order=True).to_list() == [
        "few-shot", "64", "512", "4,096",
    ]  # fmt: skip
    beyond = curves.filter("extrapolated")
    assert set(beyond["label"]) == {"few-shot"}
    losses = beyond["loss"].to_numpy()
    assert losses.max() < data.strongest_loss
    assert forecast.elbow is not None
    assert losses.min() < forecast.elbow.p05
    for label, part in curves.group_by("label"):
        line = part.sort("loss")
        assert line["loss"].max() == data.loss.max()
        slopes = np.diff(line["score"]) / np.diff(line["loss"])
        flat = np.isclose(slopes, 0.0, atol=1e-9)
        assert np.allclose(slopes[~flat], slopes[0], rtol=1e-6), label
        assert np.all(np.diff(flat.astype(int)) >= 0), label
    top = curves.filter(pl.col("loss") == data.strongest_loss).sort("examples")["score"]
    assert top.is_sorted()


def steeper(amount: int | None) -> float:
    """A slope for each amount of the table below, score per nat."""
    return {None: 0.5, 64: 0.3, 512: 0.5, 4096: 0.8}[amount]


@pytest.fixture(scope="module")
def sloped() -> list[designs.Row]:
    """Noise 0.003, every amount with a slope of its own."""
    return [
        {**row, "score": designs.CHANCE + (row["score"] - designs.CHANCE) * factor}
        for row in designs.rows(losses=designs.DENSE[::2], amounts=(64, 512, 4096))
        for factor in [steeper(row["examples"]) / designs.SLOPE]
    ]


@pytest.mark.parametrize(
    "law", [["log-power+slopes"], ["power+slopes", "log-power+slopes"]], ids=["one", "two"]
)
def test_lines_go_through_the_points_and_the_median(sloped: list[designs.Row], law: list[str]):
    """Each amount by its own slope; few-shot leaves chance at the median that is stated."""
    found = emergecast.forecast(
        sloped, fitting=FitOptions(law=law), options=ForecastOptions(bootstraps=0)
    )
    curves, points = found.curves(), found.points()
    for (label,), part in curves.group_by("label"):
        line, own = part.sort("loss"), points.filter(pl.col("label") == label)
        drawn = np.interp(own["loss"], line["loss"], line["score"])
        away = own["score"].to_numpy() - drawn
        assert np.sqrt(np.mean(away**2)) < 0.008, label
    line = curves.filter(pl.col("label") == "few-shot").sort("loss")
    risen = line.filter(pl.col("score") > line["score"][-1] + 1e-9)["loss"]
    assert found.elbow is not None
    width = found.elbow.p95 - found.elbow.p05
    step = float(np.max(np.diff(line["loss"])))
    highest = float(risen.to_numpy().max())
    assert -step - 0.02 * width < highest - found.elbow.p50 < 0.02 * width


def test_the_lines_say_what_they_are(forecast: Forecast, refused: Forecast, table):
    """One draw; of which law, where there are several; nothing where nothing is drawn."""
    assert forecast.lines == "Lines: one typical draw of the posterior."
    assert refused.lines == ""
    two = emergecast.forecast(
        table,
        fitting=FitOptions(
            law=(
                "log-power",
                "power",
            )
        ),
        options=ForecastOptions(bootstraps=0),
    )
    medians = {str(m.law): float(m.posterior.quantile(0.5)) for m in two.fit.members}
    near = min(medians, key=lambda law: abs(medians[law] - float(two.quantile(0.5))))
    assert two.lines == f"Lines: one typical draw of one of the 2 laws, {near}."
    heavy = emergecast.fit(
        table, options=FitOptions(law=Mixture.of(["log-power", "power"], [1, 1e-4]))
    )
    assert emergecast.forecast(heavy, options=ForecastOptions(bootstraps=0)).lines.endswith(
        " log-power."
    )
    light = emergecast.fit(
        table, options=FitOptions(law=Mixture.of(["log-power", "power"], [1e-4, 1]))
    )
    assert emergecast.forecast(light, options=ForecastOptions(bootstraps=0)).lines.endswith(
        " power."
    )


@pytest.mark.parametrize("weight", [0.51, 0.49])
def test_the_lines_are_never_of_a_law_of_no_weight(
    table: list[designs.Row], weight: float, monkeypatch: pytest.MonkeyPatch
):
    """Even where its median is the nearest: here a law counts for nothing below one half."""
    monkeypatch.setattr("emergecast.forecasts._lines.NEGLIGIBLE", 0.5)
    mixture = Mixture.of(["log-power", "power"], [weight, 1 - weight])
    found = emergecast.forecast(
        table,
        fitting=FitOptions(law=mixture, weights="fixed"),
        options=ForecastOptions(bootstraps=0),
    )
    assert found.lines.endswith(", log-power." if weight > 0.5 else ", power.")


def test_the_law_of_maximum_likelihood_is_named_where_it_is_another(forecast: Forecast, table):
    """A mixture has that of the log power law."""
    assert forecast.plain_law is None
    two = emergecast.forecast(
        table,
        fitting=FitOptions(
            law=(
                "log-power",
                "power",
            )
        ),
        options=ForecastOptions(bootstraps=0),
    )
    assert two.plain_law == "log-power"


def test_the_distribution_frame_is_the_distribution(forecast: Forecast):
    """Its cumulative column is the probability of having emerged, from 1 at low loss to 0."""
    frame = forecast.distribution().sort("loss")
    loss = frame["loss"].to_numpy()
    np.testing.assert_allclose(frame["cumulative"], forecast.emerged(loss), atol=1e-12)
    assert np.trapezoid(frame["density"], loss) == pytest.approx(1.0, abs=0.01)
    assert frame["cumulative"][0] > 0.999
    assert frame["cumulative"][-1] < 0.001


def test_the_pictures_take_a_real_forecast(either: Forecast, tmp_path):
    """Both, also of a refused one."""
    from emergecast import report

    for name in ("fan", "distribution"):
        written = report.save(getattr(report, name)(either), tmp_path, name)
        assert {path.name for path in written} == {f"{name}.svg", f"{name}.png"}
        assert all(path.stat().st_size > 1000 for path in written)


def test_a_forecast_does_not_depend_on_who_resamples(table: list[designs.Row]):
    """The same table gives the same bytes, and both bootstraps their own seed."""
    first, second = (
        emergecast.forecast(
            table, fitting=FitOptions(law="log-power"), options=ForecastOptions(bootstraps=20)
        )
        for _ in range(2)
    )
    assert json.dumps(first.to_dict()) == json.dumps(second.to_dict())
    assert set(first.bootstrap) == set(Resample)


# --------------------------------------------------------------------------------- in two steps


def test_the_answer_is_there_before_the_diagnostics(
    table: list[designs.Row], monkeypatch: pytest.MonkeyPatch
):
    """Called once, with what the forecast will say, and nothing for a refused one."""
    order: list[Any] = []

    def told(fit: Fit) -> Diagnostics:
        order.append("diagnosed")
        return diagnose(fit)

    monkeypatch.setattr("emergecast.forecasts._verdict.diagnose", told)
    found = emergecast.forecast(
        table,
        fitting=FitOptions(law="log-power"),
        options=ForecastOptions(bootstraps=0),
        on_elbow=lambda fit, elbow: order.append((fit.selection.task, elbow)),
    )
    assert order == [("quiz", found.elbow), "diagnosed"]
    order.clear()
    emergecast.forecast(designs.rows(amounts=(64, 512)), on_elbow=lambda _f, e: order.append(e))
    assert order == []


def test_without_diagnostics_no_forecast_is_identified():
    """It is weak at best, and says why; the numbers are the same."""
    table = designs.rows(losses=designs.DENSE[::4], amounts=(64, 512, 4096))
    fitting = FitOptions(law="log-power")
    whole, bare = (
        emergecast.forecast(
            table, fitting=fitting, options=ForecastOptions(bootstraps=0, diagnostics=yes)
        )
        for yes in (True, False)
    )
    assert whole.verdict is Verdict.IDENTIFIED
    assert (bare.verdict, bare.diagnostics, bare.elbow) == (Verdict.WEAK, None, whole.elbow)
    assert any("--no-diagnostics" in reason for reason in bare.reasons)
    assert bare.to_dict()["diagnostics"] is None
