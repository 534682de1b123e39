"""Where the files of a checkpoint are: on this machine, or on the hub."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emergecast.errors import LabError, meant
from emergecast.lab.checkpoints._checkpoint import Checkpoint
from emergecast.lab.checkpoints._converted import converted_folder, loadable
from emergecast.lab.checkpoints._weights import hash_each, named_weights, weights_among

_SETTINGS: Final = ("*.json", "*.model", "*.txt")
_SAFETENSORS: Final = (*_SETTINGS, "*.safetensors")
_PICKLES: Final = (*_SETTINGS, "pytorch_model*.bin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Where the files of a checkpoint are, each on this machine."""

    model: Path
    """What transformers loads."""
    published: Path
    """What the repository holds; `model` is made of it where it cannot be loaded as it is."""
    tokenizer: Path
    """The tokenizer."""
    file_by_file: bool = False
    """Whether the weights are hashed file by file, as the hub does it."""
    slow_tokenizer: bool = False
    """Whether sentencepiece itself reads tokenizer.model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """One file of a repository, as the hub describes it."""

    name: str
    """Path within the repository."""
    size: int
    """Bytes."""
    sha256: str | None
    """Of its content, in hexadecimal; None where the hub does not say it, as of small files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubListing:
    """What a repository holds at a revision, as the hub says without a download."""

    commit: str
    """The commit that the revision names now."""
    files: tuple[HubFile, ...]
    """All of them."""

    def weights(self, subfolder: str | None, index: Path | None) -> tuple[HubFile, ...]:
        """Those that hold the weights; `index` is the folder of an index that is on this machine.

        Raises:
            LabError: there are none.
        """
        prefix = "" if subfolder is None else f"{subfolder}/"
        here = {each.name.removeprefix(prefix): each for each in self.files}
        names = weights_among(set(here), index)
        return tuple(here[name] for name in names if name in here)


def folder_of(checkpoint: Checkpoint) -> Path:
    """The folder that transformers loads, downloaded if it is on the hub and not here yet.

    Raises:
        LabError: There is no such folder, repository or revision.
    """
    return folders_of(checkpoint).model


def folders_of(checkpoint: Checkpoint, *, weights: bool = True) -> Folders:
    """Where the files of a checkpoint are, downloaded if they are not here yet.

    Args:
        checkpoint: Which one.
        weights: Whether the weights are needed, or its settings and tokenizer alone.

    Raises:
        LabError: There is no such folder, repository or revision, or it cannot be read.
    """
    source = checkpoint.source
    if source is None:
        root = checkpoint.path if checkpoint.path is not None else _fetch(checkpoint, _SAFETENSORS)
        folder = _inside(checkpoint, root)
        return Folders(model=folder, published=folder, tokenizer=folder)
    published = cached(checkpoint) if weights else None
    if published is None:
        patterns = _SAFETENSORS if weights else _SETTINGS
        published = _inside(checkpoint, _fetch(checkpoint, patterns))
        if weights and source.catalogued and not named_weights(published):
            published = _inside(checkpoint, _fetch(checkpoint, _PICKLES))
    return Folders(
        model=(
            loadable(published, str(checkpoint.repo))
            if weights and source.catalogued
            else published
        ),
        published=published,
        tokenizer=_tokenizer(checkpoint, published),
        file_by_file=True,
        slow_tokenizer=source.slow_tokenizer,
    )


def cached(checkpoint: Checkpoint) -> Path | None:
    """The published folder where all weights of a repository are in the cache; else None."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    if checkpoint.repo is None:
        return None
    try:
        found = snapshot_download(
            checkpoint.repo,
            revision=checkpoint.revision,
            allow_patterns=_within(checkpoint, ("config.json",)),
            local_files_only=True,
        )
    except (LocalEntryNotFoundError, HFValidationError, OSError):
        return None
    folder = Path(found) / (checkpoint.subfolder or "")
    names = named_weights(folder) if folder.is_dir() else ()
    return folder if names and all((folder / name).is_file() for name in names) else None


def is_here(checkpoint: Checkpoint) -> bool:
    """Whether its files are on this machine; asks no hub."""
    if checkpoint.path is None:
        return cached(checkpoint) is not None
    return (checkpoint.path / (checkpoint.subfolder or "") / "config.json").is_file()


def published_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of each weight file of a published folder, by name."""
    names = named_weights(folder)
    return dict(zip(names, hash_each(tuple(folder / name for name in names)), strict=True))


def listing(checkpoint: Checkpoint) -> HubListing:
    """What the hub says of a checkpoint's repository at its revision; downloads nothing.

    Raises:
        LabError: the hub cannot be reached, or has no such repository or revision.
    """
    from huggingface_hub import HfApi

    with _explained(checkpoint):
        info = HfApi().model_info(
            str(checkpoint.repo), revision=checkpoint.revision, files_metadata=True
        )
    return HubListing(
        commit=info.sha or "",
        files=tuple(
            HubFile(
                name=each.rfilename,
                size=each.size or 0,
                sha256=None if each.lfs is None else each.lfs.sha256,
            )
            for each in info.siblings or ()
        ),
    )


def published_params(checkpoint: Checkpoint) -> int:
    """Parameters of a checkpoint, from the headers of its safetensors on the hub.

    Raises:
        LabError: the hub cannot be reached, or the weights are of another kind.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import NotASafetensorsRepoError, SafetensorsParsingError

    try:
        with _explained(checkpoint):
            found = HfApi().get_safetensors_metadata(
                str(checkpoint.repo), revision=checkpoint.revision
            )
    except (NotASafetensorsRepoError, SafetensorsParsingError) as error:
        raise LabError(
            f'how many parameters checkpoint "{checkpoint.name}" of "{checkpoint.repo}" has is not'
            " known before it is here. Fetch it: emergecast fetch."
        ) from error
    return sum(found.parameter_count.values())


def revisions_of(repository: str) -> tuple[str, ...]:
    """Branches and tags of a repository, as the hub says; none where it cannot be asked."""
    from huggingface_hub import HfApi

    try:
        refs = HfApi().list_repo_refs(repository)
    except hub_errors():
        return ()
    return tuple(each.name for each in (*refs.branches, *refs.tags))


def commits_of(checkpoint: Checkpoint, folders: Folders) -> Iterator[tuple[str, str]]:
    """Repository and revision of a checkpoint and of its tokenizer, each with the commit read."""
    if checkpoint.repo is None:
        return
    at = "" if checkpoint.revision is None else f"@{checkpoint.revision}"
    named = {f"{checkpoint.repo}{at}": folders.published}
    if checkpoint.source is not None and checkpoint.source.tokenizer is not None:
        named[checkpoint.source.tokenizer] = folders.tokenizer
    for name, folder in named.items():
        parts = folder.absolute().parts
        if "snapshots" in parts[:-1]:
            yield name, parts[len(parts) - parts[::-1].index("snapshots")]


def data_commit(repository: str) -> str | None:
    """The commit of a data set's main branch that the cache has; None where it has none."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    place = repo_folder_name(repo_id=repository, repo_type="dataset")
    try:
        return (Path(constants.HF_HUB_CACHE) / place / "refs" / "main").read_text("utf-8").strip()
    except OSError:
        return None


def fetch_settings(checkpoint: Checkpoint) -> Path:
    """The folder of a repository with its settings and its tokenizer alone, downloaded if needed.

    Raises:
        LabError: There is no such repository or revision.
    """
    return _fetch(checkpoint, _SETTINGS)


def remove_weights(checkpoint: Checkpoint) -> int:
    """Delete the weights of a repository from the cache, and what was made of them; bytes freed.

    Settings and tokenizer stay, and so does what another revision in the cache shares.
    """
    folder = cached(checkpoint)
    if folder is None:
        return 0
    freed = 0
    made = converted_folder(folder, str(checkpoint.repo))
    if made.is_dir():
        freed += sum(each.stat().st_size for each in made.iterdir())
        shutil.rmtree(made, ignore_errors=True)
    root = folder.parents[folder.parts[::-1].index("snapshots") - 1]
    for name in named_weights(folder):
        link = folder / name
        blob, size = link.resolve(), link.stat().st_size
        link.unlink()
        others = (each for each in root.glob(f"*/**/{name}") if each.resolve() == blob)
        freed += size
        if blob.is_file() and not any(others):
            blob.unlink()
    return freed


def _tokenizer(checkpoint: Checkpoint, published: Path) -> Path:
    repository = None if checkpoint.source is None else checkpoint.source.tokenizer
    if repository is None:
        return published
    return fetch_settings(Checkpoint(name="tokenizer", series=checkpoint.series, repo=repository))


def _inside(checkpoint: Checkpoint, root: Path) -> Path:
    folder = root if checkpoint.subfolder is None else root / checkpoint.subfolder
    if not folder.is_dir():
        raise LabError(
            f'checkpoint "{checkpoint.name}" should be in "{folder}", and there is no such folder.'
            " Correct its path or subfolder in the experiment file."
        )
    return folder


def _within(checkpoint: Checkpoint, patterns: tuple[str, ...]) -> list[str]:
    inside = checkpoint.subfolder
    return [name if inside is None else f"{inside}/{name}" for name in patterns]


def _fetch(checkpoint: Checkpoint, patterns: tuple[str, ...]) -> Path:
    """The folder of a repository in the cache, with the files of these patterns."""
    from huggingface_hub import snapshot_download

    with _explained(checkpoint):
        found = snapshot_download(
            str(checkpoint.repo),
            revision=checkpoint.revision,
            allow_patterns=_within(checkpoint, patterns),
        )
    return Path(found)


@contextmanager
def _explained(checkpoint: Checkpoint) -> Iterator[None]:
    """What the hub raises, as a message with both names and what to do."""
    from huggingface_hub.errors import GatedRepoError, RevisionNotFoundError

    repository, revision = str(checkpoint.repo), checkpoint.revision
    at = "the main branch" if revision is None else f'revision "{revision}"'
    wanted = f'checkpoint "{checkpoint.name}"'
    try:
        yield
    except GatedRepoError as error:
        raise LabError(
            f'{wanted} is in "{repository}" on the hub, which is gated. Accept its conditions at'
            f" https://huggingface.co/{repository} and set HF_TOKEN to a token of that account."
        ) from error
    except RevisionNotFoundError as error:
        question = meant(revision or "", revisions_of(repository))
        question += " " if question else ""
        raise LabError(
            f'{wanted} cannot be read: "{repository}" on the hub has no {at}. {question}'
            f"{hub_advice()}"
        ) from error
    except hub_errors() as error:
        gated = checkpoint.source is not None and checkpoint.source.gated
        ask = f" It is gated: accept its conditions at https://huggingface.co/{repository}."
        raise LabError(
            f'{wanted} could not be read from {at} of "{repository}" on the hub'
            f" ({type(error).__name__}).{ask if gated else ''} {hub_advice()}"
        ) from error


def hub_errors() -> tuple[type[Exception], ...]:
    """What huggingface_hub raises where the hub does not give something, or cannot be reached."""
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
    )

    # The errors of a connection are those of the library below it, from which its own descend.
    below = [each for each in HfHubHTTPError.__mro__ if each.__name__ == "HTTPError"]
    known = (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError, OfflineModeIsEnabled)
    return (*known, OSError, *below)


def hub_advice() -> str:
    """What may be wrong where the hub does not give something, and what decides it here."""
    from huggingface_hub import constants

    said = [
        f"HF_HOME (where the cache lies; {os.environ.get('HF_HOME', 'not set')})",
        f"HF_HUB_OFFLINE ({os.environ.get('HF_HUB_OFFLINE', 'not set')})",
        f"HF_TOKEN ({'set' if 'HF_TOKEN' in os.environ else 'not set'})",
    ]
    return (
        "Either it does not exist or is not yours to read, or there is no connection and it is not"
        f' in the cache "{constants.HF_HUB_CACHE}". Check the names, and the variables'
        f" {', '.join(said)}."
    )
