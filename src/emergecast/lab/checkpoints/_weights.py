"""Weight files: which there are, whether they are whole, how many parameters they hold."""

from __future__ import annotations

import hashlib
import json
import math
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from emergecast.errors import LabError

_INDEX: Final = "model.safetensors.index.json"
_OLD_INDEX: Final = "pytorch_model.bin.index.json"
_LONGEST_HEADER: Final = 100_000_000
"""Bytes; the format allows no longer header."""
_CHUNK: Final = 1 << 22
_FLOATS: Final = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""Types as safetensors and as torch name them."""


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The files that hold the weights, in the order of their names; safetensors if there are any.

    Raises:
        LabError: There are none, or one that the index names is missing.
    """
    for index, pattern in ((_INDEX, "model*.safetensors"), (_OLD_INDEX, "pytorch_model*.bin")):
        files = tuple(sorted(folder.glob(pattern)))
        if (folder / index).is_file():
            named = set(read_object(folder / index).get("weight_map", {}).values())
            if missing := sorted(named - {file.name for file in files}):
                raise LabError(
                    f'"{folder}" lacks {len(missing)} of its {len(named)} weight files, such as'
                    f' "{missing[0]}", which "{index}" names. Copy or download the folder again.'
                )
            return tuple(file for file in files if file.name in named)
        if files:
            return files
    raise LabError(
        f'"{folder}" holds no weights: neither model*.safetensors nor pytorch_model*.bin.'
        " Give the folder that save_pretrained wrote."
    )


def count_params(files: tuple[Path, ...]) -> int | None:
    """Parameters in these files, read off the headers; None where they are not safetensors.

    Raises:
        LabError: A file is cut short or is not a safetensors file.
    """
    if any(file.suffix != ".safetensors" for file in files):
        return None
    return sum(_count(file) for file in files)


def first_dtype(files: tuple[Path, ...]) -> str | None:
    """Type of the first floating-point weight; None where the files are not safetensors.

    Raises:
        LabError: A file is cut short or no safetensors file.
    """
    for file in files:
        if file.suffix == ".safetensors":
            for entry in _header(file).values():
                if entry["dtype"] in _FLOATS:
                    return _FLOATS[entry["dtype"]]
    return None


def hash_files(files: tuple[Path, ...]) -> str:
    """SHA-256 over the contents of these files, one after the other."""
    return _hash(tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files))


@lru_cache(maxsize=1024)
def _hash(files: tuple[tuple[Path, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for path, _, _ in files:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def _count(file: Path) -> int:
    """Parameters of one safetensors file."""
    return sum(math.prod(entry["shape"]) for entry in _header(file).values())


def _header(file: Path) -> dict[str, dict[str, Any]]:
    """What a safetensors file says of each tensor: an 8-byte length, JSON, then the tensors."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(size - 8, _LONGEST_HEADER):
            raise _corrupt(file, f"its header should be {length:,} bytes, the file has {size:,}")
        text = stream.read(length)
    try:
        header = json.loads(text)
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        end = max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
        for entry in tensors.values():
            _ = math.prod(entry["shape"]), entry["dtype"]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise _corrupt(file, "its header cannot be read") from None
    if 8 + length + end != size:
        raise _corrupt(file, f"it should have {8 + length + end:,} bytes and has {size:,}")
    return tensors


def _corrupt(file: Path, what: str) -> LabError:
    return LabError(
        f'the weights in "{file}" are corrupt: {what}. Copy or download the folder again.'
    )


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file of the folder.

    Raises:
        LabError: It is not JSON, or not an object.
    """
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise LabError(
            f'"{file}" is not JSON ({error}). Copy or download the folder again.'
        ) from None
    if not isinstance(read, dict):
        raise LabError(f'"{file}" holds no JSON object. Copy or download the folder again.')
    return read
