"""Write a picture to a folder, whole or not at all."""

from __future__ import annotations

import re
from pathlib import Path

import altair as alt
import vl_convert

from emergecast.files import write_whole

_SCALE = 2  # px of the PNG per px of the layout, for sharp text on dense screens


def save(chart: alt.TopLevelMixin, folder: Path, stem: str) -> tuple[Path, ...]:
    """Write `stem`.svg and `stem`.png to `folder`, making it if needed.

    Both are rendered before either is written, and each file is replaced in one step, so that a
    reader never finds half a picture.

    Args:
        chart: What a picture returned.
        folder: Where to write.
        stem: File name without its ending.

    Returns:
        Paths of the files written, SVG first.
    """
    with alt.data_transformers.enable("default", max_rows=None):
        spec = chart.to_dict()
    svg = _named(vl_convert.vegalite_to_svg(spec), stem)
    png = vl_convert.svg_to_png(svg, scale=_SCALE)
    folder.mkdir(parents=True, exist_ok=True)
    contents = {"svg": svg.encode(), "png": png}
    paths = []
    for ending, content in contents.items():
        paths.append(write_whole(folder / f"{stem}.{ending}", content))
    return tuple(paths)


def _named(svg: str, stem: str) -> str:
    """Number the clip paths from 1 and name them after the picture.

    The renderer counts them through the whole process: the same picture would differ from run to
    run, and two of them on one page could clip each other.
    """
    numbers: dict[str, int] = {}

    def renamed(match: re.Match[str]) -> str:
        number = numbers.setdefault(match[2], len(numbers) + 1)
        return f"{match[1]}{stem}-clip{number}"

    return re.sub(r'(id="|url\(#)(clip\d+)(?=["\)])', renamed, svg)
