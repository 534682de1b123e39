"""What the header of a safetensors file says, and whether that can be true.

The rules are those of the format (https://github.com/huggingface/safetensors, "Format"): the
tensors fill the file without gaps or overlaps, and each takes what its type and shape need.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from emergecast.errors import LabError

_LONGEST_HEADER: Final = 100_000_000
"""Bytes; the format allows no longer header."""
_TOO_LARGE: Final = 2**64
"""Numbers of the format have 64 bits, a product on the way too."""
_BITS: Final = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "F64": 64,
    "I64": 64,
    "U64": 64,
    "C64": 64,
}
"""Types that the format knows, and bits of one number."""
_METADATA: Final = "__metadata__"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTensor:
    """One tensor as a header describes it."""

    dtype: str
    """As safetensors calls it, like "BF16"."""
    shape: tuple[int, ...]
    """Sizes of its axes."""
    begin: int
    """First byte after the header."""
    end: int
    """Byte after the last."""

    @property
    def count(self) -> int:
        """Numbers in it."""
        return math.prod(self.shape)


def read_header(file: Path) -> dict[str, StoredTensor]:
    """The tensors of a safetensors file by name: an 8-byte length, JSON, then the numbers.

    Raises:
        LabError: the file is cut short, is something else, or its header cannot be true.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > size - 8:
            raise _corrupt(file, f"its header should be {length:,} bytes, the file has {size:,}")
        if length > _LONGEST_HEADER:
            raise _corrupt(file, f"its header has {length:,} bytes, more than the format allows")
        text = stream.read(length)
    try:
        header = json.loads(text.decode(), object_pairs_hook=_unique)
        _check_metadata(header.pop(_METADATA, None))
        tensors = {name: _tensor(name, entry) for name, entry in header.items()}
    except _UntrueError as error:
        raise _corrupt(file, str(error)) from None
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise _corrupt(file, "its header cannot be read") from None
    _check_places(file, tensors, size - 8 - length, 8 + length)
    return tensors


class _UntrueError(Exception):
    """Something that a header says and that cannot be."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _UntrueError(f"its header names {twice[:80]!r} twice")
    return found


def _check_metadata(metadata: Any) -> None:  # noqa: ANN401  whatever JSON holds
    words = {} if metadata is None else metadata
    if not isinstance(words, dict) or not all(isinstance(each, str) for each in words.values()):
        raise _UntrueError(f"its {_METADATA} should be words by name")


def _tensor(name: str, entry: Any) -> StoredTensor:  # noqa: ANN401  whatever JSON holds
    """One entry of a header."""
    name = repr(name[:80])
    try:
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    except (KeyError, TypeError):
        raise _UntrueError(
            f"its header does not give dtype, shape and data_offsets of {name}"
        ) from None
    if not isinstance(dtype, str) or dtype not in _BITS:
        raise _UntrueError(f"the type of {name}, {str(dtype)[:40]!r}, is not known")
    for what, numbers in (("shape", shape), ("data_offsets", offsets)):
        if not isinstance(numbers, list) or not all(
            isinstance(each, int) and not isinstance(each, bool) and 0 <= each < _TOO_LARGE
            for each in numbers
        ):
            shown = str(numbers)[:80]
            raise _UntrueError(
                f"{what} of {name} should be whole numbers from 0 on, and is {shown}"
            )
    if len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _UntrueError(
            f"data_offsets of {name} should be a beginning and an end, not {offsets}"
        )
    found = StoredTensor(dtype=dtype, shape=tuple(shape), begin=offsets[0], end=offsets[1])
    needed = 1
    for size in (*shape, _BITS[dtype]):
        needed *= size
        if needed >= _TOO_LARGE:
            raise _UntrueError(f"{name} has the shape {str(shape)[:80]}, larger than any memory")
    if needed != 8 * (found.end - found.begin):
        raise _UntrueError(
            f"{name} has the shape {str(shape)[:80]} of {dtype}, which needs {needed / 8:,.0f}"
            f" bytes, and takes {found.end - found.begin:,}"
        )
    return found


def _check_places(file: Path, tensors: dict[str, StoredTensor], there: int, start: int) -> None:
    """The tensors follow each other from the first byte to the last."""
    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda each: (each[1].begin, each[1].end)):
        if tensor.begin != end:
            what = "overlaps what is before it" if tensor.begin < end else "leaves a gap before it"
            raise _corrupt(file, f"{name[:80]!r} {what} (byte {tensor.begin:,} instead of {end:,})")
        end = tensor.end
    if end != there:
        raise _corrupt(file, f"it should have {start + end:,} bytes and has {start + there:,}")


def _corrupt(file: Path, what: str) -> LabError:
    return LabError(
        f'the weights in "{file}" are corrupt: {what}. Copy or download the folder again.'
    )
