"""The world: words with two hidden attributes, a language, exercises, and prompts of the tasks.

The words fall into *domains*, one for each skill. Every word has an attribute `a` of 8 and an
attribute `b` of 4, and a rank of frequency among the words of its domain with the same (a, b). In
the *language* of a domain, a and b each follow a noisy cycle. An *exercise* of a skill is a
document of pairs, word and label, where the label stands for the word's class under a map that is
drawn for each document; or, where the skill is to recall, of words each with labels of its own.
Only a third of a domain's words ever occur in exercises; the task uses the others, so what a model
knows of their classes it learned from the language alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emergecast.lab.proving_ground._skill import CYCLE_A, CYCLE_B, Question, WorldPlan, WorldSkill

Ids = NDArray[np.int64]
"""Tokens or words; the first tokens are the words of all domains, then come the labels."""

LABELS: Final = 16
"""Label tokens; a document of a class skill uses one for each class."""
STEP_A: Final = 0.75
"""Probability that a goes one step along its cycle; otherwise it is drawn at random."""
RANK_OFFSET: Final = 4.0
"""A word of rank r occurs within its (a, b) in proportion to 1 / (r + RANK_OFFSET)."""
PAIRS: Final = 8
"""Solved pairs before the question of a prompt, or words with their labels."""
REPEATED: Final = 8
"""Words that the more repetitive exercises draw from, per document."""
RECALLED: Final = 2
"""Labels of a word where the skill is to recall."""
WORLD_SEED: Final = 123
"""There is one world of a plan: seeds of the proving ground vary pretraining alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """The words of one skill: what each is, and where it is used."""

    skill: WorldSkill
    """What is asked of them."""
    word: Ids
    """[CYCLE_A, CYCLE_B, ranks]: the word of an attribute pair and a rank."""
    a: Ids
    """[words of the domain]: the first attribute of each, counted from the domain's first word."""
    b: Ids
    """The second attribute."""
    step_b: float
    """Probability that b goes one step along its cycle; otherwise it is drawn at random."""
    labels: int
    """The first label token, which no word is."""
    exercise_words: Ids
    """Words of the exercises: a third of all, spread over the ranks."""
    finetuning_words: Ids
    """Words of the task's training prompts, 4 in 7 of the others; none occurs in exercises."""
    test_words: Ids
    """Words of the task's test prompts; none occurs in exercises or training prompts."""

    def classes(self, words: Ids) -> Ids:
        """The class of each of these words, that its label stands for."""
        value = (self.a if self.skill.attribute == "a" else self.b)[words - self.word.min()]
        found: Ids = value * self.skill.classes // self.skill.values
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Every word there is."""

    domains: tuple[Domain, ...]
    """One for each skill."""
    words: int
    """Words of all domains; the first label is the token of this number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusRecipe:
    """What a corpus is made of, beside the shares that the skills state."""

    name: str
    """What it is called."""
    exercises: bool = True
    """Whether there are exercises; else all is language."""
    wrong: float = 0.0
    """Share of the labels in exercises that are drawn at random from the document's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """Questions of a class skill: solved pairs, a word, and the label that is asked for."""

    tokens: Ids
    """[n, 2 PAIRS + 1]: word, label, word, label, ..., word."""
    labels: Ids
    """[n, classes]: the label tokens of the prompt, the choices."""
    answer: Ids
    """[n]: which of the choices is right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalls:
    """Questions of a skill to recall: words with their labels, and one of them again."""

    tokens: Ids
    """[n, (1 + RECALLED) PAIRS + 1]: word, its labels, word, its labels, ..., word."""
    answer: Ids
    """[n, RECALLED]: the labels of the last word."""


def world(plan: WorldPlan) -> World:
    """The one world of a plan."""
    rng = np.random.default_rng(WORLD_SEED)
    size = plan.domain_words
    place = np.arange(size)
    domains = []
    for number, skill in enumerate(plan.skills):
        order = rng.permutation(size)
        a, b, rank = (np.empty(size, np.int64) for _ in range(3))
        a[order] = place // (CYCLE_B * plan.ranks)
        b[order] = (place // plan.ranks) % CYCLE_B
        rank[order] = place % plan.ranks
        first = number * size
        others = first + rng.permutation(np.flatnonzero(rank % 3 != 0))
        finetuning = len(others) * 4 // 7
        domains.append(
            Domain(
                skill=skill,
                word=first + order.reshape(CYCLE_A, CYCLE_B, plan.ranks),
                a=a,
                b=b,
                step_b=plan.step_b,
                labels=plan.words,
                exercise_words=first + np.flatnonzero(rank % 3 == 0),
                finetuning_words=others[-finetuning:],
                test_words=others[:-finetuning],
            )
        )
    return World(domains=tuple(domains), words=plan.words)


def language(domain: Domain, count: int, time: int, *, rng: np.random.Generator) -> Ids:
    """`count` documents of a domain's language, [count, time]."""
    ranks = domain.word.shape[-1]
    a = rng.integers(0, CYCLE_A, (count, time))
    b = rng.integers(0, CYCLE_B, (count, time))
    a_steps = rng.random((count, time)) < STEP_A
    b_steps = rng.random((count, time)) < domain.step_b
    for t in range(1, time):
        a[:, t] = np.where(a_steps[:, t], (a[:, t - 1] + 1) % CYCLE_A, a[:, t])
        b[:, t] = np.where(b_steps[:, t], (b[:, t - 1] + 1) % CYCLE_B, b[:, t])
    weights = 1 / (np.arange(ranks) + RANK_OFFSET)
    below = (weights / weights.sum()).cumsum()
    rank = np.searchsorted(below, rng.random((count, time))).clip(0, ranks - 1)
    documents: Ids = domain.word[a, b, rank]
    return documents


def exercises(
    domain: Domain,
    count: int,
    time: int,
    *,
    repeated: bool,
    wrong: float = 0.0,
    rng: np.random.Generator,
) -> Ids:
    """`count` exercises of a class skill, [count, time]: word, label, word, label, ...

    With `repeated` a document draws its words from `REPEATED` ones, so remembering a pair pays. A
    share `wrong` of the labels is drawn at random from those of the document.
    """
    pairs = time // 2 + 1
    all_words = domain.exercise_words
    words = all_words[rng.integers(0, len(all_words), (count, pairs))]
    if repeated:
        few = all_words[rng.integers(0, len(all_words), (count, REPEATED))]
        words = np.take_along_axis(few, rng.integers(0, REPEATED, (count, pairs)), 1)
    classes = domain.classes(words)
    if wrong:
        anything = rng.integers(0, domain.skill.classes, classes.shape)
        classes = np.where(rng.random(classes.shape) < wrong, anything, classes)
    labels = np.take_along_axis(_maps(domain, count, rng), classes, 1)
    return np.stack([words, labels], -1).reshape(count, -1)[:, :time]


def recall_exercises(
    domain: Domain, count: int, time: int, *, wrong: float = 0.0, rng: np.random.Generator
) -> Ids:
    """`count` exercises to recall, [count, time]: word, its labels, word, its labels, ...

    A document has `REPEATED` words. A share `wrong` of the labels is drawn at random.
    """
    entries = time // (1 + RECALLED) + 1
    values = _entries(domain.exercise_words, domain, count, rng)
    which = rng.integers(0, REPEATED, (count, entries))
    said = np.take_along_axis(values, which[:, :, None], 1)
    if wrong:
        anything = domain.labels + rng.integers(0, LABELS, said.shape)
        mistaken = rng.random(said.shape) < wrong
        mistaken[..., 0] = False  # the word
        said = np.where(mistaken, anything, said)
    return said.reshape(count, -1)[:, :time]


def documents(
    world: World, recipe: CorpusRecipe, count: int, time: int, *, rng: np.random.Generator
) -> Ids:
    """`count` documents as the skills and the recipe mix them, language first, [count, time].

    Where a share of `count` is not a whole number, it is rounded up or down at random, so that it
    is right in the mean.
    """
    parts = _parts(world, recipe)
    counts = _counts([share for share, _ in parts], count, rng).tolist()
    made = [make(n, time, rng=rng) for (_, make), n in zip(parts, counts, strict=True) if n]
    return np.concatenate(made)


def prompts(words: Ids, domain: Domain, count: int, *, rng: np.random.Generator) -> Prompts:
    """`count` prompts over these words: as many solved pairs of each class, then a question."""
    number = domain.skill.classes
    solved = np.tile(np.repeat(np.arange(number), PAIRS // number), (count, 1))
    classes = np.concatenate(
        [rng.permuted(solved, axis=1), rng.integers(0, number, (count, 1))], axis=1
    )
    chosen = np.zeros_like(classes)
    for each in range(number):
        here = classes == each
        pool = words[domain.classes(words) == each]
        chosen[here] = pool[rng.integers(0, len(pool), here.sum())]
    labels = _maps(domain, count, rng)
    pairs = np.stack([chosen, np.take_along_axis(labels, classes, 1)], -1).reshape(count, -1)
    return Prompts(tokens=pairs[:, :-1], labels=labels, answer=classes[:, -1])


def recalls(words: Ids, domain: Domain, count: int, *, rng: np.random.Generator) -> Recalls:
    """`count` prompts over these words: `PAIRS` with their labels, then one of them."""
    values = _entries(words, domain, count, rng)[:, :PAIRS]
    asked = values[np.arange(count), rng.integers(0, PAIRS, count)]
    tokens = np.concatenate([values.reshape(count, -1), asked[:, :1]], axis=1)
    return Recalls(tokens=tokens, answer=asked[:, 1:])


def _parts(world: World, recipe: CorpusRecipe) -> list[tuple[float, Callable[..., Ids]]]:
    """The shares of the corpus and what makes documents of each."""
    parts: list[tuple[float, Callable[..., Ids]]] = [
        (domain.skill.language, partial(language, domain)) for domain in world.domains
    ]
    if not recipe.exercises:
        whole = sum(share for share, _ in parts)
        return [(share / whole, make) for share, make in parts]
    for domain in world.domains:
        share = domain.skill.exercises
        if domain.skill.asked is Question.RECALL:
            parts.append((share, partial(recall_exercises, domain, wrong=recipe.wrong)))
            continue
        for repeated in (False, True):
            make = partial(exercises, domain, repeated=repeated, wrong=recipe.wrong)
            parts.append((share / 2, make))
    return parts


def _counts(shares: Sequence[float], count: int, rng: np.random.Generator) -> Ids:
    """How many of `count` fall to each share: systematic sampling, one random number for all."""
    ends = np.round(np.cumsum(shares) * count, 6)
    if (ends % 1).any():
        ends = np.floor(ends + rng.random())
    return np.diff(ends, prepend=0).astype(np.int64)


def _maps(domain: Domain, count: int, rng: np.random.Generator) -> Ids:
    """The label token of each class, drawn for each document, [count, classes]."""
    labels = rng.permuted(np.tile(np.arange(LABELS), (count, 1)), axis=1)
    return domain.labels + labels[:, : domain.skill.classes]


def _entries(words: Ids, domain: Domain, count: int, rng: np.random.Generator) -> Ids:
    """Different words, each with labels drawn at random, [count, REPEATED, 1 + RECALLED]."""
    chosen = rng.permuted(np.tile(words, (count, 1)), axis=1)[:, :REPEATED]
    labels = domain.labels + rng.integers(0, LABELS, (count, REPEATED, RECALLED))
    return np.concatenate([chosen[:, :, None], labels], axis=2)
