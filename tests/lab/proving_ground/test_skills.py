"""The world of eight skills: who may see which word, what is practised how often, what is asked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emergecast.lab.checkpoints import load, read_series
from emergecast.lab.evaluate import LOGPROB, evaluate
from emergecast.lab.experiment import read_experiment
from emergecast.lab.finetune import FinetuneMethod, finetune
from emergecast.lab.proving_ground import PRESETS, Order, Quality, make, tokenizer
from emergecast.lab.proving_ground._recipe import LANGUAGE, RECIPES
from emergecast.lab.proving_ground._skill import EIGHT_SKILLS, Question
from emergecast.lab.proving_ground._vocabulary import text
from emergecast.lab.proving_ground._world import (
    documents,
    prompts,
    recall_exercises,
    recalls,
    world,
)
from emergecast.lab.tasks import CHOICE_PROB, Task, load_task

WORDS = EIGHT_SKILLS.words
UNSEEN, RECALL = "quarters_unseen", "recall"
SHARES = {each.name: (each.language, each.exercises) for each in EIGHT_SKILLS.skills}


@pytest.fixture(scope="module")
def place():
    """The world, made once."""
    return world(EIGHT_SKILLS)


def _rng(seed=0):
    return np.random.default_rng(seed)


def _domain(place, name):
    return {each.skill.name: each for each in place.domains}[name]


def test_no_word_is_in_two_places(place):
    """Domains share no words; within one, exercises, training and test prompts share none."""
    sets = [
        set(words.tolist())
        for each in place.domains
        for words in (each.exercise_words, each.finetuning_words, each.test_words)
    ]
    assert sum(map(len, sets)) == len(set.union(*sets)) == WORDS == 8 * 288
    assert [len(each) for each in sets[:3]] == [96, 109, 83]


def test_the_shares_are_of_the_whole():
    """They add up to 1, and exercises go from none over 1% to 12% of the corpus."""
    assert sum(map(sum, SHARES.values())) == pytest.approx(1)
    practised = sorted(share for _, share in SHARES.values())
    assert practised[:2] == [0, 0.01]
    assert practised[-1] == 0.12


def test_the_corpus_is_mixed_as_the_shares_say(place):
    """Batch after batch; a test word is in no exercise, and the unseen skill has none at all."""
    batches = [documents(place, RECIPES[Quality.HIGH], 32, 65, rng=_rng(i)) for i in range(150)]
    assert {each.shape for each in batches} == {(32, 65)}
    drawn = np.concatenate(batches)
    practice = np.asarray((drawn >= WORDS).any(1))
    owner = drawn[:, 0] // 288
    for number, domain in enumerate(place.domains):
        language, exercises = SHARES[domain.skill.name]
        mine = drawn[owner == number]
        is_practice = practice[owner == number]
        assert (~is_practice).sum() / len(drawn) == pytest.approx(language, abs=0.004)
        assert is_practice.sum() / len(drawn) == pytest.approx(exercises, abs=0.004)
        practised = mine[is_practice]
        words = practised[practised < WORDS]
        assert set(words.tolist()) <= set(domain.exercise_words.tolist())
        assert set((mine[mine < WORDS] // 288).tolist()) == {number}
    assert not practice[owner == [*SHARES].index(UNSEEN)].any()


def test_the_second_corpus_is_language_alone(place):
    """No label in it, and the domains in the proportions of the whole corpus."""
    drawn = documents(place, LANGUAGE, 6100, 65, rng=_rng())
    assert drawn.max() < WORDS
    shares = np.array([language for language, _ in SHARES.values()])
    found = np.bincount(drawn[:, 0] // 288, minlength=8) / len(drawn)
    np.testing.assert_allclose(found, shares / shares.sum(), atol=0.001)


EXPECTED = {
    "quarters": lambda a, _b: a // 2,
    "quarters_rare": lambda a, _b: a // 2,
    "quarters_unseen": lambda a, _b: a // 2,
    "eighths": lambda a, _b: a,
    "halves": lambda _a, b: b // 2,
    "fourths": lambda _a, b: b,
    "fourths_rare": lambda _a, b: b,
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_prompt_asks_for_the_class_and_guessing_is_at_chance(place, name):
    """As many solved pairs of each class; no place of the prompt and no choice is right more often.

    The class is read off the table of words, which the code under test does not.
    """
    domain = _domain(place, name)
    made = prompts(domain.test_words, domain, 6000, rng=_rng())
    a, b = np.empty(WORDS, int), np.empty(WORDS, int)
    a[domain.word], b[domain.word] = np.arange(8)[:, None, None], np.arange(4)[None, :, None]
    count = made.labels.shape[1]
    classes = EXPECTED[name](a, b)[made.tokens[:, ::2]]
    assert count == domain.skill.classes == classes.max() + 1
    assert (np.sort(classes[:, :-1]) == np.repeat(np.arange(count), 8 // count)).all()
    assert (classes[:, -1] == made.answer).all()
    said = np.take_along_axis(made.labels, classes[:, :-1], 1)
    assert (said == made.tokens[:, 1::2]).all()
    right = made.labels[np.arange(6000), made.answer]
    chance = domain.skill.chance
    assert chance == 1 / count
    for position in range(1, 17, 2):
        assert (made.tokens[:, position] == right).mean() == pytest.approx(chance, abs=0.025)
    assert np.bincount(made.answer) / 6000 == pytest.approx(np.full(count, chance), abs=0.02)
    assert set(made.tokens[:, ::2].ravel().tolist()) <= set(domain.test_words.tolist())


def test_what_is_recalled_stands_in_the_prompt_once(place):
    """Eight different words with two labels each, one word again, and its labels as the answer."""
    domain = _domain(place, RECALL)
    made = recalls(domain.test_words, domain, 500, rng=_rng())
    entries = made.tokens[:, :-1].reshape(500, 8, 3)
    assert (entries[..., 0] < WORDS).all()
    assert (entries[..., 1:] >= WORDS).all()
    for row, asked, answer in zip(entries, made.tokens[:, -1], made.answer, strict=True):
        (where,) = np.flatnonzero(row[:, 0] == asked)
        assert (row[where, 1:] == answer).all()
    assert domain.skill.chance == 0


@pytest.mark.parametrize("wrong", [0.0, 0.25])
def test_an_exercise_to_recall_repeats_what_it_said(place, wrong):
    """A word has the same labels wherever it stands, but for those that are drawn at random."""
    drawn = recall_exercises(_domain(place, RECALL), 300, 65, wrong=wrong, rng=_rng())
    assert drawn.shape == (300, 65)
    assert (drawn[:, ::3] < WORDS).all()
    agree = []
    for row in drawn[:, :63].reshape(300, 21, 3):
        for word in set(row[:, 0].tolist()):
            first, *others = row[row[:, 0] == word][:, 1]
            agree += [each == first for each in others]
    kept = (1 - wrong) ** 2
    assert np.mean(agree) == pytest.approx(kept + (1 - kept) / 16, abs=0.02)


def test_every_word_of_the_larger_world_is_one_token(place):
    """Its tokenizer reads back what it wrote."""
    drawn = documents(place, RECIPES[Quality.HIGH], 64, 65, rng=_rng())
    read = tokenizer(WORDS)(text(drawn, WORDS))["input_ids"]
    assert read == drawn.tolist()


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    """The preset, its smaller size narrower still and trained for 24 steps."""
    folder = tmp_path_factory.mktemp("skills") / "ground"
    skills = PRESETS["skills"]
    size = replace(skills.sizes[-1], width=16, heads=2)
    tunings = tuple(replace(each, examples=each.examples // 8) for each in skills.tunings)
    tiny = replace(skills, sizes=(size,), most_steps=24, targets=(8.0,), tunings=tunings)
    assert make(Order(preset=tiny, seeds=(0,)), folder, jobs=1).trained == 1
    return folder


def test_the_experiment_asks_for_every_skill_on_both_corpora(ground):
    """Each with its amounts, chance levels of accuracy and of the probability of the choice."""
    experiment = read_experiment(ground / "experiment.yaml")
    assert [each.name for each in experiment.corpora] == ["held-out", "language"]
    chances = {task.name.removeprefix("proving_ground_"): task.chance for task in experiment.tasks}
    assert list(chances) == list(SHARES)
    assert chances["eighths"] == {"acc": 0.125, "choice_prob": 0.125}
    assert chances["halves"] == {"acc": 0.5, "choice_prob": 0.5}
    assert chances[RECALL] == {"": 0.0}
    labels = {chr(ord("A") + i) for i in range(16)}
    files = [str(corpus.path) for corpus in experiment.corpora]
    held_out, language = (
        [json.loads(line)["text"].split() for line in Path(file).read_text().splitlines()]
        for file in files
    )
    assert {len(words) for words in held_out + language} == {65}
    assert any(labels & set(words) for words in held_out)
    assert not any(labels & set(words) for words in language)


def test_every_task_is_finetuned_on_and_scored(ground):
    """Choices are also scored by their probability; what is recalled is generated, two labels."""
    checkpoint = read_series(ground / "series" / "seed-0")[-1]
    model, words = load(checkpoint)
    method = FinetuneMethod(name="full", steps=2, learning_rate=1e-3, train_embeddings=False)
    for skill in EIGHT_SKILLS.skills:
        named = Task(name=f"proving_ground_{skill.name}", include_path=ground / "tasks")
        task = load_task(named, limit=24)
        done = finetune(model, words, task.training_pairs(0, 8), method, seed=0)
        found = evaluate(done.model, words, task)
        if skill.asked is Question.RECALL:
            assert [score.metric for score in found.scores] == ["exact_match"]
            assert {len(str(item.completion).split()) for item in found.items} == {2}
            continue
        assert [score.metric for score in found.scores] == ["acc", LOGPROB, CHOICE_PROB]
        assert found.scores[2].score == pytest.approx(1 / skill.classes, abs=0.1)
