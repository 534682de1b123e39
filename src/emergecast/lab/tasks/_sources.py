"""The files of a task's definition: its YAML, the code that this names, and what the code reads."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import inspect
import io
import sys
import sysconfig
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import yaml

_LONGEST_NAME: Final = 200
"""Characters of a text in code that is still looked up as the name of a file."""
_INSTALLED: Final = tuple(
    Path(str(place)).resolve()
    for place in (
        *(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")),
        Path(__file__).parents[2],  # this package
    )
)
_HARNESS: Final = "lm_eval"


class _Function(str):
    """What a YAML file names by "!function"."""

    __slots__ = ()


class _Loader(yaml.SafeLoader):
    """Reads a task's YAML without running any code."""


def _function(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> _Function:
    return _Function(loader.construct_scalar(node))


_Loader.add_constructor("!function", _function)


def yaml_files(start: Path) -> dict[Path, Any]:
    """What a YAML file and all that it includes hold, by file; no code is run."""
    found: dict[Path, Any] = {}
    waiting = [start.resolve()]
    while waiting:
        path = waiting.pop()
        if path in found or not path.is_file():
            continue
        try:
            content = yaml.load(path.read_bytes(), Loader=_Loader)  # noqa: S506  a safe one
        except yaml.YAMLError:  # the harness reads what a safe loader refuses
            content = None
        found[path] = content
        included = content.get("include", []) if isinstance(content, dict) else []
        names = included if isinstance(included, list) else [included]
        waiting += [(path.parent / str(name)).resolve() for name in names]
    return found


def files_named(files: dict[Path, Any], folder: Path) -> Iterator[Path]:
    """The modules of the functions that YAML files name, and the data that they name.

    Paths of data are relative to the folder of the tasks, as the harness takes them.
    """
    for path, content in files.items():
        for text in _texts(content, set()):
            if isinstance(text, _Function):
                found = _module_file(text.rpartition(".")[0], path.parent)
            else:
                found = _file(folder, text)
            if found is not None:
                yield found


def _texts(content: object, seen: set[int]) -> Iterator[str]:
    """All texts; what aliases repeat is looked at once."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict | list) and id(content) not in seen:
        seen.add(id(content))
        for each in content.values() if isinstance(content, dict) else content:
            yield from _texts(each, seen)


def file_of(thing: Any, *, harness: bool) -> Path | None:  # noqa: ANN401  any callable
    """The file of the code of a function, a class or an object that can be called.

    None where it has none, and, unless `harness`, where it belongs to the harness itself.
    """
    while isinstance(thing, functools.partial):
        thing = thing.func
    thing = inspect.unwrap(thing)
    if not harness and str(getattr(thing, "__module__", "")).split(".")[0] == _HARNESS:
        return None
    for each in (thing, type(thing)):
        try:
            found = inspect.getsourcefile(each)
        except TypeError:
            continue
        return None if found is None else Path(found).resolve()
    return None


def code_hashes(modules: Iterable[Path]) -> dict[Path, str]:
    """SHA-256 of Python files, of those of the user that they import, and of files they name.

    Comments and empty lines do not count. An import is followed to a file beside the module, and to
    what is loaded from neither Python's nor the packages' folders.
    """
    found: dict[Path, str] = {}
    waiting = [each.resolve() for each in modules]
    while waiting:
        path = waiting.pop()
        if path in found or not path.is_file():
            continue
        content = path.read_bytes()
        if path.suffix == ".py":
            text = content.decode("utf-8", "replace")
            content = _without_comments(text).encode()
            waiting += _used(text, path.parent)
        found[path] = hashlib.sha256(content).hexdigest()
    return found


def _used(text: str, folder: Path) -> Iterator[Path]:
    """The modules that a text imports, as far as they are the user's, and the files it names."""
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError):
        return
    for node in nodes:
        names: list[str] = []
        start = folder
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            for _ in range(node.level - 1):
                start = start.parent
            stem = [node.module] if node.module else []
            names = [*stem, *(".".join([*stem, each.name]) for each in node.names)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            named = _file(folder, node.value)
            if named is not None:
                yield named
        for name in names:
            found = _module_file(name, start)
            if found is not None and not _is_installed(found):
                yield found


def _module_file(name: str, folder: Path) -> Path | None:
    """The file of a module: beside the file that names it, or where it was loaded from."""
    stem = folder.joinpath(*name.split("."))
    for path in (stem.with_name(stem.name + ".py"), stem / "__init__.py"):
        if path.is_file():
            return path.resolve()
    loaded = sys.modules.get(name)
    found = getattr(loaded, "__file__", None) if isinstance(loaded, ModuleType) else None
    return Path(found).resolve() if found else None


def _is_installed(path: Path) -> bool:
    harness = importlib.util.find_spec(_HARNESS)
    tasks = None if harness is None else Path(str(harness.origin)).resolve().parent / "tasks"
    return not (tasks and path.is_relative_to(tasks)) and any(
        path.is_relative_to(each) for each in _INSTALLED
    )


def _file(folder: Path, name: str) -> Path | None:
    """The file of a name, from a folder; None where there is none."""
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        return None
    try:
        path = folder / name
        return path.resolve() if path.is_file() else None
    except (OSError, ValueError):
        return None


def _without_comments(text: str) -> str:
    """Python without its comments and the empty lines that are not part of a string."""
    lines: list[str | None] = list(text.splitlines())
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            row, column = token.start
            if token.type == tokenize.COMMENT:
                lines[row - 1] = str(lines[row - 1])[:column].rstrip()
            if token.type in {tokenize.COMMENT, tokenize.NL} and not lines[row - 1]:
                lines[row - 1] = None
    except (tokenize.TokenError, SyntaxError, IndexError):
        return text
    return "\n".join(line for line in lines if line is not None)
