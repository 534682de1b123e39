"""Getting what an experiment needs, several things at a time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from emergecast.errors import LabError, OptionError
from emergecast.lab.checkpoints import Checkpoint, fetch_settings, folders_of, hub_errors
from emergecast.lab.fetching._needs import Need, NeedKind, Needs


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """How fetching ended."""

    done: tuple[Need, ...]
    """What was downloaded."""
    failed: dict[str, str]
    """What was not, by title, with the reason."""


def fetch(
    needs: Needs, *, jobs: int = 4, on_done: Callable[[Need], None] = lambda _need: None
) -> Fetched:
    """Download what is missing; what was begun before goes on where it stopped.

    Args:
        needs: What is needed.
        jobs: Downloads at a time.
        on_done: Called with each thing that is here, in this thread.

    Raises:
        LabError: the disk has too little room for all of it; nothing was downloaded.
        OptionError: `jobs` is below 1.
    """
    if jobs < 1:
        raise OptionError(f"jobs is {jobs}. Give 1 or more.")
    needs.check_room()
    done: list[Need] = []
    failed = {each.title: str(each.problem) for each in needs.problems}
    with ThreadPoolExecutor(jobs) as pool:
        asked = {pool.submit(_get, each): each for each in needs.missing}
        try:
            for future in as_completed(asked):
                need = asked[future]
                try:
                    future.result()
                except LabError as error:
                    failed[need.title] = str(error)
                    continue
                done.append(need)
                on_done(need)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Fetched(done=tuple(done), failed=failed)


def _get(need: Need) -> None:
    if need.kind in {NeedKind.DATA, NeedKind.CORPUS}:
        from huggingface_hub import hf_hub_download, snapshot_download

        try:
            if need.kind is NeedKind.DATA:
                snapshot_download(need.repository, repo_type="dataset")
            for name in need.files:  # by name: the list of all files of C4 alone is long
                hf_hub_download(need.repository, name, repo_type="dataset")
        except hub_errors() as error:
            what = f"{type(error).__name__}: {error}"
            raise LabError(f'the data set "{need.repository}" cannot be read ({what}).') from error
    elif need.checkpoint is not None:
        folders_of(need.checkpoint)
    else:
        fetch_settings(Checkpoint(name="tokenizer", series="", repo=need.repository))
