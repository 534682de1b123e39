"""What a worker has loaded is what was planned: else the result would bear a wrong key."""

from __future__ import annotations

from emergecast.errors import LabError
from emergecast.lab import checkpoints
from emergecast.lab.experiment import CONFIG, Run

_SHOWN = 12
"""Characters shown of a hash."""


def check_model(run: Run, checkpoint: checkpoints.Checkpoint, folders: checkpoints.Folders) -> None:
    """Check the files of a checkpoint; they are read again only if they changed.

    Raises:
        LabError: they are not those that the run was planned with.
    """
    found = checkpoints.file_hashes(folders)
    for part, now, what in (
        ("weights", found.weights, "weights"),
        ("tokenizer", found.tokenizer, "tokenizer"),
        (CONFIG, found.config, "settings (config.json and the files beside it)"),
    ):
        check_part(run, part, now, f'the {what} of "{checkpoint.title}" in "{folders.model}"')


def check_part(run: Run, part: str, now: str, what: str) -> None:
    """Check one part of what determines the result of a run.

    Raises:
        LabError: it is not what the run was planned with.
    """
    planned = run.identity.get(part)
    if planned is not None and now != planned:
        raise LabError(
            f"{what} changed since the plan was made (SHA-256 {now[:_SHOWN]}, planned"
            f" {planned[:_SHOWN]}), so nothing was measured. Run again to measure what is there"
            " now; or put the old files back, and let emergecast retry try this run again."
        )
