"""Whether the checkpoints of a series are what they should be: weights by their SHA-256.

The hub is asked for the hashes of the weight files, and nothing is downloaded; offline the files in
the cache are hashed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from emergecast.errors import LabError, meant
from emergecast.lab.catalogue.series._catalogued import CataloguedSeries, ListedCheckpoint
from emergecast.lab.catalogue.series._expand import checkpoint_of
from emergecast.lab.checkpoints import cached, listing, published_hashes, revisions_of

_AT_ONCE: Final = 8
"""Requests to the hub at a time."""


class WhoSaid(StrEnum):
    """Who said what the weights are."""

    HUB = "hub"
    """The hub, of what it holds now."""
    CACHE = "cache"
    """The files in the cache of this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """Checkpoints whose weights are the same, wholly or in part."""

    checkpoints: tuple[str, ...]
    """Their names, in the order of training."""
    file: str
    """A weight file that they share, the first by name."""
    sha256: str
    """Its hash, in hexadecimal."""
    whole: bool
    """Whether all files are the same; else one of them is a chimera of two checkpoints."""
    known: bool
    """Whether the catalogue leaves out all of them but one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was found of the weights of a series."""

    series: str
    """Its name."""
    asked: WhoSaid
    """Who said it."""
    hashes: dict[str, dict[str, str]]
    """SHA-256 of each weight file, by checkpoint and file."""
    missing: dict[str, str]
    """Checkpoints of which nothing is known, with the reason."""
    suspicions: tuple[Suspicion, ...]
    """Checkpoints that share weights."""

    @property
    def sound(self) -> bool:
        """Whether something was compared, all is there, and nothing is shared that is not known."""
        gone = self.missing if self.asked is WhoSaid.HUB else {}
        return bool(self.hashes) and not gone and all(each.known for each in self.suspicions)


def verify(
    series: CataloguedSeries, *, on_progress: Callable[[int, int], None] = lambda _done, _of: None
) -> Verification:
    """The hashes of all weight files of a series, and which checkpoints share some.

    Args:
        series: Which one.
        on_progress: Called with the checkpoints done, and all of them.
    """
    from huggingface_hub import constants

    asked = WhoSaid.CACHE if constants.HF_HUB_OFFLINE else WhoSaid.HUB
    hashes: dict[str, dict[str, str]] = {}
    missing: dict[str, str] = {}
    refs: dict[str, tuple[str, ...]] = {}
    if asked is WhoSaid.HUB:
        branched = {each.repository for each in series.checkpoints if each.revision is not None}
        refs = {repository: revisions_of(repository) for repository in sorted(branched)}

    def look(listed: ListedCheckpoint) -> dict[str, str] | str:
        known = refs.get(listed.repository, ())
        if known and listed.revision not in {None, *known}:
            question = meant(str(listed.revision), known)
            return f'"{listed.repository}" has no revision "{listed.revision}". {question}'.strip()
        try:
            return _hashes(series, listed, asked)
        except LabError as error:
            return str(error)

    with ThreadPoolExecutor(_AT_ONCE if asked is WhoSaid.HUB else 1) as pool:
        found = pool.map(look, series.checkpoints)
        for done, (listed, said) in enumerate(zip(series.checkpoints, found, strict=True), start=1):
            if isinstance(said, str):
                missing[listed.name] = said
            else:
                hashes[listed.name] = said
            on_progress(done, len(series.checkpoints))
    bad = {each.checkpoint for each in series.bad}
    return Verification(
        series=series.name,
        asked=asked,
        hashes=hashes,
        missing=missing,
        suspicions=tuple(_suspicions(hashes, bad)),
    )


def _hashes(series: CataloguedSeries, listed: ListedCheckpoint, asked: WhoSaid) -> dict[str, str]:
    checkpoint = checkpoint_of(series, listed)
    if asked is WhoSaid.HUB:
        files = listing(checkpoint).weights(listed.subfolder, None)
        known = {each.name: each.sha256 for each in files if each.sha256 is not None}
        if not known:
            raise LabError(f'"{listed.repository}" holds no weights whose SHA-256 the hub says.')
        return known
    folder = cached(checkpoint)
    if folder is None:
        raise LabError("it is not in the cache.")
    return published_hashes(folder)


def _suspicions(hashes: dict[str, dict[str, str]], bad: set[str]) -> list[Suspicion]:
    """Each group of checkpoints that share a file, the largest group of equal ones first."""
    owners: dict[str, list[str]] = defaultdict(list)
    for checkpoint, files in hashes.items():
        for sha256 in dict.fromkeys(files.values()):
            owners[sha256].append(checkpoint)
    found: dict[tuple[str, ...], Suspicion] = {}
    for sha256, names in owners.items():
        if len(names) < 2 or tuple(names) in found:
            continue
        found[tuple(names)] = Suspicion(
            checkpoints=tuple(names),
            file=next(file for file, each in hashes[names[0]].items() if each == sha256),
            sha256=sha256,
            whole=_same(hashes, names),
            known=len([name for name in names if name not in bad]) <= 1,
        )
    return sorted(found.values(), key=lambda each: -len(each.checkpoints))


def _same(hashes: dict[str, dict[str, str]], names: Sequence[str]) -> bool:
    first = set(hashes[names[0]].values())
    return all(set(hashes[name].values()) == first for name in names)
