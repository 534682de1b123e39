"""Reading a frozen forecast: it is whole, unedited, and every field holds what it must."""

from __future__ import annotations

import json
import os
from typing import Any

from emergecast.errors import FrozenError
from emergecast.files import read_whole
from emergecast.track_record._check_frozen import problems_of
from emergecast.track_record._frozen import FORMAT, FrozenForecast, digest
from emergecast.track_record._signature import signer


def read_frozen(
    path: str | os.PathLike[str], *, signers: str | os.PathLike[str] | None = None
) -> FrozenForecast:
    """The frozen forecast in a file.

    Args:
        path: the file.
        signers: who may have signed it, in the form of OpenSSH's allowed signers; without them a
            signature is not looked at.

    Raises:
        FrozenError: the file is not a frozen forecast, was edited after it was frozen, holds values
            that `freeze` never writes, or is not signed by one of `signers`.
        OSError: the file cannot be read.
    """
    name = os.fspath(path)
    read = read_whole(path)
    signed_by = None if signers is None else signer(path, read, signers)
    try:
        content, stated = _checked(read, name)
    except RecursionError:
        raise _not_json(name, "it is nested too deeply") from None
    return FrozenForecast(content={**content, "sha256": stated}, signed_by=signed_by)


SHOWN = 5
"""Problems that a message lists."""


def _checked(read: bytes, name: str) -> tuple[dict[str, Any], str]:
    """The content of a frozen file without its hash, and the hash."""
    content = _object(read, name)
    if content.get("format") != FORMAT:
        raise FrozenError(
            f'"{name}" is not a frozen forecast: its format is {_short(content.get("format"))}, '
            f'not "{FORMAT}". `emergecast freeze` writes one.'
        )
    stated = content.pop("sha256", None)
    try:
        found = digest(content)
    except ValueError:
        found = "not computable"  # NaN or Infinity, which freeze never writes
    if stated != found:
        raise FrozenError(
            f'"{name}" was edited after it was frozen: its content has SHA-256 {found[:12]}, and '
            f"it says {str(stated)[:12]}. Take the file as it was written."
        )
    if problems := problems_of(content):
        rest = f" And {len(problems) - SHOWN} more." if len(problems) > SHOWN else ""
        raise FrozenError(
            f'"{name}" has the right hash, but not what `emergecast freeze` writes. '
            f"{' '.join(problems[:SHOWN])}{rest} Take the file as it was written."
        )
    return content, str(stated)


def _object(content: bytes, name: str) -> dict[str, Any]:
    """The JSON object that a file holds."""
    try:
        found = json.loads(content.decode("utf-8"), object_pairs_hook=_each_once)
    except ValueError as error:  # also a number of thousands of digits
        raise _not_json(name, str(error)) from None
    return found if isinstance(found, dict) else {}


def _not_json(name: str, reason: str) -> FrozenError:
    return FrozenError(
        f'"{name}" is not a frozen forecast: it is not JSON ({reason}). '
        "`emergecast freeze` writes one."
    )


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} occurs twice")
    return found


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
