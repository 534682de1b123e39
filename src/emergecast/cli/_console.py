"""Standard error for progress bars: they move the cursor, and the text in them does not."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.segment import Segment

from emergecast.cli._terminal import bare, spelled

if TYPE_CHECKING:
    from rich.console import ConsoleOptions, RenderableType


class SafeConsole(Console):
    """Standard error, on which the text of everything shown is `spelled`."""

    def __init__(self) -> None:
        super().__init__(file=bare(sys.stderr))

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """As it is shown; what moves the cursor stays as it is."""
        for segment in super().render(renderable, options):
            text = segment.text if segment.control else spelled(segment.text)
            yield Segment(text, segment.style, segment.control)
