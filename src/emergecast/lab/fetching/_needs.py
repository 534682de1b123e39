"""What an experiment needs of the hub, and what of it is here."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from emergecast.errors import LabError
from emergecast.lab.checkpoints import Checkpoint, cached, hub_errors, listing
from emergecast.lab.evaluate import C4_REPOSITORY, hub_files
from emergecast.lab.experiment import Experiment
from emergecast.lab.tasks import data_sets_of

_SMALL: Final = (".json", ".model", ".txt")
_AT_ONCE: Final = 8
"""Requests to the hub at a time."""
_SPARE: Final = 1_000_000_000
"""Bytes that stay free."""


class NeedKind(StrEnum):
    """What is needed."""

    WEIGHTS = "weights"
    """A checkpoint."""
    TOKENIZER = "tokenizer"
    """The tokenizer of a series, from another repository than its weights."""
    DATA = "data"
    """The data set of a task."""
    CORPUS = "corpus"
    """The files that hold a held-out text; the rest of their data set is not needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One thing that is needed."""

    kind: NeedKind
    """What it is."""
    repository: str
    """Where on the hub."""
    revision: str | None
    """Which revision; the main branch where None."""
    bytes: int | None
    """Size of the files; None where nobody can tell."""
    here: bool
    """Whether it is in the cache already."""
    converted: bool = False
    """Whether weights are written once more in a form that is loaded, which takes as much room."""
    problem: str | None = None
    """Why it cannot be had; None where it can, as far as the hub says."""
    checkpoint: Checkpoint | None = None
    """The checkpoint, where weights are needed."""
    files: tuple[str, ...] = ()
    """Names of the files to be fetched, where some of a repository are needed."""

    @property
    def title(self) -> str:
        """Repository and revision."""
        return self.repository if self.revision is None else f"{self.repository}@{self.revision}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """All that an experiment needs of the hub."""

    needs: tuple[Need, ...]
    """Each once, in the order of the file."""
    free_bytes: int
    """Room on the disk of the cache."""
    cache: Path
    """Where the cache lies."""

    @property
    def missing(self) -> tuple[Need, ...]:
        """What is to be downloaded."""
        return tuple(each for each in self.needs if not each.here and each.problem is None)

    @property
    def problems(self) -> tuple[Need, ...]:
        """What cannot be had."""
        return tuple(each for each in self.needs if each.problem is not None)

    @property
    def bytes_to_fetch(self) -> int:
        """Bytes to download, as far as they are known."""
        return sum(each.bytes or 0 for each in self.missing)

    @property
    def bytes_on_disk(self) -> int:
        """Room that this takes."""
        return sum((each.bytes or 0) * (2 if each.converted else 1) for each in self.missing)

    def check_room(self) -> None:
        """Refuse where the disk is too small.

        Raises:
            LabError: it has not enough room.
        """
        if self.missing and self.bytes_on_disk + _SPARE > self.free_bytes:
            gigabytes = [round(each / 1e9, 1) for each in (self.bytes_on_disk, self.free_bytes)]
            raise LabError(
                f"{gigabytes[0]:,} GB are to be stored, and the disk of the cache"
                f' "{self.cache}" has {gigabytes[1]:,} GB free (1 GB is to stay free). Let HF_HOME'
                " name a larger disk, name fewer steps, or write keep: none and let emergecast run"
                " fetch one checkpoint at a time."
            )


def needs_of(experiment: Experiment) -> Needs:
    """What an experiment needs of the hub: weights, tokenizers, data sets, held-out text.

    Sizes alone are asked for.

    What cannot be had is among it, with its problem.
    """
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    found = weights_of(experiment.checkpoints)
    names = dict.fromkeys(name for task in experiment.tasks for name in data_sets_of(task))
    found += [_data(name, cache) for name in names]
    files = dict.fromkeys(name for each in experiment.corpora for name in hub_files(each))
    found += [_corpus(tuple(files))] if files else []
    there = next(each for each in (cache, *cache.parents) if each.is_dir())
    return Needs(needs=tuple(found), free_bytes=shutil.disk_usage(there).free, cache=cache)


def weights_of(checkpoints: Sequence[Checkpoint]) -> list[Need]:
    """The weights of those that are on the hub, and tokenizers from other repositories."""
    remote = [each for each in checkpoints if each.repo is not None]
    tokenizers = {
        each.source.tokenizer: each.series
        for each in remote
        if each.source is not None and each.source.tokenizer is not None
    }
    wanted: list[tuple[NeedKind, Checkpoint]] = [(NeedKind.WEIGHTS, each) for each in remote]
    wanted += [
        (NeedKind.TOKENIZER, Checkpoint(name="tokenizer", series=series, repo=repository))
        for repository, series in tokenizers.items()
    ]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda each: _need(*each), wanted))


def _need(kind: NeedKind, checkpoint: Checkpoint) -> Need:
    weights = kind is NeedKind.WEIGHTS
    folder = cached(checkpoint) if weights else _settings_here(checkpoint)
    size: int | None = None
    converted, problem = False, None
    if folder is not None:
        size = sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
    else:
        try:
            said = listing(checkpoint)
        except LabError as error:
            problem = str(error)
        else:
            files = said.weights(checkpoint.subfolder, None) if weights else ()
            small = [each for each in said.files if each.name.endswith(_SMALL)]
            size = sum(each.size for each in (*files, *small))
            converted = any(each.name.endswith(".bin") for each in files)
            if weights and not files:
                problem = f'"{checkpoint.repo}" holds no weights that can be loaded.'
    return Need(
        kind=kind,
        repository=str(checkpoint.repo),
        revision=checkpoint.revision,
        bytes=size,
        here=folder is not None,
        converted=converted,
        problem=problem,
        checkpoint=checkpoint if weights else None,
    )


def _settings_here(checkpoint: Checkpoint) -> Path | None:
    """The folder of a tokenizer in the cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        found = snapshot_download(
            str(checkpoint.repo),
            allow_patterns=[f"*{each}" for each in _SMALL],
            local_files_only=True,
        )
    except (LocalEntryNotFoundError, HFValidationError, OSError):
        return None
    return Path(found)


def _data(name: str, cache: Path) -> Need:
    """A data set; its files are few and small beside weights, and not counted where absent."""
    from huggingface_hub import HfApi

    place = cache / f"datasets--{name.replace('/', '--')}" / "snapshots"
    here = place.is_dir() and any(place.iterdir())
    size, problem = None, None
    if not here:
        try:
            said = HfApi().dataset_info(name, files_metadata=True)
            size = sum(each.size or 0 for each in said.siblings or ())
        except hub_errors() as error:
            why = type(error).__name__
            problem = f'the data set "{name}" cannot be read ({why}). Check the connection.'
    return Need(
        kind=NeedKind.DATA, repository=name, revision=None, bytes=size, here=here, problem=problem
    )


def _corpus(files: tuple[str, ...]) -> Need:
    """Files of C4, of which those count that are not here."""
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.hf_api import RepoFile

    lacking = [
        name
        for name in files
        if not isinstance(try_to_load_from_cache(C4_REPOSITORY, name, repo_type="dataset"), str)
    ]
    size, problem = None, None
    if lacking:
        try:
            said = HfApi().get_paths_info(C4_REPOSITORY, lacking, repo_type="dataset")
            sizes = {each.path: each.size for each in said if isinstance(each, RepoFile)}
            size = sum(sizes[name] for name in lacking)
        except hub_errors() as error:
            why = type(error).__name__
            problem = f'"{C4_REPOSITORY}" cannot be read ({why}). Check the connection.'
        except KeyError as error:
            problem = f'"{C4_REPOSITORY}" has no file {error} any more. Give a copy of the text.'
    return Need(
        kind=NeedKind.CORPUS, repository=C4_REPOSITORY, revision=None, bytes=size,
        here=not lacking, problem=problem, files=tuple(lacking),
    )  # fmt: skip
