"""The world: who may see which word, what a document looks like, and that chance is chance."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest

from emergecast.lab.proving_ground import PRESETS, Quality, tokenizer, vocabulary
from emergecast.lab.proving_ground._experiment_file import experiment_text
from emergecast.lab.proving_ground._files import write_files
from emergecast.lab.proving_ground._recipe import RECIPES
from emergecast.lab.proving_ground._skill import ONE_SKILL
from emergecast.lab.proving_ground._vocabulary import text
from emergecast.lab.proving_ground._world import (
    LABELS,
    documents,
    exercises,
    language,
    prompts,
    world,
)

WORDS = ONE_SKILL.words
CLASSES = 4


@pytest.fixture(scope="module")
def place():
    """The words of the world of one skill, made once."""
    return world(ONE_SKILL).domains[0]


def _rng(seed=0):
    return np.random.default_rng(seed)


def _attributes(place):
    """The a and the b of every word, read off the table of words."""
    a, b = np.empty(WORDS, int), np.empty(WORDS, int)
    for i in range(place.word.shape[0]):
        for j in range(place.word.shape[1]):
            a[place.word[i, j]], b[place.word[i, j]] = i, j
    return a, b


def test_every_word_is_one_thing(place):
    """All words occur once in the table, and `b` agrees with it."""
    assert sorted(place.word.ravel()) == list(range(WORDS))
    assert (_attributes(place)[1] == place.b).all()


def test_nobody_shares_words(place):
    """Exercises, training prompts and test prompts use 448, 512 and 384 words, all different."""
    sets = [set(place.exercise_words), set(place.finetuning_words), set(place.test_words)]
    assert [len(each) for each in sets] == [448, 512, 384]
    assert len(set.union(*sets)) == WORDS
    drawn = exercises(place, 400, 65, repeated=False, rng=_rng())[:, ::2]
    assert set(drawn.ravel()) <= sets[0]
    assert set(prompts(place.test_words, place, 400, rng=_rng()).tokens[:, ::2].ravel()) <= sets[2]


def test_the_world_is_the_same_whoever_asks(place):
    """Seeds vary pretraining, never the world."""
    (again,) = world(ONE_SKILL).domains
    assert (again.word == place.word).all()
    assert (again.test_words == place.test_words).all()


def test_the_language_steps_as_often_as_it_should(place):
    """One step on: a with probability 0.75 + 0.25 / 8, b with 0.5 + 0.5 / 4, apart from chance."""
    drawn = language(place, 1500, 64, rng=_rng())
    for attribute, values, share in zip(_attributes(place), (8, 4), (0.75, 0.5), strict=True):
        steps = (attribute[drawn[:, 1:]] - attribute[drawn[:, :-1]]) % values == 1
        assert steps.mean() == pytest.approx(share + (1 - share) / values, abs=0.005)
    counts = np.bincount(drawn.ravel(), minlength=WORDS)
    by_rank = counts[place.word].sum((0, 1))
    expected = 1 / (np.arange(42) + 4.0)
    np.testing.assert_allclose(by_rank / by_rank.sum(), expected / expected.sum(), rtol=0.1)


@pytest.mark.parametrize("repeated", [True, False])
def test_an_exercise_has_one_label_per_class(place, repeated):
    """Within a document equal classes have equal labels, different ones different; not across."""
    drawn = exercises(place, 200, 65, repeated=repeated, rng=_rng())
    words, labels = drawn[:, ::2], drawn[:, 1::2]
    assert drawn.shape == (200, 65)
    assert (words < WORDS).all()
    assert ((labels >= WORDS) & (labels < WORDS + LABELS)).all()
    maps = set()
    for row, marks in zip(words[:, :-1], labels, strict=True):
        pairs = {(int(place.b[word]), int(mark)) for word, mark in zip(row, marks, strict=True)}
        assert len(pairs) == len({b for b, _ in pairs}) == len({mark for _, mark in pairs})
        maps.add(frozenset(pairs))
    assert len(maps) > 150
    assert (len(set(words[0])) <= 8) == repeated


@pytest.mark.parametrize(("quality", "wrong"), [(Quality.HIGH, 0.0), (Quality.LOW, 0.25)])
def test_the_mixture_is_what_its_recipe_says(place, quality, wrong):
    """A quarter of the documents are exercises; in half of them words come from a pool of eight.

    In the poorer corpus labels are not those of the class as often as it says, 3 in 4 drawings.
    """
    drawn = documents(world(ONE_SKILL), RECIPES[quality], 320, 65, rng=_rng())
    practice = np.asarray((drawn >= WORDS).any(1))
    assert practice.mean() == pytest.approx(0.25)
    words = drawn[practice][:, ::2]
    assert (words < WORDS).all()
    many = np.array([len(set(row)) > 8 for row in words])
    assert many.mean() == pytest.approx(0.5)
    labels, classes = drawn[practice][:, 1::2], place.b[words[:, :-1]]
    off = []
    for b in range(4):
        of_class = np.where(classes == b, labels, -1)
        usual = [np.bincount(row[row >= 0], minlength=1).argmax() for row in of_class]
        off.append((of_class != np.array(usual)[:, None])[classes == b])
    assert np.concatenate(off).mean() == pytest.approx(0.75 * wrong, abs=0.02)


def test_a_prompt_solves_two_of_each_class_and_asks_for_one(place):
    """The right choice is the label of the question's class; all choices are as often right."""
    made = prompts(place.test_words, place, 4000, rng=_rng())
    assert made.tokens.shape == (4000, 17)
    for row, labels, answer in zip(made.tokens[:50], made.labels, made.answer, strict=False):
        classes = place.b[row[::2]]
        assert sorted(classes[:-1]) == [0, 0, 1, 1, 2, 2, 3, 3]
        for word, label in zip(row[:-1:2], row[1::2], strict=True):
            assert labels[place.b[word]] == label
        assert place.b[row[-1]] == answer
    assert np.bincount(made.answer) / 4000 == pytest.approx(np.full(CLASSES, 0.25), abs=0.03)


def test_guessing_is_at_chance(place):
    """Neither a label at any place of the prompt nor any of the choices beats a quarter."""
    made = prompts(place.test_words, place, 8000, rng=_rng())
    right = made.labels[np.arange(8000), made.answer]
    for position in range(1, 17, 2):
        assert (made.tokens[:, position] == right).mean() == pytest.approx(0.25, abs=0.02)
    for choice in range(CLASSES):
        assert (made.answer == choice).mean() == pytest.approx(0.25, abs=0.02)


def test_every_word_is_one_token_that_reads_back():
    """The tokenizer undoes the spelling; nothing is unknown, and no two words look alike."""
    assert len(set(vocabulary())) == len(vocabulary()) == WORDS + LABELS + 3
    drawn = documents(world(ONE_SKILL), RECIPES[Quality.HIGH], 8, 65, rng=_rng())
    assert tokenizer()(text(drawn))["input_ids"] == drawn.tolist()


def test_the_presets_of_the_release_are_what_they_were(tmp_path):
    """Corpus, test prompts and experiment files to the last byte, as made by version 0.1.0."""
    write_files(tmp_path, replace(PRESETS["full"], tunings=PRESETS["full"].tunings[:1]))
    for name, preset in PRESETS.items():
        text = experiment_text(preset, ["seed-0"], ["seed-0-random"])
        (tmp_path / f"{name}.yaml").write_text(text)
    digests = {
        "corpus/held-out.jsonl": "3d236c105324b013",
        "tasks/matching/test.jsonl": "6e90253f07143f84",
        "tasks/matching.yaml": "1e840e973ae5c75b",
        "tasks/probe/train.jsonl": "4e33d3ecfc359739",
        "tasks/probe.yaml": "aee37b8f8f5d49a9",
        "smoke.yaml": "6e6992e019834130",
        "default.yaml": "81a134e632720ca1",
        "full.yaml": "82dbc87b1366465a",
    }
    found = {each: sha256((tmp_path / each).read_bytes()).hexdigest()[:16] for each in digests}
    assert found == digests


def test_presets_keep_what_they_promise():
    """Sizes, seeds and amounts of data of the three presets."""
    smoke, default, full = (PRESETS[name] for name in ("smoke", "default", "full"))
    assert [size.name for size in smoke.sizes] == ["S"]
    assert {size.width for size in default.sizes} == {32, 56, 96}
    assert {size.width for size in full.sizes} == {32, 56, 72, 96, 128}
    assert full.seeds == (0, 1)
    assert max(tuning.examples for tuning in full.tunings) == 16384
    assert [t.examples for t in default.tunings] == [16, 64, 256, 1024, 4096]
    for preset in (smoke, default, full):
        steps = [tuning.steps for tuning in preset.tunings]
        assert steps == sorted(steps)
