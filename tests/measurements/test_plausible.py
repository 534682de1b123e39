"""Numbers that cannot be right: impossible cells, units, losses that no law allows, offsets."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests import designs

from emergecast.errors import FitError, OptionError, SelectionError, TableError
from emergecast.forecasts import ForecastOptions, Verdict, forecast
from emergecast.inference import FitOptions, fit
from emergecast.measurements import (
    Measurements,
    RunsOptions,
    SelectOptions,
    examine,
    proving_ground,
    read_runs,
    read_table,
    template,
)
from emergecast.scaling import CHINCHILLA_LAWS

SIZES = np.geomspace(4e8, 2e10, 12)
"""Parameters; trained on 20 tokens for each."""


def cases() -> Path:
    """The folder of inputs that go wrong."""
    shared = os.environ.get("EMERGECAST_SHARED")
    if not shared:
        pytest.skip("EMERGECAST_SHARED is not set: the cases are not here")
    return Path(shared, "cases")


def losses(noise: float = 0.0, law: str = "hoffmann") -> np.ndarray[Any, Any]:
    """Of the models of SIZES under a published law."""
    exact = np.asarray(CHINCHILLA_LAWS[law].loss(SIZES, 20 * SIZES))
    return exact + noise * np.random.default_rng(0).standard_normal(SIZES.size)


def table(loss: Any, **columns: Any) -> Measurements:
    """Two scores of each model."""
    rows = []
    for i, (params, nats) in enumerate(zip(SIZES, loss, strict=True)):
        row: dict[str, Any] = {
            "checkpoint": f"c{i:02d}", "params": int(params), "tokens": int(20 * params),
            "loss": float(nats), "task": "t", "chance": 0.25, "n_items": 1000,
        }  # fmt: skip
        row |= {name: value(i) if callable(value) else value for name, value in columns.items()}
        rows.append({**row, "setting": "few_shot", "score": 0.25 + 0.001 * i})
        rows.append({**row, "setting": "finetuned", "examples": 64, "score": 0.26 + 0.002 * i})
    return read_table(rows)


def test_tables_that_are_right_raise_no_warning():
    """The bundled one, the template, and losses with noise under either law, twice as hard."""
    assert proving_ground().warnings == ()
    assert read_table(template()).warnings == ()
    for law in CHINCHILLA_LAWS:
        for noise in (0.0, 0.01, 0.03):
            assert table(losses(noise, law)).warnings == ()
    assert table(1.2 * losses()).warnings == ()
    assert table(0.7 * losses()).warnings == ()


@pytest.mark.parametrize(
    ("columns", "column", "remedy"),
    [
        ({"params": 7}, "params", "7e9 or 7B"),
        ({"params": 999}, "params", "7e9 or 7B"),
        ({"loss": 15.1}, "loss", "natural logarithm"),
        ({"stderr": 0.51}, "stderr", "Divide by 100"),
    ],
)
def test_impossible_cells_are_errors_by_row(columns: dict[str, Any], column: str, remedy: str):
    """Every one of them, with the likely remedy."""
    loss = np.full(12, columns.pop("loss")) if "loss" in columns else losses()
    with pytest.raises(TableError) as caught:
        table(loss, **columns)
    assert len(caught.value.problems) == 24
    problem = caught.value.problems[3]
    assert (problem.row, problem.column) == (4, column)
    assert remedy in problem.remedy


def test_cells_on_the_edge_are_not():
    """A thousand parameters, 15 nats, an error of one half; any error of another metric."""
    table(losses(), stderr=0.5)
    table(losses(), metric="score", stderr=20.0)
    table(np.linspace(14.0, 15.0, 12), params=1000, tokens=10**9)


@pytest.mark.parametrize("text", ["7B", "7b", "7e9", "7000000000", "7.0 B", "7000M", "0.007T"])
def test_counts_are_read_as_people_write_them(text: str):
    """Seven billion in seven ways; and a scaling law's table reads the same."""
    assert set(table(losses(), params=text).frame["params"]) == {7 * 10**9}
    runs = {"params": [text, "1B"], "tokens": ["1.4T", "20B"], "loss": [2.0, 2.6]}
    np.testing.assert_array_equal(np.asarray(read_runs(runs).params), [7e9, 1e9])


@pytest.mark.parametrize("text", ["7 billion", "B7", "7BB", "-7B", "7,000M"])
def test_other_words_are_no_counts(text: str):
    """They are problems, not guesses."""
    assert examine([{"checkpoint": "c", "params": text}]).problems[-1].column is not None
    with pytest.raises(TableError, match="params"):
        table(losses(), params=text)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"params": lambda i: 1000 + i, "tokens": 10**12}, "The params of series default look"),
        ({"tokens": lambda i: 8 + i}, "The tokens of series default look"),
        ({"tokens": lambda i: 200_000 + i}, "The tokens of series default look"),
    ],
)
def test_counts_in_other_units_are_said(columns: dict[str, Any], said: str):
    """Thousands of millions, and single tokens, as it seems."""
    (warning,) = table(losses(), **columns).warnings
    assert warning.startswith(said)
    assert "7e9 or 7B" in warning


@pytest.mark.parametrize(
    ("change", "guess"),
    [
        (lambda loss: loss / math.log(2), "bits per token; divide by 1.4427"),
        (np.exp, "perplexities"),
        (lambda loss: loss / math.log(2) / 4.2, "per byte or character"),
        (lambda loss: loss + 2.5, "check the unit"),
    ],
)
def test_losses_that_no_law_allows_are_said(change: Any, guess: str):
    """With what they probably are."""
    (warning,) = table(np.minimum(change(losses()), 15.0)).warnings
    assert "than any" in warning or "what any published scaling law allows" in warning
    assert guess in warning


def test_estimated_losses_and_small_models_are_not_compared():
    """An estimate agrees with itself, and the laws were never fitted to tiny models."""
    assert table(2 * losses(), loss_source="estimated").warnings == ()
    assert table(2 * losses(), params=9_000_000, tokens=10**9).warnings == ()


@pytest.mark.parametrize("noise", [0.0, 0.003])
@pytest.mark.parametrize(
    ("part", "by"), [(slice(7, 12), -0.1), (slice(0, 4), 0.15), (slice(5, 6), 0.3)]
)
def test_a_part_that_is_offset_is_named(part: slice, by: float, noise: float):
    """The strong half, the weak third, and one checkpoint alone."""
    loss = losses(noise)
    loss[part] += by
    (warning,) = table(loss).warnings
    assert f"offset by {by:+.1f}" in warning.replace(f"{by:+.2f}", f"{by:+.1f}")
    assert f"c{part.start:02d}" in warning


def test_no_forecast_of_such_losses_is_identified():
    """The same rows are, where no params and tokens contradict their losses."""
    rows = designs.rows(losses=designs.DENSE[::2])
    said, verdicts = [], []
    for sizes in ({}, {"params": 10**12, "tokens": 10**13}):
        made = forecast(
            [{**row, **sizes} for row in rows],
            fitting=FitOptions(law="log-power"),
            options=ForecastOptions(bootstraps=0),
        )
        said.append([each for each in made.reasons if "published scaling law" in each])
        verdicts.append(made.verdict)
    assert verdicts == [Verdict.IDENTIFIED, Verdict.WEAK]
    assert list(map(len, said)) == [0, 1]


def test_what_is_not_said_is_said():
    """No sampling error at all; errors of 0; one score everywhere; two names for one model."""
    nothing = {"n_items": None}
    assert "No row says how sure its score is" in table(losses(), **nothing).warnings[0]
    assert "call it n_items" not in table(losses(), **nothing).warnings[0]
    (unread,) = table(losses(), **nothing, N=1000).warnings
    assert unread.endswith("If its column N counts test items, call it n_items.")
    assert "Every standard error is 0" in table(losses(), **nothing, stderr=0).warnings[0]
    rows = table(losses()).frame.to_dicts()
    same = read_table([{**row, "score": 0.5} for row in rows])
    assert "All 24 scores of t in series default are 0.5" in same.warnings[0]
    more = [{**row, "task": task} for row in rows for task in ("t", "u")]
    for row in more:
        if row["checkpoint"] == "c07":
            row["score"] = next(
                each["score"]
                for each in more
                if each["checkpoint"] == "c03" and each["setting"] == row["setting"]
            )
    assert "c03 and c07 of series default have the same 4 scores" in read_table(more).warnings[0]


# ------------------------------------------------------------------------- tables of runs


def runs(**columns: Any) -> dict[str, list[Any]]:
    """Nine runs, each evaluated on two texts."""
    params = [p for p in (1e8, 3e8, 1e9) for _ in range(3)]
    tokens = [t for _ in range(3) for t in (2e9, 1e10, 5e10)]
    loss = [
        float(CHINCHILLA_LAWS["hoffmann"].loss(p, t)) for p, t in zip(params, tokens, strict=True)
    ]
    found = {
        "params": params * 2, "tokens": tokens * 2, "loss": loss + [each + 0.8 for each in loss],
    }  # fmt: skip
    return found | {name: list(cells) for name, cells in columns.items()}


def test_losses_on_several_texts_are_no_one_law():
    """The column that separates them is named; one text alone is read."""
    mixed = runs(text=["c4"] * 9 + ["code"] * 9, note=[str(i) for i in range(18)])
    with pytest.raises(SelectionError, match='column "text": one law each with --group-by text'):
        read_runs(mixed)
    assert read_runs(mixed, RunsOptions(where=[("text", "code")])).n == 9
    with pytest.raises(SelectionError, match="too far apart for repeats"):
        read_runs(runs())


def test_repeats_of_a_run_are_points():
    """Seeds, or losses that lie close together."""
    near = runs(seed=["0"] * 9 + ["1"] * 9)
    near["loss"][9:] = [each + 0.02 for each in near["loss"][:9]]
    assert read_runs(near).n == 18
    del near["seed"]
    assert read_runs(near).n == 18


def test_checkpoints_of_a_table_of_measurements_count_once():
    """As the same losses without their scores."""
    measured = table(losses()).frame
    found = read_runs(measured)
    assert (found.n, found.repeated) == (12, 12)
    np.testing.assert_allclose(found.loss, losses())


@pytest.mark.parametrize(("column", "value"), [("params", 7.0), ("tokens", 300.0), ("loss", 16.0)])
def test_runs_of_impossible_size_are_problems(column: str, value: float):
    """By row, with the remedy."""
    cells = {name: column_[:9] for name, column_ in runs().items()}
    cells[column][4] = value
    with pytest.raises(TableError) as caught:
        read_runs(cells)
    assert [(each.row, each.column) for each in caught.value.problems] == [(5, column)]


# ------------------------------------------------------------------------------- the cases


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tables/perplexity_as_loss.csv", "perplexities"),
        ("tables/se_zero.csv", "Every standard error is 0"),
        ("verdict/stat_all_in_bits_2.csv", "bits per token"),
        ("verdict/stat_strong-half_loss-0.1_4.csv", "offset by -0.10 nats"),
    ],
)
def test_cases_are_warned_of(name: str, said: str):
    """Of the folder of inputs that go wrong."""
    assert said in " ".join(read_table(cases() / name).warnings)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("tables/units_b.csv", "params"),
        ("tables/units_m.csv", "params"),
        ("tables/se_percent.csv", "stderr"),
    ],
)
def test_cases_are_refused(name: str, column: str):
    """By their column."""
    with pytest.raises(TableError) as caught:
        read_table(cases() / name, loss_from="hoffmann")
    assert {each.column for each in caught.value.problems} == {column}


def test_the_case_of_measurements_as_runs_counts_checkpoints_once():
    """As the table that holds each of them once: 141 rows, 21 losses."""
    found = read_runs(cases() / "tables" / "measurements_as_runs.csv")
    once = read_runs(cases() / "tables" / "runs_once.csv")
    assert found.n == once.n == 21
    assert found.repeated == 120
    np.testing.assert_array_equal(np.sort(found.loss), np.sort(once.loss))


@pytest.mark.parametrize("name", ["tables/mixed_val.csv", "tables/runs_billions.csv"])
def test_cases_of_runs_are_refused(name: str):
    """Named: the column val, and the counts."""
    with pytest.raises((SelectionError, TableError), match=r"group-by val|7e9 or 7B"):
        read_runs(cases() / name)


@pytest.mark.parametrize("name", ["tables/huge_overflow_fit.csv", "tables/loss_1e-300_zerodiv.csv"])
def test_cases_of_numbers_that_overflow_are_named_errors(name: str):
    """No OverflowError or ZeroDivisionError: what is too large or too small, and the way out."""
    with pytest.raises(FitError, match="cannot be computed with"):
        forecast(read_table(cases() / name), options=ForecastOptions(bootstraps=0))


def test_the_case_that_contradicted_itself_is_not_identified():
    """Rows that bound nothing without priors; with a rule relaxed by hand, which is said."""
    table = read_table(cases() / "verdict" / "alpha_now.csv")
    for rules in ({}, {"prior_share": 0.9}):
        made = forecast(
            table,
            SelectOptions(axis="flops"),
            options=ForecastOptions(bootstraps=0, rules=rules),
        )
        assert made.verdict is Verdict.WEAK
        assert any("Without priors" in each for each in made.reasons)
        assert bool(made.overridden) == bool(rules)


@pytest.mark.parametrize("name", ["stat_all_in_bits_2", "stat_strong-half_loss-0.1_4"])
def test_cases_that_were_identified_and_wrong_are_weak(name: str):
    """Losses in bits, and half of them offset; the reason is among those of the verdict."""
    made = forecast(
        read_table(cases() / "verdict" / f"{name}.csv"),
        fitting=FitOptions(law="log-power"),
        options=ForecastOptions(bootstraps=0),
    )
    assert made.verdict is Verdict.WEAK
    assert any(each in made.reasons for each in made.fit.selection.suspicions)


def test_the_case_of_another_shift_asks_where_to_read_off():
    """In the shift's own unit; then it has a forecast on its axis."""
    rows = SelectOptions(axis="params", shift="hint")
    table = read_table(cases() / "tables" / "axis_params.csv", axis="params", shift="hint")
    with pytest.raises(OptionError, match="which hint is like few-shot"):
        fit(table, rows, FitOptions(law="log-power"))
    fitted = fit(table, rows, FitOptions(law="log-power", few_shot_examples=0.05))
    made = forecast(fitted, options=ForecastOptions(bootstraps=0))
    assert not any("-10.5" in each or "-9." in each for each in made.reasons)
