"""The house: the tree that the README shows, and names that mean one thing."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.house import ROOT, SOURCE, rooms, tree

FILES = sorted(SOURCE.rglob("*.py"))


def imports(file: Path) -> Iterator[str]:
    """The modules of ours that a file takes names from."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("emergecast."):
            yield node.module or ""


def test_the_tree_in_the_readme_is_the_real_one():
    """`python tests/house.py` prints it, from the folders and their docstrings."""
    assert f"```text\n{tree()}\n```" in (ROOT / "README.md").read_text("utf-8")


def test_every_folder_of_code_is_in_the_tree():
    """A new room that no layer names would be left out of the tree, and so of the rules."""
    folders = {file.parent for file in FILES} - {SOURCE}
    assert {room for room in rooms() if room.is_dir()} == folders


def test_no_two_classes_bear_one_name():
    """So that a name in a message, a review or a question says which is meant."""
    found = defaultdict(list)
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(str(file.relative_to(SOURCE)))
    assert not {name: where for name, where in found.items() if len(where) > 1}


def test_no_two_files_bear_one_name():
    """A stricter rule than rooms that import each other, and simpler to keep."""
    names = Counter(file.name for file in FILES if file.name != "__init__.py")
    assert not [name for name, count in names.items() if count > 1]


def test_a_room_is_entered_by_its_door():
    """`_name.py` is imported within its room and below it; everybody else imports the room.

    A room above may show the names as its own.
    """
    wrong = []
    for file in FILES:
        here = file.parent.relative_to(SOURCE).parts
        for module in imports(file):
            *room, name = module.split(".")[1:]
            door = file.name == "__init__.py" and tuple(room[: len(here)]) == here
            if name.startswith("_") and here[: len(room)] != tuple(room) and not door:
                wrong.append(f"{file.relative_to(SOURCE)}: {module}")
    assert not wrong


def test_tests_mirror_the_rooms():
    """A folder of tests is named after the room it tests."""
    named = {str(room.relative_to(SOURCE)) for room in rooms()}
    tests = ROOT / "tests"
    folders = {str(file.parent.relative_to(tests)) for file in tests.rglob("test_*.py")} - {
        ".",
        "referees",
        "released",
        "lab",
    }
    assert folders <= named
