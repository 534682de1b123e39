"""Simulated tables: what is drawn, what a departure changes, and where the elbow is then."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import curve_fit

from emergecast.emergence_law import LawForm
from emergecast.errors import OptionError
from emergecast.observed._relu import best_relu
from emergecast.simulation import (
    Departure,
    Design,
    DesignCheckpoint,
    Effects,
    Simulated,
    Truth,
    estimand,
    load_design,
    random_truth,
    simulate,
)
from emergecast.simulation._departures import departed
from emergecast.simulation._noiseless import rows_of
from emergecast.simulation._simulate import _scores

SMALL = load_design("small")
PAIR = load_design("two-series")
KEY = ["series", "checkpoint", "examples", "subset"]


def exact(design: Design = SMALL, **changes) -> Design:
    """The design with scores that are neither noisy nor bounded."""
    return dataclasses.replace(
        design, metric="points", n_items=None, stderr=0.0, **changes
    )  # fmt: skip


def quiet(design: Design = SMALL, **changes) -> Truth:
    """The design's truth without scatter."""
    return dataclasses.replace(design.truth, tau=0.0, **changes)


def drawn(design: Design, truth: Truth | None = None, departure=None, seed: int = 0) -> Simulated:
    """One table of a seed."""
    return simulate(design, truth, departure=departure, rng=np.random.default_rng(seed))


def columns(simulated: Simulated):
    """Loss, examples (nan where few-shot), whether few-shot, score."""
    frame = simulated.table.frame
    examples = frame["examples"].cast(float).fill_null(np.nan).to_numpy()
    return frame["loss"].to_numpy(), examples, np.isnan(examples), frame["score"].to_numpy()


def scores(simulated: Simulated) -> dict[tuple, float]:
    """Score by series, checkpoint, examples and subset."""
    frame = simulated.table.frame
    return dict(zip(frame.select(KEY).iter_rows(), frame["score"].to_list(), strict=True))


def elbow_of(truth: Truth, examples, d0: float = 5.0, dmax: float = 100_000.0):
    """E(D) written out, from the two elbows that the truth states."""

    def q(amount):
        if truth.form is LawForm.LOG_POWER:
            return np.log(amount) ** truth.alpha
        if truth.form is LawForm.POWER:
            return amount**truth.alpha
        return amount**truth.alpha / (truth.half**truth.alpha + amount**truth.alpha)

    k = (truth.elbow_max - truth.elbow) / (q(dmax) - q(d0))
    return truth.elbow + k * (q(examples) - q(d0))


@pytest.mark.parametrize(
    "law",
    [
        {"form": LawForm.LOG_POWER, "alpha": 1.7},
        {"form": LawForm.POWER, "alpha": 0.3},
        {"form": LawForm.HILL, "alpha": 1.2, "half": 800.0},
    ],
    ids=lambda law: law["form"],
)
def test_scores_without_noise_are_the_law(law):
    """Score = chance + level (+ offset) + slope max(E(D) - L, 0), for each form of E(D)."""
    truth = quiet(level=0.013, few_shot_offset=-0.02, **law)
    loss, examples, few, score = columns(drawn(exact(), truth))
    elbow = elbow_of(truth, np.where(few, 5.0, examples))
    wanted = 0.263 - 0.02 * few + 0.7 * np.maximum(elbow - loss, 0.0)
    np.testing.assert_allclose(score, wanted, rtol=1e-12)
    assert few.sum() == 13
    assert (~few).sum() == 8 * 4 * 2


def departed_scores(  # noqa: C901  a branch for each departure
    departure: Departure, design: Design, simulated: Simulated
):
    """The noiseless scores that each departure's definition gives, written out."""
    truth = quiet(design)
    loss, examples, few, _ = columns(simulated)
    amounts = np.where(few, 5.0, examples)
    frame = simulated.table.frame
    elbow, slope = elbow_of(truth, amounts), np.full(loss.shape, truth.slope)
    spread = design.loss_spread
    if departure is Departure.FALLING_SLOPE:
        slope = slope * 3.0 ** (0.5 - np.log(amounts / 5.0) / np.log(100_000.0 / 5.0))
    if departure is Departure.SATURATING_ELBOW:
        half = math.sqrt(design.examples[0] * 100_000.0)
        hill = dataclasses.replace(truth, form=LawForm.HILL, half=half, alpha=1.5)
        elbow = elbow_of(hill, amounts)
    if departure is Departure.HIDDEN_TASK_DATA:
        seen = np.array([name in {"c02", "c05", "c08", "c11"} for name in frame["checkpoint"]])
        elbow = elbow_of(truth, amounts + np.where(seen, math.sqrt(5.0 * 100_000.0), 0.0))
    if departure is Departure.SERIES_OFFSETS:
        loss = loss + 0.5 * spread * np.where((frame["series"] == "b").to_numpy(), 0.5, -0.5)
    if departure is Departure.ONE_ELBOW:
        elbow = np.full(loss.shape, truth.elbow_max)
        slope = slope * 0.1 * 10.0 ** (np.log(amounts / 5.0) / np.log(100_000.0 / 5.0))
    if departure is Departure.ANNEALING:
        annealed = {"c03", "c06", *(f"c{number:02d}" for number in range(9, 14))}
        runs_on = np.array([name not in annealed for name in frame["checkpoint"]])
        loss = loss - 0.3 * spread * runs_on
    past = elbow - loss
    gain = slope * np.maximum(past, 0.0)
    if departure is Departure.TOE:
        start = 4 * 0.6 * spread / (1 + np.exp(2 - past / (0.6 * spread)))
        gain = slope * np.where(past > 1.2 * spread, past, start)
    if departure is Departure.CURVED_AXIS:
        stretch = (truth.elbow - 1.69) * np.log((elbow - 1.69) / (loss - 1.69))
        gain = slope * np.maximum(stretch, 0.0)
    if departure is Departure.SMOOTH_ELBOW:
        gain = slope * 0.3 * spread * np.logaddexp(0.0, past / (0.3 * spread))
    if departure is Departure.CEILING:
        top = 0.4 * design.score_range
        gain = top * (1.0 - np.exp(-gain / top))
    if departure is Departure.OVERTRAINED:
        ratio = frame["tokens"].to_numpy() / frame["params"].to_numpy()
        middle = np.median([c.tokens / c.params for c in design.checkpoints])  # type: ignore[operator]
        lost = 0.3 * np.maximum(np.log10(ratio / middle), 0.0)
        gain = np.where(few, gain, gain * (1.0 - lost))
    return 0.25 + gain


RANDOM = {
    Departure.HEAVY_TAILS, Departure.BIMODAL_RUNS, Departure.SHARED_DEVIATION,
    Departure.GROWING_NOISE,
}  # fmt: skip
"""They have no part in noiseless scores."""
CERTAIN = [each for each in Departure if each not in {*RANDOM, Departure.WEAK_CHECKPOINTS}]


@pytest.mark.parametrize("departure", CERTAIN)
def test_each_departure_is_what_it_says(departure: Departure):
    """Its formula, written out a second time, gives every score."""
    design = exact(PAIR if departure is Departure.SERIES_OFFSETS else SMALL)
    found = drawn(design, quiet(design), departure)
    wanted = departed_scores(departure, design, found)
    plain = drawn(design, quiet(design)).table.frame["score"].to_numpy()
    np.testing.assert_allclose(found.table.frame["score"].to_numpy(), wanted, rtol=1e-12)
    assert np.ptp(wanted - plain) > 0.01
    assert found.departure is departure


@pytest.mark.parametrize("departure", [*CERTAIN, Departure.BIMODAL_RUNS])
def test_a_departure_leaves_every_other_score_as_it_was(departure: Departure):
    """With noise, and the same seed: where the noiseless score stays, so does the measured one."""
    design = PAIR if departure is Departure.SERIES_OFFSETS else SMALL
    before, after = scores(drawn(design, seed=3)), scores(drawn(design, None, departure, seed=3))
    if departure is Departure.BIMODAL_RUNS:
        few = {key for key in before if key[2] is None}
        assert all(before[key] == after[key] for key in few)
        assert any(before[key] != after[key] for key in before)
        return
    noiseless = exact(design)
    means = [scores(drawn(noiseless, quiet(design), name)) for name in (None, departure)]
    same = {key for key in before if abs(means[0][key] - means[1][key]) < 1e-12}
    assert same or departure in {Departure.SMOOTH_ELBOW, Departure.TOE, Departure.FALLING_SLOPE}
    assert all(before[key] == after[key] for key in same)
    assert any(before[key] != after[key] for key in before)


def many(departure=None, n: int = 400, *, design: Design, truth: Truth) -> np.ndarray:
    """Scores of n tables, shape (n, rows); without the tables, which take most of the time."""
    effects = departure if isinstance(departure, Effects) else Effects()
    effects = departed(departure, design) if isinstance(departure, str) else effects
    roots = [int(np.random.default_rng(seed).integers(2**63)) for seed in range(n)]
    found = [_scores(design, truth, effects, rows_of(design), root) for root in roots]
    table = drawn(design, truth, departure, n - 1).table
    assert (found[-1] == table.frame["score"].to_numpy()).all()
    return np.array(found)


TINY = dataclasses.replace(
    SMALL, examples=(1000, 100_000), subsets=1, horizon=2.15, checkpoints=SMALL.checkpoints[::3]
)
"""Twelve rows or so, for statistics over many tables."""


def test_scatter_is_normal_and_shrinks_with_runs():
    """Sd tau for few-shot rows, tau / sqrt(runs) for finetuned ones, no two rows alike."""
    design = exact(TINY, runs=4, subsets=2)
    found = many(design=design, truth=dataclasses.replace(TINY.truth, tau=0.05))
    few = np.isnan(columns(drawn(design))[1])
    means = drawn(design, quiet(TINY)).table.frame["score"].to_numpy()
    scatter = (found - means) / 0.05 * np.where(few, 1.0, 2.0)
    assert stats.kstest(scatter[:, few].ravel(), "norm").pvalue > 0.01
    assert stats.kstest(scatter[:, ~few].ravel(), "norm").pvalue > 0.01
    between = np.corrcoef(scatter.T)[np.triu_indices(scatter.shape[1], 1)]
    assert np.abs(between).max() < 4.2 / math.sqrt(400)


def test_an_evaluation_is_binomial():
    """Counts of right answers among n items, around a mean that the law gives."""
    design = dataclasses.replace(TINY, n_items=50)
    found = many(design=design, truth=quiet(TINY))
    counts = found * 50
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-9)
    p = drawn(exact(TINY), quiet(TINY)).table.frame["score"].to_numpy()
    z = (counts - 50 * p) / np.sqrt(50 * p * (1 - p))
    assert np.abs(z.mean(axis=0)).max() < 4 / math.sqrt(400)
    assert np.abs(z.var(axis=0) - 1).max() < 4 * math.sqrt(2 / 400)


def test_stated_errors_are_normal_and_bounded_by_the_metric():
    """`stderr` is the scatter of a correlation, which stays within -1 and 1."""
    design = dataclasses.replace(TINY, metric="mcc", n_items=None, stderr=0.5, chance=0.0)
    found = many(design=design, truth=quiet(TINY, few_shot_offset=0.0))
    weakest = found[:, 0]
    assert (
        stats.kstest(weakest[np.abs(weakest) < 1] / 0.5, stats.truncnorm(-2, 2).cdf).pvalue > 0.01
    )
    assert found.min() == -1.0
    assert found.max() == 1.0


def test_heavy_tails_are_students():
    """Scatter over tau follows t with three degrees of freedom, draw by draw in the same order."""
    design, truth = exact(TINY), dataclasses.replace(TINY.truth, tau=0.05)
    means = drawn(design, quiet(TINY)).table.frame["score"].to_numpy()
    normal = (many(design=design, truth=truth) - means) / 0.05
    heavy = (many("heavy-tails", design=design, truth=truth) - means) / 0.05
    assert stats.kstest(heavy.ravel(), stats.t(3).cdf).pvalue > 0.01
    assert (np.argsort(heavy[:, 0]) == np.argsort(normal[:, 0])).all()


def test_noise_grows_with_the_gain():
    """Normal with sd tau + 0.15 gain, few-shot rows too."""
    design, truth = exact(TINY), dataclasses.replace(TINY.truth, tau=0.02)
    mean = drawn(design, quiet(TINY)).table.frame["score"].to_numpy()
    scatter = many("growing-noise", design=design, truth=truth) - mean
    wanted = 0.02 + 0.15 * (mean - 0.25)
    assert wanted.max() > 2 * wanted.min()
    assert np.abs((scatter / wanted).std(axis=0) - 1).max() < 4 / math.sqrt(800)
    assert stats.kstest((scatter / wanted).ravel(), "norm").pvalue > 0.01


def test_bimodal_runs_have_all_of_the_skill_or_none():
    """Two values inside the window, their mean the law's; outside it nothing changes."""
    design, truth = exact(TINY), quiet(TINY)
    found = many(Effects(bimodal=0.4), design=design, truth=truth)
    loss, examples, few, mean = columns(drawn(design, truth))
    past = elbow_of(truth, np.where(few, 5.0, examples)) - loss
    inside = ~few & (past > 0) & (past < 0.4)
    assert inside.any()
    assert (found[:, ~inside] == mean[~inside]).all()
    full = 0.25 + truth.slope * 0.4
    for i in np.flatnonzero(inside):
        np.testing.assert_allclose(np.unique(found[:, i]), [0.25, full])
        share = past[i] / 0.4
        error = 4 * math.sqrt(share * (1 - share) / 400)
        assert abs(np.mean(found[:, i] > 0.3) - share) < error


def test_a_shared_deviation_is_one_number_per_checkpoint():
    """Normal with sd 0.03, the same in every row of a checkpoint, independent between them."""
    design, truth = exact(TINY), quiet(TINY)
    found = many("shared-deviation", design=design, truth=truth)
    shift = found - drawn(design, truth).table.frame["score"].to_numpy()
    owner = np.array(drawn(design).table.frame["checkpoint"].to_list())
    each = []
    for name in np.unique(owner):
        own = shift[:, owner == name]
        assert np.ptp(own, axis=1).max() < 1e-12
        each.append(own[:, 0])
    assert stats.kstest(np.ravel(each) / 0.03, "norm").pvalue > 0.01
    assert np.abs(np.corrcoef(each)[np.triu_indices(len(each), 1)]).max() < 4 / math.sqrt(400)


def test_one_seed_is_one_table_and_the_next_draw_another():
    """The same generator state gives the same hash; going on gives another table."""
    rng = np.random.default_rng(7)
    first, second = simulate(SMALL, rng=rng), simulate(SMALL, rng=rng)
    assert drawn(SMALL, seed=7).table.hash == first.table.hash != second.table.hash


def test_rows_added_leave_the_others_as_they_were():
    """A checkpoint in front, an amount in between, a third subset: old rows keep their scores."""
    extra = DesignCheckpoint(
        series="other", name="c01", params=None, tokens=None, loss=3.3, finetuned=True
    )
    larger = dataclasses.replace(
        SMALL,
        checkpoints=(extra, *SMALL.checkpoints),
        examples=(*SMALL.examples[:2], 3000, *SMALL.examples[2:]),
        subsets=3,
    )
    old, new = scores(drawn(SMALL, seed=5)), scores(drawn(larger, seed=5))
    assert len(new) > len(old)
    assert {key: new[key] for key in old} == old


@pytest.mark.parametrize("seed", range(40))
def test_the_estimand_of_the_law_is_its_own_elbow(seed: int):
    """Through the solver, to rounding, for truths drawn over every bundled kind of design."""
    rng = np.random.default_rng(seed)
    design = [SMALL, PAIR, load_design("rich"), load_design("openllama-v1-mmlu")][seed % 4]
    truth = random_truth(design, rng, forms=(LawForm.LOG_POWER, LawForm.POWER, LawForm.HILL))
    assert estimand(design, truth) == pytest.approx(truth.elbow, abs=1e-9)


BENT = ["smooth-elbow", "ceiling", "series-offsets", "toe", "curved-axis"]


@pytest.mark.parametrize("departure", BENT)
@pytest.mark.parametrize("seed", range(4))
def test_the_estimand_of_a_bent_curve_is_the_least_squares_one(departure: str, seed: int):
    """From forty starts curve_fit finds no better ReLU, and the same elbow."""
    rng = np.random.default_rng(seed)
    design = exact(PAIR)
    truth = dataclasses.replace(random_truth(PAIR, rng), tau=0.0)
    found = drawn(design, truth, departure)
    loss, _, few, score = columns(found)

    def relu(at, elbow, slope, base):
        return base + slope * np.maximum(elbow - at, 0.0)

    best, elbow = np.inf, np.nan
    for start in np.linspace(np.unique(loss[few])[1] + 0.01, 2.9, 40):
        fitted, _ = curve_fit(relu, loss[few], score[few], p0=(start, 0.5, 0.25), maxfev=4000)
        rss = float(np.sum((relu(loss[few], *fitted) - score[few]) ** 2))
        if rss < best:
            best, elbow = rss, fitted[0]
    assert found.estimand == pytest.approx(elbow, abs=1e-5)


@pytest.mark.parametrize("seed", range(10))
def test_the_best_relu_beats_every_other(seed: int):
    """Noisy points with ties: no elbow of a fine grid has a smaller residual (numpy's lstsq)."""
    rng = np.random.default_rng(seed)
    loss = np.round(rng.uniform(2, 3, 12), 1)
    score = 0.25 + 0.5 * np.maximum(2.5 - loss, 0.0) + 0.05 * rng.standard_normal(12)
    found = best_relu(loss, score)
    assert found is not None
    line = found.base + found.slope * np.maximum(found.elbow - loss, 0.0)
    assert np.sum((score - line) ** 2) == pytest.approx(found.rss)
    for elbow in np.linspace(np.unique(loss)[1] + 1e-3, loss.max(), 500):
        design = np.column_stack([np.ones(12), np.maximum(elbow - loss, 0.0)])
        fitted, rest, *_ = np.linalg.lstsq(design, score, rcond=None)
        assert fitted[1] <= 0 or rest[0] >= found.rss - 1e-12


def test_where_no_relu_can_be_fitted_the_estimand_says_so():
    """Without checkpoints past it: still E(D0) for the law, none for a curve that is bent."""
    blind = dataclasses.replace(SMALL, checkpoints=SMALL.present)
    assert estimand(blind, SMALL.truth) == SMALL.truth.elbow
    assert estimand(blind, SMALL.truth, departed("falling-slope", SMALL)) == SMALL.truth.elbow
    assert estimand(blind, SMALL.truth, departed("ceiling", SMALL)) is None
    assert best_relu(np.array([2.0, 2.1, 2.2, 2.3]), np.array([0.1, 0.1, 0.5, 0.6])) is None


def test_hidden_task_data_do_not_move_the_estimand():
    """The question is when models emerge that have not seen them."""
    found = drawn(SMALL, None, "hidden-task-data")
    assert found.estimand == pytest.approx(SMALL.truth.elbow, abs=1e-9)
    assert scores(found) != scores(drawn(SMALL))


@pytest.mark.parametrize(
    ("design", "departure", "message"),
    [
        (SMALL, "series-offsets", r'"small" has one series.*two-series'),
        (SMALL, "falling-slop", r'no departure "falling-slop".*"falling-slope"'),
        (
            dataclasses.replace(
                SMALL,
                checkpoints=tuple(dataclasses.replace(c, params=None) for c in SMALL.checkpoints),
            ),
            "overtrained",
            r"does not tell overtrained checkpoints apart.*params and tokens",
        ),
        (dataclasses.replace(SMALL, floor_nats=None), "curved-axis", r"no scaling law.*\[loss\]"),
        (dataclasses.replace(SMALL, floor_nats=1.9), "curved-axis", r"no more than its floor, 1.9"),
        (SMALL.with_weak(3), "weak-checkpoints", r"an untrained one has 10.8 nats"),
    ],
)
def test_a_departure_that_means_nothing_here_is_refused(design, departure, message):
    """Rather than simulated without it."""
    with pytest.raises(OptionError, match=message):
        drawn(design, None, departure)


def test_impossible_effects_and_truths_are_refused():
    """Each by name, with the value seen."""
    with pytest.raises(OptionError, match=r"effect ceiling must be above 0, not -1"):
        Effects(ceiling=-1.0)
    with pytest.raises(OptionError, match=r"effect deviation must be at least 0"):
        Effects(deviation=math.nan)
    with pytest.raises(OptionError, match=r"shift_kept must lie between 0 and 1, not 2"):
        Effects(shift_kept=2.0)
    with pytest.raises(OptionError, match=r"softness and toe both round the elbow"):
        Effects(softness=0.1, toe=0.1)
    with pytest.raises(OptionError, match=r"elbow_max \(2\) must be above its elbow \(2.18\)"):
        quiet(elbow_max=2.0)
    with pytest.raises(OptionError, match=r"tau must be at least 0, not -1"):
        dataclasses.replace(SMALL.truth, tau=-1.0)
