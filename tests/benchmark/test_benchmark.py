"""The benchmark on made-up cells: what methods see, what is kept, how it is counted."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from emergecast.baselines import StudentT
from emergecast.benchmark import (
    CELLS,
    SKILLS,
    Answer,
    AnswerOutcome,
    BenchmarkOptions,
    BundledCell,
    HeldSplit,
    Leaderboard,
    LeaderboardRow,
    ResultLine,
    SimulatedCell,
    benchmark,
    planned,
)
from emergecast.benchmark._cells import RANDOM, Rung
from emergecast.benchmark._entrants import entrant
from emergecast.benchmark._leaderboard import leaderboard
from emergecast.benchmark._run_benchmark import run_job
from emergecast.errors import FitError, OptionError
from emergecast.inference import LossDistribution, fit
from emergecast.measurements import (
    Measurements,
    SelectOptions,
    proving_ground,
    proving_ground_skills,
)
from emergecast.simulation import Departure, load_design
from emergecast.track_record import crps

FAST = BenchmarkOptions(methods=("no-change", "cut-prior"), cells=("no-departure",), tables=2)
seen: list[tuple[Measurements, SelectOptions, float]] = []


def certain(table: Measurements, rows: SelectOptions, few_shot_examples: float) -> LossDistribution:
    """A method that notes what it was given, and is sure of 2.2 nats."""
    seen.append((table, rows, few_shot_examples))
    return StudentT(centre=2.2, scale=0.01, freedom=30.0)


def fails(table: Measurements, rows: SelectOptions, few_shot_examples: float) -> LossDistribution:
    """A method with a mistake in it."""
    del rows, few_shot_examples
    return table.there_is_no_such_thing  # type: ignore[attr-defined, no-any-return]


def refuses(*given: object) -> LossDistribution:
    """A method that will not answer."""
    del given
    raise FitError("not from these rows")


def silent(*given: object) -> None:
    """A method that returns nothing."""
    del given


def absurd(*given: object) -> LossDistribution:
    """A method whose distribution is none."""
    del given
    return StudentT(centre=math.nan, scale=1.0, freedom=3.0)


def number(*given: object) -> float:
    """A method that returns a loss instead of a distribution of one."""
    del given
    return 2.0


PLUGIN = "tests.benchmark.test_benchmark"


def rung_of(cell: str, number: int = 0) -> Rung:
    """The first rung of a table."""
    return next(CELLS[cell].rungs(number, 0))


def row_of(board: Leaderboard, method: str, group: str = "all simulated") -> LeaderboardRow:
    """One row of a leaderboard."""
    return next(each for each in board.rows if (each.group, each.method) == (group, method))


# ------------------------------------------------------------------------------ what is forecast


def test_every_departure_and_every_bundled_task_has_a_cell():
    """Under its own name, with designs that exist."""
    assert {"matching", "probe", *SKILLS, "no-departure", *Departure} <= set(CELLS)
    tasks = {*proving_ground().tasks, *proving_ground_skills().tasks}
    assert tasks == {each.task for each in CELLS.values() if isinstance(each, BundledCell)}
    for cell in CELLS.values():
        if isinstance(cell, SimulatedCell):
            assert [name == RANDOM or load_design(name) for name in cell.designs]


def test_half_of_the_skills_are_held():
    """As docs/proving_ground.md has it since before any forecast of them."""
    held = {name for name, split in SKILLS.items() if split is HeldSplit.HELD}
    assert held == {"quarters_rare", "eighths", "fourths", "recall"}
    assert not held & set(BenchmarkOptions().chosen)
    assert set(SKILLS) - held <= set(BenchmarkOptions().chosen)


@pytest.mark.parametrize(
    "cell", [name for name, each in CELLS.items() if isinstance(each, SimulatedCell)]
)
def test_a_method_sees_no_later_checkpoint(cell: str):
    """No row of a future checkpoint is in the table that it is given, and the seed decides it."""
    rung = rung_of(cell)
    assert not rung.table.frame["future"].any()
    assert rung.table.hash == rung_of(cell).table.hash
    assert rung.table.hash != rung_of(cell, 1).table.hash


def test_the_distance_is_the_one_stated():
    """The elbow of a table 3 times the FLOPs ahead is where the design's curve has them."""
    rung = rung_of("3x-ahead")
    assert rung.truth == pytest.approx(load_design("small").loss_at_flops(3.0), abs=0.02)


@pytest.mark.parametrize("cell", ["matching", "fourths_rare"])
def test_the_ladder_of_a_bundled_table_is_that_of_the_backtest(cell: str):
    """Every rung hides the strongest checkpoint of the last one, and all agree on the truth."""
    rungs = list(CELLS[cell].rungs(0, 0))
    assert len({rung.truth for rung in rungs}) == 1
    strongest = [rung.fit.data.strongest_loss for rung in rungs]
    assert strongest == sorted(strongest)
    assert min(strongest) > rungs[0].truth


# ------------------------------------------------------------------------------ who forecasts


def test_a_function_gets_rows_and_no_answer():
    """The table, the options that select from it, and D0; its distribution is what is scored."""
    seen.clear()
    board = benchmark(replace(FAST, methods=(f"{PLUGIN}:certain",), tables=1))
    ((table, rows, few_shot_examples),) = seen
    rung = rung_of("no-departure")
    assert table.hash == rung.table.hash
    assert fit(table, rows).data.few_shot_examples == few_shot_examples
    row = row_of(board, f"{PLUGIN}:certain")
    assert row.bias is not None
    assert row.bias.value == pytest.approx(2.2 - rung.truth)


def test_failures_are_counted_and_told_apart():
    """A refusal, a mistake, nothing and nonsense; none of them has a score."""
    names = [f"{PLUGIN}:{name}" for name in ("refuses", "fails", "silent", "absurd", "number")]
    board = benchmark(replace(FAST, methods=tuple(names)))
    rows = [row_of(board, name) for name in names]
    assert [(r.refused, r.errors, r.no_distribution, r.scored, r.rungs) for r in rows] == [
        (2, 0, 0, 0, 2), (0, 2, 0, 0, 2), (0, 0, 2, 0, 2), (0, 0, 2, 0, 2),
        (0, 0, 2, 0, 2),
    ]  # fmt: skip
    assert rows[0].reason == "not from these rows"
    assert "there_is_no_such_thing" in rows[1].reason
    assert rows[2].reason == "It returned None, which has no quantile()."
    assert rows[4].reason == "It returned 2.0, which has no quantile()."
    assert all(row.over_no_change is None and row.covered_90 is None for row in rows)


def test_laws_and_mixtures_are_methods():
    """A plain law by name is what `fit` gives, at the same D0; what the verdict refuses counts."""
    rung = rung_of("no-departure", 3)
    mine = entrant("log-power").forecast(rung)
    assert mine is not None
    made = fit(rung.table, rung.rows).with_law("log-power").posterior
    shares = [0.05, 0.5, 0.95]
    np.testing.assert_allclose(mine.quantile(shares), made.quantile(shares))
    flat = rung.table.frame.with_columns(score=0.25 + 0 * rung.table.frame["score"])
    with pytest.raises(FitError):
        entrant("log-power").forecast(replace(rung, table=replace(rung.table, frame=flat)))


@pytest.mark.parametrize(
    "name", ["log-powr", "mixture:stackin", "json:nothing", "no_such_module:f", "sys:path", ","]
)
def test_an_unknown_method_stops_before_anything_is_done(name: str):
    """With a sentence that says what a method is."""
    with pytest.raises(OptionError):
        planned(replace(FAST, methods=(name,)))


def test_what_cannot_be_is_refused():
    """Cells that are not there, and numbers that mean nothing."""
    with pytest.raises(OptionError, match="matching"):
        BenchmarkOptions(cells=("matchin",))
    with pytest.raises(OptionError):
        BenchmarkOptions(tables=0)


# ------------------------------------------------------------------------------ held out


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A cell that is held out."""
    cell = SimulatedCell(name="secret", split=HeldSplit.HELD)
    monkeypatch.setitem(CELLS, "secret", cell)
    return iter(["secret"])


def test_held_cells_are_left_out_and_named(held: Iterator[str], tmp_path: Path):
    """Unless they are asked for; results of an earlier look are not shown either."""
    name = next(held)
    with pytest.raises(OptionError, match="--held"):
        BenchmarkOptions(cells=(name,))
    looked = replace(FAST, cells=(), held=True)
    assert name in looked.chosen
    shown = benchmark(BenchmarkOptions(methods=(), cells=(name,), tables=1, held=True), tmp_path)
    assert {row.group for row in shown.rows} == {"all simulated", name}
    later = benchmark(replace(FAST, tables=1), tmp_path)
    assert set(later.left_out) == {
        name,
        *(each for each, split in SKILLS.items() if split is HeldSplit.HELD),
    }
    assert name not in {row.group for row in later.rows}


# ------------------------------------------------------------------------------ what is kept


def test_a_second_start_does_only_what_is_missing(tmp_path: Path):
    """And a damaged line is said, and its table done again; the numbers stay."""
    first = benchmark(FAST, tmp_path)
    path = tmp_path / "results.jsonl"
    lines = path.read_text().splitlines()
    assert len(lines) == 4
    assert planned(FAST, tmp_path).jobs == ()
    more = planned(replace(FAST, methods=("prior",)), tmp_path)
    assert {job.methods for job in more.jobs} == {("prior",)}
    path.write_text("\n".join([lines[0], lines[1][:-40], lines[2], lines[3][: len(lines[3]) // 2]]))
    plan = planned(FAST, tmp_path)
    assert plan.damaged == (2, 4)
    assert plan.lines == 2
    again = benchmark(FAST, tmp_path)
    assert planned(FAST, tmp_path).lines == 0  # the cut line did not spoil the one after it
    assert again.damaged == (2, 4)
    assert [replace(row, seconds=0) for row in again.rows] == [
        replace(row, seconds=0) for row in first.rows
    ]


def test_results_of_another_seed_or_version_do_not_count(tmp_path: Path):
    """They stay in the file."""
    benchmark(FAST, tmp_path)
    path = tmp_path / "results.jsonl"
    old = [json.loads(line) | {"version": "0.0.9"} for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in old))
    assert planned(FAST, tmp_path).lines == 4
    assert planned(replace(FAST, seed=1), tmp_path).lines == 4
    board = benchmark(replace(FAST, tables=1), tmp_path)
    assert row_of(board, "no-change").tables == 1


def test_processes_change_nothing():
    """The same numbers from two."""
    one, two = benchmark(FAST), benchmark(replace(FAST, workers=2))
    assert [replace(row, seconds=0) for row in one.rows] == [
        replace(row, seconds=0) for row in two.rows
    ]


# ------------------------------------------------------------------------------ how it is counted


def line(method: str, table: str, answers: list[Answer], cell: str = "matching") -> ResultLine:
    """A line of results made by hand."""
    return ResultLine(
        version="1", method=method, table=table, seed=0, cell=cell, date="2026-01-02",
        rungs=tuple(answers),
    )  # fmt: skip


def scored(rung: str, value: float, place: float = 0.5) -> Answer:
    """A normal forecast of sd 1 nat whose truth has this place in it."""
    truth = float(stats.norm.ppf(place))
    p05, p25, p50, p75, p95 = (float(stats.norm.ppf(p)) for p in (0.05, 0.25, 0.5, 0.75, 0.95))
    return Answer(
        rung=rung, outcome=AnswerOutcome.SCORED, truth=truth, seconds=2.0, p05=p05, p25=p25,
        p50=p50, p75=p75, p95=p95, crps=value, interval_score=value, pit=place,
    )  # fmt: skip


def test_tables_weigh_alike_in_every_mean():
    """Two tables, one of three rungs and one of a single rung: by hand."""
    lines = [
        line("mine", "a", [scored("1", 1, 0.5), scored("2", 1, 0.97), scored("3", 1, 0.7)]),
        line("mine", "b", [scored("1", 3, 0.1)]),
        line("no-change", "a", [scored("1", 2), scored("2", 2)]),
        line("no-change", "b", [scored("1", 4)]),
    ]
    row = row_of(leaderboard(lines, version="1", seed=0), "mine", "matching")
    assert (row.tables, row.rungs, row.scored) == (2, 4, 4)
    assert row.covered_90 is not None
    assert row.covered_50 is not None
    assert row.covered_90.value == pytest.approx((2 / 3 + 1) / 2)
    assert row.covered_90.stderr == pytest.approx((1 / 3) / 2)
    assert row.covered_50.value == pytest.approx((2 / 3 + 0) / 2)
    assert row.pit == pytest.approx((1 / 2, 0, 1 / 6, 1 / 6, 1 / 6))
    assert row.interval_score is not None
    assert row.interval_score.value == pytest.approx((1 + 3) / 2)
    assert row.over_no_change is not None
    assert (row.over_no_change.tables, row.over_no_change.rungs) == (2, 3)
    assert row.over_no_change.value == pytest.approx(1 - (1 + 3) / (2 + 4))
    assert row.over_no_change.per_rung == pytest.approx((math.log(2) + math.log(4 / 3)) / 2)
    assert row.over_cut_prior is None
    assert row.seconds == 2.0


def test_the_best_method_stands_first():
    """By skill per rung over no-change, which has 0 over itself; without any skill, last."""
    lines = [
        line("worse", "a", [scored("1", 4)]),
        line("no-change", "a", [scored("1", 2)]),
        line("better", "a", [scored("1", 1)]),
        line("none", "a", [replace(scored("1", 1), outcome=AnswerOutcome.REFUSED, crps=None)]),
    ]
    board = leaderboard(lines, version="1", seed=0)
    assert [row.method for row in board.rows if row.group == "matching"] == [
        "better", "no-change", "worse", "none",
    ]  # fmt: skip
    assert board.to_dict()["dates"] == ["2026-01-02", "2026-01-02"]


def test_a_line_is_the_score_of_its_forecast():
    """CRPS, PIT and quantiles of the stated distribution, against scipy."""
    job = next(iter(planned(replace(FAST, methods=(f"{PLUGIN}:certain",), tables=1)).jobs))
    made = next(each for each in run_job(job) if "certain" in each.method).rungs[0]
    exact = stats.t(30, 2.2, 0.01)
    assert made.truth is not None
    assert made.p05 == pytest.approx(exact.ppf(0.05))
    assert made.pit == pytest.approx(exact.cdf(made.truth))
    assert made.crps == pytest.approx(
        crps(StudentT(centre=2.2, scale=0.01, freedom=30.0), made.truth)
    )


def test_a_table_that_cannot_be_made_is_an_error_of_every_method(monkeypatch: pytest.MonkeyPatch):
    """It is told in the leaderboard, and stops nothing."""
    far = SimulatedCell(name="far", ahead=1e9, designs=("small",))
    monkeypatch.setitem(CELLS, "far", far)
    options = replace(FAST, cells=("far",), tables=1)
    assert {each.rungs[0].truth for each in run_job(planned(options).jobs[0])} == {None}
    row = row_of(benchmark(options), "no-change")
    assert (row.errors, row.scored, row.bias) == (1, 0, None)
    assert "FLOPs" in row.reason
