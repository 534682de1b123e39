"""Which training items hold an item that is evaluated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emergecast.lab.tasks._items import choices_of

if TYPE_CHECKING:
    from lm_eval.api.task import ConfigurableTask

GRAM: Final = 13
"""Words in a row that two texts must share (Brown et al. 2020, arXiv 2005.14165, appendix C)."""
_FORMAT: Final = 10
"""Evaluated items that may share their words; what stands in more is the task's format (there)."""
_PUNCTUATION: Final = ".,;:!?\"'()[]{}\u2026\u201c\u201d\u2018\u2019"
"""Taken from both ends of a word. Signs of arithmetic stay: 2+3 is not 2-3."""
_AT_A_TIME: Final = 1 << 22
"""Training words that are looked at together."""


def leaked(evaluated: Iterable[str], training: Iterable[str]) -> frozenset[int]:
    """Numbers of the training texts that hold an evaluated one.

    Words are compared without case and without punctuation at their ends. A training text holds an
    evaluated one if they share 13 words in a row; an evaluated text of fewer words must be the
    whole of it. Words that more than 10 evaluated texts share, or more than half of them, are the
    format of the task and do not count.
    """
    numbers: dict[str, int] = {}
    short: Counter[tuple[str, ...]] = Counter()
    grams: Counter[tuple[int, ...]] = Counter()
    count = 0
    for text in evaluated:
        count += 1
        found = normal_words(text)
        if len(found) < GRAM:
            short[tuple(found)] += 1
            continue
        row = [numbers.setdefault(word, len(numbers) + 1) for word in found]
        grams.update({tuple(row[i : i + GRAM]) for i in range(len(row) - GRAM + 1)})
    most = max(1, min(_FORMAT, count // 2))
    items = {text for text, often in short.items() if text and often <= most}
    return frozenset(
        _find(training, items, {gram for gram, often in grams.items() if often <= most}, numbers)
    )


def normal_words(text: str) -> list[str]:
    """The words of a text without case and without punctuation at their ends."""
    stripped = (word.strip(_PUNCTUATION) for word in text.casefold().split())
    return [word for word in stripped if word]


def leak_texts(
    part: ConfigurableTask, docs: Iterable[Any], columns: Sequence[str]
) -> Iterable[str]:
    """What the leak check compares of each document.

    Those columns; where none are named, the question as the task asks it, with its choices.
    """
    for doc in docs:
        if columns:
            yield " ".join(_texts([_column(doc, name) for name in columns]))
        else:
            asked = part.doc_to_text(doc)
            choices = choices_of(part, doc)
            yield " ".join(_texts([asked if isinstance(asked, str) else "", choices]))


def _column(doc: Any, name: str) -> object:  # noqa: ANN401  a document of any data set
    """What a column holds, or a part of it, as in "choices.text"."""
    for each in name.split("."):
        doc = doc[each]
    return doc


def _texts(value: object) -> Iterable[str]:
    """All texts in a value, in order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def _find(
    training: Iterable[str],
    items: set[tuple[str, ...]],
    grams: set[tuple[int, ...]],
    numbers: dict[str, int],
) -> Iterable[int]:
    """Numbers of the training texts that are one of the items, or hold one of the grams."""
    owners: list[int] = []
    starts: list[int] = []
    words: list[int] = []
    lookup = _Lookup(numbers)
    wanted = np.unique(_hashes(np.array([word for gram in grams for word in gram]))[::GRAM])
    for place, text in enumerate(training):
        found = [number for word in text.split() if (number := lookup[word]) >= 0]
        if len(found) < GRAM:
            if tuple(normal_words(text)) in items:
                yield place
        elif grams:
            owners.append(place)
            starts.append(len(words))
            words += [*found, 0]  # which stands in no gram
        if len(words) > _AT_A_TIME:
            yield from _holders(words, owners, starts, grams, wanted)
            owners, starts, words = [], [], []
    yield from _holders(words, owners, starts, grams, wanted)


class _Lookup(dict[str, int]):
    """Numbers of words as they are written: 0 unknown, -1 nothing but punctuation."""

    def __init__(self, numbers: dict[str, int]) -> None:
        super().__init__()
        self._numbers = numbers

    def __missing__(self, written: str) -> int:
        word = written.casefold().strip(_PUNCTUATION)
        self[written] = found = self._numbers.get(word, 0) if word else -1
        return found


def _holders(
    words: list[int],
    owners: list[int],
    starts: list[int],
    grams: set[tuple[int, ...]],
    wanted: np.ndarray,
) -> Iterable[int]:
    """Owners of the stretches of words that hold one of the grams."""
    hits = np.flatnonzero(np.isin(_hashes(np.array(words)), wanted))
    real = [hit for hit in hits.tolist() if tuple(words[hit : hit + GRAM]) in grams]
    which = np.searchsorted(np.array(starts), real, side="right") - 1
    yield from {owners[each] for each in which.tolist()}


def _hashes(words: np.ndarray) -> np.ndarray:
    """A number for each 13 words in a row, [words - 12]; equal for equal words."""
    count = max(0, len(words) - GRAM + 1)
    found = np.zeros(count, dtype=np.uint64)
    for i in range(GRAM):
        found *= np.uint64(0x9E3779B97F4A7C15)
        found += words[i : i + count].astype(np.uint64)
    return found
