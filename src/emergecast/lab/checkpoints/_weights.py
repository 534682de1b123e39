"""Weight files: which there are, whether they are whole, how many parameters they hold."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from emergecast.errors import LabError
from emergecast.lab.checkpoints._safetensors import StoredTensor, read_header

WEIGHTS: Final = "model.safetensors"
INDEX: Final = f"{WEIGHTS}.index.json"
_PICKLE: Final = "pytorch_model.bin"
_ADAPTER: Final = "adapter_config.json"
_PICKLED: Final = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_NOT_WEIGHTS: Final = frozenset({"training_args.bin", "optimizer.pt", "scheduler.pt"})
"""What a Trainer leaves beside the weights."""
_CHUNK: Final = 1 << 22
_FLOATS: Final = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""Types as safetensors and as torch name them."""


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files that hold the weights, in the order of their names.

    Those that transformers loads, and no others.

    Raises:
        LabError: there are none, one that the index names is missing, or nobody can tell which
            count.
    """
    single, index = folder / WEIGHTS, folder / INDEX
    if (folder / _ADAPTER).is_file():
        raise LabError(
            f'"{folder}" holds an {_ADAPTER}: transformers would load the model that it names, from'
            " elsewhere. Merge the adapter into its model, and save that."
        )
    if single.is_file() and index.is_file():
        raise LabError(
            f'"{folder}" holds {WEIGHTS} and {INDEX}, and only one of them can be meant. Remove'
            " the other one."
        )
    if single.is_file():
        return (single,)
    if not index.is_file():
        raise _without_weights(folder)
    named = _named(index)
    if missing := [name for name in named if not (folder / name).is_file()]:
        raise LabError(
            f'"{folder}" lacks {len(missing)} of its {len(named)} weight files, such as'
            f' "{missing[0]}", which "{INDEX}" names. Copy or download the folder again.'
        )
    return tuple(folder / name for name in named)


def named_weights(folder: Path) -> tuple[str, ...]:
    """Names of the weight files of a published folder, pickled ones where there are no others.

    They need not be there: an index names them too. None where nothing says which there are.
    """
    there = {each.name for each in folder.iterdir()}
    return weights_among(there, folder)


def weights_among(there: Collection[str], indexes: Path | None) -> tuple[str, ...]:
    """Those of the names of a folder that are its weight files, in order.

    An index is read in the folder `indexes`; where it is not there, the names themselves decide.
    """
    for single in (WEIGHTS, _PICKLE):
        index = f"{single}.index.json"
        if single in there:
            return (single,)
        if index in there and indexes is not None and (indexes / index).is_file():
            return tuple(_named(indexes / index))
        stem, _, suffix = single.partition(".")
        if index in there and (shards := fnmatch.filter(there, f"{stem}-*-of-*.{suffix}")):
            return tuple(sorted(shards))
    return ()


def _named(index: Path) -> list[str]:
    """Names of the weight files that an index lists."""
    places = read_object(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise LabError(f'"{index}" has no weight_map. Copy or download the folder again.')
    names = set(map(str, places.values()))
    wrong = [name for name in sorted(names) if Path(name).name != name or "\0" in name]
    if wrong:
        raise LabError(
            f'"{index}" names a weight file {wrong[0][:80]!r}, which is not in the folder. Copy or'
            " download the folder again."
        )
    return sorted(names)


def _without_weights(folder: Path) -> LabError:
    """Why there are no weights to read; pickled ones would run code."""
    pickled = sorted(
        file.name
        for pattern in _PICKLED
        for file in folder.glob(pattern)
        if file.name not in _NOT_WEIGHTS
    )
    if pickled:
        return _pickled(str(folder), pickled[0])
    if shards := sorted(file.name for file in folder.glob("model*.safetensors")):
        return LabError(
            f'"{folder}" holds {shards[0]}, but neither {WEIGHTS} nor {INDEX}, so nobody can tell'
            " what belongs to the model. Copy or download the folder again."
        )
    return LabError(
        f'"{folder}" holds no weights: neither {WEIGHTS} nor {INDEX}. Give the folder that'
        " save_pretrained wrote."
    )


def refuse_pickled(place: str, names: Collection[str]) -> None:
    """Refuse weights that would run code, by the names of their files.

    Raises:
        LabError: one of them is pickled.
    """
    for name in names:
        if name.endswith(Path(_PICKLE).suffix):
            raise _pickled(place, name)


def _pickled(place: str, name: str) -> LabError:
    return LabError(
        f'the weights in "{place}" are pickled ({name}): reading such a file can run any'
        " program that somebody put into it. Ask for safetensors, or convert them where nothing"
        " can be harmed, with a reader that runs nothing: AutoModelForCausalLM.from_pretrained("
        "FOLDER, weights_only=True).save_pretrained(NEW). docs/trust.md says more."
    )


def stored_tensors(files: tuple[Path, ...]) -> dict[str, StoredTensor]:
    """All tensors of these files by name, read off the headers.

    Raises:
        LabError: a file is not what it should be, or two of them hold one tensor.
    """
    found: dict[str, StoredTensor] = {}
    for file in files:
        header = read_header(file)
        if twice := sorted(found.keys() & header.keys()):
            raise LabError(
                f'"{file}" holds {twice[0][:80]!r}, which another file of the folder holds too.'
                " Copy or download the folder again."
            )
        found |= header
    if not found:
        raise LabError(f'"{files[0]}" holds no weights at all. Copy or download the folder again.')
    return found


def first_dtype(tensors: dict[str, StoredTensor]) -> str | None:
    """Type of the first floating-point weight, as torch calls it; None where there is none."""
    return next((_FLOATS[each.dtype] for each in tensors.values() if each.dtype in _FLOATS), None)


def hash_files(files: tuple[Path, ...]) -> str:
    """SHA-256 over the contents of these files, one after the other."""
    return _hash(_states(files))[0]


def hash_each(files: tuple[Path, ...]) -> tuple[str, ...]:
    """SHA-256 of each of these files."""
    return _hash(_states(files))[1]


def hash_of_hashes(each: tuple[str, ...]) -> str:
    """Hash of weights whose files are known by their hashes: the only one, or one over them all."""
    return each[0] if len(each) == 1 else hashlib.sha256("\n".join(each).encode()).hexdigest()


def _states(files: tuple[Path, ...]) -> tuple[tuple[Path, int, int], ...]:
    return tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files)


@lru_cache(maxsize=1024)
def _hash(files: tuple[tuple[Path, int, int], ...]) -> tuple[str, tuple[str, ...]]:
    """SHA-256 over all, and of each; they are read once."""
    whole, each = hashlib.sha256(), []
    for path, _, _ in files:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                if len(files) > 1:
                    whole.update(chunk)
        each.append(digest.hexdigest())
    return (each[0] if len(files) == 1 else whole.hexdigest()), tuple(each)


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file of the folder.

    Raises:
        LabError: It is not JSON, or not an object.
    """
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise LabError(
            f'"{file}" is not JSON ({error}). Copy or download the folder again.'
        ) from None
    if not isinstance(read, dict):
        raise LabError(f'"{file}" holds no JSON object. Copy or download the folder again.')
    return read
