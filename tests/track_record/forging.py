"""Frozen files and tallies with one thing wrong in them, signed again with the right hash.

The hash is computed here by its description in docs/track_record.md, not by the code under test.
`performance/forged_records.py` runs what the tests run a share of.
"""

from __future__ import annotations

import collections
import copy
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from emergecast.errors import EmergecastError
from emergecast.track_record import add_to_tally, read_frozen, score_frozen

FILE = Path(__file__).parents[1] / "released" / "v0.1.0" / "frozen.json"
TALLY = FILE.with_name("tally.jsonl")
TRUTH = 2.2
WRONG: tuple[Any, ...] = ("2.4", "", True, None, [], {}, [1], -1.0, 1e300, 10**400, "\x1b[31m", 0.5)
"""Put in the place of a value of another type, or of another size."""


def canonical(content: Any) -> str:
    """SHA-256 of the content with sorted keys and no spaces, as UTF-8."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(content: dict[str, Any], key: str = "sha256") -> str:
    """The content as the text of a file, with its right hash under this key."""
    rest = {name: value for name, value in content.items() if name != key}
    return json.dumps({**rest, key: canonical(rest)})


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a value of JSON but the root; of lists the first, middle and last element."""
    if isinstance(value, dict):
        keys: Any = list(value)
    elif isinstance(value, list):
        keys = sorted({0, len(value) // 2, len(value) - 1}) if value else []
    else:
        return
    for key in keys:
        yield (*at, key)
        yield from places(value[key], (*at, key))


def changed(content: Any, place: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value at this place."""
    made = copy.deepcopy(content)
    inside = made
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    return made


def one_wrong_field(content: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """A copy in which a single value is of another type, or far from what it was."""
    spots = list(places(content))
    at = spots[rng.integers(len(spots))]
    old: Any = content
    for key in at:
        old = old[key]
    kinds = [value for value in WRONG if type(value) is not type(old) or value != old]
    if isinstance(old, float | int) and not isinstance(old, bool):
        kinds += [old * 1e6 + 1, -old - 1, old + 10]
    if isinstance(old, list):
        kinds += [old[::-1], old[:-1], [*old, old]]
    made: dict[str, Any] = changed(content, at, kinds[rng.integers(len(kinds))])
    return made


def damaged(text: str, rng: np.random.Generator) -> bytes:
    """The text with a bit turned, a piece cut out, cut short, or doubled."""
    raw = bytearray(text.encode())
    at, until = sorted(int(n) for n in rng.integers(len(raw), size=2))
    kind = rng.integers(4)
    if kind == 0:
        raw[at] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del raw[at : at + min(until - at, 40) + 1]
    elif kind == 2:
        del raw[max(at, 1) :]
    else:
        raw[at:at] = raw[at : at + 30]
    return bytes(raw)


def _frozen_score(path: Path) -> dict[str, Any]:
    found = score_frozen(read_frozen(path), truth=TRUTH).to_dict()
    return {name: value for name, value in found.items() if name != "sha256"}


def _tally_scores(path: Path) -> dict[str, Any]:
    found = add_to_tally(path, ())
    scores = [each.to_dict() for each in found.scores]
    return {"torn": list(found.torn), "lines": len(scores), **(scores[0] if scores else {})}


def outcome(content: bytes, read: Callable[[Path], Any], good: Any) -> str:
    """How reading and scoring ends: a named error, the same numbers, or others."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "f")
        path.write_bytes(content)
        try:
            found = read(path)
        except EmergecastError as error:
            return "named error" if str(error) else "an error without words"
    if found == good:
        return "the same score"
    if found.get("torn"):
        return "a line left out, and said so"
    return f"another score: {', '.join(key for key in good if found.get(key) != good[key])}"


def fuzz(seed: int, count: int, *, of: str) -> dict[str, collections.Counter[str]]:
    """How mutants of a frozen file, or of a line of a tally, end; half of them well formed."""
    rng = np.random.default_rng([20261126, seed])
    text = (FILE if of == "frozen" else TALLY).read_text("utf-8")
    content, key = json.loads(text), "sha256" if of == "frozen" else "line_sha256"
    read: Callable[[Path], Any] = _frozen_score if of == "frozen" else _tally_scores
    text = text if of == "frozen" else sealed(content, key) + "\n"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "good")
        path.write_text(text, "utf-8")
        good = read(path)
    counts = {
        "well formed, one field wrong": collections.Counter[str](),
        "damaged": collections.Counter[str](),
    }
    for number in range(count):
        if number % 3 < 2:
            rest = {name: value for name, value in content.items() if name != key}
            made, kind = (
                sealed(one_wrong_field(rest, rng), key).encode(),
                "well formed, one field wrong",
            )
        else:
            made, kind = damaged(text, rng), "damaged"
        counts[kind][outcome(made, read, good)] += 1
    return counts
