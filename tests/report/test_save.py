"""Pictures as files."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import altair as alt
import pytest
from altair.utils.schemapi import SchemaValidationError
from tests.report.made import drawn, made

from emergecast.report import distribution, fan, save


@pytest.mark.parametrize("draw", [fan, distribution])
def test_files_are_what_they_say(draw, tmp_path: Path) -> None:
    """The SVG parses as XML, the PNG has its signature and twice the SVG's size, about 900 wide."""
    svg, png = save(drawn(draw, "seven"), tmp_path / "new" / "folder", "picture")
    assert (svg.name, png.name) == ("picture.svg", "picture.png")
    root = ET.fromstring(svg.read_text(encoding="utf-8"))  # noqa: S314 (our own file)
    assert root.tag.endswith("svg")
    content = png.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", content[16:24])
    assert abs(width - 2 * float(root.attrib["width"])) <= 2
    assert abs(height - 2 * float(root.attrib["height"])) <= 2
    assert 1500 <= width <= 1900
    assert sorted(p.name for p in svg.parent.iterdir()) == ["picture.png", "picture.svg"]


def test_every_design_renders(any_design: str, tmp_path: Path) -> None:
    """Refused, degenerate and far-flung forecasts become files without a warning or a NaN."""
    for draw in (fan, distribution):
        svg, _ = save(drawn(draw, any_design), tmp_path, draw.__name__)
        text = svg.read_text(encoding="utf-8")
        assert "NaN" not in text
        assert "Infinity" not in text
        assert "undefined" not in text


def test_saving_again_replaces(tmp_path: Path) -> None:
    """A second run leaves the second picture and nothing else."""
    save(drawn(fan, "three"), tmp_path, "fan")
    first = (tmp_path / "fan.svg").read_bytes()
    save(drawn(fan, "negated"), tmp_path, "fan")
    assert (tmp_path / "fan.svg").read_bytes() != first
    assert len(list(tmp_path.iterdir())) == 2


def test_the_same_forecast_gives_the_same_file(tmp_path: Path) -> None:
    """Drawing is deterministic, so that pictures can be compared."""
    save(fan(made("three")), tmp_path / "a", "fan")
    save(fan(made("three")), tmp_path / "b", "fan")
    for name in ("fan.svg", "fan.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_every_clip_path_used_is_defined_and_named_after_the_picture(tmp_path: Path) -> None:
    """Two pictures on one page cannot clip each other."""
    svg, _ = save(drawn(fan, "three"), tmp_path, "mmlu-fan")
    text = svg.read_text(encoding="utf-8")
    used = set(re.findall(r'clip-path="url\(#([^)]+)\)"', text))
    defined = set(re.findall(r'<clipPath id="([^"]+)"', text))
    assert used
    assert used <= defined
    assert all(name.startswith("mmlu-fan-clip") for name in defined)


def test_a_picture_that_cannot_be_drawn_leaves_no_file(tmp_path: Path) -> None:
    """Both files are rendered before either is written."""
    with pytest.raises(SchemaValidationError, match="mark"):
        save(alt.Chart.from_dict({"data": {"values": []}}, validate=False), tmp_path, "broken")
    assert not list(tmp_path.iterdir())


def test_importing_emergecast_loads_no_plotting() -> None:
    """`import emergecast` stays fast: altair comes with the report room alone."""
    code = "import sys, emergecast; sys.exit('altair' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
