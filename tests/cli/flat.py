"""What a command says, whichever way its lines are wrapped."""

from __future__ import annotations


def flat(text: str) -> str:
    """The text on one line, with one space where there were several or a new line."""
    return " ".join(text.split())
