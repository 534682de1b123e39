"""Words that can be read, and the tokenizer that takes each for one token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from emergecast.lab.proving_ground._skill import ONE_SKILL
from emergecast.lab.proving_ground._world import LABELS, Ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD: Final = "<pad>"
END: Final = "<eos>"
UNKNOWN: Final = "<unk>"
LONGEST: Final = 128
"""Tokens of the longest sequence that the models take."""
_CONSONANTS: Final = "bdfgklmnprstvz"
_VOWELS: Final = "aeiou"
_SPELLING_SEED: Final = 7


def vocabulary(words: int = ONE_SKILL.words) -> tuple[str, ...]:
    """The text of every token: words of two syllables, labels A to P, then the special ones."""
    syllables = [c + v for c in _CONSONANTS for v in _VOWELS]
    spellings = [first + second for first in syllables for second in syllables]
    chosen = np.random.default_rng(_SPELLING_SEED).permutation(len(spellings))[:words]
    spelt = [spellings[i] for i in chosen]
    return (*spelt, *(chr(ord("A") + i) for i in range(LABELS)), PAD, END, UNKNOWN)


def text(tokens: Ids, words: int = ONE_SKILL.words) -> list[str]:
    """Documents [n, time] as text, words joined by a space."""
    spelling = vocabulary(words)
    return [" ".join(spelling[token] for token in row) for row in tokens.tolist()]


def tokenizer(words: int = ONE_SKILL.words) -> PreTrainedTokenizerFast:
    """The word-level tokenizer of a world of so many words; it adds no special token."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    numbers = {word: i for i, word in enumerate(vocabulary(words))}
    made = Tokenizer(WordLevel(numbers, unk_token=UNKNOWN))
    made.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        unk_token=UNKNOWN,
        pad_token=PAD,
        eos_token=END,
        model_max_length=LONGEST,
        clean_up_tokenization_spaces=False,
    )
