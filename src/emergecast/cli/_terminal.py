"""What reaches the terminal: text, and never what a terminal takes for an order.

Names come from files. One that holds an escape sequence could clear the screen, or write a verdict
over another; it is shown with its characters spelled out instead.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TextIO

_ORDERS: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)
"""Control characters but tab and line feed, what turns the direction of text, and half characters,
which no terminal can be sent."""


def spelled(text: str) -> str:
    """The text with each of such characters as the escape that Python writes for it."""
    return _ORDERS.sub(lambda found: repr(found[0])[1:-1], text)


class SafeStream:
    """A text stream to which only `spelled` text is written; for the rest, the stream itself."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write the text; its length."""
        safe = spelled(text)
        encoding = self.stream.encoding or "utf-8"
        self.stream.write(safe.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def writelines(self, lines: Any) -> None:  # noqa: ANN401  any iterable of text
        """Write one text after the other."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever a stream has
        return getattr(self.stream, name)


@contextmanager
def safe_output() -> Iterator[None]:
    """Standard output and standard error, made safe."""
    out, errors = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = SafeStream(out), SafeStream(errors)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, errors


def bare(stream: Any) -> TextIO:  # noqa: ANN401  a stream, made safe or not
    """The stream itself, for what moves the cursor on purpose."""
    return stream.stream if isinstance(stream, SafeStream) else stream
