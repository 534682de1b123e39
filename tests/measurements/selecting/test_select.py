from __future__ import annotations

import math
from dataclasses import replace

import polars as pl
import pytest

from emergecast.errors import SelectionError
from emergecast.measurements import (
    MetricKind,
    SelectOptions,
    above_chance,
    fits_of,
    metric_of,
    read_table,
    sampling_error,
    select,
)
from emergecast.measurements._metrics import METRICS, uniform_chance


def chosen(records, **options):
    """The selection from these rows."""
    return select(read_table(records), SelectOptions(**options))


def refusal(records, **options) -> str:
    """What the SelectionError says."""
    with pytest.raises(SelectionError) as caught:
        chosen(records, **options)
    return str(caught.value)


@pytest.fixture
def rows(rows):
    """The same, with the number of test items."""
    return lambda: [{**row, "n_items": 1000} for row in rows()]


def test_a_plain_table_is_one_fit(rows):
    """Without options the only task, series, metric and method are taken."""
    found = chosen(rows())
    assert (found.task, found.metric, found.method, found.shots) == ("quiz", "acc", "full", 5)
    assert (found.chance, found.best, found.negated) == (0.25, 1.0, False)
    assert found.metric_kind is MetricKind.PROPORTION
    assert found.series == ("s",)
    assert found.rows.height == 8
    assert found.warnings == ()
    assert found.hidden == ()
    assert found.hidden_reason is None
    assert found.rows.filter(pl.col("few_shot"))["examples"].null_count() == 2
    assert found.table_hash == read_table(rows()).hash


def test_a_table_of_no_rows_is_refused_as_that(rows):
    """And not by what the missing rows do not agree on."""
    table = read_table(rows())
    with pytest.raises(SelectionError, match="has no rows"):
        select(replace(table, frame=table.frame.clear()), SelectOptions())


def test_row_order_does_not_matter(rows):
    """The selected rows come in one order, whatever the table's."""
    records = [
        {**row, "seed": seed, "score": 0.25 + seed / 100} for row in rows() for seed in (0, 1)
    ]
    assert chosen(records).rows.equals(chosen(records[::-1]).rows)


def test_several_series_must_be_chosen_or_pooled(rows):
    """The same checkpoint name in two series is two checkpoints."""
    records = rows() + [{**row, "series": "t", "loss": row["loss"] + 1} for row in rows()]
    assert "--pool" in refusal(records)
    assert chosen(records, series="t").rows["loss"].max() == 4.0
    pooled = chosen(records, pool=True)
    assert pooled.rows.height == 16
    assert pooled.rows.select("series", "checkpoint").n_unique() == 4
    assert chosen(records, pool=True, series=("s", "t")).series == ("s", "t")
    assert 'Did you mean "t"' in refusal([*records, {**rows()[0], "series": "u"}], series="tt")


def test_fits_of_lists_tasks_and_series(rows):
    """One fit per task and series, or per task where pooled; each can be selected."""
    other = [{**row, "task": "z", "series": "t"} for row in rows()]
    table = read_table(rows() + other + [{**row, "series": "t"} for row in rows()])
    fits = fits_of(table, SelectOptions(min_loss=1.0))
    assert [(f.task, f.series) for f in fits] == [("quiz", "s"), ("quiz", "t"), ("z", "t")]
    assert all(fit.min_loss == 1.0 and select(table, fit).rows.height == 8 for fit in fits)
    assert [f.task for f in fits_of(table, SelectOptions(pool=True))] == ["quiz", "z"]
    assert [f.series for f in fits_of(table, SelectOptions(task="z"))] == ["t"]
    with pytest.raises(SelectionError, match="no row has the task"):
        fits_of(table, SelectOptions(task="nothing"))


def test_accuracy_goes_before_other_metrics(rows):
    """With acc among several it is taken; otherwise the choice is the user's."""
    brier = [{**row, "metric": "brier_score", "chance": 0.75, "score": 0.7} for row in rows()]
    assert chosen(rows() + brier).metric == "acc"
    f1 = [{**row, "metric": "f1"} for row in rows()]
    assert "brier_score, f1. Choose with --metric" in refusal(brier + f1)


def test_a_metric_where_lower_is_better_is_negated(rows):
    """Score, chance and best together, and the table stays as it was."""
    brier = [{**row, "metric": "brier_score", "chance": 0.75, "score": 0.7} for row in rows()]
    found = chosen(brier)
    assert found.negated
    assert (found.chance, found.best) == (-0.75, 0.0)
    assert set(found.rows["score"]) == {-0.7}
    ignored = chosen(brier, lower_is_better=False)
    assert (ignored.negated, ignored.chance, ignored.best) == (False, 0.75, None)
    share = chosen(rows(), lower_is_better=True)
    assert share.metric_kind is MetricKind.CONTINUOUS


def test_methods_shots_and_corpora_are_never_mixed(rows):
    """Each refusal names the option that decides."""
    records = rows()
    lora = [{**r, "method": "lora-4"} for r in records if r["setting"] == "finetuned"]
    assert "full, lora-4. Choose with --method" in refusal(records + lora)
    assert chosen(records + lora, method="lora-4").rows.height == 8
    assert "Methods there are: full" in refusal(records, method="prefix")
    zero = [{**r, "shots": 0} for r in records if r["setting"] == "few_shot"]
    assert "0, 5. Choose with --shots" in refusal(records + zero)
    assert chosen(records + zero, shots=0).shots == 0
    assert "Numbers there are: 5" in refusal(records, shots=3)
    corpora = [{**r, "loss_corpus": "c4"} for r in records]
    corpora += [{**r, "loss_corpus": "pile", "loss": r["loss"] + 1} for r in records]
    assert "c4, pile" in refusal(corpora)
    assert chosen(corpora, loss_corpus="pile").rows["loss"].min() == 3.5
    assert "(not named)" in refusal(
        corpora[:8] + [{**r, "checkpoint": "x" + r["checkpoint"]} for r in records]
    )


def test_shots_choose_among_few_shot_rows_alone(rows):
    """Two of four few-shot rows go; all six finetuned ones stay."""
    zero = [{**r, "shots": 0} for r in rows() if r["setting"] == "few_shot"]
    for shots in (0, 5):
        few_shot = chosen(rows() + zero, shots=shots).rows["few_shot"]
        assert (few_shot.sum(), (~few_shot).sum()) == (2, 6)


def test_several_chance_levels_do_not_make_one_fit(rows):
    """A fit has one level before the elbow."""
    records = rows()
    records[0]["chance"] = 0.2
    assert "0.2, 0.25" in refusal(records)


@pytest.mark.parametrize("fact", ["tokenizer", "loss_corpus"])
def test_mixing_is_an_error_where_measured_and_a_warning_where_estimated(rows, fact):
    """An estimated loss does not depend on either, so it is said and not refused."""
    records = [{**r, fact: "one" if r["checkpoint"] == "weak" else "two"} for r in rows()]
    assert "one, two" in refusal(records)
    found = chosen([{**r, "loss_source": "estimated"} for r in records])
    assert any("one, two" in warning for warning in found.warnings)
    assert any("2 of 2 checkpoints are estimated" in warning for warning in found.warnings)


def test_one_estimated_loss_is_said(rows):
    """As soon as there is one, and not where there is none."""
    records = [
        {**r, "loss_source": "estimated" if r["checkpoint"] == "weak" else "measured"}
        for r in rows()
    ]
    assert chosen(records).warnings == (
        "The losses of 1 of 2 checkpoints are estimated from parameters and tokens, not measured.",
    )


def test_snapshots_are_said(rows):
    """Points along one run are not separate finetunings."""
    records = [{**r, "snapshot": r.get("examples") == 100} for r in rows()]
    (warning,) = chosen(records).warnings
    assert warning.startswith("2 of 6 finetuned rows are snapshots along a longer run")


def test_several_numbers_of_shots_of_finetuned_rows_are_said(rows):
    """They do not stop a fit, since shots hardly move a finetuned score."""
    records = [{**r, "shots": 0 if r.get("examples") == 10 else 5} for r in rows()]
    assert chosen(records).warnings == (
        "The finetuned rows were evaluated with several numbers of shots: 0, 5.",
    )


def test_checkpoints_are_filtered_by_loss_and_name(rows):
    """Bounds are inclusive; names may be patterns; an empty result says which filter emptied it."""
    assert set(chosen(rows(), min_loss=2.6).rows["checkpoint"]) == {"weak"}
    assert set(chosen(rows(), min_loss=3.0).rows["checkpoint"]) == {"weak"}
    assert set(chosen(rows(), max_loss=2.5).rows["checkpoint"]) == {"strong"}
    assert set(chosen(rows(), exclude=("w*",)).rows["checkpoint"]) == {"strong"}
    assert 'Did you mean "strong"' in refusal(rows(), exclude=("strang",))
    assert "--min-loss 5 (losses lie between 2.5 and 3 nats)" in refusal(rows(), min_loss=5)
    assert "--max-loss 1" in refusal(rows(), max_loss=1)
    assert '--exclude "*"' in refusal(rows(), exclude=("*",))


def test_rows_are_filtered_by_any_column(rows):
    """Unknown columns too, compared as text; a filter that keeps nothing says what there is."""
    records = [{**r, "kind": i % 2, "ok": i < 6} for i, r in enumerate(rows())]
    assert chosen(records, where=(("kind", "1"), ("ok", "true"))).rows.height == 3
    assert "There are: 0, 1" in refusal(records, where=(("kind", "7"),))
    assert 'Did you mean "kind"' in refusal(records, where=(("kindd", "1"),))


def line(score: float, loss: float, **more):
    """One few-shot row."""
    shared = {"checkpoint": f"c{loss}", "loss": loss, "task": "t", "chance": 0.25, "score": score}
    return shared | {"setting": "few_shot"} | more


def test_at_chance_hides_the_weakest_that_emerged_and_everything_stronger():
    """Few-shot and finetuned rows alike, also a stronger checkpoint that looks like chance."""
    records = [line(0.25, 3.0), line(0.26, 2.8), line(0.4, 2.6), line(0.25, 2.4), line(0.6, 2.2)]
    records += [line(0.5, loss, setting="finetuned", examples=9) for loss in (3.0, 2.7, 2.6, 2.0)]
    found = chosen(records, at_chance_only=True)
    assert set(found.rows["loss"]) == {3.0, 2.8, 2.7}
    assert found.hidden == ("c2.6", "c2.4", "c2.2", "c2.0")
    assert found.hidden_reason is not None
    assert "c2.6 (loss 2.6)" in found.hidden_reason
    assert "4 of 7" in found.hidden_reason
    assert found.all_few_shot.height == 5


def test_the_border_of_chance_is_two_standard_errors_and_two_hundredths():
    """Score - 2 stderr <= chance + 0.02, with the stated error, the binomial one, or none."""
    exact = [line(0.27, 2.0), line(0.2701, 2.0)]
    given = [line(0.37, 2.0, stderr=0.05), line(0.3701, 2.0, stderr=0.05)]
    p = (100 * 0.36 + 1) / 102
    assert 0.36 - 2 * math.sqrt(p * (1 - p) / 100) < 0.27
    counted = [line(0.36, 2.0, n_items=100), line(0.36, 2.0, n_items=1000)]
    for records in (exact, given, counted):
        frame = read_table([{**r, "seed": i} for i, r in enumerate(records)]).frame
        assert list(above_chance(frame, MetricKind.PROPORTION, 0.25)) == [False, True]


def test_sampling_error_of_a_perfect_score_is_not_zero():
    """Smoothed binomial, worked by hand: n = 8, y = 1: p = 0.9, sqrt(0.9 * 0.1 / 8)."""
    frame = read_table([line(1.0, 2.0, n_items=8)]).frame
    assert sampling_error(frame, MetricKind.PROPORTION) == pytest.approx([math.sqrt(0.09 / 8)])
    assert sampling_error(frame, MetricKind.CONTINUOUS) == pytest.approx([0.0])


def test_at_chance_works_on_a_negated_metric():
    """A Brier score well below its chance level has emerged."""
    shared = {"metric": "brier_score", "chance": 0.75}
    records = [line(0.75, 3.0) | shared, line(0.9, 2.8) | shared, line(0.5, 2.5) | shared]
    assert chosen(records, at_chance_only=True).hidden == ("c2.5",)


def test_at_chance_refuses_or_says_what_it_cannot_do():
    """No few-shot rows; none above chance; all above chance."""
    tuned = [line(0.5, 2.0, setting="finetuned", examples=9)]
    assert "no few-shot rows" in refusal(tuned, at_chance_only=True)
    nothing = chosen([line(0.25, 2.0)], at_chance_only=True)
    assert nothing.hidden == ()
    assert nothing.hidden_reason == "Every checkpoint is at chance few-shot, so none was hidden."
    assert "no rows are left" in refusal([line(0.9, 2.0)], at_chance_only=True)


def test_hidden_names_carry_their_series_where_there_are_several():
    """Otherwise two checkpoints of one name could not be told apart."""
    records = [line(s, loss, series=name) for name in "ab" for s, loss in ((0.25, 3.0), (0.9, 2.0))]
    assert chosen(records, pool=True, at_chance_only=True).hidden == ("a/c2.0", "b/c2.0")


@pytest.mark.parametrize("name", METRICS)
def test_the_best_value_of_a_metric_is_at_the_right_bound(name):
    """Lower is better: the minimum; otherwise the maximum."""
    metric = METRICS[name]
    assert metric.best == (metric.minimum if metric.lower_is_better else metric.maximum)
    assert metric_of(f"{name},strict-match") is metric


@pytest.mark.parametrize("choices", [2, 4, 10])
def test_chance_of_a_uniform_guess_by_enumeration(choices):
    """Accuracy and Brier score of the uniform forecast, from their definitions."""
    forecast = [1 / choices] * choices
    truth = [1] + [0] * (choices - 1)
    brier = sum((p - y) ** 2 for p, y in zip(forecast, truth, strict=True))
    assert uniform_chance("brier_score", choices) == pytest.approx(brier)
    assert uniform_chance("acc,none", choices) == pytest.approx(1 / choices)
    assert uniform_chance("mcc", choices) == 0
    assert uniform_chance("logprob", choices) is None
