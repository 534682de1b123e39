"""What makes simulated tables as uneven as real ones, and how far ahead their truth lies."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from emergecast.errors import OptionError
from emergecast.measurements import SelectOptions, select
from emergecast.scaling import CHINCHILLA_LAWS, run_at_loss
from emergecast.simulation import (
    Departure,
    Design,
    DesignCheckpoint,
    Effects,
    Layout,
    Simulated,
    Truth,
    crossing,
    estimand,
    load_design,
    random_design,
    simulate,
    truth_ahead,
)
from emergecast.simulation._departures import departed
from emergecast.simulation._design import losses_of
from emergecast.simulation._noiseless import rows_of
from emergecast.simulation._simulate import _scores

SMALL = load_design("small")
QUIET = dataclasses.replace(SMALL.truth, tau=0.0)
EXACT = dataclasses.replace(SMALL, n_items=None, stderr=0.0)
"""Accuracies without sampling error."""


def drawn(design: Design, truth: Truth | None = None, seed: int = 0, **options) -> Simulated:
    """One table of a seed."""
    return simulate(design, truth, rng=np.random.default_rng(seed), **options)


def scores(simulated: Simulated) -> dict[tuple, float]:
    """Score by series, checkpoint, examples and subset."""
    frame = simulated.table.frame
    key = frame.select("series", "checkpoint", "examples", "subset")
    return dict(zip(key.iter_rows(), frame["score"].to_list(), strict=True))


def at_losses(design: Design, losses) -> Design:
    """The design with later checkpoints at these losses beside its present ones."""
    added = [
        DesignCheckpoint(
            series="simulated", name=f"fine-{i}", params=None, tokens=None, loss=float(loss),
            finetuned=False,
        )
        for i, loss in enumerate(losses)
    ]  # fmt: skip
    return dataclasses.replace(design, checkpoints=(*design.present, *added))


COMBINED = {
    "toe and ceiling": Effects(toe=0.1, ceiling=0.2),
    "softness on a curved axis": Effects(softness=0.02, curved=True),
    "toe that is short": Effects(toe=0.005),
}
CROSSED: dict[str, Effects] = {
    **{each.value: departed(each, SMALL) for each in Departure if each != "series-offsets"},
    **COMBINED,
}


@pytest.mark.parametrize("name", CROSSED)
@pytest.mark.parametrize("metric", ["acc", "points"])
def test_the_crossing_is_where_a_fine_grid_crosses(name: str, metric: str):
    """The highest of 1,000 losses whose noiseless score is chance + 0.02 (best - chance), or more.

    For a metric without a best score it is 0.02 of the range of the finetuned scores.
    """
    truth = dataclasses.replace(QUIET, level=0.002, few_shot_offset=-0.001)
    grid = np.linspace(2.75, 1.8, 1000)
    design = at_losses(dataclasses.replace(EXACT, metric=metric), grid)
    effects = CROSSED[name]
    effects = dataclasses.replace(effects, t_df=None, bimodal=0.0, deviation=0.0, noise_growth=0.0)
    # It asks of models that are annealed and have not seen task data.
    untouched = dataclasses.replace(effects, hidden_examples=0.0, annealing=0.0)
    rows = rows_of(design)
    reach = 0.75
    if metric == "points":
        reach = np.ptp(_scores(design, truth, effects, rows, 0)[~rows.few_shot])
    score = _scores(design, truth, untouched, rows, 0)
    above = rows.few_shot & (rows.loss <= 2.75) & (score >= 0.25 + 0.02 * reach)
    found = crossing(design, truth, CROSSED[name])
    assert found == pytest.approx(rows.loss[above].max(), abs=1.01 * (grid[0] - grid[1]))


def test_the_crossing_of_the_law_worked_out():
    """0.7 (2.18 - L) = 0.02 * 0.75, so L = 2.18 - 0.015 / 0.7; every table says so."""
    assert drawn(SMALL).crossing == pytest.approx(2.18 - 0.015 / 0.7, rel=1e-12)
    assert crossing(SMALL, dataclasses.replace(QUIET, few_shot_offset=0.015)) is None
    assert crossing(SMALL, QUIET, Effects(ceiling=0.015)) is None
    assert crossing(SMALL, QUIET, Effects(ceiling=0.0151)) is not None


def test_the_estimand_stays_where_the_law_is_not_bent():
    """E(Dmax) of one elbow; E(D0) where only noise, pools and annealing depart from the law."""
    wanted = dict.fromkeys(("growing-noise", "weak-checkpoints", "annealing"), 2.18)
    for name, elbow in {**wanted, "one-elbow": 2.66}.items():
        assert drawn(SMALL, departure=name).estimand == pytest.approx(elbow, abs=1e-9)
    early = dataclasses.replace(QUIET, elbow=2.35)  # c08 is past it, and runs on
    annealing = departed("annealing", SMALL)
    assert estimand(SMALL, early, annealing) == pytest.approx(2.35, abs=1e-9)
    toe = drawn(SMALL, departure="toe").estimand
    assert toe is not None
    assert toe > 2.18
    blind = dataclasses.replace(SMALL, checkpoints=SMALL.present)
    assert [estimand(blind, QUIET, departed(n, SMALL)) for n in ("toe", "curved-axis")] == [
        None
    ] * 2
    assert estimand(blind, QUIET, departed("annealing", SMALL)) == 2.18


def test_one_elbow_is_one_elbow():
    """No score rises above E(Dmax) for any amount, and below it larger amounts rise faster."""
    frame = drawn(EXACT, QUIET, departure="one-elbow").table.frame
    loss, score = frame["loss"].to_numpy(), frame["score"].to_numpy()
    assert (score[loss > 2.66] == 0.25).all()
    assert (score[loss < 2.66] > 0.25).all()
    at = frame.filter((frame["checkpoint"] == "c08") & ~frame["examples"].is_null()).sort(
        "examples"
    )
    slopes = (at["score"].to_numpy()[::2] - 0.25) / (2.66 - 2.3)
    few = float(frame.filter(frame["examples"].is_null())["score"][7] - 0.25) / (2.66 - 2.3)
    assert slopes[-1] == pytest.approx(0.7)
    assert few == pytest.approx(0.07)
    assert (np.diff(slopes) > 0).all()


def test_a_curved_axis_is_linear_in_log_compute():
    """Gains against the log of the FLOPs that Hoffmann's law, spent optimally, asks for a loss."""
    frame = drawn(EXACT, QUIET, departure="curved-axis").table.frame
    past = frame.filter(frame["examples"].is_null() & (frame["loss"] < 2.15))
    flops = run_at_loss(CHINCHILLA_LAWS["hoffmann"], past["loss"].to_numpy()).flops
    slopes = np.diff(past["score"].to_numpy()) / np.diff(np.log(np.asarray(flops)))
    np.testing.assert_allclose(slopes, slopes[0], rtol=1e-9)
    assert np.ptp(np.diff(past["score"].to_numpy())) > 0.01  # in loss it is not: the steps are even


def test_weak_checkpoints_are_far_above_and_at_chance():
    """Half as many as present, rising to an untrained one; the other rows stay as they were."""
    plain, pooled = drawn(SMALL, seed=2), drawn(SMALL, seed=2, departure="weak-checkpoints")
    assert scores(plain).items() <= scores(pooled).items()
    weak = pooled.table.frame.filter(pooled.table.frame["checkpoint"].str.starts_with("weak"))
    losses = sorted(set(weak["loss"].to_list()))
    np.testing.assert_allclose(np.diff(np.log(losses)), math.log(10.8 / 3.0) / 4)
    assert losses[-1] == pytest.approx(10.8)
    assert len(weak) == 4 * (1 + 4 * 2)
    assert (weak["tokens"] < 4.15e9).all()
    assert (
        np.abs(weak["score"].to_numpy() - 0.25) < 5 * math.sqrt(0.1**2 + 0.25 * 0.75 / 2000)
    ).all()
    assert not weak["future"].any()


def test_annealing_lowers_the_loss_and_not_the_score():
    """A running checkpoint scores as an annealed one 0.04 nats lower; the column tells which."""
    effects = Effects(annealing=0.04)
    found = drawn(EXACT, QUIET, departure=effects).table.frame
    running = dict(zip(found["checkpoint"], found["lr_fraction"], strict=True))
    assert [name for name, value in running.items() if value == 0] == [
        "c03", "c06", "c09", "c10", "c11", "c12", "c13",
    ]  # fmt: skip
    assert set(running.values()) == {0.0, 1.0}
    lower = tuple(
        dataclasses.replace(each, loss=each.loss - 0.04 * running[each.name])
        for each in SMALL.checkpoints
    )
    annealed = drawn(dataclasses.replace(EXACT, checkpoints=lower), QUIET)
    found_scores = drawn(EXACT, QUIET, departure=effects)
    assert list(scores(found_scores).values()) == pytest.approx(list(scores(annealed).values()))
    assert annealed.table.frame["lr_fraction"].is_null().all()


def test_snapshots_share_the_noise_of_their_run():
    """Correlation 0.7 within checkpoint and subset, none otherwise; each with sd tau as before."""
    tiny = dataclasses.replace(
        SMALL, snapshots=True, metric="points", n_items=None, stderr=0.0, examples=(10, 100),
        checkpoints=SMALL.checkpoints[:2], horizon=None, runs=2,
    )  # fmt: skip
    rows, truth = rows_of(tiny), dataclasses.replace(SMALL.truth, tau=0.05)
    mean = _scores(tiny, QUIET, Effects(), rows, 0)
    found = np.array([_scores(tiny, truth, Effects(), rows, i) for i in range(1500)]) - mean
    assert found.std(axis=0) == pytest.approx(
        0.05 * np.where(rows.few_shot, 1, math.sqrt(0.5)), rel=0.08
    )
    run = [*zip(rows.checkpoint, np.where(rows.few_shot, -1, rows.subset), strict=True)]
    together = np.array([[0.7 if one == other else 0.0 for other in run] for one in run])
    np.fill_diagonal(together, 1.0)
    np.testing.assert_allclose(np.corrcoef(found.T), together, atol=4 / math.sqrt(1500))
    frame = drawn(tiny).table.frame
    assert (frame["snapshot"] == ~frame["examples"].is_null()).all()


@pytest.mark.parametrize("seed", range(6))
def test_what_is_at_chance_is_present(seed: int):
    """What a fit hides by the scores is what the column says; later ones are finetuned too."""
    design = random_design(np.random.default_rng(seed))
    plain, found = drawn(design, seed=seed), drawn(design, seed=seed, future_by_chance=True)
    assert scores(plain).items() <= scores(found).items()
    assert len(found.table) == len(design.checkpoints) * (1 + len(design.examples) * design.subsets)
    chosen = select(found.table, SelectOptions(pool=True, at_chance_only=True))
    several = len(chosen.series) > 1
    later = found.table.frame.filter("future").select("series", "checkpoint").unique().iter_rows()
    assert set(chosen.hidden) == {f"{a}/{b}" if several else b for a, b in later}
    assert (plain.estimand, plain.crossing) == (found.estimand, found.crossing)


def test_without_emergence_all_is_present():
    """And where the weakest checkpoint is above chance by now, nothing is."""
    truth = dataclasses.replace(QUIET, elbow=1.5)
    found = drawn(SMALL, truth, future_by_chance=True).table.frame
    assert not found["future"].any()
    known = dataclasses.replace(QUIET, few_shot_offset=0.3)
    assert drawn(SMALL, known, future_by_chance=True).table.frame["future"].all()


@pytest.mark.parametrize("ratio", [1.5, 3.0, 10.0, 30.0])
@pytest.mark.parametrize("alpha", [0.5, 1.0])
@pytest.mark.parametrize("name", ["small", "rich"])
def test_a_truth_lies_as_far_ahead_as_asked(name: str, alpha: float, ratio: float):
    """In FLOPs between two checkpoints of the design; two amounts show their elbow there."""
    design = load_design(name)
    shape = dataclasses.replace(design.truth, alpha=alpha)
    truth = truth_ahead(design, ratio, shape)
    flops = np.array([(each.params or 0) * (each.tokens or 0) for each in design.checkpoints])
    strongest = flops[len(design.present) - 1]
    weaker = losses_of(design.checkpoints)[flops <= ratio * strongest].min()
    stronger = losses_of(design.checkpoints)[flops >= ratio * strongest].max()
    assert stronger <= truth.elbow <= weaker
    share = (np.log(design.examples) ** alpha - np.log(5) ** alpha) / (
        np.log(design.most_examples) ** alpha - np.log(5) ** alpha
    )
    elbows = truth.elbow + (truth.elbow_max - truth.elbow) * share
    tuned = losses_of(each for each in design.present if each.finetuned)
    shown = [elbow for elbow in elbows if np.sum(tuned <= elbow + 1e-12) >= 2]
    assert len(shown) >= 2
    assert np.sum(tuned >= truth.elbow_max) >= 2
    best = [each.slope * (each.elbow_max - tuned.min()) for each in (truth, shape)]
    assert best[0] == pytest.approx(best[1])
    assert dataclasses.replace(
        truth, elbow=shape.elbow, elbow_max=shape.elbow_max, slope=shape.slope
    ) == shape  # fmt: skip
    assert estimand(design, truth) == pytest.approx(truth.elbow, abs=1e-9)


def test_elbows_that_cannot_show_are_refused():
    """With what would have to be, and what to change.

    The elbow at 10,000 examples has gone (ln 10,000 / ln 100,000)^12 = 0.0687 of the way, and must
    reach a loss of 2.4: 2.0526 + 0.3474 / 0.0687 = 7.11.
    """
    steep = dataclasses.replace(SMALL.truth, alpha=12.0)
    with pytest.raises(
        OptionError, match=r"2 amounts do not show.*at 7\.1.* second highest is 2.9"
    ):
        truth_ahead(SMALL, 30, steep)
    with pytest.raises(OptionError, match=r"one amount tells of no shift"):
        truth_ahead(dataclasses.replace(SMALL, examples=(100,)), 2)
    with pytest.raises(OptionError, match=r"no checkpoint reaches 30 times"):
        truth_ahead(load_design("openllama-v1-mmlu"), 30)


@pytest.mark.parametrize("layout", Layout)
def test_random_designs_are_as_uneven_as_real_pools(layout: Layout):
    """5 to 22 present checkpoints; sizes along training, clusters of families, one run."""
    designs = [random_design(np.random.default_rng(seed), layout=layout) for seed in range(60)]
    counts = [len(design.present) for design in designs]
    assert min(counts) <= 6
    assert max(counts) >= 21
    for design in designs:
        assert 5 <= len(design.present) <= 22
        assert 3 <= len(design.examples) <= 7
        present, later = losses_of(design.present), losses_of(design.future)
        assert later.size == 8
        assert later.max() < present.min()
        assert (np.diff(later) < 0).all()
        assert design.loss_at_flops(100) > later.min()
        flops = [(each.params or 0) * (each.tokens or 0) for each in design.checkpoints]
        ratio = max(flops) / flops[int(np.argmin(present))]
        assert ratio == pytest.approx(1.8**8, rel=1e-3)
        (law,) = [x for x in CHINCHILLA_LAWS.values() if x.floor_nats == design.floor_nats]
        off = present - law.loss(*zip(*((c.params, c.tokens) for c in design.present), strict=True))
        sizes = {each.params for each in design.present}
        assert np.abs(off).max() < (0.08 if layout is Layout.FAMILIES else 1e-12)
        assert (len(sizes) == 1) == (layout is Layout.RUN)
        assert (len(design.series) > 1) == (layout is Layout.FAMILIES)
        assert later.min() < design.truth.elbow <= present.min()
    assert 5 <= sum(design.snapshots for design in designs) <= 25
    gaps = [np.diff(np.sort(losses_of(design.present))) for design in designs]
    evenness = np.median([np.median(each) / each.mean() for each in gaps])
    assert (evenness < 0.6) == (layout is Layout.FAMILIES)
    again = random_design(np.random.default_rng(3), layout=layout)
    assert again == designs[3] != designs[4]
