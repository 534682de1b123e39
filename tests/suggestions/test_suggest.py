from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import jsonschema
import numpy as np
import polars as pl
import pytest
from tests import designs

import emergecast
from emergecast.errors import OptionError, SelectionError, TableError
from emergecast.forecasts import ForecastOptions, json_schema
from emergecast.inference import FitOptions
from emergecast.measurements import SelectOptions, read_table, select
from emergecast.suggestions import Cost, Suggestion, SuggestOptions, repeats, suggest
from emergecast.suggestions._candidates import Candidate, ladder
from emergecast.suggestions._greedy import GreedyPlan

LAW = "log-power"
SOME = (64, 1024)


def rows(amounts=SOME, **more: Any) -> list[designs.Row]:
    """Ten checkpoints at chance few-shot, of a billion parameters."""
    made = designs.rows(
        losses=designs.DENSE[:24:2][-10:], amounts=amounts, params=10**9, n_items=1000, **more
    )
    return [{**row, "stderr": None} for row in made]


def plan(table, *, budget: float = 5.0, **more: Any) -> Suggestion:
    """A plan under the law that is integrated exactly."""
    options = SuggestOptions(budget=budget, **more.pop("options", {}))
    return suggest(read_table(table), options, fitting=FitOptions(law=LAW), **more)


# ------------------------------------------------------------------------------------ the plan


@pytest.fixture(scope="module")
def warm() -> Suggestion:
    """A plan where two amounts are measured."""
    return plan(rows())


@pytest.fixture(scope="module")
def cold() -> Suggestion:
    """A plan where nothing is finetuned yet."""
    return plan(rows(amounts=()))


def test_a_plan_keeps_its_budget_and_its_counts(warm: Suggestion):
    """Hours add up, repeats count, every number is one; what it buys falls along the plan."""
    assert warm.runs
    spent = np.cumsum([run.candidate.gpu_hours for run in warm.runs])
    assert [run.hours_so_far for run in warm.runs] == pytest.approx(spent)
    assert warm.hours <= 5.0
    counts: dict[tuple[str, int | None], int] = {}
    for run in warm.runs:
        key = (run.candidate.checkpoint, run.candidate.examples)
        measured = 1 if run.candidate.examples in SOME else 0
        counts[key] = counts.get(key, measured) + 1
        assert run.repeat == counts[key]
        assert run.information > 0
    assert warm.runs[-1].width < warm.width
    assert not warm.cold


def test_the_first_run_has_the_most_information_per_hour(warm: Suggestion):
    """And no other was judged better; a run on its own says what the prospect says."""
    best = max(warm.prospects, key=lambda each: each.per_hour)
    first = warm.runs[0]
    assert first.candidate == best.candidate
    assert first.information == best.information


def test_before_anything_is_finetuned_it_says_where_to_begin(cold: Suggestion):
    """Amounts from a ladder, on checkpoints whose elbow may lie there; a strong one first."""
    assert cold.cold
    assert cold.runs
    amounts = {each.candidate.examples for each in cold.prospects}
    assert amounts == {30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000}
    losses = sorted({each.candidate.loss for each in cold.prospects})
    assert cold.runs[0].candidate.loss in losses[:5]
    assert "Nothing is measured on" in cold.runs[0].reason
    assert cold.subtitle.startswith("Nothing is finetuned yet.")


@pytest.mark.slow
def test_information_is_what_refitting_gives():
    """The oracle: draw outcomes of one run, refit with each, and see how far entropy falls.

    Entropies of E(D0) by quadrature of the exact posterior's density; the information of a run is
    the mean fall. 29 outcomes leave an error of about a tenth.
    """
    table = rows(amounts=(64, 256, 1024))
    candidate = {"checkpoint": table[-1]["checkpoint"], "examples": 16, "gpu_hours": 1.0}
    found = plan(table, candidates=[candidate], options={"most": 1})
    fit = emergecast.fit(table, options=FitOptions(law=LAW, planned_amounts=(16.0,)))
    rng = np.random.default_rng(2)
    drawn = fit.posterior.draws(400, rng)
    spread = rng.permutation(np.argsort(drawn.elbow)[5::14])  # as even in E(D0) as 29 can be
    mean = drawn.line(np.array([1]), np.array([table[-1]["loss"]]))[:, 0]
    falls = []
    before = entropy(fit.posterior)
    for i in spread:
        score = mean[i] + drawn.noise[i] * rng.standard_normal()
        score = rng.binomial(1000, min(max(score, 0.0), 1.0)) / 1000
        new = {**table[-1], "setting": "finetuned", "examples": 16, "score": score}
        falls.append(
            before - entropy(emergecast.fit([*table, new], options=FitOptions(law=LAW)).posterior)
        )
    error = float(np.std(falls)) / math.sqrt(len(falls))
    assert found.prospects[0].information == pytest.approx(np.mean(falls), abs=2.5 * error + 0.01)
    assert np.mean(falls) > 0.1


def entropy(posterior) -> float:
    """Of the density of E(D0), nats."""
    low, high = posterior.quantile([1e-4, 1 - 1e-4])
    grid = np.linspace(low - 0.1, high + 0.1, 4001)
    density = posterior.density(grid)
    inside = density > 0
    step = grid[1] - grid[0]
    return float(-np.sum(density[inside] * np.log(density[inside])) * step)


def test_a_planned_score_scatters_by_its_items_and_from_run_to_run():
    """Under each draw sqrt(p (1 - p) / n + tau^2), p smoothed by an item; tau is large here."""
    table = rows(noise=0.05)
    fitted = emergecast.fit(table, options=FitOptions(law=LAW))
    candidate = Candidate(
        series=fitted.selection.series[0],
        checkpoint=table[-1]["checkpoint"], loss=table[-1]["loss"],
        examples=1024, runs=1, gpu_hours=1.0, flops=None,
    )  # fmt: skip
    made = GreedyPlan(fitted, [candidate], SuggestOptions(budget=1.0))
    (predicted,), draws = made._predicted, made._draws
    share = (1000 * predicted.mean.clip(0, 1) + 1) / 1002
    assert np.median(draws.noise) > 0.03
    np.testing.assert_allclose(predicted.sd**2, share * (1 - share) / 1000 + draws.noise**2)


def test_what_cannot_be_paid_is_not_planned():
    """Not even the first; and it says what the cheapest would take."""
    nothing = plan(rows(), budget=1e-3)
    assert nothing.runs == ()
    assert "the cheapest takes 0.05" in nothing.stopped
    assert nothing.to_dict()["expected_width"] == nothing.width
    assert nothing.subtitle == nothing.stopped


def test_a_run_is_not_made_more_often_than_it_may():
    """`runs` of a candidate; and after the last there is nothing left to do."""
    name = rows()[-1]["checkpoint"]
    offered = [{"checkpoint": name, "examples": 16, "runs": 2, "gpu_hours": 0.5}]
    found = plan(rows(), candidates=offered)
    assert [run.repeat for run in found.runs] == [1, 2]
    assert found.runs[0].information > found.runs[1].information


def test_a_run_that_adds_too_little_is_not_named():
    """However much of the budget is left; the threshold is an option."""
    one = plan(rows(), budget=100)
    least = one.runs[0].information * 0.6
    two = plan(rows(), budget=100, options={"least": least})
    assert 0 < len(two.runs) < len(one.runs)
    assert min(run.information for run in two.runs) >= least
    assert "make them, and ask again" in two.stopped


def test_twice_the_price_is_half_the_worth():
    """Worth is information over hours, whatever it is that costs."""
    offered = [{"checkpoint": "c9", "examples": each, "gpu_hours": 1.0} for each in (30, 300)]
    one, other = plan(rows(), candidates=offered).prospects
    offered[0]["gpu_hours"] = 2 * one.information / other.information
    found = plan(rows(), candidates=offered, budget=1e6)
    assert found.prospects[0].per_hour == pytest.approx(found.prospects[1].per_hour / 2)
    assert found.runs[0].candidate.examples == 300


def test_the_same_question_has_the_same_answer(warm: Suggestion):
    """Also if the rows come in another order."""
    again = plan(rows()[::-1])
    assert again.to_dict() == warm.to_dict()


def test_plans_leave_the_posterior_as_it_is():
    """Planned amounts, also beyond the largest, move no quantile.

    With them few-shot rows alone have a posterior, which does not depend on how many are planned.
    """
    now = emergecast.fit(rows(), options=FitOptions(law=LAW)).posterior.quantile([0.05, 0.5, 0.95])
    ahead = emergecast.fit(
        rows(), options=FitOptions(law=LAW, planned_amounts=(16.0, 300.0, 1e5))
    ).posterior
    assert ahead.quantile([0.05, 0.5, 0.95]) == pytest.approx(
        now, abs=2e-4
    )  # what integrals differ by
    bare = [
        emergecast.fit(
            rows(amounts=()), options=FitOptions(law=LAW, planned_amounts=amounts)
        ).posterior
        for amounts in ((1e5,), (30.0, 1000.0, 1e5))
    ]
    first, second = (posterior.quantile([0.05, 0.5, 0.95]) for posterior in bare)
    assert first == pytest.approx(second, abs=0.004)


def test_the_elbow_of_a_planned_amount_follows_the_law():
    """E(D) = c + k (ln D)^alpha at amounts without rows, below and beyond those measured."""
    planned = (16.0, 300.0, 1e5)
    fit = emergecast.fit(rows(), options=FitOptions(law=LAW, planned_amounts=planned))
    drawn = fit.posterior.draws(50, np.random.default_rng(0))
    for amount in planned:
        level = int(np.searchsorted(fit.data.amounts, amount)) + 1
        law = drawn.c + drawn.k * math.log(amount) ** drawn.alpha
        assert drawn.elbows[:, level] == pytest.approx(law, rel=1e-6)


# ------------------------------------------------------------------------------- candidates


def test_the_ladder_fills_the_gaps():
    """Measured amounts stay; steps near one are left out; it ends four times beyond the largest."""
    picked = select(read_table(rows(amounts=(64, 1024))), SelectOptions())
    assert ladder(picked, 5) == (30, 64, 100, 300, 1024, 3000)


def test_the_ladder_lies_above_twice_the_shots():
    """With 15 shots 30 examples are too few; with 40 those measured on 64 go too, and 100 stay."""
    picked = select(read_table(rows(amounts=(64, 1024))), SelectOptions())
    assert ladder(picked, 14) == (30, 64, 100, 300, 1024, 3000)
    assert ladder(picked, 15) == (64, 100, 300, 1024, 3000)
    assert ladder(picked, 40) == (100, 300, 1024, 3000)


def test_a_checkpoint_that_the_table_lacks():
    """It needs a loss, and params or hours; its deviation is not known."""
    offered = [{"checkpoint": "new", "loss": 2.02, "params": 2e9, "examples": 256}]
    found = plan(rows(), candidates=offered)
    assert found.prospects[0].candidate.loss == 2.02
    assert found.prospects[0].information > 0
    assert found.prospects[0].measured == 0


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"checkpoint": "c77"}, r"row 2, column checkpoint: the table has no such checkpoint\. "),
        ({"loss": 3.3}, r"row 2, column loss: the table says that c9 has loss 2\.08333"),
        ({"gpu_hours": 0}, r"row 2, column gpu_hours: no run is free"),
        ({"gpu_hours": -1}, r"row 2, column gpu_hours: the gpu_hours is below 0"),
        ({"examples": None}, r"row 2, column examples: the examples is missing"),
        ({"examples": 1.5}, r"row 2, column examples: this is not a whole number"),
        ({"examples": 256}, r"row 2, column examples: the run is there already, in row 1"),
        (
            {"gpu_hour": 1},
            r'column gpu_hour: the column "gpu_hour" is not known.*Rename .*gpu_hours',
        ),
    ],
)
def test_a_bad_candidate_is_named(row, says):
    """File, row, column, value and remedy; before anything is computed."""
    good = {"checkpoint": "c9", "examples": 256}
    with pytest.raises(TableError, match=f"(?s){says}"):
        plan(rows(), candidates=[good, {**good, "examples": 512, **row}])


def test_two_series_may_share_a_name():
    """Then the candidate must say which it means."""
    table = [{**row, "series": name} for name in ("a", "b") for row in rows()]
    name = table[-1]["checkpoint"]
    offered: list[dict[str, Any]] = [{"checkpoint": name, "examples": 256}]
    pooled = SelectOptions(pool=True)
    with pytest.raises(TableError, match=r"2 series have a checkpoint of this name: a, b"):
        plan(table, candidates=offered, rows=pooled)
    offered[0]["series"] = "b"
    found = plan(table, candidates=offered, rows=pooled)
    assert found.runs[0].candidate.series == "b"


def test_without_params_nobody_knows_the_cost():
    """Neither of the table's checkpoints nor of a file's."""
    table = [{**row, "params": None} for row in rows()]
    with pytest.raises(OptionError, match=r"no params for it\. Add a column params, or give"):
        plan(table)
    with pytest.raises(TableError, match=r"nothing says what the run costs"):
        plan(table, candidates=[{"checkpoint": "c9", "examples": 256}])


def test_an_amount_like_few_shot_is_refused():
    """D0 is read off there."""
    with pytest.raises(OptionError, match=r"3 examples is planned, but .* D0 = 5"):
        plan(rows(), options={"amounts": (3, 100)})


def test_impossible_options_are_refused():
    """Budget, counts, amounts, costs; and another axis."""
    impossible: list[dict[str, Any]] = [{"budget": 0.0}, {"budget": math.nan}]
    impossible += [{"runs": 0}, {"most": 0}, {"amounts": (0,)}, {"least": 0.0}]
    for bad in impossible:
        with pytest.raises(OptionError):
            SuggestOptions(**{"budget": 1.0, **bad})
    with pytest.raises(OptionError, match=r"epochs must be above 0, not -1"):
        Cost(epochs=-1)
    with pytest.raises(SelectionError, match="takes no other --axis"):
        plan(
            [{**row, "skill": -row["loss"]} for row in rows()],
            rows=SelectOptions(axis="skill"),
        )


# ------------------------------------------------------------------------------------ costs


def test_cost_as_worked_by_hand():
    """1e9 params, 1,000 examples of 512 tokens thrice, 2,000 items of 512 tokens, 1e14 FLOP/s."""
    cost = Cost(flops_per_second=1e14, overhead_hours=0.1)
    trained, evaluated = 6e9 * 1000 * 512 * 3, 2e9 * 2000 * 512
    assert cost.flops(1e9, 1000, 2000) == pytest.approx(trained + evaluated)
    assert cost.hours(1e9, 1000, 2000) == pytest.approx((trained + evaluated) / 1e14 / 3600 + 0.1)
    assert cost.flops(1e9, None, 2000) == pytest.approx(evaluated)


def test_the_rate_is_measured_where_the_table_says_what_runs_took():
    """The median over the rows; a given rate, and rows without hours, leave it."""
    cost = Cost(overhead_hours=0.1)
    table = rows()
    tuned = [row for row in table if row["examples"]]
    for i, row in enumerate(tuned):
        spent = cost.flops(1e9, row["examples"], 1000)
        row["gpu_hours"] = spent / (3600 * (1e12 if i % 3 else 5e12)) + 0.1
    measured = cost.measured(read_table(table), 1000)
    assert measured.rate == pytest.approx(1e12, rel=1e-9)
    assert measured.measured_on == len(tuned)
    as_text = [
        {**row, "gpu_hours": row.get("gpu_hours") and f"{row['gpu_hours']:.9f}0"} for row in table
    ]
    assert cost.measured(read_table(as_text), 1000).rate == pytest.approx(1e12, rel=1e-3)
    for bad in ("-1", "0", "two", "inf"):
        tuned[3]["gpu_hours"] = bad
        with pytest.raises(TableError, match=rf"column gpu_hours: these are not .*value {bad}"):
            cost.measured(read_table(table), 1000)
    given = Cost(flops_per_second=7.0, overhead_hours=0.1)
    assert given.measured(read_table(table), 1000) is given
    assert cost.measured(read_table(rows()), 1000).rate == 2.5e14


# ---------------------------------------------------------------------------------- repeats


def test_what_the_second_subset_was_worth():
    """As fitting the first subset alone in the units of all rows, which `posterior_if` does."""
    table = [{**row, "subset": "a"} for row in rows(amounts=(64, 256, 1024))]
    more = [{**row, "subset": "b"} for row in rows(seed=1) if row["examples"] == 64]
    fit = emergecast.fit([*table, *more], options=FitOptions(law=LAW))
    (found,) = repeats(fit)
    first = fit.selection.rows["subset"].fill_null("a").to_numpy() == "a"
    low, high = fit.posterior_if(keep=first).quantile([0.05, 0.95])
    assert (found.what, found.n_rows, found.n_cells) == ("data subset", 10, 10)
    assert found.width_without == pytest.approx(high - low)
    assert found.sentence("nats").startswith(
        "The repeats by data subset (10 rows in 10 cells) made the 90% interval "
    )
    record = emergecast.forecast(fit, options=ForecastOptions(bootstraps=0)).to_dict()
    jsonschema.validate(record, json_schema())
    assert record["repeats"][0]["width"] == found.width


def test_seeds_are_judged_within_their_subset():
    """Two seeds of two subsets, of other names in each: both levers; none where nothing repeats."""
    drawn = {("a", "0"): 1, ("a", "1"): 2, ("b", "2"): 3, ("b", "3"): 4}
    both = [
        {**row, "subset": subset, "seed": seed}
        for (subset, seed), number in drawn.items()
        for row in rows(seed=number)
        if row["examples"] or seed == "0"
    ]
    found = {each.what: each for each in repeats(emergecast.fit(both, options=FitOptions(law=LAW)))}
    assert set(found) == {"data subset", "seed"}
    assert found["seed"].n_rows == 40
    assert found["data subset"].n_rows == 40
    assert repeats(emergecast.fit(rows(), options=FitOptions(law=LAW))) == ()


def test_the_plan_as_values(warm: Suggestion):
    """JSON and frame say the same; hours so far never fall."""
    import json

    record = json.loads(json.dumps(warm.to_dict()))
    frame = warm.to_frame()
    assert isinstance(frame, pl.DataFrame)
    assert [run["checkpoint"] for run in record["runs"]] == frame["checkpoint"].to_list()
    assert all(a <= b for a, b in pairwise(frame["hours_so_far"]))
    assert record["cost"]["flops_per_second"] == 2.5e14
    assert len(record["candidates"]) == len(warm.prospects)


def test_a_plan_without_candidates_is_refused():
    """An empty ladder."""
    fit = emergecast.fit(rows(), options=FitOptions(law=LAW))
    with pytest.raises(OptionError, match="no run to choose from"):
        GreedyPlan(fit, (), SuggestOptions(budget=1.0))
