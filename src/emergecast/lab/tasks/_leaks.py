"""Which training items hold an item that is evaluated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
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
_AT_A_TIME: Final = 1 << 20
"""Training words that are looked at together."""
_FILTER_BITS: Final = 24
"""Bits of a hash that tell most words apart from those that are looked for."""
_UNKNOWN: Final = 0
"""The number of a word that no evaluated text has."""
_NO_WORD: Final = -1
"""The number of punctuation."""
_END: Final = -2
"""Stands behind each training text."""


def leaked(evaluated: Iterable[str], training: Iterable[str]) -> frozenset[int]:
    """Numbers of the training texts that hold an evaluated one.

    Words are compared without case and without punctuation at their ends. A training text holds an
    evaluated one if they share 13 words in a row; an evaluated text of fewer words must be the
    whole of it. Words that more than 10 evaluated texts share, or more than half of them, are the
    format of the task and do not count.
    """
    numbers: dict[str, int] = {}
    short: Counter[tuple[str, ...]] = Counter()
    rows: list[np.ndarray] = []
    count = 0
    for text in evaluated:
        count += 1
        found = normal_words(text)
        if len(found) < GRAM:
            short[tuple(found)] += 1
        else:
            rows.append(np.array([numbers.setdefault(word, len(numbers) + 1) for word in found]))
    most = max(1, min(_FORMAT, count // 2))
    return frozenset(
        _find(
            training,
            items={text for text, often in short.items() if text and often <= most},
            grams=_rare_grams(rows, most),
            lookup=_Lookup(numbers),
        )
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grams:
    """Stretches of 13 words that are looked for."""

    hashes: np.ndarray
    """[grams], ascending."""
    words: np.ndarray
    """[grams, 13]: the numbers of their words."""
    filter: np.ndarray
    """[2^24]: whether one of the hashes begins with these bits."""

    def starts(self, words: np.ndarray) -> np.ndarray:
        """Where in a row of words one of them begins."""
        hashes = _hashes(words)
        hits = np.flatnonzero(self.filter[_first_bits(hashes)])
        places = np.searchsorted(self.hashes, hashes[hits])
        places[places == len(self.hashes)] = 0
        same = words[hits[:, None] + np.arange(GRAM)] == self.words[places]
        real: np.ndarray = hits[same.all(axis=1)]
        return real


def _rare_grams(rows: Sequence[np.ndarray], most: int) -> _Grams | None:
    """The 13 words in a row that at most so many of the texts hold; None where there are none.

    Two of them count as one if their hashes are equal: of a million different ones two have equal
    hashes with probability 3e-8.
    """
    if not rows:
        return None
    words = np.concatenate(rows)
    lengths = np.array([len(row) for row in rows])
    hashes = _hashes(words)
    owners = np.repeat(np.arange(len(rows)), lengths)
    within = np.flatnonzero(owners[: len(hashes)] == owners[GRAM - 1 :])
    order = within[np.lexsort((owners[within], hashes[within]))]
    hashes, owners = hashes[order], owners[order]
    first = np.ones(len(order), dtype=bool)
    first[1:] = hashes[1:] != hashes[:-1]
    once = first.copy()  # each text once
    once[1:] |= owners[1:] != owners[:-1]
    often = np.add.reduceat(once, np.flatnonzero(first))
    rare = np.flatnonzero(first)[often <= most]
    some = np.zeros(1 << _FILTER_BITS, dtype=bool)
    some[_first_bits(hashes[rare])] = True
    return _Grams(
        hashes=hashes[rare], words=words[order[rare][:, None] + np.arange(GRAM)], filter=some
    )


def _find(
    training: Iterable[str],
    *,
    items: set[tuple[str, ...]],
    grams: _Grams | None,
    lookup: _Lookup,
) -> Iterator[int]:
    """Numbers of the training texts that are one of the items, or hold one of the grams."""
    texts: list[str] = []
    words: list[int] = []
    before = 0
    number = lookup.__getitem__
    for text in training:
        texts.append(text)
        words += map(number, text.split())
        words.append(_END)
        if len(words) > _AT_A_TIME:
            yield from (before + each for each in _holders(texts, words, items, grams))
            before += len(texts)
            texts, words = [], []
    yield from (before + each for each in _holders(texts, words, items, grams))


class _Lookup(dict[str, int]):
    """Numbers of words as they are written."""

    def __init__(self, numbers: dict[str, int]) -> None:
        super().__init__()
        self._numbers = numbers

    def __missing__(self, written: str) -> int:
        word = written.casefold().strip(_PUNCTUATION)
        self[written] = found = self._numbers.get(word, _UNKNOWN) if word else _NO_WORD
        return found


def _holders(
    texts: Sequence[str], words: list[int], items: set[tuple[str, ...]], grams: _Grams | None
) -> Iterator[int]:
    """Which of some texts, whose words these are, are one of the items or hold one of the grams."""
    row = np.array(words, dtype=np.int64)
    row = row[row != _NO_WORD]
    ends = np.flatnonzero(row == _END)
    lengths = np.diff(ends, prepend=-1) - 1
    if items:
        few = np.flatnonzero(lengths < GRAM).tolist()
        yield from (each for each in few if tuple(normal_words(texts[each])) in items)
    if grams is not None:
        yield from np.unique(np.searchsorted(ends, grams.starts(row))).tolist()


def _hashes(words: np.ndarray) -> np.ndarray:
    """A number for each 13 words in a row, [words - 12]; equal for equal words."""
    factor = np.uint64(0x9E3779B97F4A7C15)
    one = words.astype(np.uint64)

    def joined(left: np.ndarray, right: np.ndarray, size: int) -> np.ndarray:
        """Of stretches and of those of `size` words behind them."""
        power = np.uint64(pow(int(factor), size, 1 << 64))
        count = min(len(left), len(right))
        both: np.ndarray = left[:count] * power + right[:count]
        return both

    two = joined(one, one[1:], 1)
    four = joined(two, two[2:], 2)
    eight = joined(four, four[4:], 4)
    return joined(joined(eight, four[8:], 4), one[12:], 1)


def _first_bits(hashes: np.ndarray) -> np.ndarray:
    """Bits that each word of a stretch decides."""
    mixed = hashes * np.uint64(0xD6E8FEB86659FD93)
    return (mixed >> np.uint64(64 - _FILTER_BITS)).astype(np.int64)
