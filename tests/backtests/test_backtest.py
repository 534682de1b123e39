"""A backtest on tables made by hand: what is hidden, what is compared, how it is scored."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests import designs

import emergecast
from emergecast.backtests import (
    Backtest,
    BacktestOptions,
    BacktestOutcome,
    BacktestRow,
    Part,
    _backtest,
    backtest,
)
from emergecast.backtests._ablations import ablations
from emergecast.backtests._backtest import _scored
from emergecast.backtests._ladder import limits
from emergecast.backtests._settings import (
    BacktestSetting,
    Ground,
    _at_least,
    ground_of,
    settings_of,
)
from emergecast.baselines import Baseline
from emergecast.baselines._guess import NormalMixture
from emergecast.errors import FitError, OptionError, SelectionError
from emergecast.forecasts import ForecastOptions
from emergecast.inference import FitOptions, fit
from emergecast.measurements import SelectOptions, read_table, select
from emergecast.observed import Estimand, GroundTruth, ObservedCompute
from emergecast.track_record import crps, log_score

TRUTH = 2.28
"""Few-shot elbow of the tables, nats."""
LOSSES = designs.DENSE[::2]
"""Thirteen losses, 3.0 to 2.0; those below 2.25 are above chance few-shot."""
Rows = list[designs.Row]


def rows_of(**more: Any) -> Rows:
    """A table in which few-shot emergence happens at TRUTH, four checkpoints before the end."""
    options: dict[str, Any] = {
        "losses": LOSSES,
        "amounts": (16, 64, 512, 4096),
        "at": lambda examples: designs.elbow(examples, at_d0=TRUTH),
    }
    return designs.rows(**(options | more))


def run(rows: object, *parts: Part, **more: Any) -> Backtest:
    """The parts asked for, with the fast law."""
    options = BacktestOptions(parts=parts, **more)
    return backtest(rows, fitting=FitOptions(law="log-power"), options=options)


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Two runs of everything: one subset per seed of the noise."""
    first, second = rows_of(subset="a"), rows_of(seed=1, subset="b")
    both = [*first, *(row for row in second if row["setting"] == "finetuned")]
    return [row | {"subset": row["subset"] if row["examples"] else None} for row in both]


@pytest.fixture(scope="module")
def ladder(rows: Rows) -> Backtest:
    """The ladder of that table."""
    return run(rows, Part.LADDER, rungs=3)


def forecasts(found: Backtest, part: Part) -> list[BacktestRow]:
    """The forecasts of one part."""
    return [row for row in found.rows if row.part is part and row.forecaster == "forecast"]


# ------------------------------------------------------------------------------ the ladder


def test_the_ladder_hides_what_it_says(rows: Rows, ladder: Backtest):
    """The first rung hides the weakest checkpoint above chance few-shot and all stronger ones."""
    above = [r["loss"] for r in rows if r["examples"] is None and r["score"] - 0.006 > 0.27]
    assert ladder.horizon == pytest.approx(max(above))
    assert ladder.truth.loss == pytest.approx(TRUTH, abs=0.02)
    first, *further = forecasts(ladder, Part.LADDER)
    kept = [loss for loss in LOSSES if loss > max(above)]
    assert first.strongest_loss == pytest.approx(min(kept))
    assert first.n_checkpoints == len(kept)
    assert first.n_amounts == 4
    assert first.n_rows == len(kept) * (1 + 2 * 4)
    strongest = [row.strongest_loss or 0.0 for row in (first, *further)]
    assert strongest == sorted(strongest)
    assert all(row.n_checkpoints is not None and row.n_checkpoints >= 4 for row in further)


def test_a_rung_is_the_fit_of_what_it_keeps(rows: Rows, ladder: Backtest):
    """Scored by hand: the fit of the kept rows alone, against the truth."""
    for row in forecasts(ladder, Part.LADDER):
        assert row.strongest_loss is not None
        kept = [r for r in rows if r["loss"] > row.strongest_loss - 1e-9]
        made = emergecast.forecast(
            fit(kept, options=FitOptions(law="log-power")), options=ForecastOptions(bootstraps=0)
        )
        assert row.verdict == made.verdict
        if row.outcome is BacktestOutcome.REFUSED:
            continue
        low, half, high = made.quantile([0.05, 0.5, 0.95])
        assert (row.p05, row.p50, row.p95) == pytest.approx((low, half, high))
        assert row.error == pytest.approx(half - ladder.truth.loss)
        assert row.covered == (low <= ladder.truth.loss <= high)
        assert row.crps == pytest.approx(crps(made, ladder.truth.loss))
        assert row.log_score == pytest.approx(log_score(made, ladder.truth.loss))
        assert row.ahead_nats == pytest.approx(row.strongest_loss - ladder.truth.loss)


@pytest.mark.parametrize(
    ("truth", "covered"), [(1.83, False), (1.84, True), (2.16, True), (2.17, False)]
)
def test_a_row_is_scored_by_hand(truth: float, covered: bool):  # noqa: FBT001  a table of cases
    """A normal distribution of mean 2.0 and sd 0.1: its 90% interval is 2.0 -+ 0.1645."""
    ground: Any = SimpleNamespace(truth=SimpleNamespace(loss=truth))
    distribution = NormalMixture(centres=np.array([2.0]), width=0.1)
    row = _scored(ground, scored("forecast", "a", 0.0), distribution)
    assert row.covered is covered
    assert (row.p05, row.p50, row.p95) == pytest.approx((1.83551, 2.0, 2.16449), abs=1e-5)
    assert row.error == pytest.approx(2.0 - truth)
    assert row.crps == pytest.approx(crps(distribution, truth))


def test_hidden_scores_do_not_matter(rows: Rows, ladder: Backtest):
    """Other scores of the finetuned checkpoints that are hidden: the same forecast."""
    changed = [
        r | {"score": 0.25} if r["examples"] and r["loss"] <= ladder.horizon else r for r in rows
    ]
    again = run(changed, Part.LADDER, rungs=1, baselines=())
    assert [replace(row, seconds=None) for row in again.rows] == [
        replace(forecasts(ladder, Part.LADDER)[0], seconds=None)
    ]


def test_every_rung_has_every_baseline(ladder: Backtest):
    """In a fixed order after the forecast, and never with a verdict."""
    names = ["forecast", *Baseline]
    for setting in dict.fromkeys(row.setting for row in ladder.rows):
        on_rung = [row for row in ladder.rows if row.setting == setting]
        assert [row.forecaster for row in on_rung] == names
        assert all(row.verdict is None for row in on_rung[1:])
        assert on_rung[1].p50 == pytest.approx(on_rung[0].strongest_loss)


def test_horizons_may_be_named(rows: Rows):
    """Each hides the checkpoints at or below it; one beyond all of them is not possible."""
    found = run(rows, Part.LADDER, horizons=(2.5, 3.5), baselines=())
    kept, beyond = found.rows
    assert kept.n_checkpoints == sum(loss > 2.5 for loss in LOSSES)
    assert beyond.outcome is BacktestOutcome.NOT_POSSIBLE
    assert "no checkpoint" in beyond.reasons[0]


def test_a_horizon_that_lets_the_answer_through_is_refused(rows: Rows, ladder: Backtest):
    """With the real one, which is taken as it is printed; other parts need no horizon."""
    real = ladder.horizon
    for asked in (real - 1e-6, 1.0):
        with pytest.raises(OptionError, match=r"keeps checkpoints that are above chance"):
            run(rows, Part.LADDER, horizons=(2.8, asked), baselines=())
    with pytest.raises(OptionError) as error:
        run(rows, Part.LADDER, horizons=(1.0,))
    named = re.search(
        r"the horizon of task 'quiz', series default is ([\d.]+) nats", str(error.value)
    )
    assert named is not None
    printed = float(named[1])
    assert printed == pytest.approx(real, abs=1e-4)
    (row,) = run(rows, Part.LADDER, horizons=(printed,), baselines=()).rows
    assert row.strongest_loss == min(loss for loss in LOSSES if loss > real)
    assert _at_least(2.24996) == "2.2500"
    assert _at_least(2.25004) == "2.25004"
    run(rows, Part.D0, horizons=(1.0,))


def test_horizons_that_keep_nothing_are_refused(rows: Rows):
    """Where all of them do; nothing would be scored."""
    with pytest.raises(
        OptionError, match=r"--horizon 3 keeps no checkpoint.*highest loss.* 3 nats"
    ):
        run(rows, Part.LADDER, horizons=(3.0, 3.5))


@pytest.mark.parametrize("rungs", [1, 2, 3, 5, 8, 30])
def test_rungs_begin_at_the_horizon_and_never_repeat(rows: Rows, rungs: int):
    """As many as asked for where there are as many, and four checkpoints are always kept."""
    whole = select(read_table(rows), SelectOptions())
    found = limits(whole, 2.2, rungs)
    assert found[0] == 2.2
    assert list(found) == sorted(set(found))
    assert len(found) == min(rungs, 1 + sum(loss > 2.2 for loss in LOSSES) - 4)
    assert sum(loss > found[-1] for loss in LOSSES) >= 4


def test_flops_are_read_off_the_series():
    """On a power law, the ratio between two losses is the power of their ratio."""
    losses = np.linspace(2.0, 3.0, 11)
    frame = pl.DataFrame(
        {
            "series": "s",
            "checkpoint": [f"c{i}" for i in range(11)],
            "loss": losses,
            "flops": np.exp(-8.0 * losses + 60.0),
        }
    )
    compute = ObservedCompute.of(frame)
    assert compute is not None
    assert compute.ratio(2.45, 2.15) == pytest.approx(math.exp(8 * 0.3))
    assert compute.ratio(2.45, 1.99) is None
    assert compute.ratio(3.1, 2.5) is None
    assert ObservedCompute.of(frame.with_columns(flops=pl.lit(None, pl.Float64))) is None
    mixed = pl.concat([frame, frame.with_columns(series=pl.lit("t"), flops=2 * pl.col("flops"))])
    pooled = ObservedCompute.of(mixed)
    assert pooled is not None
    assert pooled.ratio(2.4, 2.1) == pytest.approx(math.exp(8 * 0.3))


def test_flops_come_from_the_table(rows: Rows):
    """6 params tokens where the table states them, and None where it does not."""
    sized = [
        r | {"params": 10**9, "tokens": round(10**9 * math.exp(5 * (3 - r["loss"])))} for r in rows
    ]
    row = run(sized, Part.LADDER, horizons=(2.8,), baselines=()).rows[0]
    assert row.ahead_nats is not None
    assert row.ahead_flops == pytest.approx(math.exp(5 * row.ahead_nats), rel=1e-6)
    assert run(rows, Part.LADDER, horizons=(2.8,), baselines=()).rows[0].ahead_flops is None


# ------------------------------------------------------------------------------ the designs


def test_there_are_nineteen_designs(rows: Rows):
    """Full, 3 + 3 amounts, 2 subsets, 4 + 2 + 4 of checkpoints; every name once."""
    found = ablations(select(read_table(rows), SelectOptions()))
    assert len(found) == 19
    assert len({each.name for each in found}) == 19
    assert all(each.reason is None for each in found)


@pytest.mark.parametrize(
    ("name", "keeps"),
    [
        ("without the smallest amount", lambda r, _: r["examples"] != 16),
        ("without the 3 largest amounts", lambda r, _: r["examples"] in {None, 16}),
        ("first data subset only (a)", lambda r, _: r["subset"] != "b"),
        ("second data subset only (b)", lambda r, _: r["subset"] != "a"),
        ("last 3 checkpoints only", lambda _, rank: rank < 3),
        ("every other of the last 6 (1st, 3rd, 5th)", lambda _, rank: rank in {0, 2, 4}),
        ("every other of the last 6 (2nd, 4th, 6th)", lambda _, rank: rank in {1, 3, 5}),
        ("without the last checkpoint", lambda _, rank: rank >= 1),
        ("without the last 4 checkpoints", lambda _, rank: rank >= 4),
    ],
)
def test_a_design_keeps_its_rows(rows: Rows, name: str, keeps: Callable[[dict, int], bool]):
    """Against a rule written out; rank 0 is the strongest checkpoint."""
    table = read_table(rows)
    design = next(each for each in ablations(select(table, SelectOptions())) if each.name == name)
    assert design.keep is not None
    order = sorted(LOSSES)
    expected = [r for r in rows if keeps(r, order.index(r["loss"]))]
    kept = table.frame.filter(design.keep)
    key = ["checkpoint", "examples", "subset"]
    assert kept.select(key).rows() == [tuple(r[name] for name in key) for r in expected]


def test_what_a_table_does_not_allow_is_listed():
    """No subsets, two amounts and five checkpoints: said so, none dropped."""
    few = rows_of(losses=(3.0, 2.8, 2.6, 2.5, 2.4), amounts=(64, 512))
    found = {each.name: each.reason for each in ablations(select(read_table(few), SelectOptions()))}
    assert len(found) == 19
    impossible = {name for name, reason in found.items() if reason is not None}
    assert impossible == {
        "without the 2 smallest amounts",
        "without the 3 smallest amounts",
        "without the 2 largest amounts",
        "without the 3 largest amounts",
        "first data subset only",
        "second data subset only",
        "last 6 checkpoints only",
        "last 5 checkpoints only",
        "every other of the last 6 (1st, 3rd, 5th)",
        "every other of the last 6 (2nd, 4th, 6th)",
    }
    assert (
        found["first data subset only"] == "Not possible: the rows name no data subsets, not two."
    )


def plan(rows: object, *parts: Part, picked: SelectOptions | None = None) -> list[BacktestSetting]:
    """The settings of these parts; nothing is inferred."""
    ground = ground_of(
        read_table(rows),
        picked or SelectOptions(),
        FitOptions(law="log-power"),
        BacktestOptions(parts=parts, rungs=2),
    )
    settings = list(settings_of(ground))
    for setting in settings:
        if setting.table is not None:
            ground.fit(setting.table, setting.law, setting.few_shot_examples)
    return settings


def test_a_reduced_design_needs_no_excluded_checkpoint():
    """A pattern of --exclude, or a series, that a design has no row of left is no error."""
    old = rows_of(losses=LOSSES[:3], series="old")
    new = [r | {"checkpoint": f"n{r['checkpoint']}"} for r in rows_of(series="new")]
    picked = SelectOptions(pool=True, exclude=("c0",), series=("old", "new"))
    settings = plan([*old, *new], Part.ABLATIONS, picked=picked)
    assert len(settings) == 19
    whole = settings[0].table
    assert whole is not None
    assert "c0" not in whole.frame["checkpoint"]
    assert whole.series == ("new", "old")
    assert any(each.table is not None and each.table.series == ("new",) for each in settings)


def test_all_parts_share_the_full_design(rows: Rows):
    """Ladder, designs, laws and D0 each hold one and the same forecast, made once."""
    settings = plan(rows, *Part)
    base = settings[0]
    same = [
        each
        for each in settings
        if (each.table is base.table, each.law, each.few_shot_examples) == (True, "log-power", 5)
    ]
    assert [each.part for each in same] == [Part.LADDER, Part.ABLATIONS, Part.LAWS, Part.D0]
    assert [each.law for each in settings if each.part is Part.LAWS] == ["log-power", "power"]
    found = run(rows, Part.LADDER, Part.LAWS, rungs=1, baselines=())
    first, again, other = found.rows
    assert (first.p50, first.seconds) == (again.p50, again.seconds)
    assert other.law == "power"
    assert other.p50 not in {None, first.p50}


def test_d0_beyond_the_smallest_amount_is_not_possible(rows: Rows):
    """1, 2, 5, 10, and twice and ten times the shots; 50 is above the smallest amount, 16."""
    settings = plan(rows, Part.D0)
    assert [each.few_shot_examples for each in settings] == [1, 2, 5, 10, 50]
    assert [each.table is not None for each in settings] == [True] * 4 + [False]
    assert settings[-1].reason == "Not possible: the smallest finetuning amount is 16."


# ------------------------------------------------------------------------------ sums and skill


def test_a_forecast_is_made_once_for_each_table_law_and_d0(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
):
    """Each setting has the one made for it, however many other settings share two of the three."""
    made: list[tuple[int, str | None, float | None]] = []

    def numbered(_: Ground, table: Any, row: BacktestRow) -> BacktestRow:
        made.append((id(table), row.law, row.few_shot_examples))
        return replace(row, p50=float(len(made)))

    monkeypatch.setattr(_backtest, "_forecast", numbered)
    options = BacktestOptions(baselines=(), rungs=2)
    ground = ground_of(read_table(rows), SelectOptions(), FitOptions(law="log-power"), options)
    settings = [each for each in settings_of(ground) if each.table is not None]
    assert {each.few_shot_examples for each in settings} >= {1, 2, 5, 10}
    for each in settings:
        (row,) = _backtest._run(ground, each)
        assert made[int(row.p50 or 0) - 1] == (id(each.table), each.law, each.few_shot_examples)
    assert len(made) == len(set(made)) < len(settings)


def made_up(*rows: BacktestRow) -> Backtest:
    """A backtest with these rows."""
    truth = GroundTruth(target=Estimand.ELBOW, loss=2.0, p05=1.9, p95=2.1, n=9)
    return Backtest(
        task="t",
        metric="acc",
        series=("s",),
        truth=truth,
        horizon=2.1,
        law="log-power",
        few_shot_examples=5,
        overridden=(),
        rows=rows,
        warnings=(),
        invented=False,
        table_hash="0",
    )


def scored(forecaster: str, setting: str, value: float, **more: Any) -> BacktestRow:
    """A rung with a CRPS."""
    return BacktestRow(
        **{
            "part": Part.LADDER,
            "setting": setting,
            "forecaster": forecaster,
            "law": None,
            "few_shot_examples": 5,
            "outcome": BacktestOutcome.SCORED,
            "crps": value,
            "error": 0.0,
            **more,
        }
    )


def test_skill_by_hand():
    """1 - (1 + 2 + 3) / (2 + 2 + 8), over the rungs that both have; per rung ln 2, 0, ln 8/3."""
    mine = [scored("forecast", name, value) for name, value in zip("abc", (1, 2, 3), strict=True)]
    theirs = [scored("no-change", name, v) for name, v in zip("abcd", (2, 2, 8, 99), strict=True)]
    found = {(s.forecaster, s.against): s for s in made_up(*mine, *theirs).skill}
    assert set(found) == {("forecast", "no-change")}
    skill = found["forecast", "no-change"]
    assert skill.rungs == 3
    assert skill.value == pytest.approx(0.5)
    assert skill.per_rung == pytest.approx(math.log(2 * 1 * 8 / 3) / 3)


def test_one_rung_has_skill():
    """And a refused forecast has none at all."""
    pair = made_up(scored("forecast", "a", 1.0), scored("prior", "a", 2.0))
    assert [(s.value, s.rungs) for s in pair.skill] == [(0.5, 1)]
    refused = scored("forecast", "a", 1.0, outcome=BacktestOutcome.REFUSED, crps=None, error=None)
    assert made_up(refused, scored("prior", "a", 2.0)).skill == ()


def test_tallies_count_every_row():
    """Errors beyond a tenth and a half, among all and among identified forecasts."""
    found = made_up(
        scored("forecast", "a", 1.0, error=0.05, covered=True, verdict="identified"),
        scored("forecast", "b", 1.0, error=-0.2, covered=False, verdict="identified"),
        scored("forecast", "c", 3.0, error=0.6, covered=False, verdict="weak"),
        scored("forecast", "d", 1.0, outcome=BacktestOutcome.REFUSED, crps=None, error=None),
        scored("forecast", "e", 1.0, outcome=BacktestOutcome.FAILED, crps=None, error=None),
        scored("forecast", "f", 1.0, outcome=BacktestOutcome.NOT_POSSIBLE, crps=None, error=None),
    ).tallies[0]
    assert (found.rows, found.scored, found.refused, found.failed, found.not_possible) == (
        6, 3, 1, 1, 1,
    )  # fmt: skip
    assert (found.covered, found.off_by_tenth, found.off_by_half) == (1, 2, 1)
    assert (found.identified, found.identified_off_by_tenth) == (2, 1)
    assert found.mean_crps == pytest.approx(5 / 3)
    assert found.median_absolute_error == pytest.approx(0.2)


def test_it_goes_into_json_and_a_frame(ladder: Backtest):
    """Every field of every row; a log score of minus infinity is null in JSON."""
    endless = made_up(scored("prior", "a", 1.0, log_score=-math.inf))
    assert endless.to_dict()["rows"][0]["log_score"] is None
    text = json.dumps(ladder.to_dict(), allow_nan=False)
    assert len(json.loads(text)["rows"]) == len(ladder.rows)
    frame = ladder.to_frame()
    assert frame.columns == list(BacktestRow.__slots__)
    assert frame.height == len(ladder.rows)
    assert frame["p50"].to_list() == [row.p50 for row in ladder.rows]
    assert made_up().to_frame().schema == frame.schema


def test_rows_are_told_as_they_are_done(rows: Rows):
    """With the settings done and in all."""
    told: list[tuple[int, int, str]] = []
    options = BacktestOptions(
        parts=(Part.LADDER,), horizons=(2.7, 2.8), baselines=(Baseline.NO_CHANGE,)
    )
    backtest(
        rows,
        fitting=FitOptions(law="log-power"),
        options=options,
        on_row=lambda done, total, row: told.append((done, total, row.forecaster)),
    )
    assert told == [(i, 2, name) for i in (1, 2) for name in ("forecast", "no-change")]


def test_two_step_takes_a_continuous_metric(rows: Rows):
    """A log-probability beside the accuracy makes a sixth baseline; the fit stays on accuracy."""

    def metric(row: designs.Row) -> float:
        return -1.4 + 0.7 * (3 - float(row["loss"])) + (0.3 if row["examples"] else 0.0)

    both = [r | {"metric": "acc"} for r in rows]
    both += [r | {"metric": "logprob", "score": metric(r), "chance": -1.4} for r in rows]
    found = run(both, Part.LADDER, horizons=(2.4,))
    assert found.metric == "acc"
    assert "no continuous" not in found.rows[-1].reasons[0]


# ------------------------------------------------------------------------------ what goes wrong


def test_a_failing_row_does_not_stop_the_others(rows: Rows, monkeypatch: pytest.MonkeyPatch):
    """Its error stands in its place."""
    real = Ground.fit

    def broken(self: Any, table: Any, law: str, few_shot_examples: float | None) -> Any:
        if law == "power":
            raise FitError("no estimate here")
        return real(self, table, law, few_shot_examples)

    monkeypatch.setattr(Ground, "fit", broken)
    options = BacktestOptions(parts=(Part.LAWS,))
    good, bad = backtest(rows, fitting=FitOptions(law="log-power"), options=options).rows
    assert good.outcome is BacktestOutcome.SCORED
    assert (bad.outcome, bad.reasons, bad.p50) == (
        BacktestOutcome.FAILED,
        ("no estimate here",),
        None,
    )


def test_a_refused_row_has_no_numbers(rows: Rows):
    """Nor a score: it counts as refused."""
    found = run(rows, Part.LADDER, horizons=(2.8,), rungs=1, baselines=())
    (row,) = found.rows
    assert row.outcome is BacktestOutcome.REFUSED
    assert (row.p50, row.error, row.covered, row.crps, row.log_score) == (None,) * 5
    assert found.tallies[0].refused == 1


def nothing_to_hide() -> Rows:
    """All at chance few-shot."""
    return designs.rows(losses=LOSSES)


def no_few_shot() -> Rows:
    """Finetuned rows alone."""
    return rows_of(few_shot=False)


def nothing_at_chance() -> Rows:
    """All above chance few-shot."""
    return rows_of(losses=[2.2, 2.18, 2.15, 2.1, 2.05, 2.0])


def no_truth() -> Rows:
    """Two checkpoints above chance few-shot."""
    return rows_of(losses=[*LOSSES[:7], 2.15, 2.1])


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (nothing_to_hide, "nothing to hide"),
        (no_few_shot, "no few-shot rows"),
        (nothing_at_chance, "none is left to forecast from"),
        (no_truth, "do not show where it emerged"),
    ],
)
def test_a_table_that_allows_no_backtest_says_why(table: Callable[[], Rows], says: str):
    """And what to add."""
    with pytest.raises(FitError, match=says):
        backtest(table())


def test_bad_options_are_refused(rows: Rows):
    """Before anything is fitted."""
    told: list[BacktestRow] = []
    with pytest.raises(OptionError, match="no law 'cubic'"):
        backtest(
            rows,
            fitting=FitOptions(law="log-power"),
            options=BacktestOptions(laws=("cubic",)),
            on_row=lambda _d, _t, row: told.append(row),
        )
    assert not told
    with pytest.raises(OptionError, match="no prior"):
        backtest(rows, fitting=FitOptions(priors={"elbow": 1.0}))
    with pytest.raises(OptionError, match="at least one rung"):
        BacktestOptions(rungs=0)
    with pytest.raises(OptionError, match="above 0"):
        BacktestOptions(horizons=(-1.0,))
    with pytest.raises(OptionError, match="leave both out"):
        backtest(rows, SelectOptions(axis="flops"))
    with pytest.raises(SelectionError, match="no row has the task"):
        backtest(rows, SelectOptions(task="other"))
