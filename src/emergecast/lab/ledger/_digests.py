"""Digests: of a row over all that it holds, and of the log, where each includes the one before."""

from __future__ import annotations

import hashlib


def digest_of(*values: str | bytes | float | None) -> str:
    """SHA-256 over the type, the length and the bytes of each value, in hexadecimal.

    Any row has one, however damaged. A number counts with all its digits.
    """
    sha = hashlib.sha256()
    for value in values:
        if isinstance(value, bytes):
            content = value
        else:
            text = value if isinstance(value, str) else repr(value)
            content = text.encode("utf-8", "surrogatepass")
        sha.update(f"{type(value).__name__} {len(content)} ".encode())
        sha.update(content)
    return sha.hexdigest()


def chain_of(before: str, *entry: str | int) -> str:
    """What the log's next entry states of itself and of all entries before it."""
    return digest_of(before, *entry)
