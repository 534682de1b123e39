"""What the YAML files of a task folder name, read without loading any task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from emergecast.errors import LabError
from emergecast.lab.tasks._task import Task
from emergecast.lab.tasks._yaml_faults import yaml_faults

_FUNCTION: Final = "!function"
"""Tag of a Python function in the harness's YAML; naming it imports its file."""
_CODE: Final = frozenset({".py", ".pyc", ".pyd", ".so", ".dll"})
_LOCAL_DATA: Final = frozenset({"arrow", "csv", "json", "parquet", "text", "webdataset", "xml"})
"""Builders of data sets that read files."""
_NOT_READ: Final = frozenset({"__pycache__", ".ipynb_checkpoints"})
"""Folders in which the harness looks for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFolder:
    """What loading tasks of a folder may run and fetch."""

    path: Path
    """The folder."""
    functions: tuple[str, ...]
    """Functions that its YAML files name, like "utils.process_results", sorted."""
    code: tuple[Path, ...]
    """Files that these functions can come from or import, sorted; none without functions."""
    metrics: tuple[str, ...]
    """Metrics that they name, sorted."""
    is_local: bool
    """Whether all data are in files of this machine."""
    data_sets: tuple[str, ...] = ()
    """Data sets of the hub that it names, `owner/name`, sorted."""


def read_task_folder(path: Path) -> TaskFolder:
    """What the YAML files below `path` name, and those that they include from elsewhere.

    Raises:
        LabError: one of them cannot be read, or holds what no file may hold.
    """
    path = path.resolve()
    nodes: dict[Path, yaml.Node] = {}
    left = [file for file in sorted(path.rglob("*.yaml")) if not _NOT_READ & set(file.parts)]
    while left:
        file = left.pop()
        if file in nodes or (node := _nodes(file)) is None:
            continue
        nodes[file] = node
        included = [name for each in _values(node, "include") for name in _texts(each)]
        left += [
            (file.parent / name).resolve() for name in included if (file.parent / name).is_file()
        ]
    asked = {file: node for file, node in nodes.items() if not _is_installed(file)}
    functions = sorted({(file, name) for file, node in asked.items() for name in _functions(node)})
    sources = [dict(_values_by_name(node)) for node in asked.values()]
    return TaskFolder(
        path=path,
        functions=tuple(sorted({name for _, name in functions})),
        code=_code(path, functions) if functions else (),
        metrics=tuple(
            sorted({name for node in asked.values() for name in _metrics(node)}),
        ),
        is_local=all(map(_is_local, sources)),
        data_sets=tuple(sorted({name for each in sources for name in _data_sets(each)})),
    )


def data_sets_of(task: Task) -> tuple[str, ...]:
    """Data sets of the hub that a task reads, as far as it is known."""
    if task.include_path is not None:
        try:
            return read_task_folder(task.include_path).data_sets
        except LabError:  # loading the task says so
            return ()
    return () if task.settled is None or task.data is not None else (task.settled.repo,)


def _nodes(file: Path) -> yaml.Node | None:
    """The root of a YAML file; None where it is none: the harness passes over it."""
    loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        root = yaml.compose(file.read_bytes(), Loader=loader)
    except OSError as error:
        raise LabError(f'"{file}" cannot be read: {error.strerror or error}.') from None
    except (yaml.YAMLError, RecursionError):
        return None
    for fault in () if root is None else yaml_faults(root):
        raise LabError(f'"{file}", line {fault.line}: {fault.what} {fault.remedy}')
    return root


def _walk(node: yaml.Node) -> Iterator[yaml.Node]:
    """A node and all that is in it, each once."""
    seen: set[int] = set()
    stack = [node]
    while stack:
        each = stack.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        if isinstance(each, yaml.MappingNode):
            stack += [part for pair in each.value for part in pair]
        elif isinstance(each, yaml.SequenceNode):
            stack += each.value


def _values_by_name(node: yaml.Node) -> Iterator[tuple[str, yaml.Node]]:
    """Names with their values, wherever they stand."""
    for each in _walk(node):
        if isinstance(each, yaml.MappingNode):
            yield from ((str(name.value), value) for name, value in each.value)


def _values(node: yaml.Node, name: str) -> list[yaml.Node]:
    return [value for key, value in _values_by_name(node) if key == name]


def _texts(node: yaml.Node) -> list[str]:
    """Words in a value, its functions left out."""
    return [
        str(each.value)
        for each in _walk(node)
        if isinstance(each, yaml.ScalarNode) and each.tag != _FUNCTION
    ]


def _functions(node: yaml.Node) -> set[str]:
    return {str(each.value) for each in _walk(node) if each.tag == _FUNCTION}


def _metrics(node: yaml.Node) -> set[str]:
    found = {
        name
        for metrics in _values(node, "metric_list")
        for each in _values(metrics, "metric")
        for name in _texts(each)
    }
    forced = [name for each in _values(node, "hf_evaluate_metric") for name in _texts(each)]
    return found | {f"{name} of the library evaluate" for name in forced if name.lower() == "true"}


def _is_local(named: dict[str, yaml.Node]) -> bool:
    """Whether the data that one file names are files of this machine."""
    builder = named.get("dataset_path")
    texts = [] if builder is None else _texts(builder)
    places = [
        text for name in ("data_files", "data_dir") if name in named for text in _texts(named[name])
    ]
    return set(texts) <= _LOCAL_DATA and not any("://" in text for text in places)


def _data_sets(named: dict[str, yaml.Node]) -> list[str]:
    builder = named.get("dataset_path")
    return [] if builder is None else [text for text in _texts(builder) if text.count("/") == 1]


def _is_installed(file: Path) -> bool:
    """Whether a file came with the harness, which is trusted like any installed package."""
    import importlib.util

    spec = importlib.util.find_spec("lm_eval")
    places = [] if spec is None else list(spec.submodule_search_locations or ())
    return any(file.is_relative_to(Path(place).resolve()) for place in places)


def _code(path: Path, functions: list[tuple[Path, str]]) -> tuple[Path, ...]:
    """The code below a folder, and the files of functions that lie elsewhere."""
    found = {
        file
        for file in path.rglob("*")
        if file.suffix in _CODE and not _NOT_READ & set(file.parts) and file.is_file()
    }
    for file, name in functions:
        module = name.rpartition(".")[0].replace(".", "/")
        source = (file.parent / f"{module}.py").resolve()
        if module and source.is_file():
            found.add(source)
    return tuple(sorted(found))
