"""A training example of a task, in exactly the format of its evaluation."""

from __future__ import annotations

from typing import NamedTuple


class Pair(NamedTuple):
    """What the model is given, and what it should say."""

    prompt: str
    completion: str
    """With the delimiter before it, as the evaluation scores it."""
    ends: bool
    """Whether the end of the text belongs to the answer: where the evaluation generates."""
