"""The bundled designs, reading one's own, and truths drawn at random."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from emergecast.emergence_law import LawForm
from emergecast.errors import OptionError
from emergecast.scaling import CHINCHILLA_LAWS
from emergecast.simulation import (
    Design,
    design_names,
    estimand,
    load_design,
    override_truth,
    random_truth,
    simulate,
)
from emergecast.simulation._design import losses_of

FORMS = (LawForm.LOG_POWER, LawForm.POWER, LawForm.HILL)
PUBLISHED = {
    "openllama-v1-gsm8k": 1.984,
    "openllama-v1-mmlu": 1.814,
    "openllama-v1-commonsenseqa": 1.827,
    "openllama-v1-cola": 1.833,
    "openllama-v1-mmlu-c4": 2.226,
    "openllama-v2-mmlu-c4": 2.318,
}
"""Ground truths of arXiv 2411.16035, nats."""
GENERIC = {"small": (8, 4, 2), "rich": (14, 7, 3), "two-series": (14, 5, 2)}
"""Present checkpoints, amounts and subsets."""

TOML = """
description = "mine"
task = "quiz"
chance = 0.5
n_items = 100
examples = [10, 100]
horizon = 2.1

[truth]
form = "power"
elbow = 2.05
elbow_max = 2.3
alpha = 0.3
slope = 0.5
tau = 0.01

[[checkpoints]]
name = "a"
loss = [2.5, 2.3, 2.2, 2.1, 2.0]

[[checkpoints]]
name = "b"
loss = 1.9
finetuned = false
"""


def own(folder: Path, text: str = TOML) -> Design:
    """The design of a file."""
    path = folder / "mine.toml"
    path.write_text(text)
    return load_design(path)


def test_the_bundled_designs_are_these():
    """Each documented in one sentence."""
    assert set(design_names()) == {*PUBLISHED, *GENERIC}
    assert list(design_names()) == sorted(design_names())
    assert all(load_design(name).description for name in design_names())


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_papers_designs_are_as_published(name: str):
    """Checkpoints, finetuned models and elbows of the paper; four to six amounts, two subsets."""
    design = load_design(name)
    v1 = "v1" in name
    assert len(design.checkpoints) == (27 if v1 else 12)
    tuned = [each for each in design.checkpoints if each.finetuned]
    assert len(tuned) == (9 if v1 else 6)
    assert all(each.params == 3_430_000_000 for each in tuned)
    assert design.truth.elbow == PUBLISHED[name]
    assert 4 <= len(design.examples) <= 6
    assert design.subsets == 2
    last = {each.name: each.tokens for each in design.checkpoints}
    if v1:
        assert last["3b-step250000"] == 250_000 * 4_194_304
        assert last["13b-step500000"] == last["3b-step250000"]


@pytest.mark.parametrize("name", design_names())
def test_a_default_truth_makes_sense_in_its_design(name: str):
    """At chance few-shot while present; later checkpoints and finetuned ones show an elbow."""
    design = load_design(name)
    present, future = losses_of(design.present), losses_of(design.future)
    assert present.min() > design.truth.elbow
    assert np.sum(future < design.truth.elbow) >= 3
    tuned = np.sort(losses_of(each for each in design.present if each.finetuned))
    assert tuned[2] < design.truth.elbow_max < tuned[-2]
    top = design.truth.slope * (design.truth.elbow_max - tuned[0])
    assert 0.2 * design.score_range < top < 0.8 * design.score_range
    assert all(design.truth.elbow <= loss for loss in present)


def test_assigned_losses_follow_the_stated_law():
    """One checkpoint worked out: floor + A / N^alpha + B / D^beta."""
    design = load_design("openllama-v1-mmlu")
    (found,) = [each.loss for each in design.checkpoints if each.name == "7b-step50000"]
    tokens = 50_000 * 4_194_304
    assert found == pytest.approx(1.126 + 1200 / 6.74e9**0.34 + 410.7 / tokens**0.28, rel=1e-12)


@pytest.mark.parametrize("name", GENERIC)
def test_the_generic_designs_are_even_in_loss(name: str):
    """With parameters and tokens that give that loss by Hoffmann's constants."""
    design = load_design(name)
    checkpoints, amounts, subsets = GENERIC[name]
    assert (len(design.present), len(design.examples), design.subsets) == (
        checkpoints, amounts, subsets,
    )  # fmt: skip
    for series in design.series:
        models = [each for each in design.checkpoints if each.series == series]
        steps = np.diff(losses_of(models))
        np.testing.assert_allclose(steps, steps[0])
        params = [each.params or 0 for each in models]
        loss = CHINCHILLA_LAWS["hoffmann"].loss(params, [each.tokens or 0 for each in models])
        np.testing.assert_allclose(loss, losses_of(models), atol=0.002)


def test_a_file_is_read(tmp_path: Path):
    """Every key lands where it belongs, and defaults fill the rest."""
    design = own(tmp_path)
    assert (design.name, design.task, design.metric) == (str(tmp_path / "mine.toml"), "quiz", "acc")
    assert (design.shots, design.few_shot_examples, design.most_examples) == (5, 5.0, 100.0)
    assert (design.subsets, design.runs, design.n_items, design.stderr) == (1, 1, 100, None)
    assert [each.name for each in design.checkpoints] == ["a-1", "a-2", "a-3", "a-4", "a-5", "b"]
    assert [each.name for each in design.future] == ["a-4", "a-5", "b"]
    assert design.truth.form is LawForm.POWER
    assert design.score_range == 0.5
    assert (design.floor_nats, design.snapshots) == (None, False)
    assert own(tmp_path, "snapshots = true\n" + TOML).snapshots
    table = simulate(design, rng=np.random.default_rng(0)).table
    assert len(table) == 6 + 3 * 2
    future = dict(table.frame.select("checkpoint", "future").iter_rows())
    assert future["a-4"] is True
    assert future["a-3"] is False


def test_losses_may_come_from_named_constants(tmp_path: Path):
    """Of the table [loss], with a shift; checkpoints of one run are named by their steps."""
    text = TOML.replace(
        "loss = [2.5, 2.3, 2.2, 2.1, 2.0]",
        "params = 1e9\nsteps = [1000, 2000]\ntokens_per_step = 1000000",
    )
    design = own(tmp_path, text.replace("[truth]", '[loss]\nlaw = "epoch"\nshift = -0.5\n[truth]'))
    wanted = CHINCHILLA_LAWS["epoch"].loss(1e9, [1e9, 2e9]) - 0.5
    np.testing.assert_allclose(losses_of(design.checkpoints[:2]), wanted)
    assert design.floor_nats == pytest.approx(1.81686 - 0.5)
    assert [each.name for each in design.checkpoints[:2]] == ["a-step1000", "a-step2000"]


WRONG = [
    ("task = ", "tsk = ", r'mine.toml: the key "tsk" is unknown. Did you mean "task"\?'),
    ('task = "quiz"', "task = 3", r"mine.toml: task must be a text, not 3"),
    ("chance = 0.5", "chance = true", r"mine.toml: chance must be a finite number, not True"),
    ("chance = 0.5", "chance = 25", r"mine.toml: chance must be a acc, from 0 to 1, not 25"),
    ("n_items = 100", "n_items = 0.5", r"n_items must be a whole number of at least 1, not 0.5"),
    ("n_items = 100", "", r"mine.toml: give either n_items or stderr"),
    ("n_items = 100", 'n_items = 9\nmetric = "mcc"', r"n_items gives the error of a proportion"),
    ("n_items = 100", 'stderr = 9\nmetric = "perplexity"', r"metric must be one where higher"),
    ("[10, 100]", "[10, 10]", r"examples must be distinct amounts, the largest above 1"),
    ("[10, 100]", "[]", r"examples must be at least one number, not \[\]"),
    ("elbow = 2.05", "elbw = 2.05", r'mine.toml: truth: the key "elbw" .* mean "elbow"'),
    ("elbow = 2.05", "", r"mine.toml: truth lacks elbow"),
    ("elbow = 2.05", "elbow = 2.4", r"truth: .*elbow_max \(2.3\) must be above its elbow \(2.4\)"),
    ('form = "power"', 'form = "powr"', r'truth: there is no form "powr". Did you mean "power"'),
    ("[truth]", "[truths]", r'the key "truths" is unknown'),
    ("loss = 1.9", "loss = -1", r"checkpoints 2: loss must be one or several numbers above 0"),
    ("loss = 1.9", "", r"checkpoints 2: there is no loss. Give loss, or params and tokens"),
    ("loss = 1.9", "loss = 1.9\ntokens = [1, 2]", r"checkpoints 2: loss must be 2 numbers, one"),
    ('name = "b"', 'name = "a-1"', r'mine.toml: the checkpoint "a-1" of simulated occurs twice'),
    ("finetuned = false", "finetuned = 0", r"checkpoints 2: finetuned must be true or false"),
    ("horizon = 2.1", "horizon = 2.4", r"horizon must be such that two checkpoints"),
    ("loss = 1.9", "params = 1e9\ntokens = 1e9", r"checkpoints 2: there is no loss"),
    ("[truth]", '[loss]\nlaw = "hofmann"\n[truth]', r'no law "hofmann". Did you mean "hoffmann"'),
    ("[truth]", "[truth", r"mine.toml: this is not TOML"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), WRONG)
def test_a_broken_file_is_refused_by_file_and_key(tmp_path: Path, old, new, message):
    """And says what would be right."""
    assert old in TOML
    with pytest.raises(OptionError, match=message):
        own(tmp_path, TOML.replace(old, new, 1))


def test_an_unknown_name_or_file_is_refused(tmp_path: Path):
    """With the nearest bundled name, or the path."""
    with pytest.raises(OptionError, match=r'no design "smal". Did you mean "small"\?'):
        load_design("smal")
    with pytest.raises(OptionError, match=r"none.toml: the design cannot be read: No such file"):
        load_design(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(OptionError, match=r"bytes.toml: the file is not UTF-8"):
        load_design(tmp_path / "bytes.toml")


def test_d0_keeps_below_the_smallest_amount():
    """The rule of docs/model.md: the shots, at least 1; else half the smallest amount."""
    small = load_design("small")
    wanted = {(5, 100): 5.0, (0, 100): 1.0, (5, 5): 2.5, (8, 4): 2.0}
    for (shots, least), d0 in wanted.items():
        design = dataclasses.replace(small, shots=shots, examples=(least, 1000))
        assert design.few_shot_examples == d0


def test_the_loss_that_flops_buy():
    """At a checkpoint's own FLOPs its loss; halfway in ln FLOPs, halfway in loss."""
    design = load_design("small")
    flops = [(each.params or 0) * (each.tokens or 0) for each in design.checkpoints]
    last = len(design.present) - 1
    assert design.loss_at_flops(1) == pytest.approx(2.3)
    assert design.loss_at_flops(flops[last + 1] / flops[last]) == pytest.approx(2.2)
    middle = np.sqrt(flops[last + 1] / flops[last])
    assert design.loss_at_flops(float(middle)) == pytest.approx(2.25)
    for ratio in (1.5, 2.0, 4.0, 8.0):
        assert design.loss_at_flops(ratio) > losses_of(design.future).min()
    with pytest.raises(OptionError, match=r"no checkpoint reaches 1e\+06 times the FLOPs"):
        design.loss_at_flops(1e6)


def test_a_truth_is_overridden_by_name():
    """Numbers may be text; what is not named stays."""
    truth = load_design("small").truth
    changed = override_truth(truth, {"elbow": "2.1", "form": "hill", "tau": 0.02})
    assert changed == dataclasses.replace(truth, elbow=2.1, form=LawForm.HILL, tau=0.02)
    with pytest.raises(OptionError, match=r'there is no "elbo". Did you mean "elbow"'):
        override_truth(truth, {"elbo": 2.1})
    with pytest.raises(OptionError, match=r"tau must be a finite number, not 'x'"):
        override_truth(truth, {"tau": "x"})


@pytest.mark.parametrize("name", design_names())
def test_random_truths_stay_where_they_are_said_to_be(name: str):
    """Past the present checkpoints, shown by three later ones, and within the metric."""
    design = load_design(name)
    present, future = losses_of(design.present), np.unique(losses_of(design.future))
    tuned = losses_of(each for each in design.present if each.finetuned)
    reach = design.score_range
    rng = np.random.default_rng(11)
    truths = [random_truth(design, rng, forms=FORMS) for _ in range(200)]
    for truth in truths:
        assert future[2] <= truth.elbow <= present.min()
        share = (truth.elbow_max - tuned.min()) / np.ptp(tuned)
        assert 0.25 <= share <= 0.85
        top = truth.slope * (truth.elbow_max - tuned.min())
        assert 0 < top <= 0.8001 * reach
        assert truth.slope * (truth.elbow - future[0]) <= 0.9501 * reach
        assert truth.level >= -design.chance
        assert 0.004 * reach <= truth.tau <= 0.03 * reach
        assert estimand(design, truth) is not None
    assert {truth.form for truth in truths} == set(FORMS)
    elbows = [(truth.elbow - future[2]) / (present.min() - future[2]) for truth in truths]
    assert 0.4 < np.mean(elbows) < 0.6


def test_without_later_checkpoints_the_elbow_lies_past_the_last():
    """Up to 0.6 S."""
    design = load_design("small")
    blind = dataclasses.replace(design, checkpoints=design.present, horizon=None)
    rng = np.random.default_rng(1)
    gaps = [(2.3 - random_truth(blind, rng).elbow) / blind.loss_spread for _ in range(100)]
    assert 0 <= min(gaps) < 0.1
    assert 0.5 < max(gaps) <= 0.6
