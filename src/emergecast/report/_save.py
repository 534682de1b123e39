"""Write a picture to a folder, whole or not at all."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path

import altair as alt

_SCALE = 2  # px of the PNG per px of the layout, for sharp text on dense screens


def save(chart: alt.TopLevelMixin, folder: Path, stem: str) -> tuple[Path, ...]:
    """Write `stem`.svg and `stem`.png to `folder`, making it if need be.

    Both are rendered before either is written, and each file is replaced in one step, so that a
    reader never finds half a picture.

    Args:
        chart: What `fan` or `distribution` returned.
        folder: Where to write.
        stem: File name without its ending.

    Returns:
        Paths of the files written, SVG first.
    """
    svg = io.StringIO()
    chart.save(svg, format="svg")
    png = io.BytesIO()
    chart.save(png, format="png", scale_factor=_SCALE)
    folder.mkdir(parents=True, exist_ok=True)
    contents = {"svg": svg.getvalue().encode(), "png": png.getvalue()}
    paths = []
    for ending, content in contents.items():
        path = folder / f"{stem}.{ending}"
        _replace(path, content)
        paths.append(path)
    return tuple(paths)


def _replace(path: Path, content: bytes) -> None:
    """Put `content` at `path` in one step."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
