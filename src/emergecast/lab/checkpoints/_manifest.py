"""A folder of checkpoints, and the file beside them that says what they are."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from emergecast.errors import LabError
from emergecast.files import write_whole
from emergecast.lab.checkpoints._checkpoint import Checkpoint

MANIFEST: Final = "series.json"
"""Name of the file in a series folder that lists its checkpoints."""
_NUMBERS: Final = {"int | None": (int,), "float | None": (int, float)}
_FIELDS: Final[dict[str, tuple[type, ...]]] = {
    field.name: _NUMBERS.get(str(field.type), (str,))
    for field in fields(Checkpoint)
    if field.name not in {"series", "source"}
}
"""What an entry may say: the fields of `Checkpoint` but for its series and what is catalogued."""


def read_series(folder: Path) -> tuple[Checkpoint, ...]:
    """The checkpoints that `series.json` in this folder lists; paths are relative to the folder.

    Raises:
        LabError: The file is missing or does not say what it should.
    """
    file = folder / MANIFEST
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise LabError(
            f'there is no "{file}". Give a folder with such a file, or list the checkpoints one by'
            " one."
        ) from None
    except ValueError as error:
        raise LabError(f'"{file}" is not JSON: {error}. Correct it.') from None
    if not isinstance(content, dict) or not isinstance(content.get("series"), str):
        raise LabError(
            f'"{file}" does not name its series. Write {{"series": "...", "checkpoints": [...]}}.'
        )
    entries = content.get("checkpoints")
    if not isinstance(entries, list) or not entries:
        raise LabError(f'"{file}" lists no checkpoints. Write "checkpoints": [{{"name": ...}}].')
    checkpoints = tuple(
        _checkpoint(entry, series=content["series"], file=file, number=number)
        for number, entry in enumerate(entries, start=1)
    )
    names = [checkpoint.name for checkpoint in checkpoints]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise LabError(f'"{file}" names "{twice[0]}" twice. Give each checkpoint its own name.')
    return checkpoints


def series_in(folder: Path) -> tuple[Checkpoint, ...]:
    """The models in a folder: those that its series.json lists, or else all, sorted by name.

    Raises:
        LabError: There is none, or series.json does not say what it should.
        OSError: The folder cannot be read.
    """
    if (folder / MANIFEST).is_file():
        return read_series(folder)
    inside = sorted(each for each in folder.iterdir() if (each / "config.json").is_file())
    if not inside:
        raise LabError(
            f'no folder in "{folder}" holds a model (a config.json). Give the folder whose folders'
            " are the checkpoints."
        )
    series = folder.resolve().name
    return tuple(Checkpoint(name=path.name, series=series, path=path) for path in inside)


def write_series(folder: Path, series: str, checkpoints: Iterable[Checkpoint]) -> Path:
    """Write `series.json` for these checkpoints, paths relative to the folder."""
    entries = []
    for checkpoint in checkpoints:
        entry: dict[str, Any] = {name: getattr(checkpoint, name) for name in _FIELDS}
        if checkpoint.path is not None:
            entry["path"] = checkpoint.path.relative_to(folder).as_posix()
        entries.append({name: value for name, value in entry.items() if value is not None})
    text = json.dumps({"series": series, "checkpoints": entries}, indent=1)
    return write_whole(folder / MANIFEST, f"{text}\n")


def _checkpoint(entry: object, *, series: str, file: Path, number: int) -> Checkpoint:
    where = f'"{file}", checkpoint {number}'
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise LabError(f'{where} has no name. Write {{"name": "...", "path": "..."}}.')
    for key, value in entry.items():
        wanted = _FIELDS.get(key)
        if wanted is None:
            raise LabError(f'{where} has an unknown key "{key}". Known: {", ".join(_FIELDS)}.')
        if not isinstance(value, wanted) or isinstance(value, bool):
            kind = "text" if str in wanted else "a number"
            raise LabError(f"{where}: {key} should be {kind}, and is {value!r}. Correct it.")
    known = dict(entry)
    if "path" in known:
        known["path"] = file.parent / known["path"]
    return Checkpoint(series=series, **known)
