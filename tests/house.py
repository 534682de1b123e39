"""The tree of the source, as the README prints it: `python tests/house.py`."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "emergecast"
WIDTH = 22


def layers() -> dict[Path, list[str]]:
    """The rooms of each folder that import-linter keeps in order, the highest first."""
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    found = {}
    for contract in linter["contracts"]:
        for container in contract.get("containers", ()):
            folder = SOURCE.parent.joinpath(*container.split("."))
            found[folder] = [name.strip() for row in contract["layers"] for name in row.split("|")]
    return found


def rooms(folder: Path = SOURCE) -> Iterator[Path]:
    """Every file or folder that is a room, each before what it holds, the highest layer first."""
    names = layers().get(folder) or sorted(path.name for path in folder.iterdir())
    for name in names:
        if (folder / name / "__init__.py").is_file():
            yield folder / name
            yield from rooms(folder / name)
        elif folder == SOURCE and (folder / f"{name}.py").is_file():
            yield folder / f"{name}.py"


def claim(file: Path) -> str:
    """The first sentence of a module's docstring."""
    text = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split()).partition(". ")[0].rstrip(".")


def tree() -> str:
    """One line a room: its name, indented, and what it is for."""
    lines = ["src/emergecast/"]
    for room in rooms():
        inside = room.is_dir()
        name = "  " * len(room.relative_to(SOURCE).parts) + room.name + ("/" if inside else "")
        lines.append(f"{name:<{WIDTH}}{claim(room / '__init__.py' if inside else room)}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(tree())
