"""Another axis than loss, another shift than examples: the same fit, in other words."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from tests import designs

import emergecast
from emergecast.errors import EmergecastError, OptionError, SelectionError, TableError
from emergecast.forecasts import Forecast, ForecastOptions
from emergecast.inference import FitOptions
from emergecast.measurements import (
    Axis,
    Selection,
    SelectOptions,
    Shift,
    Transform,
    read_table,
    select,
)
from emergecast.report import fan

LOSSES = designs.DENSE[::4]
QUANTILES = ("p05", "p25", "p50", "p75", "p95")
CLOSE = 2e-4
"""Nats: adaptive refinement may take another step where a rounding differs."""


def rows(**more: Any) -> list[designs.Row]:
    """A table in which a plain fit is identified, and what other columns say of its checkpoints."""
    table = designs.rows(losses=LOSSES, amounts=(10, 100, 1000, 10000), **more)
    for row in table:
        row["index"] = 7.0 - row["loss"]
        row["flops"] = 10.0 ** (26.0 - 2.0 * row["loss"])
        row["share"] = (row["examples"] or 0) / 100
    return table


def forecast(
    table: list[designs.Row],
    axis: str = "loss",
    shift: str = "examples",
    at: float | None = None,
) -> Forecast:
    """The forecast by the plain law, read off at an amount of the shift."""
    read = read_table(table, axis=axis, shift=shift)
    fit = emergecast.fit(
        read,
        SelectOptions(axis=axis, shift=shift),
        FitOptions(law="log-power", few_shot_examples=at),
    )
    return emergecast.forecast(fit, options=ForecastOptions(bootstraps=0))


@pytest.fixture(scope="module")
def plain() -> Forecast:
    """The forecast on loss, by examples."""
    return forecast(rows())


def picked(table: list[designs.Row], **options: Any) -> Selection:
    """The selection from these rows."""
    shift, axis = options.get("shift", "examples"), options.get("axis", "loss")
    return select(read_table(table, axis=axis, shift=shift), SelectOptions(**options))


def quantiles(found: Forecast) -> np.ndarray:
    """The printed quantiles, mode and maximum likelihood."""
    assert found.elbow is not None
    return np.array([getattr(found.elbow, name) for name in (*QUANTILES, "mode", "mle")])


MIRROR = [4, 3, 2, 1, 0, 5, 6]

# --------------------------------------------------------------------------------- the same fit


def test_an_axis_that_mirrors_loss_gives_mirrored_quantiles(plain: Forecast):
    """On 7 - loss: 7 - quantiles, in reverse order; the same probabilities of the same models."""
    found = forecast(rows(), axis="index")
    assert quantiles(found) == pytest.approx(7.0 - quantiles(plain)[MIRROR], abs=CLOSE)
    loss = np.array([1.85, 1.93, 1.97, 2.1])
    assert found.emerged(7.0 - loss) == pytest.approx(plain.emerged(loss), abs=2e-3)
    assert found.cumulative(7.0 - loss) == pytest.approx(1.0 - plain.cumulative(loss), abs=2e-3)
    assert found.quantile(0.1) == pytest.approx(7.0 - plain.quantile(0.9), abs=CLOSE)
    assert found.at(7.0 - 1.8).score == pytest.approx(plain.at(1.8).score, abs=2e-3)
    assert found.exceeds(7.0 - 1.8, 0.3) == pytest.approx(plain.exceeds(1.8, 0.3), abs=2e-2)
    assert found.verdict is plain.verdict
    for mine, other in zip(found.sensitivity, plain.sensitivity, strict=True):
        assert mine.p05 == pytest.approx(7.0 - other.p95, abs=5 * CLOSE)
        assert mine.p50 == pytest.approx(7.0 - other.p50, abs=5 * CLOSE)
    assert found.axis.per_nat == pytest.approx(1.0)


def test_log_flops_in_a_known_relation_to_loss(plain: Forecast):
    """Log10 FLOPs = 26 - 2 loss: quantiles follow, a nat is worth 2, densities are halved."""
    found = forecast(rows(), axis="flops")
    assert quantiles(found) == pytest.approx(26.0 - 2.0 * quantiles(plain)[MIRROR], abs=2 * CLOSE)
    assert found.axis == Axis(
        name="flops", higher_is_stronger=True, transform=Transform.LOG10, per_nat=found.axis.per_nat
    )
    assert found.axis.per_nat == pytest.approx(2.0)
    assert found.verdict is plain.verdict
    ours, theirs = found.density(26.0 - 2.0 * 1.95), plain.density(1.95)
    assert float(ours) == pytest.approx(float(theirs) / 2, rel=0.1)
    record = found.to_dict()
    assert record["axis"]["unit"] == "log10 FLOPs"
    assert record["strongest_loss"] == pytest.approx(22.0)
    assert record["weakest_loss"] == pytest.approx(20.0)
    assert found.title.endswith("log10 FLOPs")
    assert found.elbow is not None
    assert record["elbow"]["p05"] == found.elbow.p05 < found.elbow.p95


def test_frames_for_pictures_are_on_the_axis(plain: Forecast):
    """Points, curves and the distribution, mirrored and in the unit of the shift."""
    found = forecast(rows(), axis="index", shift="share:x100", at=0.05)
    mine, theirs = found.points(), plain.points()
    assert mine["loss"].to_numpy() == pytest.approx(7.0 - theirs["loss"].to_numpy())
    tuned = ~theirs["examples"].is_null().to_numpy()
    assert mine["examples"].to_numpy()[tuned] * 100 == pytest.approx(
        theirs["examples"].to_numpy()[tuned]
    )
    assert set(mine["label"]) == {"few-shot", "0.1", "1", "10", "100"}
    curves = found.curves()
    assert set(curves["label"]) == set(mine["label"])
    ours, theirs_too = (view.curves()["loss"].to_numpy() for view in (found, plain))
    assert ours.max() == pytest.approx(7.0 - theirs_too.min(), abs=1e-2)
    assert curves.filter("extrapolated")["loss"].to_numpy().min() > 7.0 - 2.0 - 1e-9
    for view, reverse in ((found, False), (plain, True)):
        drawn = str(fan(view).to_dict())
        assert f"'reverse': {reverse}" in drawn
        assert f"'reverse': {not reverse}" not in drawn
    spread = found.distribution()
    assert np.all(np.diff(spread.sort("loss")["cumulative"].to_numpy()) >= -1e-12)


def test_a_lower_axis_is_not_mirrored(plain: Forecast):
    """A perplexity-like column, loss + 1: everything moves by 1, nothing turns."""
    table = [{**row, "gap": row["loss"] + 1.0} for row in rows()]
    found = forecast(table, axis="gap:lower")
    assert quantiles(found) == pytest.approx(quantiles(plain) + 1.0, abs=CLOSE)
    assert found.emerged(2.95) == pytest.approx(plain.emerged(1.95), abs=2e-3)
    assert found.title.endswith("gap")


@pytest.mark.parametrize("shift", ["share", "share:x100", "percent", "log_share:x1"])
def test_a_rescaled_shift_is_the_plain_fit(plain: Forecast, shift: str):
    """Examples / 100: the smallest amount, 10 examples, counts as 10; D0 is 5, here 0.05."""
    table = rows()
    for row in table:
        row["percent"] = row["share"] * 100
        row["log_share"] = row["examples"] or 0
    unit = {"share": 0.01, "percent": 1.0, "log_share": 1.0}[shift.partition(":")[0]]
    found = forecast(table, shift=shift, at=5 * unit)
    assert quantiles(found) == pytest.approx(quantiles(plain), abs=1e-9)
    assert found.few_shot_examples == pytest.approx(5 * unit)
    assert found.fit.data.amounts == pytest.approx([10, 100, 1000, 10000])


def test_the_unit_of_a_shift_changes_nothing():
    """A hint fraction and the same in percent, in which the smallest amount is not 10."""
    table = designs.rows(losses=LOSSES, amounts=(64, 512, 4096))
    for row in table:
        row["hint"] = (row["examples"] or 0) / 5120
        row["percent"] = 100 * row["hint"]
    hint = forecast(table, shift="hint", at=0.0125 / 2)
    percent = forecast(table, shift="percent", at=1.25 / 2)
    assert quantiles(hint) == pytest.approx(quantiles(percent), abs=1e-9)
    assert hint.fit.data.amounts == pytest.approx([10, 80, 640])
    assert hint.few_shot_examples == pytest.approx(0.0125 / 2)


def test_a_logarithmic_shift_takes_the_logarithm():
    """Amounts 100, 1,000 and 10,000 are 2, 3 and 4, so they count as 10, 15 and 20."""
    table = designs.rows(losses=LOSSES, amounts=(100, 1000, 10000))
    found = picked([{**r, "steps": r["examples"] or 0} for r in table], shift="steps:log10")
    assert sorted(found.rows["examples"].drop_nulls().unique()) == pytest.approx([10, 15, 20])
    assert [found.shift.number(d) for d in (10, 15)] == ["2", "3"]
    assert found.shift.unit == "log10 steps"


def test_shots_as_the_shift():
    """Zero-shot rows are what nothing shifts; the numbers of shots need not be one."""
    table = designs.rows(losses=LOSSES, amounts=(1, 4, 16, 64))
    for row in table:
        row |= {"setting": "few_shot", "shots": row["examples"] or 0, "examples": None}
    found = picked(table, shift="shots")
    assert (found.method, found.shots) == (None, None)
    assert found.rows.filter(pl.col("few_shot")).height == len(LOSSES)
    assert found.all_few_shot.height == len(LOSSES)
    assert sorted(found.rows["examples"].drop_nulls().unique()) == [10, 40, 160, 640]
    assert forecast(table, shift="shots", at=0.5).elbow is not None


# ------------------------------------------------------------------------------------ which rows


def test_filters_and_the_horizon_are_in_the_axis_own_numbers():
    """Bounds as printed; the hidden checkpoints are those of the same table on loss."""
    table = rows(at=lambda examples: designs.elbow(examples) + 0.35)
    on_loss = picked(table, at_chance_only=True)
    found = picked(table, at_chance_only=True, axis="index")
    assert found.hidden == on_loss.hidden != ()
    assert found.hidden_reason is not None
    assert "(index 4.833)" in found.hidden_reason
    assert "above its index are hidden" in found.hidden_reason
    kept = picked(rows(), axis="flops", min_loss=20.5, max_loss=21.5)
    assert sorted(-kept.rows["loss"].unique()) == pytest.approx([20 + 2 / 3, 21, 21 + 1 / 3])
    with pytest.raises(SelectionError, match=r"--min-loss 9 \(index lies between 4 and 5\)"):
        picked(rows(), axis="index", min_loss=9)


def test_one_row_may_speak_for_its_checkpoint_and_loss_is_not_needed(plain: Forecast):
    """The index stands in the last row of each checkpoint, and there is no column of losses."""
    table = rows()
    for row in table:
        del row["loss"]
        row["index"] = row["index"] if row["examples"] == 10000 else None
    found = forecast(table, axis="index")
    assert quantiles(found) == pytest.approx(7.0 - quantiles(plain)[MIRROR], abs=CLOSE)
    assert found.axis.per_nat == pytest.approx(found.fit.data.loss_spread / 0.25)
    with pytest.raises(TableError, match="the column is missing"):
        read_table(table)


def test_compute_is_counted_from_parameters_and_tokens():
    """6 * params * tokens where no flops are stated."""
    table = rows()
    for i, row in enumerate(table):
        del row["flops"]
        row |= {"params": 10**7, "tokens": 10 ** (8 + i // 5)}
    found = picked(table, axis="flops")
    assert -found.rows["loss"].to_numpy().max() == pytest.approx(np.log10(6e15))


def test_losses_that_do_not_compare_do_not_matter_on_another_axis():
    """Tokenizers and held-out corpora concern the loss alone."""
    table = [{**r, "tokenizer": "ab"[i % 10 // 5]} for i, r in enumerate(rows())]
    table = [{**r, "loss_corpus": r["tokenizer"], "loss_source": "measured"} for r in table]
    assert picked(table, axis="index").warnings == ()
    with pytest.raises(SelectionError, match="several held-out corpora"):
        picked(table)


# -------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"axis": "indx"}, 'no column "indx". Did you mean "index"'),
        ({"axis": "task"}, '"task" holds quiz, which is not a number'),
        ({"axis": "score"}, "several values of score"),
        ({"axis": "same"}, "every checkpoint has the same same \\(1.000\\)"),
        ({"axis": "some"}, "c0, c4 have no some"),
        ({"axis": "params"}, "and 1 more have no params"),
        ({"shift": "shar"}, 'no column "shar". Did you mean "share"'),
        ({"shift": "checkpoint"}, "which is not a number"),
        ({"shift": "zero"}, "no row has a zero above 0"),
        ({"shift": "some"}, "14 of 35 rows do not say their some|10 of 35 rows do not say"),
        ({"shift": "flag2"}, "rows of flag2 1 differ in finetuning examples"),
    ],
)
def test_a_column_that_will_not_do_is_refused_with_the_remedy(options, message):
    """Each names what was seen."""
    table = rows()
    for i, row in enumerate(table):
        row |= {"same": 1.0, "zero": 0, "some": None if row["checkpoint"] in {"c0", "c4"} else i}
        row |= {"flag2": int((row["examples"] or 0) > 0)}
    with pytest.raises(SelectionError, match=message):
        picked(table, **options)


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"axis": "bad:log10"}, "log10 needs numbers above 0"),
        ({"shift": "bad"}, "Amounts start at 0"),
        ({"shift": "small:log10"}, "log10 starts above 1"),
    ],
)
def test_a_value_out_of_range_is_named_by_row_and_column(options, rule):
    """As any bad cell: row counted from 1, also after other rows were left out."""
    table = [{**r, "bad": i, "small": 10 * i} for i, r in enumerate(rows(), start=0)]
    table = [{**table[0], "checkpoint": "gone"}, *table]
    table[7] |= {"bad": -3, "small": 0.5}
    if "axis" in options:
        table = [{**r, "bad": -3 if r["checkpoint"] == "c1" else 9} for r in table]
    read = read_table(
        table, axis=options.get("axis", "loss"), shift=options.get("shift", "examples")
    )
    with pytest.raises(TableError, match=rule) as caught:
        select(read, SelectOptions(**options, exclude=("gone",)))
    assert 8 in [problem.row for problem in caught.value.problems]
    assert {problem.column for problem in caught.value.problems} <= {"bad", "small"}


@pytest.mark.parametrize(
    "text", ["", ":log10", "loss:higher", "index:up", "index:higher:lower", "flops:log10:linear"]
)
def test_an_axis_that_cannot_be_read(text: str):
    """An OptionError, as of any other option, before any row is looked at."""
    with pytest.raises(OptionError, match="--axis"):
        Axis.parse(text)


@pytest.mark.parametrize("text", ["", "share:x", "share:x0", "share:x-1", "share:xinf", "a:higher"])
def test_a_shift_that_cannot_be_read(text: str):
    """Likewise."""
    with pytest.raises(OptionError, match="--shift"):
        Shift.parse(text)


def test_a_scale_that_leaves_no_room_for_d0():
    """The smallest amount must count as at least 2 examples."""
    with pytest.raises(OptionError, match=r"x5 makes the smallest share count as 0\.5 examples"):
        picked(rows(), shift="share:x5")


def test_d0_is_asked_for_in_the_unit_of_the_shift():
    """0.1 share is 10 examples; above the smallest amount, or below 1, there is no such D0."""
    shift = Shift(name="share", scale=100.0)
    assert shift.few_shot_amount(0.07, 10.0) == pytest.approx(7.0)
    assert shift.few_shot_amount(0.1, 10.0) == 10.0
    for amount in (0.11, 0.009, -1.0):
        with pytest.raises(OptionError, match=r"at least 0\.01 and at most .* 0\.1"):
            shift.few_shot_amount(amount, 10.0)
    assert Shift().few_shot_amount(99.0, 10.0) == 99.0  # the fit itself refuses this


def test_rows_that_differ_in_the_shift_alone_are_duplicates_only_without_it():
    """Few-shot rows with hints; a finetuned row needs no examples there."""
    table = [
        {**r, "setting": "few_shot", "shots": 5, "examples": None, "hint": r["share"]}
        for r in rows()
    ]
    assert len(read_table(table, shift="hint")) == len(table)
    with pytest.raises(TableError, match="measures the same"):
        read_table(table)
    again = [*table, table[3]]
    with pytest.raises(TableError, match=r"measures the same as row 4: .*hint 10"):
        read_table(again, shift="hint")
    tuned = [{**r, "setting": "finetuned" if r["hint"] else "few_shot"} for r in table]
    assert len(read_table(tuned, shift="hint")) == len(table)
    with pytest.raises(EmergecastError):
        read_table(tuned)


# ------------------------------------------------------------------------------------------ words


def test_words_and_numbers_of_an_axis():
    """What stands in sentences, behind numbers and at pictures."""
    loss, flops, index = Axis(), Axis.parse("flops"), Axis.parse("index")
    assert (loss.label, loss.unit, loss.title) == ("loss", "nats", "pretraining loss, in nats")
    assert loss == Axis.parse("loss")
    assert loss.is_loss
    assert flops.label == flops.unit == flops.title == "log10 FLOPs"
    assert Axis.parse("params:linear").unit == "parameters"
    assert Axis.parse("loss:log10").unit == "log10 nats"
    assert not Axis.parse("loss:log10").is_loss
    assert index.later == "the higher value is the later"
    assert loss.later == "the lower loss is the later"
    assert (index.to_axis(-3.0), index.from_axis(3.0), loss.to_axis(2.0)) == (3.0, -3.0, 2.0)
    assert [index.number(v) for v in (41.27, 0.0, 0.00123456, 3.2e9)] == [
        "41.270", "0.000", "0.001235", "3.2e+09",
    ]  # fmt: skip
    assert [loss.number(v, 2) for v in (0.001, 2e5)] == ["0.00", "200000.00"]
    assert [index.places(w, 2) for w in (30.0, 0.9, 0.02, 0.0)] == [2, 2, 3, 2]
    assert loss.places(1e-6, 2) == 2


def test_words_of_a_shift():
    """Examples are examples only as they stand."""
    assert Shift.parse("examples").is_examples
    assert not Shift.parse("examples:x2").is_examples
    assert Shift().number(16384.0) == "16,384"
    assert (Shift().label, Shift.parse("hint").label) == ("finetuning examples", "hint")
    assert Shift(name="hint", scale=12.5).number(5.0) == "0.4"


def test_an_elbow_that_was_seen_is_said_in_the_unit_of_the_axis():
    """On FLOPs it lies below the strongest checkpoint, whose FLOPs are positive."""
    losses = [2.6 - 0.1 * i for i in range(11)]
    rows = [
        {**row, "flops": 10 ** (28 - 4 * row["loss"])}
        for row in designs.rows(losses=losses, amounts=(64, 512, 4096))
    ]
    options = ForecastOptions(bootstraps=0, diagnostics=False)
    found = emergecast.forecast(
        rows, SelectOptions(axis="flops"), FitOptions(law="log-power"), options
    )
    assert found.verdict == "observed"
    assert "the elbow lies below the strongest log10 FLOPs, 21.600, with" in found.reasons[0]
