"""The world: words with two hidden attributes, a language, exercises, and prompts of the task.

Every word has an attribute `a` of 8 and an attribute `b` of 4, and a rank of frequency within its
class (a, b). In the *language*, a and b each follow a noisy cycle. An *exercise* is a document of
pairs, word and label, where the label stands for the word's b under a map that is drawn for
each document. Only a third of the words ever occur in exercises; the task uses the others, so what
a model knows of their b it learned from the language alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
"""Tokens or words; the first `WORDS` tokens are the words, then come the labels."""

CYCLE_A: Final = 8
"""Values of the attribute a."""
CLASSES: Final = 4
"""Values of the attribute b, which the task asks for: chance is 1 / CLASSES."""
RANKS: Final = 42
"""Words of each (a, b)."""
WORDS: Final = CYCLE_A * CLASSES * RANKS
LABELS: Final = 16
"""Label tokens, of which a document uses CLASSES."""
STEP_A: Final = 0.75
"""Probability that a goes one step along its cycle; otherwise it is drawn at random."""
STEP_B: Final = 0.5
"""The same of b."""
RANK_OFFSET: Final = 4.0
"""A word of rank r occurs within its class in proportion to 1 / (r + RANK_OFFSET)."""
FINETUNING_WORDS: Final = 512
"""Words that training prompts of the task are built from."""
PAIRS: Final = 8
"""Solved pairs before the question of a prompt."""
REPEATED: Final = 8
"""Words that the more repetitive half of the exercises draws from, per document."""
WORLD_SEED: Final = 123
"""There is one world: seeds of the proving ground vary pretraining alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What each word is, and where it is used."""

    word: Ids
    """[CYCLE_A, CLASSES, RANKS]: the word of an attribute pair and a rank."""
    b: Ids
    """[WORDS]: the class of each word."""
    exercise_words: Ids
    """Words of the exercises: a third of all, spread over the ranks."""
    finetuning_words: Ids
    """[FINETUNING_WORDS]: words of the task's training prompts; none occurs in exercises."""
    test_words: Ids
    """Words of the task's test prompts; none occurs in exercises or training prompts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusRecipe:
    """What a pretraining corpus is made of."""

    name: str
    """That of its quality."""
    exercises: float
    """Share of documents that are exercises."""
    wrong: float = 0.0
    """Share of the labels in exercises that are drawn at random from the document's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """Questions of the task: solved pairs, a word, and the label that is asked for."""

    tokens: Ids
    """[n, 2 PAIRS + 1]: word, label, word, label, ..., word."""
    labels: Ids
    """[n, CLASSES]: the label tokens of the prompt, the choices."""
    answer: Ids
    """[n]: which of the choices is right."""


def world() -> World:
    """The one world of the proving ground."""
    rng = np.random.default_rng(WORLD_SEED)
    order = rng.permutation(WORDS)
    place = np.arange(WORDS)
    b = np.empty(WORDS, np.int64)
    rank = np.empty(WORDS, np.int64)
    b[order] = (place // RANKS) % CLASSES
    rank[order] = place % RANKS
    others = rng.permutation(np.flatnonzero(rank % 3 != 0))
    return World(
        word=order.reshape(CYCLE_A, CLASSES, RANKS),
        b=b,
        exercise_words=np.flatnonzero(rank % 3 == 0),
        finetuning_words=others[-FINETUNING_WORDS:],
        test_words=others[:-FINETUNING_WORDS],
    )


def language(world: World, count: int, time: int, *, rng: np.random.Generator) -> Ids:
    """`count` documents of the language, [count, time]."""
    a = rng.integers(0, CYCLE_A, (count, time))
    b = rng.integers(0, CLASSES, (count, time))
    a_steps = rng.random((count, time)) < STEP_A
    b_steps = rng.random((count, time)) < STEP_B
    for t in range(1, time):
        a[:, t] = np.where(a_steps[:, t], (a[:, t - 1] + 1) % CYCLE_A, a[:, t])
        b[:, t] = np.where(b_steps[:, t], (b[:, t - 1] + 1) % CLASSES, b[:, t])
    weights = 1 / (np.arange(RANKS) + RANK_OFFSET)
    below = (weights / weights.sum()).cumsum()
    rank = np.searchsorted(below, rng.random((count, time))).clip(0, RANKS - 1)
    documents: Ids = world.word[a, b, rank]
    return documents


def exercises(
    world: World,
    count: int,
    time: int,
    *,
    repeated: bool,
    wrong: float = 0.0,
    rng: np.random.Generator,
) -> Ids:
    """`count` exercises, [count, time]: word, label, word, label, ...

    With `repeated` a document draws its words from `REPEATED` ones, so remembering a pair pays. A
    share `wrong` of the labels is drawn at random from the document's four.
    """
    pairs = time // 2 + 1
    all_words = world.exercise_words
    words = all_words[rng.integers(0, len(all_words), (count, pairs))]
    if repeated:
        few = all_words[rng.integers(0, len(all_words), (count, REPEATED))]
        words = np.take_along_axis(few, rng.integers(0, REPEATED, (count, pairs)), 1)
    classes = world.b[words]
    if wrong:
        anything = rng.integers(0, CLASSES, classes.shape)
        classes = np.where(rng.random(classes.shape) < wrong, anything, classes)
    labels = np.take_along_axis(_maps(count, rng), classes, 1)
    return np.stack([words, labels], -1).reshape(count, -1)[:, :time]


def documents(
    world: World, recipe: CorpusRecipe, count: int, time: int, *, rng: np.random.Generator
) -> Ids:
    """`count` documents as the recipe mixes them, language first, [count, time]."""
    practice = round(count * recipe.exercises)
    repeated = practice // 2
    text = language(world, count - practice, time, rng=rng)
    kinds = ((practice - repeated, False), (repeated, True))
    fresh, again = (
        exercises(world, each, time, repeated=repeats, wrong=recipe.wrong, rng=rng)
        for each, repeats in kinds
    )
    return np.concatenate([text, fresh, again])


def prompts(words: Ids, world: World, count: int, *, rng: np.random.Generator) -> Prompts:
    """`count` prompts over these words: as many solved pairs of each class, then a question."""
    solved = np.tile(np.repeat(np.arange(CLASSES), PAIRS // CLASSES), (count, 1))
    classes = np.concatenate(
        [rng.permuted(solved, axis=1), rng.integers(0, CLASSES, (count, 1))], axis=1
    )
    chosen = np.zeros_like(classes)
    for b in range(CLASSES):
        here = classes == b
        pool = words[world.b[words] == b]
        chosen[here] = pool[rng.integers(0, len(pool), here.sum())]
    labels = _maps(count, rng)
    pairs = np.stack([chosen, np.take_along_axis(labels, classes, 1)], -1).reshape(count, -1)
    return Prompts(tokens=pairs[:, :-1], labels=labels, answer=classes[:, -1])


def _maps(count: int, rng: np.random.Generator) -> Ids:
    """The label token of each class, drawn for each document, [count, CLASSES]."""
    return WORDS + rng.permuted(np.tile(np.arange(LABELS), (count, 1)), axis=1)[:, :CLASSES]
